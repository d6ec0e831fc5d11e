//! The calls of a plan, quantized: each step's configuration meets its call here.
//!
//! Step s takes the configuration of step s, oriented as its call is, and the key that a layer named `QDotGeneral_s`
//! would fold from the run's key.

use ndarray::{ArrayD, ArrayViewD, CowArray, IxDyn};

use crate::error::{Error, ErrorKind, Result};
use crate::kernel::Element;
use crate::lower::{DimensionNumbers, Plan};
use crate::quant::{DotGeneralConfig, Format, QuantConfig, Source};
use crate::rng::{CallKeys, Key};

use super::call::{CallRecord, dot_general};
use super::run::{Call, Calls, Unquantized};

/// Quantized calls, with an observer of what each of them computed.
pub(crate) struct QuantizedCalls<'a, F> {
    steps: Vec<DotGeneralConfig>,
    key: Option<Key>,
    observe: &'a mut F,
}

impl<'a, F: FnMut(usize, CallRecord)> QuantizedCalls<'a, F> {
    /// Configurations for every step of `plan`, checked; an error names the field at fault.
    pub(crate) fn new<T: Element>(
        plan: &Plan,
        config: &QuantConfig,
        key: Option<Key>,
        observe: &'a mut F,
    ) -> Result<Self> {
        let operands = plan.equation().operands().len();
        config.check_fits(operands)?;
        let source = |id: usize| if id < operands { Source::Operand(id) } else { Source::Intermediate };
        let mut steps = Vec::new();
        for (step, [earlier, later]) in plan.path().ssa().into_iter().enumerate() {
            let config = config.for_step(step, source(earlier), source(later));
            check_call::<T>(&config, key)?;
            steps.push(config);
        }
        Ok(Self { steps, key, observe })
    }
}

impl<T: Element, F: FnMut(usize, CallRecord)> Calls<T> for QuantizedCalls<'_, F> {
    fn call(&mut self, step: usize, call: Call<'_, T>) -> Result<ArrayD<T>> {
        if Format::of(T::DTYPE).is_none() {
            // The checks let f64 pass only where nothing is quantized: a plain product.
            return Unquantized.call(step, call);
        }
        let config = self.steps[step].oriented(call.orientation);
        let key = self.key.map(|key| key.fold_path(&format!("QDotGeneral_{step}"), 1));
        let record = run_call(call.lhs, call.rhs, call.dims, &config, key)?;
        let output = T::from_floats(&record.output);
        (self.observe)(step, record);
        Ok(output)
    }
}

/// Checks what a call's configuration asks of its operands and its key.
pub(crate) fn check_call<T: Element>(config: &DotGeneralConfig, key: Option<Key>) -> Result<()> {
    config.check()?;
    config.forward.check_dtype(T::DTYPE, "fwd")?;
    if config.forward.needs_key() && key.is_none() {
        return Err(Error::new(ErrorKind::Config, "the configuration adds noise, but no key was given"));
    }
    Ok(())
}

/// One call under an oriented configuration that passed [`check_call`]; `key` is the call's own.
pub(crate) fn run_call<T: Element>(
    lhs: ArrayViewD<'_, T>,
    rhs: ArrayViewD<'_, T>,
    dims: &DimensionNumbers,
    config: &DotGeneralConfig,
    key: Option<Key>,
) -> Result<CallRecord> {
    let format = Format::of(T::DTYPE).ok_or_else(|| {
        let message = format!("quantized calls take f32, f16 and bf16 operands, not {}", T::DTYPE);
        Error::new(ErrorKind::Config, message)
    })?;
    let keys = key.map(|key| CallKeys::new(key).forward);
    let (lhs, rhs): (CowArray<'_, f32, IxDyn>, CowArray<'_, f32, IxDyn>) = (T::floats(lhs), T::floats(rhs));
    dot_general(lhs.view(), rhs.view(), dims, format, &config.forward, keys)
}
