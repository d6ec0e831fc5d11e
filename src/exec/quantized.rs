//! The calls of a plan, quantized: each step's configuration meets its call here.
//!
//! Step s takes the configuration of step s, oriented as its call is, and the key that a layer named `QDotGeneral_s`
//! would fold from the run's key.

use ndarray::ArrayD;

use crate::cancel;
use crate::dtype::Dtype;
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::{Element, Order};
use crate::lower::{DimensionNumbers, Entry, Op, Orientation, Plan, Side, Step};
use crate::quant::{CallConfig, DotGeneralConfig, Format, Numerics, QuantConfig, Source};
use crate::rng::{CallKeys, Key};

use super::call::{CallRecord, Keep, QuantizedCall};
use super::run::{Call, Calls, Held, Unquantized};
use super::shared_terms::CallParts;
use super::side::Input;
use super::slices::check_slices;

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
    ///
    /// ```
    /// use qeinsum::quant::TensorConfig;
    /// use qeinsum::{QEinsum, QuantConfig};
    /// let plan = QEinsum::new("ij,jk->ik")?.plan(&[&[2, 3], &[3, 4]])?;
    /// plan.check_config(&QuantConfig::from_bits(8)?)?;
    /// let of_another = QuantConfig::from_bits(8)?.with_operand(7, TensorConfig::UNQUANTIZED);
    /// assert!(plan.check_config(&of_another).is_err());
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn check_config(&self, config: &QuantConfig) -> Result<()> {
        config.check_fits(self.equation().operands().len())?;
        check_slices(self, config)?;
        let any = Some(Key::new(0));
        self.call_configs(config).iter().try_for_each(|config| check_call(config, self.dtype(), any))
    }
}

/// Quantized calls.
#[derive(Clone, Debug)]
pub(crate) struct QuantizedCalls {
    steps: Vec<DotGeneralConfig>,
    key: Option<Key>,
}

impl QuantizedCalls {
    /// Configurations for every step of `plan`, checked; an error names the field at fault.
    pub(crate) fn new<T: Element>(plan: &Plan, config: &QuantConfig, key: Option<Key>) -> Result<Self> {
        Self::serving::<T>(plan, config, key, &[])
    }

    /// The same where sides are `frozen`, which then add no noise.
    pub(crate) fn serving<T: Element>(
        plan: &Plan,
        config: &QuantConfig,
        key: Option<Key>,
        frozen: &[Entry],
    ) -> Result<Self> {
        config.check_fits(plan.equation().operands().len())?;
        check_slices(plan, config)?;
        let mut steps = plan.call_configs(config);
        for entry in frozen {
            let Some(Op::DotGeneral { orientation, .. }) = plan.calls().nth(entry.call).map(Step::op) else { continue };
            let (earlier, _) = orientation.sides(Side::Lhs, Side::Rhs);
            let CallConfig { lhs, rhs, .. } = &mut steps[entry.call].forward;
            let side = if entry.side == earlier { lhs } else { rhs };
            if let Numerics::Int(int) = &mut side.numerics {
                int.noise = None;
            }
        }
        // Before they are oriented, so that errors name the sides as the user wrote them.
        steps.iter().try_for_each(|config| check_call(config, T::DTYPE, key))?;
        Ok(Self { steps, key })
    }

    /// The same, checked for a backward pass too.
    pub(crate) fn for_gradients<T: Element>(plan: &Plan, config: &QuantConfig, key: Option<Key>) -> Result<Self> {
        let calls = Self::new::<T>(plan, config, key)?;
        for (step, config) in plan.calls().zip(&calls.steps) {
            let Op::DotGeneral { lhs, rhs, dims, orientation } = step.op() else { continue };
            let shapes = [plan.value(*lhs).shape(), plan.value(*rhs).shape()];
            check_gradient_calls(config, *orientation, dims, shapes, T::DTYPE, key)?;
        }
        Ok(calls)
    }

    /// The configuration of a call, in terms of the sides that it executes.
    pub(crate) fn config(&self, step: usize, orientation: Orientation) -> DotGeneralConfig {
        self.steps[step].oriented(orientation)
    }

    /// The key of a call.
    pub(crate) fn key(&self, step: usize) -> Option<Key> {
        self.key.map(|key| call_key(key, step))
    }

    /// A call of the plan, ready to run.
    pub(crate) fn prepare<'c, T: Element>(&self, step: usize, call: &'c Call<'_, '_, T>) -> Result<QuantizedCall<'c>> {
        let config = self.config(step, call.orientation).forward;
        let mut prepared = prepare(call.lhs.input(), call.rhs.input(), call.dims, T::DTYPE, config, self.key(step))?;
        prepared.order = call.order.clone();
        Ok(prepared)
    }
}

impl<'a, T: Element> Calls<'a, T> for QuantizedCalls {
    fn call(&mut self, step: usize, call: Call<'a, '_, T>) -> Result<ArrayD<T>> {
        if Format::of(T::DTYPE).is_none() {
            // The checks let f64 and complex types pass only where nothing is quantized: a plain product.
            return Unquantized.call(step, call);
        }
        Ok(T::from_floats(self.prepare(step, &call)?.rescale(Keep::Output)?.output))
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

impl<'a, T: Element, F: FnMut(usize, CallRecord)> Calls<'a, T> for RecordedCalls<F> {
    fn call(&mut self, step: usize, call: Call<'a, '_, T>) -> Result<ArrayD<T>> {
        let record = self.quantized.prepare(step, &call)?.compute()?.into_record();
        let output = T::from_floats(record.output.clone());
        cancel::aside(|_| (self.observe)(step, record));
        Ok(output)
    }
}

impl<T: Element> Held<'_, T> {
    /// What a quantized call takes for this.
    fn input(&self) -> Input<'_> {
        match self {
            Self::Value(value) => Input::Array(T::floats(value.view())),
            Self::Frozen(side, packed) => Input::Frozen(side, *packed),
            Self::Loaded(side) => Input::Frozen(side, None),
            Self::Stored(_) | Self::StoredSide(_) | Self::Slabs(_) => unreachable!("it was read"),
        }
    }
}

/// The key of call `step` of a run with `key`.
pub(crate) fn call_key(key: Key, step: usize) -> Key {
    key.fold_path(&format!("QDotGeneral_{step}"), 1)
}

/// Checks what a call's configuration asks of its operands and its key.
pub(crate) fn check_call(config: &DotGeneralConfig, dtype: Dtype, key: Option<Key>) -> Result<()> {
    config.check()?;
    config.forward.check_dtype(dtype, "fwd")?;
    check_key(&config.forward, key, "the configuration")
}

/// Checks what the gradients of a call ask for beside that: residuals, element types, a key, and shards that divide.
///
/// `config` names the sides as written; `dims` and `shapes` are those of the call, lhs first.
pub(crate) fn check_gradient_calls(
    config: &DotGeneralConfig,
    orientation: Orientation,
    dims: &DimensionNumbers,
    shapes: [&[usize]; 2],
    dtype: Dtype,
    key: Option<Key>,
) -> Result<()> {
    config.check_gradient()?;
    let (earlier, later) = orientation.sides(Side::Lhs, Side::Rhs);
    for (name, of, gradient) in [("dlhs", earlier, &config.dlhs), ("drhs", later, &config.drhs)] {
        gradient.call.check_dtype(dtype, name)?;
        check_key(&gradient.call, key, name)?;
        let Some(shards) = gradient.shards else { continue };
        if Format::of(dtype).is_none() {
            let message = format!("`{name}.shards` cuts contractions of f32, f16 and bf16 operands, not of {dtype}");
            return Err(Error::new(ErrorKind::Config, message));
        }
        let other = of.of(shapes[1], shapes[0]);
        let cut = dims.gradient(of, shapes[0].len(), shapes[1].len()).dims.contracting().first().copied();
        if let Some((_, axis)) = cut
            && other[axis] % shards != 0
        {
            let size = other[axis];
            let message =
                format!("`{name}.shards` is {shards}, which does not divide the first contracting size, {size}");
            return Err(Error::new(ErrorKind::Config, message));
        }
    }
    Ok(())
}

fn check_key(call: &CallConfig, key: Option<Key>, whose: &str) -> Result<()> {
    if call.needs_key() && key.is_none() {
        return Err(Error::new(ErrorKind::Config, format!("{whose} adds noise, but no key was given")));
    }
    Ok(())
}

/// One forward call under an oriented configuration that passed [`check_call`]; `key` is the call's own.
pub(crate) fn prepare<'a>(
    lhs: Input<'a>,
    rhs: Input<'a>,
    dims: &'a DimensionNumbers,
    dtype: Dtype,
    config: CallConfig,
    key: Option<Key>,
) -> Result<QuantizedCall<'a>> {
    let format = Format::of(dtype).ok_or_else(|| {
        let message = format!("quantized calls take f32, f16 and bf16 operands, not {dtype}");
        Error::new(ErrorKind::Config, message)
    })?;
    let keys = key.map(|key| CallKeys::new(key).forward);
    let order = Order::row_major(dims.output_rank(lhs.rank(), rhs.rank()));
    Ok(QuantizedCall { lhs, rhs, dims, format, config, keys, order, parts: CallParts::default() })
}
