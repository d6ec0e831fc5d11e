//! The definition of every sum that this room computes: one output at a time, in the order that is promised.
//!
//! Plain and slow on purpose; the fast paths are tested against it bit for bit.

use ndarray::{Array, ArrayD, ArrayViewD, Axis, Dimension, IxDyn};
use num_complex::Complex;

use super::BLOCK;
use super::element::{Element as _, Real, Wide};
use crate::{Axes, DimensionNumbers};

/// The float product before its last rounding.
pub(crate) fn dot_general_wide<T: Real>(
    lhs: &ArrayViewD<'_, T>,
    rhs: &ArrayViewD<'_, T>,
    dims: &DimensionNumbers,
) -> ArrayD<T::Wide> {
    outputs(lhs, rhs, dims, |lhs, rhs| {
        let blocks = lhs.chunks(BLOCK).zip(rhs.chunks(BLOCK)).map(|(lhs, rhs)| {
            lhs.iter().zip(rhs).fold(T::Wide::ZERO, |sum, (l, r)| Wide::mul_add(l.widen(), r.widen(), sum))
        });
        tree(&blocks.collect::<Vec<_>>())
    })
}

/// The float product.
pub(crate) fn dot_general<T: Real>(
    lhs: &ArrayViewD<'_, T>,
    rhs: &ArrayViewD<'_, T>,
    dims: &DimensionNumbers,
) -> ArrayD<T> {
    dot_general_wide(lhs, rhs, dims).mapv(T::narrow)
}

/// The exact integer product.
pub(crate) fn dot_general_int8(
    lhs: &ArrayViewD<'_, i8>,
    rhs: &ArrayViewD<'_, i8>,
    dims: &DimensionNumbers,
) -> ArrayD<i64> {
    outputs(lhs, rhs, dims, |lhs, rhs| lhs.iter().zip(rhs).map(|(&l, &r)| i64::from(l) * i64::from(r)).sum())
}

/// The sums over `axes`, flattened in the order listed, last fastest.
pub(crate) fn sum_axes<T: Real>(view: &ArrayViewD<'_, T>, axes: &[usize]) -> ArrayD<T> {
    sums(view, axes, |terms| T::narrow(sum(terms.iter().map(|term| term.widen()))))
}

/// The complex product: of each pair of elements two real terms for either part, in this order.
pub(crate) fn dot_general_complex<T: Wide>(
    lhs: &ArrayViewD<'_, Complex<T>>,
    rhs: &ArrayViewD<'_, Complex<T>>,
    dims: &DimensionNumbers,
) -> ArrayD<Complex<T>> {
    outputs(lhs, rhs, dims, |lhs, rhs| {
        let (mut real, mut imaginary) = (Chains::new(), Chains::new());
        for (l, r) in lhs.iter().zip(rhs) {
            real.add(l.re, r.re);
            real.add(l.im, -r.im);
            imaginary.add(l.re, r.im);
            imaginary.add(l.im, r.re);
        }
        Complex::new(tree(&real.blocks), tree(&imaginary.blocks))
    })
}

/// The complex sums over `axes`: those of the real parts, and those of the imaginary ones.
pub(crate) fn sum_axes_complex<T: Wide>(view: &ArrayViewD<'_, Complex<T>>, axes: &[usize]) -> ArrayD<Complex<T>> {
    sums(view, axes, |terms| Complex::new(sum(terms.iter().map(|term| term.re)), sum(terms.iter().map(|term| term.im))))
}

/// The sums of the blocks of a product whose terms come one by one.
struct Chains<W> {
    blocks: Vec<W>,
    terms: usize,
}

impl<W: Wide> Chains<W> {
    fn new() -> Self {
        Self { blocks: Vec::new(), terms: 0 }
    }

    fn add(&mut self, left: W, right: W) {
        if self.terms.is_multiple_of(BLOCK) {
            self.blocks.push(W::ZERO);
        }
        self.terms += 1;
        if let Some(block) = self.blocks.last_mut() {
            *block = Wide::mul_add(left, right, *block);
        }
    }
}

/// `sum(terms)` at every index of the axes that are kept.
fn sums<T: Copy, S>(view: &ArrayViewD<'_, T>, axes: &[usize], sum: impl Fn(&[T]) -> S) -> ArrayD<S> {
    let kept: Axes = (0..view.ndim()).filter(|axis| !axes.contains(axis)).collect();
    let shape: Axes = kept.iter().map(|&axis| view.shape()[axis]).collect();
    Array::from_shape_fn(IxDyn(&shape), |index| {
        sum(&fibre(view, kept.iter().copied().zip(index.slice().iter().copied()), axes))
    })
}

/// The terms in blocks, each a chain of additions from zero.
fn sum<W: Wide>(terms: impl Iterator<Item = W>) -> W {
    let terms: Vec<W> = terms.collect();
    let blocks = terms.chunks(BLOCK).map(|block| block.iter().fold(W::ZERO, |sum, &term| sum.plus(term)));
    tree(&blocks.collect::<Vec<_>>())
}

/// `sum(lhs terms, rhs terms)` at every output index.
fn outputs<T: Copy, S>(
    lhs: &ArrayViewD<'_, T>,
    rhs: &ArrayViewD<'_, T>,
    dims: &DimensionNumbers,
    sum: impl Fn(&[T], &[T]) -> S,
) -> ArrayD<S> {
    let shape = dims.output_shape(lhs.shape(), rhs.shape()).expect("sides that fit the dimension numbers");
    let (lhs_free, rhs_free) = (dims.lhs_free(lhs.ndim()), dims.rhs_free(rhs.ndim()));
    Array::from_shape_fn(IxDyn(&shape), |index| {
        let (batch, free) = index.slice().split_at(dims.batch().len());
        let (lhs_index, rhs_index) = free.split_at(lhs_free.len());
        let side = |view, batch_axes: Axes, free_axes: &Axes, free: &[usize], contracting: &Axes| {
            let fixed = batch_axes.into_iter().zip(batch.iter().copied());
            let free = free_axes.iter().copied().zip(free.iter().copied());
            fibre(view, fixed.chain(free), contracting)
        };
        sum(
            &side(lhs, dims.lhs_batch(), &lhs_free, lhs_index, &dims.lhs_contracting()),
            &side(rhs, dims.rhs_batch(), &rhs_free, rhs_index, &dims.rhs_contracting()),
        )
    })
}

/// The elements with `fixed` (axis, index) pairs, in the order of `axes`, last fastest.
fn fibre<T: Copy>(view: &ArrayViewD<'_, T>, fixed: impl Iterator<Item = (usize, usize)>, axes: &[usize]) -> Vec<T> {
    let mut view = view.clone();
    let mut order: Vec<usize> = Vec::new();
    for (axis, index) in fixed {
        view.collapse_axis(Axis(axis), index);
        order.push(axis);
    }
    order.extend(axes);
    view.permuted_axes(order).iter().copied().collect()
}

/// The sum of the blocks: a pairwise tree split at the largest power of two below the count.
fn tree<W: Wide>(blocks: &[W]) -> W {
    match blocks {
        [] => W::ZERO,
        [block] => *block,
        _ => {
            let (left, right) = blocks.split_at(blocks.len().next_power_of_two() / 2);
            tree(left).plus(tree(right))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_splits_at_the_largest_power_of_two_below_the_count() {
        // 2^24 + 1 rounds back to 2^24, so only the sums that meet early survive.
        let big = 16_777_216.0_f32;
        assert_eq!(tree::<f32>(&[]).to_bits(), 0);
        assert_eq!(tree(&[-0.0_f32]).to_bits(), (-0.0_f32).to_bits());
        assert_eq!(tree(&[big, 1.0, 1.0]), big, "(big + 1) + 1");
        assert_eq!(tree(&[big, 0.0, 1.0, 1.0]), big + 2.0, "(big + 0) + (1 + 1)");
        assert_eq!(tree(&[big, 1.0, 1.0, 1.0, 1.0, 1.0]), big + 2.0 + 2.0, "((big + 1) + (1 + 1)) + (1 + 1)");
    }

    #[test]
    fn a_block_is_a_chain_of_fused_multiply_adds_from_positive_zero() {
        let side = |values: &[f32]| ArrayD::from_shape_vec(IxDyn(&[values.len()]), values.to_vec()).unwrap();
        let dims = DimensionNumbers::new([], [(0, 0)]).unwrap();
        let dot = |lhs: &[f32], rhs: &[f32]| dot_general(&side(lhs).view(), &side(rhs).view(), &dims)[[].as_slice()];
        assert_eq!(dot(&[], &[]).to_bits(), 0);
        assert_eq!(dot(&[-0.0], &[1.0]).to_bits(), 0, "0 + -0");
        let epsilon = f32::EPSILON;
        assert_eq!(
            dot(&[-1.0, 1.0 + epsilon], &[1.0, 1.0 - epsilon]),
            -epsilon * epsilon,
            "the product is not rounded"
        );
        let mut long = vec![0.0; BLOCK + 1];
        (long[0], long[BLOCK - 1], long[BLOCK]) = (16_777_216.0, 1.0, 2.0);
        assert_eq!(dot(&long, &vec![1.0; BLOCK + 1]), 16_777_218.0);
        long[BLOCK] = 1.0;
        assert_eq!(dot(&long, &vec![1.0; BLOCK + 1]), 16_777_216.0);
    }

    #[test]
    fn contracting_axes_are_flattened_as_listed() {
        let lhs = Array::from_shape_vec(IxDyn(&[2, 2]), vec![16_777_216.0_f32, 1.0, -16_777_216.0, 1.0]).unwrap();
        let ones = ArrayD::from_elem(IxDyn(&[2, 2]), 1.0);
        for (pairs, sum) in [([(0, 0), (1, 1)], 1.0), ([(1, 1), (0, 0)], 2.0)] {
            let dims = DimensionNumbers::new([], pairs).unwrap();
            assert_eq!(dot_general(&lhs.view(), &ones.view(), &dims)[[].as_slice()], sum, "{dims}");
        }
        assert_eq!(sum_axes(&lhs.view(), &[0, 1])[[].as_slice()], 1.0);
        assert_eq!(sum_axes(&lhs.view(), &[1, 0])[[].as_slice()], 2.0);
    }
}
