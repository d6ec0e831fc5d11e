//! Serving: frozen operands bound once, runs on the others.

use std::sync::Arc;

use ndarray::ArrayD;

use crate::cancel;
use crate::compiled::Compiled;
use crate::error::{Error, ErrorKind, Result};
use crate::exec::{self, Folded, Held, Value};
use crate::kernel::{Element, PackedSide};
use crate::lower::{Entry, ValueId};
use crate::operands::{Operands, arrays};
use crate::rng::Key;

use super::Frozen;

/// A compiled equation some of whose operands are frozen; it runs on the others.
///
/// What frozen operands alone make of the plan is computed when this is made, and not again: the bits are those of a run
/// that computes it each time.
///
/// ```
/// use ndarray::{array, Array2};
/// use qeinsum::{DotGeneralConfig, QEinsum};
/// let low_rank = QEinsum::new("bi,ir,ro->bo")?.with_config(DotGeneralConfig::v4().build()?);
/// let (x, u, v) = (array![[1.0_f32, 2.0]], array![[0.5_f32], [1.0]], array![[3.0_f32, -1.0]]);
/// let compiled = low_rank.compile(&[x.shape(), u.shape(), v.shape()])?;
/// let (frozen_u, frozen_v) = (compiled.freeze(1, &u, None)?, compiled.freeze(2, &v, None)?);
///
/// let trained = compiled.run((&x, &u, &v))?;
///
/// let serving = compiled.serve::<f32>(vec![frozen_u, frozen_v])?;
/// assert_eq!(serving.open(), [0]); // the operands that runs bring
/// assert_eq!(serving.compiled().plan().order(), "(0,1) (0,1)");
/// assert_eq!(serving.run((&x,))?, trained);
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Serving<T> {
    compiled: Compiled,
    frozen: Vec<Entry>,
    folded: Vec<(ValueId, Folded<T>)>,
    /// Those of the folded sides that calls read packed.
    packed: Arc<[(ValueId, PackedSide)]>,
    /// The positions of the operands that runs bring.
    open: Vec<usize>,
}

impl<T: Element> Serving<T> {
    pub(crate) fn new(compiled: Compiled, frozen: Vec<Frozen>) -> Result<Self> {
        let plan = compiled.plan();
        let Some(config) = compiled.config() else {
            return Err(Error::new(ErrorKind::Config, "frozen operands need the configuration they were frozen with"));
        };
        if !plan.slices().is_empty() {
            return Err(exec::unsliced("frozen operands are served"));
        }
        let mut open: Vec<usize> = (0..plan.equation().operands().len()).collect();
        let (mut entries, mut known) = (Vec::new(), Vec::new());
        for operand in frozen {
            let position = operand.operand();
            let entry = operand.place.fits(plan, Some(compiled.ast()), Some(config), position, T::DTYPE)?;
            if operand.shape() != plan.sizes().shapes()[position].as_slice() {
                let (was, bound) = (operand.shape(), &plan.sizes().shapes()[position]);
                let message = format!("operand {position} has shape {was:?}, but the plan is bound to {bound:?}");
                return Err(Error::new(ErrorKind::Shape, message));
            }
            if !open.contains(&position) {
                return Err(Error::new(ErrorKind::Freeze, format!("operand {position} is given twice")));
            }
            open.retain(|&open| open != position);
            entries.push(entry);
            known.push((entry.value, Folded::Side(operand.side)));
        }
        // Noise is drawn in runs, never here, so that any key will do to pass the checks.
        let mut calls = exec::QuantizedCalls::serving::<T>(plan, config, Some(Key::new(0)), &entries)?;
        let (folded, packed) = cancel::stoppable(compiled.cancel(), || {
            let folded = exec::fold(plan, &mut calls, known)?;
            let packed = exec::pack(plan, &calls, &folded).into();
            Ok((folded, packed))
        })?;
        Ok(Self { compiled, frozen: entries, folded, packed, open })
    }

    /// The compiled equation.
    pub fn compiled(&self) -> &Compiled {
        &self.compiled
    }

    /// The positions of the operands that [`run`](Self::run) takes, rising.
    pub fn open(&self) -> &[usize] {
        &self.open
    }

    /// Runs on the operands that are not frozen, in order.
    pub fn run<'a>(&'a self, operands: impl Operands<'a, T>) -> Result<ArrayD<T>> {
        self.execute(operands, None)
    }

    /// The same with a key for the noise of stochastic rounding.
    ///
    /// ```
    /// use ndarray::array;
    /// use qeinsum::quant::{IntNumerics, Noise, Numerics, TensorConfig};
    /// use qeinsum::{DotGeneralConfig, Key, QEinsum, QuantConfig};
    /// let noisy = IntNumerics { noise: Some(Noise::Custom1), ..IntNumerics::new(8)? };
    /// let noisy = TensorConfig { numerics: Numerics::Int(noisy), ..TensorConfig::UNQUANTIZED };
    /// // Noise on what runs bring, none on what is frozen.
    /// let config = QuantConfig::from(DotGeneralConfig::v4().build()?).with_operand(0, noisy);
    /// let (x, w) = (array![[0.3_f32, 1.0]], array![0.5_f32, 0.25]);
    /// let layer = QEinsum::new("bi,i->b")?.with_config(config).compile(&[&[1, 2], &[2]])?;
    /// let frozen = layer.freeze(1, &w, None)?;
    /// let trained = layer.run_with_key((&x, &w), Key::new(1))?;
    /// assert_eq!(layer.serve(vec![frozen])?.run_with_key((&x,), Key::new(1))?, trained);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn run_with_key<'a>(&'a self, operands: impl Operands<'a, T>, key: Key) -> Result<ArrayD<T>> {
        self.execute(operands, Some(key))
    }

    fn execute<'a>(&'a self, operands: impl Operands<'a, T>, key: Option<Key>) -> Result<ArrayD<T>> {
        let (plan, config) = (self.compiled.plan(), self.compiled.config());
        let operands = arrays(operands, "serving, which was given its frozen operands before,")?;
        if operands.len() != self.open.len() {
            let (open, given) = (self.open.len(), operands.len());
            let message = format!("{open} operands are not frozen, but {given} were given");
            return Err(Error::new(ErrorKind::Shape, message));
        }
        let mut shapes: Vec<&[usize]> = plan.sizes().shapes().iter().map(|shape| &shape[..]).collect();
        for (&position, operand) in self.open.iter().zip(&operands) {
            shapes[position] = operand.shape();
        }
        exec::check(plan, &shapes)?;
        let arrays = self.open.iter().zip(operands);
        let arrays = arrays.map(|(&position, array)| (ValueId::new(position), Held::Value(Value::Borrowed(array))));
        let packed = |id: &ValueId| self.packed.iter().find(|(packed, _)| packed == id).map(|(_, side)| side);
        let known = arrays.chain(self.folded.iter().map(|(id, folded)| (*id, folded.held(packed(id)))));
        let config = config.expect("checked when this was made");
        exec::check_room(plan, T::DTYPE, Some(config), 0)?;
        let mut calls = exec::QuantizedCalls::serving::<T>(plan, config, key, &self.frozen)?;
        cancel::stoppable(self.compiled.cancel(), || exec::execute(plan, known, &mut calls))
    }
}
