//! The search for slices: which labels to run over one index at a time, so that no result but the output, which is there as a
//! whole, has more elements than allowed.
//!
//! In come a tree and a limit; out go a tree and labels. Slices and tree are found together, in many small turns: the tree is
//! annealed a little, as one index of the sliced labels sees it, then some labels are chosen anew.

use super::anneal::{Schedule, anneal, visit_work};
use super::logs::{self, Log, ONE};
use super::loop_costs::{LoopCosts, MOST_SLICES};
use super::random::Random;
use super::scored::{ScoredTree, Scoring};
use super::sliced::CallKind;
use super::tree::canonical;
use super::watch::Watch;

/// A tree and the labels that it is sliced by.
#[derive(Clone, Debug)]
pub(super) struct SlicedTree {
    pub(super) steps: Vec<[usize; 2]>,
    /// In rising order.
    pub(super) slices: Vec<u32>,
    /// The logarithm of the multiplications of all passes.
    pub(super) multiplications: Log,
}

/// In which order calls sum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SumOrder {
    /// In that of labels: a label can be sliced only with those that the same call sums before it.
    Listed,
    /// Sliced labels first: any label can be sliced.
    SlicesFirst,
}

/// What slices are searched for.
pub(super) struct SliceSearch<'a> {
    pub(super) scoring: Scoring<'a>,
    /// The logarithm of the elements that a result may have.
    pub(super) limit: Log,
    pub(super) order: SumOrder,
    /// The kinds of the calls of a tree.
    pub(super) kinds: &'a (dyn Fn(&[[usize; 2]]) -> Vec<CallKind> + Sync),
    pub(super) watch: Watch<'a>,
}

/// Rounds of a search, each with its share of the work.
const ROUNDS: u64 = 6;
/// Visits of every step between two choices of labels.
const VISITS: usize = 10;
/// The work of a step to choose labels for a tree: to look at what the tree comes to in some dozens of slicings.
const CHOICE_WORK: u64 = 600;
/// The fewest choices of a round.
const FEWEST_BLOCKS: u64 = 4;
/// The inverse temperature of the choices of a round at its start and at its end: of what makes the whole `2^(1 / beta)` times
/// dearer, a part of one in e is kept.
const BETA: [f64; 2] = [1.0, 10.0];
/// By how much what a choice weighs may be off.
const NOISE: f64 = 0.3;
/// Labels that are tried for each choice, those that make what is too large smallest.
const CANDIDATES: usize = 6;

impl SliceSearch<'_> {
    /// The best tree with its slices, from this tree in slices of these labels; none where no slices make it fit.
    pub(super) fn run(&self, tree: &ScoredTree, slices: &[u32], work: u64, seed: u64) -> Option<SlicedTree> {
        let mut random = Random::new(seed, u64::MAX);
        let mut best = self.fitted(&tree.steps, slices, &mut random);
        // What ends by the clock goes on until then, in rounds that get longer.
        let rounds = if self.watch.deadline.is_some() { u64::MAX } else { ROUNDS };
        for round in 0..rounds {
            if self.watch.is_over() {
                break;
            }
            let from = match &best {
                // Every third round starts over.
                Some(best) if round % 3 != 0 => (best.steps.clone(), best.slices.clone()),
                _ => (tree.steps.clone(), slices.to_vec()),
            };
            let Some(found) = self.round(from, (work / ROUNDS).saturating_mul(1 + round / ROUNDS), &mut random) else {
                continue;
            };
            if best.as_ref().is_none_or(|best| found.multiplications < best.multiplications) {
                best = Some(found);
            }
        }
        best
    }

    /// The tree as it is with the best slices found; none where no slices make it fit.
    pub(super) fn slices_of(&self, tree: &ScoredTree, slices: &[u32], seed: u64) -> Option<SlicedTree> {
        self.fitted(&tree.steps, slices, &mut Random::new(seed, u64::MAX))
    }

    fn costs(&self, steps: &[[usize; 2]]) -> LoopCosts {
        LoopCosts::new(self.scoring.terms, steps, &(self.kinds)(steps), self.order)
    }

    /// Anneals and slices in turns: the tree changes a little, as one index of each slice sees it, some slices are taken back, and
    /// labels are chosen anew until everything fits. What comes of it is kept where it is cheaper, or not so much dearer, the
    /// less the further the round has come.
    ///
    /// Half of the way the limit comes down from the largest result, and there everything is kept.
    fn round(&self, from: (Vec<[usize; 2]>, Vec<u32>), work: u64, random: &mut Random) -> Option<SlicedTree> {
        let (mut steps, mut slices) = from;
        let block_work = visit_work(self.scoring.terms)? * VISITS as u64 + steps.len() as u64 * CHOICE_WORK;
        let blocks = (work / block_work).max(FEWEST_BLOCKS);
        let first = self.costs(&steps).cost(&slices, self.limit).largest.max(self.limit);
        let mut now = Log::MAX;
        let mut best: Option<SlicedTree> = None;
        for block in 0..blocks {
            if self.watch.is_over() {
                break;
            }
            let part = block as f64 / (blocks - 1) as f64;
            let limit = first - ((first - self.limit) as f64 * (2.0 * part).min(1.0)) as Log;
            let mut kept = slices.clone();
            for _ in 0..taken_back(kept.len(), random) {
                kept.swap_remove((random.next() % kept.len() as u64) as usize);
            }
            let next = self.wandered(&steps, &kept, part, random);
            let costs = self.costs(&next);
            let Some(chosen) = choose(&costs, started(&costs, &kept), limit, NOISE, random) else { continue };
            if limit > self.limit {
                (steps, slices) = (next, chosen);
                continue;
            }
            let multiplications = costs.cost(&chosen, limit).multiplications;
            let beta = BETA[0] + (BETA[1] - BETA[0]) * part;
            let dearer = (-logs::ln(random.unit()) / beta * ONE as f64) as Log;
            if multiplications > now.saturating_add(dearer) {
                continue;
            }
            (steps, slices, now) = (next, chosen, multiplications);
            if best.as_ref().is_none_or(|best| now < best.multiplications) {
                best = Some(SlicedTree { steps: canonical(&steps), slices: slices.clone(), multiplications: now });
            }
        }
        best
    }

    /// The tree changed as one index of each slice sees it.
    fn wandered(&self, steps: &[[usize; 2]], slices: &[u32], part: f64, random: &mut Random) -> Vec<[usize; 2]> {
        let terms = self.scoring.terms.without(slices);
        let schedule = Schedule::wandering(part, VISITS).within(self.limit);
        let joins = anneal(&terms, self.scoring.scorer, steps, schedule, random, self.watch);
        joins.unwrap_or_else(|| steps.to_vec())
    }

    /// The cheapest of some choices of labels that make every result of the tree fit.
    fn fitted(&self, steps: &[[usize; 2]], slices: &[u32], random: &mut Random) -> Option<SlicedTree> {
        let costs = self.costs(steps);
        let starts: [(&[u32], f64); 3] = [(slices, 0.0), (&[], 0.0), (slices, NOISE)];
        let chosen = starts.into_iter().filter_map(|(start, noise)| {
            let slices = choose(&costs, started(&costs, start), self.limit, noise, random)?;
            let multiplications = costs.cost(&slices, self.limit).multiplications;
            Some(SlicedTree { steps: steps.to_vec(), slices, multiplications })
        });
        chosen.min_by_key(|tree| tree.multiplications)
    }
}

/// Labels with those that have to be sliced with them on this tree.
fn started(costs: &LoopCosts, labels: &[u32]) -> Vec<u32> {
    let mut start = Vec::new();
    for &label in labels {
        if let Some(companions) = costs.with_companions(label, &start) {
            start.extend(companions);
        }
    }
    start
}

/// How many slices are taken back for others to be better: none, one, or a quarter.
fn taken_back(slices: usize, random: &mut Random) -> usize {
    match random.next() % 4 {
        0 => 0,
        1 | 2 => slices.min(1),
        _ => slices.div_ceil(4),
    }
}

/// Adds labels until every result fits, the cheapest for what it makes smaller first; then takes away what is not needed.
fn choose(costs: &LoopCosts, mut slices: Vec<u32>, limit: Log, noise: f64, random: &mut Random) -> Option<Vec<u32>> {
    slices.sort_unstable();
    loop {
        if slices.len() > MOST_SLICES {
            return None;
        }
        let (now, relief) = costs.cost_and_relief(&slices, limit);
        if now.largest <= limit {
            break;
        }
        let mut best: Option<(f64, Vec<u32>)> = None;
        let possible = relief.into_iter().filter_map(|(_, label)| {
            let mut with = costs.with_companions(label, &slices)?;
            with.extend(&slices);
            with.sort_unstable();
            (with.len() <= MOST_SLICES).then_some(with)
        });
        for with in possible.take(CANDIDATES) {
            let then = costs.cost(&with, limit);
            let dearer = (then.multiplications - now.multiplications).max(0) as f64 / ONE as f64;
            let smaller = (now.excess - then.excess) as f64 / ONE as f64;
            let score = (dearer + SLICE_PRICE) / smaller.max(1e-3) * (1.0 + noise * random.unit());
            if best.as_ref().is_none_or(|(least, _)| score < *least) {
                best = Some((score, with));
            }
        }
        slices = best?.1;
    }
    // Labels chosen early may have become needless.
    let mut now = costs.cost(&slices, limit);
    let mut at = 0;
    while at < slices.len() {
        let mut without = slices.clone();
        without.remove(at);
        let then = costs.cost(&without, limit);
        if then.largest <= limit && then.multiplications <= now.multiplications && costs.stand_alone(&without) {
            (slices, now) = (without, then);
        } else {
            at += 1;
        }
    }
    Some(slices)
}

/// What a label costs beside multiplications, in bits: among labels that cost none, those that make much smaller win.
const SLICE_PRICE: f64 = 0.1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::tests::graph;
    use crate::path::Objective;
    use crate::path::scorer::Scorer;
    use crate::path::terms::Terms;

    fn slice(text: &str, limit: Log, order: SumOrder, kind: CallKind) -> Option<(SlicedTree, SlicedTree)> {
        let terms = Terms::new(&graph(text, "a=8 b=8 c=8 d=8 e=8 f=8 g=8 h=8 i=8 j=8"));
        let scoring = Scoring { terms: &terms, scorer: Scorer::of(Objective::Mul) };
        let n = terms.operands.len();
        let steps: Vec<[usize; 2]> = (1..n).map(|k| if k == 1 { [0, 1] } else { [k, n + k - 2] }).collect();
        let kinds = |steps: &[[usize; 2]]| vec![kind; steps.len()];
        let search = SliceSearch { scoring, limit, order, kinds: &kinds, watch: Watch::default() };
        let [first, again] = [0, 1].map(|_| search.run(&scoring.as_made(steps.clone()), &[], 100_000, 5));
        first.zip(again)
    }

    #[test]
    fn every_result_fits_and_a_seed_finds_the_same_again() {
        let ladder = "ab,acd,bce,dfg,efh,gij,hij->";
        for order in [SumOrder::Listed, SumOrder::SlicesFirst] {
            for bits in [1, 3, 6, 9] {
                let (tree, again) = slice(ladder, bits * ONE, order, CallKind::Float).unwrap();
                assert_eq!((&tree.steps, &tree.slices), (&again.steps, &again.slices));
                let terms = Terms::new(&graph(ladder, "a=8 b=8 c=8 d=8 e=8 f=8 g=8 h=8 i=8 j=8"));
                let costs = LoopCosts::new(&terms, &tree.steps, &[], order);
                assert!(costs.cost(&tree.slices, bits * ONE).largest <= bits * ONE, "{order:?} {bits}");
            }
        }
    }

    #[test]
    fn what_no_slices_make_small_is_not_found() {
        // Scalars are left of what is sliced by every label, and quantized calls are not sliced by what they sum.
        assert!(slice("ab,bc,cd->ad", -ONE, SumOrder::SlicesFirst, CallKind::Float).is_none());
        assert!(slice("ab,bc,ca->", 2 * ONE, SumOrder::SlicesFirst, CallKind::Quantized).is_none());
        assert!(slice("ab,bc,ca->", 2 * ONE, SumOrder::SlicesFirst, CallKind::Float).is_some());
    }
}
