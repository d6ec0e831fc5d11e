//! Sums over axes.
//!
//! A sum is a product with ones: `x * 1 + sum` rounded once is `x + sum` rounded, so the products' paths add exactly
//! the blocks and the tree of the definition, and there is one set of paths to keep fast. Only a processor without
//! fused multiply-adds pays for it.

use ndarray::{ArrayD, ArrayViewD, IxDyn};

use super::element::{Real, Wide};
use super::float;
use super::isa::Isa;
use super::order::Order;
use crate::{Axes, DimensionNumbers};

/// The sums over `axes`, flattened in the order listed, last fastest; the other axes keep their order.
pub(super) fn sum_axes<T: Real>(isa: Isa, view: &ArrayViewD<'_, T>, axes: &[usize]) -> ArrayD<T> {
    let dims = DimensionNumbers::new([], axes.iter().copied().enumerate()).expect("the caller names an axis once");
    let one = ndarray::arr0(T::narrow(T::Wide::ONE)).into_dyn();
    let sizes: Axes = axes.iter().map(|&axis| view.shape()[axis]).collect();
    let ones = one.broadcast(IxDyn(&sizes)).expect("one element takes any shape that an array has");
    float::dot_general(isa, &ones, view, &dims, &Order::row_major(view.ndim() - axes.len()))
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};

    use super::*;
    use crate::kernel::cases::{Random, Sample, Stored, Values, assert_same, seeds};
    use crate::kernel::reference;

    fn check<T: Real + Sample>() {
        for seed in seeds(150) {
            let mut random = Random(seed);
            let rank = random.below(5);
            let mut shape: Vec<usize> = (0..rank).map(|_| random.pick(&[0, 1, 2, 3, 5])).collect();
            if let Some(axis) = random.shuffled(rank).first() {
                shape[*axis] = random.size(&[1, 7, 33, 1024, 1025, 3000]);
            }
            let mut axes = random.shuffled(rank);
            axes.truncate(random.below(rank + 1));
            let values = random.pick(&[Values::Unit, Values::Finite, Values::All]);
            let stored = Stored::<T>::random(&mut random, &shape, values);
            let view = stored.view();
            let expected = reference::sum_axes(&view, &axes);
            for isa in Isa::available() {
                let what = format!("{} {isa:?} seed {seed}, {axes:?} of {shape:?}", T::DTYPE);
                assert_same(&sum_axes(isa, &view, &axes), &expected, &what);
            }
        }
    }

    #[test]
    fn sums_over_axes_are_the_reference() {
        check::<f32>();
        check::<f64>();
        check::<f16>();
        check::<bf16>();
    }
}
