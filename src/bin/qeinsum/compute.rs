//! The computing part of a run: operands in memory in, the result and what was measured on the way out.

use std::cmp::Ordering;
use std::time::{Duration, Instant};

use ndarray::ArrayD;
use qeinsum::io::AnyArray;
use qeinsum::ranks;
use qeinsum::spread::Checkpoint;
use qeinsum::{
    Cancel, ChosenBits, Element, Frozen, FrozenFile, Op, OperandView, Plan, QEinsum, QuantConfig, QuantizationError,
};

use crate::case::{Precision, Reporting};
use crate::failure::Failure;
use crate::inputs::Loaded;
use crate::kept_file::KeptFile;
use crate::memory::Work;
use crate::progress::{Progress, watched};
use crate::ranks::Ranks;
use crate::report::{Report, Times};
use crate::settings::Settings;
use crate::together::Sharing;

/// What is computed, and what of it is measured.
pub(crate) struct Computing<'c, 's> {
    pub(crate) equation: &'c QEinsum,
    pub(crate) plan: &'c Plan,
    pub(crate) settings: &'c Settings<'s>,
    pub(crate) work: Work<'c>,
    pub(crate) reporting: Reporting,
    pub(crate) precision: Precision,
    pub(crate) ranks: Ranks<'c>,
    pub(crate) sharing: Option<&'c Sharing>,
    pub(crate) checkpoint: Option<&'c Checkpoint>,
}

/// What came of it.
pub(crate) struct Computed {
    /// None on a rank that is not the first one, where only that is given it.
    pub(crate) result: Option<AnyArray>,
    pub(crate) chosen: Option<ChosenBits>,
    pub(crate) report: Option<Report>,
    pub(crate) times: Option<Times>,
}

/// Runs are timed again until so much time has passed, for the first has caches to fill.
const TIMED: Duration = Duration::from_secs(1);
/// But no more often than this.
const MOST_RUNS: usize = 5;

/// Computes on operands that are all of one type.
pub(crate) fn compute<T: Element>(computing: &Computing<'_, '_>, operands: Vec<Loaded>) -> Result<Computed, Failure>
where
    AnyArray: From<ArrayD<T>>,
    ArrayD<T>: TryFrom<AnyArray>,
{
    let operands: Vec<Operand<T>> = operands.into_iter().filter_map(Operand::new).collect();
    let views: Vec<OperandView<'_, T>> = operands.iter().map(Operand::view).collect();
    let Computing { equation, plan, settings, work, .. } = *computing;
    let is_frozen = operands.iter().any(|operand| matches!(operand, Operand::Frozen(_) | Operand::FrozenFile(_)));
    if let (Some(config), true) = (work.config(), is_frozen) {
        // By the equation as it is written, for which operands are frozen; its plan is this one.
        let equation = equation.clone().with_path(plan.path().clone()).with_config(config.clone());
        let result = watched("running", || match (computing.ranks, settings.key) {
            (Some(ranks), key) => {
                let compiled = equation.compile_plan(plan.clone())?;
                match computing.sharing {
                    Some(sharing) => compiled.run_parts_for_first(ranks, &sharing.spread, views, key),
                    None => compiled.run_on(ranks, views, key).map(Some),
                }
            }
            (None, Some(key)) => equation.run_with_key(views, key).map(Some),
            (None, None) => equation.run(views).map(Some),
        })?;
        return Ok(Computed { result: result.map(AnyArray::from), chosen: None, report: None, times: None });
    }
    let chosen = match computing.precision {
        Precision::Chosen(least) => {
            let options = settings.options();
            let choose = || plan.choose_bits(&views, least, options.used_speeds());
            Some(watched("choosing bits", choose)?)
        }
        _ => None,
    };
    let config = chosen.as_ref().map(|chosen| &chosen.config).or(work.config());
    let (result, report) = computing.result(&views, config)?;
    let times = match computing.reporting {
        Reporting::Analyzed => Some(watched("timing", || computing.times(&views, config))?),
        _ => None,
    };
    Ok(Computed { result: result.map(AnyArray::from), chosen, report, times })
}

impl Computing<'_, '_> {
    /// The result, and how far it is from the unquantized one where that is wanted.
    fn result<T: Element>(
        &self,
        views: &[OperandView<'_, T>],
        config: Option<&QuantConfig>,
    ) -> Result<(Option<ArrayD<T>>, Option<Report>), Failure> {
        let (plan, key) = (self.plan, self.settings.key);
        if let Some(checkpoint) = self.checkpoint {
            let alone = ranks::alone();
            let ranks = self.ranks.unwrap_or(&alone);
            let kept = || plan.run_for_first(ranks, views.to_vec(), config, key, Some(checkpoint.clone()));
            return Ok((watched("running", kept)?, None));
        }
        if let Some(ranks) = self.ranks {
            let result = watched("running", || match self.sharing {
                Some(sharing) => plan.run_parts_for_first(ranks, &sharing.spread, views.to_vec(), config, key),
                None => plan.run_for_first(ranks, views.to_vec(), config, key, None),
            });
            return Ok((result?, None));
        }
        let measured = config.filter(|_| matches!(self.work, Work::Measured(_)));
        let Some(config) = measured else {
            let per_pass: Vec<u64> = plan.calls().map(|call| multiplications(plan, call.op())).collect();
            let all = plan.multiplications().to_u128().map_or(u64::MAX, |all| u64::try_from(all).unwrap_or(u64::MAX));
            let largest = per_pass.iter().copied().max().unwrap_or_default();
            let watch = Cancel::new();
            let progress = Progress::of_products("running", [all, largest], &watch);
            let timed = || plan.run_timed(views.to_vec(), config, key, |call, _| progress.advance(per_pass[call]));
            return Ok((Some(watch.scope(timed)?), None));
        };
        watched("measuring", || self.measured(views, config))
    }

    /// The result, and how far it is from the unquantized one.
    fn measured<T: Element>(
        &self,
        views: &[OperandView<'_, T>],
        config: &QuantConfig,
    ) -> Result<(Option<ArrayD<T>>, Option<Report>), Failure> {
        let (plan, key) = (self.plan, self.settings.key);
        let exact = plan.run(views.to_vec())?;
        let mut calls = Vec::new();
        let result = plan.run_measured(views.to_vec(), config, key, |_, error| calls.push(error))?;
        let error = QuantizationError::between(&exact, &result);
        if let Precision::AtLeast(least) = self.precision
            // A ratio that is no number is not enough either.
            && error.sqnr_db().partial_cmp(&least).is_none_or(Ordering::is_lt)
        {
            return Err(Failure::Request(format!("the result has {error}, and `--min-sqnr` asks for {least} dB")));
        }
        let without = match self.reporting {
            Reporting::Analyzed => plan.errors_without_call(views, config, key)?,
            _ => Vec::new(),
        };
        let reports = self.reporting != Reporting::Silent;
        Ok((Some(result), reports.then_some(Report { calls, result: error, without })))
    }

    /// The times of the fastest of a few runs.
    fn times<T: Element>(&self, views: &[OperandView<'_, T>], config: Option<&QuantConfig>) -> Result<Times, Failure> {
        let plan = self.plan;
        let steps: Vec<usize> = plan
            .steps()
            .iter()
            .enumerate()
            .filter(|(_, step)| matches!(step.op(), Op::DotGeneral { .. }))
            .map(|(place, _)| place)
            .collect();
        let start = Instant::now();
        let mut best: Option<Times> = None;
        for _ in 0..MOST_RUNS {
            let mut per_step = vec![0.0; plan.steps().len()];
            let run = Instant::now();
            let observe = |call: usize, time: Duration| per_step[steps[call]] += time.as_secs_f64();
            plan.run_timed(views.to_vec(), config, self.settings.key, observe)?;
            let all = run.elapsed();
            if best.as_ref().is_none_or(|best| all < best.all) {
                best = Some(Times { per_step, all });
            }
            if start.elapsed() > TIMED {
                break;
            }
        }
        best.ok_or_else(|| Failure::Machine("nothing was timed".to_owned()))
    }
}

/// The multiplications of a call, in a pass where it is in a loop.
fn multiplications(plan: &Plan, op: &Op) -> u64 {
    let Op::DotGeneral { lhs, rhs, dims, .. } = op else { return 0 };
    let [left, right] = [plan.value(*lhs).shape(), plan.value(*rhs).shape()];
    let shared = [dims.rhs_batch(), dims.rhs_contracting()].concat();
    let free = right.iter().enumerate().filter(|(axis, _)| !shared.contains(axis)).map(|(_, size)| size);
    left.iter().chain(free).fold(1, |all: u64, &size| all.saturating_mul(size as u64))
}

/// An operand of a run whose element type is known.
enum Operand<T> {
    Array(ArrayD<T>),
    Frozen(Box<Frozen>),
    FrozenFile(Box<FrozenFile>),
    Kept(KeptFile),
}

impl<T: Element> Operand<T>
where
    ArrayD<T>: TryFrom<AnyArray>,
{
    /// All were read as this type; were one not, the run would refuse the shorter list.
    fn new(loaded: Loaded) -> Option<Self> {
        match loaded {
            Loaded::Array(array) => array.try_into().ok().map(Self::Array),
            Loaded::Frozen(frozen) => Some(Self::Frozen(frozen)),
            Loaded::FrozenFile(file) => Some(Self::FrozenFile(file)),
            Loaded::Kept(file) => Some(Self::Kept(file)),
        }
    }

    fn view(&self) -> OperandView<'_, T> {
        match self {
            Self::Array(array) => OperandView::Array(array.view()),
            Self::Frozen(frozen) => OperandView::Frozen(frozen),
            Self::FrozenFile(file) => OperandView::FrozenFile(file),
            Self::Kept(file) => OperandView::Stored(file),
        }
    }
}
