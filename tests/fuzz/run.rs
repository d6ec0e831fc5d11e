//! Runs: against the naive interpreter and the reference arithmetic, on several threads, in slices, in any memory layout.

use std::sync::{Arc, Mutex, PoisonError};

use half::{bf16, f16};
use ndarray::{ArrayD, ArrayViewD};
use num_complex::Complex;
use num_traits::Num;
use qeinsum::quant::QuantConfig;
use qeinsum::{Dtype, Element, Key, Plan, interpret};
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::choices::{Choices, Decide};
use super::problem::{Problem, path};
use super::{settings, sound};
use crate::reference;

/// The most iterations of the naive interpreter.
const MOST_ITERATIONS: usize = 1 << 12;

/// The most passes of a sliced plan: a fuzzer runs instrumented, and each pass costs more than what it computes here.
const MOST_PASSES: usize = 1 << 10;

/// One, two and three threads, while they are needed.
static POOLS: Mutex<Option<Arc<[ThreadPool; 3]>>> = Mutex::new(None);

fn pools() -> Arc<[ThreadPool; 3]> {
    let anew = || Arc::new([1, 2, 3].map(|threads| ThreadPoolBuilder::new().num_threads(threads).build().unwrap()));
    Arc::clone(POOLS.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(anew))
}

/// Ends the threads that [`check`] and that of gradients ran on, with the memory that they keep for the next product.
#[allow(dead_code, reason = "a soak ends them, fuzzers never do")]
pub(crate) fn end_threads() {
    *POOLS.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

/// What one thread computes, which two and three compute too.
pub(crate) fn on_threads<R: PartialEq + Send>(choices: &mut Choices<'_>, compute: impl Fn() -> R + Sync) -> R {
    let pools = pools();
    let alone = pools[0].install(&compute);
    let threads = choices.of(&[1, 2]);
    assert!(pools[threads].install(&compute) == alone, "{} threads give other bits than one", threads + 1);
    alone
}

/// Makes an equation, operands and a configuration of bytes.
pub(crate) fn check(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let problem = Problem::new(&mut choices);
    match choices.of(&[Dtype::F32, Dtype::F64, Dtype::F16, Dtype::Bf16, Dtype::C32, Dtype::C64, Dtype::F32]) {
        Dtype::F32 => exact::<f32>(&problem, &mut choices),
        Dtype::F64 => exact::<f64>(&problem, &mut choices),
        Dtype::C32 => exact::<Complex<f32>>(&problem, &mut choices),
        Dtype::C64 => exact::<Complex<f64>>(&problem, &mut choices),
        Dtype::F16 => rounded::<f16>(&problem, &mut choices, 2.0_f32.powi(-11)),
        Dtype::Bf16 => rounded::<bf16>(&problem, &mut choices, 2.0_f32.powi(-8)),
    }
}

/// Small integers in a type whose sums of them are exact: what comes out is what the interpreter computes.
fn exact<T: Element + Num>(problem: &Problem, choices: &mut Choices<'_>) {
    let operands = integers::<T>(problem, choices);
    let out = every_way(problem, choices, &operands);
    if problem.iterations <= MOST_ITERATIONS {
        let views: Vec<ArrayViewD<'_, T>> = operands.iter().map(|operand| operand.view()).collect();
        let ranks: Vec<usize> = problem.shapes.iter().map(Vec::len).collect();
        let expected = interpret(&problem.qeinsum().equation(&ranks).unwrap(), &views).unwrap();
        assert_eq!(out, expected, "{}", problem.equation);
    }
}

/// The same in a type that rounds the result of each step by so much.
fn rounded<T: Element>(problem: &Problem, choices: &mut Choices<'_>, unit: f32) {
    let operands = integers::<T>(problem, choices);
    let out = every_way(problem, choices, &operands);
    if problem.iterations > MOST_ITERATIONS {
        return;
    }
    let ranks: Vec<usize> = problem.shapes.iter().map(Vec::len).collect();
    let equation = problem.qeinsum().equation(&ranks).unwrap();
    let wide: Vec<ArrayD<f32>> = operands.iter().map(|operand| T::floats(operand.view()).into_owned()).collect();
    let interpreted = |operands: &[ArrayD<f32>]| {
        interpret(&equation, &operands.iter().map(|operand| operand.view()).collect::<Vec<_>>()).unwrap()
    };
    let expected = interpreted(&wide);
    let magnitude = interpreted(&wide.iter().map(|operand| operand.mapv(f32::abs)).collect::<Vec<_>>());
    // Reductions before and after each call round too.
    let steps = 3 * operands.len() as i32;
    let most = magnitude.mapv(|magnitude| magnitude * ((1.0 + unit).powi(steps) - 1.0));
    for ((out, expected), (most, magnitude)) in
        T::floats(out.view()).iter().zip(&expected).zip(most.iter().zip(&magnitude))
    {
        // What no binary16 holds may have become infinite on the way.
        let holds = *magnitude < 60_000.0;
        assert!(!holds || (out - expected).abs() <= *most, "{}: {out}, but {expected}", problem.equation);
    }
}

fn integers<T: Element>(problem: &Problem, choices: &mut Choices<'_>) -> Vec<ArrayD<T>> {
    let mut generator = choices.generator();
    problem.shapes.iter().map(|shape| generator.integers(shape, 2)).collect()
}

/// How often the body of all loops of a plan runs at most.
fn passes(plan: &Plan) -> usize {
    plan.slices().iter().fold(1, |passes, slice| passes.saturating_mul(slice.size))
}

/// Runs the equation along any path, on any layout of the operands, on several threads, in slices; the same with fractions and
/// quantized, where that is possible. What comes out is the result for `operands`.
fn every_way<T: Element>(problem: &Problem, choices: &mut Choices<'_>, operands: &[ArrayD<T>]) -> ArrayD<T> {
    let mut qe = problem.qeinsum().with_dtype(T::DTYPE);
    if choices.of(&[true, false]) {
        qe = qe.with_path(path(choices, operands.len()));
    }
    let plan = qe.plan(&problem.shapes()).unwrap();
    let labels = plan.equation().labels().map(|label| plan.equation().name(label).to_owned());
    let chosen: Vec<String> = labels.filter(|_| choices.below(3) == 2).collect();
    let sliced = match plan.with_slices(&chosen) {
        Ok(sliced) => Some(sliced).filter(|sliced| passes(sliced) <= MOST_PASSES),
        Err(error) => {
            sound::error(&error);
            None
        }
    };

    let relaid = Problem::relaid(choices, operands);
    let out = on_threads(choices, || plan.run(&relaid).unwrap());
    let mut generator = choices.generator();
    let fractions: Vec<ArrayD<T>> = problem.shapes.iter().map(|shape| generator.fractions(shape)).collect();
    let relaid = Problem::relaid(choices, &fractions);
    let floats = on_threads(choices, || bits(&plan.run(&relaid).unwrap()));
    if let Some(sliced) = &sliced {
        let parts = on_threads(choices, || bits(&sliced.run(&relaid).unwrap()));
        assert!(parts == floats, "other bits in slices:\n{sliced}");
    }
    if !T::DTYPE.is_complex() && T::DTYPE != Dtype::F64 {
        quantized(&plan, sliced.as_ref(), choices, &fractions, &relaid);
    }
    out
}

fn quantized<T: Element>(
    plan: &Plan,
    sliced: Option<&Plan>,
    choices: &mut Choices<'_>,
    operands: &[ArrayD<T>],
    relaid: &[ArrayD<T>],
) {
    let alike = settings::dot_general(choices);
    let own = choices.of(&[false, false, true]).then(|| settings::side(choices));
    let config = own.map_or_else(
        || QuantConfig::from(alike.clone()),
        |side| QuantConfig::from(alike.clone()).with_operand(operands.len() - 1, side),
    );
    let key = Key::new(7);
    let run = |plan: &Plan| plan.run_quantized(relaid, &config, Some(key)).map(|out| bits(&out));
    let whole = on_threads(choices, || run(plan));
    if let Err(error) = &whole {
        sound::error(error);
    }
    // Where it is refused is sometimes seen later in slices, or earlier; what is not sliceable once quantized is refused.
    if let Some(Ok(parts)) = sliced.map(|sliced| on_threads(choices, || run(sliced))) {
        assert!(whole.is_err() || whole.as_ref() == Ok(&parts), "other bits in slices under {config:?}:\n{plan}");
    }
    if own.is_none() && T::DTYPE == Dtype::F32 && settings::is_defined(plan) {
        let floats: Vec<ArrayD<f32>> = operands.iter().map(|operand| T::floats(operand.view()).into_owned()).collect();
        let expected = reference::run(plan, &floats, &alike, Some(key.words()));
        assert_eq!(whole, Ok(bits(expected.output(plan))), "under {config:?}:\n{plan}");
    }
}

/// The bits of each part, those of all NaN alike.
pub(crate) fn bits<T: Element>(array: &ArrayD<T>) -> Vec<u64> {
    if T::DTYPE == Dtype::F64 || T::DTYPE == Dtype::C64 {
        // As text every number of 64 bits has a form of its own.
        return array.iter().map(|value| hash(&format!("{value:?}"))).collect();
    }
    let parts = T::floats(array.view());
    parts.iter().map(|part| u64::from(if part.is_nan() { u32::MAX } else { part.to_bits() })).collect()
}

fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
