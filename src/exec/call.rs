//! One quantized call, forward: quantize both sides, multiply, rescale.
//!
//! The order of operations, and with it every rounding, is the reference's: the sums are converted to the operands'
//! format, then multiplied by the inverse scale of the lhs, then by that of the rhs, each with one rounding.

use ndarray::ArrayD;

use crate::cancel;
use crate::error::Result;
use crate::kernel::{self, IntSums, Order};
use crate::lower::DimensionNumbers;
use crate::quant::{Accumulator, CallConfig, Dequantize, Format, Scales};
use crate::rng::SideKeys;

use super::fused;
use super::rescale::{lhs_in_output_layout, rescale, rhs_in_output_layout};
use super::shared_terms::{CallParts, SharedTerms};
use super::side::{Input, Side, SideFactor, SideRecord};

/// Everything that a quantized call computes on its way to its output.
///
/// Values narrower than binary32 are given as the binary32 numbers that they are.
///
/// ```
/// use ndarray::array;
/// use qeinsum::{DimensionNumbers, DotGeneralConfig, QDotGeneral, Sums};
/// let dot = QDotGeneral::new(DimensionNumbers::new([], [(1, 0)])?, DotGeneralConfig::v4().build()?);
/// let record = dot.record(&array![[1.0_f32, -0.5]], &array![[0.0_f32], [2.0]], None)?;
/// assert_eq!(record.lhs.scale, Some(array![[127.5]].into_dyn()));
/// assert_eq!(record.sums, Sums::I32(array![[-64 * 127]].into_dyn())); // -63.75 is rounded, and 127.5 clipped
/// assert!((record.output[[0, 0]] - -1.0).abs() < 0.01);
/// # Ok::<(), qeinsum::Error>(())
/// ```
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

/// Sums of products.
///
/// ```
/// use ndarray::array;
/// use qeinsum::{DimensionNumbers, DotGeneralConfig, QDotGeneral, Sums};
/// let dot = QDotGeneral::new(DimensionNumbers::new([], [(1, 0)])?, DotGeneralConfig::v4().build()?);
/// let record = dot.record(&array![[1.0_f32, -0.5]], &array![[0.0_f32], [2.0]], None)?;
/// match record.sums {
///     Sums::I32(sums) => assert_eq!(sums, array![[-64 * 127]].into_dyn()),
///     Sums::I64(_) => unreachable!("two terms fit 32 bits"),
///     Sums::Float(_) => unreachable!("both sides are int8"),
/// }
/// # Ok::<(), qeinsum::Error>(())
/// ```
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
    /// The format of the output, before it is rounded to the operands' type.
    pub(crate) format: Format,
}

impl Computed<'_> {
    pub(crate) fn into_record(self) -> CallRecord {
        let Self { lhs, rhs, sums, output, .. } = self;
        CallRecord { lhs: lhs.into_record(), rhs: rhs.into_record(), sums, output }
    }
}

/// What a call gives to those who want no record of it.
pub(crate) struct Rescaled {
    pub(crate) output: ArrayD<f32>,
    /// The format of the output, before it is rounded to the operands' type.
    pub(crate) format: Format,
    /// The scales that were computed for the two sides, where they are to be kept.
    pub(crate) scales: [Option<Scales>; 2],
}

/// One call, ready to run.
pub(crate) struct QuantizedCall<'a> {
    pub(crate) lhs: Input<'a>,
    pub(crate) rhs: Input<'a>,
    pub(crate) dims: &'a DimensionNumbers,
    /// That of float values on both sides.
    pub(crate) format: Format,
    pub(crate) config: CallConfig,
    pub(crate) keys: Option<SideKeys>,
    /// In which order the axes of the result are to lie in memory, if it matters.
    pub(crate) order: Order,
    /// What of it this rank has, and what others have.
    pub(crate) parts: CallParts<'a>,
}

/// What a call is run for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Keep {
    /// Its output alone.
    Output,
    /// The scales of its sides too, which its gradients need.
    Scales,
}

impl<'a> QuantizedCall<'a> {
    /// Runs the call step by step, keeping what is between.
    pub(crate) fn compute(self) -> Result<Computed<'a>> {
        let Self { lhs, rhs, dims, format, config, keys, parts, .. } = self;
        dot_general(lhs, rhs, dims, format, &config, keys, parts)
    }

    /// Runs the call for its result: fused where it can be, with the same bits.
    pub(crate) fn rescale(self, keep: Keep) -> Result<Rescaled> {
        if let Some(rescaled) = fused::rescale(&self, keep)? {
            return Ok(rescaled);
        }
        let Computed { lhs, rhs, output, format, .. } = self.compute()?;
        Ok(Rescaled { output, format, scales: [lhs.into_scales(), rhs.into_scales()] })
    }
}

fn dot_general<'a>(
    lhs: Input<'a>,
    rhs: Input<'a>,
    dims: &DimensionNumbers,
    format: Format,
    config: &CallConfig,
    keys: Option<SideKeys>,
    CallParts { sides: [lhs_part, rhs_part], terms }: CallParts<'_>,
) -> Result<Computed<'a>> {
    let (lhs_key, rhs_key) = (keys.map(|keys| keys.lhs), keys.map(|keys| keys.rhs));
    let left = Side::new(lhs, format, &dims.lhs_contracting(), &config.lhs, config.dequantize, lhs_key, lhs_part)?;
    let right = Side::new(rhs, format, &dims.rhs_contracting(), &config.rhs, config.dequantize, rhs_key, rhs_part)?;
    cancel::between_steps()?;
    let sum_format = sum_format(&left.factor, &right.factor, config.accumulator, format);
    let sums = multiply(&left.factor, &right.factor, dims, sum_format, terms)?;
    cancel::between_steps()?;
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
        cancel::between_steps()?;
        if let Some((inverse, kind)) = left.inverse_scale() {
            let inverse = lhs_in_output_layout(inverse, dims, right.rank());
            working = rescale(&mut output, &inverse, kind, working);
        }
        if let Some((inverse, kind)) = right.inverse_scale() {
            let inverse = rhs_in_output_layout(inverse, dims, left.rank());
            working = rescale(&mut output, &inverse, kind, working);
        }
    }
    Ok(Computed { lhs: left, rhs: right, sums, output, format: working })
}

fn multiply(
    lhs: &SideFactor<'_>,
    rhs: &SideFactor<'_>,
    dims: &DimensionNumbers,
    format: Format,
    terms: Option<SharedTerms<'_>>,
) -> Result<Sums> {
    if let (SideFactor::Int8(left), SideFactor::Int8(right)) = (lhs, rhs) {
        let sums = kernel::dot_general_int8(left.view(), right.view(), dims);
        let sums = match terms {
            Some(terms) => terms.add(sums)?,
            None => sums,
        };
        return Ok(match sums {
            IntSums::I32(sums) => Sums::I32(sums),
            IntSums::I64(sums) => Sums::I64(sums),
        });
    }
    let (left, right) = (lhs.as_floats(), rhs.as_floats());
    let order = Order::row_major(dims.output_rank(left.ndim(), right.ndim()));
    let mut sums = match terms {
        Some(terms) => terms.product(&left.view(), &right.view(), dims, &order)?,
        None => kernel::dot_general(left.view(), right.view(), dims, &order),
    };
    sums.mapv_inplace(|sum| format.round(sum));
    Ok(Sums::Float(sums))
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
