//! In which order the axes of a call's result lie in memory.
//!
//! A plan says which axes values have, not how far apart their elements are; that is chosen here for whoever reads them,
//! so that no array is made only to be copied into another order.

use crate::kernel::Order;
use crate::lower::{Op, Plan, Side, Step};
use crate::{Axes, DimensionNumbers};

/// Who reads each value of a plan.
pub(crate) struct Readers<'p> {
    plan: &'p Plan,
    /// For each value; none for the output.
    steps: Vec<Option<&'p Step>>,
}

impl<'p> Readers<'p> {
    pub(crate) fn new(plan: &'p Plan) -> Self {
        let mut steps = vec![None; plan.values().len()];
        for step in plan.steps() {
            step.op().inputs().for_each(|input| steps[input.index()] = Some(step));
        }
        Self { plan, steps }
    }

    /// The order for the result of a call, which is one of the plan's steps.
    ///
    /// What becomes the output through transposes alone lies as the output does, in row-major order. What another call
    /// reads lies with that call's batch axes outermost: neighbours in memory are then positions or terms of one matrix.
    pub(crate) fn memory_order(&self, call: &Step) -> Order {
        let mut value = call.result();
        // The axes of the value in terms of those of the result.
        let mut axes: Axes = (0..self.plan.value(value).shape().len()).collect();
        while let Some(reader) = self.steps[value.index()] {
            match reader.op() {
                Op::Transpose { permutation, .. } => {
                    axes = permutation.iter().map(|&axis| axes[axis]).collect();
                    value = reader.result();
                }
                Op::DotGeneral { lhs, dims, .. } => {
                    let side = if *lhs == value { Side::Lhs } else { Side::Rhs };
                    return Order::new(batch_first(&axes, dims, side));
                }
                Op::Squeeze { .. } | Op::Diagonal { .. } | Op::ReduceSum { .. } => break,
            }
        }
        Order::new(axes)
    }
}

/// The axes, those of a batch before the others.
fn batch_first(axes: &[usize], dims: &DimensionNumbers, side: Side) -> Axes {
    let batch = side.of(dims.lhs_batch(), dims.rhs_batch());
    let others = (0..axes.len()).filter(|axis| !batch.contains(axis));
    batch.iter().copied().chain(others).map(|axis| axes[axis]).collect()
}
