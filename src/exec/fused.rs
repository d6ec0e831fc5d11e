//! Eight-bit calls without anything between their operands and their result.
//!
//! Floats are quantized while they are packed for the kernel, and sums are rescaled as soon as they are whole. Each element
//! goes through the operations of [`QuantizedCall::compute`], in their order, so that the bits are the same.

use ndarray::{ArrayD, ArrayViewD};

use crate::error::Result;
use crate::kernel::{self, PackedSide, ScaledSide};
use crate::quant::{
    Arithmetic, Bfloat16, Binary16, Binary32, Dequantize, Format, Part, Products, Quantized, ScaleKind, Scales,
    TensorConfig, ToEightBits, Values, calibrate, quantize,
};
use crate::rng::Key;

use super::call::{Keep, QuantizedCall, Rescaled};
use super::side::{FrozenSide, Input};

/// Runs the call; none where it is of another kind.
pub(super) fn rescale(call: &QuantizedCall<'_>, keep: Keep) -> Result<Option<Rescaled>> {
    match call.format {
        Format::F32 => rescale_in(Binary32, call, keep),
        Format::Bf16 => rescale_in(Bfloat16, call, keep),
        Format::F16 => rescale_in(Binary16, call, keep),
    }
}

/// The same of a call whose operands have this format.
fn rescale_in<A: Arithmetic>(arithmetic: A, call: &QuantizedCall<'_>, keep: Keep) -> Result<Option<Rescaled>> {
    let QuantizedCall { lhs, rhs, dims, config, keys, order, parts, .. } = call;
    // Sums that others have terms of are not whole when a kernel could rescale them.
    if config.dequantize != Dequantize::Output || parts.terms.is_some() {
        return Ok(None);
    }
    let (left_axes, right_axes) = (dims.lhs_contracting(), dims.rhs_contracting());
    if !is_eight_bit::<A>(lhs, &config.lhs) || !is_eight_bit::<A>(rhs, &config.rhs) {
        return Ok(None);
    }
    let left = FusedSide::<A>::new(lhs, &left_axes, &config.lhs, keys.map(|keys| keys.lhs), parts.sides[0], keep)?;
    let right = FusedSide::<A>::new(rhs, &right_axes, &config.rhs, keys.map(|keys| keys.rhs), parts.sides[1], keep)?;
    let (Some(left), Some(right)) = (left, right) else { return Ok(None) };
    let output = kernel::dot_general_scaled(left.scaled(), right.scaled(), dims, order, Products(arithmetic));
    Ok(output.map(|output| Rescaled { output, format: A::FORMAT, scales: [left.into_scales(), right.into_scales()] }))
}

/// Whether a side is multiplied as eight-bit integers, with scales of its format: nothing is computed for a call of which one
/// is not.
fn is_eight_bit<A: Arithmetic>(input: &Input<'_>, config: &TensorConfig) -> bool {
    let (is_int8, kind) = match input {
        Input::Array(_) => (config.is_int8(), ScaleKind::of(config)),
        Input::Frozen(side, _) => (matches!(side.values, Values::Int8(_)), side.kind),
    };
    // For binary32 operands every kind of scale is one.
    is_int8 && (A::FORMAT == Format::F32 || kind == ScaleKind::Operand)
}

/// A side that is, or is to be, eight-bit integers.
enum FusedSide<'a, A> {
    /// Floats that are calibrated and quantized while they are packed.
    Floats(ArrayViewD<'a, f32>, ToEightBits<A>),
    /// Floats that are quantized while they are packed.
    Calibrated(ArrayViewD<'a, f32>, Scales, ToEightBits<A>),
    /// Floats that were quantized before: with noise, or otherwise unusually.
    Integers(ArrayD<i8>, Scales),
    Frozen(&'a ArrayD<i8>, &'a FrozenSide, Option<&'a PackedSide>),
}

impl<'a, A: Arithmetic> FusedSide<'a, A> {
    fn new(
        input: &'a Input<'_>,
        contracting: &[usize],
        config: &TensorConfig,
        key: Option<Key>,
        part: Part<'_>,
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
                        let scales = calibrate(&x, A::FORMAT, contracting, config, int, part)?;
                        Some(Self::Calibrated(x, scales, to))
                    }
                    (None, _) => match quantize(&x, A::FORMAT, contracting, config, int, key, part)? {
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
    fn scaled(&self) -> ScaledSide<'_, f32, ToEightBits<A>> {
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
