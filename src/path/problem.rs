//! A problem of the exact search: operands and labels as bit sets.
//!
//! In come [`Terms`] of no more operands than a set holds; out go sets of operands in one machine word and sets of
//! labels in as many words as the problem needs.

use smallvec::SmallVec;

use super::number::Number;
use super::objective::Combining;
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
    has_zero: bool,
    /// The different sizes, falling.
    sizes: Vec<N>,
    /// For each number of sizes, from none on: the sketch of the labels of the largest ones, without bits that other
    /// labels have, too.
    largest: Vec<u64>,
    /// What that many labels have at least, each power up to that of all labels.
    powers: Vec<N>,
}

/// A set of labels in one word, for a first look: a label has the bit of its number modulo 64.
pub(super) fn sketch(legs: &[u64]) -> u64 {
    legs.iter().fold(0, |sketch, legs| sketch | legs)
}

/// Which partners a set has room for, by the labels that they add to its own and by their scores.
#[derive(Clone, Debug)]
pub(super) struct Room<N> {
    /// A sketch of the labels that no partner may add.
    barred: u64,
    /// By how many labels a partner adds: what it has to score below. The last is for all larger numbers.
    below: SmallVec<[N; 16]>,
}

impl<S: Set, N: Number> Problem<S, N> {
    /// The problem of no more operands than `S` holds.
    pub(super) fn new(terms: &Terms) -> Self {
        let operands = terms.operands.len();
        debug_assert!(operands <= S::CAPACITY);
        let bundles: Vec<Bundle<S, N>> = bundles(terms);
        let words = bundles.len().div_ceil(64).max(1);
        let mut problem = Self {
            operands,
            words,
            legs: vec![0; words * operands],
            narrow: vec![0; words],
            neighbours: vec![S::zero(); operands],
            has_zero: bundles.iter().any(|bundle| bundle.size == N::ZERO),
            sizes: bundles.iter().map(|bundle| bundle.size.clone()).collect(),
            largest: Vec::new(),
            powers: Vec::with_capacity(bundles.len() + 1),
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
        problem.sizes.sort_unstable_by(|a, b| b.cmp(a));
        problem.sizes.dedup();
        problem.largest = (0..=problem.sizes.len())
            .map(|level| {
                let (mut large, mut small) = (0, 0);
                for (index, bundle) in problem.bundles.iter().enumerate() {
                    let is_large = problem.sizes[..level].last().is_some_and(|least| bundle.size >= *least);
                    *(if is_large { &mut large } else { &mut small }) |= 1 << (index % 64);
                }
                large & !small
            })
            .collect();
        let mut power = N::ONE;
        for _ in 0..=problem.bundles.len() {
            problem.powers.push(power.clone());
            power = problem.sizes.last().map_or(N::ONE, |least| power.times(least));
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

    /// The room of a set whose step with a partner scores at least `unit`, times what the partner adds. Together with
    /// the partner's own score, if they add up, it must not be above `most`.
    pub(super) fn room(&self, unit: &N, most: &N, combining: Combining) -> Room<N> {
        if self.has_zero {
            return self.endless_room(most);
        }
        let largest = most.quotient(unit);
        let barred = self.sizes.partition_point(|size| *size > largest);
        let fitting = self.powers.iter().take_while(|power| **power <= largest);
        let mut below: SmallVec<[N; 16]> = match combining {
            Combining::Sum => fitting.map(|power| most.minus(&unit.times(power)).plus(&N::ONE)).collect(),
            Combining::Max => fitting.map(|_| most.plus(&N::ONE)).collect(),
        };
        below.push(N::ZERO);
        Room { barred: self.largest[barred], below }
    }

    /// The room for all partners that score no more than `most`.
    pub(super) fn endless_room(&self, most: &N) -> Room<N> {
        Room { barred: 0, below: SmallVec::from_elem(most.plus(&N::ONE), 1) }
    }

    /// The room for no partner.
    pub(super) fn no_room(&self) -> Room<N> {
        Room { barred: 0, below: SmallVec::from_elem(N::ZERO, 1) }
    }

    fn times(&self, product: N, words: impl Iterator<Item = u64>) -> N {
        product.product(labels(words).map(|label| &self.bundles[label].size))
    }
}

impl<N: Number> Room<N> {
    /// Whether a partner fits, as far as sketches tell: of the set's labels and of its own. Those that are in one
    /// place seem to be one, so that it seems to add no more than it does.
    #[inline]
    pub(super) fn fits(&self, labels: u64, others: u64, score: &N) -> bool {
        let added = others & !labels;
        let count = added.count_ones() as usize;
        // No branch between the two: neither can be foreseen.
        (added & self.barred == 0) & (*score < self.below[count.min(self.below.len() - 1)])
    }

    /// What all partners that fit score below.
    pub(super) fn below(&self) -> &N {
        &self.below[0]
    }

    /// The same, but only for those that add nothing.
    pub(super) fn without_additions(mut self) -> Self {
        self.below.truncate(1);
        self.below.push(N::ZERO);
        self
    }
}

/// The labels that some operand has. Those that the same operands have always live and die together: they count as
/// one.
fn bundles<S: Set, N: Number>(terms: &Terms) -> Vec<Bundle<S, N>> {
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
    bundles.retain(|bundle| bundle.holders != S::zero());
    bundles.sort_unstable_by_key(|bundle| (bundle.holders, bundle.wide, bundle.kept));
    bundles.dedup_by(|bundle, before| {
        let same = (bundle.holders, bundle.wide, bundle.kept) == (before.holders, before.wide, before.kept);
        if same {
            before.size = before.size.times(&bundle.size);
        }
        same
    });
    bundles
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
    fn a_room_holds_what_is_small_enough() {
        let problem: Problem<u64, u64> = Problem::new(&Terms::new(&graph("ab,bc,cd->ad", "a=4 b=4 c=5 d=4")));
        let fits = |most: u64, combining, operand| {
            let room = problem.room(&10, &most, combining);
            room.fits(problem.legs(0)[0], problem.legs(operand)[0], &3)
        };
        // It adds 5 to 10.
        assert_eq!([50, 52, 53].map(|most| fits(most, Combining::Sum, 1)), [false, false, true]);
        assert_eq!([49, 50, 52].map(|most| fits(most, Combining::Max, 1)), [false, true, true]);
        // It adds 5 and 4, of which only is known that they are two labels of 4 or more.
        assert_eq!([100, 162, 163].map(|most| fits(most, Combining::Sum, 2)), [false, false, true]);
        let added = |room: Room<u64>| room.fits(0, 1, &3);
        assert_eq!(
            [problem.endless_room(&3), problem.endless_room(&2), problem.no_room()].map(added),
            [true, false, false]
        );
        assert!(!added(problem.room(&1, &100, Combining::Sum).without_additions()));
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
