//! The calls of a plan, quantized: each step's configuration meets its call here.
//!
//! Step s takes the configuration of step s, oriented as its call is, and the key that a layer named `QDotGeneral_s`
//! would fold from the run's key.

use ndarray::{ArrayD, ArrayViewD};

use crate::dtype::Dtype;
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::Element;
use crate::lower::{DimensionNumbers, Plan};
use crate::quant::{DotGeneralConfig, Format, QuantConfig, Source};
use crate::rng::{CallKeys, Key};

use super::call::{CallRecord, Computed, dot_general};
use super::run::{Call, Calls, Unquantized};

impl Plan {
    /// The configuration of each call, in order, with all overrides applied.
    ///
    /// Sides are named as written: `lhs` is the earlier operand of a step. [`DotGeneralConfig::oriented`] turns them
    /// into the sides that the call executes.
    ///
    /// ```
    /// use qeinsum::Orientation;
    /// use qeinsum::quant::{DotGeneralConfig, QuantConfig, TensorConfig};
    /// let plan = qeinsum::QEinsum::new("ij,jk->ki")?.plan(&[&[2, 3], &[3, 4]])?; // swapped
    /// let config = QuantConfig::from(DotGeneralConfig::v4().build()?).with_operand(1, TensorConfig::UNQUANTIZED);
    /// let call = &plan.call_configs(&config)[0];
    /// assert!(!call.forward.rhs.is_quantized());
    /// assert!(!call.oriented(Orientation::Swapped).forward.lhs.is_quantized());
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn call_configs(&self, config: &QuantConfig) -> Vec<DotGeneralConfig> {
        let operands = self.equation().operands().len();
        let source = |id: usize| if id < operands { Source::Operand(id) } else { Source::Intermediate };
        let pairs = self.path().ssa().into_iter().enumerate();
        pairs.map(|(step, [earlier, later])| config.for_step(step, source(earlier), source(later))).collect()
    }

    /// Checks that a run of this plan can take a configuration, its [`dtype`](Self::dtype) being that of the operands;
    /// an error names the field at fault.
    pub fn check_config(&self, config: &QuantConfig) -> Result<()> {
        config.check_fits(self.equation().operands().len())?;
        let any = Some(Key::new(0));
        self.call_configs(config).iter().try_for_each(|config| check_call(config, self.dtype(), any))
    }
}

/// Quantized calls.
pub(crate) struct QuantizedCalls {
    steps: Vec<DotGeneralConfig>,
    key: Option<Key>,
}

impl QuantizedCalls {
    /// Configurations for every step of `plan`, checked; an error names the field at fault.
    pub(crate) fn new<T: Element>(plan: &Plan, config: &QuantConfig, key: Option<Key>) -> Result<Self> {
        config.check_fits(plan.equation().operands().len())?;
        let steps = plan.call_configs(config);
        // Before they are oriented, so that errors name the sides as the user wrote them.
        steps.iter().try_for_each(|config| check_call(config, T::DTYPE, key))?;
        Ok(Self { steps, key })
    }

    fn run<T: Element, R>(&self, step: usize, call: &Call<'_, T>, finish: impl FnOnce(Computed<'_>) -> R) -> Result<R> {
        let config = self.steps[step].oriented(call.orientation);
        let key = self.key.map(|key| key.fold_path(&format!("QDotGeneral_{step}"), 1));
        run_call(&call.lhs, &call.rhs, call.dims, &config, key, finish)
    }
}

impl<T: Element> Calls<T> for QuantizedCalls {
    fn call(&mut self, step: usize, call: Call<'_, T>) -> Result<ArrayD<T>> {
        if Format::of(T::DTYPE).is_none() {
            // The checks let f64 pass only where nothing is quantized: a plain product.
            return Unquantized.call(step, call);
        }
        self.run(step, &call, |computed| T::from_floats(computed.output))
    }
}

/// Quantized calls with an observer of what each of them computed.
pub(crate) struct RecordedCalls<F> {
    quantized: QuantizedCalls,
    observe: F,
}

impl<F: FnMut(usize, CallRecord)> RecordedCalls<F> {
    pub(crate) fn new(quantized: QuantizedCalls, observe: F) -> Self {
        Self { quantized, observe }
    }
}

impl<T: Element, F: FnMut(usize, CallRecord)> Calls<T> for RecordedCalls<F> {
    #[expect(clippy::redundant_closure_for_method_calls, reason = "the method alone is not general over lifetimes")]
    fn call(&mut self, step: usize, call: Call<'_, T>) -> Result<ArrayD<T>> {
        let record = self.quantized.run(step, &call, |computed| computed.into_record())?;
        let output = T::from_floats(record.output.clone());
        (self.observe)(step, record);
        Ok(output)
    }
}

/// Checks what a call's configuration asks of its operands and its key.
pub(crate) fn check_call(config: &DotGeneralConfig, dtype: Dtype, key: Option<Key>) -> Result<()> {
    config.check()?;
    config.forward.check_dtype(dtype, "fwd")?;
    if config.forward.needs_key() && key.is_none() {
        return Err(Error::new(ErrorKind::Config, "the configuration adds noise, but no key was given"));
    }
    Ok(())
}

/// One call under an oriented configuration that passed [`check_call`]; `key` is the call's own.
pub(crate) fn run_call<T: Element, R>(
    lhs: &ArrayViewD<'_, T>,
    rhs: &ArrayViewD<'_, T>,
    dims: &DimensionNumbers,
    config: &DotGeneralConfig,
    key: Option<Key>,
    finish: impl FnOnce(Computed<'_>) -> R,
) -> Result<R> {
    let format = Format::of(T::DTYPE).ok_or_else(|| {
        let message = format!("quantized calls take f32, f16 and bf16 operands, not {}", T::DTYPE);
        Error::new(ErrorKind::Config, message)
    })?;
    let keys = key.map(|key| CallKeys::new(key).forward);
    let (lhs, rhs) = (T::floats(lhs.view()), T::floats(rhs.view()));
    Ok(finish(dot_general(lhs.view(), rhs.view(), dims, format, &config.forward, keys)?))
}
