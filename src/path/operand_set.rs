//! Sets of operands in a machine word, and tables that they are the keys of.

use num_traits::PrimInt;

/// The most operands that a set holds.
pub(super) const MOST_OPERANDS: usize = u128::BITS as usize;

/// A set of operands, a bit each.
pub(super) trait Set: PrimInt {
    /// The operands that it holds at most.
    const CAPACITY: usize;

    /// Its bits mixed into 64, of which the highest depend on all.
    fn hash(self) -> u64;

    fn single(operand: usize) -> Self {
        Self::one() << operand
    }

    /// The set of the first operands.
    fn first(operands: usize) -> Self {
        if operands == 0 { Self::zero() } else { Self::max_value() >> (Self::CAPACITY - operands) }
    }

    fn meets(self, other: Self) -> bool {
        self & other != Self::zero()
    }

    fn is_within(self, other: Self) -> bool {
        self & other == self
    }

    /// The members, in order.
    fn members(self) -> impl Iterator<Item = usize> {
        let mut left = self;
        std::iter::from_fn(move || {
            let member = (left != Self::zero()).then(|| left.trailing_zeros() as usize);
            if member.is_some() {
                left = left & (left - Self::one());
            }
            member
        })
    }

    /// Whether, at the first operand that is in one of the sets only, it is this one.
    fn comes_before(self, other: Self) -> bool {
        let differ = self ^ other;
        differ != Self::zero() && self.meets(Self::single(differ.trailing_zeros() as usize))
    }
}

impl Set for u64 {
    const CAPACITY: usize = Self::BITS as usize;

    fn hash(self) -> u64 {
        let mixed = self.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93)
    }
}

impl Set for u128 {
    const CAPACITY: usize = Self::BITS as usize;

    fn hash(self) -> u64 {
        (self as u64 ^ ((self >> 64) as u64).wrapping_mul(0xd6e8_feb8_6659_fd93)).hash()
    }
}

/// The ids of sets: a table that is searched from the place of a set's hash on.
#[derive(Clone, Debug)]
pub(super) struct Ids<S> {
    /// Places with a set and its id; the empty set where there is none.
    places: Vec<(S, u32)>,
    len: usize,
}

impl<S: Set> Ids<S> {
    pub(super) fn new(operands: usize) -> Self {
        Self { places: vec![(S::zero(), 0); 4 << operands.min(8)], len: 0 }
    }

    /// The id of a set; the empty set has none.
    pub(super) fn get(&self, set: S) -> Option<u32> {
        let (held, id) = self.places[self.place(set)];
        (held == set && set != S::zero()).then_some(id)
    }

    /// Adds a set that is neither empty nor there yet.
    pub(super) fn insert(&mut self, set: S, id: u32) {
        if self.len * 2 >= self.places.len() {
            let larger = vec![(S::zero(), 0); self.places.len() * 4];
            for (set, id) in std::mem::replace(&mut self.places, larger) {
                if set != S::zero() {
                    let place = self.place(set);
                    self.places[place] = (set, id);
                }
            }
        }
        let place = self.place(set);
        self.places[place] = (set, id);
        self.len += 1;
    }

    /// Where the set is, or the free place where it belongs.
    fn place(&self, set: S) -> usize {
        let mask = self.places.len() - 1;
        let mut place = (set.hash() >> (64 - self.places.len().trailing_zeros())) as usize;
        while self.places[place].0 != set && self.places[place].0 != S::zero() {
            place = (place + 1) & mask;
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_ordered_by_the_first_difference() {
        assert!(0b011_u64.comes_before(0b101) && !0b101_u64.comes_before(0b011) && !1_u128.comes_before(1));
        assert_eq!(u128::first(128), u128::MAX);
        assert_eq!((u64::first(0), u64::first(3), u64::first(64)), (0, 7, u64::MAX));
        assert_eq!((1_u128 << 100 | 5).members().collect::<Vec<_>>(), [0, 2, 100]);
    }

    #[test]
    fn a_table_finds_what_it_was_given() {
        let mut ids = Ids::new(3);
        for set in 1..5000_u128 {
            assert_eq!(ids.get(set << 60), None);
            ids.insert(set << 60, set as u32);
        }
        assert!((1..5000_u128).all(|set| ids.get(set << 60) == Some(set as u32)));
    }
}
