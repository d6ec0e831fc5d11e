//! From an array and its scales to integers.
//!
//! Noise is drawn while it is added: nothing of it is stored.

use ndarray::{ArrayD, ArrayViewD};

use crate::error::Result;
use crate::kernel::{LentArray, lent_floats};
use crate::rng::{ArrayNoise, Key};

use super::calibration::{Scales, calibrate};
use super::config::{IntNumerics, Storage, TensorConfig};
use super::format::Format;
use super::part::Part;
use super::step::Step;

/// A quantized array: integers, and what they are to be multiplied by.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Quantized {
    pub(crate) values: Values,
    pub(crate) scales: Scales,
    /// The noise that was added, where the configuration has any; drawn again by whoever wants to see it.
    pub(crate) noise: Option<ArrayNoise>,
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
/// Noise, where configured, is drawn from `key` in the row-major order of `x`, or of what it is a part of.
pub(crate) fn quantize(
    x: &ArrayViewD<'_, f32>,
    format: Format,
    axes: &[usize],
    config: &TensorConfig,
    int: IntNumerics,
    key: Option<Key>,
    part: Part<'_>,
) -> Result<Quantized> {
    let scales = calibrate(x, format, axes, config, int, part)?;
    let noise = noise(x, int, key, part);
    let values = values(x, format, &scales, int, noise.as_ref());
    Ok(Quantized { values, scales, noise })
}

fn values(
    x: &ArrayViewD<'_, f32>,
    format: Format,
    scales: &Scales,
    int: IntNumerics,
    noise: Option<&ArrayNoise>,
) -> Values {
    let step = Step::new(int, scales.kind, format);
    match int.storage {
        Storage::Int8 => Values::Int8(step.bytes(x, scales, noise, int).unwrap_or_else(|| {
            // A float to integer cast saturates, truncates towards zero and makes NaN 0, as the reference's does.
            step.run(x, scales, noise, |value| value as i8, vec![0; x.len()])
        })),
        Storage::Float => Values::Float(step.run(x, scales, noise, |value| value, vec![0.0; x.len()]), step.format),
    }
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
    part: Part<'_>,
) -> LentArray {
    let (noise, room) = (noise(x, int, key, part), lent_floats(x.len()));
    LentArray::new(Step::new(int, scales.kind, format).run(x, scales, noise.as_ref(), |value| value, room))
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
    match gradient_format {
        Format::F32 | Format::F16 => {
            step.mask(gradient, x, scales, limit, |gradient, mask| if mask == 0.0 { 0.0 } else { gradient });
        }
        Format::Bf16 => step.mask(gradient, x, scales, limit, |gradient, mask| Format::Bf16.mul(gradient, mask)),
    }
}

/// The noise of a format for `x`, in the row-major order of `x`; none where it has none.
fn noise(x: &ArrayViewD<'_, f32>, int: IntNumerics, key: Option<Key>, part: Part<'_>) -> Option<ArrayNoise> {
    Some(ArrayNoise::new(int.noise?, key?, x.len(), part.window))
}
