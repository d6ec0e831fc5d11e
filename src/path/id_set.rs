//! A set of small integers that iterates in the order of a Python set.
//!
//! The reference's path search goes through a Python set of ids, and the order in which it meets pairs breaks its ties.
//! That order is the one of `CPython`'s open addressing, compared with version 3.11: an integer hashes to itself; a slot and
//! up to nine behind it are tried where they fit in the table, then the index is mixed with the hash's higher bits.

/// Slots tried behind the first.
const PROBES: usize = 9;
/// Bits by which the hash is shifted before each jump.
const SHIFT: u32 = 5;
/// Slots of the smallest table.
const SMALLEST: usize = 8;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Slot {
    Free,
    /// Held a member that was taken out: passed over, but not free.
    Dropped,
    Member(usize),
}

/// A set of ids with the order of Python's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct IdSet {
    table: Vec<Slot>,
    /// Slots that are not free.
    fill: usize,
    members: usize,
}

impl IdSet {
    /// `set(range(count))`.
    pub(super) fn range(count: usize) -> Self {
        let mut set = Self::empty();
        (0..count).for_each(|id| set.add(id));
        set
    }

    fn empty() -> Self {
        Self { table: vec![Slot::Free; SMALLEST], fill: 0, members: 0 }
    }

    /// The members, in iteration order.
    pub(super) fn members(&self) -> impl Iterator<Item = usize> {
        self.table.iter().filter_map(|slot| match slot {
            Slot::Member(id) => Some(*id),
            Slot::Free | Slot::Dropped => None,
        })
    }

    /// `self - {i, j} | {id}`.
    pub(super) fn replaced(&self, pair: [usize; 2], id: usize) -> Self {
        let mut union = self.without(pair).copied();
        if (union.fill + 1) * 5 >= union.mask() * 3 {
            union.resize((union.members + 1) * 2);
        }
        union.add(id);
        union
    }

    /// A set difference: of a much larger set a copy loses its members, else the others are put into a new one.
    fn without(&self, pair: [usize; 2]) -> Self {
        if self.members >> 2 > pair.len() {
            let mut rest = self.copied();
            for slot in &mut rest.table {
                if matches!(slot, Slot::Member(id) if pair.contains(id)) {
                    *slot = Slot::Dropped;
                    rest.members -= 1;
                }
            }
            return rest;
        }
        let mut rest = Self::empty();
        self.members().filter(|id| !pair.contains(id)).for_each(|id| rest.add(id));
        rest
    }

    /// A copy as `set(self)` makes it: slot by slot into a table of the same size, else member by member.
    fn copied(&self) -> Self {
        let mut copy = Self::empty();
        if self.members == 0 {
            return copy;
        }
        if self.members * 5 >= copy.mask() * 3 {
            copy.resize(self.members * 2);
        }
        if copy.table.len() == self.table.len() && self.fill == self.members {
            return self.clone();
        }
        self.members().for_each(|id| copy.put(id));
        copy.fill = self.members;
        copy.members = self.members;
        copy
    }

    fn mask(&self) -> usize {
        self.table.len() - 1
    }

    /// Adds an id that is not there, and grows where the table is three fifths full.
    fn add(&mut self, id: usize) {
        self.put(id);
        self.fill += 1;
        self.members += 1;
        if self.fill * 5 >= self.mask() * 3 {
            self.resize(self.members * if self.members > 50_000 { 2 } else { 4 });
        }
    }

    /// Puts an id into the first free slot of its sequence.
    fn put(&mut self, id: usize) {
        let mask = self.mask();
        let (mut at, mut perturb) = (id & mask, id);
        loop {
            let last = if at + PROBES <= mask { at + PROBES } else { at };
            if let Some(free) = (at..=last).find(|&slot| self.table[slot] == Slot::Free) {
                self.table[free] = Slot::Member(id);
                return;
            }
            perturb >>= SHIFT;
            at = (at * 5 + 1 + perturb) & mask;
        }
    }

    /// A table of the first power of two above `least`, into which the members go in order.
    fn resize(&mut self, least: usize) {
        let mut size = SMALLEST;
        while size <= least {
            size *= 2;
        }
        let members: Vec<usize> = self.members().collect();
        self.table = vec![Slot::Free; size];
        self.fill = members.len();
        for id in members {
            self.put(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(set: &IdSet) -> Vec<usize> {
        set.members().collect()
    }

    /// What `CPython` printed for `list(s)` along chains of `s = s - {i, j} | {n}`.
    #[test]
    fn the_order_is_that_of_the_original() {
        // (members at first, pairs that are replaced by the next id, what is left then)
        type Case<'a> = (usize, &'a [[usize; 2]], &'a [usize]);
        let cases: &[Case<'_>] = &[
            (3, &[[1, 2]], &[0, 3]),
            (5, &[[1, 3]], &[0, 2, 4, 5]),
            (5, &[[1, 3], [0, 5]], &[2, 4, 6]),
            (5, &[[1, 3], [0, 5], [2, 4]], &[6, 7]),
            (6, &[[3, 4]], &[0, 1, 2, 5, 6]),
            (6, &[[3, 4], [0, 1]], &[2, 5, 6, 7]),
            (6, &[[3, 4], [0, 1], [2, 6], [5, 8]], &[9, 7]),
            (7, &[[3, 6]], &[0, 1, 2, 4, 5, 7]),
            (7, &[[3, 6], [0, 1], [4, 7]], &[8, 9, 2, 5]),
            (7, &[[3, 6], [0, 1], [4, 7], [8, 9], [2, 5]], &[10, 11]),
            (9, &[[2, 8]], &[0, 1, 3, 4, 5, 6, 7, 9]),
            (9, &[[2, 8], [3, 5], [1, 7], [4, 11]], &[0, 6, 9, 10, 12]),
            (9, &[[2, 8], [3, 5], [1, 7], [4, 11], [6, 12], [9, 13], [0, 10]], &[14, 15]),
            (13, &[[2, 4]], &[0, 1, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13]),
            (13, &[[2, 4], [1, 7], [8, 13], [0, 15], [5, 11], [3, 9]], &[16, 17, 18, 6, 10, 12, 14]),
            (
                13,
                &[[2, 4], [1, 7], [8, 13], [0, 15], [5, 11], [3, 9], [14, 18], [6, 19], [10, 17], [12, 20], [16, 22]],
                &[21, 23],
            ),
            (21, &[[11, 12]], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 14, 15, 16, 17, 18, 19, 20, 21]),
            (
                21,
                &[[11, 12], [0, 19], [14, 16], [1, 17], [3, 22], [8, 15], [4, 6]],
                &[2, 5, 7, 9, 10, 13, 18, 20, 21, 23, 24, 25, 26, 27],
            ),
            (
                21,
                &[
                    [11, 12],
                    [0, 19],
                    [14, 16],
                    [1, 17],
                    [3, 22],
                    [8, 15],
                    [4, 6],
                    [9, 26],
                    [18, 21],
                    [20, 25],
                    [13, 28],
                    [5, 29],
                    [23, 24],
                ],
                &[32, 33, 2, 7, 10, 27, 30, 31],
            ),
            (
                40,
                &[[5, 13]],
                &[
                    0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28,
                    29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
                ],
            ),
            (
                40,
                &[[5, 13], [23, 34], [10, 26], [20, 25], [6, 42], [27, 28], [15, 29]],
                &[
                    0, 1, 2, 3, 4, 7, 8, 9, 11, 12, 14, 16, 17, 18, 19, 21, 22, 24, 30, 31, 32, 33, 35, 36, 37, 38, 39,
                    40, 41, 43, 44, 45, 46,
                ],
            ),
            (
                40,
                &[
                    [5, 13],
                    [23, 34],
                    [10, 26],
                    [20, 25],
                    [6, 42],
                    [27, 28],
                    [15, 29],
                    [7, 12],
                    [33, 46],
                    [8, 39],
                    [1, 2],
                    [36, 38],
                    [3, 24],
                ],
                &[
                    0, 4, 9, 11, 14, 16, 17, 18, 19, 21, 22, 30, 31, 32, 35, 37, 40, 41, 43, 44, 45, 47, 48, 49, 50,
                    51, 52,
                ],
            ),
        ];
        for (count, pairs, expected) in cases {
            let start = IdSet::range(*count);
            let ids = *count..;
            let left = pairs.iter().zip(ids).fold(start, |set, (&pair, id)| set.replaced(pair, id));
            assert_eq!(members(&left), *expected, "{count} {pairs:?}");
        }
    }
}
