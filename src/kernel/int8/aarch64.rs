#![allow(unsafe_code, reason = "vector instructions and their loads and stores")]
//! Integer vectors of aarch64.
//!
//! `sdot` takes four signed factors of eight bits on both sides, so that nothing has to be subtracted in the end. Without it
//! `smlal` multiplies 16-bit factors, four at a time: the two products of a word are summed apart, and meet in the end. Both
//! wrap and are exact for all of int8.

use std::arch::aarch64::{
    float32x4_t, int16x8_t, int32x4_t, vcvtq_f32_s32, vdupq_n_f32, vdupq_n_s32, vget_low_s16, vld1q_dup_s32, vld1q_f32,
    vld1q_s32, vmlal_high_s16, vmlal_s16, vmulq_f32, vpaddq_s32, vreinterpretq_s16_s32, vst1q_f32, vst1q_s32,
    vsubq_s32, vzip1q_s32, vzip2q_s32,
};
use std::arch::asm;

use super::lanes::{First, Lanes, Words};
use crate::kernel::stream::Stores;

/// Sums in a register.
const REGISTER: usize = 4;

/// NEON: pairs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Neon {
    /// The sums of each product of the first two words, and of the last two.
    low: int32x4_t,
    high: int32x4_t,
}

impl Neon {
    #[inline(always)]
    unsafe fn sums(self) -> int32x4_t {
        // SAFETY: every aarch64 has NEON.
        unsafe { vpaddq_s32(self.low, self.high) }
    }
}

impl Lanes for Neon {
    const WORDS: Words = Words::Pairs;
    const LANES: usize = REGISTER;
    const MOST: (usize, usize) = (4, 3);

    type Row = int16x8_t;
    type Columns = int16x8_t;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: every aarch64 has NEON.
        let zero = unsafe { vdupq_n_s32(0) };
        Self { low: zero, high: zero }
    }

    #[inline(always)]
    unsafe fn load(from: *const i32) -> Self {
        // SAFETY: the caller vouches for a vector's length behind the pointer.
        unsafe {
            let (sums, zero) = (vld1q_s32(from), vdupq_n_s32(0));
            Self { low: vzip1q_s32(sums, zero), high: vzip2q_s32(sums, zero) }
        }
    }

    #[inline(always)]
    unsafe fn row(from: *const i32) -> int16x8_t {
        // SAFETY: the caller vouches for a word behind the pointer.
        unsafe { vreinterpretq_s16_s32(vld1q_dup_s32(from)) }
    }

    #[inline(always)]
    unsafe fn columns(from: *const i32) -> int16x8_t {
        // SAFETY: as for `load`.
        unsafe { vreinterpretq_s16_s32(vld1q_s32(from)) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut i32) {
        // SAFETY: as for `load`.
        unsafe { vst1q_s32(to, self.sums()) }
    }

    #[inline(always)]
    unsafe fn rescale(self, offset: i32, row: f32, columns: *const f32, first: First, to: *mut f32, _: Stores) {
        // SAFETY: as for `load`, of both pointers.
        unsafe { vst1q_f32(to, rescaled(self.sums(), offset, row, vld1q_f32(columns), first)) }
    }

    #[inline(always)]
    unsafe fn mul_add(self, row: int16x8_t, columns: int16x8_t) -> Self {
        // SAFETY: every aarch64 has NEON.
        unsafe {
            Self {
                low: vmlal_s16(self.low, vget_low_s16(columns), vget_low_s16(row)),
                high: vmlal_high_s16(self.high, columns, row),
            }
        }
    }
}

/// NEON with dot products: quads, in two registers.
#[derive(Clone, Copy, Debug)]
pub(super) struct DotProd([int32x4_t; 2]);

impl Lanes for DotProd {
    const WORDS: Words = Words::SignedQuads;
    const LANES: usize = 2 * REGISTER;
    const MOST: (usize, usize) = (4, 3);

    /// `sdot` takes it from the first lane of a register, which saves bringing it to all lanes.
    type Row = i32;
    type Columns = [int32x4_t; 2];

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: every aarch64 has NEON.
        Self([unsafe { vdupq_n_s32(0) }; 2])
    }

    #[inline(always)]
    unsafe fn load(from: *const i32) -> Self {
        // SAFETY: the caller vouches for a vector's length behind the pointer.
        Self(unsafe { [vld1q_s32(from), vld1q_s32(from.add(REGISTER))] })
    }

    #[inline(always)]
    unsafe fn row(from: *const i32) -> i32 {
        // SAFETY: the caller vouches for a word behind the pointer.
        unsafe { from.read() }
    }

    #[inline(always)]
    unsafe fn columns(from: *const i32) -> [int32x4_t; 2] {
        // SAFETY: as for `load`.
        unsafe { [vld1q_s32(from), vld1q_s32(from.add(REGISTER))] }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut i32) {
        let Self([low, high]) = self;
        // SAFETY: as for `load`.
        unsafe {
            vst1q_s32(to, low);
            vst1q_s32(to.add(REGISTER), high);
        }
    }

    #[inline(always)]
    unsafe fn rescale(self, offset: i32, row: f32, columns: *const f32, first: First, to: *mut f32, _: Stores) {
        for (at, sums) in self.0.into_iter().enumerate() {
            let at = at * REGISTER;
            // SAFETY: as for `load`, of both pointers.
            unsafe { vst1q_f32(to.add(at), rescaled(sums, offset, row, vld1q_f32(columns.add(at)), first)) };
        }
    }

    #[inline(always)]
    unsafe fn mul_add(self, row: i32, columns: [int32x4_t; 2]) -> Self {
        let (Self([low, high]), [first, second]) = (self, columns);
        // SAFETY: the caller vouches for the instruction set.
        Self(unsafe { [sdot(low, first, row), sdot(high, second, row)] })
    }
}

/// The sums and, in each lane, the four products of its word and `row`.
///
/// In assembly, since the intrinsic is not stable.
#[inline]
#[target_feature(enable = "dotprod")]
fn sdot(mut sums: int32x4_t, columns: int32x4_t, row: i32) -> int32x4_t {
    // SAFETY: an instruction of this feature, between registers.
    unsafe {
        asm!(
            "sdot {sums:v}.4s, {columns:v}.16b, {row:v}.4b[0]",
            sums = inout(vreg) sums,
            columns = in(vreg) columns,
            row = in(vreg) row,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}

/// The sums, less `offset`, converted and multiplied by both numbers, one after the other.
#[inline(always)]
unsafe fn rescaled(sums: int32x4_t, offset: i32, row: f32, columns: float32x4_t, first: First) -> float32x4_t {
    // SAFETY: every aarch64 has NEON.
    unsafe {
        let (sums, row) = (vcvtq_f32_s32(vsubq_s32(sums, vdupq_n_s32(offset))), vdupq_n_f32(row));
        match first {
            First::Row => vmulq_f32(vmulq_f32(sums, row), columns),
            First::Column => vmulq_f32(vmulq_f32(sums, columns), row),
        }
    }
}
