//! Sums of which several ranks have some of the terms each.
//!
//! Integers are exact, so that ranks add theirs in any order. Floats are added in the tree that the whole sum is: a rank has the
//! terms of some blocks, one behind the other, and sends the trees that they are to the first rank, which joins them.

use ndarray::{ArrayD, ArrayViewD};

use crate::error::Result;
use crate::kernel::{Element, INT32_TERMS, IntSums, Order, PartialSums};
use crate::lower::DimensionNumbers;
use crate::quant::{Accumulator, CallConfig, Part};
use crate::ranks::Communicator;

use super::message::{from_first, put_trees, take_trees, to_all};

/// How the sides of a call are parts of larger ones, and whether others have some of its terms. By default they are whole, and
/// nobody has.
#[derive(Clone, Copy, Default)]
pub(crate) struct CallParts<'c> {
    pub(crate) sides: [Part<'c>; 2],
    pub(crate) terms: Option<SharedTerms<'c>>,
}

/// What is known of the sums of a call whose terms several ranks have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TermKind {
    /// Sums of integers, by scales that ranks can agree on.
    Integers,
    /// Sums of floats, of which each rank can have the terms of some blocks.
    Float,
    /// Sums of floats that are rounded to another type, or of integers held as floats: one rank has all terms.
    Mixed,
}

impl TermKind {
    pub(crate) fn of(call: &CallConfig) -> Self {
        let is_plain = matches!(call.accumulator, Accumulator::Auto | Accumulator::F32);
        match (call.is_int8(), call.lhs.is_quantized() || call.rhs.is_quantized()) {
            (true, _) => Self::Integers,
            (false, false) if is_plain => Self::Float,
            (false, _) => Self::Mixed,
        }
    }
}

/// The terms that this rank has of the sums of a call, and who has the others.
#[derive(Clone, Copy)]
pub(crate) struct SharedTerms<'c> {
    pub(crate) ranks: &'c dyn Communicator,
    /// The first of them and the one behind the last, by their places among all; the ranks have them in their order.
    pub(crate) own: (usize, usize),
    /// All of them.
    pub(crate) all: usize,
}

impl SharedTerms<'_> {
    /// The sums of everybody's terms.
    pub(super) fn add(&self, sums: IntSums) -> Result<IntSums> {
        let fits = self.all <= INT32_TERMS;
        Ok(match sums {
            IntSums::I32(mut sums) if fits => {
                self.ranks.add_i32(sums.as_slice_memory_order_mut().unwrap_or_default())?;
                IntSums::I32(sums)
            }
            IntSums::I32(sums) => self.add_wide(sums.mapv(i64::from))?,
            IntSums::I64(sums) => self.add_wide(sums)?,
        })
    }

    fn add_wide(&self, mut sums: ArrayD<i64>) -> Result<IntSums> {
        self.ranks.add_i64(sums.as_slice_memory_order_mut().unwrap_or_default())?;
        Ok(IntSums::I64(sums))
    }

    /// The product of which the two sides have this rank's terms.
    pub(crate) fn product<T: Element>(
        &self,
        lhs: &ArrayViewD<'_, T>,
        rhs: &ArrayViewD<'_, T>,
        dims: &DimensionNumbers,
        order: &Order,
    ) -> Result<ArrayD<T>> {
        let shape = dims.output_shape(lhs.shape(), rhs.shape())?;
        let (start, end) = self.own;
        let mut sums = PartialSums::<T>::of_terms(&shape, order, start..end);
        if start < end {
            sums.add(lhs.view(), rhs.view(), dims);
        }
        let mut forest = sums.into_forest();
        if self.ranks.rank() > 0 {
            let mut message = Vec::new();
            put_trees(&mut message, forest.trees());
            self.ranks.send(0, &message)?;
            return from_first(self.ranks, PartialSums::new(&shape, order, 0).finish());
        }
        for rank in 1..self.ranks.size() {
            let theirs = self.ranks.receive(rank)?;
            take_trees(&mut &theirs[..], || PartialSums::<T>::zeros(&shape, order), |tree| forest.push(tree))?;
        }
        to_all(self.ranks, PartialSums::of_forest(forest, &shape, order))
    }
}
