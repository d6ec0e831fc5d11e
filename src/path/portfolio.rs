//! The search for trees of networks that no exact search can finish: several ways, and the best of what they find.
//!
//! In come [`Terms`](super::terms::Terms), an objective and a limit of work; out goes a tree. Greedy trees, with and
//! without random choices, and elimination orders are seeds. A tree is annealed from scratch and another one from the best
//! seed; the better one is improved, in two ways side by side, again and again. Each way has random numbers of its own,
//! so that they may run on any number of threads, and of ranks. Last, pieces of the best tree are arranged exactly.

use std::ops::Range;

use super::anneal::{Schedule, anneal, visit_work};
use super::eliminate::{Rule, eliminate};
use super::greedy::{greedy, random_greedy};
use super::pieces::anneal_pieces;
use super::random::Random;
use super::reconfigure::{LARGE_PIECE, SMALL_PIECE, reconfigure};
use super::scored::{ScoredTree, Scoring};
use super::team::{Team, joins_of, words_of};
use super::terms::Terms;
use super::watch::Watch;

/// How a greedy score weighs the operands against the result; the best of these is taken.
const GREEDY_WEIGHTS: [f64; 3] = [1.0, 0.0, 4.0];

/// From how many operands on an order by fill is worth its time.
const FILL_OPERANDS: usize = 60;

/// How the work of a search is shared out, in sixteenths.
struct Shares {
    /// Greedy trees with random choices.
    sampling: u64,
    /// Trees that are annealed from scratch, each.
    scratch: &'static [u64],
    /// One that is annealed from the best seed.
    seed: u64,
    /// Improvements of the best of these.
    improvement: u64,
    /// The arrangement of pieces.
    arrangement: u64,
}

impl Shares {
    const ALL: u64 = 16;
    /// Of a few operands annealing finds the best trees from anywhere, if it is tried twice.
    const FEW: Self = Self { sampling: 0, scratch: &[4, 4], seed: 2, improvement: 4, arrangement: 2 };
    const MANY: Self = Self { sampling: 2, scratch: &[4], seed: 4, improvement: 4, arrangement: 2 };

    fn of(terms: &Terms) -> &'static Self {
        if terms.operands.len() <= FILL_OPERANDS { &Self::FEW } else { &Self::MANY }
    }
}

/// Improvements that come one after the other, each from the best tree so far, and those that run side by side.
const TURNS: u64 = 3;
const SIDE_BY_SIDE: usize = 2;

/// The best greedy tree; among equals, the first.
pub(super) fn best_greedy(scoring: Scoring<'_>) -> ScoredTree {
    let first = scoring.tree(&greedy(scoring.terms, GREEDY_WEIGHTS[0]));
    GREEDY_WEIGHTS[1..].iter().fold(first, |best, &alpha| best.or_better(scoring.tree(&greedy(scoring.terms, alpha))))
}

/// Trials that a thread does one after the other.
const GROUP: u64 = 8;

/// Groups whose best trees are there at the same time, however many trials there are.
const TOGETHER: u64 = 1024;

/// The best of `trials` greedy trees with random choices, and of those without.
pub(super) fn best_random_greedy(
    scoring: Scoring<'_>,
    trials: u64,
    seed: u64,
    team: &Team<'_>,
    watch: Watch<'_>,
) -> ScoredTree {
    best_trial(scoring, best_greedy(scoring), 0..trials, [seed, 0], team, watch)
}

/// The best of a tree and of as many greedy trees with random choices as so much work makes.
fn sampled(
    scoring: Scoring<'_>,
    known: ScoredTree,
    work: u64,
    seed: [u64; 2],
    team: &Team<'_>,
    watch: Watch<'_>,
) -> ScoredTree {
    if work == 0 {
        return known;
    }
    let (first, each) = trial(scoring, seed, 0);
    best_trial(scoring, known.or_better(first), 1..work / each, seed, team, watch)
}

/// The best of a tree and of these greedy trees with random choices. The second part of the seed is that of a round.
fn best_trial(
    scoring: Scoring<'_>,
    known: ScoredTree,
    trials: Range<u64>,
    seed: [u64; 2],
    team: &Team<'_>,
    watch: Watch<'_>,
) -> ScoredTree {
    let mut best = known;
    let mut next = trials.start;
    while next < trials.end {
        let end = trials.end.min(next.saturating_add(TOGETHER * GROUP));
        let trees = team.share((end - next).div_ceil(GROUP) as usize, |group| {
            let from = next + group as u64 * GROUP;
            let trees = (from..end.min(from.saturating_add(GROUP)))
                .map_while(|at| (!watch.is_over()).then(|| trial(scoring, seed, at).0));
            trees.reduce(ScoredTree::or_better).map_or_else(Vec::new, |best| words_of(&best.steps))
        });
        // What all have found together tells each of them the same: that it is over.
        if trees.iter().all(Vec::is_empty) {
            break;
        }
        // The order of trials decides between equals, so neither threads nor ranks do.
        best = best_of(scoring, best, &trees);
        next = end;
    }
    best
}

/// A greedy tree with random choices, and the work that it took.
fn trial(scoring: Scoring<'_>, [seed, round]: [u64; 2], at: u64) -> (ScoredTree, u64) {
    /// Multiples of it lie evenly between 0 and 1, however many there are.
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    let mut random = Random::new(seed, round << 32 | at);
    let (joins, work) = random_greedy(scoring.terms, (at + 1) as f64 * GOLDEN % 1.0, &mut random);
    (scoring.tree(&joins), work)
}

/// The best of a tree and of those that were found by several, where they have found any.
fn best_of(scoring: Scoring<'_>, known: ScoredTree, found: &[Vec<u64>]) -> ScoredTree {
    let trees = found.iter().filter(|joins| !joins.is_empty()).map(|joins| scoring.tree(&joins_of(joins)));
    trees.fold(known, ScoredTree::or_better)
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
    let operands = scoring.terms.operands.len();
    if operands == 2 {
        return scoring.tree(&[[0, 1]]);
    }
    let best = best_greedy(scoring);
    if operands <= SMALL_PIECE {
        return best;
    }
    let best = by_elimination(scoring, best, Rule::Degree);
    if operands <= FILL_OPERANDS {
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
    let shares = Shares::of(scoring.terms);
    let share = work / Shares::ALL;
    let known = sampled(scoring, known, share * shares.sampling, [seed, round], team, watch);
    let Some(visit) = visit_work(scoring.terms) else {
        return by_pieces(scoring, known, share, [seed, round], team, watch);
    };
    let visits = |shares: u64| share * shares / visit;
    let mut first: Vec<Schedule> =
        shares.scratch.iter().map(|&scratch| Schedule::forgetting(visits(scratch))).collect();
    first.push(Schedule::improving(visits(shares.seed)));
    let turns = round * (TURNS + 2);
    let mut best = annealed(scoring, known, &first, [seed, turns], team, watch);
    let next = [Schedule::improving(visits(shares.improvement) / TURNS / SIDE_BY_SIDE as u64); SIDE_BY_SIDE];
    for turn in 1..=TURNS {
        best = annealed(scoring, best, &next, [seed, turns + turn], team, watch);
    }
    let mut left = share * shares.arrangement;
    let best = arranged(scoring, best, SMALL_PIECE, &mut left, watch);
    let best = arranged(scoring, best, LARGE_PIECE, &mut left, watch);
    // Whatever work was left: no rotation by itself makes it better.
    annealed(scoring, best, &[Schedule::descending()], [seed, turns + TURNS + 1], team, watch)
}

/// The best of a tree and of what annealing makes of it by each of these schedules. The second part of the seed is that of a turn.
fn annealed(
    scoring: Scoring<'_>,
    from: ScoredTree,
    schedules: &[Schedule],
    [seed, turn]: [u64; 2],
    team: &Team<'_>,
    watch: Watch<'_>,
) -> ScoredTree {
    let trees = team.share(schedules.len(), |place| {
        let mut random = Random::new(seed, turn << 8 | place as u64);
        let joins = anneal(scoring.terms, scoring.scorer, &from.steps, schedules[place], &mut random, watch);
        joins.map_or_else(Vec::new, |joins| words_of(&joins))
    });
    best_of(scoring, from, &trees)
}

/// Values of the pieces that a large tree is cut into, one time after the other.
const PIECES: [usize; 4] = [600, 400, 800, 500];

/// A tree that is at least as good as `known`, for more labels than trees are annealed with.
fn by_pieces(
    scoring: Scoring<'_>,
    known: ScoredTree,
    share: u64,
    [seed, round]: [u64; 2],
    team: &Team<'_>,
    watch: Watch<'_>,
) -> ScoredTree {
    let Shares { seed: from_seed, improvement, arrangement, scratch, .. } = Shares::of(scoring.terms);
    let each = share * (scratch.iter().sum::<u64>() + from_seed + improvement) / PIECES.len() as u64;
    let mut best = known;
    for (place, size) in PIECES.into_iter().enumerate() {
        let schedule: fn(u64) -> Schedule = if place < 2 { Schedule::forgetting } else { Schedule::improving };
        let seed = [seed, round * PIECES.len() as u64 + place as u64];
        let joins = anneal_pieces(scoring, &best.steps, size, (schedule, each), seed, team, watch);
        best = best.or_better(scoring.tree(&joins));
    }
    let mut left = share * arrangement;
    arranged(scoring, best, SMALL_PIECE, &mut left, watch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::tests::graph;
    use crate::path::Objective;
    use crate::path::scorer::Scorer;

    /// The equation of a cubic lattice of operands, neighbours sharing a label.
    fn lattice(side: u32) -> String {
        let node = |at: [u32; 3]| (at[0] * side + at[1]) * side + at[2];
        let edge = |at: [u32; 3], axis: u32| char::from_u32(0x4e00 + node(at) * 3 + axis).unwrap();
        let operand = |at: [u32; 3]| {
            let mut labels = String::new();
            for axis in 0..3 {
                if at[axis] + 1 < side {
                    labels.push(edge(at, axis as u32));
                }
                if at[axis] > 0 {
                    let mut before = at;
                    before[axis] -= 1;
                    labels.push(edge(before, axis as u32));
                }
            }
            labels
        };
        let each = 0..side.pow(3);
        let operands: Vec<String> =
            each.map(|node| operand([node / side / side, node / side % side, node % side])).collect();
        operands.join(",") + "->"
    }

    #[test]
    fn random_choices_find_their_way_through_a_lattice() {
        let terms = Terms::new(&graph(&lattice(6), ""));
        let scoring = Scoring { terms: &terms, scorer: Scorer::of(Objective::Mul) };
        let bits = |tree: &ScoredTree| tree.score.bits();
        let random = best_random_greedy(scoring, 32, 0, &Team::default(), Watch::default());
        let greedy = bits(&best_greedy(scoring));
        assert!(bits(&random) + 20 <= greedy, "2^{} and 2^{greedy}", bits(&random));
        // However many trials are wanted, they end when time does, and take no memory for those to come.
        let watch = Watch { deadline: Some(std::time::Instant::now()), ..Watch::default() };
        let none = best_trial(scoring, best_greedy(scoring), 0..u64::MAX, [0, 0], &Team::default(), watch);
        assert_eq!(none.steps, best_greedy(scoring).steps);
        // So much work makes some of them, whoever makes them.
        let alone = sampled(scoring, best_greedy(scoring), 4_000_000, [1, 0], &Team::default(), Watch::default());
        assert!(bits(&alone) < greedy, "2^{} and 2^{greedy}", bits(&alone));
        for together in crate::ranks::in_threads(3, |ranks| {
            sampled(scoring, best_greedy(scoring), 4_000_000, [1, 0], &Team::of(ranks), Watch::default()).steps
        }) {
            assert_eq!(together, alone.steps);
        }
    }
}
