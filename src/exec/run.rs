//! Walks a plan's steps over arrays.
//!
//! Squeezes, diagonals and transposes are views; sums and calls make arrays; a value is dropped as soon as its one
//! reader has read it. What a call does, quantized or not, is decided by the [`Calls`] that the caller brings.

use ndarray::{ArrayD, ArrayViewD};

use crate::error::{Error, ErrorKind, Result};
use crate::kernel::{self, Element};
use crate::lower::{DimensionNumbers, Op, Orientation, Plan, ValueId};
use crate::sizes::check_elements;

use super::value::Value;

/// What runs the calls of a plan.
pub(crate) trait Calls<T> {
    /// Call number `step` of the plan.
    fn call(&mut self, step: usize, call: Call<'_, T>) -> Result<ArrayD<T>>;
}

/// A call with its two sides, as executed.
pub(crate) struct Call<'a, T> {
    pub(crate) lhs: ArrayViewD<'a, T>,
    pub(crate) rhs: ArrayViewD<'a, T>,
    pub(crate) dims: &'a DimensionNumbers,
    pub(crate) orientation: Orientation,
}

/// Calls as plain float products.
pub(crate) struct Unquantized;

impl<T: Element> Calls<T> for Unquantized {
    fn call(&mut self, _: usize, call: Call<'_, T>) -> Result<ArrayD<T>> {
        Ok(kernel::dot_general(call.lhs, call.rhs, call.dims))
    }
}

/// Runs a plan on operands; the result is in row-major order.
pub(crate) fn run<T: Element>(
    plan: &Plan,
    operands: Vec<ArrayViewD<'_, T>>,
    calls: &mut impl Calls<T>,
) -> Result<ArrayD<T>> {
    check(plan, &operands)?;
    let mut values = Values(operands.into_iter().map(|operand| Some(Value::Borrowed(operand))).collect());
    let mut number = 0;
    for step in plan.steps() {
        let result = match step.op() {
            Op::Squeeze { input, axes } => values.take(*input).squeeze(axes),
            Op::Transpose { input, permutation } => values.take(*input).transpose(permutation),
            Op::Diagonal { input, axes } => values.take(*input).diagonal(axes),
            Op::ReduceSum { input, axes } => Value::Owned(kernel::sum_axes(values.take(*input).view(), axes)),
            Op::DotGeneral { lhs, rhs, dims, orientation } => {
                let (lhs, rhs) = (values.take(*lhs), values.take(*rhs));
                let call = Call { lhs: lhs.view(), rhs: rhs.view(), dims, orientation: *orientation };
                number += 1;
                Value::Owned(calls.call(number - 1, call)?)
            }
        };
        values.0.push(Some(result));
    }
    Ok(values.take(plan.output()).into_row_major())
}

/// The values made so far; each is taken by its one reader.
struct Values<'a, T>(Vec<Option<Value<'a, T>>>);

impl<'a, T: Element> Values<'a, T> {
    fn take(&mut self, id: ValueId) -> Value<'a, T> {
        self.0[id.index()].take().expect("a verified plan makes every value before it reads it, and reads it once")
    }
}

/// Operands must be those that the plan is bound to, and every value must be addressable.
fn check<T>(plan: &Plan, operands: &[ArrayViewD<'_, T>]) -> Result<()> {
    let bound = plan.sizes().shapes();
    if operands.len() != bound.len() {
        let message = format!("the plan has {} operands, but {} were given", bound.len(), operands.len());
        return Err(Error::new(ErrorKind::Shape, message));
    }
    for (number, (operand, shape)) in operands.iter().zip(bound).enumerate() {
        if operand.shape() != shape.as_slice() {
            let message =
                format!("operand {number} has shape {:?}, but the plan is bound to {:?}", operand.shape(), shape);
            return Err(Error::new(ErrorKind::Shape, message));
        }
    }
    for step in plan.steps() {
        check_elements(plan.value(step.result()).shape(), &step.result().to_string())?;
    }
    Ok(())
}
