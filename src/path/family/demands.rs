//! What a family has to offer: for each of many sizes, one of the trees that are good enough there.
//!
//! In come rows, sets of trees of which one has to be a member; out go few trees that meet all rows: by greedy choices
//! that are improved, and then by looking for fewer in all ways, as far as a limit of work allows.

use crate::path::random::Random;

/// A set as bits.
pub(super) type Bits = Vec<u64>;

/// Greedy covers that are made and improved.
const STARTS: usize = 24;

/// Words that the exhaustive search may look at.
const WORK: usize = 30_000_000;

/// An empty set of up to so many members.
pub(super) fn empty(members: usize) -> Bits {
    vec![0; members.div_ceil(64)]
}

pub(super) fn insert(set: &mut Bits, member: usize) {
    set[member / 64] |= 1 << (member % 64);
}

fn has(set: &Bits, member: usize) -> bool {
    set[member / 64] >> (member % 64) & 1 == 1
}

fn len(set: &Bits) -> usize {
    set.iter().map(|word| word.count_ones() as usize).sum()
}

fn is_within(set: &Bits, other: &Bits) -> bool {
    set.iter().zip(other).all(|(set, other)| set & !other == 0)
}

fn shared(set: &Bits, other: &Bits) -> usize {
    set.iter().zip(other).map(|(set, other)| (set & other).count_ones() as usize).sum()
}

fn remove_all(set: &mut Bits, others: &Bits) {
    set.iter_mut().zip(others).for_each(|(set, others)| *set &= !others);
}

fn members(set: &Bits) -> impl Iterator<Item = usize> {
    set.iter().enumerate().flat_map(|(word, &bits)| {
        let mut left = bits;
        std::iter::from_fn(move || {
            let member = (left != 0).then(|| word * 64 + left.trailing_zeros() as usize);
            left &= left.wrapping_sub(1);
            member
        })
    })
}

/// Sizes, each with the trees that are good enough there.
#[derive(Clone, Debug)]
pub(super) struct Demands {
    trees: usize,
    /// No row has all trees of another.
    rows: Vec<Bits>,
}

/// Trees that meet all demands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Cover {
    /// Rising.
    pub(super) trees: Vec<usize>,
    /// Fewer trees do not meet them, as far as is known.
    pub(super) least: usize,
}

impl Demands {
    /// No demand, of so many trees.
    pub(super) fn new(trees: usize) -> Self {
        Self { trees, rows: Vec::new() }
    }

    /// Demands these too.
    pub(super) fn add(&mut self, rows: impl IntoIterator<Item = Bits>) {
        self.rows.extend(rows);
        self.rows.sort_unstable_by_key(|row| (len(row), row.clone()));
        self.rows.dedup();
        let mut kept: Vec<Bits> = Vec::new();
        for row in self.rows.drain(..) {
            if !kept.iter().any(|other| is_within(other, &row)) {
                kept.push(row);
            }
        }
        self.rows = kept;
    }

    /// Few trees that meet all demands.
    pub(super) fn cover(&self, random: &mut Random) -> Cover {
        let problem = Problem::new(self);
        let mut best = problem.greedy(None);
        // A choice looks at all columns, and an improvement at all pairs of members.
        let columns = problem.columns.len() + best.len() * best.len();
        let start = (columns * (best.len() + 1) * (problem.all.len() + 1)).max(1);
        for _ in 0..STARTS.min(WORK / start) {
            let other = problem.greedy(Some(random));
            if other.len() < best.len() {
                best = other;
            }
        }
        let mut search = Exhaustive { problem: &problem, best, chosen: Vec::new(), work: WORK };
        let all: Bits = problem.all.clone();
        let open = search.extend(&all, &problem.every_candidate());
        let least = if open { problem.bound(&all, &problem.every_candidate()) } else { search.best.len() };
        let mut trees: Vec<usize> = search.best.iter().map(|&candidate| problem.trees[candidate]).collect();
        trees.sort_unstable();
        Cover { trees, least }
    }
}

/// The demands with the trees that matter: none meets only demands that another meets too.
struct Problem {
    /// By candidate: its tree.
    trees: Vec<usize>,
    /// By candidate: the rows that it meets.
    columns: Vec<Bits>,
    /// By row: the candidates that meet it.
    rows: Vec<Bits>,
    /// All rows.
    all: Bits,
}

impl Problem {
    fn new(demands: &Demands) -> Self {
        let count = demands.rows.len();
        let mut columns = vec![empty(count); demands.trees];
        let mut all = empty(count);
        for (row, trees) in demands.rows.iter().enumerate() {
            insert(&mut all, row);
            members(trees).for_each(|tree| insert(&mut columns[tree], row));
        }
        let mut order: Vec<usize> = (0..demands.trees).collect();
        // Of trees that meet the same, the first stays: the one that the search would prefer.
        order.sort_by_key(|&tree| std::cmp::Reverse(len(&columns[tree])));
        let mut trees: Vec<usize> = Vec::new();
        for tree in order {
            if !trees.iter().any(|&other| is_within(&columns[tree], &columns[other])) {
                trees.push(tree);
            }
        }
        let columns: Vec<Bits> = trees.iter().map(|&tree| columns[tree].clone()).collect();
        let mut rows = vec![empty(trees.len()); count];
        for (candidate, column) in columns.iter().enumerate() {
            members(column).for_each(|row| insert(&mut rows[row], candidate));
        }
        Self { trees, columns, rows, all }
    }

    fn every_candidate(&self) -> Bits {
        let mut every = empty(self.trees.len());
        (0..self.trees.len()).for_each(|candidate| insert(&mut every, candidate));
        every
    }

    /// A cover that takes the candidate that meets most of what is left, or with random numbers one of the better ones,
    /// and is then improved.
    fn greedy(&self, mut random: Option<&mut Random>) -> Vec<usize> {
        let mut left = self.all.clone();
        let mut chosen = Vec::new();
        while len(&left) > 0 {
            let gains: Vec<usize> = self.columns.iter().map(|column| shared(column, &left)).collect();
            let most = gains.iter().copied().max().unwrap_or(0);
            let enough = if random.is_some() { most - most / 4 } else { most };
            let good: Vec<usize> = (0..gains.len()).filter(|&candidate| gains[candidate] >= enough.max(1)).collect();
            let Some(last) = good.len().checked_sub(1) else { break };
            let pick = random.as_mut().map_or(0, |random| random.next() as usize % (last + 1));
            remove_all(&mut left, &self.columns[good[pick]]);
            chosen.push(good[pick]);
        }
        while self.improve(&mut chosen) {}
        chosen
    }

    /// Drops a candidate that is not needed, or puts one in the place of two; whether it could.
    fn improve(&self, chosen: &mut Vec<usize>) -> bool {
        // The rows that one of the chosen meets alone, and those that two meet.
        let [mut once, mut twice, mut more] = [(); 3].map(|()| empty(self.rows.len()));
        for &candidate in chosen.iter() {
            for (word, &met) in self.columns[candidate].iter().enumerate() {
                more[word] |= met & twice[word];
                twice[word] = (twice[word] | (met & once[word])) & !more[word];
                once[word] = (once[word] | met) & !twice[word] & !more[word];
            }
        }
        if let Some(place) = chosen.iter().position(|&one| shared(&self.columns[one], &once) == 0) {
            chosen.remove(place);
            return true;
        }
        let mut left = empty(self.rows.len());
        for one in 0..chosen.len() {
            for other in 0..one {
                let both = self.columns[chosen[one]].iter().zip(&self.columns[chosen[other]]);
                for (word, (one, other)) in both.enumerate() {
                    left[word] = ((one | other) & once[word]) | (one & other & twice[word]);
                }
                // One that meets the first of these rows, as it has to.
                let first = members(&left).next();
                let mut candidates = first.into_iter().flat_map(|row| members(&self.rows[row]));
                if let Some(candidate) = candidates.find(|&candidate| is_within(&left, &self.columns[candidate])) {
                    chosen.remove(one);
                    chosen[other] = candidate;
                    return true;
                }
            }
        }
        false
    }

    /// How many candidates are needed at least for these rows: as many as there are rows no two of which one candidate
    /// meets.
    fn bound(&self, left: &Bits, allowed: &Bits) -> usize {
        let mut used = empty(self.trees.len());
        let mut count = 0;
        // The rows are in order of how many trees meet them: first those that are hard to meet.
        for row in members(left) {
            let is_apart =
                self.rows[row].iter().zip(&used).zip(allowed).all(|((row, used), allowed)| row & used & allowed == 0);
            if is_apart {
                count += 1;
                used.iter_mut().zip(&self.rows[row]).for_each(|(used, row)| *used |= row);
            }
        }
        count
    }
}

/// The search for a cover of fewer candidates, in all ways.
struct Exhaustive<'a> {
    problem: &'a Problem,
    best: Vec<usize>,
    chosen: Vec<usize>,
    /// Words that may still be looked at.
    work: usize,
}

impl Exhaustive<'_> {
    /// Looks at all ways to meet the rows that are left by candidates that are allowed; whether the work ended before.
    fn extend(&mut self, left: &Bits, allowed: &Bits) -> bool {
        let problem = self.problem;
        let open = len(left);
        if open == 0 {
            self.best.clone_from(&self.chosen);
            return false;
        }
        let cost = (open + 1) * (allowed.len() + 1) * 2;
        if self.work < cost {
            return true;
        }
        self.work -= cost;
        if self.chosen.len() + problem.bound(left, allowed) >= self.best.len() {
            return false;
        }
        let Some(row) = members(left).min_by_key(|&row| shared(&problem.rows[row], allowed)) else { return false };
        let mut allowed = allowed.clone();
        let mut candidates: Vec<usize> =
            members(&problem.rows[row]).filter(|&candidate| has(&allowed, candidate)).collect();
        candidates.sort_by_key(|&candidate| std::cmp::Reverse(shared(&problem.columns[candidate], left)));
        for candidate in candidates {
            let mut rest = left.clone();
            remove_all(&mut rest, &problem.columns[candidate]);
            self.chosen.push(candidate);
            let ended = self.extend(&rest, &allowed);
            self.chosen.pop();
            if ended {
                return true;
            }
            // What comes later does without it.
            allowed[candidate / 64] &= !(1 << (candidate % 64));
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(trees: usize, of: &[usize]) -> Bits {
        let mut row = empty(trees);
        for &tree in of {
            insert(&mut row, tree);
        }
        row
    }

    #[test]
    fn few_trees_meet_all_demands() {
        let mut demands = Demands::new(70);
        // Two are enough, where greedy choices begin with a third.
        for rows in [[0, 2], [0, 3], [1, 2], [1, 3], [0, 69]] {
            demands.add([row(70, &[rows[0], rows[1]])]);
        }
        demands.add([row(70, &[0, 2, 5])]);
        assert_eq!(demands.rows.len(), 5);
        let cover = demands.cover(&mut Random::new(0, 0));
        assert_eq!(cover, Cover { trees: vec![0, 1], least: 2 });
    }

    #[test]
    fn covers_are_as_small_as_all_subsets_say() {
        let mut random = Random::new(1, 0);
        for _ in 0..60 {
            let trees = 8;
            let rows: Vec<u64> =
                (0..12).map(|_| random.next() & random.next() & 0xff).filter(|row| *row != 0).collect();
            let smallest = (0..1_u64 << trees)
                .filter(|set| rows.iter().all(|row| row & set != 0))
                .map(|set| set.count_ones() as usize)
                .min()
                .unwrap();
            let mut demands = Demands::new(trees);
            demands.add(rows.iter().map(|&row| vec![row]));
            let cover = demands.cover(&mut random);
            assert_eq!((cover.trees.len(), cover.least), (smallest, smallest));
            let set = cover.trees.iter().fold(0, |set, tree| set | 1 << tree);
            assert!(rows.iter().all(|row| row & set != 0));
        }
    }
}
