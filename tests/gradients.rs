//! Gradients through the public interface: against finite differences, the naive interpreter and themselves.

use half::{bf16, f16};
use ndarray::{Array, Array2, ArrayD, ArrayViewD, Dimension as _, IxDyn, arr0, arr1, arr2};
use qeinsum::quant::{
    Calibration, ClipGradient, DotGeneralConfig, Noise, Numerics, QuantConfig, Residual, StochasticRounding,
    TensorConfig,
};
use qeinsum::{Element, ErrorKind, Key, QEinsum, interpret};

use crate::properties::{Problem, Random, random_path, seeds};

/// Noise on all four sides of the gradients' calls, eight bits everywhere.
fn noisy() -> DotGeneralConfig {
    let mut config = DotGeneralConfig::v4().drhs_bits(Some(8)).build().unwrap();
    for call in [&mut config.dlhs.call, &mut config.drhs.call] {
        for (side, noise) in [(&mut call.lhs, Noise::JaxUniform), (&mut call.rhs, Noise::Custom1)] {
            if let Numerics::Int(int) = &mut side.numerics {
                int.noise = Some(noise);
            }
        }
    }
    config
}

fn views<T>(operands: &[ArrayD<T>]) -> Vec<ArrayViewD<'_, T>> {
    operands.iter().map(|operand| operand.view()).collect()
}

/// The worked example of the specification, its key folded from the run's as Flax folds it.
#[test]
fn a_small_product_and_its_gradients() {
    let lhs = arr2(&[[1.0_f32, -2.5, 0.75, 3.0], [0.1, 0.2, -0.3, 0.0]]);
    let rhs = arr2(&[[1.0_f32, 2.0], [-1.0, 0.5], [0.25, -4.0], [2.0, 0.0]]);
    let cotangent = arr2(&[[1.0_f32, -0.5], [0.25, 2.0]]);
    let config = DotGeneralConfig::v4().drhs_bits(Some(8)).build().unwrap();
    let einsum = QEinsum::new("ij,jk->ik").unwrap().with_config(config);
    let (_, grads) = einsum.vjp((&lhs, &rhs), Key::new(42)).unwrap();
    let bits = |array: &ArrayD<f32>| array.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let gradients = grads.pull(&cotangent).unwrap();
    let dlhs = [0x3c7f_ff00, 0xbf9e_bee0, 0x400d_ff72, 0x3ffd_ff02, 0x4087_0f99, 0x3f3f_ff40, 0xc0fb_fafc, 0x3eff_ff00];
    let drhs = [0x3f82_460b, 0xbe97_ff68, 0xc01b_9918, 0x3fd1_ff2e, 0x3f2b_38c7, 0xbf78_ff06, 0x403e_7f41, 0xbfbf_ff3f];
    assert_eq!((bits(&gradients[0]), bits(&gradients[1])), (dlhs.to_vec(), drhs.to_vec()));
}

/// An equation is linear in each operand, so that the derivative by an element is the result of the equation with that
/// element 1 and all others of its operand 0. Values are small integers: every sum is exact, and so is the comparison.
#[test]
fn unquantized_gradients_are_those_of_the_naive_interpreter() {
    for seed in 0..seeds(300) {
        let random = &mut Random::new(seed);
        let problem = Problem::random(random);
        let context = format!("seed {seed}: {}", problem.equation());
        let path = random_path(random, problem.operands.len());
        let qe = QEinsum::new(&problem.equation()).unwrap().with_path(path);
        let (out, grads) = qe.vjp(views(&problem.operands), None).unwrap();
        assert_eq!(out, problem.expected(), "{context}");
        let cotangent = out.mapv(|_| random.below(5) as f64 - 2.0);
        let gradients = grads.pull(&cotangent).unwrap();
        let ranks: Vec<usize> = problem.operands.iter().map(ArrayD::ndim).collect();
        let equation = qe.equation(&ranks).unwrap();
        for (position, gradient) in gradients.iter().enumerate() {
            assert_eq!(gradient.shape(), problem.operands[position].shape(), "{context}");
            let mut operands = problem.operands.clone();
            for (place, &found) in gradient.indexed_iter() {
                operands[position].fill(0.0);
                operands[position][&place] = 1.0;
                let derivative = interpret(&equation, &views(&operands)).unwrap();
                let expected: f64 = (&derivative * &cotangent).sum();
                assert_eq!(found, expected, "{context}: operand {position} at {:?}", place.slice());
            }
        }
    }
}

#[test]
fn unquantized_gradients_are_those_of_finite_differences() {
    const STEP: f64 = 1e-3;
    for seed in 0..seeds(60) {
        let random = &mut Random::new(seed);
        let mut problem = Problem::random(random);
        let fraction = |random: &mut Random| random.below(2001) as f64 / 1000.0 - 1.0;
        problem.operands.iter_mut().for_each(|operand| operand.mapv_inplace(|_| fraction(random)));
        let qe = QEinsum::new(&problem.equation()).unwrap();
        let (out, grads) = qe.vjp(views(&problem.operands), None).unwrap();
        let cotangent = out.mapv(|_| fraction(random));
        let loss = |operands: &[ArrayD<f64>]| -> f64 { (&qe.run(views(operands)).unwrap() * &cotangent).sum() };
        for (position, gradient) in grads.pull(&cotangent).unwrap().iter().enumerate() {
            for (place, &found) in gradient.indexed_iter() {
                let shifted = |by: f64| {
                    let mut operands = problem.operands.clone();
                    operands[position][&place] += by;
                    loss(&operands)
                };
                let difference = (shifted(STEP) - shifted(-STEP)) / (2.0 * STEP);
                // The equation is linear in the element: what is left is rounding, of losses of up to some hundreds.
                let error = (found - difference).abs() / found.abs().max(1.0);
                assert!(error < 1e-6, "seed {seed}: {}: {found} and {difference}", problem.equation());
            }
        }
    }
}

#[test]
fn only_what_is_asked_for_is_computed_and_is_the_same() {
    let shapes = [[3, 4], [4, 5], [5, 2], [2, 6]];
    let operands: Vec<ArrayD<f32>> = shapes
        .iter()
        .map(|shape| ArrayD::from_shape_fn(IxDyn(shape), |at| ((7 * at[0] + 3 * at[1]) % 11) as f32 / 4.0 - 1.0))
        .collect();
    let path = "(0,1) (0,2) (0,1)".parse().unwrap();
    let qe = QEinsum::new("ab,bc,cd,de->ea").unwrap().with_path(path).with_config(noisy());
    let (out, grads) = qe.vjp(&operands, Key::new(7)).unwrap();
    let all = grads.pull(&out).unwrap();
    for asked in [&[0][..], &[3], &[2, 0], &[1, 2, 3], &[]] {
        let (_, grads) = qe.vjp(&operands, Key::new(7)).unwrap();
        let mut calls = 0;
        let some = grads.wrt(asked).unwrap().pull_recorded(&out, |_, _, _| calls += 1).unwrap();
        let expected: Vec<ArrayD<f32>> = asked.iter().map(|&operand| all[operand].clone()).collect();
        assert_eq!(some, expected, "{asked:?}");
        // Of three calls in a row, each has one gradient on the way down, and one for each operand that is asked for.
        let deepest = asked.iter().map(|&operand| 3 - operand.max(1)).max();
        let expected = asked.len() + deepest.unwrap_or(0);
        assert_eq!(calls, expected, "{asked:?}");
    }
}

#[test]
fn the_same_key_gives_the_same_bits_at_any_number_of_threads() {
    let a = Array2::from_shape_fn((24, 40), |(i, j)| ((i * 31 + j * 17) % 101) as f32 / 50.0 - 1.0);
    let b = Array2::from_shape_fn((40, 16), |(i, j)| ((i * 13 + j * 29) % 97) as f32 / 40.0 - 1.0);
    let qe = QEinsum::new("ij,jk->ki").unwrap().with_config(noisy());
    let step = |seed: u32| {
        let (out, grads) = qe.vjp((&a, &b), Key::new(seed.into())).unwrap();
        let gradients = grads.pull(&out).unwrap();
        (out, gradients)
    };
    let expected: Vec<_> = (0..8).map(step).collect();
    assert_ne!(expected[0].1, expected[1].1);
    for threads in [1_u32, 2, 3, 8] {
        let mut found: Vec<_> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads)
                .map(|thread| {
                    scope.spawn(move || (thread..8).step_by(threads as usize).map(|at| (at, step(at))).collect())
                })
                .collect();
            workers.into_iter().flat_map(|worker| -> Vec<_> { worker.join().unwrap() }).collect()
        });
        found.sort_by_key(|(at, _)| *at);
        assert!(found.into_iter().map(|(_, made)| made).eq(expected.iter().cloned()), "{threads} threads");
    }
}

/// Under nearest rounding nothing depends on which operand is written first: sides, their settings and the settings of
/// their gradients change places together.
#[test]
fn exchanging_operands_and_sides_changes_nothing() {
    let a = Array::from_shape_fn((3, 5, 7), |(b, i, j)| ((b * 7 + i * 5 + j * 3) % 13) as f32 / 3.0 - 2.0);
    let b = Array::from_shape_fn((3, 7, 4), |(b, j, k)| ((b * 5 + j * 11 + k) % 17) as f32 / 4.0 - 2.0);
    let config = DotGeneralConfig::v4().drhs_bits(Some(6)).fwd_bits(Some(4)).build().unwrap();
    let mut config = config.with_stochastic_rounding(StochasticRounding::Off, Noise::JaxUniform);
    config.forward.rhs = TensorConfig::from_bits(Some(7)).unwrap();
    config.dlhs.residual = Residual::Quantized;
    let exchanged = DotGeneralConfig {
        forward: qeinsum::quant::CallConfig { lhs: config.forward.rhs, rhs: config.forward.lhs, ..config.forward },
        dlhs: config.drhs,
        drhs: config.dlhs,
    };
    for (written, other) in [("bij,bjk->bik", "bjk,bij->bik"), ("bij,bjk->bki", "bjk,bij->bki")] {
        let (out, grads) = QEinsum::new(written).unwrap().with_config(config.clone()).vjp((&a, &b), None).unwrap();
        let turned = QEinsum::new(other).unwrap().with_config(exchanged.clone());
        let (same, turned) = turned.vjp((&b, &a), None).unwrap();
        assert_eq!(out, same, "{written}");
        let (gradients, mut others) = (grads.pull(&out).unwrap(), turned.pull(&out).unwrap());
        others.reverse();
        assert_eq!(gradients, others, "{written}");
    }
}

#[test]
fn clipped_values_get_no_gradient_where_masked() {
    let mut config = DotGeneralConfig::v4().drhs_bits(Some(8)).build().unwrap();
    let Numerics::Int(int) = &mut config.forward.lhs.numerics else { panic!("quantized") };
    int.gradient = ClipGradient::Masked;
    config.forward.lhs.calibration = Calibration::Constant(1.0);
    let (x, w) = (arr2(&[[0.5_f32, 1.5, -0.9, -3.0]]), arr2(&[[1.0_f32], [2.0], [-1.0], [0.5]]));
    let qe = QEinsum::new("bi,io->bo").unwrap().with_config(config);
    let (out, grads) = qe.vjp((&x, &w), Key::new(0)).unwrap();
    let dx = &grads.pull(&out.mapv(|_| -1.0)).unwrap()[0];
    assert!(dx[[0, 0]] != 0.0 && dx[[0, 2]] != 0.0);
    assert_eq!((dx[[0, 1]].to_bits(), dx[[0, 3]].to_bits()), (0, 0), "blocked, and positive: {dx}");
}

/// The largest magnitude is scaled to half a step beyond the largest value, and so is always masked; bfloat16 has no 2047,
/// but the original compares with it all the same.
#[test]
fn the_largest_magnitude_is_masked_in_any_type() {
    fn masked<T: Element>(bits: u8) -> Vec<bool> {
        let mut config = DotGeneralConfig::v4().fwd_bits(Some(bits)).build().unwrap();
        let Numerics::Int(int) = &mut config.forward.lhs.numerics else { panic!("quantized") };
        int.gradient = ClipGradient::Masked;
        let array = |values: &[f32], shape: &[usize]| {
            let values = values.iter().map(|&value| T::from_floats(arr0(value).into_dyn())[[].as_slice()]).collect();
            ArrayD::from_shape_vec(IxDyn(shape), values).unwrap()
        };
        let (x, w) = (array(&[0.5, -1.0, 0.25], &[1, 3]), array(&[1.0, 2.0, -1.0], &[3, 1]));
        let qe = QEinsum::new("bi,io->bo").unwrap().with_config(config);
        let (_, grads) = qe.vjp((&x, &w), Key::new(0)).unwrap();
        let dx = grads.wrt(&[0]).unwrap().pull(&array(&[1.0], &[1, 1])).unwrap().remove(0);
        dx.iter().map(|gradient| *gradient == T::ZERO).collect()
    }
    for bits in [2, 4, 8, 10, 12, 16] {
        assert_eq!(masked::<f32>(bits), [false, true, false], "f32, {bits} bits");
        assert_eq!(masked::<bf16>(bits), [false, true, false], "bf16, {bits} bits");
    }
    assert_eq!(masked::<f16>(8), [false, true, false], "f16");
}

#[test]
fn one_operand_has_a_gradient_too() {
    let x = Array::from_shape_fn((2, 3, 2), |(i, j, k)| (i + 2 * j + 5 * k) as f64);
    let (out, grads) = QEinsum::new("iji->j").unwrap().vjp((&x,), None).unwrap();
    assert_eq!(out, arr1(&[6.0, 10.0, 14.0]).into_dyn());
    let expected = Array::from_shape_fn((2, 3, 2), |(i, j, k)| if i == k { (j + 1) as f64 } else { 0.0 });
    assert_eq!(grads.pull(&arr1(&[1.0, 2.0, 3.0])).unwrap(), [expected.into_dyn()]);
}

#[test]
fn bad_input_is_refused_by_name() {
    let (x, w) = (Array2::<f32>::ones((2, 3)), Array2::<f32>::ones((3, 4)));
    let qe = QEinsum::new("bi,io->bo").unwrap();
    let v4 = DotGeneralConfig::v4().build().unwrap();
    let refused = |config: QuantConfig, key: Option<Key>| {
        let error = qe.clone().with_config(config).vjp((&x, &w), key).map(drop).unwrap_err();
        (*error.kind(), error.message().to_owned())
    };
    let config = |message: &str| (ErrorKind::Config, message.to_owned());
    assert_eq!(refused(v4.clone().into(), None), config("dlhs adds noise, but no key was given"));
    let float_forward = DotGeneralConfig::v4().fwd_bits(None).build().unwrap();
    assert_eq!(
        refused(float_forward.into(), Some(Key::new(0))),
        config("`dlhs.residual` is set, but the forward rhs is not quantized")
    );
    let mut sharded = v4.clone();
    sharded.dlhs.shards = std::num::NonZeroUsize::new(3);
    assert_eq!(
        refused(sharded.into(), Some(Key::new(0))),
        config("`dlhs.shards` is 3, which does not divide the first contracting size, 4")
    );
    let quantized = qe.clone().with_config(v4);
    let frozen = quantized.freeze(1, &w, &[x.shape(), w.shape()], None).unwrap();
    let error = quantized.vjp((&x, &frozen), Key::new(0)).map(drop).unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (&ErrorKind::Freeze, "operand 1 is frozen: it keeps integers, and a gradient needs floats")
    );
    let pullback = || quantized.vjp((&x, &w), Key::new(0)).unwrap().1;
    let message = |error: qeinsum::Error| error.message().to_owned();
    assert_eq!(
        message(pullback().pull(&Array2::ones((4, 2))).unwrap_err()),
        "the result has shape [2, 4], but the cotangent has [4, 2]"
    );
    assert_eq!(message(pullback().wrt(&[2]).unwrap_err()), "there is no operand 2 to take a gradient of; there are 2");
    assert_eq!(message(pullback().wrt(&[1, 1]).unwrap_err()), "the gradient of operand 1 is asked for twice");
    let g = Array2::ones((2, 4));
    for (sources, expected) in [
        (&[0][..], "2 operands cannot come from 1 sources"),
        (&[0, 2], "sources are counted from 0 without gaps, but none is 1"),
        (&[0, 0], "operands 0 and 1 cannot be one array: their shapes are [2, 3] and [3, 4]"),
    ] {
        assert_eq!(message(pullback().pull_summed(&g, sources).unwrap_err()), expected);
    }
}

/// An array in three places gets the sum of the gradients of its places.
#[test]
fn an_operand_used_twice_gets_the_sum() {
    let x = arr1(&[1.0, 2.0, -1.0]);
    let (_, grads) = QEinsum::new("i,i,i->").unwrap().vjp((&x, &x, &x), None).unwrap();
    let sums = grads.pull_summed(&arr0(1.0), &[0, 0, 0]).unwrap();
    assert_eq!(sums, [x.mapv(|x| 3.0 * x * x).into_dyn()]);
}
