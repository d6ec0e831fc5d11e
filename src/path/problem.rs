//! A problem of the exact search: operands and labels as bit sets.
//!
//! In come [`Terms`] of no more operands than a set holds; out go sets of operands in one machine word and sets of
//! labels in as many words as the problem needs.

use super::layout::{Role, gathered};
use super::number::Number;
use super::operand_set::Set;
use super::terms::Terms;

/// A label, or several that the same operands have in the same way.
#[derive(Clone, Debug)]
struct Bundle<S, N> {
    holders: S,
    /// The operands that have it at full extent.
    wide: S,
    kept: bool,
    size: N,
}

/// The operands and labels of a search.
#[derive(Clone, Debug)]
pub(super) struct Problem<S, N> {
    operands: usize,
    bundles: Vec<Bundle<S, N>>,
    /// Words of a set of labels.
    words: usize,
    /// Per operand: the labels that it has at full extent.
    legs: Vec<u64>,
    /// The labels that broadcast in some operand.
    narrow: Vec<u64>,
    /// Per operand: the operands that share a label with it, itself included where it has any.
    neighbours: Vec<S>,
    /// Per operand: its labels as they lie in memory, and their sizes; none of a result.
    layouts: Vec<Vec<(u32, N)>>,
    has_zero: bool,
}

impl<S: Set, N: Number> Problem<S, N> {
    /// The problem of no more operands than `S` holds.
    pub(super) fn new(terms: &Terms) -> Self {
        let operands = terms.operands.len();
        debug_assert!(operands <= S::CAPACITY);
        let labels: Vec<Bundle<S, N>> = labels_of(terms);
        let bundles = bundled(&labels);
        let layouts = layouts(terms, &labels, &bundles);
        let words = bundles.len().div_ceil(64).max(1);
        let mut problem = Self {
            operands,
            words,
            legs: vec![0; words * operands],
            narrow: vec![0; words],
            neighbours: vec![S::zero(); operands],
            has_zero: bundles.iter().any(|bundle| bundle.size == N::ZERO),
            layouts,
            bundles,
        };
        for (index, bundle) in problem.bundles.iter().enumerate() {
            let (word, bit) = (index / 64, 1 << (index % 64));
            for operand in bundle.holders.members() {
                problem.neighbours[operand] = problem.neighbours[operand] | bundle.holders;
            }
            for operand in bundle.wide.members() {
                problem.legs[operand * words + word] |= bit;
            }
            if bundle.wide != bundle.holders {
                problem.narrow[word] |= bit;
            }
        }
        problem
    }

    pub(super) fn operands(&self) -> usize {
        self.operands
    }

    /// The set of all operands.
    pub(super) fn full(&self) -> S {
        S::first(self.operands)
    }

    pub(super) fn words(&self) -> usize {
        self.words
    }

    pub(super) fn has_zero(&self) -> bool {
        self.has_zero
    }

    pub(super) fn legs(&self, operand: usize) -> &[u64] {
        &self.legs[operand * self.words..][..self.words]
    }

    /// The operands outside `set` that share a label with one inside.
    pub(super) fn neighbours(&self, set: S) -> S {
        set.members().fold(S::zero(), |all, operand| all | self.neighbours[operand]) & !set
    }

    /// The size of each label.
    pub(super) fn sizes(&self) -> Vec<N> {
        self.bundles.iter().map(|bundle| bundle.size.clone()).collect()
    }

    /// The product of the sizes of `legs`.
    pub(super) fn elements(&self, legs: &[u64]) -> N {
        self.times(N::ONE, legs.iter().copied())
    }

    /// The multiplications of a step: `elements` of one side times the sizes that only the other side adds.
    pub(super) fn multiplications(&self, elements: &N, legs: &[u64], others: &[u64]) -> N {
        self.times(elements.clone(), legs.iter().zip(others).map(|(legs, others)| others & !legs))
    }

    /// The legs of a result over the operands of `set`, made of two sides.
    pub(super) fn join(&self, set: S, legs: &[u64], others: &[u64], result: &mut Vec<u64>) {
        result.clear();
        for (word, (&legs, &others)) in legs.iter().zip(others).enumerate() {
            let mut both = legs | others;
            // Only a label that both sides have can be summed now; where it broadcasts, a side has it unseen.
            let mut candidates = (legs & others) | (both & self.narrow[word]);
            while candidates != 0 {
                let bit = candidates & candidates.wrapping_neg();
                candidates ^= bit;
                let bundle = &self.bundles[word * 64 + bit.trailing_zeros() as usize];
                if !bundle.kept && bundle.holders.is_within(set) {
                    both ^= bit;
                }
            }
            result.push(both);
        }
    }

    /// Whether a result over `set` with these legs has legs, and each of them has one operand left to meet, which
    /// ends it; and whether these are all of its `neighbours`.
    pub(super) fn is_plain(&self, set: S, legs: &[u64], neighbours: S) -> bool {
        let mut met = S::zero();
        for label in labels(legs.iter().copied()) {
            let bundle = &self.bundles[label];
            let left = bundle.holders & !set;
            if bundle.kept || bundle.wide != bundle.holders || left.count_ones() != 1 {
                return false;
            }
            met = met | left;
        }
        met == neighbours && met != S::zero()
    }

    /// Of a side of a step that is an operand: how many of its elements lie beside each other, where it is gathered.
    pub(super) fn gathered(&self, operand: usize, other: &[u64], result: &[u64]) -> Option<N> {
        let has = |legs: &[u64], label: u32| legs[label as usize / 64] >> (label % 64) & 1 == 1;
        let axes = self.layouts[operand].iter();
        gathered(axes.map(|(label, size)| (Role::of(has(other, *label), has(result, *label)), size.clone())))
    }

    fn times(&self, product: N, words: impl Iterator<Item = u64>) -> N {
        product.product(labels(words).map(|label| &self.bundles[label].size))
    }
}

/// The labels, each by itself.
fn labels_of<S: Set, N: Number>(terms: &Terms) -> Vec<Bundle<S, N>> {
    let bundle = |(&extent, &kept): (&usize, &bool)| Bundle {
        holders: S::zero(),
        wide: S::zero(),
        kept,
        size: N::saturated(extent as u128),
    };
    let mut bundles: Vec<Bundle<S, N>> = terms.extents.iter().zip(&terms.kept).map(bundle).collect();
    for (operand, legs) in terms.operands.iter().enumerate() {
        let operand = S::single(operand);
        for leg in legs {
            let bundle = &mut bundles[leg.label as usize];
            bundle.holders = bundle.holders | operand;
            if leg.wide {
                bundle.wide = bundle.wide | operand;
            }
        }
    }
    bundles
}

impl<S: Set, N> Bundle<S, N> {
    /// What is the same of labels that live and die together.
    fn key(&self) -> (S, S, bool) {
        (self.holders, self.wide, self.kept)
    }
}

/// The labels that some operand has. Those that the same operands have always live and die together: they count as
/// one.
fn bundled<S: Set, N: Number>(labels: &[Bundle<S, N>]) -> Vec<Bundle<S, N>> {
    let mut bundles: Vec<Bundle<S, N>> = labels.iter().filter(|label| label.holders != S::zero()).cloned().collect();
    bundles.sort_unstable_by_key(Bundle::key);
    bundles.dedup_by(|bundle, before| {
        let same = bundle.key() == before.key();
        if same {
            before.size = before.size.times(&bundle.size);
        }
        same
    });
    bundles
}

/// How the operands lie in memory, in bundles.
fn layouts<S: Set, N: Number>(terms: &Terms, labels: &[Bundle<S, N>], bundles: &[Bundle<S, N>]) -> Vec<Vec<(u32, N)>> {
    let axis = |&label: &u32| {
        let label = &labels[label as usize];
        let bundle = bundles.binary_search_by_key(&label.key(), Bundle::key).unwrap_or_default();
        (bundle as u32, label.size.clone())
    };
    terms.layouts.iter().map(|layout| layout.iter().map(axis).collect()).collect()
}

/// The labels of a set that is given word by word.
fn labels(words: impl Iterator<Item = u64>) -> impl Iterator<Item = usize> {
    words.enumerate().flat_map(|(word, bits)| bits.members().map(move |bit| word * 64 + bit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::tests::graph;

    #[test]
    fn parallel_labels_are_one_and_the_summed_ones_die() {
        let problem: Problem<u128, u64> = Problem::new(&Terms::new(&graph("abx,abc,cd->dx", "a=3 b=5 c=7 d=11 x=13")));
        assert_eq!(problem.bundles.len(), 4);
        assert_eq!(problem.multiplications(&(15 * 13), problem.legs(0), problem.legs(1)), 15 * 13 * 7);
        let mut legs = Vec::new();
        problem.join(0b011, problem.legs(0), problem.legs(1), &mut legs);
        assert_eq!(problem.elements(&legs), 13 * 7);
        assert_eq!([1, 2, 4, 3].map(|set| problem.neighbours(set)), [2, 5, 2, 4]);
    }

    #[test]
    fn plain_is_what_the_next_operand_ends() {
        let problem: Problem<u64, u64> = Problem::new(&Terms::new(&graph("ab,bcx,cdx,x,y,->dy", "")));
        let plain = [0b1, 0b10, 0b100, 0b1100, 0b1_0000, 0b10_0000].map(|set: u64| {
            let mut legs = vec![0; problem.words()];
            for operand in set.members() {
                problem.join(set, &legs.clone(), problem.legs(operand), &mut legs);
            }
            problem.is_plain(set, &legs, problem.neighbours(set))
        });
        assert_eq!(plain, [true, false, false, false, false, false]);
    }
}
