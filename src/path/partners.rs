//! The final sets of an exact search, kept so that those which a set can be joined with are soon found.
//!
//! In come sets by rising score; out go, for one of them, the few that share no operand with it and fit its rooms. A
//! binary tree parts the sets by whether they have an operand, so that of most pairs of sets that share one nothing is
//! ever looked at. Its leaves hold the sets one after the other, field by field.

use smallvec::SmallVec;

use super::number::Number;
use super::operand_set::Set;
use super::problem::Room;

/// Sets from which on a leaf is parted.
const LEAF: usize = 64;

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

/// What is asked for: the final sets that share no operand with a set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query<'a, S, N> {
    pub(super) set: S,
    pub(super) legs: &'a [u64],
    /// The operands outside that share a label with it.
    pub(super) neighbours: S,
    /// Those of them that a partner must have if it has any.
    pub(super) required: S,
    /// What no partner scores above.
    pub(super) most: N,
    /// The room for the labels of partners that share labels, by their kind.
    pub(super) rooms: [Room<'a>; 3],
    /// The same of partners that do not; none where they do not count.
    pub(super) outer: Option<[Room<'a>; 3]>,
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
    /// The labels that all sets have.
    common: SmallVec<[u64; 2]>,
    sets: Vec<S>,
    kinds: Vec<Kind>,
    legs: Vec<u64>,
    scores: Vec<N>,
    ids: Vec<u32>,
}

/// The final sets.
#[derive(Clone, Debug)]
pub(super) struct Partners<S, N> {
    words: usize,
    branches: Vec<Branch>,
    leaves: Vec<Leaf<S, N>>,
}

impl<S: Set, N: Number> Partners<S, N> {
    /// None yet, with so many words of labels each.
    pub(super) fn new(words: usize) -> Self {
        Self { words, branches: vec![Branch::Leaf(0)], leaves: vec![Leaf::new(words, LEAF)] }
    }

    /// Adds a set that scores no less than those before.
    pub(super) fn push(&mut self, set: S, kind: Kind, legs: &[u64], score: &N, id: u32) {
        let mut branch = 0;
        let leaf = loop {
            match self.branches[branch] {
                Branch::Fork { operand, sides } => {
                    branch = sides[usize::from(set.meets(S::single(operand as usize)))] as usize;
                }
                Branch::Leaf(leaf) => break leaf as usize,
            }
        };
        self.leaves[leaf].push(set, kind, legs, score.clone(), id);
        if self.leaves[leaf].sets.len() >= self.leaves[leaf].room {
            self.part(branch, leaf);
        }
    }

    /// Adds the partners that are asked for to `found`, and maybe some that are not. How many sets it looked at.
    pub(super) fn find(&self, query: &Query<'_, S, N>, found: &mut Vec<u32>) -> u64 {
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
                Branch::Leaf(leaf) => looks += self.leaves[leaf as usize].find(self.words, query, found),
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
        let mut sides = [Leaf::new(self.words, LEAF), Leaf::new(self.words, LEAF)];
        sides[0].room = sides[0].room.max(2 * (old.sets.len() - with));
        sides[1].room = sides[1].room.max(2 * with);
        for (place, &set) in old.sets.iter().enumerate() {
            let legs = &old.legs[place * self.words..][..self.words];
            let side = &mut sides[usize::from(set.meets(S::single(operand)))];
            side.push(set, old.kinds[place], legs, old.scores[place].clone(), old.ids[place]);
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
    fn new(words: usize, room: usize) -> Self {
        Self {
            room,
            all: S::max_value(),
            any: S::zero(),
            common: SmallVec::from_elem(u64::MAX, words),
            sets: Vec::new(),
            kinds: Vec::new(),
            legs: Vec::new(),
            scores: Vec::new(),
            ids: Vec::new(),
        }
    }

    fn push(&mut self, set: S, kind: Kind, legs: &[u64], score: N, id: u32) {
        self.all = self.all & set;
        self.any = self.any | set;
        for (common, legs) in self.common.iter_mut().zip(legs) {
            *common &= legs;
        }
        self.sets.push(set);
        self.kinds.push(kind);
        self.legs.extend_from_slice(legs);
        self.scores.push(score);
        self.ids.push(id);
    }

    fn find(&self, words: usize, query: &Query<'_, S, N>, found: &mut Vec<u32>) -> u64 {
        let apart = query.outer.is_none() && !self.any.meets(query.neighbours);
        // No room is larger than that of the first kind.
        if apart || self.all.meets(query.set) || !query.rooms[0].holds(query.legs, &self.common) {
            return 1;
        }
        let reach = self.scores.partition_point(|score| *score <= query.most);
        for (place, (&set, legs)) in self.sets[..reach].iter().zip(self.legs.chunks_exact(words)).enumerate() {
            if set.meets(query.set) {
                continue;
            }
            let kind = self.kinds[place] as usize;
            let shared = set & query.neighbours;
            let room = if shared == S::zero() {
                let Some(outer) = &query.outer else { continue };
                outer[kind]
            } else if query.required.is_within(shared) {
                query.rooms[kind]
            } else {
                continue;
            };
            if room.holds(query.legs, legs) {
                found.push(self.ids[place]);
            }
        }
        reach as u64 + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::tests::graph;
    use crate::path::problem::Problem;
    use crate::path::terms::Terms;

    #[test]
    fn all_disjoint_sets_are_found_and_no_others() {
        let problem: Problem<u64, u64> = Problem::new(&Terms::new(&graph("ab,bc->", "")));
        let mut partners = Partners::new(1);
        let sets: Vec<u64> =
            (1..=10_000_u64).map(|number| (number * 0x9e37_79b9) & 0xfff | 1 << (number % 14)).collect();
        for (id, &set) in sets.iter().enumerate() {
            partners.push(set, Kind::Any, &[0], &(id as u64), id as u32);
        }
        for (set, most) in [(0b1, 9_999), (0b1010_0001, 5_000), (0xff0, 9_999)] {
            let room = [problem.endless_room(); 3];
            let query = Query { set, legs: &[0], neighbours: !0, required: 0, most, rooms: room, outer: None };
            let mut found = Vec::new();
            let looks = partners.find(&query, &mut found);
            found.sort_unstable();
            let expected = (0..=most as u32).filter(|&id| sets[id as usize] & set == 0);
            assert_eq!(found, expected.collect::<Vec<_>>());
            assert!(looks < most);
        }
    }
}
