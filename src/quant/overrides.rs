//! The configuration of a whole equation: one for all steps, with overrides.

use std::collections::BTreeMap;

use super::check::Problem;
use super::config::{DotGeneralConfig, GradientConfig, Residual, TensorConfig};
use crate::error::Result;

/// Where an operand of a step comes from.
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
    #[must_use]
    pub fn with_step(mut self, step: usize, config: DotGeneralConfig) -> Self {
        self.steps.insert(step, config);
        self
    }

    /// The same, with operand `operand` of the equation quantized like this in the forward call that it enters.
    #[must_use]
    pub fn with_operand(mut self, operand: usize, tensor: TensorConfig) -> Self {
        self.operands.insert(operand, tensor);
        self
    }

    /// The same, with results of steps quantized like this in the forward calls that they enter.
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
    pub fn check(&self) -> Result<()> {
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
            return Err(Problem::NotThere { what: "step", count: steps }.in_field(format!("step.{step}")).into());
        }
        if let Some((operand, _)) = self.operands.range(operands..).next() {
            let problem = Problem::NotThere { what: "operand", count: operands };
            return Err(problem.in_field(format!("operand.{operand}")).into());
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
