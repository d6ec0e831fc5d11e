//! The same bits on any number of threads.

use ndarray::{Array, ArrayD, IxDyn};
use qeinsum::{DotGeneralConfig, Element, Key, QEinsum};

/// Products large enough to be cut, and cut unevenly.
const CASES: [(&str, &[usize], &[usize]); 9] = [
    ("ij,jk->ik", &[301, 257], &[257, 403]),
    ("ij,kj->ki", &[301, 257], &[403, 257]),
    ("bij,bjk->bik", &[17, 70, 130], &[17, 130, 90]),
    ("bij,bjk->bik", &[3, 200, 130], &[3, 130, 190]),
    ("ij,jk->ik", &[1, 1100], &[1100, 3001]),
    ("ij,jk->ik", &[3001, 1100], &[1100, 1]),
    ("bqhd,bkhd->bhqk", &[2, 131, 3, 64], &[2, 137, 3, 64]),
    ("ij,jk->ik", &[20, 3000], &[3000, 500]),
    ("i,j->ij", &[1501], &[1003]),
];

fn operand<T: Element>(shape: &[usize], from: u32) -> ArrayD<T> {
    let mut state = from;
    Array::from_shape_simple_fn(IxDyn(shape), || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        T::from_floats(ndarray::arr0((state >> 8) as f32 / 8_388_608.0 - 1.0).into_dyn())[[].as_slice()]
    })
}

/// What `compute` gives in a pool of each size is what it gives on one thread.
fn assert_same<R: PartialEq + Send>(what: &str, compute: impl Fn() -> R + Sync) {
    let on = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(&compute);
    let alone = on(1);
    for threads in [2, 3, 8] {
        assert!(on(threads) == alone, "{what}: {threads} threads give other bits than one");
    }
}

fn bits<T: Element>(array: &ArrayD<T>) -> Vec<u32> {
    T::floats(array.view()).iter().map(|x| x.to_bits()).collect()
}

fn products<T: Element>(config: Option<&DotGeneralConfig>) {
    for (equation, lhs, rhs) in CASES {
        let einsum = QEinsum::new(equation).unwrap();
        let einsum = config.map_or(einsum.clone(), |config| einsum.with_config(config.clone()));
        let (a, b) = (operand::<T>(lhs, 1), operand::<T>(rhs, 2));
        assert_same(&format!("{equation} of {} {lhs:?} and {rhs:?}", T::DTYPE), || {
            bits(&einsum.run((&a, &b)).unwrap())
        });
    }
}

#[test]
fn float_products() {
    products::<f32>(None);
    products::<f64>(None);
    products::<half::bf16>(None);
}

#[test]
fn quantized_products() {
    let config = DotGeneralConfig::v4().build().unwrap();
    products::<f32>(Some(&config));
    products::<half::f16>(Some(&config));
}

#[test]
fn sums_over_axes() {
    let x = operand::<f32>(&[700, 1100], 3);
    for equation in ["ij->i", "ij->j", "ij->"] {
        let einsum = QEinsum::new(equation).unwrap();
        assert_same(equation, || bits(&einsum.run((&x,)).unwrap()));
    }
}

#[test]
fn gradients_with_noise() {
    let einsum = QEinsum::new("bij,bjk->bik").unwrap().with_config(DotGeneralConfig::v4().build().unwrap());
    let (a, b) = (operand::<f32>(&[9, 120, 130], 4), operand::<f32>(&[9, 130, 140], 5));
    assert_same("gradients", || {
        let (output, pullback) = einsum.vjp((&a, &b), Key::new(7)).unwrap();
        let gradients = pullback.pull(&output).unwrap();
        gradients.iter().flat_map(bits).collect::<Vec<_>>()
    });
}
