//! What a program calls on each of its ranks.

use ndarray::{ArrayD, ArrayViewD};

use crate::cancel;
use crate::compiled::Compiled;
use crate::error::{Error, ErrorKind, Result};
use crate::exec::{self, Held, Recipients};
use crate::kernel::Element;
use crate::lower::{Plan, ValueId};
use crate::operands::{OperandView, Operands};
use crate::parse::Ast;
use crate::qeinsum::QEinsum;
use crate::quant::QuantConfig;
use crate::ranks::{Communicator, lost};
use crate::rng::Key;

use super::checkpoint::Checkpoint;
use super::choose::Network;
use super::gather::{Given, Share};
use super::ranges::Spread;

impl QEinsum {
    /// Runs on several ranks, each of which calls this with the same operands and has the result: the bits of
    /// [`run`](Self::run), for any number of ranks.
    ///
    /// Each rank searches for the plan by itself; [`Plan::search_on`] shares that too. An error where they find several, as
    /// within a [time budget](crate::path::SearchOptions::time_budget) they may.
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
        let spread = Spread::on(ranks, self.plan(), self.config())?;
        self.run_spread(ranks, &spread, operands, key.into())
    }

    /// The same by a choice that is known.
    pub(crate) fn run_spread<'a, T: Element>(
        &self,
        ranks: &dyn Communicator,
        spread: &Spread,
        operands: impl Operands<'a, T>,
        key: Option<Key>,
    ) -> Result<ArrayD<T>> {
        let share = Share { plan: self.plan(), spread, ranks, given: Given::Wholes };
        let operands = operands.into_operands();
        cancel::stoppable(self.cancel(), || share.run_operands(Some(self.ast()), self.config(), operands, key))
    }

    /// Runs on several ranks by a choice that is known, each of which has only its part of every array: as
    /// [`Plan::run_parts_for_first`], for the equation as it is written, which is what operands are frozen for.
    ///
    /// ```
    /// use ndarray::Array2;
    /// use qeinsum::{DotGeneralConfig, QEinsum, ranks, spread::{Network, Spread}};
    /// let dense = QEinsum::new("...i,io->...o")?.with_config(DotGeneralConfig::v4().build()?);
    /// let (x, w) = (Array2::from_elem((4, 64), 0.5_f32), Array2::from_elem((64, 64), -1.0_f32));
    /// let compiled = dense.compile(&[x.shape(), w.shape()])?;
    /// let frozen = compiled.freeze(1, &w, None)?;
    /// let slow = Network { latency: 1.0, bytes_per_second: 1.0 };
    /// let spread = Spread::choose(compiled.plan(), compiled.config(), 2, slow); // each computes everything
    /// let results = ranks::in_threads(2, |ranks| compiled.run_parts_for_first(ranks, &spread, (&x, &frozen), None));
    /// assert_eq!(results, [Ok(Some(dense.run((&x, &w))?)), Ok(None)]);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn run_parts_for_first<'a, T: Element>(
        &self,
        ranks: &dyn Communicator,
        spread: &Spread,
        parts: impl Operands<'a, T>,
        key: Option<Key>,
    ) -> Result<Option<ArrayD<T>>> {
        let to = (Recipients::First, Some(self.ast()));
        cancel::stoppable(self.cancel(), || self.plan().run_given(to, ranks, spread, parts, (self.config(), key)))
    }
}

impl Plan {
    /// Runs the plan on several ranks, as [`QEinsum::run_on`]; all have the same plan, operands, configuration and key.
    ///
    /// ```
    /// use ndarray::Array2;
    /// use qeinsum::{QEinsum, ranks};
    /// let x = Array2::from_elem((64, 64), 0.5_f32);
    /// let plan = QEinsum::new("ij,jk->ik")?.plan(&[&[64, 64], &[64, 64]])?;
    /// for product in ranks::in_threads(2, |ranks| plan.run_on(ranks, (&x, &x), None, None)) {
    ///     assert_eq!(product?, Array2::from_elem((64, 64), 16.0).into_dyn());
    /// }
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn run_on<'a, T: Element>(
        &self,
        ranks: &dyn Communicator,
        operands: impl Operands<'a, T>,
        config: Option<&QuantConfig>,
        key: Option<Key>,
    ) -> Result<ArrayD<T>> {
        let spread = Spread::on(ranks, self, config)?;
        let share = Share { plan: self, spread: &spread, ranks, given: Given::Wholes };
        share.run_operands(None, config, operands.into_operands(), key)
    }

    /// Runs the plan on several ranks, each of which has only its part of every operand, as [`Spread::part`] has it: no rank
    /// holds, or reads from a file, what others compute with.
    ///
    /// ```
    /// use ndarray::{Array2, Axis};
    /// use qeinsum::ranks::{self, Communicator as _};
    /// use qeinsum::{QEinsum, spread::Spread};
    /// let x = Array2::from_elem((512, 512), 0.5_f32);
    /// let plan = QEinsum::new("ij,jk->ik")?.plan(&[&[512, 512], &[512, 512]])?;
    /// let products = ranks::in_threads(2, |ranks| {
    ///     let spread = Spread::on(ranks, &plan, None)?;
    ///     let part = |operand| {
    ///         let mut view = x.view();
    ///         for (axis, range) in spread.part(&plan, operand, ranks.rank()).into_iter().enumerate() {
    ///             view.slice_axis_inplace(Axis(axis), range.into());
    ///         }
    ///         view
    ///     };
    ///     plan.run_parts_on(ranks, &spread, (&part(0), &part(1)), None, None)
    /// });
    /// for product in products {
    ///     assert_eq!(product?, Array2::from_elem((512, 512), 128.0).into_dyn());
    /// }
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    ///
    /// What is frozen or stored is given whole, and read in part. All ranks have the same spread. An error where an array is no
    /// such part, or the plan is in slices, whose passes any rank may be given.
    pub fn run_parts_on<'a, T: Element>(
        &self,
        ranks: &dyn Communicator,
        spread: &Spread,
        parts: impl Operands<'a, T>,
        config: Option<&QuantConfig>,
        key: Option<Key>,
    ) -> Result<ArrayD<T>> {
        self.run_given((Recipients::All, None), ranks, spread, parts, (config, key))?.ok_or_else(no_result)
    }

    /// The same for the first rank: the others are not given the result, nor sent what the first one has no use for.
    ///
    /// ```
    /// use ndarray::Array2;
    /// use qeinsum::ranks;
    /// use qeinsum::{QEinsum, spread::{Network, Spread}};
    /// let x = Array2::from_elem((64, 64), 0.5_f32);
    /// let plan = QEinsum::new("ij,jk->ik")?.plan(&[&[64, 64], &[64, 64]])?;
    /// let slow = Network { latency: 1.0, bytes_per_second: 1.0 };
    /// let spread = Spread::choose(&plan, None, 2, slow); // each computes everything, and reads it
    /// let run = |ranks: &ranks::Threads| plan.run_parts_for_first(ranks, &spread, (&x, &x), None, None);
    /// let results = ranks::in_threads(2, run);
    /// assert_eq!(results[0], Ok(Some(Array2::from_elem((64, 64), 16.0).into_dyn())));
    /// assert_eq!(results[1], Ok(None));
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn run_parts_for_first<'a, T: Element>(
        &self,
        ranks: &dyn Communicator,
        spread: &Spread,
        parts: impl Operands<'a, T>,
        config: Option<&QuantConfig>,
        key: Option<Key>,
    ) -> Result<Option<ArrayD<T>>> {
        self.run_given((Recipients::First, None), ranks, spread, parts, (config, key))
    }

    fn run_given<'a, T: Element>(
        &self,
        (recipients, ast): (Recipients, Option<&Ast>),
        ranks: &dyn Communicator,
        spread: &Spread,
        parts: impl Operands<'a, T>,
        (config, key): (Option<&QuantConfig>, Option<Key>),
    ) -> Result<Option<ArrayD<T>>> {
        if !self.slices().is_empty() {
            return Err(exec::unsliced("operands are taken in parts"));
        }
        let share = Share { plan: self, spread, ranks, given: Given::Parts };
        share.run_for(recipients, ast, config, parts.into_operands(), key, None)
    }

    /// Runs a plan in slices as [`run_on`](Self::run_on) does, and keeps what it has in a file, to go on where it was ended; see
    /// [`Checkpoint`].
    ///
    /// An error where the plan has no slices, or the file is the checkpoint of another run.
    pub fn run_kept<'a, T: Element>(
        &self,
        ranks: &dyn Communicator,
        operands: impl Operands<'a, T>,
        config: Option<&QuantConfig>,
        key: Option<Key>,
        checkpoint: Checkpoint,
    ) -> Result<ArrayD<T>> {
        if self.slices().is_empty() {
            return Err(nothing_kept());
        }
        let operands = operands.into_operands();
        self.run_sliced(Recipients::All, ranks, operands, (config, key), Some(checkpoint))?.ok_or_else(no_result)
    }

    /// Runs a plan in slices, which ranks share pass by pass, whatever messages cost.
    fn run_sliced<T: Element>(
        &self,
        recipients: Recipients,
        ranks: &dyn Communicator,
        operands: Vec<OperandView<'_, T>>,
        (config, key): (Option<&QuantConfig>, Option<Key>),
        checkpoint: Option<Checkpoint>,
    ) -> Result<Option<ArrayD<T>>> {
        self.same_on(ranks)?;
        let spread = Spread::choose(self, config, ranks.size(), Network::default());
        let share = Share { plan: self, spread: &spread, ranks, given: Given::Wholes };
        share.run_for(recipients, None, config, operands, key, checkpoint)
    }

    /// Runs the plan on several ranks as [`run_on`](Self::run_on) does, or [`run_kept`](Self::run_kept), for the first one: the others
    /// are not given the result, and of a plan in slices no message with it.
    ///
    /// ```
    /// use ndarray::Array2;
    /// use qeinsum::{QEinsum, ranks};
    /// let x = Array2::from_elem((64, 64), 0.5_f32);
    /// let plan = QEinsum::new("ij,jk->ik")?.plan(&[&[64, 64], &[64, 64]])?.with_slices(&["i"])?;
    /// let results = ranks::in_threads(2, |ranks| plan.run_for_first(ranks, (&x, &x), None, None, None));
    /// assert_eq!(results[0], Ok(Some(Array2::from_elem((64, 64), 16.0).into_dyn())));
    /// assert_eq!(results[1], Ok(None));
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn run_for_first<'a, T: Element>(
        &self,
        ranks: &dyn Communicator,
        operands: impl Operands<'a, T>,
        config: Option<&QuantConfig>,
        key: Option<Key>,
        checkpoint: Option<Checkpoint>,
    ) -> Result<Option<ArrayD<T>>> {
        if self.slices().is_empty() {
            if checkpoint.is_some() {
                return Err(nothing_kept());
            }
            let spread = Spread::on(ranks, self, config)?;
            let share = Share { plan: self, spread: &spread, ranks, given: Given::Wholes };
            return share.run_for(Recipients::First, None, config, operands.into_operands(), key, None);
        }
        self.run_sliced(Recipients::First, ranks, operands.into_operands(), (config, key), checkpoint)
    }
}

impl Spread {
    /// How ranks share a plan by what messages between them are measured to cost now. An error where they have several plans.
    ///
    /// ```
    /// use qeinsum::{QEinsum, ranks, spread::Spread};
    /// let plan = QEinsum::new("ij,jk->ik")?.plan(&[&[512, 512], &[512, 512]])?;
    /// let spreads = ranks::in_threads(2, |ranks| Spread::on(ranks, &plan, None));
    /// assert_eq!(spreads[0], spreads[1]);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn on(ranks: &dyn Communicator, plan: &Plan, config: Option<&QuantConfig>) -> Result<Self> {
        plan.same_on(ranks)?;
        let network = Network::between(ranks)?;
        Ok(Self::choose(plan, config, ranks.size(), network))
    }

    /// The same within a limit of bytes on each rank: what [`choose_within`](Self::choose_within) finds.
    ///
    /// ```
    /// use qeinsum::{Dtype, QEinsum, ranks, spread::Spread};
    /// let plan = QEinsum::new("ij,jk->ik")?.plan(&[&[8192, 64], &[64, 16]])?;
    /// // All of it takes 2.6 MB.
    /// let bytes = |spread: &Spread| spread.run_bytes(&plan, Dtype::F32, None);
    /// for spread in ranks::in_threads(4, |ranks| Spread::within(ranks, &plan, None, 1_500_000, bytes)) {
    ///     assert_eq!(spread?.to_string(), "4 ranks: i\n");
    /// }
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn within(
        ranks: &dyn Communicator,
        plan: &Plan,
        config: Option<&QuantConfig>,
        limit: u64,
        bytes: impl Fn(&Self) -> Option<u64>,
    ) -> Result<Self> {
        plan.same_on(ranks)?;
        Self::choose_within(plan, config, ranks.size(), Network::between(ranks)?, limit, bytes)
    }
}

fn nothing_kept() -> Error {
    Error::new(ErrorKind::Slice, "a checkpoint is of a run in slices, and the plan has none")
}

pub(super) fn no_result() -> Error {
    lost("there came no result")
}

/// Arrays as the first values of a plan.
pub(super) fn as_values<T>(arrays: Vec<ArrayViewD<'_, T>>) -> impl Iterator<Item = (ValueId, Held<'_, T>)> {
    let arrays = arrays.into_iter().enumerate();
    arrays.map(|(id, array)| (ValueId::new(id), Held::Value(exec::Value::Borrowed(array))))
}
