#![allow(unsafe_code, reason = "threads read one view through pointers")]
//! A call whose two sides are batches of strided matrices.

use std::marker::PhantomData;

use ndarray::{ArrayViewD, Axis};
use smallvec::SmallVec;

use super::order::Order;
use super::walk::Walk;
use crate::lower::Side;
use crate::{Axes, DimensionNumbers, Shape};

/// One side of a call.
///
/// `first` plus an offset of each of the three walks is an element of a view that lives for `'a`: the walks are over
/// different axes of it.
#[derive(Clone, Debug)]
pub(super) struct Operand<'a, T> {
    pub(super) first: *const T,
    pub(super) batch: Walk,
    pub(super) free: Walk,
    pub(super) contracting: Walk,
    axes: SideAxes,
    view: PhantomData<&'a T>,
}

// SAFETY: an operand is read only, as the view that it is of, which threads may share.
unsafe impl<T: Sync> Sync for Operand<'_, T> {}

impl<'a, T> Operand<'a, T> {
    fn new(view: &ArrayViewD<'a, T>, axes: SideAxes, contracting: &Axes) -> Self {
        Self {
            first: view.as_ptr(),
            batch: Walk::new(view, &axes.batch),
            free: Walk::new(view, &axes.free),
            contracting: Walk::new(view, contracting),
            axes,
            view: PhantomData,
        }
    }

    /// The walks over the batch and over the free positions of an array that has an axis for each of this side's: as long as
    /// the side's, or of extent 1 where all positions share an element.
    pub(super) fn beside<S>(&self, array: &ArrayViewD<'_, S>) -> [Walk; 2] {
        let walk = |axes: &Axes, sizes: &Axes| Walk::spread(array, axes, sizes);
        [walk(&self.axes.batch, &self.axes.batch_sizes), walk(&self.axes.free, &self.axes.free_sizes)]
    }
}

/// The axes of a side in the order in which their positions are counted.
#[derive(Clone, Debug)]
struct SideAxes {
    batch: Axes,
    free: Axes,
    batch_sizes: Axes,
    free_sizes: Axes,
}

/// In which order the terms of a sum are taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Terms<'t> {
    /// As the dimension numbers list their axes, since floats are added so.
    Listed,
    /// In any order, since the sums are exact: as the larger side lies in memory.
    Any,
    /// Any order would do, and this one is wanted.
    As(&'t Pairs),
}

/// Contracting axes of both sides.
pub(super) type Pairs = SmallVec<[(usize, usize); 4]>;

/// Both sides of a call, their paired sizes checked, and where its outputs lie.
///
/// Batch and free positions are counted in the order in which their outputs lie in memory, whatever the order of the axes.
#[derive(Clone, Debug)]
pub(super) struct Product<'a, L, R = L> {
    pub(super) lhs: Operand<'a, L>,
    pub(super) rhs: Operand<'a, R>,
    /// Where the outputs of batch positions lie, and those of the free positions of each side.
    pub(super) places: Places,
    /// The axes of the output as they lie in memory, those that are one on both sides merged; the last are neighbours.
    pub(super) loops: SmallVec<[Loop; 6]>,
    /// Of the output.
    pub(super) shape: Shape,
    /// Contracting axes in the order in which terms are taken.
    pub(super) pairs: Pairs,
}

/// An axis of the output: its size, and how far the elements of neighbours lie apart on each side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Loop {
    pub(super) size: usize,
    pub(super) lhs: isize,
    pub(super) rhs: isize,
}

/// How far the output of a batch position and a free position of each side lies from the first one.
#[derive(Clone, Debug)]
pub(super) struct Places {
    pub(super) batch: Walk,
    pub(super) lhs: Walk,
    pub(super) rhs: Walk,
}

impl<'a, L, R> Product<'a, L, R> {
    pub(super) fn new(
        lhs: &ArrayViewD<'a, L>,
        rhs: &ArrayViewD<'a, R>,
        dims: &DimensionNumbers,
        terms: Terms<'_>,
        order: &Order,
    ) -> Self {
        for &(l, r) in dims.batch().iter().chain(dims.contracting()) {
            // Not only a debug assertion: the kernels read through pointers by these sizes.
            assert_eq!(lhs.len_of(Axis(l)), rhs.len_of(Axis(r)), "{dims} on {:?} and {:?}", lhs.shape(), rhs.shape());
        }
        let (lhs_free, rhs_free) = (dims.lhs_free(lhs.ndim()), dims.rhs_free(rhs.ndim()));
        let batch = dims.batch().iter().map(|pair| lhs.shape()[pair.0]);
        let free = lhs_free.iter().map(|&axis| lhs.shape()[axis]).chain(rhs_free.iter().map(|&axis| rhs.shape()[axis]));
        let shape: Shape = batch.chain(free).collect();
        let strides = order.strides(&shape);
        let [b, l] = [dims.batch().len(), lhs_free.len()];
        // Axes of the output in the order in which they lie in memory.
        let lying = |axes: std::ops::Range<usize>| -> Axes {
            order.axes().iter().copied().filter(|axis| axes.contains(axis)).collect()
        };
        let (batch, left, right) = (lying(0..b), lying(b..b + l), lying(b + l..shape.len()));
        let sizes = |axes: &Axes| -> Axes { axes.iter().map(|&axis| shape[axis]).collect() };
        let side = |batch_axis: &dyn Fn(usize) -> usize, free: &Axes, of: &Axes, from: usize| SideAxes {
            batch: batch.iter().map(|&axis| batch_axis(axis)).collect(),
            free: of.iter().map(|&axis| free[axis - from]).collect(),
            batch_sizes: sizes(&batch),
            free_sizes: sizes(of),
        };
        let lhs_axes = side(&|axis| dims.batch()[axis].0, &lhs_free, &left, b);
        let rhs_axes = side(&|axis| dims.batch()[axis].1, &rhs_free, &right, b + l);
        let contracting = contracting(lhs, rhs, dims, terms);
        let place = |axes: &Axes| Walk::of(axes.iter().map(|&axis| (shape[axis], strides[axis] as isize)));
        let mut loops: SmallVec<[Loop; 6]> = SmallVec::new();
        for &axis in order.axes() {
            let (left, right) = match axis {
                axis if axis < b => (Some(dims.batch()[axis].0), Some(dims.batch()[axis].1)),
                axis if axis < b + l => (Some(lhs_free[axis - b]), None),
                axis => (None, Some(rhs_free[axis - b - l])),
            };
            let inner = Loop {
                size: shape[axis],
                lhs: left.map_or(0, |axis| lhs.stride_of(Axis(axis))),
                rhs: right.map_or(0, |axis| rhs.stride_of(Axis(axis))),
            };
            let size = inner.size as isize;
            match loops.last_mut() {
                _ if size == 1 => {}
                Some(outer) if (outer.lhs, outer.rhs) == (inner.lhs * size, inner.rhs * size) => {
                    *outer = Loop { size: outer.size * inner.size, ..inner };
                }
                _ => loops.push(inner),
            }
        }
        Self {
            loops,
            places: Places { batch: place(&batch), lhs: place(&left), rhs: place(&right) },
            lhs: Operand::new(lhs, lhs_axes, &contracting.iter().map(|pair| pair.0).collect()),
            rhs: Operand::new(rhs, rhs_axes, &contracting.iter().map(|pair| pair.1).collect()),
            shape,
            pairs: contracting,
        }
    }

    /// Terms of each sum.
    pub(super) fn terms(&self) -> usize {
        self.lhs.contracting.len()
    }

    /// Outputs; the caller's output fits in the address space.
    pub(super) fn outputs(&self) -> usize {
        self.lhs.batch.len() * self.lhs.free.len() * self.rhs.free.len()
    }

    /// The side whose free positions fill vectors of so many lanes: the one whose outputs lie together if it has enough of
    /// them, else one that has, else the one that has more.
    pub(super) fn columns(&self, lanes: usize) -> Side {
        let [m, n] = [self.lhs.free.len(), self.rhs.free.len()];
        let together = |places: &Walk| places.innermost() == Some(1);
        match (m >= lanes, n >= lanes) {
            (true, true) => {
                if together(&self.places.lhs) {
                    Side::Lhs
                } else {
                    Side::Rhs
                }
            }
            (true, false) => Side::Lhs,
            (false, true) => Side::Rhs,
            (false, false) if m == n => {
                if together(&self.places.lhs) {
                    Side::Lhs
                } else {
                    Side::Rhs
                }
            }
            (false, false) => {
                if m > n {
                    Side::Lhs
                } else {
                    Side::Rhs
                }
            }
        }
    }
}

/// The contracting pairs in the order in which terms are taken.
fn contracting<L, R>(
    lhs: &ArrayViewD<'_, L>,
    rhs: &ArrayViewD<'_, R>,
    dims: &DimensionNumbers,
    terms: Terms<'_>,
) -> Pairs {
    let mut pairs: Pairs = dims.contracting().into();
    if let Terms::As(wanted) = terms {
        pairs.sort_by_key(|pair| wanted.iter().position(|wanted| wanted == pair));
    }
    if terms == Terms::Any {
        let lhs_is_larger = lhs.len() >= rhs.len();
        pairs.sort_by_key(|pair| {
            let (left, right) = (lhs.strides()[pair.0].unsigned_abs(), rhs.strides()[pair.1].unsigned_abs());
            std::cmp::Reverse(if lhs_is_larger { (left, right) } else { (right, left) })
        });
    }
    pairs
}
