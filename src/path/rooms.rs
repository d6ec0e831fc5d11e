//! Which partners a set of the exact search has room for, told from a sketch of their labels alone.
//!
//! In come the sizes of all labels, and per set what its step with a partner scores at least; out comes a test of a few
//! instructions that turns nearly all pairs down.

use super::number::Number;
use super::scorer::Combining;

/// A set of labels in one word, for a first look: a label has the bit of its number modulo 64.
pub(super) fn sketch(legs: &[u64]) -> u64 {
    legs.iter().fold(0, |sketch, legs| sketch | legs)
}

/// The sizes of the labels of a problem.
#[derive(Clone, Debug)]
pub(super) struct Rooms<N> {
    /// The different sizes, falling.
    sizes: Vec<N>,
    /// For each number of sizes, from none on: the sketch of the labels of the largest ones, without bits that other
    /// labels have, too.
    largest: Vec<u64>,
    /// What that many labels have at least, each power up to that of all labels.
    powers: Vec<N>,
}

/// Which partners a set has room for, by the labels that they add to its own and by their scores.
#[derive(Clone, Debug)]
pub(super) struct Room<N> {
    /// A sketch of the labels that no partner may add.
    barred: u64,
    /// By how many labels a partner adds: what it has to score below. The last is for larger numbers, too.
    below: [N; COUNTS],
}

/// The numbers of added labels that are told apart. More than a few are too many for most sets.
const COUNTS: usize = 16;

impl<N: Number> Rooms<N> {
    /// For labels of these sizes, none of them zero.
    pub(super) fn new(labels: &[N]) -> Self {
        let mut sizes = labels.to_vec();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        sizes.dedup();
        let largest = (0..=sizes.len())
            .map(|level| {
                let (mut large, mut small) = (0, 0);
                for (index, size) in labels.iter().enumerate() {
                    let is_large = sizes[..level].last().is_some_and(|least| size >= least);
                    *(if is_large { &mut large } else { &mut small }) |= 1 << (index % 64);
                }
                large & !small
            })
            .collect();
        let mut powers = Vec::with_capacity(labels.len() + 1);
        powers.push(N::ONE);
        if let Some(least) = sizes.last() {
            for place in 0..labels.len() {
                powers.push(powers[place].times(least));
            }
        }
        Self { sizes, largest, powers }
    }

    /// The room of a set whose step with a partner scores at least `unit`, times what the partner adds. Together with
    /// the partner's own score, if they add up, it must not be above `most`.
    pub(super) fn room(&self, unit: &N, most: &N, combining: Combining) -> Room<N> {
        let largest = most.quotient(unit);
        let barred = self.sizes.partition_point(|size| *size > largest);
        let mut powers = self.powers.iter().take_while(|power| **power <= largest);
        let below = std::array::from_fn(|_| match (powers.next(), combining) {
            (Some(power), Combining::Sum) => most.minus(&unit.times(power)).plus(&N::ONE),
            (Some(_), Combining::Max) => most.plus(&N::ONE),
            (None, _) => N::ZERO,
        });
        Room { barred: self.largest[barred], below }
    }
}

impl<N: Number> Room<N> {
    /// The room for all partners that score no more than `most`.
    pub(super) fn endless(most: &N) -> Self {
        Self { barred: 0, below: std::array::from_fn(|_| most.plus(&N::ONE)) }
    }

    /// The room for no partner.
    pub(super) fn none() -> Self {
        Self { barred: 0, below: [const { N::ZERO }; COUNTS] }
    }

    /// Whether a partner fits, as far as sketches tell: of the set's labels and of its own. Those that are in one
    /// place seem to be one, so that it seems to add no more than it does.
    #[inline]
    #[expect(clippy::needless_bitwise_bool, reason = "whether one of the two holds cannot be foreseen: no branch")]
    pub(super) fn fits(&self, labels: u64, others: u64, score: &N) -> bool {
        let added = others & !labels;
        let count = added.count_ones() as usize;
        (added & self.barred == 0) & (*score < self.below[count.min(COUNTS - 1)])
    }

    /// What all partners that fit score below.
    pub(super) fn below(&self) -> &N {
        &self.below[0]
    }

    /// The same, but only for those that add nothing.
    pub(super) fn without_additions(&self) -> Self {
        let mut room = Self::none();
        room.below[0] = self.below[0].clone();
        room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_holds_what_is_small_enough() {
        let rooms: Rooms<u64> = Rooms::new(&[4, 5, 4]);
        let fits = |most: u64, combining, others| rooms.room(&10, &most, combining).fits(0b001, others, &3);
        // It adds a label of 5, which is barred where only 4 fit. Else a label counts as 4.
        assert_eq!([49, 50, 53].map(|most| fits(most, Combining::Sum, 0b011)), [false, true, true]);
        assert_eq!([42, 43].map(|most| fits(most, Combining::Sum, 0b101)), [false, true]);
        assert_eq!([49, 50, 52].map(|most| fits(most, Combining::Max, 0b011)), [false, true, true]);
        // It adds 5 and 4, which count as 4 and 4.
        assert_eq!([100, 162, 163].map(|most| fits(most, Combining::Sum, 0b110)), [false, false, true]);
        let added = |room: Room<u64>| room.fits(0, 1, &3);
        assert_eq!([Room::endless(&3), Room::endless(&2), Room::none()].map(added), [true, false, false]);
        assert!(!added(rooms.room(&1, &100, Combining::Sum).without_additions()));
    }
}
