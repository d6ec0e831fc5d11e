//! Quantized runs and gradients against the reference arithmetic written a second time.

use half::{bf16, f16};
use ndarray::{ArrayD, ArrayViewD, IxDyn};
use qeinsum::quant::QuantConfig;
use qeinsum::{Key, QEinsum, Real};

use crate::fuzz::choices::Decide as _;
use crate::fuzz::settings;
use crate::properties::{Problem, Random, random_path, seeds};
use crate::reference;

fn fraction(random: &mut Random) -> f32 {
    random.below(1 << 20) as f32 / (1 << 19) as f32 - 1.0
}

fn bits(array: &ArrayD<f32>) -> Vec<u32> {
    array.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn quantized_runs_and_gradients_are_those_of_the_reference_arithmetic() {
    let mut compared = 0;
    for seed in 0..seeds(1500) {
        let random = &mut Random::new(seed);
        let problem = Problem::random(random);
        let operands: Vec<ArrayD<f32>> =
            problem.operands.iter().map(|operand| operand.mapv(|_| fraction(random))).collect();
        let config = settings::dot_general(random);
        let path = random_path(random, operands.len());
        let qe = QEinsum::new(&problem.equation()).unwrap().with_config(config.clone()).with_path(path);
        let key = Key::new(seed);
        let views: Vec<ArrayViewD<'_, f32>> = operands.iter().map(|operand| operand.view()).collect();
        let shapes: Vec<&[usize]> = operands.iter().map(ndarray::ArrayBase::shape).collect();
        let plan = qe.plan(&shapes).unwrap();
        if !settings::is_defined(&plan) {
            continue;
        }
        let context = format!("seed {seed}: {} with {config:?}", problem.equation());

        let (out, grads) = qe.vjp(views, key).unwrap();
        let recorded = reference::run(&plan, &operands, &config, Some(key.words()));
        assert_eq!(bits(&out), bits(recorded.output(&plan)), "{context}");
        let cotangent = out.mapv(|_| fraction(random));
        let expected = reference::pull(&plan, &recorded, &cotangent);
        for (position, (ours, theirs)) in grads.pull(&cotangent).unwrap().iter().zip(&expected).enumerate() {
            assert_eq!((ours.shape(), bits(ours)), (theirs.shape(), bits(theirs)), "{context}: gradient {position}");
        }
        compared += 1;
    }
    assert!(compared * 4 > seeds(1500) * 3, "most problems are defined: {compared}");
}

/// Shards of a product whose first contracting axis they divide, on both gradients.
#[test]
fn sharded_gradients_are_those_of_the_reference_arithmetic() {
    for seed in 0..seeds(200) {
        let random = &mut Random::new(seed);
        let mut config = settings::dot_general(random);
        config.dlhs.shards =
            random.of(&[None, Some(1), Some(2), Some(3), Some(6)]).and_then(|n: usize| n.try_into().ok());
        config.drhs.shards = random.of(&[None, Some(1), Some(2), Some(4)]).and_then(|n: usize| n.try_into().ok());
        for (equation, lhs, rhs) in [
            ("bij,bjk->bik", [2, 4, 5], [2, 5, 6]),
            ("ijk,jl->lik", [4, 5, 2], [5, 6, 1]),
            ("ijb,kjb->bki", [4, 5, 2], [6, 5, 2]),
        ] {
            let rhs = if equation.starts_with("ijk") { &rhs[..2] } else { &rhs[..] };
            let operands = [&lhs[..], rhs].map(|shape| ArrayD::from_shape_simple_fn(IxDyn(shape), || fraction(random)));
            let qe = QEinsum::new(equation).unwrap().with_config(QuantConfig::from(config.clone()));
            let plan = qe.plan(&[operands[0].shape(), operands[1].shape()]).unwrap();
            let key = Key::new(seed);
            let (out, grads) = qe.vjp((&operands[0], &operands[1]), key).unwrap();
            let cotangent = out.mapv(|_| fraction(random));
            let recorded = reference::run(&plan, &operands, &config, Some(key.words()));
            let expected = reference::pull(&plan, &recorded, &cotangent);
            for (position, (ours, theirs)) in grads.pull(&cotangent).unwrap().iter().zip(&expected).enumerate() {
                assert_eq!(bits(ours), bits(theirs), "seed {seed}: {equation}, gradient {position}");
            }
        }
    }
}

/// Any float: of any magnitude, subnormal, infinite, NaN.
fn any_float(random: &mut Random) -> f32 {
    let ordinary = fraction(random);
    match random.below(24) {
        0 => 0.0,
        1 => -0.0,
        2 => random.of(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY]),
        3..8 => ordinary * 2.0_f32.powi(random.below(277) as i32 - 149),
        _ => ordinary,
    }
}

/// Where nobody watches, floats are quantized while they are packed and sums are rescaled at once; that changes no bit,
/// whatever the values are.
#[test]
fn a_call_gives_the_same_bits_watched_or_not() {
    for seed in 0..seeds(3000) {
        let random = &mut Random::new(seed);
        let problem = Problem::random(random);
        // A whole operand may be so small or so large that its scale, or one over it, is beyond what is normal.
        let operands: Vec<ArrayD<f32>> = problem
            .operands
            .iter()
            .map(|operand| {
                let factor = if random.below(3) == 0 { 2.0_f32.powi(random.below(277) as i32 - 149) } else { 1.0 };
                operand.mapv(|_| any_float(random) * factor)
            })
            .collect();
        let config = settings::dot_general(random);
        let qe = QEinsum::new(&problem.equation()).unwrap().with_config(config.clone());
        let context = format!("seed {seed}: {} with {config:?}", problem.equation());
        watched_or_not(&qe, &operands, seed, &context);
        watched_or_not::<f16>(&qe, &narrowed(&operands), seed, &context);
        watched_or_not::<bf16>(&qe, &narrowed(&operands), seed, &context);
    }
}

fn narrowed<T: Real<Wide = f32>>(operands: &[ArrayD<f32>]) -> Vec<ArrayD<T>> {
    operands.iter().map(|operand| operand.mapv(T::narrow)).collect()
}

fn watched_or_not<T: Real<Wide = f32>>(qe: &QEinsum, operands: &[ArrayD<T>], seed: u64, context: &str) {
    let views = || -> Vec<ArrayViewD<'_, T>> { operands.iter().map(|operand| operand.view()).collect() };
    let watched = qe.run_recorded(views(), Some(Key::new(seed)), |_, _| {});
    let unwatched = qe.run_with_key(views(), Key::new(seed));
    match (watched, unwatched) {
        (Ok(watched), Ok(unwatched)) => {
            let same = |(a, b): (&T, &T)| {
                let (a, b) = (a.widen(), b.widen());
                a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
            };
            assert!(
                watched.iter().zip(&unwatched).all(same),
                "{} {context}: {watched:?} is not {unwatched:?}",
                T::DTYPE
            );
        }
        (watched, unwatched) => assert_eq!(watched.unwrap_err(), unwatched.unwrap_err(), "{} {context}", T::DTYPE),
    }
}
