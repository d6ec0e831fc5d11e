//! What happens to each element: scaled, noise added, clipped, rounded and stored.
//!
//! Each operation rounds once in the format of the reference.
#![allow(clippy::inline_always, reason = "loops over these vectorize only where the format is known to be one")]

use std::borrow::Cow;

use ndarray::{ArrayD, ArrayViewD};

use crate::rng::ArrayNoise;

use super::calibration::{ScaleKind, Scales};
use super::config::{Clip, IntNumerics, Rounding, Storage, Zero};
use super::format::{Format, flush, round_to_integer};
use super::rows::{map_scaled, map_scaled_in, update_beside};

/// Everything that is the same for all elements.
#[derive(Clone, Copy)]
pub(super) struct Step {
    kind: ScaleKind,
    /// The operands' format.
    operand: Format,
    /// The format of the scaled values.
    pub(super) format: Format,
    /// What values are clipped to; infinite where they are not.
    limit: f32,
    target: Target,
}

/// What scaled values are rounded to.
#[derive(Clone, Copy)]
enum Target {
    Nothing,
    Integer,
    HalfInteger,
}

impl Step {
    pub(super) fn new(int: IntNumerics, kind: ScaleKind, operand: Format) -> Self {
        let format = kind.product(operand);
        let limit = match int.clip {
            Clip::ToRange => format.round(int.clip_limit()),
            Clip::Unclipped => f32::INFINITY,
        };
        let target = match (int.rounding, int.zero) {
            (Rounding::Unrounded, _) => Target::Nothing,
            (Rounding::Nearest, Zero::Preserved) => Target::Integer,
            (Rounding::Nearest, Zero::Halfway) => Target::HalfInteger,
        };
        Self { kind, operand, format, limit, target }
    }

    /// What becomes of every element, stored by `store`.
    pub(super) fn run<T: Copy + Default + Send>(
        self,
        x: &ArrayViewD<'_, f32>,
        scales: &Scales,
        noise: Option<&ArrayNoise>,
        store: impl Fn(f32) -> T + Copy + Sync,
        room: Vec<T>,
    ) -> ArrayD<T> {
        let (scale, limit) = (&*self.factors(scales), self.limit);
        let integer = move |value| store(round_to_integer(clip(value, limit)));
        match (self.target, self.format) {
            // The usual target. The format is given as a function that the compiler knows, so that loops are made for it.
            (Target::Integer, Format::F32) => each(x, scale, noise, || Format::F32, integer, room),
            (Target::Integer, Format::Bf16) => each(x, scale, noise, || Format::Bf16, integer, room),
            (Target::Integer, Format::F16) => each(x, scale, noise, || Format::F16, integer, room),
            (Target::Nothing | Target::HalfInteger, format) => {
                each(x, scale, noise, move || format, move |value| store(self.finish(value)), room)
            }
        }
    }

    /// The same in fewer operations where integers of up to eight bits are made, clipped and rounded to nearest; none where
    /// others are.
    pub(super) fn bytes(
        self,
        x: &ArrayViewD<'_, f32>,
        scales: &Scales,
        noise: Option<&ArrayNoise>,
        int: IntNumerics,
    ) -> Option<ArrayD<i8>> {
        let Target::Integer = self.target else { return None };
        if int.storage != Storage::Int8 || int.clip != Clip::ToRange {
            return None;
        }
        let (scale, limit) = (&*self.factors(scales), self.limit);
        let byte = move |value| byte(value, limit);
        Some(match (self.format, noise) {
            (Format::F32, None) => map_scaled(x, scale, None, move |x, scale, _| byte(flush(x) * flush(scale))),
            (Format::F32, Some(_)) => map_scaled(x, scale, noise, move |x, scale, noise| {
                // A subnormal product is as good as the zero that it should be: noise is zero or much larger, so that the
                // sum is the noise. For the same reason no sum of a product and noise is subnormal.
                byte(flush(x) * flush(scale) + noise)
            }),
            (Format::Bf16, _) => each(x, scale, noise, || Format::Bf16, byte, vec![0; x.len()]),
            (Format::F16, _) => each(x, scale, noise, || Format::F16, byte, vec![0; x.len()]),
        })
    }

    /// Makes of the gradient of every element what `masked` makes of it and of a mask: 1 where the scaled element lies within
    /// `limit`, else 0.
    pub(super) fn mask(
        self,
        gradient: &mut ArrayD<f32>,
        x: &ArrayViewD<'_, f32>,
        scales: &Scales,
        limit: f32,
        masked: impl Fn(f32, f32) -> f32 + Copy + Sync,
    ) {
        let scale = &*self.factors(scales);
        match self.format {
            Format::F32 => mask(gradient, x, scale, limit, || Format::F32, masked),
            Format::Bf16 => mask(gradient, x, scale, limit, || Format::Bf16, masked),
            Format::F16 => mask(gradient, x, scale, limit, || Format::F16, masked),
        }
    }

    /// The scales as they enter products.
    fn factors(self, scales: &Scales) -> Cow<'_, ArrayD<f32>> {
        match (self.operand, self.kind) {
            (Format::F16, ScaleKind::Weak) => {
                Cow::Owned(scales.scale.mapv(|scale| self.kind.factor(scale, self.operand)))
            }
            _ => Cow::Borrowed(&scales.scale),
        }
    }

    /// Clips and rounds.
    #[inline(always)]
    fn finish(self, value: f32) -> f32 {
        let value = clip(value, self.limit);
        match self.target {
            Target::Nothing => value,
            Target::Integer => round_to_integer(value),
            Target::HalfInteger => self.format.add(value.floor(), 0.5),
        }
    }
}

/// What `finish` makes of every element once it is scaled and has its noise.
fn each<T: Copy + Default + Send>(
    x: &ArrayViewD<'_, f32>,
    scale: &ArrayD<f32>,
    noise: Option<&ArrayNoise>,
    format: impl Fn() -> Format + Copy + Sync,
    finish: impl Fn(f32) -> T + Copy + Sync,
    room: Vec<T>,
) -> ArrayD<T> {
    match noise {
        None => map_scaled_in(room, x, scale, None, move |x, scale, _| finish(format().mul(x, scale))),
        Some(_) => map_scaled_in(room, x, scale, noise, move |x, scale, noise| {
            finish(format().add(format().mul(x, scale), noise))
        }),
    }
}

fn mask(
    gradient: &mut ArrayD<f32>,
    x: &ArrayViewD<'_, f32>,
    scale: &ArrayD<f32>,
    limit: f32,
    format: impl Fn() -> Format + Copy + Sync,
    masked: impl Fn(f32, f32) -> f32 + Copy + Sync,
) {
    update_beside(gradient, x, scale, move |gradient, x, scale| {
        let scaled = format().mul(x, scale);
        masked(gradient, if -limit <= scaled && scaled <= limit { 1.0 } else { 0.0 })
    });
}

/// `value` within ±`limit`; comparisons leave NaN as it is.
#[inline(always)]
pub(super) fn clip(value: f32, limit: f32) -> f32 {
    // From below first, and ties take the limit: where the limit is 0, everything becomes +0.
    let value = if value < -limit { -limit } else { value };
    if value >= limit { limit } else { value }
}

/// The nearest integer within a limit of at most 127, ties to even; of NaN, zero.
#[inline(always)]
fn byte(value: f32, limit: f32) -> i8 {
    // Added to this, a magnitude of up to 2^22 is rounded to an integer, ties to even, in the lowest bits of the sum.
    const UNIT: f32 = 12_582_912.0;
    // As the minimum and maximum of vectors are: the second where one is NaN.
    let clipped = if value > -limit { value } else { -limit };
    let clipped = if clipped < limit { clipped } else { limit };
    let integer = (clipped + UNIT).to_bits() as i32 - UNIT.to_bits() as i32;
    if value.is_nan() { 0 } else { integer as i8 }
}
