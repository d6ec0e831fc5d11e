//! Subtree reconfiguration: the exact search on small pieces of a tree.
//!
//! In comes a tree; out goes one that scores no more, in which no piece of a few operands can be arranged better.
//! A good bound makes the exact search many times faster, and where that search has no chance this is the best
//! there is.

use super::optimal::{Question, Trees, optimal};
use super::scorer::Scorer;
use super::terms::{Leg, Terms};
use super::tree::canonical;
use super::watch::Watch;
use crate::path::{Cost, StepCost};

/// The operands of a piece that is arranged in no time, some ten microseconds.
pub(super) const SMALL_PIECE: usize = 8;

/// The operands of a piece that takes up to milliseconds, and wins more.
pub(super) const LARGE_PIECE: usize = 12;

/// How often all pieces are looked at again after one has changed.
const PASSES: usize = 8;

/// Arranges the pieces of a tree, of up to `size` operands, better until none changes or `work` is used up.
pub(super) fn reconfigure(
    terms: &Terms,
    scorer: Scorer<'_>,
    steps: &[[usize; 2]],
    size: usize,
    work: &mut u64,
    watch: Watch<'_>,
) -> Vec<[usize; 2]> {
    let mut tree = Tree::new(terms, scorer, steps);
    for _ in 0..PASSES {
        let mut changed = false;
        // The dearest steps first: with them a better tree is found soonest, and most of the others never count.
        let mut order: Vec<usize> = (0..steps.len()).collect();
        order.sort_by(|&a, &b| tree.scores[b].cmp(&tree.scores[a]).then(a.cmp(&b)));
        let least = tree.negligible();
        for join in order {
            if *work == 0 || watch.is_over() {
                return tree.steps();
            }
            changed |= tree.arrange(join, size, &least, work);
        }
        if !changed {
            break;
        }
    }
    tree.steps()
}

/// What each step scores, by the elements of every value.
fn scores(scorer: Scorer<'_>, steps: &[[usize; 2]], per_step: &[StepCost], elements: &[Cost]) -> Vec<Cost> {
    let step = |(&[a, b], step): (&[usize; 2], &StepCost)| {
        scorer.step(&step.multiplications, [&elements[a], &elements[b]], &step.elements)
    };
    steps.iter().zip(per_step).map(step).collect()
}

/// A piece that scores less than the whole tree by this factor times its number of joins is left as it is.
const NEGLIGIBLE: u32 = 6;

/// A tree whose joins can be exchanged. Values are operands and then joins, in no order.
struct Tree<'a> {
    operands: usize,
    scorer: Scorer<'a>,
    extents: Vec<usize>,
    joins: Vec<[usize; 2]>,
    /// Per join: the score of its step.
    scores: Vec<Cost>,
    /// Per value.
    legs: Vec<Vec<Leg>>,
    elements: Vec<Cost>,
    /// When each value got its legs, and when the piece below each join was looked at; counted in pieces.
    made: Vec<u64>,
    looked: Vec<u64>,
    now: u64,
}

impl<'a> Tree<'a> {
    fn new(terms: &Terms, scorer: Scorer<'a>, steps: &[[usize; 2]]) -> Self {
        let (per_step, legs) = terms.trace(steps);
        let elements: Vec<Cost> = legs.iter().map(|legs| terms.elements(legs)).collect();
        Self {
            operands: terms.operands.len(),
            scorer,
            extents: terms.extents.clone(),
            joins: steps.to_vec(),
            scores: scores(scorer, steps, &per_step, &elements),
            elements,
            made: vec![0; legs.len()],
            looked: vec![0; steps.len()],
            now: 0,
            legs,
        }
    }

    /// What the pieces of a tree may score without being worth a look.
    fn negligible(&self) -> Cost {
        let total = self.total(self.scores.iter());
        let bits = total.bits().saturating_sub(u64::from(NEGLIGIBLE + self.joins.len().ilog2()));
        if bits == 0 { Cost::ZERO } else { Cost::power_of_two(bits as u32 - 1) }
    }

    fn steps(&self) -> Vec<[usize; 2]> {
        canonical(&self.joins)
    }

    /// Takes the piece below a join and arranges it as well as can be. Whether that scored less than before.
    fn arrange(&mut self, root: usize, size: usize, least: &Cost, work: &mut u64) -> bool {
        let (leaves, inner) = self.piece(root, size);
        if inner.len() < 2 {
            return false;
        }
        let before = self.total(inner.iter().map(|&join| &self.scores[join]));
        let parts = inner.iter().map(|join| join + self.operands).chain(leaves.iter().copied());
        let known = self.looked[root] > parts.map(|value| self.made[value]).max().unwrap_or(0);
        if before < *least || known {
            return false;
        }
        self.now += 1;
        self.looked[root] = self.now;
        let bottom: Vec<&[Leg]> = leaves.iter().map(|&leaf| self.legs[leaf].as_slice()).collect();
        let (piece, names) = Terms::piece(&bottom, &self.legs[self.operands + root], &self.extents);
        let question = Question {
            terms: &piece,
            scorer: self.scorer,
            trees: Trees::All,
            upper: &before,
            largest: None,
            watch: Watch::default(),
        };
        let Some(steps) = optimal(question, work).and_then(|answer| answer.joins) else { return false };
        let (per_step, mut legs) = piece.trace(&steps);
        let mut elements: Vec<Cost> = leaves.iter().map(|&leaf| self.elements[leaf].clone()).collect();
        elements.extend(per_step.iter().map(|step| step.elements.clone()));
        let scores = scores(self.scorer, &steps, &per_step, &elements);
        if self.total(scores.iter()) >= before {
            return false;
        }
        // The last join keeps the number of the root, whose result stays what it was.
        let mut slots = inner[1..].to_vec();
        slots.push(root);
        let mut values = leaves;
        let results = legs.split_off(values.len());
        let made = steps.iter().zip(scores).zip(per_step.into_iter().zip(results)).zip(slots);
        for (((&[a, b], score), (step, local)), slot) in made {
            let value = self.operands + slot;
            self.joins[slot] = [values[a], values[b]];
            self.scores[slot] = score;
            self.made[value] = self.now;
            if slot != root {
                self.elements[value] = step.elements;
                self.legs[value] = local.iter().map(|leg| Leg { label: names[leg.label as usize], ..*leg }).collect();
            }
            values.push(value);
        }
        true
    }

    fn total<'s>(&self, scores: impl Iterator<Item = &'s Cost>) -> Cost {
        scores.fold(Cost::ZERO, |total, score| self.scorer.combine(&total, score))
    }

    /// The values at the bottom of the piece below a join, and the joins inside it, `root` first.
    fn piece(&self, root: usize, size: usize) -> (Vec<usize>, Vec<usize>) {
        let mut leaves = self.joins[root].to_vec();
        let mut inner = vec![root];
        while leaves.len() < size {
            // The largest is where most can be won.
            let largest = (0..leaves.len())
                .filter(|&leaf| leaves[leaf] >= self.operands)
                .max_by(|&a, &b| self.elements[leaves[a]].cmp(&self.elements[leaves[b]]).then(b.cmp(&a)));
            let Some(largest) = largest else { break };
            let join = leaves.swap_remove(largest) - self.operands;
            inner.push(join);
            leaves.extend(self.joins[join]);
        }
        (leaves, inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::tests::graph;
    use crate::path::Objective;
    use crate::path::scored::Scoring;

    #[test]
    fn a_bad_tree_becomes_the_best() {
        let terms = Terms::new(&graph("ab,bc,cd,de,ef,fg,gh->ah", "a=9 b=2 c=30 d=4 e=50 f=6 g=70 h=8"));
        let written = [[0, 1], [2, 7], [3, 8], [4, 9], [5, 10], [6, 11]];
        for objective in [Objective::Mul, Objective::Write, Objective::Combo, Objective::Time] {
            let scorer = Scorer::of(objective);
            let mut work = u64::MAX;
            let steps = reconfigure(&terms, scorer, &written, SMALL_PIECE, &mut work, Watch::default());
            let score_of = |steps: &[[usize; 2]]| Scoring { terms: &terms, scorer }.as_made(steps.to_vec()).score;
            let score = score_of(&steps);
            let before = score_of(&written);
            let question = Question {
                terms: &terms,
                scorer,
                trees: Trees::All,
                upper: &before,
                largest: None,
                watch: Watch::default(),
            };
            let best = optimal(question, &mut work).and_then(|answer| answer.joins).unwrap();
            assert_eq!(score, Scoring { terms: &terms, scorer }.tree(&best).score, "{objective}");
            assert!(score < before, "{objective}");
        }
    }

    #[test]
    fn long_chains_only_get_better() {
        let operands = 60;
        let label = |label: usize| Leg { label: label as u32, wide: true };
        let mut kept = vec![false; operands + 1];
        kept[0] = true;
        kept[operands] = true;
        let terms = Terms {
            operands: (0..operands).map(|operand| vec![label(operand), label(operand + 1)]).collect(),
            extents: (0..=operands).map(|label| 43 - label * 37 % 41).collect(),
            kept,
            holders: (0..=operands).map(|label| if label == 0 || label == operands { 1 } else { 2 }).collect(),
            layouts: vec![Vec::new(); operands],
        };
        let written: Vec<[usize; 2]> =
            (1..operands).map(|next| if next == 1 { [0, 1] } else { [next, operands + next - 2] }).collect();
        let mut work = u64::MAX;
        let steps = reconfigure(&terms, Scorer::of(Objective::Mul), &written, SMALL_PIECE, &mut work, Watch::default());
        let mul = |steps: &[[usize; 2]]| terms.cost(steps).multiplications.to_f64();
        assert!(mul(&steps) < mul(&written) / 2.0, "{} {}", mul(&steps), mul(&written));
    }
}
