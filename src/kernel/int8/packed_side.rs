//! A side of integers that is packed once and multiplied many times.

use std::ops::Range;

use ndarray::{ArrayViewD, IxDyn, aview0};

use super::INT32_TERMS;
use super::multiply::TERMS;
use super::pack::{Layout, Packed, Role};
use super::panels::{Ready, least};
use super::side::{Beside, Elements, Exact, Factors, Request, Scaling, Side as _};
use super::tile::Kernel;
use crate::DimensionNumbers;
use crate::cancel::Pace;
use crate::kernel::isa::Isa;
use crate::kernel::order::Order;
use crate::kernel::parts::cuts;
use crate::kernel::product::{Operand, Pairs, Product, Terms};
use crate::kernel::small;
use crate::lower::Side;

/// Bytes of panels to an integer at most: what is beyond is padding, which costs more than packing saves.
const MOST: usize = 4;

/// Bytes of a line of the caches; vectors that begin with one are in no other.
const LINE: usize = 64;

/// All positions of a side of integers as the kernel reads them, for calls of one kind.
#[derive(Debug)]
pub(crate) struct PackedSide {
    pub(super) purpose: Purpose,
    layout: Layout,
    /// From `begin` on a block of terms, panel after panel, then the next block; batch position after batch position.
    words: Vec<i32>,
    begin: usize,
    /// The sum of each position's integers, and what its products are rescaled by.
    sums: Vec<i32>,
    inverses: Vec<f32>,
    least: f32,
}

/// The calls that a packed side is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Purpose {
    isa: Isa,
    role: Role,
    /// The order in which outputs lie, by which positions are counted.
    order: Order,
    /// Contracting axes in the order in which terms are taken.
    pub(super) pairs: Pairs,
    /// Batch positions, free positions and terms.
    counts: [usize; 3],
}

impl Purpose {
    pub(super) fn new<L, R>(isa: Isa, of: Side, product: &Product<'_, L, R>, order: &Order) -> Self {
        let free = of.of(&product.lhs.free, &product.rhs.free);
        let is_columns = product.columns(Kernel::of(isa).lanes) == of;
        Self {
            isa,
            role: if is_columns { Role::Columns } else { Role::Rows },
            order: order.clone(),
            pairs: product.pairs.clone(),
            counts: [product.lhs.batch.len(), free.len(), product.terms()],
        }
    }
}

impl PackedSide {
    /// Packs integers, and what goes with their positions, as the side of a call whose other side has this shape and whose
    /// outputs lie in this order. None where the call would not read panels, or where they would be mostly padding.
    pub(crate) fn new(
        values: &ArrayViewD<'_, i8>,
        inverses: &ArrayViewD<'_, f32>,
        of: Side,
        other: &[usize],
        dims: &DimensionNumbers,
        order: &Order,
    ) -> Option<Self> {
        Self::on(Isa::detect(), values, inverses, of, other, dims, order)
    }

    /// The same for an instruction set.
    pub(super) fn on(
        isa: Isa,
        values: &ArrayViewD<'_, i8>,
        inverses: &ArrayViewD<'_, f32>,
        of: Side,
        other: &[usize],
        dims: &DimensionNumbers,
        order: &Order,
    ) -> Option<Self> {
        let mut pairs: Pairs = dims.contracting().into();
        // Only the shape of the other side is known: as if it lay in row-major order.
        pairs.sort_by_key(|pair| of.of(pair.1, pair.0));
        let element = aview0(&0_u8);
        let other = element.broadcast(IxDyn(other))?;
        match of {
            Side::Lhs => {
                let product = Product::new(values, &other, dims, Terms::As(&pairs), order);
                let purpose = Purpose::new(isa, of, &product, order);
                if small::pays(&product) { None } else { Self::packed(purpose, &product.lhs, inverses) }
            }
            Side::Rhs => {
                let product = Product::new(&other, values, dims, Terms::As(&pairs), order);
                let purpose = Purpose::new(isa, of, &product, order);
                if small::pays(&product) { None } else { Self::packed(purpose, &product.rhs, inverses) }
            }
        }
    }

    fn packed(purpose: Purpose, operand: &Operand<'_, i8>, inverses: &ArrayViewD<'_, f32>) -> Option<Self> {
        let layout = Kernel::of(purpose.isa).layout(purpose.role);
        let [batches, free, terms] = purpose.counts;
        let integers = batches.checked_mul(free)?.checked_mul(terms)?;
        let words = layout.size(free, terms).checked_mul(batches)?;
        if terms > INT32_TERMS || words.checked_mul(size_of::<i32>())? > integers.checked_mul(MOST)? {
            return None;
        }
        let mut packed = Self {
            purpose,
            layout,
            words: vec![0; words + LINE / size_of::<i32>()],
            begin: 0,
            sums: vec![0; batches * free],
            inverses: Vec::with_capacity(batches * free),
            least: f32::INFINITY,
        };
        packed.begin = packed.words.as_ptr().align_offset(LINE).min(LINE / size_of::<i32>());
        let scaling = Scaling::Inverses(Beside::new(inverses, operand));
        let side = Elements { operand, quantize: Exact, scaling, packed: None };
        let (mut factors, mut pace) = (Factors::new(), Pace::new());
        for batch in 0..batches {
            side.factors(packed.purpose.isa, batch, &(0..free), &mut factors);
            packed.inverses.extend_from_slice(&factors.inverses[..free]);
            for terms in cuts(&(0..terms), TERMS) {
                pace.did(free * terms.len());
                let words = packed.at(batch, &(0..free), &terms);
                let panels = &mut packed.words[words];
                let sums = &mut packed.sums[batch * free..(batch + 1) * free];
                let request = Request { batch, free: &(0..free), terms: &terms, scales: &factors.scales[..free] };
                side.pack(packed.purpose.isa, layout, request, Packed { panels, sums });
            }
        }
        packed.least = least(packed.purpose.isa, &packed.inverses);
        Some(packed)
    }

    /// Where the words of positions lie: those of whole panels, but for the last, and of one block of terms.
    fn at(&self, batch: usize, free: &Range<usize>, terms: &Range<usize>) -> Range<usize> {
        let [_, positions, all_terms] = self.purpose.counts;
        debug_assert!(free.start.is_multiple_of(self.layout.width) && terms.start.is_multiple_of(TERMS));
        let block =
            self.begin + batch * self.layout.size(positions, all_terms) + self.layout.size(positions, terms.start);
        block + self.layout.size(free.start, terms.len())..block + self.layout.size(free.end, terms.len())
    }

    /// The panels of positions and of a block of terms.
    pub(super) fn ready(&self, batch: usize, free: &Range<usize>, terms: &Range<usize>) -> Ready<'_> {
        let first = batch * self.purpose.counts[1];
        let numbers = first + free.start..first + free.end;
        Ready {
            words: &self.words[self.at(batch, free, terms)],
            positions: free.len(),
            sums: &self.sums[numbers.clone()],
            inverses: &self.inverses[numbers],
            least: self.least,
        }
    }
}
