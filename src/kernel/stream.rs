#![allow(unsafe_code, reason = "stores that pass the caches are intrinsics")]
//! Stores that pass the caches.
//!
//! An output that is larger than the caches is not read again soon. Written past them, its lines are not fetched before
//! they are overwritten, which halves what memory has to move.

use std::mem::MaybeUninit;

/// Bytes of an output that no cache keeps until it is read again.
const LARGE: usize = 16 << 20;

/// Bytes of a line.
const LINE: usize = 64;

/// How outputs are stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stores {
    /// To the caches.
    Cached,
    /// Past them, where a group of outputs is a whole line.
    Streamed,
}

/// Asks for the line of an element that is soon to be read, if there is one there.
#[inline(always)]
pub(super) fn fetch<T>(element: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE is in every x86-64; a prefetch reads nothing, and of an address without memory it does nothing.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(element.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = element;
}

impl Stores {
    /// For so many outputs of a type.
    pub(super) fn of<O>(outputs: usize) -> Self {
        if cfg!(target_arch = "x86_64") && outputs.saturating_mul(size_of::<O>()) >= LARGE {
            Self::Streamed
        } else {
            Self::Cached
        }
    }

    /// Stores a group of outputs.
    #[inline(always)]
    pub(super) fn put<O: Copy, const N: usize>(self, to: &mut [MaybeUninit<O>; N], outputs: [O; N]) {
        // SAFETY: a group, and the caller's alone.
        unsafe { self.line(to.as_mut_ptr().cast(), outputs) };
    }

    /// Stores a group of outputs through a pointer.
    ///
    /// # Safety
    ///
    /// So many can be written, and nobody else reaches them meanwhile.
    #[inline(always)]
    pub(super) unsafe fn line<O: Copy, const N: usize>(self, to: *mut O, outputs: [O; N]) {
        if self == Self::Streamed && N * size_of::<O>() == LINE && to.addr().is_multiple_of(LINE) {
            #[cfg(target_arch = "x86_64")]
            {
                use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_stream_si128};
                let (from, to) = ((&raw const outputs).cast::<__m128i>(), to.cast::<__m128i>());
                for quarter in 0..4 {
                    // SAFETY: both are a whole line, `to` begins with one, and SSE2 is in every x86-64.
                    unsafe { _mm_stream_si128(to.add(quarter), _mm_loadu_si128(from.add(quarter))) };
                }
                return;
            }
        }
        // SAFETY: as the caller says.
        unsafe { to.cast::<[O; N]>().write_unaligned(outputs) };
    }

    /// Ends a thread's stores: whoever is told of them afterwards sees them.
    #[cfg_attr(not(target_arch = "x86_64"), allow(clippy::unused_self, reason = "elsewhere all go to the caches"))]
    pub(super) fn finish(self) {
        #[cfg(target_arch = "x86_64")]
        if self == Self::Streamed {
            // SAFETY: SSE is in every x86-64.
            unsafe { std::arch::x86_64::_mm_sfence() };
        }
    }
}
