//! From an array and its scales to integers.
//!
//! Scale, add noise, clip, round, and store: each step rounds once in the format of the reference.
#![allow(clippy::inline_always, reason = "loops over these vectorize only where the format is known to be one")]

use ndarray::{ArrayD, ArrayViewD, IxDyn};

use crate::error::Result;
use crate::rng::Key;

use super::calibration::{ScaleKind, Scales, calibrate};
use super::config::{Clip, IntNumerics, Rounding, Storage, TensorConfig, Zero};
use super::format::{Format, round_to_integer};
use super::rows::{map_scaled, update_scaled};

/// A quantized array: integers, and what they are to be multiplied by.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Quantized {
    pub(crate) values: Values,
    pub(crate) scales: Scales,
    /// The noise that was added, where the configuration has any.
    pub(crate) noise: Option<ArrayD<f32>>,
}

/// Quantized values as they are multiplied.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Values {
    Int8(ArrayD<i8>),
    /// Integers (or half integers) held as floats of this format.
    Float(ArrayD<f32>, Format),
}

/// Quantizes `x`, whose values are of `format`, with one scale over `axes`.
///
/// Noise, where configured, is drawn from `key` in the row-major order of `x`.
pub(crate) fn quantize(
    x: &ArrayViewD<'_, f32>,
    format: Format,
    axes: &[usize],
    config: &TensorConfig,
    int: IntNumerics,
    key: Option<Key>,
) -> Result<Quantized> {
    let scales = calibrate(x, format, axes, config, int)?;
    let noise = draw(x, int, key);
    let step = Step::new(int, scales.kind, format);
    let values = match int.storage {
        // A float to integer cast saturates, truncates towards zero and makes NaN 0, as the reference's does.
        Storage::Int8 => Values::Int8(step.run(x, &scales, noise.as_ref(), |value| value as i8)),
        Storage::Float => Values::Float(step.run(x, &scales, noise.as_ref(), |value| value), step.format),
    };
    Ok(Quantized { values, scales, noise })
}

/// What [`quantize`] made of `x` with these scales and this key, as the floats that they were before they were stored.
///
/// A stored eight-bit integer has lost the sign of zero and, unclipped, its magnitude; the gradient's call takes what
/// was there before.
pub(crate) fn quantized_floats(
    x: &ArrayViewD<'_, f32>,
    format: Format,
    scales: &Scales,
    int: IntNumerics,
    key: Option<Key>,
) -> ArrayD<f32> {
    Step::new(int, scales.kind, format).run(x, scales, draw(x, int, key).as_ref(), |value| value)
}

/// Blocks the gradient of `x` where its scaled values, before noise, lie beyond the clip limit.
///
/// In binary32 and binary16 what is blocked becomes +0, whatever it was; in bfloat16 it is multiplied by zero, so its
/// sign and NaN stay. `gradient` has the shape of `x` and values of `gradient_format`.
pub(crate) fn mask_gradient(
    gradient: &mut ArrayD<f32>,
    gradient_format: Format,
    x: &ArrayViewD<'_, f32>,
    format: Format,
    scales: &Scales,
    int: IntNumerics,
) {
    let step = Step::new(int, scales.kind, format);
    // The limit holds for gradients even where values are not clipped. bfloat16 compares in binary32, with a limit that was
    // never rounded: of more than nine bits, the largest values that it has lie beyond.
    let limit = match step.format {
        Format::F16 => Format::F16.round(int.clip_limit()),
        Format::F32 | Format::Bf16 => int.clip_limit(),
    };
    let mask = map_scaled(x, &scales.scale, move |x, scale| {
        let scaled = step.scale(x, scale);
        if -limit <= scaled && scaled <= limit { 1.0 } else { 0.0 }
    });
    match gradient_format {
        Format::F32 | Format::F16 => {
            update_scaled(gradient, &mask, |gradient, mask| if mask == 0.0 { 0.0 } else { gradient });
        }
        Format::Bf16 => update_scaled(gradient, &mask, |gradient, mask| Format::Bf16.mul(gradient, mask)),
    }
}

/// The noise of a format for `x`, in the row-major order of `x`; none where it has none.
fn draw(x: &ArrayViewD<'_, f32>, int: IntNumerics, key: Option<Key>) -> Option<ArrayD<f32>> {
    let drawn = int.noise?.values(key?, x.len());
    Some(ArrayD::from_shape_vec(IxDyn(x.shape()), drawn).expect("one is drawn per element"))
}

/// What happens to each element, with everything that is the same for all of them.
#[derive(Clone, Copy)]
struct Step {
    kind: ScaleKind,
    /// The operands' format.
    operand: Format,
    /// The format of the scaled values.
    format: Format,
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
    fn new(int: IntNumerics, kind: ScaleKind, operand: Format) -> Self {
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

    fn run<T: Clone + Default>(
        self,
        x: &ArrayViewD<'_, f32>,
        scales: &Scales,
        noise: Option<&ArrayD<f32>>,
        store: impl Fn(f32) -> T + Copy,
    ) -> ArrayD<T> {
        match (noise, self.operand, self.target) {
            (None, Format::F32, Target::Integer) => {
                // The usual case, with all that is known of it known to the compiler: binary32 makes all scales one kind.
                let limit = self.limit;
                map_scaled(x, &scales.scale, move |x, scale| {
                    store(round_to_integer(clip(Format::F32.mul(x, scale), limit)))
                })
            }
            (None, ..) => map_scaled(x, &scales.scale, move |x, scale| store(self.finish(self.scale(x, scale)))),
            (Some(noise), ..) => {
                let mut scaled = map_scaled(x, &scales.scale, move |x, scale| self.scale(x, scale));
                update_scaled(&mut scaled, noise, move |scaled, noise| self.format.add(scaled, noise));
                scaled.mapv(|noisy| store(self.finish(noisy)))
            }
        }
    }

    fn scale(self, x: f32, scale: f32) -> f32 {
        self.format.mul(x, self.kind.factor(scale, self.operand))
    }

    /// Clips and rounds.
    fn finish(self, value: f32) -> f32 {
        let value = clip(value, self.limit);
        match self.target {
            Target::Nothing => value,
            Target::Integer => round_to_integer(value),
            Target::HalfInteger => self.format.add(value.floor(), 0.5),
        }
    }
}

/// `value` within ±`limit`; comparisons leave NaN as it is.
#[inline(always)]
pub(super) fn clip(value: f32, limit: f32) -> f32 {
    // From below first, and ties take the limit: where the limit is 0, everything becomes +0.
    let value = if value < -limit { -limit } else { value };
    if value >= limit { limit } else { value }
}
