//! What a plan is predicted to take on so many ranks: time, the messages in it, and memory.
//!
//! Assumed: ranks are as fast as the machine whose speeds are given, each pair of them is joined as the network says, messages do not
//! overlap with computing, and the first rank takes what others made, and the result of the run, one after the other. What is left out: starting the processes,
//! reading inputs, and ranks that wait for a slower one within a call.

use std::fmt;

use serde::Serialize;

use crate::lower::{Gathering, Loop, Op, Plan, Stage, ValueId};
use crate::path::Speeds;
use crate::quant::QuantConfig;

use super::choose::Network;
use super::ranges::{Spread, axes_of};

/// The prediction for a number of ranks.
///
/// ```
/// use qeinsum::path::Speeds;
/// use qeinsum::spread::{Network, Scaling};
/// let plan = qeinsum::QEinsum::new("ij,jk->ik")?.plan(&[&[4096, 4096], &[4096, 4096]])?;
/// let on = |ranks| Scaling::predict(&plan, None, ranks, Speeds::shipped(), Network::default());
/// assert!(on(4).seconds < on(1).seconds / 2.0);
/// assert_eq!(on(1).messages, 0.0);
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Scaling {
    /// How many.
    pub ranks: usize,
    /// Seconds in all.
    pub seconds: f64,
    /// Seconds of them for messages.
    pub messages: f64,
    /// Bytes on the rank that takes most, which is the first: none where 64 bits do not count them.
    pub bytes: Option<u64>,
    /// The label that ranks share each call by, `-` where they do not; the labels of the loops, of a plan in slices.
    pub shared_by: Vec<String>,
}

impl fmt::Display for Scaling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ranks, seconds, messages, bytes, shared_by } = self;
        let bytes = bytes.map_or_else(|| "more than 2^64".to_owned(), |bytes| bytes.to_string());
        let share = 100.0 * messages / seconds.max(f64::MIN_POSITIVE);
        writeln!(
            f,
            "; on {ranks} ranks {seconds:.3e} s, {share:.0} % of it messages, at most {bytes} bytes on a rank, shared by {}",
            shared_by.join(" ")
        )
    }
}

impl Scaling {
    /// Predicts a run of a plan, whose calls are quantized by this configuration.
    pub fn predict(plan: &Plan, config: Option<&QuantConfig>, ranks: usize, speeds: &Speeds, network: Network) -> Self {
        let per_step = plan.predict(config, &[], speeds).per_step;
        if plan.slices().is_empty() {
            Self::shared(plan, config, ranks, network, &per_step)
        } else {
            Self::handed(plan, config, ranks, network, &per_step)
        }
    }

    fn shared(plan: &Plan, config: Option<&QuantConfig>, ranks: usize, network: Network, per_step: &[f64]) -> Self {
        let spread = Spread::choose(plan, config, ranks, network);
        let bytes = |value: ValueId| plan.value(value).bytes_in(plan.dtype()).unwrap_or(u64::MAX) as f64;
        let sent = |value| if ranks == 1 { 0.0 } else { network.seconds(bytes(value), ranks) };
        let (mut computing, mut messages, mut number) = (0.0, 0.0, 0);
        for (step, seconds) in plan.steps().iter().zip(per_step) {
            let (result, want) = (step.result(), spread.wants[step.result().index()]);
            let Op::DotGeneral { lhs, dims, .. } = step.op() else {
                computing += seconds / if want.is_some() { ranks as f64 } else { 1.0 };
                continue;
            };
            let label = spread.calls[number];
            number += 1;
            computing += seconds / if label.is_some() { ranks as f64 } else { 1.0 };
            let made_by = label.filter(|&label| !axes_of(plan, result, label).is_empty());
            let summed = label.is_some_and(|label| {
                let axes = axes_of(plan, *lhs, label);
                dims.contracting().iter().any(|pair| axes.contains(&pair.0))
            });
            messages += if summed { 2.0 * sent(result) } else { 0.0 };
            // What comes out is for the first rank, which writes it.
            let is_last = number == spread.calls.len();
            let given = if is_last { network.seconds_to_first(bytes(result), ranks) } else { sent(result) };
            messages += if made_by.is_some() && made_by != want { given } else { 0.0 };
        }
        let name =
            |label: &Option<_>| label.map_or_else(|| "-".to_owned(), |label| plan.equation().joined(&[label], ""));
        let shared_by = spread.calls.iter().map(name).collect();
        let bytes = spread.run_bytes(plan, plan.dtype(), config);
        Self { ranks, seconds: computing + messages, messages, bytes, shared_by }
    }

    fn handed(plan: &Plan, config: Option<&QuantConfig>, ranks: usize, network: Network, per_step: &[f64]) -> Self {
        let bytes =
            |value: ValueId| plan.value(value).bytes_in(plan.dtype()).map_or(f64::INFINITY, |bytes| bytes as f64);
        let (mut computing, mut messages) = (0.0, 0.0);
        let mut shared_by = Vec::new();
        for stage in plan.schedule() {
            match stage {
                Stage::Step(step) => computing += per_step[step],
                Stage::Loop(outermost) => {
                    let passes = outermost.passes() as f64;
                    computing += seconds_in(&outermost, per_step) * (passes / ranks as f64).ceil() / passes;
                    shared_by.extend(labels(&outermost).map(|label| plan.equation().joined(&[label], "")));
                    if ranks == 1 {
                        continue;
                    }
                    let whole = match outermost.gathering() {
                        Gathering::Along(_) => bytes(plan.output()),
                        // A sum of each unit, of which each rank has some.
                        Gathering::Sum => bytes(outermost.result()) * ranks as f64,
                    };
                    messages += passes.min(16.0 * ranks as f64) * network.latency + whole / network.bytes_per_second;
                    messages += network.seconds(bytes(outermost.result()), ranks);
                }
            }
        }
        let bytes = Spread::choose(plan, config, ranks, network).run_bytes(plan, plan.dtype(), config);
        Self { ranks, seconds: computing + messages, messages, bytes, shared_by }
    }
}

/// The predicted seconds of all steps in a loop.
fn seconds_in(around: &Loop, per_step: &[f64]) -> f64 {
    let seconds = |stage: &Stage| match stage {
        Stage::Step(step) => per_step[*step],
        Stage::Loop(inner) => seconds_in(inner, per_step),
    };
    around.body().iter().map(seconds).sum()
}

/// The labels of the loops whose passes are handed out.
fn labels(outermost: &Loop) -> impl Iterator<Item = crate::equation::Label> + '_ {
    std::iter::successors(Some(outermost), |around| around.next()).map(|each| each.slice().label)
}
