//! Annealing of trees that are too large for it, piece by piece.
//!
//! In come [`Terms`] and the steps of a tree; out go the steps of one that is at least as good. The tree is cut into
//! connected pieces: what is below a piece counts as one operand each. A piece keeps its result whatever its own steps
//! are, so pieces are annealed apart from each other, on any number of threads, and of ranks.

use super::anneal::{Schedule, anneal, visit_work};
use super::random::Random;
use super::rotating::TreeShape;
use super::scored::Scoring;
use super::team::{Team, joins_of, words_of};
use super::terms::{Leg, Terms};
use super::watch::Watch;

/// A connected part of a tree. Values are operands and then steps.
struct Piece {
    /// What the piece starts from.
    leaves: Vec<usize>,
    /// Its steps, each after those that it uses; the last makes its result.
    inner: Vec<usize>,
}

/// The joins of the tree with every piece of up to `size` values annealed once.
///
/// `anneals` is how a piece is annealed and the work for all of them; the second part of the seed is that of a round.
pub(super) fn anneal_pieces(
    Scoring { terms, scorer }: Scoring<'_>,
    steps: &[[usize; 2]],
    size: usize,
    anneals: (fn(u64) -> Schedule, u64),
    seed: [u64; 2],
    team: &Team<'_>,
    watch: Watch<'_>,
) -> Vec<[usize; 2]> {
    let operands = terms.operands.len();
    let legs = terms.values(steps);
    let pieces = cut(operands, steps, size);
    let annealed = team.share(pieces.len(), |place| {
        let piece = &pieces[place];
        let bottom: Vec<&[Leg]> = piece.leaves.iter().map(|&leaf| legs[leaf].as_slice()).collect();
        let result = piece.inner[piece.inner.len() - 1] + operands;
        let (local, _) = Terms::piece(&bottom, &legs[result], &terms.extents);
        let steps = piece.local(operands, steps);
        let (schedule, work) = anneals;
        let Some(visit) = visit_work(&local) else { return Vec::new() };
        let visits = work / terms.operands.len() as u64 * local.operands.len() as u64 / visit;
        let mut random = Random::new(seed[0], seed[1] << 32 | place as u64);
        anneal(&local, scorer, &steps, schedule(visits), &mut random, watch)
            .map_or_else(Vec::new, |joins| words_of(&joins))
    });
    let mut children: Vec<[u32; 2]> = steps.iter().map(|pair| pair.map(|child| child as u32)).collect();
    for (piece, joins) in pieces.iter().zip(annealed) {
        // Joins of a piece take the places of its steps; the last one, which makes the result, that of the last.
        let mut values = piece.leaves.clone();
        for (&slot, pair) in piece.inner.iter().zip(joins_of(&joins)) {
            children[slot] = pair.map(|value| values[value] as u32);
            values.push(operands + slot);
        }
    }
    TreeShape::new(children, operands).joins(operands)
}

/// Cuts a tree from the top: a piece grows at the value with the most operands below until it has `size` leaves.
fn cut(operands: usize, steps: &[[usize; 2]], size: usize) -> Vec<Piece> {
    let mut below = vec![1_usize; operands + steps.len()];
    for (step, &[a, b]) in steps.iter().enumerate() {
        below[operands + step] = below[a] + below[b];
    }
    let mut pieces = Vec::new();
    let mut roots: Vec<usize> = steps.len().checked_sub(1).into_iter().collect();
    while let Some(root) = roots.pop() {
        let mut inner = vec![root];
        let mut leaves: Vec<usize> = Vec::new();
        let mut open = std::collections::BinaryHeap::new();
        let grow = |step: usize, leaves: &mut Vec<usize>, open: &mut std::collections::BinaryHeap<_>| {
            for child in steps[step] {
                if child < operands { leaves.push(child) } else { open.push((below[child], child - operands)) }
            }
        };
        grow(root, &mut leaves, &mut open);
        while leaves.len() + open.len() < size
            && let Some((_, step)) = open.pop()
        {
            inner.push(step);
            grow(step, &mut leaves, &mut open);
        }
        for (_, step) in open.into_sorted_vec() {
            leaves.push(operands + step);
            roots.push(step);
        }
        // A step is made after those that it uses, whatever the order in which the piece has grown.
        inner.sort_unstable();
        pieces.push(Piece { leaves, inner });
    }
    pieces
}

impl Piece {
    /// The steps of the piece in numbers of its own.
    fn local(&self, operands: usize, steps: &[[usize; 2]]) -> Vec<[usize; 2]> {
        let values = self.leaves.iter().copied().chain(self.inner.iter().map(|step| operands + step));
        let numbers: std::collections::HashMap<usize, usize> =
            values.enumerate().map(|(at, value)| (value, at)).collect();
        self.inner.iter().map(|&step| steps[step].map(|child| numbers[&child])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::tests::graph;
    use crate::path::scorer::Scorer;
    use crate::path::tree::canonical;

    #[test]
    fn pieces_together_are_the_whole_tree_and_no_worse() {
        let text: Vec<String> = (0..30_u32)
            .map(|at| {
                let label = |k: u32| char::from_u32(0x4e00 + k % 30).unwrap();
                [label(at), label(at + 1), label(at * 7), label(at * 7 + 3)].iter().collect()
            })
            .collect();
        let terms = Terms::new(&graph(&(text.join(",") + "->"), ""));
        let steps: Vec<[usize; 2]> = (1..30).map(|k| if k == 1 { [0, 1] } else { [k, 28 + k] }).collect();
        let before = terms.cost(&steps).multiplications;
        for size in [2, 3, 7, 29, 30, 100] {
            let anneals: (fn(u64) -> Schedule, u64) = (Schedule::forgetting, 30_000);
            let scoring = Scoring { terms: &terms, scorer: Scorer::of(crate::path::Objective::Mul) };
            let annealed =
                |team: &Team<'_>| anneal_pieces(scoring, &steps, size, anneals, [1, 0], team, Watch::default());
            let joins = annealed(&Team::default());
            for together in crate::ranks::in_threads(3, |ranks| annealed(&Team::of(ranks))) {
                assert_eq!(together, joins);
            }
            assert!(terms.cost(&canonical(&joins)).multiplications <= before, "{size}");
            let pieces = cut(30, &steps, size);
            assert_eq!(pieces.iter().map(|piece| piece.inner.len()).sum::<usize>(), 29);
        }
    }
}
