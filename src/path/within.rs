//! Paths whose results stay below a size: the search for slices, from a path that is known to the one that is lowered.
//!
//! In come the graph, a path and a limit of elements; out goes a path with slices and its exact cost.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use super::limits::{Limits, MEDIUM_WORK};
use super::logs::{self, Log, ONE};
use super::scored::Scoring;
use super::slice_search::{SliceSearch, SlicedTree, SumOrder};
use super::sliced::{CallKind, Slicing};
use super::team::{Team, joins_of, words_of};
use super::terms::Terms;
use super::tree::frugal;
use super::watch::Watch;
use crate::equation::Label;
use crate::error::Result;
use crate::graph::ContractionGraph;
use crate::path::{Certificate, Cost, Found, Objective, Path, SearchOptions};

/// The bits of multiplications that sums in the order of labels are worth.
const LISTED_WORTH: Log = ONE / 2;

/// The orders that are searched.
const ORDERS: [SumOrder; 2] = [SumOrder::SlicesFirst, SumOrder::Listed];

/// A tree with its slices in words, as ranks tell them.
fn told(tree: &SlicedTree) -> Vec<u64> {
    let slices = tree.slices.iter().map(|&label| u64::from(label));
    [tree.multiplications as u64].into_iter().chain(words_of(&tree.steps)).chain(slices).collect()
}

/// The tree of so many operands that words tell of.
fn understood(words: &[u64], operands: usize) -> Option<SlicedTree> {
    let (&multiplications, rest) = words.split_first()?;
    let (steps, slices) = rest.split_at_checked(2 * operands.saturating_sub(1))?;
    let slices = slices.iter().map(|&label| label as u32).collect();
    Some(SlicedTree { steps: joins_of(steps), slices, multiplications: multiplications as Log })
}

/// The best path and slices found in which no result but the output has more than `elements`, starting from a path that is known; `None`
/// where no slices make it fit.
///
/// A path that was given stays what it is. `kinds` are the kinds of the calls of a path. Two orders of summing are searched, by
/// two ranks where there are.
pub(crate) fn search_within(
    graph: &ContractionGraph,
    options: &SearchOptions,
    found: &Found,
    elements: u64,
    kinds: &(dyn Fn(&Path) -> Vec<CallKind> + Sync),
    stop: &AtomicBool,
    team: &Team<'_>,
) -> Result<Option<Found>> {
    let terms = Terms::new(graph);
    let objective = options.objective;
    let deadline = options.time_budget.and_then(|budget| Instant::now().checked_add(budget));
    let scoring = Scoring { terms: &terms, scorer: options.scorer() };
    let limits = Limits::of(terms.operands.len()).times(u64::from(options.effort));
    let kinds_of = |steps: &[[usize; 2]]| Path::from_ssa(steps).map_or_else(|_| Vec::new(), |path| kinds(&path));
    let known = scoring.as_made(found.path.ssa());
    let work = limits.portfolio.max(MEDIUM_WORK);
    let sliced = |order: SumOrder| {
        let search = SliceSearch {
            scoring,
            // A hair below, since logarithms are rounded.
            limit: logs::of_size(usize::try_from(elements).unwrap_or(usize::MAX)) - 1,
            order,
            kinds: &kinds_of,
            watch: Watch { deadline, stop: Some(stop) },
        };
        match found.certificate {
            // That path and no other.
            Certificate::Given => search.slices_of(&known, options.seed),
            _ => search.run(&known, work / 2, options.seed),
        }
    };
    let found_by = team.share(2, |order| sliced(ORDERS[order]).map_or_else(Vec::new, |tree| told(&tree)));
    team.check()?;
    let [free, listed] = [0, 1].map(|order| understood(&found_by[order], terms.operands.len()));
    let (tree, order) = match (listed, free) {
        // Sums in the usual order are worth something: the same bits as of a plan that was never sliced.
        (Some(listed), Some(free)) if listed.multiplications <= free.multiplications + LISTED_WORTH => {
            (listed, SumOrder::Listed)
        }
        (_, Some(free)) => (free, SumOrder::SlicesFirst),
        (Some(listed), None) => (listed, SumOrder::Listed),
        (None, None) => return Ok(None),
    };
    let is_given = found.certificate == Certificate::Given;
    let path = if is_given { found.path.clone() } else { Path::from_ssa(&frugal(&terms, &tree.steps))? };
    let slices: Vec<Label> = tree.slices.iter().map(|&label| Label::from_index(label as usize)).collect();
    let leading = if order == SumOrder::SlicesFirst { slices.clone() } else { Vec::new() };
    let slicing = Slicing::new(graph, &path, &kinds(&path))?.summing_first(&leading);
    if slicing.check(&slices).is_err() {
        return Ok(None);
    }
    // What slices cost along another path is not known, but none multiplies less than without slices.
    let lower_bound = match (&found.certificate, objective) {
        (Certificate::Optimal, Objective::Mul) => found.cost.multiplications.clone(),
        (Certificate::Unproved { lower_bound }, Objective::Mul) => lower_bound.clone(),
        _ => Cost::ZERO,
    };
    let cost = slicing.cost(&slices);
    Ok(Some(Found {
        path,
        objective,
        cost,
        certificate: if is_given { Certificate::Given } else { Certificate::Unproved { lower_bound } },
        ended: found.ended,
        slices,
        leading,
    }))
}
