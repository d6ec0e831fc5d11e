//! From an array and its scales to integers.
//!
//! Scale, add noise, clip, round, and store: each step rounds once in the format of the reference.

use ndarray::{ArrayD, ArrayViewD, IxDyn, Zip};

use crate::error::Result;
use crate::rng::Key;

use super::calibration::{Scales, calibrate};
use super::config::{Clip, IntNumerics, Rounding, Storage, TensorConfig, Zero};
use super::format::Format;

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
    let noise = match (int.noise, key) {
        (Some(noise), Some(key)) => {
            let drawn = noise.values(key, x.len());
            // The shape has as many elements as were drawn.
            Some(ArrayD::from_shape_vec(IxDyn(x.shape()), drawn).unwrap_or_default())
        }
        _ => None,
    };
    let step = Step::new(int, &scales, format);
    let values = match int.storage {
        Storage::Int8 => Values::Int8(map(x, &scales, noise.as_ref(), |x, scale, noise| {
            // A float to integer cast saturates, truncates towards zero and makes NaN 0, as the reference's does.
            step.apply(x, scale, noise) as i8
        })),
        Storage::Float => {
            let values = map(x, &scales, noise.as_ref(), |x, scale, noise| step.apply(x, scale, noise));
            Values::Float(values, step.format)
        }
    };
    Ok(Quantized { values, scales, noise })
}

/// What happens to each element, with everything that is the same for all of them.
struct Step<'a> {
    int: IntNumerics,
    scales: &'a Scales,
    /// The operands' format.
    operand: Format,
    /// The format of the scaled values.
    format: Format,
    limit: f32,
}

impl<'a> Step<'a> {
    fn new(int: IntNumerics, scales: &'a Scales, operand: Format) -> Self {
        let format = scales.kind.product(operand);
        Self { int, scales, operand, format, limit: format.round(int.clip_limit()) }
    }

    fn apply(&self, x: f32, scale: f32, noise: Option<f32>) -> f32 {
        let scaled = self.format.mul(x, self.scales.kind.factor(scale, self.operand));
        let noisy = noise.map_or(scaled, |noise| self.format.add(scaled, noise));
        let clipped = match self.int.clip {
            // Comparisons, so that NaN stays NaN.
            Clip::ToRange if noisy > self.limit => self.limit,
            Clip::ToRange if noisy < -self.limit => -self.limit,
            Clip::ToRange | Clip::Unclipped => noisy,
        };
        match (self.int.rounding, self.int.zero) {
            (Rounding::Unrounded, _) => clipped,
            (Rounding::Nearest, Zero::Preserved) => clipped.round_ties_even(),
            (Rounding::Nearest, Zero::Halfway) => self.format.add(clipped.floor(), 0.5),
        }
    }
}

/// Maps every element with its scale and its noise; the result is in row-major order.
fn map<T: Default + Clone>(
    x: &ArrayViewD<'_, f32>,
    scales: &Scales,
    noise: Option<&ArrayD<f32>>,
    f: impl Fn(f32, f32, Option<f32>) -> T,
) -> ArrayD<T> {
    let mut out = ArrayD::from_elem(IxDyn(x.shape()), T::default());
    let Some(scale) = scales.scale.broadcast(x.raw_dim()) else { return out };
    match noise {
        None => Zip::from(&mut out).and(x).and(&scale).for_each(|out, &x, &scale| *out = f(x, scale, None)),
        Some(noise) => Zip::from(&mut out)
            .and(x)
            .and(&scale)
            .and(noise)
            .for_each(|out, &x, &scale, &noise| *out = f(x, scale, Some(noise))),
    }
    out
}
