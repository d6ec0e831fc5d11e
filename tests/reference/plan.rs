//! Plans of any number of operands, step by step.

use ndarray::{ArrayD, Dimension as _, IxDyn};
use qeinsum::quant::DotGeneralConfig;
use qeinsum::{Op, Plan, Side};

use super::call::{Ran, forward, gradient};
use super::random::{Words, fold_call};
use super::{argsort, others, reordered, reshaped, scattered};

/// A run: the value of each operand and step, and the calls.
pub(crate) struct Recorded {
    values: Vec<ArrayD<f32>>,
    /// Of each step; none of those that are no calls.
    calls: Vec<Option<Ran>>,
}

impl Recorded {
    pub(crate) fn output(&self, plan: &Plan) -> &ArrayD<f32> {
        &self.values[plan.output().index()]
    }
}

/// Runs a plan with one configuration for all calls, whose sides are those of the operands as they were written.
pub(crate) fn run(plan: &Plan, operands: &[ArrayD<f32>], config: &DotGeneralConfig, key: Option<Words>) -> Recorded {
    let mut values = operands.to_vec();
    let mut calls = Vec::new();
    for step in plan.steps() {
        let (value, call) = match step.op() {
            Op::DotGeneral { lhs, rhs, dims, orientation } => {
                let key = key.map(|key| fold_call(key, calls.iter().flatten().count()));
                let config = config.oriented(*orientation);
                let ran = forward(&values[lhs.index()], &values[rhs.index()], dims, &config, key);
                (ran.out.clone(), Some(ran))
            }
            Op::Squeeze { input, axes } => {
                let x = &values[input.index()];
                let kept: Vec<usize> = others(x.ndim(), [axes, &[]]);
                (reshaped(x, &kept.iter().map(|&axis| x.shape()[axis]).collect::<Vec<_>>()), None)
            }
            Op::ReduceSum { input, axes } => {
                let x = &values[input.index()];
                let kept: Vec<usize> = others(x.ndim(), [axes, &[]]);
                let mut sums = ArrayD::zeros(IxDyn(&kept.iter().map(|&axis| x.shape()[axis]).collect::<Vec<_>>()));
                for (at, value) in x.indexed_iter() {
                    let at: Vec<usize> = kept.iter().map(|&axis| at[axis]).collect();
                    sums[IxDyn(&at)] += value;
                }
                (sums, None)
            }
            Op::Diagonal { input, axes } => {
                let x = &values[input.index()];
                let kept: Vec<usize> = others(x.ndim(), [&axes[..axes.len() - 1], &[]]);
                let shape: Vec<usize> = kept.iter().map(|&axis| x.shape()[axis]).collect();
                (
                    ArrayD::from_shape_fn(IxDyn(&shape), |at| {
                        x[IxDyn(&on_diagonal(x.ndim(), &kept, axes, at.slice()))]
                    }),
                    None,
                )
            }
            Op::Transpose { input, permutation } => (reordered(&values[input.index()], permutation), None),
        };
        values.push(value);
        calls.push(call);
    }
    Recorded { values, calls }
}

/// The gradients of all operands.
pub(crate) fn pull(plan: &Plan, recorded: &Recorded, cotangent: &ArrayD<f32>) -> Vec<ArrayD<f32>> {
    let operands = plan.equation().operands().len();
    let mut gradients: Vec<Option<ArrayD<f32>>> = vec![None; recorded.values.len()];
    gradients[plan.output().index()] = Some(cotangent.clone());
    for (number, step) in plan.steps().iter().enumerate().rev() {
        // A value is used once, so that its gradient is whole when its step is reached.
        let incoming = gradients[operands + number].take().expect("a later step has used the value");
        match step.op() {
            Op::DotGeneral { lhs, rhs, .. } => {
                let ran = recorded.calls[number].as_ref().expect("the step is a call");
                gradients[lhs.index()] = Some(gradient(ran, Side::Lhs, &incoming));
                gradients[rhs.index()] = Some(gradient(ran, Side::Rhs, &incoming));
            }
            Op::Squeeze { input, .. } => {
                gradients[input.index()] = Some(reshaped(&incoming, recorded.values[input.index()].shape()));
            }
            Op::ReduceSum { input, axes } => {
                let x = &recorded.values[input.index()];
                let kept = others(x.ndim(), [axes, &[]]);
                let spread = |at: IxDyn| incoming[IxDyn(&kept.iter().map(|&axis| at[axis]).collect::<Vec<_>>())];
                gradients[input.index()] = Some(ArrayD::from_shape_fn(x.raw_dim(), spread));
            }
            Op::Diagonal { input, axes } => {
                let x = &recorded.values[input.index()];
                let kept: Vec<usize> = others(x.ndim(), [&axes[..axes.len() - 1], &[]]);
                let mut whole = ArrayD::zeros(x.raw_dim());
                for (at, &value) in incoming.indexed_iter() {
                    whole[IxDyn(&on_diagonal(x.ndim(), &kept, axes, at.slice()))] = value;
                }
                gradients[input.index()] = Some(whole);
            }
            Op::Transpose { input, permutation } => {
                gradients[input.index()] = Some(reordered(&incoming, &argsort(permutation)));
            }
        }
    }
    gradients.truncate(operands);
    gradients.into_iter().map(|gradient| gradient.expect("every operand is used")).collect()
}

/// Where an element of a diagonal stands in what it was taken from.
fn on_diagonal(rank: usize, kept: &[usize], axes: &[usize], at: &[usize]) -> Vec<usize> {
    let mut index = scattered(rank, &[(kept, at)]);
    let shared = index[axes[axes.len() - 1]];
    for &axis in axes {
        index[axis] = shared;
    }
    index
}
