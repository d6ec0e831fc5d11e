#![allow(unsafe_code, reason = "packing reads through the offsets of a walk")]
//! The sides of an integer product: elements of any type, and how they become integers.

use super::pack::{Layout, Pack, Packed, Source};
use crate::kernel::isa::Isa;
use crate::kernel::product::Operand;
use crate::kernel::walk::Walk;

/// A side whose elements are packed as integers.
pub(super) trait Side: Sync {
    fn batch(&self) -> &Walk;
    fn free(&self) -> &Walk;
    fn contracting(&self) -> &Walk;

    /// Packs positions and terms at a batch position, given how far they lie from its first element and the scale of each
    /// position; adds each position's integers to the sums.
    fn pack(&self, isa: Isa, layout: Layout, request: Request<'_>, packed: Packed<'_>);
}

/// What is to be packed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) batch: usize,
    pub(super) free: &'a [isize],
    pub(super) terms: &'a [isize],
    pub(super) scales: &'a [f32],
}

/// Elements of a view, and what makes an integer of eight bits of one and its position's scale.
#[derive(Clone, Copy, Debug)]
pub(super) struct Elements<'a, T, Q> {
    pub(super) operand: &'a Operand<'a, T>,
    pub(super) quantize: Q,
}

impl<T: Copy + Sync, Q: Fn(T, f32) -> i32 + Copy + Sync> Side for Elements<'_, T, Q> {
    fn batch(&self) -> &Walk {
        &self.operand.batch
    }

    fn free(&self) -> &Walk {
        &self.operand.free
    }

    fn contracting(&self) -> &Walk {
        &self.operand.contracting
    }

    fn pack(&self, isa: Isa, layout: Layout, Request { batch, free, terms, scales }: Request<'_>, packed: Packed<'_>) {
        let first = self.operand.first.wrapping_offset(self.operand.batch.offset(batch));
        // SAFETY: an operand's pointer and offsets of its three walks together are an element of its view.
        let source = unsafe { Source::new(first, free, terms, scales) };
        isa.run(Pack { source, layout, quantize: self.quantize, packed });
    }
}
