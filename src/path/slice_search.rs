//! The search for slices: which labels to run over one index at a time, so that no result but the output, which is there as a
//! whole, has more elements than allowed.
//!
//! In come a tree and a limit; out go a tree and labels. Slices and tree are found together: some labels are sliced,
//! the tree is annealed as one index of them sees it, and so on until everything fits; then again from the best so far.

use super::anneal::{Schedule, anneal, visit_work};
use super::logs::{Log, ONE};
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
const ROUNDS: u64 = 12;
/// Limits on the way from the largest result to the one allowed, at each of which the tree is annealed.
const LEVELS: Log = 4;
/// Choices of labels that are tried for a tree: the first two without noise.
const TRIALS: usize = 3;

impl SliceSearch<'_> {
    /// The best tree with its slices, from this tree; none where no slices make it fit.
    pub(super) fn run(&self, tree: &ScoredTree, work: u64, seed: u64) -> Option<SlicedTree> {
        let mut random = Random::new(seed, u64::MAX);
        let mut best = self.fitted(&tree.steps, &[], self.limit, &mut random);
        for round in 0..ROUNDS {
            if self.watch.is_over() {
                break;
            }
            let from = match &best {
                // Every third round starts over, from the tree that knows of no slices.
                Some(best) if round % 3 != 0 => (best.steps.clone(), best.slices.clone()),
                _ => (tree.steps.clone(), Vec::new()),
            };
            let found = self.round(from, work / ROUNDS, &mut random);
            best = match (best, found) {
                (Some(best), Some(found)) if best.multiplications <= found.multiplications => Some(best),
                (best, found) => found.or(best),
            };
        }
        best
    }

    /// The tree as it is with the best slices found; none where no slices make it fit.
    pub(super) fn slices_of(&self, tree: &ScoredTree, seed: u64) -> Option<SlicedTree> {
        self.fitted(&tree.steps, &[], self.limit, &mut Random::new(seed, u64::MAX))
    }

    fn costs(&self, steps: &[[usize; 2]]) -> LoopCosts {
        LoopCosts::new(self.scoring.terms, steps, &(self.kinds)(steps), self.order)
    }

    /// Slices and anneals in turns.
    fn round(
        &self,
        (mut steps, mut slices): (Vec<[usize; 2]>, Vec<u32>),
        work: u64,
        random: &mut Random,
    ) -> Option<SlicedTree> {
        steps = self.annealed(&steps, &slices, work / (LEVELS as u64 + 1), random);
        let first = self.costs(&steps).cost(&slices, self.limit).largest.max(self.limit);
        for level in 1..=LEVELS {
            let limit = first - (first - self.limit) * level / LEVELS;
            slices = self.fitted(&steps, &slices, limit, random)?.slices;
            steps = self.annealed(&steps, &slices, work / (LEVELS as u64 + 1), random);
        }
        self.fitted(&steps, &slices, self.limit, random)
    }

    /// The tree annealed as one index of each slice sees it.
    fn annealed(&self, steps: &[[usize; 2]], slices: &[u32], work: u64, random: &mut Random) -> Vec<[usize; 2]> {
        let terms = self.scoring.terms.without(slices);
        let Some(visit) = visit_work(&terms) else { return steps.to_vec() };
        let schedule = Schedule::improving(work / visit).within(self.limit);
        let joins = anneal(&terms, self.scoring.scorer, steps, schedule, random, self.watch);
        joins.map_or_else(|| steps.to_vec(), |joins| canonical(&joins))
    }

    /// The cheapest of some choices of labels that make every result of the tree fit.
    fn fitted(&self, steps: &[[usize; 2]], slices: &[u32], limit: Log, random: &mut Random) -> Option<SlicedTree> {
        let costs = self.costs(steps);
        let mut best: Option<SlicedTree> = None;
        for trial in 0..TRIALS {
            // The labels of before, with their companions on this tree, or without them.
            let mut start = Vec::new();
            for &label in if trial % 2 == 0 { slices } else { &[] } {
                if let Some(companions) = costs.with_companions(label, &start) {
                    start.extend(companions);
                }
            }
            let noise = if trial < 2 { 0.0 } else { 0.5 };
            let Some(slices) = choose(&costs, start, limit, noise, random) else { continue };
            let multiplications = costs.cost(&slices, limit).multiplications;
            if best.as_ref().is_none_or(|best| multiplications < best.multiplications) {
                best = Some(SlicedTree { steps: steps.to_vec(), slices, multiplications });
            }
        }
        best
    }
}

/// Adds labels until every result fits, the cheapest for what it makes smaller first; then takes away what is not needed.
fn choose(costs: &LoopCosts, mut slices: Vec<u32>, limit: Log, noise: f64, random: &mut Random) -> Option<Vec<u32>> {
    loop {
        slices.sort_unstable();
        if slices.len() > MOST_SLICES {
            return None;
        }
        let now = costs.cost(&slices, limit);
        if now.largest <= limit {
            break;
        }
        let mut best: Option<(f64, Vec<u32>)> = None;
        for &label in costs.result(now.at).iter().filter(|label| !slices.contains(label)) {
            let Some(companions) = costs.with_companions(label, &slices) else { continue };
            let mut with: Vec<u32> = slices.iter().chain(&companions).copied().collect();
            if with.len() > MOST_SLICES {
                continue;
            }
            with.sort_unstable();
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
    let mut at = 0;
    while at < slices.len() {
        let mut without = slices.clone();
        without.remove(at);
        let stand_alone = without
            .iter()
            .all(|&label| costs.with_companions(label, &without).is_some_and(|missing| missing.is_empty()));
        let (now, then) = (costs.cost(&slices, limit), costs.cost(&without, limit));
        if stand_alone && then.largest <= limit && then.multiplications <= now.multiplications {
            slices = without;
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
        let [first, again] = [0, 1].map(|_| search.run(&scoring.as_made(steps.clone()), 100_000, 5));
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
