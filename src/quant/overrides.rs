//! The configuration of a whole equation: one for all steps, with overrides.

use std::collections::BTreeMap;

use super::config::{DotGeneralConfig, GradientConfig, Residual, TensorConfig};
use super::fault::{Fault, Problem};
use crate::error::Result;

/// Where an operand of a step comes from.
///
/// ```
/// use qeinsum::quant::{DotGeneralConfig, QuantConfig, Source, TensorConfig};
/// let config = QuantConfig::from(DotGeneralConfig::v4().build()?).with_intermediates(TensorConfig::UNQUANTIZED);
/// let step = config.for_step(1, Source::Operand(2), Source::Intermediate); // the later side is a result
/// assert!(step.forward.lhs.is_quantized() && !step.forward.rhs.is_quantized());
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Source {
    /// The operand of the equation at this position.
    Operand(usize),
    /// The result of an earlier step.
    Intermediate,
}

/// How an equation is quantized: one configuration for every step, and overrides.
///
/// The narrower override wins: the default, then the setting for intermediates, then that of the step, then that of
/// the operand. A step's configuration names its sides `lhs` (earlier in the operand list) and `rhs` (later).
///
/// ```
/// use qeinsum::quant::{DotGeneralConfig, QuantConfig, Source, TensorConfig};
/// let config = QuantConfig::from(DotGeneralConfig::v4().build()?)
///     .with_operand(1, TensorConfig::from_bits(Some(4))?)
///     .with_intermediates(TensorConfig::UNQUANTIZED);
/// let step = config.for_step(0, Source::Operand(0), Source::Operand(1));
/// assert_eq!(step.forward.rhs.int().map(|int| int.bits.get()), Some(4));
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Debug, Default)]
pub struct QuantConfig {
    default: DotGeneralConfig,
    intermediates: Option<TensorConfig>,
    steps: BTreeMap<usize, DotGeneralConfig>,
    operands: BTreeMap<usize, TensorConfig>,
}

impl From<DotGeneralConfig> for QuantConfig {
    fn from(default: DotGeneralConfig) -> Self {
        Self { default, ..Self::default() }
    }
}

impl QuantConfig {
    /// The same, with a configuration of its own for step `step` of the path.
    ///
    /// ```
    /// use qeinsum::quant::{DotGeneralConfig, QuantConfig};
    /// let floats = DotGeneralConfig::unquantized();
    /// let config = QuantConfig::from(DotGeneralConfig::v4().build()?).with_step(1, floats.clone());
    /// assert_eq!(config.steps().collect::<Vec<_>>(), [(1, &floats)]);
    /// assert_eq!(config.default_step(), &DotGeneralConfig::v4().build()?);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    #[must_use]
    pub fn with_step(mut self, step: usize, config: DotGeneralConfig) -> Self {
        self.steps.insert(step, config);
        self
    }

    /// The same, with operand `operand` of the equation quantized like this in the forward call that it enters.
    ///
    /// ```
    /// use qeinsum::quant::{QuantConfig, TensorConfig};
    /// let four = TensorConfig::from_bits(Some(4))?;
    /// let config = QuantConfig::from_bits(8)?.with_operand(1, four);
    /// assert_eq!(config.operands().collect::<Vec<_>>(), [(1, &four)]);
    /// assert!(config.check_fits(2).is_ok() && config.check_fits(1).is_err()); // of one operand
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    #[must_use]
    pub fn with_operand(mut self, operand: usize, tensor: TensorConfig) -> Self {
        self.operands.insert(operand, tensor);
        self
    }

    /// The same, with results of steps quantized like this in the forward calls that they enter.
    ///
    /// ```
    /// use qeinsum::quant::{QuantConfig, TensorConfig};
    /// let config = QuantConfig::from_bits(8)?.with_intermediates(TensorConfig::UNQUANTIZED);
    /// assert_eq!(config.intermediates(), Some(&TensorConfig::UNQUANTIZED));
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    #[must_use]
    pub fn with_intermediates(mut self, tensor: TensorConfig) -> Self {
        self.intermediates = Some(tensor);
        self
    }

    /// The configuration of steps that have none of their own.
    pub fn default_step(&self) -> &DotGeneralConfig {
        &self.default
    }

    /// The configurations of single steps, by step.
    pub fn steps(&self) -> impl Iterator<Item = (usize, &DotGeneralConfig)> {
        self.steps.iter().map(|(&step, config)| (step, config))
    }

    /// The settings of single operands, by position in the equation.
    pub fn operands(&self) -> impl Iterator<Item = (usize, &TensorConfig)> {
        self.operands.iter().map(|(&operand, tensor)| (operand, tensor))
    }

    /// The setting for results of steps.
    pub fn intermediates(&self) -> Option<&TensorConfig> {
        self.intermediates.as_ref()
    }

    /// The configuration of one step, with its overrides applied; `lhs` belongs to `earlier`.
    ///
    /// Where an override starts or stops quantizing an operand, the gradient call that takes that operand follows:
    /// its residual becomes [`Residual::Original`] or [`Residual::Unspecified`].
    pub fn for_step(&self, step: usize, earlier: Source, later: Source) -> DotGeneralConfig {
        let own = self.steps.get(&step);
        let mut config = own.unwrap_or(&self.default).clone();
        let intermediates = if own.is_some() { None } else { self.intermediates };
        let setting = |source| match source {
            Source::Operand(operand) => self.operands.get(&operand).copied(),
            Source::Intermediate => intermediates,
        };
        if let Some(tensor) = setting(earlier) {
            replace(&mut config.forward.lhs, tensor, &mut config.drhs);
        }
        if let Some(tensor) = setting(later) {
            replace(&mut config.forward.rhs, tensor, &mut config.dlhs);
        }
        config
    }

    /// Checks what depends on the configuration alone; the error names the field, such as `step.2.fwd.lhs.storage`.
    ///
    /// ```
    /// use qeinsum::quant::{Calibration, DotGeneralConfig, QuantConfig};
    /// let mut dense = DotGeneralConfig::v4().build()?;
    /// dense.forward.lhs.calibration = Calibration::Constant(-1.0);
    /// let error = QuantConfig::from(dense).check().unwrap_err();
    /// assert!(error.message().starts_with("`fwd.lhs.calibration`"), "{error}");
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn check(&self) -> Result<()> {
        Ok(self.fault()?)
    }

    pub(super) fn fault(&self) -> Result<(), Fault> {
        self.default.fault("")?;
        for (step, config) in &self.steps {
            config.fault(&format!("step.{step}."))?;
        }
        for (operand, tensor) in &self.operands {
            tensor.fault(&format!("operand.{operand}"))?;
        }
        if let Some(tensor) = &self.intermediates {
            tensor.fault("intermediates")?;
        }
        Ok(())
    }

    /// Checks, beside that, that every override is for something that an equation of `operands` operands has.
    pub fn check_fits(&self, operands: usize) -> Result<()> {
        self.check()?;
        let steps = operands.saturating_sub(1);
        if let Some((step, _)) = self.steps.range(steps..).next() {
            return Err(Problem::MoreOperands { operands }.in_field(format!("step.{step}")).into());
        }
        if let Some((operand, _)) = self.operands.range(operands..).next() {
            return Err(Problem::MoreOperands { operands }.in_field(format!("operand.{operand}")).into());
        }
        Ok(())
    }
}

/// Puts `tensor` on a forward side and keeps the residual of the gradient call that takes that side's operand fitting.
fn replace(side: &mut TensorConfig, tensor: TensorConfig, taker: &mut GradientConfig) {
    if side.is_quantized() != tensor.is_quantized() {
        taker.residual = if tensor.is_quantized() { Residual::Original } else { Residual::Unspecified };
    }
    *side = tensor;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(bits: u8) -> TensorConfig {
        TensorConfig::from_bits(Some(bits)).unwrap()
    }

    #[test]
    fn the_narrower_override_wins() {
        let own = DotGeneralConfig::v4().fwd_bits(Some(5)).build().unwrap();
        let config = QuantConfig::from(DotGeneralConfig::v4().build().unwrap())
            .with_intermediates(side(3))
            .with_step(2, own)
            .with_operand(1, side(4));
        let cases = [
            (0, Source::Operand(0), Source::Operand(1), [8, 4]),
            (0, Source::Operand(1), Source::Operand(2), [4, 8]),
            (1, Source::Intermediate, Source::Operand(0), [3, 8]),
            (1, Source::Operand(0), Source::Intermediate, [8, 3]),
            (2, Source::Intermediate, Source::Operand(0), [5, 5]),
            (2, Source::Operand(1), Source::Intermediate, [4, 5]),
        ];
        for (step, earlier, later, expected) in cases {
            let forward = config.for_step(step, earlier, later).forward;
            let bits = [forward.lhs, forward.rhs].map(|side| side.int().unwrap().bits.get());
            assert_eq!(bits, expected, "step {step} {earlier:?} {later:?}");
        }
    }

    #[test]
    fn residuals_follow_an_override() {
        let float =
            QuantConfig::from(DotGeneralConfig::v4().build().unwrap()).with_operand(0, TensorConfig::UNQUANTIZED);
        let step = float.for_step(0, Source::Operand(0), Source::Operand(1));
        assert_eq!((step.dlhs.residual, step.drhs.residual), (Residual::Original, Residual::Unspecified));
        step.check_gradient().unwrap();

        let int = QuantConfig::from(DotGeneralConfig::unquantized()).with_operand(0, side(8));
        let step = int.for_step(0, Source::Operand(1), Source::Operand(0));
        assert_eq!((step.dlhs.residual, step.drhs.residual), (Residual::Original, Residual::Unspecified));
        step.check_gradient().unwrap();
    }

    #[test]
    fn overrides_have_to_be_for_something() {
        let cases = [
            (
                QuantConfig::default().with_step(1, DotGeneralConfig::default()),
                "`step.1` is for an equation of more than 2 operands",
            ),
            (QuantConfig::default().with_operand(2, side(8)), "`operand.2` is for an equation of more than 2 operands"),
        ];
        for (config, expected) in cases {
            assert_eq!(config.check_fits(2).unwrap_err().message(), expected);
            config.check_fits(3).unwrap();
        }
    }
}
