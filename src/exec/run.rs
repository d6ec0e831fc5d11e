//! Walks a plan's steps over arrays.
//!
//! Squeezes, diagonals and transposes are views; sums and calls make arrays; a value is dropped as soon as its one
//! reader has read it. What a call does, quantized or not, is decided by the [`Calls`] that the caller brings.

use ndarray::{ArrayD, ArrayViewD, Axis, CowArray, Dimension, IxDyn};

use crate::error::{Error, ErrorKind, Result};
use crate::kernel::{self, Element};
use crate::lower::{DimensionNumbers, Op, Orientation, Plan};

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
    let mut values: Vec<Option<CowArray<'_, T, IxDyn>>> =
        operands.into_iter().map(|operand| Some(operand.into())).collect();
    let mut number = 0;
    for step in plan.steps() {
        let mut take = |id: crate::lower::ValueId| {
            // Every value is read once, after it was made: the plan has been verified.
            values[id.index()].take().unwrap_or_else(|| ArrayD::from_elem(IxDyn(&[]), T::ZERO).into())
        };
        let result: CowArray<'_, T, IxDyn> = match step.op() {
            Op::Squeeze { input, axes } => {
                axes.iter().rev().fold(take(*input), |value, &axis| value.index_axis_move(Axis(axis), 0))
            }
            Op::Transpose { input, permutation } => take(*input).permuted_axes(IxDyn(permutation)),
            Op::Diagonal { input, axes } => kernel::diagonal(take(*input), axes),
            Op::ReduceSum { input, axes } => kernel::sum_axes(take(*input).view(), axes).into(),
            Op::DotGeneral { lhs, rhs, dims, orientation } => {
                let (lhs, rhs) = (take(*lhs), take(*rhs));
                let call = Call { lhs: lhs.view(), rhs: rhs.view(), dims, orientation: *orientation };
                let made = calls.call(number, call)?;
                number += 1;
                made.into()
            }
        };
        values.push(Some(result));
    }
    let output = values.swap_remove(plan.output().index());
    let output = output.unwrap_or_else(|| ArrayD::from_elem(IxDyn(&[]), T::ZERO).into());
    Ok(if output.is_standard_layout() { output.into_owned() } else { output.as_standard_layout().into_owned() })
}

/// Operands must be those that the plan is bound to, and every value must be addressable.
fn check<T>(plan: &Plan, operands: &[ArrayViewD<'_, T>]) -> Result<()> {
    let bound = plan.sizes().shapes();
    if operands.len() != bound.len() {
        let message = format!("the plan has {} operands, but {} were given", bound.len(), operands.len());
        return Err(Error::new(ErrorKind::Shape, message));
    }
    for (number, (operand, shape)) in operands.iter().zip(bound).enumerate() {
        if operand.raw_dim().slice() != shape.as_slice() {
            let message =
                format!("operand {number} has shape {:?}, but the plan is bound to {:?}", operand.shape(), shape);
            return Err(Error::new(ErrorKind::Shape, message));
        }
    }
    for step in plan.steps() {
        if crate::sizes::elements(plan.value(step.result()).shape()).is_none() {
            let message = format!("{} has more elements than a machine can address: overflow", step.result());
            return Err(Error::new(ErrorKind::Limit, message));
        }
    }
    Ok(())
}
