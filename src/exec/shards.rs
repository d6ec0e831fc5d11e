//! Local shards: a contraction cut into equal parts, each with scales of its own.
//!
//! The first contracting axis becomes two, the parts and what is left of it; the parts are then a batch axis, the first
//! one, whose results are added at the end.

use ndarray::{ArrayD, ArrayViewD, Axis, IxDyn};

use crate::lower::DimensionNumbers;
use crate::quant::Format;

/// Cuts `axis` into `shards` equal parts, which its size must divide into.
pub(crate) fn cut(x: &ArrayViewD<'_, f32>, axis: usize, shards: usize) -> ArrayD<f32> {
    let mut shape = x.shape().to_vec();
    shape[axis] /= shards;
    shape.insert(axis, shards);
    let rows = x.as_standard_layout().into_owned();
    rows.into_shape_with_order(IxDyn(&shape)).expect("the size of the axis is divided by the number of shards")
}

/// The dimension numbers of a call whose first contracting pair was cut.
pub(crate) fn dims(dims: &DimensionNumbers) -> DimensionNumbers {
    let Some((&(lhs, rhs), rest)) = dims.contracting().split_first() else { return dims.clone() };
    let moved = |&(l, r): &(usize, usize)| (l + usize::from(l > lhs), r + usize::from(r > rhs));
    let batch = std::iter::once((lhs, rhs)).chain(dims.batch().iter().map(moved));
    let contracting = std::iter::once((lhs + 1, rhs + 1)).chain(rest.iter().map(moved));
    DimensionNumbers::new(batch, contracting).expect("axes stay distinct when those behind one of them move by one")
}

/// Adds the results of the shards, in order, and rounds once.
pub(crate) fn sum(outputs: &ArrayD<f32>, format: Format) -> ArrayD<f32> {
    let mut sum = ArrayD::zeros(IxDyn(&outputs.shape()[1..]));
    for shard in outputs.axis_iter(Axis(0)) {
        sum.zip_mut_with(&shard, |sum, &part| *sum = Format::F32.add(*sum, part));
    }
    sum.mapv_into(|sum| format.round(sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_move_where_one_is_cut_before_them() {
        let before = DimensionNumbers::new([(0, 3)], [(2, 1), (1, 2)]).unwrap();
        assert_eq!(dims(&before).to_string(), "batch [2,0]x[1,4] contract [3,1]x[2,3]");
    }

    #[test]
    fn parts_are_neighbours() {
        let x = ArrayD::from_shape_vec(IxDyn(&[2, 6]), (0..12).map(|x| x as f32).collect()).unwrap();
        let cut = cut(&x.view(), 1, 3);
        assert_eq!(cut.shape(), [2, 3, 2]);
        assert_eq!(cut.index_axis(Axis(1), 1), ndarray::arr2(&[[2.0, 3.0], [8.0, 9.0]]).into_dyn());
        assert_eq!(
            sum(&cut.permuted_axes(&[1, 0, 2][..]), Format::F32),
            ndarray::arr2(&[[6.0, 9.0], [24.0, 27.0]]).into_dyn()
        );
    }
}
