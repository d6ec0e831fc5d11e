//! Configurations by name, with AQT's defaults.
//!
//! Accumulators that are not set follow from the bits: AQT's builders write int32 even where a side is not int8, and
//! leave out the one of `drhs`; here both mean [`Accumulator::Auto`].

use std::num::NonZeroUsize;

use super::config::{Accumulator, DotGeneralConfig, GradientConfig, Residual, TensorConfig};
use super::fault::Fault;
use super::overrides::QuantConfig;
use super::settings::{StochasticRounding, sides, symmetric, tensor};
use crate::error::Result;
use crate::rng::Noise;

impl DotGeneralConfig {
    /// AQT's `config_v4`: 8 bits forward and for `dlhs`, floats for `drhs`, noise on incoming gradients.
    ///
    /// ```
    /// use qeinsum::quant::{DotGeneralConfig, Noise};
    /// let config = DotGeneralConfig::v4().drhs_bits(Some(8)).noise(Noise::Custom1).build()?;
    /// assert_eq!(config.drhs.call.lhs.noise(), Some(Noise::Custom1));
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    #[doc(alias = "config_v4")]
    pub fn v4() -> VersionBuilder {
        VersionBuilder {
            least_bits: 2,
            fwd_bits: Some(8),
            dlhs_bits: Some(8),
            drhs_bits: None,
            static_bound: None,
            noise: Noise::JaxUniform,
            dlhs_shards: None,
            drhs_shards: None,
            fwd_accumulator: Accumulator::Auto,
            dlhs_accumulator: Accumulator::Auto,
            drhs_accumulator: Accumulator::Auto,
        }
    }

    /// AQT's `config_v3`: [`v4`](Self::v4), but one bit is allowed; its values are -0.5 and 0.5.
    ///
    /// ```
    /// use qeinsum::DotGeneralConfig;
    /// let config = DotGeneralConfig::v3().fwd_bits(Some(1)).build()?;
    /// assert_eq!(config.forward.lhs.int().map(|int| int.clip_limit()), Some(0.5));
    /// assert!(DotGeneralConfig::v4().fwd_bits(Some(1)).build().is_err());
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    #[doc(alias = "config_v3")]
    pub fn v3() -> VersionBuilder {
        VersionBuilder { least_bits: 1, ..Self::v4() }
    }

    /// AQT's `dot_general_make`: nothing quantized unless bits are given; gradients reuse the forward integers.
    ///
    /// ```
    /// use qeinsum::DotGeneralConfig;
    /// // Weights of four bits beside floats.
    /// let config = DotGeneralConfig::from_sides().rhs_bits(Some(4)).build()?;
    /// assert!(!config.forward.lhs.is_quantized() && config.forward.rhs.is_quantized());
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    #[doc(alias = "dot_general_make")]
    pub fn from_sides() -> SidesBuilder {
        SidesBuilder {
            lhs_bits: None,
            rhs_bits: None,
            bwd_bits: None,
            residual: Residual::Quantized,
            dlhs_shards: None,
            drhs_shards: None,
        }
    }

    /// AQT's `fully_quantized`: 8 bits everywhere, noise on all sides of the gradient calls, which reuse the forward
    /// integers.
    ///
    /// ```
    /// use qeinsum::quant::{DotGeneralConfig, Residual};
    /// let config = DotGeneralConfig::fully_quantized().fwd_bits(Some(4)).build()?;
    /// assert_eq!(config.dlhs.residual, Residual::Quantized);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn fully_quantized() -> FullyQuantizedBuilder {
        FullyQuantizedBuilder {
            fwd_bits: Some(8),
            sides: SidesBuilder { bwd_bits: Some(8), ..Self::from_sides() },
            stochastic_rounding: StochasticRounding::Both,
            noise: Noise::JaxUniform,
            static_bound: None,
        }
    }
}

impl QuantConfig {
    /// [`DotGeneralConfig::v4`] with so many bits forward and for `dlhs`, accumulators chosen from them.
    ///
    /// ```
    /// use qeinsum::QuantConfig;
    /// let four = QuantConfig::from_bits(4)?;
    /// assert_eq!(four.default_step().forward.lhs.int().map(|int| int.bits.get()), Some(4));
    /// assert!(QuantConfig::from_bits(1).is_err());
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn from_bits(bits: u8) -> Result<Self> {
        Ok(DotGeneralConfig::v4().fwd_bits(Some(bits)).dlhs_bits(Some(bits)).build()?.into())
    }
}

/// Settings of [`DotGeneralConfig::v4`] and [`DotGeneralConfig::v3`].
///
/// ```
/// use std::num::NonZeroUsize;
/// use qeinsum::DotGeneralConfig;
/// use qeinsum::quant::{Accumulator, Calibration, Noise};
/// let config = DotGeneralConfig::v4()
///     .fwd_bits(Some(4))
///     .dlhs_bits(Some(8))
///     .drhs_bits(Some(8))
///     .static_bound(Some(1.0))
///     .noise(Noise::Custom1)
///     .fwd_accumulator(Accumulator::I32)
///     .dlhs_accumulator(Accumulator::I32)
///     .drhs_accumulator(Accumulator::Auto)
///     .dlhs_shards(NonZeroUsize::new(2)) // cut into two parts, each with scales of its own
///     .drhs_shards(None)
///     .build()?;
/// assert_eq!(config.forward.lhs.calibration, Calibration::Constant(1.0));
/// // Noise is on incoming gradients, which are the lhs of their calls.
/// assert_eq!((config.dlhs.call.lhs.noise(), config.dlhs.call.rhs.noise()), (Some(Noise::Custom1), None));
/// // What contradicts itself is refused, and named.
/// let floats = DotGeneralConfig::v4().fwd_bits(None).fwd_accumulator(Accumulator::I32).build();
/// assert!(floats.unwrap_err().message().starts_with("`fwd.accumulator` is i32"));
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Debug)]
#[must_use]
pub struct VersionBuilder {
    pub(super) least_bits: u8,
    pub(super) fwd_bits: Option<u8>,
    pub(super) dlhs_bits: Option<u8>,
    pub(super) drhs_bits: Option<u8>,
    pub(super) static_bound: Option<f32>,
    pub(super) noise: Noise,
    pub(super) dlhs_shards: Option<NonZeroUsize>,
    pub(super) drhs_shards: Option<NonZeroUsize>,
    pub(super) fwd_accumulator: Accumulator,
    pub(super) dlhs_accumulator: Accumulator,
    pub(super) drhs_accumulator: Accumulator,
}

/// Settings of [`DotGeneralConfig::from_sides`].
///
/// ```
/// use qeinsum::DotGeneralConfig;
/// use qeinsum::quant::Residual;
/// let config = DotGeneralConfig::from_sides()
///     .lhs_bits(Some(8))
///     .rhs_bits(Some(4))
///     .bwd_bits(Some(8))
///     .residual(Residual::Original)
///     .dlhs_shards(None)
///     .drhs_shards(None)
///     .build()?;
/// assert_eq!(config.forward.rhs.int().map(|int| int.bits.get()), Some(4));
/// assert_eq!((config.dlhs.residual, config.drhs.residual), (Residual::Original, Residual::Original));
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Debug)]
#[must_use]
pub struct SidesBuilder {
    pub(super) lhs_bits: Option<u8>,
    pub(super) rhs_bits: Option<u8>,
    pub(super) bwd_bits: Option<u8>,
    pub(super) residual: Residual,
    pub(super) dlhs_shards: Option<NonZeroUsize>,
    pub(super) drhs_shards: Option<NonZeroUsize>,
}

/// Settings of [`DotGeneralConfig::fully_quantized`].
///
/// ```
/// use qeinsum::DotGeneralConfig;
/// use qeinsum::quant::{Calibration, Noise, Residual, StochasticRounding};
/// let config = DotGeneralConfig::fully_quantized()
///     .fwd_bits(Some(8))
///     .bwd_bits(Some(4))
///     .residual(Residual::Original)
///     .stochastic_rounding(StochasticRounding::Off)
///     .noise(Noise::Custom1) // on no side, as it is off
///     .static_bound(Some(2.0))
///     .dlhs_shards(None)
///     .drhs_shards(None)
///     .build()?;
/// assert!(!config.dlhs.call.needs_key());
/// assert_eq!(config.forward.lhs.calibration, Calibration::Constant(2.0));
/// assert_eq!(config.drhs.call.lhs.int().map(|int| int.bits.get()), Some(4));
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Debug)]
#[must_use]
pub struct FullyQuantizedBuilder {
    pub(super) fwd_bits: Option<u8>,
    pub(super) sides: SidesBuilder,
    pub(super) stochastic_rounding: StochasticRounding,
    pub(super) noise: Noise,
    pub(super) static_bound: Option<f32>,
}

/// Setters of a builder: doc comment, name, type, and the field where it is not the builder's own.
macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $type:ty => $($field:ident).+;)*) => {
        $(
            $(#[$doc])*
            pub fn $name(mut self, $name: $type) -> Self {
                self.$($field).+ = $name;
                self
            }
        )*
    };
}

impl VersionBuilder {
    setters! {
        /// Bits of the forward call; default 8.
        fwd_bits: Option<u8> => fwd_bits;
        /// Bits of the call for the gradient of the lhs; default 8.
        dlhs_bits: Option<u8> => dlhs_bits;
        /// Bits of the call for the gradient of the rhs; default none.
        drhs_bits: Option<u8> => drhs_bits;
        /// A bound for all sides in place of their largest magnitude; default none.
        static_bound: Option<f32> => static_bound;
        /// The noise on incoming gradients; default [`Noise::JaxUniform`].
        noise: Noise => noise;
        /// Into how many parts the `dlhs` call is cut; default none.
        dlhs_shards: Option<NonZeroUsize> => dlhs_shards;
        /// Into how many parts the `drhs` call is cut; default none.
        drhs_shards: Option<NonZeroUsize> => drhs_shards;
        /// The accumulator of the forward call; default from its bits.
        fwd_accumulator: Accumulator => fwd_accumulator;
        /// The accumulator of the `dlhs` call; default from its bits.
        dlhs_accumulator: Accumulator => dlhs_accumulator;
        /// The accumulator of the `drhs` call; default from its bits.
        drhs_accumulator: Accumulator => drhs_accumulator;
    }

    /// The configuration, or an error that names the setting.
    pub fn build(self) -> Result<DotGeneralConfig> {
        let config = self.assemble()?;
        config.check()?;
        Ok(config)
    }

    /// The configuration as asked for, unchecked but for the bits.
    pub(super) fn assemble(self) -> Result<DotGeneralConfig, Fault> {
        let side = |bits, field| tensor(bits, self.least_bits, field);
        let gradient = |side, accumulator, shards| GradientConfig {
            call: symmetric(side, accumulator),
            residual: Residual::Original,
            shards,
        };
        let dlhs = side(self.dlhs_bits, "dlhs_bits")?;
        let drhs = side(self.drhs_bits, "drhs_bits")?;
        Ok(DotGeneralConfig {
            forward: symmetric(side(self.fwd_bits, "fwd_bits")?, self.fwd_accumulator),
            dlhs: gradient(dlhs, self.dlhs_accumulator, self.dlhs_shards),
            drhs: gradient(drhs, self.drhs_accumulator, self.drhs_shards),
        }
        .with_stochastic_rounding(StochasticRounding::Gradient, self.noise)
        .with_optional_bound(self.static_bound))
    }
}

impl SidesBuilder {
    setters! {
        /// Bits of the forward lhs; default none.
        lhs_bits: Option<u8> => lhs_bits;
        /// Bits of the forward rhs; default none.
        rhs_bits: Option<u8> => rhs_bits;
        /// Bits of all sides of the gradient calls; default none.
        bwd_bits: Option<u8> => bwd_bits;
        /// What gradient calls take for a forward operand that was quantized; default [`Residual::Quantized`].
        residual: Residual => residual;
        /// Into how many parts the `dlhs` call is cut; default none.
        dlhs_shards: Option<NonZeroUsize> => dlhs_shards;
        /// Into how many parts the `drhs` call is cut; default none.
        drhs_shards: Option<NonZeroUsize> => drhs_shards;
    }

    /// The configuration, or an error that names the setting.
    pub fn build(self) -> Result<DotGeneralConfig> {
        let config = self.assemble()?;
        config.check()?;
        Ok(config)
    }

    /// The configuration as asked for, unchecked but for the bits.
    pub(super) fn assemble(self) -> Result<DotGeneralConfig, Fault> {
        let forward = sides(self.lhs_bits, self.rhs_bits)?;
        let call = symmetric(tensor(self.bwd_bits, 1, "bwd_bits")?, Accumulator::Auto);
        let taken = |other: &TensorConfig| if other.is_quantized() { self.residual } else { Residual::Unspecified };
        // Each gradient's call takes the operand that the gradient is not of.
        let dlhs = GradientConfig { call, residual: taken(&forward.rhs), shards: self.dlhs_shards };
        let drhs = GradientConfig { call, residual: taken(&forward.lhs), shards: self.drhs_shards };
        Ok(DotGeneralConfig { forward, dlhs, drhs })
    }
}

impl FullyQuantizedBuilder {
    setters! {
        /// Bits of both sides of the forward call; default 8.
        fwd_bits: Option<u8> => fwd_bits;
        /// Bits of all sides of the gradient calls; default 8.
        bwd_bits: Option<u8> => sides.bwd_bits;
        /// What gradient calls take for the forward operands; default [`Residual::Quantized`].
        residual: Residual => sides.residual;
        /// Which sides of the gradient calls have noise; default all.
        stochastic_rounding: StochasticRounding => stochastic_rounding;
        /// Which noise they have; default [`Noise::JaxUniform`].
        noise: Noise => noise;
        /// A bound for all sides in place of their largest magnitude; default none.
        static_bound: Option<f32> => static_bound;
        /// Into how many parts the `dlhs` call is cut; default none.
        dlhs_shards: Option<NonZeroUsize> => sides.dlhs_shards;
        /// Into how many parts the `drhs` call is cut; default none.
        drhs_shards: Option<NonZeroUsize> => sides.drhs_shards;
    }

    /// The configuration, or an error that names the setting.
    pub fn build(self) -> Result<DotGeneralConfig> {
        let config = self.assemble()?;
        config.check()?;
        Ok(config)
    }

    /// The configuration as asked for, unchecked but for the bits.
    pub(super) fn assemble(self) -> Result<DotGeneralConfig, Fault> {
        tensor(self.fwd_bits, 1, "fwd_bits")?;
        let sides = self.sides.lhs_bits(self.fwd_bits).rhs_bits(self.fwd_bits);
        Ok(sides
            .assemble()?
            .with_stochastic_rounding(self.stochastic_rounding, self.noise)
            .with_optional_bound(self.static_bound))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::config::CallConfig;

    fn bits(call: &CallConfig) -> [Option<u8>; 2] {
        [&call.lhs, &call.rhs].map(|side| side.int().map(|int| int.bits.get()))
    }

    #[test]
    fn versions_differ_in_the_fewest_bits() {
        let one = |builder: VersionBuilder| builder.fwd_bits(Some(1)).build();
        assert_eq!(bits(&one(DotGeneralConfig::v3()).unwrap().forward), [Some(1); 2]);
        assert_eq!(one(DotGeneralConfig::v4()).unwrap_err().message(), "`fwd_bits` is 1, which is not in 2 to 22");
        assert!(DotGeneralConfig::v3().drhs_bits(Some(0)).build().is_err());
        for (bits, fits) in [(1, false), (2, true), (8, true), (9, true), (22, true), (23, false)] {
            assert_eq!(QuantConfig::from_bits(bits).is_ok(), fits, "{bits}");
        }
    }

    #[test]
    fn accumulators_follow_the_bits_unless_they_are_set() {
        let v4 = |bits| DotGeneralConfig::v4().fwd_bits(bits);
        for (bits, expected) in [
            (Some(8), Accumulator::I32),
            (Some(2), Accumulator::I32),
            (Some(9), Accumulator::Auto),
            (None, Accumulator::Auto),
        ] {
            assert_eq!(v4(bits).build().unwrap().forward.resolved_accumulator(), expected, "{bits:?}");
        }
        for bits in [Some(9), None] {
            let error = v4(bits).fwd_accumulator(Accumulator::I32).build().unwrap_err();
            assert!(error.message().starts_with("`fwd.accumulator` is i32"), "{error}");
        }
    }

    #[test]
    fn a_gradient_call_takes_the_other_operand() {
        let config = DotGeneralConfig::from_sides().lhs_bits(Some(8)).bwd_bits(Some(8)).build().unwrap();
        assert_eq!((config.dlhs.residual, config.drhs.residual), (Residual::Unspecified, Residual::Quantized));
        config.check_gradient().unwrap();
    }
}
