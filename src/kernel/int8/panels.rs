//! What a side is packed into.

use std::ops::Range;

use super::pack::{Layout, Packed};
use super::side::{Factors, Request, Side};
use crate::kernel::isa::{Isa, Vectorized};
use crate::kernel::parts;
use crate::kernel::scratch::Scratch;

/// Packed positions of one side, reused over the batch.
pub(super) struct Panels<'a> {
    isa: Isa,
    side: &'a dyn Side,
    layout: Layout,
    /// Not filled where the side was packed before.
    words: Scratch<i32>,
    /// Of the positions packed last.
    factors: Factors,
    inverses: Scratch<f32>,
    /// The sum of each position's integers.
    sums: Scratch<i32>,
    batch: usize,
    free: Range<usize>,
    terms: Range<usize>,
    /// The smallest magnitude of an inverse that is not zero.
    least: f32,
}

/// Packed positions, whoever packed them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ready<'a> {
    /// A panel after the other.
    pub(super) words: &'a [i32],
    pub(super) positions: usize,
    pub(super) sums: &'a [i32],
    pub(super) inverses: &'a [f32],
    /// The smallest magnitude of an inverse that is not zero.
    pub(super) least: f32,
}

impl<'a> Panels<'a> {
    pub(super) fn new(isa: Isa, side: &'a dyn Side, layout: Layout) -> Self {
        Self {
            isa,
            side,
            layout,
            words: Scratch::new(),
            factors: Factors::new(),
            inverses: Scratch::new(),
            sums: Scratch::new(),
            batch: 0,
            free: 0..0,
            terms: 0..0,
            least: f32::INFINITY,
        }
    }

    /// Goes to other positions and packs these terms of them.
    pub(super) fn pack(&mut self, batch: usize, free: &Range<usize>, terms: &Range<usize>) {
        self.start(batch, free, terms);
        if self.side.packed().is_some() {
            return;
        }
        self.words.resize(self.layout.size(free.len(), terms.len()), 0);
        // Whole panels, so that each is packed at once.
        let together =
            self.side.together().map_or(free.len(), |count| count.next_multiple_of(PANELS * self.layout.width));
        for piece in parts::cuts(free, together.max(1)) {
            self.side.factors(self.isa, batch, &piece, &mut self.factors);
            self.inverses.extend_from_slice(&self.factors.inverses[..piece.len()]);
            let [from, to] = [piece.start, piece.end].map(|at| at - free.start);
            let packed = Packed {
                panels: &mut self.words[self.layout.size(from, terms.len())..self.layout.size(to, terms.len())],
                sums: &mut self.sums[from..to],
            };
            let request = Request { batch, free: &piece, terms, scales: &self.factors.scales[..piece.len()] };
            self.side.pack(self.isa, self.layout, request, packed);
        }
        self.least = least(self.isa, &self.inverses);
    }

    /// Goes to other positions, whose terms are to be packed a block at a time.
    pub(super) fn move_to(&mut self, batch: usize, free: &Range<usize>) {
        self.start(batch, free, &(0..0));
        if self.side.packed().is_some() {
            return;
        }
        self.side.factors(self.isa, batch, free, &mut self.factors);
        self.inverses.extend_from_slice(&self.factors.inverses[..free.len()]);
        self.least = least(self.isa, &self.inverses);
    }

    /// Packs a block of the terms of the positions.
    pub(super) fn fill(&mut self, terms: &Range<usize>) {
        self.terms = terms.clone();
        if self.side.packed().is_some() {
            return;
        }
        self.words.resize(self.layout.size(self.free.len(), terms.len()), 0);
        let request =
            Request { batch: self.batch, free: &self.free, terms, scales: &self.factors.scales[..self.free.len()] };
        let packed = Packed { panels: &mut self.words, sums: &mut self.sums };
        self.side.pack(self.isa, self.layout, request, packed);
    }

    /// What was packed last, here or before.
    pub(super) fn ready(&self) -> Ready<'_> {
        if let Some(packed) = self.side.packed() {
            return packed.ready(self.batch, &self.free, &self.terms);
        }
        Ready {
            words: &self.words,
            positions: self.free.len(),
            sums: &self.sums,
            inverses: &self.inverses,
            least: self.least,
        }
    }

    fn start(&mut self, batch: usize, free: &Range<usize>, terms: &Range<usize>) {
        (self.batch, self.free, self.terms) = (batch, free.clone(), terms.clone());
        self.inverses.clear();
        self.sums.clear();
        self.sums.resize(free.len(), 0);
    }
}

/// Panels that are packed together at least: as many as have sixteen positions.
const PANELS: usize = 2;

/// The smallest magnitude that is not zero; infinity where there is none.
pub(super) fn least(isa: Isa, inverses: &[f32]) -> f32 {
    isa.run(Least(inverses))
}

struct Least<'a>(&'a [f32]);

impl Vectorized for Least<'_> {
    type Output = f32;

    #[inline(always)]
    fn run(self) -> f32 {
        const INFINITY: u32 = f32::INFINITY.to_bits();
        // Less one, zero is the largest of all bits; NaN is more than infinity.
        let bits = |inverse: &f32| (inverse.to_bits() & 0x7fff_ffff).wrapping_sub(1);
        f32::from_bits(self.0.iter().map(bits).fold(INFINITY - 1, u32::min) + 1)
    }
}
