//! Gradients: against the naive interpreter and the reference arithmetic, on several threads.

use ndarray::{ArrayD, ArrayViewD};
use num_complex::Complex;
use num_traits::Num;
use qeinsum::{Dtype, Element, Key, QEinsum, interpret};

use super::choices::{Choices, Decide};
use super::problem::{Problem, path};
use super::run::{bits, on_threads};
use super::settings;
use crate::reference;

/// The most iterations of the naive interpreter, which runs for each operand.
const MOST_ITERATIONS: usize = 1 << 11;

/// Makes an equation, operands, a cotangent and a configuration of bytes.
pub(crate) fn check(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let problem = Problem::new(&mut choices);
    if problem.iterations > MOST_ITERATIONS {
        return;
    }
    let mut qe = problem.qeinsum();
    if choices.of(&[true, false]) {
        qe = qe.with_path(path(&mut choices, problem.shapes.len()));
    }
    match choices.of(&[Dtype::F64, Dtype::F32, Dtype::C64]) {
        Dtype::F32 => linear::<f32>(&qe, &problem, &mut choices),
        Dtype::C64 => linear::<Complex<f64>>(&qe, &problem, &mut choices),
        _ => linear::<f64>(&qe, &problem, &mut choices),
    }
    quantized(&qe, &problem, &mut choices);
}

/// An equation is linear in each operand: the product of its gradient and a direction is that of the cotangent and the result
/// for the direction in the operand's place. Values are small integers, so that every sum is exact.
fn linear<T: Element + Num>(qe: &QEinsum, problem: &Problem, choices: &mut Choices<'_>) {
    let mut generator = choices.generator();
    let operands: Vec<ArrayD<T>> = problem.shapes.iter().map(|shape| generator.integers(shape, 2)).collect();
    let relaid = Problem::relaid(choices, &operands);
    let (out, grads) = qe.vjp(&relaid, None).unwrap();
    let views = |operands: &[ArrayD<T>]| {
        let ranks: Vec<usize> = problem.shapes.iter().map(Vec::len).collect();
        let views: Vec<ArrayViewD<'_, T>> = operands.iter().map(|operand| operand.view()).collect();
        interpret(&qe.equation(&ranks).unwrap(), &views).unwrap()
    };
    assert_eq!(out, views(&operands), "{}", problem.equation);
    let cotangent: ArrayD<T> = generator.integers(out.shape(), 2);
    for (position, gradient) in grads.pull(&cotangent).unwrap().iter().enumerate() {
        assert_eq!(gradient.shape(), problem.shapes[position], "{}", problem.equation);
        let mut moved = operands.clone();
        moved[position] = generator.integers(gradient.shape(), 1);
        let product = |a: &ArrayD<T>, b: &ArrayD<T>| a.iter().zip(b).fold(T::zero(), |sum, (&a, &b)| sum + a * b);
        let (along, expected) = (product(gradient, &moved[position]), product(&cotangent, &views(&moved)));
        assert_eq!(along, expected, "{}: operand {position}", problem.equation);
    }
}

fn quantized(qe: &QEinsum, problem: &Problem, choices: &mut Choices<'_>) {
    let config = settings::dot_general(choices);
    let qe = qe.clone().with_config(config.clone());
    let plan = qe.plan(&problem.shapes()).unwrap();
    if !settings::is_defined(&plan) {
        return;
    }
    let mut generator = choices.generator();
    let operands: Vec<ArrayD<f32>> = problem.shapes.iter().map(|shape| generator.fractions(shape)).collect();
    let cotangent: ArrayD<f32> = generator.fractions(plan.value(plan.output()).shape());
    let relaid = Problem::relaid(choices, &operands);
    let key = Key::new(9);
    let pulled = on_threads(choices, || {
        let (_, grads) = qe.vjp(&relaid, key).unwrap();
        grads.pull(&cotangent).unwrap().iter().map(bits).collect::<Vec<_>>()
    });
    let recorded = reference::run(&plan, &operands, &config, Some(key.words()));
    let expected: Vec<Vec<u64>> = reference::pull(&plan, &recorded, &cotangent).iter().map(bits).collect();
    assert_eq!(pulled, expected, "{} under {config:?}", problem.equation);

    let asked = choices.below(operands.len());
    let (_, grads) = qe.vjp(&relaid, key).unwrap();
    let one = grads.wrt(&[asked]).unwrap().pull(&cotangent).unwrap();
    assert_eq!(one.iter().map(bits).collect::<Vec<_>>(), [expected[asked].clone()], "{}", problem.equation);
}
