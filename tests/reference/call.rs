//! A call and its gradients.

use ndarray::{ArrayD, Dimension as _, IxDyn, indices};
use qeinsum::quant::{Accumulator, CallConfig, Dequantize, DotGeneralConfig, Residual};
use qeinsum::{DimensionNumbers, Side as Which};

use super::random::{Words, split};
use super::side::{Quantized, Side, narrowed};
use super::{argsort, others, reordered, reshaped, scattered};

/// The axes of a call: pairs, and what is left.
struct Axes {
    batch: [Vec<usize>; 2],
    contracting: [Vec<usize>; 2],
    free: [Vec<usize>; 2],
}

impl Axes {
    fn new(batch: &[(usize, usize)], contracting: &[(usize, usize)], ranks: [usize; 2]) -> Self {
        let unzipped = |pairs: &[(usize, usize)]| {
            [pairs.iter().map(|pair| pair.0).collect::<Vec<_>>(), pairs.iter().map(|pair| pair.1).collect()]
        };
        let (batch, contracting) = (unzipped(batch), unzipped(contracting));
        let free = [0, 1].map(|side| others(ranks[side], [&batch[side], &contracting[side]]));
        Self { batch, contracting, free }
    }
}

/// A forward call that ran.
pub(crate) struct Ran {
    pub(crate) out: ArrayD<f32>,
    lhs: Side,
    rhs: Side,
    dims: DimensionNumbers,
    config: DotGeneralConfig,
    backward: Option<Words>,
}

/// Runs a call under a configuration that is oriented as the call is; `key` is the call's own.
pub(crate) fn forward(
    lhs: &ArrayD<f32>,
    rhs: &ArrayD<f32>,
    dims: &DimensionNumbers,
    config: &DotGeneralConfig,
    key: Option<Words>,
) -> Ran {
    let keys = key.map(split);
    let axes = Axes::new(dims.batch(), dims.contracting(), [lhs.ndim(), rhs.ndim()]);
    let (out, lhs, rhs) = raw(lhs, rhs, &axes, &config.forward, keys.map(|[forward, _]| forward));
    Ran { out, lhs, rhs, dims: dims.clone(), config: config.clone(), backward: keys.map(|[_, backward]| backward) }
}

/// The gradient of one side of a call, from that of its result.
pub(crate) fn gradient(ran: &Ran, of: Which, incoming: &ArrayD<f32>) -> ArrayD<f32> {
    let ranks = [ran.lhs.x.ndim(), ran.rhs.x.ndim()];
    let axes = Axes::new(ran.dims.batch(), ran.dims.contracting(), ranks);
    let (own, other, x, y, config) = match of {
        Which::Lhs => (0, 1, &ran.lhs, &ran.rhs, ran.config.dlhs),
        Which::Rhs => (1, 0, &ran.rhs, &ran.lhs, ran.config.drhs),
    };
    let batch = axes.batch[0].len();
    let free_of_other = match of {
        Which::Lhs => batch + axes.free[0].len(),
        Which::Rhs => batch,
    };
    let (mut left, mut right) = (incoming.clone(), y.x.clone());
    if let (Residual::Quantized, Some(quantized)) = (config.residual, &y.quantized) {
        left = rescaled(&left, &in_output_layout(quantized, &axes, other));
        right.clone_from(&quantized.q);
    }
    let batch_pairs: Vec<(usize, usize)> = axes.batch[other].iter().copied().enumerate().collect();
    let contracting: Vec<(usize, usize)> =
        axes.free[other].iter().enumerate().map(|(at, &axis)| (free_of_other + at, axis)).collect();
    let keys = ran.backward.map(|key| split(split(key)[own])[0]);
    let made = if let (Some(shards), Some(&pair)) = (config.shards, contracting.first()) {
        sharded(&left, &right, pair, shards.get(), &batch_pairs, &contracting, &config.call, keys)
    } else {
        let axes = Axes::new(&batch_pairs, &contracting, [left.ndim(), right.ndim()]);
        raw(&left, &right, &axes, &config.call, keys).0
    };
    // The result's axes: batch, this side's free ones, and its contracting ones as they rise on the other side.
    let by_other = argsort(&axes.contracting[other]).into_iter().map(|at| axes.contracting[own][at]);
    let came: Vec<usize> = axes.batch[own].iter().chain(&axes.free[own]).copied().chain(by_other).collect();
    let mut gradient = reordered(&made, &argsort(&came));
    if let Some(Quantized { mask: Some(mask), .. }) = &x.quantized {
        gradient.zip_mut_with(mask, |gradient, &passes| *gradient = if passes { *gradient } else { 0.0 });
    }
    gradient
}

/// A call over parts of its first contracting axis, each calibrated for itself, summed in order.
#[allow(clippy::too_many_arguments, reason = "the specification's own list")]
fn sharded(
    left: &ArrayD<f32>,
    right: &ArrayD<f32>,
    (a, b): (usize, usize),
    shards: usize,
    batch: &[(usize, usize)],
    contracting: &[(usize, usize)],
    config: &CallConfig,
    key: Option<Words>,
) -> ArrayD<f32> {
    let cut = |array: &ArrayD<f32>, axis: usize| {
        let mut shape = array.shape().to_vec();
        shape[axis] /= shards;
        shape.insert(axis, shards);
        reshaped(array, &shape)
    };
    let moved = |axis: usize, cut: usize| axis + usize::from(axis >= cut);
    let contracting: Vec<(usize, usize)> = contracting.iter().map(|&(l, r)| (moved(l, a), moved(r, b))).collect();
    let batch = batch.iter().map(|&(l, r)| (moved(l, a), moved(r, b)));
    let batch: Vec<(usize, usize)> = std::iter::once((a, b)).chain(batch).collect();
    let (left, right) = (cut(left, a), cut(right, b));
    let axes = Axes::new(&batch, &contracting, [left.ndim(), right.ndim()]);
    let parts = raw(&left, &right, &axes, config, key).0;
    let mut sum = ArrayD::zeros(IxDyn(&parts.shape()[1..]));
    for part in parts.outer_iter() {
        sum.zip_mut_with(&part, |sum: &mut f32, &part| *sum += part);
    }
    sum
}

/// One `dot_general` with both sides quantized.
fn raw(
    lhs: &ArrayD<f32>,
    rhs: &ArrayD<f32>,
    axes: &Axes,
    config: &CallConfig,
    key: Option<Words>,
) -> (ArrayD<f32>, Side, Side) {
    let keys = key.map(split);
    let lhs = Side::new(lhs, &config.lhs, &axes.contracting[0], keys.map(|keys| keys[0]));
    let rhs = Side::new(rhs, &config.rhs, &axes.contracting[1], keys.map(|keys| keys[1]));
    if config.dequantize == Dequantize::Inputs {
        let out = product(&lhs.faked(), &rhs.faked(), axes, false);
        return (out, lhs, rhs);
    }
    let is_int8 = |side: &Side| side.quantized.as_ref().is_some_and(|quantized| quantized.is_int8);
    let integers = is_int8(&lhs) && is_int8(&rhs) && config.accumulator != Accumulator::F32;
    let mut out = product(&lhs.stored(), &rhs.stored(), axes, integers);
    for (number, side) in [&lhs, &rhs].into_iter().enumerate() {
        if let Some(quantized) = &side.quantized {
            out = rescaled(&out, &in_output_layout(quantized, axes, number));
        }
    }
    (out, lhs, rhs)
}

/// Sums of products over the contracting axes in the order listed, the last fastest: of integers, or fused in f32.
fn product(lhs: &ArrayD<f32>, rhs: &ArrayD<f32>, axes: &Axes, integers: bool) -> ArrayD<f32> {
    let sizes = |array: &ArrayD<f32>, axes: &[usize]| axes.iter().map(|&axis| array.shape()[axis]).collect::<Vec<_>>();
    let batch = sizes(lhs, &axes.batch[0]);
    let free = [sizes(lhs, &axes.free[0]), sizes(rhs, &axes.free[1])];
    let contracting = sizes(lhs, &axes.contracting[0]);
    let shape: Vec<usize> = batch.iter().chain(&free[0]).chain(&free[1]).copied().collect();
    ArrayD::from_shape_fn(IxDyn(&shape), |at| {
        let (at_batch, at_free) = at.slice().split_at(batch.len());
        let (at_left, at_right) = at_free.split_at(free[0].len());
        let (mut exact, mut rounded) = (0_i64, 0.0_f32);
        for term in indices(IxDyn(&contracting)) {
            let term = term.slice();
            let index = |side: usize, rank: usize, at_free: &[usize]| {
                let parts =
                    [(&axes.batch[side][..], at_batch), (&axes.free[side], at_free), (&axes.contracting[side], term)];
                IxDyn(&scattered(rank, &parts))
            };
            let (l, r) = (lhs[index(0, lhs.ndim(), at_left)], rhs[index(1, rhs.ndim(), at_right)]);
            if integers {
                exact += l as i64 * r as i64;
            } else {
                rounded = l.mul_add(r, rounded);
            }
        }
        if integers { exact as f32 } else { rounded }
    })
}

/// Inverse scales with the axes of the result: batch, free on the left, free on the right.
fn in_output_layout(quantized: &Quantized, axes: &Axes, side: usize) -> ArrayD<f32> {
    let order: Vec<usize> =
        axes.batch[side].iter().chain(&axes.free[side]).chain(&axes.contracting[side]).copied().collect();
    let ordered = reordered(&quantized.inverse, &order);
    let (batch, own) = (axes.batch[side].len(), axes.free[side].len());
    let ones = vec![1; axes.free[1 - side].len()];
    let mut shape = ordered.shape()[..batch + own].to_vec();
    let place = if side == 0 { shape.len() } else { batch };
    shape.splice(place..place, ones);
    reshaped(&ordered, &shape)
}

fn rescaled(out: &ArrayD<f32>, inverse: &ArrayD<f32>) -> ArrayD<f32> {
    ArrayD::from_shape_fn(out.raw_dim(), |at| out[&at] * inverse[IxDyn(&narrowed(at.slice(), inverse.shape()))])
}
