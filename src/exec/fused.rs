//! Eight-bit calls without anything between their operands and their result.
//!
//! Floats are quantized while they are packed for the kernel, and sums are rescaled as soon as they are whole. Each element
//! goes through the operations of [`QuantizedCall::compute`], in their order, so that the bits are the same.

use ndarray::{ArrayD, ArrayViewD};

use crate::error::Result;
use crate::kernel::{self, ScaledElements, ScaledSide};
use crate::quant::{Dequantize, Format, Quantized, Scales, TensorConfig, ToEightBits, Values, calibrate, quantize};
use crate::rng::Key;

use super::call::{QuantizedCall, Rescaled};
use super::rescale::own_axes;
use super::side::{FrozenSide, Input};

/// Runs the call; none where it is of another kind.
pub(super) fn rescale(call: &QuantizedCall<'_>) -> Result<Option<Rescaled>> {
    let QuantizedCall { lhs, rhs, dims, format, config, keys } = call;
    if *format != Format::F32 || config.dequantize != Dequantize::Output {
        return Ok(None);
    }
    let (left_axes, right_axes) = (dims.lhs_contracting(), dims.rhs_contracting());
    if !is_eight_bit(lhs, &config.lhs) || !is_eight_bit(rhs, &config.rhs) {
        return Ok(None);
    }
    let left = FusedSide::new(lhs, &left_axes, &config.lhs, keys.map(|keys| keys.lhs))?;
    let right = FusedSide::new(rhs, &right_axes, &config.rhs, keys.map(|keys| keys.rhs))?;
    let (Some(left), Some(right)) = (left, right) else { return Ok(None) };
    let positions = |scale: &ArrayD<f32>, batch: &[usize], free: &[usize], contracting: &[usize]| {
        own_axes(scale, batch, free, contracting).as_standard_layout().into_owned()
    };
    let lhs_positions =
        |scale: &ArrayD<f32>| positions(scale, &dims.lhs_batch(), &dims.lhs_free(scale.ndim()), &left_axes);
    let rhs_positions =
        |scale: &ArrayD<f32>| positions(scale, &dims.rhs_batch(), &dims.rhs_free(scale.ndim()), &right_axes);
    let (left_scales, right_scales) = (left.scale().map(lhs_positions), right.scale().map(rhs_positions));
    let (left_inverses, right_inverses) = (lhs_positions(left.inverse()), rhs_positions(right.inverse()));
    let left_side = left.scaled(left_scales.as_ref(), &left_inverses);
    let right_side = right.scaled(right_scales.as_ref(), &right_inverses);
    let output = if products_are_normal(&left_inverses, &right_inverses) {
        kernel::dot_general_scaled(left_side, right_side, dims, |sum, lhs, rhs| sum as f32 * lhs * rhs)
    } else {
        kernel::dot_general_scaled(left_side, right_side, dims, |sum, lhs, rhs| {
            Format::F32.mul(Format::F32.mul(sum as f32, lhs), rhs)
        })
    };
    Ok(output.map(|output| Rescaled { output, format: Format::F32, scales: [left.into_scales(), right.into_scales()] }))
}

/// Whether nothing that integers are multiplied with by these is subnormal, so that nothing has to be flushed.
fn products_are_normal(left: &ArrayD<f32>, right: &ArrayD<f32>) -> bool {
    // Zero, infinity and NaN stay what they are, and what they make is none either.
    let least = |inverses: &ArrayD<f32>| {
        let magnitudes = inverses.iter().map(|inverse| inverse.abs()).filter(|&inverse| inverse != 0.0);
        magnitudes.fold(f32::INFINITY, f32::min)
    };
    let (left, right) = (least(left), least(right));
    // An integer that is not zero is one or more; the factor of two is more than the roundings.
    left >= f32::MIN_POSITIVE && right >= f32::MIN_POSITIVE && left * right >= 2.0 * f32::MIN_POSITIVE
}

/// Whether a side is multiplied as eight-bit integers: nothing is computed for a call of which one is not.
fn is_eight_bit(input: &Input<'_>, config: &TensorConfig) -> bool {
    match input {
        Input::Array(_) => config.is_int8(),
        Input::Frozen(side) => matches!(side.values, Values::Int8(_)),
    }
}

/// A side that is, or is to be, eight-bit integers.
enum FusedSide<'a> {
    /// Floats that are quantized while they are packed.
    Floats(ArrayViewD<'a, f32>, Scales, ToEightBits),
    /// Floats that were quantized before: with noise, or otherwise unusually.
    Integers(ArrayD<i8>, Scales),
    Frozen(&'a ArrayD<i8>, &'a FrozenSide),
}

impl<'a> FusedSide<'a> {
    fn new(
        input: &'a Input<'_>,
        contracting: &[usize],
        config: &TensorConfig,
        key: Option<Key>,
    ) -> Result<Option<Self>> {
        Ok(match (input, config.int()) {
            (Input::Frozen(side), _) => match &side.values {
                Values::Int8(values) => Some(Self::Frozen(values, side)),
                Values::Float(..) => None,
            },
            (Input::Array(x), Some(&int)) => {
                let x = x.view();
                let scales = calibrate(&x, Format::F32, contracting, config, int)?;
                match ToEightBits::of(int, &scales) {
                    Some(to) => Some(Self::Floats(x, scales, to)),
                    None => match quantize(&x, Format::F32, contracting, config, int, key)? {
                        Quantized { values: Values::Int8(values), scales, .. } => Some(Self::Integers(values, scales)),
                        Quantized { values: Values::Float(..), .. } => None,
                    },
                }
            }
            (Input::Array(_), None) => None,
        })
    }

    fn scale(&self) -> Option<&ArrayD<f32>> {
        match self {
            Self::Floats(_, scales, _) => Some(&scales.scale),
            Self::Integers(..) | Self::Frozen(..) => None,
        }
    }

    fn inverse(&self) -> &ArrayD<f32> {
        match self {
            Self::Floats(_, scales, _) | Self::Integers(_, scales) => &scales.inverse,
            Self::Frozen(_, side) => &side.inverse_scale,
        }
    }

    fn into_scales(self) -> Option<Scales> {
        match self {
            Self::Floats(_, scales, _) | Self::Integers(_, scales) => Some(scales),
            Self::Frozen(..) => None,
        }
    }

    /// The side as the kernel takes it, with scales and inverse scales in the order of batch and free positions.
    fn scaled<'s>(
        &'s self,
        scale: Option<&'s ArrayD<f32>>,
        inverse: &'s ArrayD<f32>,
    ) -> ScaledSide<'s, impl Fn(f32, f32) -> i32 + Copy + Sync> {
        // Of a shared scale, and where there is one position only, there is one.
        let each = |scale: &'s ArrayD<f32>| match scale.as_slice() {
            Some(&[one]) => kernel::Scales::Shared(one),
            all => kernel::Scales::Each(all.unwrap_or_default()),
        };
        let elements = match (self, scale) {
            (Self::Floats(x, _, to), Some(scale)) => {
                let to = *to;
                ScaledElements::Floats(x.view(), each(scale), move |x, scale| to.integer(x, scale))
            }
            (Self::Integers(values, _), _) => ScaledElements::Integers(values.view()),
            (Self::Frozen(values, _), _) => ScaledElements::Integers(values.view()),
            (Self::Floats(..), None) => unreachable!("floats have scales"),
        };
        ScaledSide { elements, inverses: each(inverse) }
    }
}
