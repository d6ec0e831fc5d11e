//! Sides and calls from their bits, and settings that change a configuration as a whole.

use serde::{Deserialize, Serialize};

use super::config::{
    Accumulator, Bits, Calibration, CallConfig, DotGeneralConfig, GradientConfig, IntNumerics, Numerics, TensorConfig,
};
use super::fault::Fault;
use crate::error::Result;
use crate::rng::Noise;

/// Which sides of the two gradient calls are rounded stochastically.
///
/// ```
/// use qeinsum::DotGeneralConfig;
/// use qeinsum::quant::{Noise, StochasticRounding};
/// let config = DotGeneralConfig::v4().build()?;
/// let call = config.with_stochastic_rounding(StochasticRounding::Other, Noise::JaxUniform).dlhs.call;
/// assert_eq!((call.lhs.noise(), call.rhs.noise()), (None, Some(Noise::JaxUniform)));
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[doc(alias("use_stochastic_rounding", "vjp_lhs_stochastic_rounding", "vjp_rhs_stochastic_rounding"))]
pub enum StochasticRounding {
    /// None.
    Off,
    /// The incoming gradients.
    Gradient,
    /// The other forward operands.
    Other,
    /// All four sides.
    #[default]
    Both,
}

impl TensorConfig {
    /// A side of so many bits ([`IntNumerics::new`]), calibrated by its largest magnitude; `None` leaves it as it is.
    ///
    /// An error where the bits are outside 1 to 22.
    ///
    /// ```
    /// use qeinsum::quant::TensorConfig;
    /// assert_eq!(TensorConfig::from_bits(Some(8))?.int().map(|int| int.bound_target()), Some(127.5));
    /// assert_eq!(TensorConfig::from_bits(None)?, TensorConfig::UNQUANTIZED);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    #[doc(alias = "tensor_make")]
    pub fn from_bits(bits: Option<u8>) -> Result<Self> {
        Ok(tensor(bits, 1, "bits")?)
    }
}

impl CallConfig {
    /// A call with sides of so many bits, the accumulator chosen from them.
    ///
    /// ```
    /// use qeinsum::quant::{Accumulator, CallConfig};
    /// assert_eq!(CallConfig::from_bits(Some(8), Some(4))?.resolved_accumulator(), Accumulator::I32);
    /// assert_eq!(CallConfig::from_bits(Some(8), None)?.resolved_accumulator(), Accumulator::Auto); // as operands
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    #[doc(alias = "dot_general_raw_make")]
    pub fn from_bits(lhs: Option<u8>, rhs: Option<u8>) -> Result<Self> {
        Ok(sides(lhs, rhs)?)
    }
}

pub(super) fn tensor(bits: Option<u8>, least: u8, field: &str) -> Result<TensorConfig, Fault> {
    let numerics = match bits {
        None => Numerics::None,
        Some(bits) => Numerics::Int(IntNumerics::with_bits(Bits::checked(bits, least, field)?)),
    };
    Ok(TensorConfig { numerics, ..TensorConfig::UNQUANTIZED })
}

pub(super) fn sides(lhs: Option<u8>, rhs: Option<u8>) -> Result<CallConfig, Fault> {
    Ok(CallConfig { lhs: tensor(lhs, 1, "lhs_bits")?, rhs: tensor(rhs, 1, "rhs_bits")?, ..CallConfig::UNQUANTIZED })
}

/// A call whose two sides are quantized alike.
pub(super) fn symmetric(side: TensorConfig, accumulator: Accumulator) -> CallConfig {
    CallConfig { lhs: side, rhs: side, accumulator, ..CallConfig::UNQUANTIZED }
}

impl DotGeneralConfig {
    /// The same with these accumulators.
    ///
    /// ```
    /// use qeinsum::{DotGeneralConfig, quant::Accumulator::{Auto, F32}};
    /// let config = DotGeneralConfig::v4().build()?.with_accumulators(F32, Auto, Auto);
    /// assert_eq!(config.forward.accumulator, F32);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    #[must_use]
    #[doc(alias = "set_accumulator_dtype")]
    pub fn with_accumulators(mut self, fwd: Accumulator, dlhs: Accumulator, drhs: Accumulator) -> Self {
        self.forward.accumulator = fwd;
        self.dlhs.call.accumulator = dlhs;
        self.drhs.call.accumulator = drhs;
        self
    }

    /// The same with `noise` on these sides of the gradient calls, and none on their other sides.
    ///
    /// The forward call stays as it is, and so do sides that are not quantized.
    ///
    /// ```
    /// use qeinsum::DotGeneralConfig;
    /// use qeinsum::quant::{Noise, StochasticRounding};
    /// let config = DotGeneralConfig::v4().build()?; // with noise on incoming gradients
    /// assert!(config.dlhs.call.needs_key());
    /// assert!(!config.with_stochastic_rounding(StochasticRounding::Off, Noise::JaxUniform).dlhs.call.needs_key());
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    #[must_use]
    #[doc(alias = "set_stochastic_rounding")]
    pub fn with_stochastic_rounding(mut self, sides: StochasticRounding, noise: Noise) -> Self {
        let (gradient, other) = match sides {
            StochasticRounding::Off => (None, None),
            StochasticRounding::Gradient => (Some(noise), None),
            StochasticRounding::Other => (None, Some(noise)),
            StochasticRounding::Both => (Some(noise), Some(noise)),
        };
        for GradientConfig { call, .. } in [&mut self.dlhs, &mut self.drhs] {
            for (side, noise) in [(&mut call.lhs, gradient), (&mut call.rhs, other)] {
                if let Numerics::Int(int) = &mut side.numerics {
                    int.noise = noise;
                }
            }
        }
        self
    }

    /// The same with all six sides calibrated by this bound, which has to be positive and finite.
    ///
    /// ```
    /// use qeinsum::{DotGeneralConfig, quant::Calibration};
    /// let config = DotGeneralConfig::v4().build()?.with_static_bound(4.0);
    /// assert_eq!(config.drhs.call.rhs.calibration, Calibration::Constant(4.0));
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    #[must_use]
    #[doc(alias("set_static_bound", "use_dummy_static_bound"))]
    pub fn with_static_bound(mut self, bound: f32) -> Self {
        for call in [&mut self.forward, &mut self.dlhs.call, &mut self.drhs.call] {
            call.lhs.calibration = Calibration::Constant(bound);
            call.rhs.calibration = Calibration::Constant(bound);
        }
        self
    }

    /// The same with these numerics on both sides of the forward call.
    ///
    /// ```
    /// use qeinsum::DotGeneralConfig;
    /// use qeinsum::quant::{IntNumerics, MaxValue, Numerics};
    /// // The largest magnitude becomes 127 itself.
    /// let int = IntNumerics { max: MaxValue::Preserved, ..IntNumerics::new(8)? };
    /// let config = DotGeneralConfig::v4().build()?.with_forward_numerics(Numerics::Int(int));
    /// assert_eq!(config.forward.rhs.int().map(|int| int.bound_target()), Some(127.0));
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    #[must_use]
    #[doc(alias = "set_fwd_numerics")]
    pub fn with_forward_numerics(mut self, numerics: Numerics) -> Self {
        self.forward.lhs.numerics = numerics;
        self.forward.rhs.numerics = numerics;
        self
    }

    pub(super) fn with_optional_bound(self, bound: Option<f32>) -> Self {
        match bound {
            Some(bound) => self.with_static_bound(bound),
            None => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::config::Storage;

    #[test]
    fn stochastic_rounding_leaves_the_forward_call_alone() {
        let forward = IntNumerics { noise: Some(Noise::Custom1), ..IntNumerics::new(8).unwrap() };
        let base = DotGeneralConfig::fully_quantized().build().unwrap();
        let base = base.with_forward_numerics(Numerics::Int(forward));
        for (sides, gradient, other) in [
            (StochasticRounding::Off, None, None),
            (StochasticRounding::Gradient, Some(Noise::JaxUniform), None),
            (StochasticRounding::Other, None, Some(Noise::JaxUniform)),
            (StochasticRounding::Both, Some(Noise::JaxUniform), Some(Noise::JaxUniform)),
        ] {
            let config = base.clone().with_stochastic_rounding(sides, Noise::JaxUniform);
            for call in [&config.dlhs.call, &config.drhs.call] {
                assert_eq!((call.lhs.noise(), call.rhs.noise()), (gradient, other), "{sides:?}");
            }
            assert_eq!(config.forward, base.forward);
        }
    }

    #[test]
    fn int8_storage_is_for_two_to_eight_bits() {
        for bits in 1..=22 {
            let side = TensorConfig::from_bits(Some(bits)).unwrap();
            let expected = if (2..=8).contains(&bits) { Storage::Int8 } else { Storage::Float };
            assert_eq!(side.int().unwrap().storage, expected, "{bits}");
        }
    }
}
