#![allow(unsafe_code, reason = "vector instructions and their loads and stores")]
//! The vectors of aarch64: NEON, with fused multiply-adds.

use std::arch::aarch64::{
    float32x4_t, float64x2_t, vaddq_f32, vaddq_f64, vdupq_n_f32, vdupq_n_f64, vfmaq_f32, vfmaq_f64, vld1q_dup_f32,
    vld1q_dup_f64, vld1q_f32, vld1q_f64, vst1q_f32, vst1q_f64,
};

use super::lanes::Lanes;

macro_rules! lanes {
    (
        $vector:ident of $lanes:literal $sum:ident:
        $all:ident, $load:ident, $store:ident, $plus:ident, splat $splat:ident, mul_add $mul_add:ident
    ) => {
        impl Lanes for $vector {
            type Sum = $sum;
            type Factors = Self;
            const LANES: usize = $lanes;

            #[inline(always)]
            unsafe fn zero() -> Self {
                // SAFETY: every aarch64 has NEON.
                unsafe { $all(0.0) }
            }

            #[inline(always)]
            unsafe fn load(from: *const $sum) -> Self {
                // SAFETY: the caller vouches for a vector's length behind the pointer.
                unsafe { $load(from) }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut $sum) {
                // SAFETY: as for `load`.
                unsafe { $store(to, self) }
            }

            #[inline(always)]
            unsafe fn factors(from: *const $sum) -> Self {
                // SAFETY: as for `load`.
                unsafe { $load(from) }
            }

            #[inline(always)]
            unsafe fn splat(from: *const $sum) -> Self {
                // SAFETY: the caller vouches for a factor behind the pointer.
                unsafe { $splat(from) }
            }

            #[inline(always)]
            unsafe fn mul_add(self, left: Self, right: Self) -> Self {
                // SAFETY: every aarch64 has NEON.
                unsafe { $mul_add(self, left, right) }
            }

            #[inline(always)]
            unsafe fn plus(self, other: Self) -> Self {
                // SAFETY: every aarch64 has NEON.
                unsafe { $plus(self, other) }
            }
        }
    };
}

lanes! {
    float32x4_t of 4 f32: vdupq_n_f32, vld1q_f32, vst1q_f32, vaddq_f32, splat vld1q_dup_f32, mul_add vfmaq_f32
}

lanes! {
    float64x2_t of 2 f64: vdupq_n_f64, vld1q_f64, vst1q_f64, vaddq_f64, splat vld1q_dup_f64, mul_add vfmaq_f64
}

/// Two vectors side by side, as one.
///
/// Bringing a row's factor to every lane takes the unit that multiplies. In a tile this wide a factor is worth it: it serves
/// four multiplications.
#[derive(Clone, Copy, Debug)]
pub(super) struct Two<V>(V, V);

impl<V: Lanes> Lanes for Two<V> {
    type Sum = V::Sum;
    type Factors = (V::Factors, V::Factors);
    const LANES: usize = 2 * V::LANES;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the caller's promise for this vector is that for both halves, here and below.
        unsafe { Self(V::zero(), V::zero()) }
    }

    #[inline(always)]
    unsafe fn load(from: *const V::Sum) -> Self {
        // SAFETY: as above.
        unsafe { Self(V::load(from), V::load(from.add(V::LANES))) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut V::Sum) {
        // SAFETY: as above.
        unsafe {
            self.0.store(to);
            self.1.store(to.add(V::LANES));
        }
    }

    #[inline(always)]
    unsafe fn factors(from: *const V::Sum) -> Self::Factors {
        // SAFETY: as above.
        unsafe { (V::factors(from), V::factors(from.add(V::LANES))) }
    }

    #[inline(always)]
    unsafe fn splat(from: *const V::Sum) -> Self::Factors {
        // SAFETY: as above.
        let factor = unsafe { V::splat(from) };
        (factor, factor)
    }

    #[inline(always)]
    unsafe fn mul_add(self, left: Self::Factors, right: Self::Factors) -> Self {
        // SAFETY: as above.
        unsafe { Self(self.0.mul_add(left.0, right.0), self.1.mul_add(left.1, right.1)) }
    }

    #[inline(always)]
    unsafe fn plus(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(self.0.plus(other.0), self.1.plus(other.1)) }
    }
}
