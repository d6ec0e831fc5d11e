//! Tree annealing: random rotations of a tree, fewer and fewer of which may make it worse.
//!
//! In come [`Terms`] and the steps of a tree; out go the steps of the best tree met. A rotation exchanges a part of one
//! side of a step with its other side; it changes that step and the one below it, and nothing else. What it may make
//! worse is judged by these two alone, in logarithms, so that the many cheap steps are put in order as well as the few
//! dear ones. Scores are in fixed point and the generator is our own: a seed finds the same tree on every machine.

use super::logs::{self, Log, Tables};
use super::random::Random;
use super::rotating::{Labels, RotatingTree};
use super::scorer::Scorer;
use super::terms::Terms;
use super::watch::Watch;

/// How long and how hot a search is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Schedule {
    /// The inverse temperature at the start and at the end: rotations that make their two steps `2^(1 / beta)` times
    /// dearer are accepted every other time.
    beta: [f64; 2],
    /// Temperatures, in a geometric sequence.
    levels: usize,
    /// Visits of every step at each temperature.
    sweeps: usize,
    /// The logarithm of the elements that a result should have at most.
    limit: Log,
    outcome: Outcome,
}

/// Which tree a search ends with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    /// The best that it met, which may be the first.
    Best,
    /// The last, from where a longer search goes on.
    Last,
}

/// So hot that the start is forgotten.
const HOT: f64 = 0.3;
/// So warm that what is dear is arranged anew, and the whole stays what it is.
const WARM: f64 = 2.0;
/// Below this only details change, which the exact search arranges better.
const COLD: f64 = 6.0;
/// So cold that nothing gets worse.
const STILL: f64 = 1e6;
/// Visits of every step at a temperature, where there are enough of them.
const SWEEPS: usize = 20;
/// The fewest temperatures of a schedule.
const FEWEST_LEVELS: usize = 10;

impl Schedule {
    /// A schedule of that many visits of every step, that forgets the tree it starts from.
    pub(super) fn forgetting(visits: u64) -> Self {
        Self::new([HOT, COLD], visits)
    }

    /// A schedule that improves the tree it starts from.
    pub(super) fn improving(visits: u64) -> Self {
        Self::new([WARM, COLD], visits)
    }

    /// Visits that take every rotation that makes a tree cheaper, and none that makes it dearer.
    pub(super) fn descending() -> Self {
        Self { beta: [STILL; 2], levels: FEWEST_LEVELS, sweeps: 2, limit: Log::MAX, outcome: Outcome::Best }
    }

    /// So many visits of every step at a part of the way from warm to cold, 0 to 1, that end where they are.
    pub(super) fn wandering(part: f64, visits: usize) -> Self {
        let beta = WARM * logs::exp(part * logs::ln(COLD / WARM));
        Self { beta: [beta; 2], levels: 1, sweeps: visits, limit: Log::MAX, outcome: Outcome::Last }
    }

    /// The same schedule for trees that have to be sliced where a result has more elements than this.
    pub(super) fn within(self, limit: Log) -> Self {
        Self { limit, ..self }
    }

    fn new(beta: [f64; 2], visits: u64) -> Self {
        let visits = usize::try_from(visits).unwrap_or(usize::MAX);
        let levels = (visits / SWEEPS).max(FEWEST_LEVELS);
        Self { beta, levels, sweeps: (visits / levels).max(1), limit: Log::MAX, outcome: Outcome::Best }
    }
}

/// The work of visiting every step of a tree once; `None` for more labels than trees are annealed with.
pub(super) fn visit_work(terms: &Terms) -> Option<u64> {
    let words = Labels::new(terms).words();
    (words <= MOST_WORDS).then(|| terms.operands.len() as u64 * (6 + words as u64 * 3 / 5))
}

/// The most words of a set of labels.
const MOST_WORDS: usize = 64;

/// The best tree met on the way from this one, which may be this one.
///
/// `None` for more labels than trees are annealed with.
pub(super) fn anneal(
    terms: &Terms,
    scorer: Scorer<'_>,
    steps: &[[usize; 2]],
    schedule: Schedule,
    random: &mut Random,
    watch: Watch<'_>,
) -> Option<Vec<[usize; 2]>> {
    let labels = Labels::new(terms);
    let words = labels.words();
    let run = match words {
        0 | 1 => run::<1>,
        2 => run::<2>,
        3 => run::<3>,
        4 => run::<4>,
        5 | 6 => run::<6>,
        7 | 8 => run::<8>,
        9..=12 => run::<12>,
        13..=16 => run::<16>,
        17..=24 => run::<24>,
        25..=32 => run::<32>,
        33..=MOST_WORDS => run::<MOST_WORDS>,
        _ => return None,
    };
    Some(run(terms, &labels, scorer, steps, schedule, random, watch))
}

fn run<const W: usize>(
    terms: &Terms,
    labels: &Labels,
    scorer: Scorer<'_>,
    steps: &[[usize; 2]],
    schedule: Schedule,
    random: &mut Random,
    watch: Watch<'_>,
) -> Vec<[usize; 2]> {
    let mut tree: RotatingTree<'_, W> = RotatingTree::new(terms, labels, scorer, steps, schedule.limit);
    let mut best = (tree.total(), tree.shape());
    let [first, last] = schedule.beta;
    let ratio = logs::exp(logs::ln(last / first) / schedule.levels.saturating_sub(1).max(1) as f64);
    let mut beta = first;
    for _ in 0..schedule.levels {
        for _ in 0..schedule.sweeps {
            sweep(&mut tree, beta, random);
        }
        let total = tree.total();
        if total < best.0 || schedule.outcome == Outcome::Last {
            best = (total, tree.shape());
        }
        if watch.is_over() {
            break;
        }
        beta *= ratio;
    }
    best.1.joins(terms.operands.len())
}

/// Units of an inverse temperature.
const BETA_UNIT: f64 = 1024.0;

/// Visits every step once.
fn sweep<const W: usize>(tree: &mut RotatingTree<'_, W>, beta: f64, random: &mut Random) {
    let tables = Tables::get();
    let beta = (beta * BETA_UNIT) as Log;
    for step in 0..tree.steps() {
        let bits = random.next();
        let Some(rotation) = tree.rotation(step, bits & 1 == 1) else { continue };
        if rotation.growth > 0 && rotation.growth * beta / BETA_UNIT as Log > tables.draw(bits >> 1) {
            continue;
        }
        tree.rotate(step, &rotation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::tests::graph;
    use crate::path::Objective;
    use crate::path::scored::Scoring;

    fn written(operands: usize) -> Vec<[usize; 2]> {
        (1..operands).map(|next| if next == 1 { [0, 1] } else { [next, operands + next - 2] }).collect()
    }

    #[test]
    fn a_ladder_is_annealed_to_its_best_tree() {
        let terms = Terms::new(&graph("ab,acd,bce,dfg,efh,gij,hik,jl,kl->", "a=8 b=8 c=8 d=8 e=8 f=8 g=8 h=8"));
        for scorer in Scorer::all() {
            let mut random = Random::new(3, 0);
            let schedule = Schedule::forgetting(400);
            let joins = anneal(&terms, scorer, &written(9), schedule, &mut random, Watch::default()).unwrap();
            let score = |joins: &[[usize; 2]]| Scoring { terms: &terms, scorer }.tree(joins).score;
            assert!(score(&joins) <= score(&written(9)), "{}", scorer.objective);
            assert!(scorer.objective != Objective::Mul || score(&joins) < score(&written(9)));
            let again = anneal(&terms, scorer, &written(9), schedule, &mut Random::new(3, 0), Watch::default());
            assert_eq!(again.unwrap(), joins);
        }
    }

    #[test]
    fn two_operands_and_no_labels_are_no_trouble() {
        for text in ["ab,bc->ac", ",,,->", "a,b,c->", "aab,b,b->"] {
            let terms = Terms::new(&graph(text, ""));
            let steps = written(terms.operands.len());
            let mut random = Random::new(0, 0);
            let schedule = Schedule::improving(1);
            let joins =
                anneal(&terms, Scorer::of(Objective::Mul), &steps, schedule, &mut random, Watch::default()).unwrap();
            assert_eq!(joins.len(), steps.len(), "{text}");
        }
    }
}
