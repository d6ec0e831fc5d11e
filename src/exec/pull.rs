//! The backward pass: walks a plan's steps in reverse, from the gradient of its result to those of its operands.
//!
//! Every value of a plan has one reader, so nothing is added on the way. A step's adjoint moves values where it moved
//! them; only calls compute.

use ndarray::{ArrayD, ArrayViewD};

use crate::cancel;
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::Element;
use crate::lower::{Op, Plan, Side};

use super::adjoint;
use super::gradient::{GradientRecord, Kept, gradient, unquantized_gradient};
use super::quantized::QuantizedCalls;
use super::shared_terms::CallParts;
use super::value::Value;

/// Runs a plan backward.
///
/// `tape` has what each call kept, `calls` how they were quantized. The result has a gradient for each operand that is
/// `asked` for, in the operand's shape.
pub(crate) fn pull<T: Element>(
    plan: &Plan,
    tape: &[Kept<'_, T>],
    calls: Option<&QuantizedCalls>,
    asked: &[bool],
    cotangent: &ArrayViewD<'_, T>,
    mut observe: Option<&mut dyn FnMut(usize, Side, GradientRecord)>,
) -> Result<Vec<Option<ArrayD<T>>>> {
    check_cotangent(cotangent, plan.value(plan.output()).shape())?;
    let wanted = wanted(plan, asked);
    let mut gradients: Vec<Option<Value<'_, T>>> = (0..plan.values().len()).map(|_| None).collect();
    if wanted[plan.output().index()] {
        gradients[plan.output().index()] = Some(Value::Borrowed(cotangent.view()));
    }
    let mut number = tape.len();
    for step in plan.steps().iter().rev() {
        number -= usize::from(matches!(step.op(), Op::DotGeneral { .. }));
        let Some(incoming) = gradients[step.result().index()].take() else { continue };
        cancel::between_steps()?;
        match step.op() {
            Op::Squeeze { input, axes } => {
                gradients[input.index()] = Some(Value::Owned(adjoint::squeeze(incoming.into_owned(), axes)));
            }
            Op::Transpose { input, permutation } => {
                gradients[input.index()] = Some(Value::Owned(adjoint::transpose(incoming.into_owned(), permutation)));
            }
            Op::Diagonal { input, axes } => {
                let shape = plan.value(*input).shape();
                gradients[input.index()] = Some(Value::Owned(adjoint::diagonal(&incoming.into_owned(), axes, shape)));
            }
            Op::ReduceSum { input, axes } => {
                let shape = plan.value(*input).shape();
                gradients[input.index()] = Some(Value::Owned(adjoint::reduce_sum(incoming.into_owned(), axes, shape)));
            }
            Op::DotGeneral { lhs, rhs, dims, orientation } => {
                let (incoming, whole) = (incoming.view(), CallParts::default());
                for (side, input) in Side::BOTH.into_iter().zip([lhs, rhs]) {
                    if !wanted[input.index()] {
                        continue;
                    }
                    let kept = &tape[number];
                    let made = match calls {
                        None => unquantized_gradient(side, kept, dims, &incoming, None)?,
                        Some(calls) => {
                            let config = calls.config(number, *orientation);
                            let mut watch =
                                observe.as_deref_mut().map(|observe| move |side, record| observe(number, side, record));
                            let watch = watch.as_mut().map(|watch| watch as &mut dyn FnMut(Side, GradientRecord));
                            gradient(side, kept, dims, &incoming, &config, calls.key(number), watch, whole)?
                        }
                    };
                    gradients[input.index()] = Some(Value::Owned(made));
                }
            }
        }
    }
    gradients.truncate(asked.len());
    Ok(gradients.into_iter().map(|gradient| gradient.map(Value::into_owned)).collect())
}

/// The gradient of a result has the result's shape.
pub(crate) fn check_cotangent<T>(cotangent: &ArrayViewD<'_, T>, expected: &[usize]) -> Result<()> {
    if cotangent.shape() == expected {
        return Ok(());
    }
    let message = format!("the result has shape {expected:?}, but the cotangent has {:?}", cotangent.shape());
    Err(Error::new(ErrorKind::Shape, message))
}

/// For each value, whether an operand that is asked for went into it.
pub(crate) fn wanted(plan: &Plan, asked: &[bool]) -> Vec<bool> {
    let mut wanted = asked.to_vec();
    for step in plan.steps() {
        wanted.push(step.op().inputs().any(|input| wanted[input.index()]));
    }
    wanted
}

/// The operands in the order in which the gradients of one array that stands in several places are added.
///
/// It is the order in which the reference's backward pass reaches them: from the last call, what the executed rhs was
/// made of before what the executed lhs was.
pub(crate) fn accumulation_order(plan: &Plan) -> Vec<usize> {
    let operands = plan.equation().operands().len();
    let mut order = Vec::with_capacity(operands);
    let mut open = vec![plan.output()];
    while let Some(id) = open.pop() {
        match id.index().checked_sub(operands) {
            None => order.push(id.index()),
            Some(step) => open.extend(plan.steps()[step].op().inputs()),
        }
    }
    order
}
