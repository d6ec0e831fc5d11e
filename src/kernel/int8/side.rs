#![allow(
    unsafe_code,
    reason = "packing reads through the offsets of a walk, in functions compiled for an instruction set"
)]
//! The sides of an integer product: elements of any type, and how they become integers.

use super::pack::{Layout, Source, pack};
use crate::kernel::product::Operand;
use crate::kernel::tile::Isa;
use crate::kernel::walk::Walk;

/// A side whose elements are packed as integers.
pub(super) trait Side {
    fn batch(&self) -> &Walk;
    fn free(&self) -> &Walk;
    fn contracting(&self) -> &Walk;

    /// Packs positions and terms at a batch position, given how far they lie from its first element and the scale of each
    /// position; adds each position's integers to `sums`. `isa` was detected.
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

/// Where it goes.
#[derive(Debug)]
pub(super) struct Packed<'a> {
    pub(super) panels: &'a mut [i32],
    pub(super) sums: &'a mut [i32],
    /// For one position's integers.
    pub(super) line: &'a mut Vec<i8>,
}

/// Elements of a view, and what makes an integer of one and its position's scale.
#[derive(Clone, Copy, Debug)]
pub(super) struct Elements<'a, T, Q> {
    pub(super) operand: &'a Operand<'a, T>,
    pub(super) quantize: Q,
}

macro_rules! compiled {
    ($($isa:ident: $name:ident $(with $features:literal)?),*) => {
        impl<T: Copy, Q: Fn(T, f32) -> i32 + Copy> Side for Elements<'_, T, Q> {
            fn batch(&self) -> &Walk {
                &self.operand.batch
            }

            fn free(&self) -> &Walk {
                &self.operand.free
            }

            fn contracting(&self) -> &Walk {
                &self.operand.contracting
            }

            fn pack(&self, isa: Isa, layout: Layout, request: Request<'_>, packed: Packed<'_>) {
                $(
                    $(#[target_feature(enable = $features)])?
                    unsafe fn $name<T: Copy>(
                        source: Source<'_, T>,
                        layout: Layout,
                        quantize: impl Fn(T, f32) -> i32 + Copy,
                        packed: Packed<'_>,
                    ) {
                        // SAFETY: the caller's promise, passed on.
                        unsafe { pack(source, layout, quantize, packed) }
                    }
                )*
                let Request { batch, free, terms, scales } = request;
                let first = self.operand.first.wrapping_offset(self.operand.batch.offset(batch));
                let source = Source { first, free, terms, scales };
                // SAFETY: an operand's pointer and offsets of its three walks together are an element of its view, and
                // the instruction set was detected.
                unsafe {
                    match isa {
                        $(Isa::$isa => $name(source, layout, self.quantize, packed),)*
                    }
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
compiled!(
    Portable: portable,
    Avx2: avx2 with "avx2",
    AvxVnni: avx_vnni with "avx2,avxvnni",
    Avx512: avx512 with "avx512f,avx512bw",
    Vnni: vnni with "avx512f,avx512bw,avx512vnni"
);

#[cfg(not(target_arch = "x86_64"))]
compiled!(Portable: portable);
