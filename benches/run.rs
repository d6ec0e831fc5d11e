//! f32 against int8 on the same operands, through plans made before: `cargo bench --bench run`.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::{ArrayD, IxDyn};
use qeinsum::{DotGeneralConfig, QEinsum};

const CASES: [(&str, &str, &[usize], &[usize]); 3] = [
    ("square", "ij,jk->ik", &[512, 512], &[512, 512]),
    ("batched", "bij,bjk->bik", &[16, 256, 256], &[16, 256, 256]),
    ("attention", "bqhd,bkhd->bhqk", &[1, 256, 8, 64], &[1, 256, 8, 64]),
];

fn operand(shape: &[usize]) -> ArrayD<f32> {
    let mut state = 1_u32;
    ArrayD::from_shape_simple_fn(IxDyn(shape), || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    })
}

fn run(c: &mut Criterion) {
    let config = DotGeneralConfig::v4().build().expect("the default configuration is sound");
    for (name, equation, lhs, rhs) in CASES {
        let mut group = c.benchmark_group(name);
        let exact = QEinsum::new(equation).expect("equations of this list parse");
        let quantized = exact.clone().with_config(config.clone());
        let (a, b) = (operand(lhs), operand(rhs));
        let mul = exact.plan(&[lhs, rhs]).expect("shapes of this list fit").multiplications().to_f64();
        group.throughput(Throughput::Elements(mul as u64));
        for (kind, einsum) in [("f32", exact), ("int8", quantized)] {
            let compiled = einsum.compile(&[lhs, rhs]).expect("shapes of this list fit");
            group.bench_function(BenchmarkId::from_parameter(kind), |bencher| {
                bencher.iter(|| compiled.run((black_box(&a), black_box(&b))).expect("it ran in the first iteration"));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, run);
criterion_main!(benches);
