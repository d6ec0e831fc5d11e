#![allow(unsafe_code, reason = "vector instructions and their loads and stores")]
#![allow(clippy::wildcard_imports, reason = "a list of forty intrinsics says nothing")]
#![allow(clippy::cast_ptr_alignment, reason = "every load and store used is an unaligned one")]
//! The vectors of x86-64: AVX2 with FMA, and AVX-512.

use std::arch::x86_64::*;

use super::lanes::Lanes;

macro_rules! lanes {
    (
        $vector:ident of $lanes:literal $sum:ident:
        $zero:ident, $load:ident($load_from:ty), $store:ident($store_to:ty), $plus:ident,
        splat $splat:expr, mul_add $mul_add:expr
    ) => {
        impl Lanes for $vector {
            type Sum = $sum;
            type Factors = Self;
            const LANES: usize = $lanes;

            #[inline(always)]
            unsafe fn zero() -> Self {
                // SAFETY: the caller vouches for the instruction set.
                unsafe { $zero() }
            }

            #[inline(always)]
            unsafe fn load(from: *const $sum) -> Self {
                // SAFETY: the caller vouches for the instruction set and for a vector's length behind the pointer.
                unsafe { $load(from.cast::<$load_from>()) }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut $sum) {
                // SAFETY: as for `load`.
                unsafe { $store(to.cast::<$store_to>(), self) }
            }

            #[inline(always)]
            unsafe fn factors(from: *const $sum) -> Self {
                // SAFETY: as for `load`.
                unsafe { $load(from.cast::<$load_from>()) }
            }

            #[inline(always)]
            unsafe fn splat(from: *const $sum) -> Self {
                // SAFETY: the caller vouches for the instruction set and for a factor behind the pointer.
                unsafe { $splat(from) }
            }

            #[inline(always)]
            unsafe fn mul_add(self, left: Self, right: Self) -> Self {
                // SAFETY: the caller vouches for the instruction set.
                unsafe { $mul_add(left, right, self) }
            }

            #[inline(always)]
            unsafe fn plus(self, other: Self) -> Self {
                // SAFETY: the caller vouches for the instruction set.
                unsafe { $plus(self, other) }
            }
        }
    };
}

lanes! {
    __m256 of 8 f32: _mm256_setzero_ps, _mm256_loadu_ps(f32), _mm256_storeu_ps(f32), _mm256_add_ps,
    splat |from: *const f32| _mm256_set1_ps(*from), mul_add _mm256_fmadd_ps
}

lanes! {
    __m256d of 4 f64: _mm256_setzero_pd, _mm256_loadu_pd(f64), _mm256_storeu_pd(f64), _mm256_add_pd,
    splat |from: *const f64| _mm256_set1_pd(*from), mul_add _mm256_fmadd_pd
}

lanes! {
    __m512 of 16 f32: _mm512_setzero_ps, _mm512_loadu_ps(f32), _mm512_storeu_ps(f32), _mm512_add_ps,
    splat |from: *const f32| _mm512_set1_ps(*from), mul_add _mm512_fmadd_ps
}

lanes! {
    __m512d of 8 f64: _mm512_setzero_pd, _mm512_loadu_pd(f64), _mm512_storeu_pd(f64), _mm512_add_pd,
    splat |from: *const f64| _mm512_set1_pd(*from), mul_add _mm512_fmadd_pd
}
