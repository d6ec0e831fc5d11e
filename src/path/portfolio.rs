//! The search for trees of networks that no exact search can finish: several ways, and the best of what they find.
//!
//! In come [`Terms`](super::terms::Terms), an objective and a limit of work; out goes a tree. Greedy trees and
//! elimination orders are seeds. From them start lineages, each of which anneals a tree from scratch, or from the best
//! seed, and then improves it again and again. Every lineage has random numbers of its own, so that lineages may run
//! on any number of threads, and of ranks. Last, pieces of the best tree are arranged exactly.

use super::anneal::{Schedule, anneal, visit_work};
use super::eliminate::{Rule, eliminate};
use super::greedy::{greedy, random_greedy};
use super::pieces::anneal_pieces;
use super::random::Random;
use super::reconfigure::{LARGE_PIECE, SMALL_PIECE, reconfigure};
use super::scored::{ScoredTree, Scoring};
use super::team::{Team, joins_of, words_of};
use super::watch::Watch;

/// How a greedy score weighs the operands against the result; the best of these is taken.
const GREEDY_WEIGHTS: [f64; 3] = [1.0, 0.0, 4.0];

/// From how many operands on an order by fill is worth its time.
const FILL_OPERANDS: usize = 60;

/// Trees that a lineage improves, one after the other.
const IMPROVEMENTS: u64 = 5;

/// How a lineage begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Start {
    /// The tree is forgotten.
    Scratch,
    /// The tree is improved.
    Tree,
}

/// The lineages of a round and their shares of its work, in sixteenths.
const LINEAGES: [(Start, u64); 3] = [(Start::Scratch, 6), (Start::Scratch, 6), (Start::Tree, 2)];
/// The share that is left for the arrangement of pieces.
const ARRANGEMENT: u64 = 2;
const SHARES: u64 = 16;

/// The best greedy tree; among equals, the first.
pub(super) fn best_greedy(scoring: Scoring<'_>) -> ScoredTree {
    let first = scoring.tree(&greedy(scoring.terms, GREEDY_WEIGHTS[0]));
    GREEDY_WEIGHTS[1..].iter().fold(first, |best, &alpha| best.or_better(scoring.tree(&greedy(scoring.terms, alpha))))
}

/// Trials that a thread does one after the other.
const GROUP: u64 = 8;

/// The best of `trials` greedy trees with random choices, and of those without.
pub(super) fn best_random_greedy(
    scoring: Scoring<'_>,
    trials: u64,
    seed: u64,
    team: &Team<'_>,
    watch: Watch<'_>,
) -> ScoredTree {
    let groups = trials.div_ceil(GROUP) as usize;
    let trees = team.share(groups, |group| {
        let from = group as u64 * GROUP;
        let trees = (from..trials.min(from + GROUP)).map_while(|trial| {
            let mut random = Random::new(seed, trial);
            (!watch.is_over()).then(|| scoring.tree(&random_greedy(scoring.terms, &mut random)))
        });
        trees.reduce(ScoredTree::or_better).map_or_else(Vec::new, |best| words_of(&best.steps))
    });
    // The order of trials decides between equals, so neither threads nor ranks do.
    let trees = trees.iter().filter(|joins| !joins.is_empty()).map(|joins| scoring.tree(&joins_of(joins)));
    trees.fold(best_greedy(scoring), ScoredTree::or_better)
}

/// The tree with its pieces of up to `size` operands arranged better.
pub(super) fn arranged(
    scoring: Scoring<'_>,
    tree: ScoredTree,
    size: usize,
    work: &mut u64,
    watch: Watch<'_>,
) -> ScoredTree {
    let other = scoring.tree(&reconfigure(scoring.terms, scoring.scorer, &tree.steps, size, work, watch));
    tree.or_better(other)
}

/// The best greedy tree or elimination order: what everything else starts from.
pub(super) fn seed_tree(scoring: Scoring<'_>) -> ScoredTree {
    let best = best_greedy(scoring);
    if best.steps.len() < SMALL_PIECE {
        return best;
    }
    let best = by_elimination(scoring, best, Rule::Degree);
    if best.steps.len() < FILL_OPERANDS {
        return best;
    }
    by_elimination(scoring, best, Rule::Fill)
}

/// The labels that an elimination order may look at: what takes half a second.
const ELIMINATION_WORK: u64 = 200_000_000;

/// The better one of a tree and an elimination order.
fn by_elimination(scoring: Scoring<'_>, known: ScoredTree, rule: Rule) -> ScoredTree {
    match eliminate(scoring.terms, rule, ELIMINATION_WORK) {
        Some(joins) => known.or_better(scoring.tree(&joins)),
        None => known,
    }
}

/// A tree that is at least as good as `known`, found with so much work.
///
/// Each round, the second part of the seed, has random numbers of its own.
pub(super) fn portfolio(
    scoring: Scoring<'_>,
    known: ScoredTree,
    work: u64,
    [seed, round]: [u64; 2],
    team: &Team<'_>,
    watch: Watch<'_>,
) -> ScoredTree {
    let Some(visit) = visit_work(scoring.terms) else {
        return by_pieces(scoring, known, work, [seed, round], team, watch);
    };
    let trees = team.share(LINEAGES.len(), |place| {
        let (start, share) = LINEAGES[place];
        let mut random = Random::new(seed, round * LINEAGES.len() as u64 + place as u64);
        let visits = work / SHARES * share / visit;
        words_of(&lineage(scoring, &known, start, visits, &mut random, watch).steps)
    });
    let trees = trees.iter().map(|joins| scoring.tree(&joins_of(joins)));
    let best = trees.fold(known.clone(), ScoredTree::or_better);
    let mut left = work / SHARES * ARRANGEMENT;
    let best = arranged(scoring, best, SMALL_PIECE, &mut left, watch);
    arranged(scoring, best, LARGE_PIECE, &mut left, watch)
}

/// Values of the pieces that a large tree is cut into, one time after the other.
const PIECES: [usize; 4] = [600, 400, 800, 500];

/// A tree that is at least as good as `known`, for more labels than trees are annealed with.
fn by_pieces(
    scoring: Scoring<'_>,
    known: ScoredTree,
    work: u64,
    [seed, round]: [u64; 2],
    team: &Team<'_>,
    watch: Watch<'_>,
) -> ScoredTree {
    let each = work / SHARES * (SHARES - ARRANGEMENT) / PIECES.len() as u64;
    let mut best = known;
    for (place, size) in PIECES.into_iter().enumerate() {
        let schedule: fn(u64) -> Schedule = if place < 2 { Schedule::forgetting } else { Schedule::improving };
        let seed = [seed, round * PIECES.len() as u64 + place as u64];
        let joins = anneal_pieces(scoring, &best.steps, size, (schedule, each), seed, team, watch);
        best = best.or_better(scoring.tree(&joins));
    }
    let mut left = work / SHARES * ARRANGEMENT;
    arranged(scoring, best, SMALL_PIECE, &mut left, watch)
}

/// The best tree of a lineage that visits every step of a tree so many times.
fn lineage(
    scoring: Scoring<'_>,
    from: &ScoredTree,
    start: Start,
    visits: u64,
    random: &mut Random,
    watch: Watch<'_>,
) -> ScoredTree {
    let mut best = from.clone();
    let mut step = |best: &mut ScoredTree, from: &ScoredTree, schedule: Schedule| {
        let joins = anneal(scoring.terms, scoring.scorer, &from.steps, schedule, random, watch);
        if let Some(tree) = joins.map(|joins| scoring.tree(&joins)).filter(|tree| tree.score < best.score) {
            *best = tree;
        }
    };
    let each = match start {
        Start::Scratch => {
            step(&mut best, from, Schedule::forgetting(visits / 2));
            visits / 2 / IMPROVEMENTS
        }
        Start::Tree => visits / IMPROVEMENTS,
    };
    for _ in 0..IMPROVEMENTS {
        let from = best.clone();
        step(&mut best, &from, Schedule::improving(each));
    }
    best
}
