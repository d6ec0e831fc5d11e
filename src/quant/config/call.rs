//! How a call is quantized, and the calls of its gradients.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use super::tensor::TensorConfig;
use crate::lower::Orientation;

/// The type in which a call's products are added.
///
/// ```
/// use qeinsum::quant::{Accumulator, CallConfig, DotGeneralConfig};
/// let call = CallConfig::from_bits(Some(8), None)?; // int8 and floats
/// let forward = CallConfig { accumulator: Accumulator::I32, ..call };
/// let config = DotGeneralConfig { forward, ..Default::default() };
/// let plan = qeinsum::QEinsum::new("i,i->")?.plan(&[&[2], &[2]])?;
/// assert!(plan.check_config(&config.into()).is_err());
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[doc(alias("dg_accumulator_dtype", "preferred_element_type"))]
pub enum Accumulator {
    /// `I32` where both sides are stored as `i8`, else the operands' float type.
    ///
    /// AQT's unset accumulator adds `i8` products modulo 256; here it never does.
    #[default]
    Auto,
    /// 32-bit integers, exact; both sides have to be stored as `i8`.
    I32,
    /// binary32.
    F32,
    /// bfloat16, for operands of that type.
    Bf16,
    /// binary16, for operands of that type.
    F16,
}

/// Where quantized values are scaled back.
///
/// ```
/// use qeinsum::DotGeneralConfig;
/// use qeinsum::quant::{Dequantize, IntNumerics, Numerics, ScaleRounding, Storage};
/// // Fake quantization: floats that are integers times a power of two.
/// let mut config = DotGeneralConfig::v4().build()?;
/// for side in [&mut config.forward.lhs, &mut config.forward.rhs] {
///     side.numerics = Numerics::Int(IntNumerics { storage: Storage::Float, ..IntNumerics::new(8)? });
///     side.scale_rounding = ScaleRounding::PowerOfTwo;
/// }
/// config.forward.dequantize = Dequantize::Inputs;
/// let plan = qeinsum::QEinsum::new("i,i->")?.plan(&[&[2], &[2]])?;
/// assert!(plan.explain(&config.into()).contains("dequant input"));
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[doc(alias("use_fake_quant", "DequantMode"))]
pub enum Dequantize {
    /// After the dot: integers are multiplied, and the result is rescaled.
    #[default]
    Output,
    /// Before the dot: quantized values become floats again, which are multiplied (fake quantization).
    #[doc(alias("fake quant", "use_fake_quant"))]
    Inputs,
}

/// One `dot_general` call.
///
/// ```
/// use qeinsum::quant::{CallConfig, TensorConfig};
/// let call = CallConfig { lhs: TensorConfig::from_bits(Some(8))?, ..CallConfig::UNQUANTIZED };
/// assert!(!call.is_int8() && !call.needs_key()); // the rhs stays floats, and nothing adds noise
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Debug, Default)]
#[doc(alias("DotGeneralRaw", "dot_general_raw_make"))]
pub struct CallConfig {
    /// The lhs; in a gradient's call, the incoming gradient.
    pub lhs: TensorConfig,
    /// The rhs; in a gradient's call, the other forward operand.
    pub rhs: TensorConfig,
    /// The type of the sums.
    #[doc(alias = "dg_accumulator_dtype")]
    pub accumulator: Accumulator,
    /// Where scales are applied.
    #[doc(alias = "use_fake_quant")]
    pub dequantize: Dequantize,
}

/// The call that computes the gradient of one forward operand.
///
/// Its lhs is always the incoming gradient, its rhs the other forward operand.
///
/// ```
/// use qeinsum::quant::{CallConfig, DotGeneralConfig, GradientConfig, Residual};
/// let mut config = DotGeneralConfig::v4().build()?;
/// let call = CallConfig::from_bits(Some(8), Some(8))?;
/// config.drhs = GradientConfig { call, residual: Residual::Quantized, shards: None };
/// assert_eq!(config.drhs.call.lhs, config.forward.lhs);
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct GradientConfig {
    /// The call itself.
    pub call: CallConfig,
    /// What stands for the other forward operand.
    #[doc(alias = "use_fwd_quant")]
    pub residual: Residual,
    /// Into how many equal parts the first contracting axis is cut, each with scales of its own.
    #[doc(alias("local_aqt", "LocalQ", "contraction_axis_shard_count"))]
    pub shards: Option<NonZeroUsize>,
}

/// What a gradient's call takes for the other forward operand, before quantizing it by its own rhs.
///
/// A gradient can be computed only where this is [`Unspecified`](Self::Unspecified) exactly if that operand was not
/// quantized in the forward call.
///
/// ```
/// use ndarray::array;
/// use qeinsum::{DotGeneralConfig, QEinsum, quant::Residual};
/// let mut config = DotGeneralConfig::v4().build()?;
/// config.drhs.residual = Residual::Unspecified; // but the lhs is quantized in the forward call
/// let (x, w) = (array![[1.0_f32, 2.0]], array![[3.0_f32], [4.0]]);
/// let error = QEinsum::new("ij,jk->ik")?.with_config(config).vjp((&x, &w), qeinsum::Key::new(0)).unwrap_err();
/// assert_eq!(error.kind(), &qeinsum::ErrorKind::Config);
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[doc(alias = "use_fwd_quant")]
pub enum Residual {
    /// The operand, which was not quantized.
    #[default]
    Unspecified,
    /// The float operand as it was before the forward call quantized it.
    Original,
    /// The integers of the forward call, whose scale is multiplied into the gradient.
    Quantized,
}

/// A call and the two calls that compute its gradients.
///
/// Sides are named as the user wrote them: `lhs` is the earlier operand of a step and `dlhs` its gradient's call,
/// however the step is executed ([`oriented`](Self::oriented)).
///
/// ```
/// use qeinsum::quant::{DotGeneralConfig, Noise};
/// let config = DotGeneralConfig::v4().fwd_bits(Some(4)).noise(Noise::Custom1).build()?;
/// assert!(config.forward.lhs.is_quantized() && !config.drhs.call.lhs.is_quantized());
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Debug, Default)]
#[doc(alias = "DotGeneral")]
pub struct DotGeneralConfig {
    /// The forward call.
    #[doc(alias = "fwd")]
    pub forward: CallConfig,
    /// The call for the gradient of the forward lhs.
    pub dlhs: GradientConfig,
    /// The call for the gradient of the forward rhs.
    pub drhs: GradientConfig,
}

impl CallConfig {
    /// Both sides unquantized.
    pub const UNQUANTIZED: Self = Self {
        lhs: TensorConfig::UNQUANTIZED,
        rhs: TensorConfig::UNQUANTIZED,
        accumulator: Accumulator::Auto,
        dequantize: Dequantize::Output,
    };

    /// Whether both sides are multiplied as `i8`.
    pub fn is_int8(&self) -> bool {
        self.lhs.is_int8() && self.rhs.is_int8()
    }

    /// The accumulator with `Auto` decided: `I32` where both sides are stored as `i8`, else still `Auto`, which then
    /// means the operands' float type.
    pub fn resolved_accumulator(&self) -> Accumulator {
        match self.accumulator {
            Accumulator::Auto if self.is_int8() => Accumulator::I32,
            other => other,
        }
    }

    /// Whether a side adds noise, so that the call needs a key.
    pub fn needs_key(&self) -> bool {
        self.lhs.noise().is_some() || self.rhs.noise().is_some()
    }
}

impl DotGeneralConfig {
    /// Nothing quantized, forward or backward.
    ///
    /// ```
    /// use qeinsum::DotGeneralConfig;
    /// let config = DotGeneralConfig::unquantized();
    /// assert!(!config.forward.lhs.is_quantized() && !config.dlhs.call.lhs.is_quantized());
    /// ```
    pub fn unquantized() -> Self {
        Self::default()
    }

    /// The configuration in terms of the sides that a call executes.
    ///
    /// A swapped call has the later operand as its lhs; everything that belongs to the sides changes place with it.
    /// This is the only code that exchanges sides.
    ///
    /// ```
    /// use qeinsum::{DotGeneralConfig, Orientation};
    /// let config = DotGeneralConfig::from_sides().lhs_bits(Some(8)).rhs_bits(Some(4)).build()?;
    /// let executed = config.oriented(Orientation::Swapped);
    /// assert_eq!((executed.forward.lhs, executed.dlhs), (config.forward.rhs, config.drhs));
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    #[must_use]
    pub fn oriented(&self, orientation: Orientation) -> Self {
        match orientation {
            Orientation::AsWritten => self.clone(),
            Orientation::Swapped => Self {
                forward: CallConfig { lhs: self.forward.rhs, rhs: self.forward.lhs, ..self.forward },
                dlhs: self.drhs,
                drhs: self.dlhs,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swapping_exchanges_everything_that_belongs_to_a_side() {
        let side = |bits| TensorConfig::from_bits(Some(bits)).unwrap();
        let call = |lhs, rhs| CallConfig { lhs: side(lhs), rhs: side(rhs), ..CallConfig::default() };
        let gradient =
            |lhs, rhs, residual| GradientConfig { call: call(lhs, rhs), residual, shards: NonZeroUsize::new(2) };
        let config = DotGeneralConfig {
            forward: call(2, 3),
            dlhs: gradient(4, 5, Residual::Original),
            drhs: gradient(6, 7, Residual::Quantized),
        };
        let swapped = config.oriented(Orientation::Swapped);
        assert_eq!(swapped.forward, call(3, 2));
        assert_eq!((swapped.dlhs, swapped.drhs), (config.drhs, config.dlhs));
        assert_eq!(swapped.oriented(Orientation::Swapped), config);
        assert_eq!(config.oriented(Orientation::AsWritten), config);
    }
}
