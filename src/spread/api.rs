//! What a program calls on each of its ranks.

use std::sync::Arc;

use ndarray::ArrayD;

use crate::cancel::{self, Cancel};
use crate::compiled::Compiled;
use crate::error::Result;
use crate::exec::{self, Held, Kept, QuantizedCalls};
use crate::frozen;
use crate::kernel::Element;
use crate::lower::{Plan, ValueId};
use crate::operands::{Operand, Operands, arrays};
use crate::qeinsum::QEinsum;
use crate::ranks::Communicator;
use crate::rng::Key;

use super::choose::Network;
use super::gather::Share;
use super::ranges::Spread;

impl QEinsum {
    /// Runs on several ranks, each of which calls this with the same operands and has the result: the bits of
    /// [`run`](Self::run), for any number of ranks.
    ///
    /// ```
    /// use ndarray::Array2;
    /// use qeinsum::{DotGeneralConfig, QEinsum, ranks};
    /// let (x, w) = (Array2::from_elem((6, 40), 0.3_f32), Array2::from_elem((40, 5), -1.7_f32));
    /// let layer = QEinsum::new("bi,io->bo")?.with_config(DotGeneralConfig::v4().build()?);
    /// let alone = layer.run((&x, &w))?;
    /// for together in ranks::in_threads(3, |ranks| layer.run_on(ranks, (&x, &w))) {
    ///     assert_eq!(together?, alone);
    /// }
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn run_on<'a, T: Element>(
        &self,
        ranks: &dyn Communicator,
        operands: impl Operands<'a, T>,
    ) -> Result<ArrayD<T>> {
        let operands = operands.into_operands();
        let shapes: Vec<_> = operands.iter().map(|operand| operand.shape().to_vec()).collect();
        let shapes: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
        self.compile(&shapes)?.run_on(ranks, operands, None)
    }
}

impl Compiled {
    /// How ranks share this when each message costs what is said; [`run_on`](Self::run_on) measures that.
    ///
    /// ```
    /// use qeinsum::{QEinsum, spread::Network};
    /// let compiled = QEinsum::new("ij,jk,kl->il")?.compile(&[&[512, 512], &[512, 512], &[512, 512]])?;
    /// assert_eq!(compiled.spread(4, Network::default()).to_string(), "4 ranks: i i\n");
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn spread(&self, ranks: usize, network: Network) -> Spread {
        Spread::choose(self.plan(), self.config(), ranks, network)
    }

    /// Runs on several ranks, as [`QEinsum::run_on`]; all have the same key.
    ///
    /// An error that one rank alone meets, such as a cancelled run, leaves the others waiting for it.
    ///
    /// ```
    /// use ndarray::{Array2, arr0};
    /// use qeinsum::{QEinsum, ranks};
    /// let x = Array2::from_elem((64, 64), 0.5_f64);
    /// let compiled = QEinsum::new("ij,ij->")?.compile(&[&[64, 64], &[64, 64]])?;
    /// for sum in ranks::in_threads(2, |ranks| compiled.run_on(ranks, (&x, &x), None)) {
    ///     assert_eq!(sum?, arr0(1024.0).into_dyn());
    /// }
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn run_on<'a, T: Element>(
        &self,
        ranks: &dyn Communicator,
        operands: impl Operands<'a, T>,
        key: impl Into<Option<Key>>,
    ) -> Result<ArrayD<T>> {
        let (plan, operands, key) = (self.plan(), operands.into_operands(), key.into());
        if ranks.size() == 1 || !plan.slices().is_empty() {
            return self.execute(operands, key);
        }
        let spread = self.spread(ranks.size(), Network::measure(ranks)?);
        self.run_spread(ranks, &spread, operands, key)
    }

    /// The same by a choice that is known.
    pub(crate) fn run_spread<'a, T: Element>(
        &self,
        ranks: &dyn Communicator,
        spread: &Spread,
        operands: impl Operands<'a, T>,
        key: Option<Key>,
    ) -> Result<ArrayD<T>> {
        let (plan, config) = (self.plan(), self.config());
        let served = frozen::serve(plan, Some(self.ast()), config, operands.into_operands())?;
        exec::check_room(plan, T::DTYPE, config)?;
        let calls = config.map(|config| QuantizedCalls::serving::<T>(plan, config, key, &served.frozen)).transpose()?;
        let share = Share { plan, spread, ranks };
        let narrowed = share.narrow_frozen(&served.known);
        // Views of what is served, which live as long as the parts of frozen sides.
        let part = |id: ValueId| narrowed.iter().find(|(of, _)| *of == id).map(|(_, side)| side);
        let known = served.known.iter().map(|(id, held)| match (held, part(*id)) {
            (_, Some(side)) => (*id, Held::Frozen(side, None)),
            (Held::Frozen(side, packed), None) => (*id, Held::Frozen(side, *packed)),
            (Held::Value(value), None) => (*id, Held::Value(exec::Value::Borrowed(value.view()))),
        });
        cancel::stoppable(self.cancel(), || share.run(known, calls.as_ref(), &mut None))
    }

    /// Runs on several ranks and keeps what gradients need; see [`Compiled::vjp`].
    ///
    /// ```
    /// use ndarray::Array2;
    /// use qeinsum::{DotGeneralConfig, Key, QEinsum, ranks};
    /// let (x, w) = (Array2::from_elem((6, 40), 0.3_f32), Array2::from_elem((40, 5), -1.7_f32));
    /// let layer = QEinsum::new("bi,io->bo")?.with_config(DotGeneralConfig::v4().build()?);
    /// let layer = layer.compile(&[&[6, 40], &[40, 5]])?;
    /// let (y, pullback) = layer.vjp((&x, &w), Key::new(0))?;
    /// let alone = pullback.pull(&y)?;
    /// let together = ranks::in_threads(2, |ranks| {
    ///     let (y, pullback) = layer.vjp_on(ranks, (&x, &w), Key::new(0))?;
    ///     pullback.pull(&y)
    /// });
    /// for gradients in together {
    ///     assert_eq!(gradients?, alone);
    /// }
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn vjp_on<'a, 'c, T: Element>(
        &self,
        ranks: &'c dyn Communicator,
        operands: impl Operands<'a, T>,
        key: impl Into<Option<Key>>,
    ) -> Result<(ArrayD<T>, SpreadPullback<'a, 'c, T>)> {
        let spread = self.spread(ranks.size(), Network::measure(ranks)?);
        self.vjp_spread(ranks, spread, operands, key.into())
    }

    /// The same by a choice that is known.
    pub(crate) fn vjp_spread<'a, 'c, T: Element>(
        &self,
        ranks: &'c dyn Communicator,
        spread: Spread,
        operands: impl Operands<'a, T>,
        key: Option<Key>,
    ) -> Result<(ArrayD<T>, SpreadPullback<'a, 'c, T>)> {
        let (plan, config) = (self.shared_plan(), self.config());
        if !plan.slices().is_empty() {
            return Err(exec::unsliced("gradients are taken"));
        }
        let operands = arrays(operands, "a gradient")?;
        let shapes: Vec<&[usize]> = operands.iter().map(|operand| operand.shape()).collect();
        exec::check(&plan, &shapes)?;
        let calls = config.map(|config| QuantizedCalls::for_gradients::<T>(&plan, config, key)).transpose()?;
        exec::check_gradient_room(&plan, T::DTYPE, config)?;
        let mut tape = Some(Vec::new());
        let share = Share { plan: &plan, spread: &spread, ranks };
        let arrays = operands.into_iter().enumerate();
        let known = arrays.map(|(id, array)| (ValueId::new(id), Held::Value(exec::Value::Borrowed(array))));
        let output = cancel::stoppable(self.cancel(), || share.run(known, calls.as_ref(), &mut tape))?;
        let (tape, cancel) = (tape.unwrap_or_default(), self.cancel().cloned());
        Ok((output, SpreadPullback { plan, spread, ranks, tape, calls, cancel }))
    }
}

/// What a forward run on several ranks kept, ready to carry a gradient of its result back on all of them.
///
/// See [`Compiled::vjp_on`].
pub struct SpreadPullback<'a, 'c, T> {
    plan: Arc<Plan>,
    spread: Spread,
    ranks: &'c dyn Communicator,
    tape: Vec<Kept<'a, T>>,
    calls: Option<QuantizedCalls>,
    cancel: Option<Cancel>,
}

impl<T> std::fmt::Debug for SpreadPullback<'_, '_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpreadPullback").field("spread", &self.spread).finish_non_exhaustive()
    }
}

impl<T: Element> SpreadPullback<'_, '_, T> {
    /// The gradients of `sum(cotangent · result)`, one per operand, on every rank; all have the same cotangent.
    pub fn pull<'b>(&self, cotangent: impl Operand<'b, T>) -> Result<Vec<ArrayD<T>>> {
        let cotangent = cotangent.into_operand().into_array("a gradient")?;
        let asked = vec![true; self.plan.equation().operands().len()];
        let share = Share { plan: &self.plan, spread: &self.spread, ranks: self.ranks };
        let gradients = cancel::stoppable(self.cancel.as_ref(), || {
            share.pull(&self.tape, self.calls.as_ref(), &asked, &cotangent)
        })?;
        let row_major = |gradient: ArrayD<T>| exec::Value::Owned(gradient).into_row_major();
        Ok(gradients.into_iter().flatten().map(row_major).collect())
    }
}
