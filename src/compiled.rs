//! Running plans: a plan on its own, and one bound to a configuration.

use std::sync::Arc;
use std::time::Duration;

use ndarray::{ArrayBase, ArrayD, ArrayViewD, DataMut, Dimension};

use crate::cancel::{self, Cancel};
use crate::error::{Error, ErrorKind, Result};
use crate::exec::{self, CallRecord, QuantizationError};
use crate::frozen::{self, Frozen, Served, Serving};
use crate::gradients::Pullback;
use crate::kernel::Element;
use crate::lower::Plan;
use crate::operands::{Operand, OperandView, Operands};
use crate::parse::Ast;
use crate::quant::QuantConfig;
use crate::rng::Key;

/// A [`QEinsum`](crate::QEinsum) bound to shapes.
///
/// ```
/// use ndarray::{array, Array1};
/// use qeinsum::{DotGeneralConfig, QEinsum};
/// let compiled = QEinsum::new("ij,j->i")?.with_config(DotGeneralConfig::v4().build()?).compile(&[&[2, 2], &[2]])?;
/// assert_eq!(compiled.plan().order(), "(0,1)");
/// assert!(compiled.config().is_some());
///
/// let mut out = Array1::zeros(2);
/// for scale in [1.0, 10.0] {
///     compiled.run_into((&array![[1.0_f32, 0.0], [0.0, 1.0]], &array![scale, -scale]), &mut out)?;
///     assert!((out[0] - scale).abs() < 0.01 * scale);
/// }
/// // The one operand that was given another shape is named.
/// assert!(compiled.run((&array![[1.0_f32, 0.0]], &array![1.0, 2.0])).is_err());
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Compiled {
    ast: Arc<Ast>,
    plan: Arc<Plan>,
    config: Option<Arc<QuantConfig>>,
    /// Of one tiny call, for which little else is to be done.
    tiny: Option<Arc<exec::TinyPlan>>,
    cancel: Option<Cancel>,
}

impl Compiled {
    /// The plan with a configuration that fits it; an error names the field where it does not.
    pub(crate) fn new(ast: Arc<Ast>, plan: Arc<Plan>, config: Option<Arc<QuantConfig>>) -> Result<Self> {
        if let Some(config) = &config {
            config.check_fits(plan.equation().operands().len())?;
            exec::check_slices(&plan, config)?;
        }
        let tiny = match plan.slices() {
            [] => exec::TinyPlan::new(&plan, config.as_deref()).map(Arc::new),
            _ => None,
        };
        Ok(Self { ast, plan, config, tiny, cancel: None })
    }

    /// Has this token stop runs from now on, those of the gradients and frozen operands made of this too; see
    /// [`QEinsum::with_cancel`](crate::QEinsum::with_cancel).
    pub fn with_cancel(mut self, cancel: &Cancel) -> Self {
        self.cancel = Some(cancel.clone());
        self
    }

    pub(crate) fn cancel(&self) -> Option<&Cancel> {
        self.cancel.as_ref()
    }

    /// The plan that runs.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(crate) fn shared_plan(&self) -> Arc<Plan> {
        Arc::clone(&self.plan)
    }

    /// The configuration, if runs are quantized.
    pub fn config(&self) -> Option<&QuantConfig> {
        self.config.as_deref()
    }

    /// Whether runs take the way of tiny plans, if their operands allow it.
    #[cfg(test)]
    pub(crate) fn is_tiny(&self) -> bool {
        self.tiny.is_some()
    }

    pub(crate) fn ast(&self) -> &Ast {
        &self.ast
    }

    /// Runs on operands of the shapes that this was compiled for.
    ///
    /// Large products are computed on the threads of the rayon pool that this is called in; their number changes no bit.
    pub fn run<'a, T: Element>(&self, operands: impl Operands<'a, T>) -> Result<ArrayD<T>> {
        self.execute(operands.into_operands(), None)
    }

    /// The same with a key for the noise of stochastic rounding.
    ///
    /// ```
    /// use ndarray::array;
    /// use qeinsum::{Key, QEinsum};
    /// let compiled = QEinsum::new("i,i->")?.compile(&[&[2], &[2]])?;
    /// let (x, y) = (array![1.0, 2.0], array![3.0, 4.0]);
    /// // Where nothing adds noise, a key changes nothing.
    /// assert_eq!(compiled.run_with_key((&x, &y), Key::new(0))?, compiled.run((&x, &y))?);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn run_with_key<'a, T: Element>(&self, operands: impl Operands<'a, T>, key: Key) -> Result<ArrayD<T>> {
        self.execute(operands.into_operands(), Some(key))
    }

    pub(crate) fn execute<T: Element>(&self, operands: Vec<OperandView<'_, T>>, key: Option<Key>) -> Result<ArrayD<T>> {
        cancel::stoppable(self.cancel.as_ref(), || {
            if let Some(output) = self.tiny.as_ref().and_then(|tiny| tiny.run(&operands)) {
                return Ok(output);
            }
            run_plan(&self.plan, Some(&self.ast), self.config.as_deref(), operands, key)
        })
    }

    /// The result of an equation that only permutes axes, drops some of size 1 or takes diagonals, as a view of its operand.
    ///
    /// None where something is computed, and where no strides say what a diagonal is: of arrays with gaps in memory, or that
    /// run through it backwards. An error where the operand has another shape than this was compiled for.
    ///
    /// ```
    /// use ndarray::array;
    /// let a = array![[1.0, 2.0], [3.0, 4.0]];
    /// let diagonal = qeinsum::QEinsum::new("ii->i")?.compile(&[&[2, 2]])?;
    /// assert_eq!(diagonal.view(&a)?, Some(array![1.0, 4.0].view().into_dyn()));
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn view<'a, T: Element>(&self, operand: impl Operand<'a, T>) -> Result<Option<ArrayViewD<'a, T>>> {
        let OperandView::Array(x) = operand.into_operand() else { return Ok(None) };
        exec::check(&self.plan, &[x.shape()])?;
        Ok(exec::view(&self.plan, x))
    }

    /// Runs into an array that is there already.
    pub fn run_into<'a, T: Element, S: DataMut<Elem = T>, D: Dimension>(
        &self,
        operands: impl Operands<'a, T>,
        out: &mut ArrayBase<S, D>,
    ) -> Result<()> {
        write_into(out, &self.run(operands)?)
    }

    /// Runs and keeps what gradients need; see [`QEinsum::vjp`](crate::QEinsum::vjp).
    ///
    /// ```
    /// use ndarray::{arr0, array};
    /// let compiled = qeinsum::QEinsum::new("i,i->")?.compile(&[&[2], &[2]])?;
    /// let (x, y) = (array![1.0, 2.0], array![3.0, 4.0]);
    /// let (sum, grads) = compiled.vjp((&x, &y), None)?;
    /// assert_eq!(sum, arr0(11.0).into_dyn());
    /// assert_eq!(grads.pull(&arr0(1.0))?[1], array![1.0, 2.0].into_dyn());
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn vjp<'a, T: Element>(
        &self,
        operands: impl Operands<'a, T>,
        key: impl Into<Option<Key>>,
    ) -> Result<(ArrayD<T>, Pullback<'a, T>)> {
        let cancel = self.cancel.clone();
        Pullback::run(Arc::clone(&self.plan), operands, self.config.as_deref(), key.into(), cancel)
    }

    /// Quantizes an operand once, to stand in its place from then on; see [`QEinsum::freeze`](crate::QEinsum::freeze).
    ///
    /// ```
    /// use ndarray::array;
    /// use qeinsum::{DotGeneralConfig, QEinsum};
    /// let qe = QEinsum::new("bi,io->bo")?.with_config(DotGeneralConfig::v4().build()?);
    /// let frozen = qe.compile(&[&[1, 2], &[2, 1]])?.freeze(1, &array![[2.0_f32], [1.0]], None)?;
    /// assert_eq!(frozen.inverse_scale()[[0, 0]], 1.0 / 63.75); // 2.0 is half a step beyond 127 of these
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn freeze<'a, T: Element>(
        &self,
        operand: usize,
        array: impl Operand<'a, T>,
        key: impl Into<Option<Key>>,
    ) -> Result<Frozen> {
        let Some(config) = &self.config else {
            return Err(Error::new(ErrorKind::Config, "freezing quantizes, which needs a configuration"));
        };
        let x = array.into_operand().into_array("freezing")?;
        cancel::stoppable(self.cancel.as_ref(), || {
            frozen::freeze(&self.ast, Arc::clone(&self.plan), Arc::clone(config), operand, x, key.into())
        })
    }

    /// Binds frozen operands, to run on the others; what they alone make of the plan is computed here, once.
    ///
    /// An error where one does not fit, or stands in a place twice.
    ///
    /// ```
    /// use ndarray::array;
    /// use qeinsum::{DotGeneralConfig, QEinsum};
    /// let (x, w) = (array![[0.5_f32, -2.0]], array![[0.1_f32], [0.7]]);
    /// let layer = QEinsum::new("bi,io->bo")?.with_config(DotGeneralConfig::v4().build()?);
    /// let layer = layer.compile(&[&[1, 2], &[2, 1]])?;
    /// let trained = layer.run((&x, &w))?;
    /// let frozen = layer.freeze(1, &w, None)?;
    /// let serving = layer.serve(vec![frozen])?;
    /// assert_eq!(serving.open(), [0]); // what is left to be given
    /// assert_eq!(serving.run((&x,))?, trained);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn serve<T: Element>(self, frozen: Vec<Frozen>) -> Result<Serving<T>> {
        Serving::new(self, frozen)
    }
}

impl Plan {
    /// Runs the plan unquantized on operands of the shapes that it is bound to.
    ///
    /// ```
    /// use ndarray::array;
    /// use qeinsum::{Plan, QEinsum};
    /// let text = QEinsum::new("ij->ji")?.plan(&[&[1, 2]])?.to_json();
    /// let plan = Plan::from_json(&text)?;
    /// assert_eq!(plan.run((&array![[1.0, 2.0]],))?, array![[1.0], [2.0]].into_dyn());
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn run<'a, T: Element>(&self, operands: impl Operands<'a, T>) -> Result<ArrayD<T>> {
        run_plan(self, None, None, operands.into_operands(), None)
    }

    /// Runs the plan quantized and shows `observe` each call's number and how far quantization took its result from
    /// the unquantized product of the same operands. Frozen operands are refused: their floats are gone.
    ///
    /// ```
    /// use ndarray::array;
    /// use qeinsum::{DotGeneralConfig, QEinsum};
    /// let (a, b) = (array![[1.0_f32, 0.3], [0.7, -2.0]], array![[0.1_f32, 1.0], [0.5, -0.25]]);
    /// let plan = QEinsum::new("ij,jk->ik")?.plan(&[&[2, 2], &[2, 2]])?;
    /// let config = DotGeneralConfig::v4().build()?.into();
    /// let mut worst = 0.0;
    /// plan.run_measured((&a, &b), &config, None, |_, error| worst = error.largest())?;
    /// assert!(worst > 0.0 && worst < 0.05);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn run_measured<'a, T: Element>(
        &self,
        operands: impl Operands<'a, T>,
        config: &QuantConfig,
        key: Option<Key>,
        observe: impl FnMut(usize, QuantizationError),
    ) -> Result<ArrayD<T>> {
        whole(self, "calls are measured")?;
        let (served, calls) = quantized(self, None, config, operands.into_operands(), key)?;
        exec::execute(self, served.known, &mut exec::MeasuredCalls::new(calls, observe))
    }

    /// Runs the plan quantized, with a key where the configuration adds noise.
    ///
    /// ```
    /// use ndarray::array;
    /// use qeinsum::{DotGeneralConfig, QEinsum};
    /// let plan = QEinsum::new("i,i->")?.plan(&[&[2], &[2]])?;
    /// let config = DotGeneralConfig::v4().build()?.into();
    /// let sum = plan.run_quantized((&array![1.0_f32, 0.3], &array![0.7_f32, -2.0]), &config, None)?;
    /// assert!((sum.sum() - 0.1).abs() < 0.02);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn run_quantized<'a, T: Element>(
        &self,
        operands: impl Operands<'a, T>,
        config: &QuantConfig,
        key: Option<Key>,
    ) -> Result<ArrayD<T>> {
        run_plan(self, None, Some(config), operands.into_operands(), key)
    }

    /// Runs the plan, quantized where there is a configuration, and shows `observe` each call's number and how long it took;
    /// in slices each pass of a call by itself.
    ///
    /// ```
    /// use ndarray::array;
    /// let plan = qeinsum::QEinsum::new("ij,jk->ik")?.plan(&[&[1, 2], &[2, 1]])?;
    /// let mut calls = Vec::new();
    /// plan.run_timed((&array![[1.0, 2.0]], &array![[3.0], [4.0]]), None, None, |call, _time| calls.push(call))?;
    /// assert_eq!(calls, [0]);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn run_timed<'a, T: Element>(
        &self,
        operands: impl Operands<'a, T>,
        config: Option<&QuantConfig>,
        key: Option<Key>,
        observe: impl FnMut(usize, Duration),
    ) -> Result<ArrayD<T>> {
        let operands = operands.into_operands();
        match config {
            None => {
                let served = unquantized(self, None, operands)?;
                exec::execute(self, served.known, &mut exec::TimedCalls::new(exec::Unquantized, observe))
            }
            Some(config) => {
                let (served, calls) = quantized(self, None, config, operands, key)?;
                exec::execute(self, served.known, &mut exec::TimedCalls::new(calls, observe))
            }
        }
    }

    /// Runs the plan quantized and shows `observe` each call's number with everything that it computed on its way.
    ///
    /// ```
    /// use ndarray::array;
    /// use qeinsum::{DotGeneralConfig, Factor, QEinsum};
    /// let plan = QEinsum::new("i,i->")?.plan(&[&[2], &[2]])?;
    /// let config = DotGeneralConfig::v4().build()?.into();
    /// plan.run_recorded((&array![1.0_f32, 0.3], &array![0.7_f32, -2.0]), &config, None, |_call, record| {
    ///     assert_eq!(record.lhs.scale, Some(array![127.5].into_dyn()));
    ///     assert_eq!(record.lhs.factor, Factor::Int8(array![127, 38].into_dyn()));
    /// })?;
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn run_recorded<'a, T: Element>(
        &self,
        operands: impl Operands<'a, T>,
        config: &QuantConfig,
        key: Option<Key>,
        observe: impl FnMut(usize, CallRecord),
    ) -> Result<ArrayD<T>> {
        whole(self, "calls are recorded")?;
        let (served, calls) = quantized(self, None, config, operands.into_operands(), key)?;
        exec::execute(self, served.known, &mut exec::RecordedCalls::new(calls, observe))
    }

    /// Runs the plan, quantized where there is a configuration, and keeps what gradients need; see
    /// [`QEinsum::vjp`](crate::QEinsum::vjp).
    ///
    /// ```
    /// use ndarray::{arr0, array};
    /// let plan = qeinsum::QEinsum::new("i,i->")?.plan(&[&[2], &[2]])?;
    /// let (x, y) = (array![1.0, 2.0], array![3.0, 4.0]);
    /// let (_, grads) = plan.vjp((&x, &y), None, None)?;
    /// assert_eq!(grads.pull(&arr0(1.0))?[0], array![3.0, 4.0].into_dyn());
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn vjp<'a, T: Element>(
        &self,
        operands: impl Operands<'a, T>,
        config: Option<&QuantConfig>,
        key: impl Into<Option<Key>>,
    ) -> Result<(ArrayD<T>, Pullback<'a, T>)> {
        Pullback::run(Arc::new(self.clone()), operands, config, key.into(), None)
    }
}

/// Runs a plan, quantized where there is a configuration; `ast` is what the user wrote, where that is known.
fn run_plan<T: Element>(
    plan: &Plan,
    ast: Option<&Ast>,
    config: Option<&QuantConfig>,
    operands: Vec<OperandView<'_, T>>,
    key: Option<Key>,
) -> Result<ArrayD<T>> {
    match config {
        None => {
            let served = unquantized(plan, ast, operands)?;
            exec::execute(plan, served.known, &mut exec::Unquantized)
        }
        Some(config) => {
            let (served, mut calls) = quantized(plan, ast, config, operands, key)?;
            exec::execute(plan, served.known, &mut calls)
        }
    }
}

/// That a plan has no slices, where there is no doing something slice by slice.
fn whole(plan: &Plan, what: &str) -> Result<()> {
    if plan.slices().is_empty() { Ok(()) } else { Err(exec::unsliced(what)) }
}

/// Operands that fit, and for which there is memory.
fn unquantized<'a, T: Element>(
    plan: &Plan,
    ast: Option<&Ast>,
    operands: Vec<OperandView<'a, T>>,
) -> Result<Served<'a, T>> {
    let served = frozen::serve(plan, ast, None, operands)?;
    exec::check_room(plan, T::DTYPE, None, served.read_bytes(plan))?;
    Ok(served)
}

/// Operands that fit, and the calls that quantize them; there is memory for both.
fn quantized<'a, T: Element>(
    plan: &Plan,
    ast: Option<&Ast>,
    config: &QuantConfig,
    operands: Vec<OperandView<'a, T>>,
    key: Option<Key>,
) -> Result<(Served<'a, T>, exec::QuantizedCalls)> {
    let served = frozen::serve(plan, ast, Some(config), operands)?;
    exec::check_room(plan, T::DTYPE, Some(config), served.read_bytes(plan))?;
    let calls = exec::QuantizedCalls::serving::<T>(plan, config, key, &served.frozen)?;
    Ok((served, calls))
}

/// Copies a result into an array of its shape.
pub(crate) fn write_into<T: Element, S: DataMut<Elem = T>, D: Dimension>(
    out: &mut ArrayBase<S, D>,
    result: &ArrayD<T>,
) -> Result<()> {
    let mut out = out.view_mut().into_dyn();
    if out.shape() != result.shape() {
        let message = format!("the output has shape {:?}, but the array given has {:?}", result.shape(), out.shape());
        return Err(Error::new(ErrorKind::Shape, message));
    }
    out.assign(result);
    Ok(())
}
