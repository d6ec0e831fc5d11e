//! Eight-bit calls without anything between their operands and their result.
//!
//! Floats are quantized while they are packed for the kernel, and sums are rescaled as soon as they are whole. Each element
//! goes through the operations of [`QuantizedCall::compute`], in their order, so that the bits are the same.

use ndarray::{ArrayD, ArrayViewD};

use crate::error::Result;
use crate::kernel::{self, PackedSide, ScaledSide};
use crate::quant::{
    Dequantize, Format, Products, Quantized, Scales, TensorConfig, ToEightBits, Values, calibrate, quantize,
};
use crate::rng::Key;

use super::call::{Keep, QuantizedCall, Rescaled};
use super::side::{FrozenSide, Input};

/// Runs the call; none where it is of another kind.
pub(super) fn rescale(call: &QuantizedCall<'_>, keep: Keep) -> Result<Option<Rescaled>> {
    let QuantizedCall { lhs, rhs, dims, format, config, keys, order } = call;
    if *format != Format::F32 || config.dequantize != Dequantize::Output {
        return Ok(None);
    }
    let (left_axes, right_axes) = (dims.lhs_contracting(), dims.rhs_contracting());
    if !is_eight_bit(lhs, &config.lhs) || !is_eight_bit(rhs, &config.rhs) {
        return Ok(None);
    }
    let left = FusedSide::new(lhs, &left_axes, &config.lhs, keys.map(|keys| keys.lhs), keep)?;
    let right = FusedSide::new(rhs, &right_axes, &config.rhs, keys.map(|keys| keys.rhs), keep)?;
    let (Some(left), Some(right)) = (left, right) else { return Ok(None) };
    let output = kernel::dot_general_scaled(left.scaled(), right.scaled(), dims, order, Products);
    Ok(output.map(|output| Rescaled { output, format: Format::F32, scales: [left.into_scales(), right.into_scales()] }))
}

/// Whether a side is multiplied as eight-bit integers: nothing is computed for a call of which one is not.
fn is_eight_bit(input: &Input<'_>, config: &TensorConfig) -> bool {
    match input {
        Input::Array(_) => config.is_int8(),
        Input::Frozen(side, _) => matches!(side.values, Values::Int8(_)),
    }
}

/// A side that is, or is to be, eight-bit integers.
enum FusedSide<'a> {
    /// Floats that are calibrated and quantized while they are packed.
    Floats(ArrayViewD<'a, f32>, ToEightBits),
    /// Floats that are quantized while they are packed.
    Calibrated(ArrayViewD<'a, f32>, Scales, ToEightBits),
    /// Floats that were quantized before: with noise, or otherwise unusually.
    Integers(ArrayD<i8>, Scales),
    Frozen(&'a ArrayD<i8>, &'a FrozenSide, Option<&'a PackedSide>),
}

impl<'a> FusedSide<'a> {
    fn new(
        input: &'a Input<'_>,
        contracting: &[usize],
        config: &TensorConfig,
        key: Option<Key>,
        keep: Keep,
    ) -> Result<Option<Self>> {
        Ok(match (input, config.int()) {
            (Input::Frozen(side, packed), _) => match &side.values {
                Values::Int8(values) => Some(Self::Frozen(values, side, *packed)),
                Values::Float(..) => None,
            },
            (Input::Array(x), Some(&int)) => {
                let x = x.view();
                let to = ToEightBits::of(config, int);
                let is_empty = contracting.iter().any(|&axis| x.shape()[axis] == 0);
                match (to, keep) {
                    (Some(to), Keep::Output) if to.calibrates() && !is_empty => Some(Self::Floats(x, to)),
                    (Some(to), _) => {
                        let scales = calibrate(&x, Format::F32, contracting, config, int)?;
                        Some(Self::Calibrated(x, scales, to))
                    }
                    (None, _) => match quantize(&x, Format::F32, contracting, config, int, key)? {
                        Quantized { values: Values::Int8(values), scales, .. } => Some(Self::Integers(values, scales)),
                        Quantized { values: Values::Float(..), .. } => None,
                    },
                }
            }
            (Input::Array(_), None) => None,
        })
    }

    fn into_scales(self) -> Option<Scales> {
        match self {
            Self::Calibrated(_, scales, _) | Self::Integers(_, scales) => Some(scales),
            Self::Floats(..) | Self::Frozen(..) => None,
        }
    }

    /// The side as the kernel takes it.
    fn scaled(&self) -> ScaledSide<'_, f32, ToEightBits> {
        match self {
            Self::Floats(x, to) => ScaledSide::Elements { x: x.view(), quantize: *to, scales: kernel::Scales::Largest },
            Self::Calibrated(x, scales, to) => {
                let scales = kernel::Scales::Given { scales: scales.scale.view(), inverses: scales.inverse.view() };
                ScaledSide::Elements { x: x.view(), quantize: *to, scales }
            }
            Self::Integers(values, scales) => {
                ScaledSide::Integers { values: values.view(), inverses: scales.inverse.view(), packed: None }
            }
            Self::Frozen(values, side, packed) => {
                let (values, inverses) = (values.view(), side.inverse_scale.view());
                ScaledSide::Integers { values, inverses, packed: *packed }
            }
        }
    }
}
