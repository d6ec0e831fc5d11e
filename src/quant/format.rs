//! The arithmetic of the reference: one binary32 operation with subnormals flushed, then one rounding.
//!
//! Every value of the quantized path is held as an `f32`; bfloat16 and binary16 values are `f32`s that happen to be
//! representable there. An operation of theirs is a binary32 operation whose result is rounded once to the format.
//! The reference runs on XLA's CPU backend with flush-to-zero and denormals-are-zero for binary32 (and so for
//! bfloat16, which has its exponents); binary16 values are never subnormal binary32 numbers, so nothing of theirs is
//! flushed.

#![allow(clippy::inline_always, reason = "a loop over these vectorizes only where the format is known to be one")]

use crate::dtype::Dtype;

/// The float format in which an operation of the quantized path rounds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Format {
    F32,
    Bf16,
    F16,
}

impl Format {
    /// The format of operands of this type; none for those that quantization does not take.
    pub(crate) fn of(dtype: Dtype) -> Option<Self> {
        match dtype {
            Dtype::F32 => Some(Self::F32),
            Dtype::Bf16 => Some(Self::Bf16),
            Dtype::F16 => Some(Self::F16),
            Dtype::F64 | Dtype::C32 | Dtype::C64 => None,
        }
    }

    /// `x` to the nearest value of the format, ties to even.
    #[inline(always)]
    pub(crate) fn round(self, x: f32) -> f32 {
        match self {
            Self::F32 => x,
            Self::Bf16 => round_to_bf16(x),
            Self::F16 => round_to_f16(x),
        }
    }

    /// `a · b` in the format.
    #[inline(always)]
    pub(crate) fn mul(self, a: f32, b: f32) -> f32 {
        self.round(flush(flush(a) * flush(b)))
    }

    /// `a + b` in the format.
    #[inline(always)]
    pub(crate) fn add(self, a: f32, b: f32) -> f32 {
        self.round(flush(flush(a) + flush(b)))
    }

    /// `a / b` in the format.
    #[inline(always)]
    pub(crate) fn div(self, a: f32, b: f32) -> f32 {
        self.round(flush(flush(a) / flush(b)))
    }
}

/// `x` to the nearest bfloat16 value, in operations that vectorize; a NaN keeps what of it fits, and is quiet.
#[inline(always)]
fn round_to_bf16(x: f32) -> f32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
    f32::from_bits(if x.is_nan() { bits | 0x0040_0000 } else { rounded } & 0xffff_0000)
}

/// `x` to the nearest binary16 value, likewise.
#[inline(always)]
fn round_to_f16(x: f32) -> f32 {
    // Below the smallest normal number, adding and taking away a half rounds in steps of the smallest subnormal one.
    const SMALLEST_NORMAL: f32 = 1.0 / 16_384.0;
    const OVERFLOW: u32 = 65_536.0_f32.to_bits();
    let bits = x.to_bits();
    let (sign, magnitude) = (bits & 0x8000_0000, x.abs());
    let normal = (magnitude.to_bits() + (0x0fff + (bits >> 13 & 1))) & 0xffff_e000;
    let normal = if normal >= OVERFLOW { f32::INFINITY.to_bits() } else { normal };
    let subnormal = ((magnitude + 0.5) - 0.5).to_bits();
    let rounded = if magnitude < SMALLEST_NORMAL { subnormal } else { normal };
    let nan = (magnitude.to_bits() | 0x0040_0000) & 0xffff_e000;
    f32::from_bits(sign | if x.is_nan() { nan } else { rounded })
}

/// `x`, or zero of its sign where it is subnormal.
#[inline(always)]
pub(crate) fn flush(x: f32) -> f32 {
    if x.abs() < f32::MIN_POSITIVE { 0.0_f32.copysign(x) } else { x }
}

/// `x` to the nearest integer, ties to even; the sign of zero stays.
///
/// Adding and taking away 2^23 rounds in the unit of the sum; unlike `round_ties_even` it needs no instruction that the
/// x86-64 baseline lacks, so loops over it vectorize everywhere.
#[inline(always)]
pub(crate) fn round_to_integer(x: f32) -> f32 {
    const UNIT: f32 = 8_388_608.0;
    let magnitude = x.abs();
    let rounded = if magnitude < UNIT { (magnitude + UNIT) - UNIT } else { magnitude };
    rounded.copysign(x)
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};

    use super::*;

    #[test]
    fn rounding_to_narrow_formats_is_that_of_their_types() {
        let check = |bits: u32| {
            let x = f32::from_bits(bits);
            assert_eq!(Format::Bf16.round(x).to_bits(), bf16::from_f32(x).to_f32().to_bits(), "{bits:x}");
            assert_eq!(Format::F16.round(x).to_bits(), f16::from_f32(x).to_f32().to_bits(), "{bits:x}");
        };
        // Every sign, exponent and leading bits of a fraction, about what is halfway in either format.
        for leading in 0..=u32::from(u16::MAX) {
            for trailing in [0, 1, 0x0fff, 0x1000, 0x1001, 0x2fff, 0x3000, 0x7fff, 0x8000, 0x8001, 0xf000, 0xffff] {
                check(leading << 16 | trailing);
            }
        }
        (0..1_000_000_u32).for_each(|at| check(at.wrapping_mul(2_654_435_769)));
    }

    #[test]
    fn subnormals_are_zero_before_and_after() {
        let tiny = f32::MIN_POSITIVE / 4.0;
        assert_eq!(Format::F32.mul(tiny, 1e38).to_bits(), 0);
        assert_eq!(Format::F32.mul(-f32::MIN_POSITIVE, 0.5).to_bits(), (-0.0_f32).to_bits());
        assert_eq!(Format::F32.div(1.0, tiny), f32::INFINITY);
        assert_eq!(Format::F32.add(tiny, tiny), 0.0);
        assert!(Format::F32.mul(f32::NAN, 0.0).is_nan());
    }

    #[test]
    fn rounding_to_an_integer_is_that_of_the_standard_library() {
        let mut x = 0.001_f32;
        while x < 1e12 {
            for x in [x, -x, x.floor() + 0.5, -x.floor() - 0.5, x.floor()] {
                assert_eq!(round_to_integer(x).to_bits(), x.round_ties_even().to_bits(), "{x}");
            }
            x *= 1.003;
        }
        assert!(round_to_integer(f32::NAN).is_nan());
        assert_eq!(round_to_integer(f32::NEG_INFINITY), f32::NEG_INFINITY);
        assert_eq!(round_to_integer(-0.0).to_bits(), (-0.0_f32).to_bits());
    }

    #[test]
    fn each_operation_rounds_once() {
        assert_eq!(Format::Bf16.mul(1.015_625, 1.015_625), 1.031_25);
        assert_eq!(Format::F16.mul(256.0, 256.0), f32::INFINITY);
        assert_eq!(Format::F16.div(1.0, 65504.0), f16::from_f32(1.0 / 65504.0).to_f32());
        assert_eq!(Format::F16.div(1.0, 65504.0).to_bits(), f16::from_bits(0x0100).to_f32().to_bits());
    }
}
