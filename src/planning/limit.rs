//! Plans within a limit of memory: in come a plan that needs more and what it was searched with; out goes one in slices.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::dtype::Dtype;
use crate::equation::Equation;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::ContractionGraph;
use crate::lower::{Plan, bytes_of, lower};
use crate::path::{Certificate, Depth, Ended, Found, Path, SearchOptions, Team, search_within};
use crate::quant::QuantConfig;
use crate::sizes::Sizes;

/// A limit of memory.
#[derive(Clone, Copy)]
pub(super) struct Limit {
    bytes: u64,
    /// What operands and output leave of it.
    left: u64,
}

impl Limit {
    /// So many bytes; an error where operands and output, which are there in any case, are too much alone.
    pub(super) fn new(limit: u64, equation: &Equation, sizes: &Sizes, dtype: Dtype) -> Result<Self> {
        let output = sizes.shape_of(equation.output());
        let shapes = sizes.shapes().iter().chain([&output]);
        let bytes = shapes.map(|shape| bytes_of(shape, dtype)).try_fold(0_u64, |all, bytes| all.checked_add(bytes?));
        let left = bytes.and_then(|bytes| limit.checked_sub(bytes)).ok_or_else(|| {
            let bytes = bytes.map_or_else(|| "more than 2^64".to_owned(), |bytes| bytes.to_string());
            let message =
                format!("the memory limit is {limit} bytes: the operands and the output alone need {bytes} bytes");
            Error::new(ErrorKind::Limit, message)
        })?;
        Ok(Self { bytes: limit, left })
    }

    pub(super) fn fits(self, plan: &Plan) -> bool {
        plan.peak_bytes().is_some_and(|peak| peak <= self.bytes)
    }

    /// That what is said needs as much as this plan.
    pub(super) fn exceeded(self, plan: &Plan, what_needs: &str) -> Error {
        let peak = plan.peak_bytes().map_or_else(|| "more than 2^64".to_owned(), |peak| peak.to_string());
        Error::new(ErrorKind::Limit, format!("the memory limit is {} bytes: {what_needs} {peak} bytes", self.bytes))
    }
}

/// The search for slices in which a plan keeps a limit.
pub(super) struct Narrowing<'a> {
    pub(super) graph: &'a ContractionGraph,
    /// What needs more.
    pub(super) plan: &'a Plan,
    pub(super) limit: Limit,
    pub(super) options: &'a SearchOptions,
    /// When a search for a time ends.
    pub(super) deadline: Option<Instant>,
    pub(super) config: Option<&'a QuantConfig>,
    pub(super) stop: &'a AtomicBool,
    pub(super) team: &'a Team<'a>,
}

impl Narrowing<'_> {
    /// A plan that keeps the limit; an error where none is found.
    pub(super) fn run(&self) -> Result<Plan> {
        // A step has two sides beside its result.
        let mut left = self.limit.left / 2;
        let mut last = self.plan.found.clone();
        // Several results are there at once, how many is known of a whole plan only: less is allowed to each until all fit.
        while let Some(found) = self.sliced(&last, left, Depth::Glance)? {
            if self.limit.fits(&found) {
                return self.longer(found, left);
            }
            last = found.found;
            left /= 2;
        }
        let what_needs = match self.plan.certificate() {
            Certificate::Given => "no slices of the path that was given were found that fit; without slices it needs",
            _ => "no order and no slices were found that fit; without slices the plan needs",
        };
        Err(self.limit.exceeded(self.plan, what_needs))
    }

    /// The best plan that fits, from one that a glance has found with so many bytes for a result.
    fn longer(&self, first: Plan, left: u64) -> Result<Plan> {
        if *first.certificate() == Certificate::Given {
            // There is nothing more to find.
            return Ok(first);
        }
        let mut last = self.plan.found.clone();
        // What is better with as much for a result may again be too much in all.
        for (left, depth) in [(left, Depth::Whole), (left / 2, Depth::Glance), (left / 4, Depth::Glance)] {
            let Some(found) = self.sliced(&last, left, depth)? else { break };
            if self.limit.fits(&found) {
                return Ok(if found.multiplications() < first.multiplications() { found } else { first });
            }
            last = found.found;
        }
        Ok(first)
    }

    /// The best slices found, from a path and slices that are known, with so many bytes for a result; none where there are none.
    fn sliced(&self, from: &Found, left: u64, depth: Depth) -> Result<Option<Plan>> {
        let Self { graph, plan, options, config, stop, team, .. } = *self;
        let elements = left / plan.dtype.bytes() as u64;
        if elements == 0 {
            return Ok(None);
        }
        let kinds = |path: &Path| config.map_or_else(Vec::new, |config| config.call_kinds(path));
        let within_time = self.deadline.map(|deadline| {
            let time = deadline.saturating_duration_since(Instant::now());
            options.clone().time_budget(match depth {
                Depth::Glance => time / 8,
                // What is found may not fit yet.
                Depth::Whole => time / 4 * 3,
            })
        });
        let options = within_time.as_ref().unwrap_or(options);
        let found = search_within(graph, options, from, elements, &kinds, depth, (stop, team))?;
        let lowered = found.map(|found| {
            let ended = match self.options.time_budget {
                _ if stop.load(Ordering::Relaxed) => Ended::Stopped,
                Some(budget) => Ended::Time(budget),
                None => plan.found.ended,
            };
            lower(&plan.equation, &plan.sizes, Found { ended, ..found }, plan.dtype)
        });
        Ok(lowered)
    }
}
