//! Paths whose results stay below a size: the search for slices, from a path that is known to the one that is lowered.
//!
//! In come the graph, a path and a limit of elements; out goes a path with slices and its exact cost.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use super::limits::{Limits, MEDIUM, MEDIUM_WORK};
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

/// The orders that are searched for up to [`MEDIUM`] operands.
const ORDERS_OF_FEW: [SumOrder; 2] = [SumOrder::SlicesFirst, SumOrder::Listed];
/// The same above: two searches find more in the order that any label can be sliced in.
const ORDERS_OF_MANY: [SumOrder; 2] = [SumOrder::SlicesFirst; 2];

/// How many times the work of a search for a path without slices they may take, above [`MEDIUM`] operands.
const SLICES_WORK: u64 = 4;

/// How long a search for slices is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Depth {
    /// To see what fits.
    Glance,
    /// All that the work allows.
    Whole,
}

/// The part of the work that a glance takes.
const GLANCE: u64 = 4;

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
/// A path that was given stays what it is, and one that has slices is where the search goes on. `kinds` are the kinds of the calls
/// of a path. What is searched apart is searched by several ranks where there are.
pub(crate) fn search_within(
    graph: &ContractionGraph,
    options: &SearchOptions,
    found: &Found,
    elements: u64,
    kinds: &(dyn Fn(&Path) -> Vec<CallKind> + Sync),
    depth: Depth,
    (stop, team): (&AtomicBool, &Team<'_>),
) -> Result<Option<Found>> {
    let terms = Terms::new(graph);
    let objective = options.objective;
    let deadline = options.time_budget.and_then(|budget| Instant::now().checked_add(budget));
    let scoring = Scoring { terms: &terms, scorer: options.scorer() };
    let limits = Limits::of(terms.operands.len()).times(u64::from(options.effort));
    let kinds_of = |steps: &[[usize; 2]]| Path::from_ssa(steps).map_or_else(|_| Vec::new(), |path| kinds(&path));
    let known = scoring.as_made(found.path.ssa());
    let known_slices: Vec<u32> = found.slices.iter().map(|label| label.index() as u32).collect();
    let few = terms.operands.len() <= MEDIUM;
    let (orders, work) = if few {
        (ORDERS_OF_FEW, MEDIUM_WORK.saturating_mul(options.effort.into()))
    } else {
        (ORDERS_OF_MANY, limits.portfolio.saturating_mul(SLICES_WORK))
    };
    let work = if depth == Depth::Glance { work / GLANCE } else { work };
    let is_given = found.certificate == Certificate::Given;
    let search = |order: SumOrder| SliceSearch {
        scoring,
        // A hair below, since logarithms are rounded.
        limit: logs::of_size(usize::try_from(elements).unwrap_or(usize::MAX)) - 1,
        order,
        kinds: &kinds_of,
        watch: Watch { deadline, stop: Some(stop) },
    };
    let job = |job: usize| {
        let search = search(orders[job]);
        if is_given {
            // That path and no other.
            search.slices_of(&known, &known_slices, options.seed)
        } else {
            search.run(&known, &known_slices, work / 2, options.seed.wrapping_add(job as u64))
        }
    };
    let found_by = team.share(2, |number| job(number).map_or_else(Vec::new, |tree| told(&tree)));
    team.check()?;
    let [first, second] = [0, 1].map(|number| understood(&found_by[number], terms.operands.len()));
    let (free, listed) = if few {
        (first, second)
    } else {
        let free = first.into_iter().chain(second).min_by_key(|tree| tree.multiplications);
        // A search of its own would take as long again: only the tree that was found is looked at, in slices that keep the order.
        let tree = free.as_ref().map_or_else(|| known.clone(), |free| scoring.as_made(free.steps.clone()));
        let listed = search(SumOrder::Listed).slices_of(&tree, &[], options.seed);
        (free, listed)
    };
    let (tree, order) = match (listed, free) {
        // Sums in the usual order are worth something: the same bits as of a plan that was never sliced.
        (Some(listed), Some(free)) if listed.multiplications <= free.multiplications + LISTED_WORTH => {
            (listed, SumOrder::Listed)
        }
        (_, Some(free)) => (free, SumOrder::SlicesFirst),
        (Some(listed), None) => (listed, SumOrder::Listed),
        (None, None) => return Ok(None),
    };
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
