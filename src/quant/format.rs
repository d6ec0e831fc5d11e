//! The arithmetic of the reference: one binary32 operation with subnormals flushed, then one rounding.
//!
//! Every value of the quantized path is held as an `f32`; bfloat16 and binary16 values are `f32`s that happen to be
//! representable there. An operation of theirs is a binary32 operation whose result is rounded once to the format.
//! The reference runs on XLA's CPU backend with flush-to-zero and denormals-are-zero for binary32 (and so for
//! bfloat16, which has its exponents); binary16 values are never subnormal binary32 numbers, so nothing of theirs is
//! flushed.

use half::{bf16, f16};

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
            Dtype::F64 => None,
        }
    }

    /// `x` to the nearest value of the format, ties to even.
    pub(crate) fn round(self, x: f32) -> f32 {
        match self {
            Self::F32 => x,
            Self::Bf16 => bf16::from_f32(x).to_f32(),
            Self::F16 => f16::from_f32(x).to_f32(),
        }
    }

    /// `a · b` in the format.
    pub(crate) fn mul(self, a: f32, b: f32) -> f32 {
        self.round(flush(flush(a) * flush(b)))
    }

    /// `a + b` in the format.
    pub(crate) fn add(self, a: f32, b: f32) -> f32 {
        self.round(flush(flush(a) + flush(b)))
    }

    /// `a / b` in the format.
    pub(crate) fn div(self, a: f32, b: f32) -> f32 {
        self.round(flush(flush(a) / flush(b)))
    }
}

/// `x`, or zero of its sign where it is subnormal.
pub(crate) fn flush(x: f32) -> f32 {
    if x.abs() < f32::MIN_POSITIVE { 0.0_f32.copysign(x) } else { x }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn each_operation_rounds_once() {
        assert_eq!(Format::Bf16.mul(1.015_625, 1.015_625), 1.031_25);
        assert_eq!(Format::F16.mul(256.0, 256.0), f32::INFINITY);
        assert_eq!(Format::F16.div(1.0, 65504.0), f16::from_f32(1.0 / 65504.0).to_f32());
        assert_eq!(Format::F16.div(1.0, 65504.0).to_bits(), f16::from_bits(0x0100).to_f32().to_bits());
    }
}
