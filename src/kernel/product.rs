#![allow(unsafe_code, reason = "threads read one view through pointers")]
//! A call whose two sides are batches of strided matrices.

use std::marker::PhantomData;

use ndarray::{ArrayViewD, Axis};

use super::walk::Walk;
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
    view: PhantomData<&'a T>,
}

// SAFETY: an operand is read only, as the view that it is of, which threads may share.
unsafe impl<T: Sync> Sync for Operand<'_, T> {}

impl<'a, T> Operand<'a, T> {
    fn new(view: &ArrayViewD<'a, T>, batch: &Axes, free: &Axes, contracting: &Axes) -> Self {
        Self {
            first: view.as_ptr(),
            batch: Walk::new(view, batch),
            free: Walk::new(view, free),
            contracting: Walk::new(view, contracting),
            view: PhantomData,
        }
    }
}

/// Both sides of a call, their paired sizes checked.
#[derive(Clone, Debug)]
pub(super) struct Product<'a, L, R = L> {
    pub(super) lhs: Operand<'a, L>,
    pub(super) rhs: Operand<'a, R>,
    /// Of the output.
    pub(super) shape: Shape,
}

impl<'a, L, R> Product<'a, L, R> {
    pub(super) fn new(lhs: &ArrayViewD<'a, L>, rhs: &ArrayViewD<'a, R>, dims: &DimensionNumbers) -> Self {
        let (lhs_free, rhs_free) = (dims.lhs_free(lhs.ndim()), dims.rhs_free(rhs.ndim()));
        for &(l, r) in dims.batch().iter().chain(dims.contracting()) {
            // Not only a debug assertion: the kernels read through pointers by these sizes.
            assert_eq!(lhs.len_of(Axis(l)), rhs.len_of(Axis(r)), "{dims} on {:?} and {:?}", lhs.shape(), rhs.shape());
        }
        let batch = dims.batch().iter().map(|pair| lhs.shape()[pair.0]);
        let free = lhs_free.iter().map(|&axis| lhs.shape()[axis]).chain(rhs_free.iter().map(|&axis| rhs.shape()[axis]));
        Self {
            shape: batch.chain(free).collect(),
            lhs: Operand::new(lhs, &dims.lhs_batch(), &lhs_free, &dims.lhs_contracting()),
            rhs: Operand::new(rhs, &dims.rhs_batch(), &rhs_free, &dims.rhs_contracting()),
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
}
