//! Rescaling: inverse scales in the layout of a call's output, and their products with it.
//!
//! A side's scale has extent 1 on its contracting axes. Moved to the output it has the batch axes, then its own free
//! axes, and extent 1 where the other side's free axes are.

use ndarray::{ArrayD, ArrayViewD, Axis, IxDyn};

use crate::kernel::{LentArray, lent_floats};
use crate::lower::{DimensionNumbers, Side};
use crate::quant::{Format, ScaleKind, map_scaled_in, update_scaled};

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

/// The products of values of a format with a scale, for a while.
pub(crate) fn rescaled(
    values: &ArrayViewD<'_, f32>,
    scale: &ArrayD<f32>,
    kind: ScaleKind,
    format: Format,
) -> (LentArray, Format) {
    let (product, room) = (kind.product(format), lent_floats(values.len()));
    let made = match format {
        Format::F32 => map_scaled_in(room, values, scale, None, |x, scale, _| Format::F32.mul(x, scale)),
        _ => map_scaled_in(room, values, scale, None, |x, scale, _| product.mul(x, kind.factor(scale, format))),
    };
    (LentArray::new(made), product)
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
pub(crate) fn own_axes(inverse: &ArrayD<f32>, batch: &[usize], free: &[usize], contracting: &[usize]) -> ArrayD<f32> {
    let order: Vec<usize> = batch.iter().chain(free).chain(contracting).copied().collect();
    let mut moved = inverse.clone().permuted_axes(IxDyn(&order));
    for _ in contracting {
        let last = moved.ndim() - 1;
        moved = moved.index_axis_move(Axis(last), 0);
    }
    moved
}

/// An inverse scale in output layout, moved back to the layout of the side that it belongs to, whose rank is `rank`.
///
/// None where an axis that the side does not have is not of extent 1, or the number of axes is another.
pub(crate) fn in_own_layout(
    output: &ArrayD<f32>,
    of: Side,
    dims: &DimensionNumbers,
    [lhs_rank, rhs_rank]: [usize; 2],
) -> Option<ArrayD<f32>> {
    let (lhs_free, rhs_free) = (dims.lhs_free(lhs_rank), dims.rhs_free(rhs_rank));
    let batch = dims.batch().len();
    if output.ndim() != batch + lhs_free.len() + rhs_free.len() {
        return None;
    }
    let (first, others) = of.of((batch + lhs_free.len(), rhs_free.len()), (batch, lhs_free.len()));
    let mut moved = output.clone();
    for _ in 0..others {
        if moved.len_of(Axis(first)) != 1 {
            return None;
        }
        moved = moved.index_axis_move(Axis(first), 0);
    }
    let (own_batch, own_free, contracting) = match of {
        Side::Lhs => (dims.lhs_batch(), lhs_free, dims.lhs_contracting()),
        Side::Rhs => (dims.rhs_batch(), rhs_free, dims.rhs_contracting()),
    };
    let axes = moved.ndim();
    let moved = (axes..axes + contracting.len()).fold(moved, |moved, axis| moved.insert_axis(Axis(axis)));
    let mut back = vec![0; moved.ndim()];
    for (at, &axis) in own_batch.iter().chain(&own_free).chain(&contracting).enumerate() {
        back[axis] = at;
    }
    Some(moved.permuted_axes(back).as_standard_layout().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_undo_each_other() {
        // [j,b,i,k] with [k,j,m,b], contracted over k and j.
        let dims = DimensionNumbers::new([(1, 3)], [(3, 0), (0, 1)]).unwrap();
        let scale = |shape: &[usize]| {
            let mut next = 0.0;
            ArrayD::from_shape_fn(IxDyn(shape), |_| {
                next += 1.0;
                next
            })
        };
        let (lhs, rhs) = (scale(&[1, 2, 3, 1]), scale(&[1, 1, 4, 2]));
        let (left, right) = (lhs_in_output_layout(&lhs, &dims, 4), rhs_in_output_layout(&rhs, &dims, 4));
        assert_eq!((left.shape(), right.shape()), (&[2, 3, 1][..], &[2, 1, 4][..]));
        assert_eq!(in_own_layout(&left, Side::Lhs, &dims, [4, 4]), Some(lhs));
        assert_eq!(in_own_layout(&right, Side::Rhs, &dims, [4, 4]), Some(rhs));
        assert_eq!(in_own_layout(&left, Side::Rhs, &dims, [4, 4]), None);
        assert_eq!(in_own_layout(&scale(&[2, 3]), Side::Lhs, &dims, [4, 4]), None);
    }
}
