//! One quantized call, forward: quantize both sides, multiply, rescale.
//!
//! The order of operations, and with it every rounding, is the reference's: the sums are converted to the operands'
//! format, then multiplied by the inverse scale of the lhs, then by that of the rhs, each with one rounding.

use ndarray::{ArrayD, ArrayViewD, CowArray, IxDyn};

use crate::error::Result;
use crate::kernel::{self, IntSums};
use crate::lower::DimensionNumbers;
use crate::quant::{
    Accumulator, CallConfig, Dequantize, Format, Quantized, ScaleKind, Scales, TensorConfig, Values, quantize,
    update_scaled,
};
use crate::rng::{Key, SideKeys};

use super::rescale::{lhs_in_output_layout, rhs_in_output_layout};

/// Everything that a quantized call computes on its way to its output.
///
/// Values narrower than binary32 are given as the binary32 numbers that they are.
#[derive(Clone, PartialEq, Debug)]
pub struct CallRecord {
    /// The left side.
    pub lhs: SideRecord,
    /// The right side.
    pub rhs: SideRecord,
    /// The sums of products, before they are rescaled.
    pub sums: Sums,
    /// The result, in output layout (batch, lhs free, rhs free), before it is rounded to the operands' type: a constant
    /// bound with a scale rounded to a power of two leaves it in binary32.
    pub output: ArrayD<f32>,
}

/// One side of a call as it was quantized.
#[derive(Clone, PartialEq, Debug)]
pub struct SideRecord {
    /// What the values were multiplied by; none for a side that passes through. Extent 1 on axes that share a scale.
    pub scale: Option<ArrayD<f32>>,
    /// One over the scale.
    pub inverse_scale: Option<ArrayD<f32>>,
    /// The noise added before rounding, if any.
    pub noise: Option<ArrayD<f32>>,
    /// What was multiplied.
    pub factor: Factor,
}

/// What a side of a call is multiplied as.
#[derive(Clone, PartialEq, Debug)]
pub enum Factor {
    /// Eight-bit integers.
    Int8(ArrayD<i8>),
    /// Floats: unquantized, quantized but stored as floats, or dequantized before the dot.
    Float(ArrayD<f32>),
}

/// Sums of products.
#[derive(Clone, PartialEq, Debug)]
pub enum Sums {
    /// Exact sums of eight-bit products that fit 32 bits.
    I32(ArrayD<i32>),
    /// Exact sums of eight-bit products over contractions too long for 32 bits.
    I64(ArrayD<i64>),
    /// Float sums.
    Float(ArrayD<f32>),
}

/// A call that has run: its output, and the rest of it for whoever wants a record.
pub(crate) struct Computed<'a> {
    lhs: Side<'a>,
    rhs: Side<'a>,
    sums: Sums,
    pub(crate) output: ArrayD<f32>,
}

impl Computed<'_> {
    pub(crate) fn into_record(self) -> CallRecord {
        let Self { lhs, rhs, sums, output } = self;
        CallRecord { lhs: lhs.into_record(), rhs: rhs.into_record(), sums, output }
    }
}

/// What a side is multiplied as, and what its products are rescaled by.
struct Side<'a> {
    factor: SideFactor<'a>,
    scales: Option<Scales>,
    noise: Option<ArrayD<f32>>,
}

enum SideFactor<'a> {
    Int8(ArrayD<i8>),
    Float(CowArray<'a, f32, IxDyn>, Format),
}

/// Runs one call on operands whose values are of `format`.
pub(crate) fn dot_general<'a>(
    lhs: ArrayViewD<'a, f32>,
    rhs: ArrayViewD<'a, f32>,
    dims: &DimensionNumbers,
    format: Format,
    config: &CallConfig,
    keys: Option<SideKeys>,
) -> Result<Computed<'a>> {
    let ranks = (lhs.ndim(), rhs.ndim());
    let left = side(lhs, format, &dims.lhs_contracting(), &config.lhs, config.dequantize, keys.map(|keys| keys.lhs))?;
    let right = side(rhs, format, &dims.rhs_contracting(), &config.rhs, config.dequantize, keys.map(|keys| keys.rhs))?;
    let sum_format = sum_format(&left.factor, &right.factor, config.accumulator, format);
    let sums = multiply(&left.factor, &right.factor, dims, sum_format);
    let mut output = match &sums {
        // Each conversion is to nearest even: to binary32 first, then to the format.
        Sums::I32(sums) if format == Format::F32 => sums.mapv(|sum| sum as f32),
        Sums::I32(sums) => sums.mapv(|sum| format.round(sum as f32)),
        Sums::I64(sums) => sums.mapv(|sum| format.round(sum as f32)),
        Sums::Float(sums) => sums.mapv(|sum| format.round(sum)),
    };
    // A scale that widens what it meets leaves the output in binary32; the caller's conversion is then its last rounding.
    let mut working = format;
    if config.dequantize == Dequantize::Output {
        if let Some(scales) = &left.scales {
            let inverse = lhs_in_output_layout(&scales.inverse, dims, ranks.1);
            working = rescale(&mut output, &inverse, scales.kind, working);
        }
        if let Some(scales) = &right.scales {
            let inverse = rhs_in_output_layout(&scales.inverse, dims, ranks.0);
            rescale(&mut output, &inverse, scales.kind, working);
        }
    }
    Ok(Computed { lhs: left, rhs: right, sums, output })
}

impl Side<'_> {
    fn into_record(self) -> SideRecord {
        let (scale, inverse_scale) = match self.scales {
            Some(scales) => (Some(scales.scale), Some(scales.inverse)),
            None => (None, None),
        };
        let factor = match self.factor {
            SideFactor::Int8(values) => Factor::Int8(values),
            SideFactor::Float(values, _) => Factor::Float(values.into_owned()),
        };
        SideRecord { scale, inverse_scale, noise: self.noise, factor }
    }
}

fn side<'a>(
    x: ArrayViewD<'a, f32>,
    format: Format,
    contracting: &[usize],
    config: &TensorConfig,
    dequantize: Dequantize,
    key: Option<Key>,
) -> Result<Side<'a>> {
    let Some(&int) = config.int() else {
        return Ok(Side { factor: SideFactor::Float(x.into(), format), scales: None, noise: None });
    };
    let Quantized { values, scales, noise } = quantize(&x, format, contracting, config, int, key)?;
    let factor = match (values, dequantize) {
        (Values::Int8(values), _) => SideFactor::Int8(values),
        (Values::Float(values, format), Dequantize::Output) => SideFactor::Float(values.into(), format),
        (Values::Float(mut values, format), Dequantize::Inputs) => {
            let format = rescale(&mut values, &scales.inverse, scales.kind, format);
            SideFactor::Float(values.into(), format)
        }
    };
    Ok(Side { factor, scales: Some(scales), noise })
}

fn multiply(lhs: &SideFactor<'_>, rhs: &SideFactor<'_>, dims: &DimensionNumbers, format: Format) -> Sums {
    if let (SideFactor::Int8(left), SideFactor::Int8(right)) = (lhs, rhs) {
        return match kernel::dot_general_int8(left.view(), right.view(), dims) {
            IntSums::I32(sums) => Sums::I32(sums),
            IntSums::I64(sums) => Sums::I64(sums),
        };
    }
    let (left, right) = (lhs.as_floats(), rhs.as_floats());
    let mut sums = kernel::dot_general(left.view(), right.view(), dims);
    sums.mapv_inplace(|sum| format.round(sum));
    Sums::Float(sums)
}

/// The format that float sums are rounded to: the accumulator's, where one is set. Else eight-bit integers take the other
/// side's format, and a binary32 side widens the sums.
fn sum_format(lhs: &SideFactor<'_>, rhs: &SideFactor<'_>, accumulator: Accumulator, operand: Format) -> Format {
    let wide = |side: &SideFactor<'_>| matches!(side, SideFactor::Float(_, Format::F32));
    match accumulator {
        Accumulator::F32 => Format::F32,
        Accumulator::Auto if wide(lhs) || wide(rhs) => Format::F32,
        // I32 is for integers only.
        Accumulator::Auto | Accumulator::I32 | Accumulator::Bf16 | Accumulator::F16 => operand,
    }
}

impl SideFactor<'_> {
    fn as_floats(&self) -> CowArray<'_, f32, IxDyn> {
        match self {
            Self::Int8(values) => values.mapv(f32::from).into(),
            Self::Float(values, _) => values.view().into(),
        }
    }
}

/// Multiplies by a scale of extent 1 where it is shared; gives the format that the products have.
fn rescale(values: &mut ArrayD<f32>, scale: &ArrayD<f32>, kind: ScaleKind, format: Format) -> Format {
    let product = kind.product(format);
    match format {
        // For binary32 every kind of scale is one; said so, the loop vectorizes.
        Format::F32 => update_scaled(values, scale, |x, scale| Format::F32.mul(x, scale)),
        _ => update_scaled(values, scale, |x, scale| product.mul(x, kind.factor(scale, format))),
    }
    product
}
