//! The usual configuration, element by element: what kernels make of floats while they pack them, and of sums.
#![allow(clippy::inline_always, reason = "loops over these vectorize only where all of it is known")]

use std::marker::PhantomData;

use crate::kernel::{Outputs, Quantize, Rescale};

use super::calibration::{ScaleKind, bound, scale_and_inverse, scale_target};
use super::config::{Calibration, Clip, IntNumerics, Rounding, ScaleRounding, Storage, TensorConfig, Zero};
use super::format::{Format, round_to_integer};
use super::step::clip;

/// A format as a type, so that loops are made for its operations.
pub(crate) trait Arithmetic: Copy + Send + Sync {
    const FORMAT: Format;
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Binary32;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Bfloat16;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Binary16;

impl Arithmetic for Binary32 {
    const FORMAT: Format = Format::F32;
}

impl Arithmetic for Bfloat16 {
    const FORMAT: Format = Format::Bf16;
}

impl Arithmetic for Binary16 {
    const FORMAT: Format = Format::F16;
}

/// What the usual configuration makes of a value and its scale: an integer of up to eight bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ToEightBits<A> {
    limit: f32,
    /// What a scale is to take the largest magnitude to, where scales are that simple.
    target: Option<f32>,
    arithmetic: PhantomData<A>,
}

impl<A: Arithmetic> ToEightBits<A> {
    /// Of integers that are clipped, rounded to nearest and stored as `i8`, without noise, by scales of the operands' format;
    /// none of others.
    pub(crate) fn of(config: &TensorConfig, int: IntNumerics) -> Option<Self> {
        let is_usual = int.storage == Storage::Int8
            && int.clip == Clip::ToRange
            && (int.rounding, int.zero) == (Rounding::Nearest, Zero::Preserved)
            && int.noise.is_none()
            && (A::FORMAT == Format::F32 || ScaleKind::of(config) == ScaleKind::Operand);
        let is_simple = (config.calibration, config.scale_rounding) == (Calibration::AbsMax, ScaleRounding::Exact);
        is_usual.then(|| Self {
            limit: A::FORMAT.round(int.clip_limit()),
            target: is_simple.then(|| scale_target(A::FORMAT, int)),
            arithmetic: PhantomData,
        })
    }

    /// Whether scales follow from nothing but the largest magnitude.
    pub(crate) fn calibrates(self) -> bool {
        self.target.is_some()
    }
}

impl<A: Arithmetic> Quantize for ToEightBits<A> {
    #[inline(always)]
    fn scales(self, largest: u32) -> [f32; 2] {
        scale_and_inverse(A::FORMAT, self.target.unwrap_or(1.0), bound(largest))
    }

    #[inline(always)]
    fn integer(self, x: f32, scale: f32) -> i32 {
        // Added to this, a magnitude of up to 2^22 is rounded to an integer, ties to even, in the lowest bits of the sum.
        const UNIT: f32 = 12_582_912.0;
        let scaled = A::FORMAT.round(x * scale);
        // As the minimum and maximum of vectors are: the second where one is NaN.
        let clipped = if scaled > -self.limit { scaled } else { -self.limit };
        let clipped = if clipped < self.limit { clipped } else { self.limit };
        let integer = (clipped + UNIT).to_bits() as i32 - UNIT.to_bits() as i32;
        if scaled.is_nan() { 0 } else { integer }
    }

    #[inline(always)]
    fn integer_of_any_scale(self, x: f32, scale: f32) -> i32 {
        i32::from(round_to_integer(clip(A::FORMAT.mul(x, scale), self.limit)) as i8)
    }

    // Times less than this a subnormal number is less than a half, so that it does not matter that it is zero.
    const LARGE_SCALE: f32 = f32::MAX / 8.0;

    fn limit(self) -> Option<f32> {
        (A::FORMAT == Format::F32).then_some(self.limit)
    }
}

/// A sum of integer products, converted, and multiplied by the inverse scale of the lhs and then of the rhs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Products<A>(pub(crate) A);

impl<A: Arithmetic> Rescale<f32> for Products<A> {
    #[inline(always)]
    fn output(self, sum: f32, lhs: f32, rhs: f32) -> f32 {
        let round = |x: f32| A::FORMAT.round(x);
        round(round(round(sum) * lhs) * rhs)
    }

    #[inline(always)]
    fn output_of_any(self, sum: f32, lhs: f32, rhs: f32) -> f32 {
        A::FORMAT.mul(A::FORMAT.mul(A::FORMAT.round(sum), lhs), rhs)
    }

    fn products<'o>(self, out: &'o Outputs<'o, f32>) -> Option<&'o Outputs<'o, f32>> {
        (A::FORMAT == Format::F32).then_some(out)
    }

    // An integer that is not zero is one or more, so nothing is subnormal, and nothing has to be flushed; the factor of two
    // is more than the roundings. Zero, infinity and NaN stay what they are.
    const LEAST: f32 = 2.0 * f32::MIN_POSITIVE;
}
