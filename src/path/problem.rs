//! A problem of the exact search: operands and labels as bit sets.
//!
//! In come [`Terms`] of at most 128 operands; out go sets of operands in one machine word and sets of labels in as
//! many words as the problem needs.

use std::collections::BTreeMap;
use std::hash::Hasher;

use super::number::Number;
use super::terms::Terms;

/// A set of operands, a bit each.
pub(super) type Set = u128;

/// The most operands that a [`Set`] holds.
pub(super) const MOST_OPERANDS: usize = Set::BITS as usize;

/// A label, or several that the same operands have in the same way.
#[derive(Clone, Debug)]
struct Bundle<N> {
    size: N,
    holders: Set,
    kept: bool,
}

/// The operands and labels of a search.
#[derive(Clone, Debug)]
pub(super) struct Problem<N> {
    operands: usize,
    bundles: Vec<Bundle<N>>,
    /// Words of a set of labels.
    words: usize,
    /// Per operand: the labels that it has at full extent.
    legs: Vec<u64>,
    /// The labels that broadcast in some operand.
    narrow: Vec<u64>,
    /// Per operand: the operands that share a label with it, itself included where it has any.
    neighbours: Vec<Set>,
    has_zero: bool,
}

impl<N: Number> Problem<N> {
    /// The problem of at most [`MOST_OPERANDS`] operands.
    pub(super) fn new(terms: &Terms) -> Self {
        let operands = terms.operands.len();
        debug_assert!(operands <= MOST_OPERANDS);
        let mut holders: Vec<Set> = vec![0; terms.extents.len()];
        let mut wide: Vec<Set> = vec![0; terms.extents.len()];
        for (operand, legs) in terms.operands.iter().enumerate() {
            for leg in legs {
                holders[leg.label as usize] |= 1 << operand;
                wide[leg.label as usize] |= Set::from(leg.wide) << operand;
            }
        }
        // Labels that the same operands have always live and die together: they count as one.
        let mut same: BTreeMap<(Set, Set, bool), N> = BTreeMap::new();
        for (label, &extent) in terms.extents.iter().enumerate().filter(|(label, _)| holders[*label] != 0) {
            let size = same.entry((holders[label], wide[label], terms.kept[label])).or_insert(N::ONE);
            *size = size.times(&N::saturated(extent as u128));
        }
        let words = same.len().div_ceil(64).max(1);
        let mut problem = Self {
            operands,
            bundles: Vec::with_capacity(same.len()),
            words,
            legs: vec![0; words * operands],
            narrow: vec![0; words],
            neighbours: vec![0; operands],
            has_zero: terms.has_zero(),
        };
        for (index, ((holders, wide, kept), size)) in same.into_iter().enumerate() {
            let (word, bit) = (index / 64, 1 << (index % 64));
            for operand in members(holders) {
                problem.neighbours[operand] |= holders;
            }
            for operand in members(wide) {
                problem.legs[operand * words + word] |= bit;
            }
            if wide != holders {
                problem.narrow[word] |= bit;
            }
            problem.bundles.push(Bundle { size, holders, kept });
        }
        problem
    }

    pub(super) fn operands(&self) -> usize {
        self.operands
    }

    /// The set of all operands.
    pub(super) fn full(&self) -> Set {
        Set::MAX >> (MOST_OPERANDS - self.operands)
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
    pub(super) fn neighbours(&self, set: Set) -> Set {
        members(set).fold(0, |all, operand| all | self.neighbours[operand]) & !set
    }

    /// The product of the sizes of `legs`.
    pub(super) fn elements(&self, legs: &[u64]) -> N {
        self.times(N::ONE, legs.iter().copied())
    }

    /// The multiplications of a step: `elements` of one side times the sizes that only the other side adds.
    pub(super) fn multiplications(&self, elements: &N, legs: &[u64], others: &[u64]) -> N {
        self.times(elements.clone(), legs.iter().zip(others).map(|(legs, others)| others & !legs))
    }

    /// The product of the sizes of the legs that both sides have.
    pub(super) fn shared(&self, legs: &[u64], others: &[u64]) -> N {
        self.times(N::ONE, legs.iter().zip(others).map(|(legs, others)| others & legs))
    }

    /// The legs of a result over the operands of `set`, made of two sides.
    pub(super) fn join(&self, set: Set, legs: &[u64], others: &[u64], result: &mut Vec<u64>) {
        result.clear();
        for (word, (&legs, &others)) in legs.iter().zip(others).enumerate() {
            let mut both = legs | others;
            // Only a label that both sides have can be summed now; where it broadcasts, a side has it unseen.
            let mut candidates = (legs & others) | (both & self.narrow[word]);
            while candidates != 0 {
                let bit = candidates & candidates.wrapping_neg();
                candidates ^= bit;
                let bundle = &self.bundles[word * 64 + bit.trailing_zeros() as usize];
                if !bundle.kept && bundle.holders & !set == 0 {
                    both ^= bit;
                }
            }
            result.push(both);
        }
    }

    fn times(&self, product: N, words: impl Iterator<Item = u64>) -> N {
        let labels = words.enumerate().flat_map(|(word, bits)| bits64(bits).map(move |bit| word * 64 + bit));
        product.product(labels.map(|label| &self.bundles[label].size))
    }
}

/// The members of a set, in order.
pub(super) fn members(set: Set) -> impl Iterator<Item = usize> {
    let mut left = set;
    std::iter::from_fn(move || {
        let member = (left != 0).then(|| left.trailing_zeros() as usize);
        left &= left.wrapping_sub(1);
        member
    })
}

fn bits64(mut left: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = (left != 0).then(|| left.trailing_zeros() as usize);
        left &= left.wrapping_sub(1);
        bit
    })
}

/// A hash for sets of operands, much cheaper than the standard one. The keys are bits that nobody chooses.
#[derive(Default)]
pub(super) struct SetHasher(u64);

impl Hasher for SetHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u128(u128::from(byte));
        }
    }

    fn write_u128(&mut self, set: u128) {
        let folded = (self.0 ^ set as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ^ ((set >> 64) as u64).wrapping_mul(0xd6e8_feb8_6659_fd93);
        self.0 = (folded ^ (folded >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 ^= self.0 >> 29;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::tests::graph;

    #[test]
    fn parallel_labels_are_one_and_the_summed_ones_die() {
        let problem: Problem<u64> = Problem::new(&Terms::new(&graph("abx,abc,cd->dx", "a=3 b=5 c=7 d=11 x=13")));
        assert_eq!(problem.bundles.len(), 4);
        assert_eq!(problem.multiplications(&(15 * 13), problem.legs(0), problem.legs(1)), 15 * 13 * 7);
        let mut legs = Vec::new();
        problem.join(0b011, problem.legs(0), problem.legs(1), &mut legs);
        assert_eq!(problem.elements(&legs), 13 * 7);
        assert_eq!([1, 2, 4, 3].map(|set| problem.neighbours(set)), [2, 5, 2, 4]);
    }
}
