#![allow(unsafe_code, reason = "vector instructions and their loads and stores")]
#![allow(clippy::wildcard_imports, reason = "a list of intrinsics says nothing")]
#![allow(clippy::cast_ptr_alignment, reason = "every load and store used is an unaligned one")]
//! Integer vectors of x86-64.
//!
//! `vpmaddwd` multiplies pairs of 16-bit factors and is exact for all of int8. `vpdpbusd` takes four 8-bit factors, twice
//! as many a cycle, but unsigned ones on one side: there they are 128 more than they stand for, and what that adds to a
//! sum is subtracted in the end. Both wrap, so that a sum that fits is right even where what was added does not.

use std::arch::x86_64::*;

use super::lanes::{First, Lanes, Words};
use crate::kernel::stream::Stores;

macro_rules! lanes {
    (
        $(#[$doc:meta])*
        $name:ident($vector:ident) of $lanes:literal $words:ident, most $most:expr;
        $zero:ident, $load:ident, $splat:ident, $store:ident, mul_add $mul_add:expr,
        minus $minus:ident, floats $floats:ident, times $times:ident, all $all:ident, these $these:ident,
        put $put:ident, pass $pass:ident
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        #[repr(transparent)]
        pub(super) struct $name($vector);

        impl Lanes for $name {
            const WORDS: Words = Words::$words;
            const LANES: usize = $lanes;
            const MOST: (usize, usize) = $most;

            type Row = Self;
            type Columns = Self;

            #[inline(always)]
            unsafe fn zero() -> Self {
                // SAFETY: the caller vouches for the instruction set.
                Self(unsafe { $zero() })
            }

            #[inline(always)]
            unsafe fn load(from: *const i32) -> Self {
                // SAFETY: the caller vouches for the instruction set and for a vector's length behind the pointer.
                Self(unsafe { $load(from.cast()) })
            }

            #[inline(always)]
            unsafe fn row(from: *const i32) -> Self {
                // SAFETY: the caller vouches for the instruction set and for a word behind the pointer.
                Self(unsafe { $splat(from.read()) })
            }

            #[inline(always)]
            unsafe fn columns(from: *const i32) -> Self {
                // SAFETY: as for `load`.
                Self(unsafe { $load(from.cast()) })
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut i32) {
                // SAFETY: as for `load`.
                unsafe { $store(to.cast(), self.0) }
            }

            #[inline(always)]
            unsafe fn rescale(
                self,
                offset: i32,
                row: f32,
                columns: *const f32,
                first: First,
                to: *mut f32,
                stores: Stores,
            ) {
                // SAFETY: the caller vouches for the instruction set and for a vector's length behind the pointers; what
                // passes the caches begins where a vector does.
                unsafe {
                    let sums = $floats($minus(self.0, $splat(offset)));
                    let (row, columns) = ($all(row), $these(columns));
                    let made = match first {
                        First::Row => $times($times(sums, row), columns),
                        First::Column => $times($times(sums, columns), row),
                    };
                    if stores == Stores::Streamed && to.addr().is_multiple_of(size_of::<$vector>()) {
                        $pass(to.cast(), made);
                    } else {
                        $put(to, made);
                    }
                }
            }

            #[inline(always)]
            unsafe fn mul_add(self, row: Self, columns: Self) -> Self {
                // SAFETY: the caller vouches for the instruction set.
                Self(unsafe { $mul_add(self.0, row.0, columns.0) })
            }
        }
    };
}

lanes! {
    /// AVX2: pairs.
    Avx2(__m256i) of 8 Pairs, most (4, 3);
    _mm256_setzero_si256, _mm256_loadu_si256, _mm256_set1_epi32, _mm256_storeu_si256,
    mul_add |sum, row, column| _mm256_add_epi32(sum, _mm256_madd_epi16(row, column)),
    minus _mm256_sub_epi32, floats _mm256_cvtepi32_ps, times _mm256_mul_ps, all _mm256_set1_ps, these _mm256_loadu_ps,
    put _mm256_storeu_ps, pass _mm256_stream_ps
}

lanes! {
    /// AVX-VNNI: quads in 32-byte vectors.
    AvxVnni(__m256i) of 8 Quads, most (4, 3);
    _mm256_setzero_si256, _mm256_loadu_si256, _mm256_set1_epi32, _mm256_storeu_si256,
    mul_add |sum, row, column| _mm256_dpbusd_avx_epi32(sum, column, row),
    minus _mm256_sub_epi32, floats _mm256_cvtepi32_ps, times _mm256_mul_ps, all _mm256_set1_ps, these _mm256_loadu_ps,
    put _mm256_storeu_ps, pass _mm256_stream_ps
}

lanes! {
    /// AVX-512 without VNNI: pairs.
    Avx512(__m512i) of 16 Pairs, most (8, 3);
    _mm512_setzero_si512, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_storeu_si512,
    mul_add |sum, row, column| _mm512_add_epi32(sum, _mm512_madd_epi16(row, column)),
    minus _mm512_sub_epi32, floats _mm512_cvtepi32_ps, times _mm512_mul_ps, all _mm512_set1_ps, these _mm512_loadu_ps,
    put _mm512_storeu_ps, pass _mm512_stream_ps
}

lanes! {
    /// AVX-512 VNNI: quads.
    Vnni(__m512i) of 16 Quads, most (8, 3);
    _mm512_setzero_si512, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_storeu_si512,
    mul_add |sum, row, column| _mm512_dpbusd_epi32(sum, column, row),
    minus _mm512_sub_epi32, floats _mm512_cvtepi32_ps, times _mm512_mul_ps, all _mm512_set1_ps, these _mm512_loadu_ps,
    put _mm512_storeu_ps, pass _mm512_stream_ps
}
