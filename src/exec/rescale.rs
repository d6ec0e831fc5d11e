//! Rescaling: inverse scales in the layout of a call's output, and their products with it.
//!
//! A side's scale has extent 1 on its contracting axes. Moved to the output it has the batch axes, then its own free
//! axes, and extent 1 where the other side's free axes are.

use ndarray::{ArrayD, Axis, IxDyn};

use crate::lower::DimensionNumbers;
use crate::quant::{Format, ScaleKind, update_scaled};

/// Multiplies by a scale of extent 1 where it is shared; gives the format that the products have.
pub(crate) fn rescale(values: &mut ArrayD<f32>, scale: &ArrayD<f32>, kind: ScaleKind, format: Format) -> Format {
    let product = kind.product(format);
    match format {
        // For binary32 every kind of scale is one; said so, the loop vectorizes.
        Format::F32 => update_scaled(values, scale, |x, scale| Format::F32.mul(x, scale)),
        _ => update_scaled(values, scale, |x, scale| product.mul(x, kind.factor(scale, format))),
    }
    product
}

/// The inverse scale of the lhs, shaped to multiply the output; `rhs_rank` tells how many free axes the rhs adds.
pub(crate) fn lhs_in_output_layout(inverse: &ArrayD<f32>, dims: &DimensionNumbers, rhs_rank: usize) -> ArrayD<f32> {
    let free = dims.lhs_free(inverse.ndim());
    let own = own_axes(inverse, &dims.lhs_batch(), &free, &dims.lhs_contracting());
    let end = own.ndim();
    dims.rhs_free(rhs_rank).iter().fold(own, |array, _| array.insert_axis(Axis(end)))
}

/// The inverse scale of the rhs, shaped to multiply the output; `lhs_rank` tells how many free axes the lhs adds.
pub(crate) fn rhs_in_output_layout(inverse: &ArrayD<f32>, dims: &DimensionNumbers, lhs_rank: usize) -> ArrayD<f32> {
    let free = dims.rhs_free(inverse.ndim());
    let own = own_axes(inverse, &dims.rhs_batch(), &free, &dims.rhs_contracting());
    let batch = dims.batch().len();
    dims.lhs_free(lhs_rank).iter().fold(own, |array, _| array.insert_axis(Axis(batch)))
}

/// Batch axes in their order, then free axes; the contracting ones, all of extent 1, are dropped.
fn own_axes(inverse: &ArrayD<f32>, batch: &[usize], free: &[usize], contracting: &[usize]) -> ArrayD<f32> {
    let order: Vec<usize> = batch.iter().chain(free).chain(contracting).copied().collect();
    let mut moved = inverse.clone().permuted_axes(IxDyn(&order));
    for _ in contracting {
        let last = moved.ndim() - 1;
        moved = moved.index_axis_move(Axis(last), 0);
    }
    moved
}
