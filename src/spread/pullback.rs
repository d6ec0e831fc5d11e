//! Gradients on several ranks, as a program asks for them on each.

use std::sync::Arc;

use ndarray::ArrayD;

use crate::cancel::{self, Cancel};
use crate::compiled::Compiled;
use crate::error::Result;
use crate::exec::{self, Kept, QuantizedCalls, Recipients};
use crate::gradients::{check_asked, row_major};
use crate::kernel::Element;
use crate::lower::Plan;
use crate::operands::{Operand, Operands, arrays};
use crate::quant::QuantConfig;
use crate::ranks::Communicator;
use crate::rng::Key;

use super::api::{as_values, no_result};
use super::gather::{Given, Share};
use super::ranges::Spread;

impl Compiled {
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
        let spread = Spread::on(ranks, self.plan(), self.config())?;
        let spread = spread.for_gradients(self.plan(), T::DTYPE, self.config());
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
        let cancel = self.cancel().cloned();
        let how = (spread, Given::Wholes);
        SpreadPullback::run(self.shared_plan(), ranks, how, operands, (self.config(), key), cancel)
    }
}

impl Plan {
    /// Runs the plan on several ranks and keeps what gradients need; see [`Compiled::vjp_on`].
    ///
    /// ```
    /// use ndarray::{arr0, array};
    /// use qeinsum::{QEinsum, ranks};
    /// let (x, y) = (array![1.0, 2.0], array![3.0, 4.0]);
    /// let plan = QEinsum::new("i,i->")?.plan(&[&[2], &[2]])?;
    /// let pulled = ranks::in_threads(2, |ranks| {
    ///     plan.vjp_on(ranks, (&x, &y), None, None)?.1.pull(&arr0(1.0))
    /// });
    /// assert_eq!(pulled[1].as_ref().map(|gradients| &gradients[0]), Ok(&y.into_dyn()));
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn vjp_on<'a, 'c, T: Element>(
        &self,
        ranks: &'c dyn Communicator,
        operands: impl Operands<'a, T>,
        config: Option<&QuantConfig>,
        key: Option<Key>,
    ) -> Result<(ArrayD<T>, SpreadPullback<'a, 'c, T>)> {
        let spread = Spread::on(ranks, self, config)?.for_gradients(self, T::DTYPE, config);
        SpreadPullback::run(Arc::new(self.clone()), ranks, (spread, Given::Wholes), operands, (config, key), None)
    }

    /// The same of parts, as [`run_parts_on`](Self::run_parts_on) takes them; cotangents and gradients are whole. By a spread
    /// [for gradients](Spread::for_gradients) ranks share more of them.
    ///
    /// ```
    /// use ndarray::{Array2, ArrayView2};
    /// use qeinsum::ranks::{self, Communicator as _};
    /// use qeinsum::{QEinsum, spread::Spread};
    /// let (x, y) = (Array2::from_elem((512, 512), 0.5_f32), Array2::from_elem((512, 512), 1.0_f32));
    /// let plan = QEinsum::new("ij,jk->ik")?.plan(&[&[512, 512], &[512, 512]])?;
    /// let gradients = ranks::in_threads(2, |ranks| {
    ///     let spread = Spread::on(ranks, &plan, None)?;
    ///     let part = |operand| -> ArrayView2<'_, f32> {
    ///         let part = spread.part(&plan, operand, ranks.rank());
    ///         x.slice(ndarray::s![part[0].clone(), part[1].clone()])
    ///     };
    ///     let parts = [part(0), part(1)];
    ///     let (_, pullback) = plan.vjp_parts_on(ranks, &spread, &parts[..], None, None)?;
    ///     pullback.pull(&y)
    /// });
    /// assert_eq!(gradients[1].as_ref().unwrap()[0], Array2::from_elem((512, 512), 256.0).into_dyn());
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn vjp_parts_on<'a, 'c, T: Element>(
        &self,
        ranks: &'c dyn Communicator,
        spread: &Spread,
        parts: impl Operands<'a, T>,
        config: Option<&QuantConfig>,
        key: Option<Key>,
    ) -> Result<(ArrayD<T>, SpreadPullback<'a, 'c, T>)> {
        let how = (spread.clone(), Given::Parts);
        SpreadPullback::run(Arc::new(self.clone()), ranks, how, parts, (config, key), None)
    }
}

/// What a forward run on several ranks kept, ready to carry a gradient of its result back on all of them.
///
/// See [`Compiled::vjp_on`].
///
/// ```
/// use ndarray::arr1;
/// use qeinsum::{QEinsum, ranks};
/// let (a, b) = (arr1(&[1.0_f32, 2.0]), arr1(&[3.0_f32, 4.0]));
/// let dot = QEinsum::new("i,i")?.compile(&[&[2], &[2]])?;
/// let products = ranks::in_threads(2, |ranks| {
///     let (product, pullback) = dot.vjp_on(ranks, (&a, &b), None)?;
///     let gradients = pullback.pull(&product)?; // the whole of both, on every rank
///     Ok::<_, qeinsum::Error>(gradients)
/// });
/// for gradients in products {
///     assert_eq!(gradients?, [arr1(&[33.0, 44.0]).into_dyn(), arr1(&[11.0, 22.0]).into_dyn()]);
/// }
/// # Ok::<(), qeinsum::Error>(())
/// ```
pub struct SpreadPullback<'a, 'c, T> {
    plan: Arc<Plan>,
    spread: Spread,
    ranks: &'c dyn Communicator,
    tape: Vec<Kept<'a, T>>,
    calls: Option<QuantizedCalls>,
    asked: Vec<usize>,
    cancel: Option<Cancel>,
}

impl<T> std::fmt::Debug for SpreadPullback<'_, '_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpreadPullback").field("spread", &self.spread).finish_non_exhaustive()
    }
}

impl<'a, 'c, T: Element> SpreadPullback<'a, 'c, T> {
    fn run(
        plan: Arc<Plan>,
        ranks: &'c dyn Communicator,
        (spread, given): (Spread, Given),
        operands: impl Operands<'a, T>,
        (config, key): (Option<&QuantConfig>, Option<Key>),
        cancel: Option<Cancel>,
    ) -> Result<(ArrayD<T>, Self)> {
        if !plan.slices().is_empty() {
            return Err(exec::unsliced("gradients are taken"));
        }
        let operands = operands.into_operands();
        let share = Share { plan: &plan, spread: &spread, ranks, given };
        share.check(&operands)?;
        let operands = arrays(operands, "a gradient")?;
        let calls = config.map(|config| QuantizedCalls::for_gradients::<T>(&plan, config, key)).transpose()?;
        exec::check_needed(&plan, T::DTYPE, || {
            (spread.gradient_bytes(&plan, T::DTYPE, config), spread.operand_bytes(&plan, T::DTYPE))
        })?;
        let mut tape = Some(Vec::new());
        let output = cancel::stoppable(cancel.as_ref(), || {
            share.run(as_values(operands), calls.as_ref(), &mut tape, Recipients::All)
        })?;
        let output = output.ok_or_else(no_result)?;
        let asked = (0..plan.equation().operands().len()).collect();
        Ok((output, Self { plan, spread, ranks, tape: tape.unwrap_or_default(), calls, asked, cancel }))
    }

    /// Asks for the gradients with respect to these operands only, in this order; an error where one does not exist, or stands
    /// twice.
    ///
    /// ```
    /// use ndarray::{arr0, array};
    /// use qeinsum::{QEinsum, ranks};
    /// let (x, y) = (array![1.0, 2.0], array![3.0, 4.0]);
    /// let plan = QEinsum::new("i,i->")?.plan(&[&[2], &[2]])?;
    /// let pulled = ranks::in_threads(2, |ranks| {
    ///     plan.vjp_on(ranks, (&x, &y), None, None)?.1.wrt(&[1])?.pull_for_first(&arr0(1.0))
    /// });
    /// assert_eq!(pulled, [Ok(Some(vec![x.clone().into_dyn()])), Ok(None)]);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn wrt(self, operands: &[usize]) -> Result<Self> {
        check_asked(&self.plan, operands)?;
        Ok(Self { asked: operands.to_vec(), ..self })
    }

    /// The gradients of `sum(cotangent · result)`, one per operand asked for, on every rank; all have the same cotangent.
    pub fn pull<'b>(&self, cotangent: impl Operand<'b, T>) -> Result<Vec<ArrayD<T>>> {
        self.pull_for(Recipients::All, cotangent)?.ok_or_else(no_result)
    }

    /// The same for the first rank: the others are given none.
    pub fn pull_for_first<'b>(&self, cotangent: impl Operand<'b, T>) -> Result<Option<Vec<ArrayD<T>>>> {
        self.pull_for(Recipients::First, cotangent)
    }

    fn pull_for<'b>(&self, recipients: Recipients, cotangent: impl Operand<'b, T>) -> Result<Option<Vec<ArrayD<T>>>> {
        let cotangent = cotangent.into_operand().into_array("a gradient")?;
        let mut asked = vec![false; self.plan.equation().operands().len()];
        self.asked.iter().for_each(|&operand| asked[operand] = true);
        // Only runs look at what is given.
        let share = Share { plan: &self.plan, spread: &self.spread, ranks: self.ranks, given: Given::Parts };
        let mut gradients = cancel::stoppable(self.cancel.as_ref(), || {
            share.pull(&self.tape, self.calls.as_ref(), &asked, &cotangent, recipients)
        })?;
        if recipients == Recipients::First && self.ranks.rank() > 0 {
            return Ok(None);
        }
        let gradients = self.asked.iter().filter_map(|&operand| gradients[operand].take());
        Ok(Some(gradients.map(row_major).collect()))
    }
}
