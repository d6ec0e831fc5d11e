//! The final sets of an exact search, kept so that those which a set can be joined with are soon found.
//!
//! In come sets by rising score; out go, for one of them, the few that share no operand with it and fit its rooms. A
//! binary tree parts the sets by whether they have an operand, so that of most pairs of sets that share one nothing is
//! ever looked at. Its leaves hold the sets one after the other, field by field.

use smallvec::SmallVec;

use super::number::Number;
use super::operand_set::Set;
use super::rooms::Room;

/// Sets from which on a leaf is parted.
const LEAF: usize = 48;

/// One part of a leaf has no less than a share of its sets.
const SHARE: usize = 8;

/// What counts of a set where it is joined with another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Nothing is known of it.
    Any,
    /// Every label is ended by the next operand that has it: see [`Problem::is_plain`](super::problem::Problem).
    Plain,
    /// The outer product of two plain sets: in a best tree the next set ends all of its labels.
    Product,
}

/// The rooms of a query, by what a partner and its set share: labels, or nothing.
#[derive(Clone, Debug)]
pub(super) struct QueryRooms<N> {
    /// For partners that share labels and are no [`Kind::Product`]. No other room is larger.
    pub(super) sharing: Room<N>,
    pub(super) sharing_product: Room<N>,
    /// For partners of [`Kind::Any`] that share none.
    pub(super) apart: Room<N>,
    pub(super) apart_plain: Room<N>,
}

/// What is asked for: the final sets that share no operand with a set.
#[derive(Clone, Debug)]
pub(super) struct Query<S, N> {
    pub(super) set: S,
    /// The sketch of its labels.
    pub(super) labels: u64,
    /// The operands outside that share a label with it.
    pub(super) neighbours: S,
    /// Those of them that a partner must have if it has any.
    pub(super) required: S,
    pub(super) rooms: QueryRooms<N>,
}

#[derive(Clone, Debug)]
enum Branch {
    Leaf(u32),
    /// The sets without an operand, and those with it.
    Fork {
        operand: u32,
        sides: [u32; 2],
    },
}

#[derive(Clone, Debug)]
struct Leaf<S, N> {
    /// How many sets it takes before it is parted.
    room: usize,
    /// The operands that all sets have, and those that any has.
    all: S,
    any: S,
    /// The sketch of the labels that all sets have.
    common: u64,
    /// The sets, apart from what else is known of them, since most are passed over.
    sets: Vec<S>,
    entries: Vec<Entry<N>>,
}

#[derive(Clone, Debug)]
struct Entry<N> {
    score: N,
    /// The sketch of its labels.
    labels: u64,
    id: u32,
    kind: Kind,
}

/// The final sets.
#[derive(Clone, Debug)]
pub(super) struct Partners<S, N> {
    branches: Vec<Branch>,
    leaves: Vec<Leaf<S, N>>,
}

impl<S: Set, N: Number> Partners<S, N> {
    /// None yet.
    pub(super) fn new() -> Self {
        Self { branches: vec![Branch::Leaf(0)], leaves: vec![Leaf::new(LEAF)] }
    }

    /// Adds a set, with the sketch of its labels, that scores no less than those before.
    pub(super) fn push(&mut self, set: S, kind: Kind, labels: u64, score: &N, id: u32) {
        let mut branch = 0;
        let leaf = loop {
            match self.branches[branch] {
                Branch::Fork { operand, sides } => {
                    branch = sides[usize::from(set.meets(S::single(operand as usize)))] as usize;
                }
                Branch::Leaf(leaf) => break leaf as usize,
            }
        };
        self.leaves[leaf].push(set, Entry { score: score.clone(), labels, id, kind });
        if self.leaves[leaf].sets.len() >= self.leaves[leaf].room {
            self.part(branch, leaf);
        }
    }

    /// Adds the partners that are asked for to `found`, and maybe some that are not. How many sets it looked at.
    pub(super) fn find(&self, query: &Query<S, N>, found: &mut Vec<u32>) -> u64 {
        let mut looks = 0;
        let mut left: SmallVec<[u32; 64]> = SmallVec::new();
        left.push(0);
        while let Some(branch) = left.pop() {
            match self.branches[branch as usize] {
                Branch::Fork { operand, sides } => {
                    if !query.set.meets(S::single(operand as usize)) {
                        left.push(sides[1]);
                    }
                    left.push(sides[0]);
                }
                Branch::Leaf(leaf) => looks += self.leaves[leaf as usize].find(query, found),
            }
        }
        looks
    }

    /// Parts a leaf by the operand that about half of its sets have.
    fn part(&mut self, branch: usize, leaf: usize) {
        let old = &mut self.leaves[leaf];
        let varying = (old.any & !old.all).members();
        let with = varying.map(|operand| {
            let single = S::single(operand);
            (old.sets.iter().filter(|set| set.meets(single)).count(), operand)
        });
        let half = old.sets.len() / 2;
        let best = with.min_by_key(|&(with, operand)| (with.abs_diff(half), operand));
        let Some((with, operand)) = best.filter(|(with, _)| with.min(&(half * 2 - with)) * SHARE >= half) else {
            old.room *= 2;
            return;
        };
        let mut sides = [Leaf::new(LEAF), Leaf::new(LEAF)];
        sides[0].room = sides[0].room.max(2 * (old.sets.len() - with));
        sides[1].room = sides[1].room.max(2 * with);
        for (&set, entry) in old.sets.iter().zip(&old.entries) {
            let side = &mut sides[usize::from(set.meets(S::single(operand)))];
            side.push(set, entry.clone());
        }
        let [without, with] = sides;
        self.leaves[leaf] = without;
        self.leaves.push(with);
        let first = self.branches.len() as u32;
        self.branches.push(Branch::Leaf(leaf as u32));
        self.branches.push(Branch::Leaf(self.leaves.len() as u32 - 1));
        self.branches[branch] = Branch::Fork { operand: operand as u32, sides: [first, first + 1] };
    }
}

impl<S: Set, N: Number> Leaf<S, N> {
    fn new(room: usize) -> Self {
        Self { room, all: S::max_value(), any: S::zero(), common: u64::MAX, sets: Vec::new(), entries: Vec::new() }
    }

    fn push(&mut self, set: S, entry: Entry<N>) {
        self.all = self.all & set;
        self.any = self.any | set;
        self.common &= entry.labels;
        self.sets.push(set);
        self.entries.push(entry);
    }

    fn find(&self, query: &Query<S, N>, found: &mut Vec<u32>) -> u64 {
        let Some(least) = self.entries.first() else { return 1 };
        if self.all.meets(query.set) || !query.rooms.sharing.fits(query.labels, self.common, &least.score) {
            return 1;
        }
        let reach = self.entries.partition_point(|entry| entry.score < *query.rooms.sharing.below());
        for start in (0..reach).step_by(64) {
            // Whether a set shares operands cannot be foreseen, so this has no branches.
            let sets = self.sets[start..reach].iter().take(64).enumerate();
            let mut apart = sets.fold(0, |apart, (place, set)| apart | u64::from(!set.meets(query.set)) << place);
            while apart != 0 {
                let place = start + apart.trailing_zeros() as usize;
                apart &= apart - 1;
                if query.fits(self.sets[place], &self.entries[place]) {
                    found.push(self.entries[place].id);
                }
            }
        }
        reach as u64 + 1
    }
}

impl<S: Set, N: Number> Query<S, N> {
    /// Whether a set that shares no operands is a partner, as far as can be told without its node.
    #[inline]
    fn fits(&self, set: S, entry: &Entry<N>) -> bool {
        let shared = set & self.neighbours;
        let outer = shared == S::zero();
        let room = match (outer, entry.kind) {
            (false, Kind::Any | Kind::Plain) => &self.rooms.sharing,
            (false, Kind::Product) => &self.rooms.sharing_product,
            (true, Kind::Any) => &self.rooms.apart,
            (true, Kind::Plain | Kind::Product) => &self.rooms.apart_plain,
        };
        (outer | self.required.is_within(shared)) & room.fits(self.labels, entry.labels, &entry.score)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_disjoint_sets_are_found_and_no_others() {
        let mut partners = Partners::new();
        let sets: Vec<u64> =
            (1..=10_000_u64).map(|number| (number * 0x9e37_79b9) & 0xfff | 1 << (number % 14)).collect();
        for (id, &set) in sets.iter().enumerate() {
            partners.push(set, Kind::Any, 0, &(id as u64), id as u32);
        }
        for (set, most) in [(0b1, 9_999), (0b1010_0001, 5_000), (0xff0, 9_999)] {
            let [sharing, sharing_product, apart, apart_plain] = std::array::from_fn(|_| Room::endless(&most));
            let rooms = QueryRooms { sharing, sharing_product, apart, apart_plain };
            let query = Query { set, labels: 0, neighbours: !0, required: 0, rooms };
            let mut found = Vec::new();
            let looks = partners.find(&query, &mut found);
            found.sort_unstable();
            let expected = (0..=most as u32).filter(|&id| sets[id as usize] & set == 0);
            assert_eq!(found, expected.collect::<Vec<_>>());
            assert!(looks < most);
        }
    }
}
