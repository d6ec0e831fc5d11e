//! Pair greedy: join what shrinks most, again and again.
//!
//! In come [`Terms`]; out go the joins of a tree, in near-linear time for any number of operands. Nothing is proved
//! here. Scores are doubles made by IEEE operations only, so they are the same on every machine.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::logs::{self, Tables};
use super::random::Random;
use super::scaled::Scaled;
use super::terms::{Leg, Terms, for_each_in_union};

/// How many holders of a label are offered to an operand as partners. A label held by thousands would else make
/// millions of candidates; the next ones in written order are as good as any.
const PARTNERS: usize = 16;

/// The best pairs of an operand that count. One that has thousands will have others before the last of them comes.
const MANY_CANDIDATES: usize = 64;

/// The joins of a greedy tree over all operands, in ids that are never reused.
///
/// The next pair is the one that shares a label and has the lowest `size(result) - alpha * (size(a) + size(b))`;
/// among equals, the one with the lowest ids. Scalars are multiplied together, and then into the smallest array
/// that the tree has; what no label joins is combined smallest first.
pub(super) fn greedy(terms: &Terms, alpha: f64) -> Vec<[usize; 2]> {
    let mut greedy = Greedy::new(terms, alpha, None);
    greedy.join_all();
    greedy.joins
}

/// The weights `alpha` of trees whose choices are random: those far above 1 let one value grow and join what it touches, which is
/// best where a network is wide, and those below join small things all over it.
const ALPHAS: [f64; 2] = [0.5, 32.0];
const TEMPERATURES: [f64; 2] = [0.0005, 0.03];

/// The joins of a greedy tree whose choices are random, the better ones being likelier, and the work that it took.
///
/// Which weight `alpha` is good differs between networks: `place`, from 0 to 1, is where it lies between the least and the most.
/// How hot the tree is, is random.
pub(super) fn random_greedy(terms: &Terms, place: f64, random: &mut Random) -> (Vec<[usize; 2]>, u64) {
    let between = |[low, high]: [f64; 2], place: f64| low * logs::exp(place * logs::ln(high / low));
    let temperature = between(TEMPERATURES, random.unit());
    let mut greedy = Greedy::new(terms, between(ALPHAS, place), Some(Noise::new(temperature, random)));
    greedy.join_all();
    (greedy.joins, greedy.work)
}

/// Work for a join and for each leg of its result, with all that their tree needs besides, and for a candidate, of which a leg
/// is a unit: measured.
const JOIN_WORK: u64 = 120;
const LEG_WORK: u64 = 6;
const CANDIDATE_WORK: u64 = 10;

/// What makes choices random: as if each were drawn with a probability of `exp(-score / temperature)`.
struct Noise<'a> {
    /// In units of 2^-16.
    temperature: i64,
    tables: &'static Tables,
    random: &'a mut Random,
}

impl<'a> Noise<'a> {
    fn new(temperature: f64, random: &'a mut Random) -> Self {
        Self { temperature: (temperature * logs::ONE as f64) as i64, tables: Tables::get(), random }
    }

    /// The score with noise, on a scale of logarithms: sizes differ by orders of magnitude.
    fn on(&mut self, score: Scaled) -> i64 {
        score.signed_log(self.tables) * logs::ONE - self.temperature * self.tables.gumbel(self.random.next())
    }
}

/// A candidate pair; the order of the heap is that of its fields.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Candidate {
    score: i64,
    pair: [usize; 2],
}

/// How an operand has a label.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Width {
    /// With its extent.
    Wide,
    /// It measures 1 and broadcasts.
    One,
}

/// The legs of one operand by label, without clearing those of the one before.
struct Marks {
    marks: Vec<(u64, Width)>,
    now: u64,
}

impl Marks {
    fn new(labels: usize) -> Self {
        Self { marks: vec![(0, Width::One); labels], now: 0 }
    }

    fn set(&mut self, legs: &[Leg]) {
        self.now += 1;
        for leg in legs {
            self.marks[leg.label as usize] = (self.now, if leg.wide { Width::Wide } else { Width::One });
        }
    }

    fn get(&self, label: usize) -> Option<Width> {
        let (at, width) = self.marks[label];
        (at == self.now).then_some(width)
    }
}

struct Greedy<'a> {
    terms: &'a Terms,
    alpha: Scaled,
    noise: Option<Noise<'a>>,
    /// By label.
    extents: Vec<Scaled>,
    /// Operands and results by id; empty once joined.
    values: Vec<Vec<Leg>>,
    sizes: Vec<Scaled>,
    /// The legs of the operand whose pairs are offered.
    marked: Marks,
    alive: Vec<bool>,
    /// Per label, the ids that have it and are alive, rising.
    holders: Vec<Vec<usize>>,
    heap: BinaryHeap<Reverse<Candidate>>,
    joins: Vec<[usize; 2]>,
    has_zero: bool,
    /// What was done so far.
    work: u64,
}

impl<'a> Greedy<'a> {
    fn new(terms: &'a Terms, alpha: f64, noise: Option<Noise<'a>>) -> Self {
        let mut holders = vec![Vec::new(); terms.extents.len()];
        for (id, legs) in terms.operands.iter().enumerate() {
            for leg in legs {
                holders[leg.label as usize].push(id);
            }
        }
        let mut greedy = Self {
            terms,
            alpha: Scaled::of(alpha),
            noise,
            extents: terms.extents.iter().map(|&extent| Scaled::from(extent)).collect(),
            values: terms.operands.clone(),
            sizes: Vec::new(),
            marked: Marks::new(terms.extents.len()),
            alive: vec![true; terms.operands.len()],
            holders,
            heap: BinaryHeap::new(),
            joins: Vec::new(),
            has_zero: terms.has_zero(),
            work: 0,
        };
        greedy.sizes = terms.operands.iter().map(|legs| greedy.size(legs)).collect();
        greedy
    }

    fn join_all(&mut self) {
        self.join_linked();
        self.join_roots();
    }

    fn size(&self, legs: &[Leg]) -> Scaled {
        let wide = legs.iter().filter(|leg| leg.wide);
        wide.fold(Scaled::ONE, |size, leg| size * self.extent(leg.label))
    }

    fn extent(&self, label: u32) -> Scaled {
        self.extents[label as usize]
    }

    /// The size of the result of the operand marked and another.
    fn joined_size(&self, id: usize, partner: usize) -> Scaled {
        if self.has_zero {
            return self.size(&self.result(id, partner));
        }
        let mut size = self.sizes[id];
        for leg in &self.values[partner] {
            let label = leg.label as usize;
            let mark = self.marked.get(label);
            let dies = mark.is_some() && !self.terms.kept[label] && self.holders[label].len() == 2;
            match mark {
                Some(Width::Wide) if dies => size = size / self.extent(leg.label),
                Some(Width::One) | None if leg.wide && !dies => size = size * self.extent(leg.label),
                _ => {}
            }
        }
        size
    }

    /// Joins pairs that share a label until none is left.
    fn join_linked(&mut self) {
        loop {
            // Candidates are limited, so partners may be missed; then there is another round.
            for id in 0..self.values.len() {
                if self.alive[id] {
                    self.offer(id);
                }
            }
            if self.heap.is_empty() {
                return;
            }
            while let Some(Reverse(candidate)) = self.heap.pop() {
                let [a, b] = candidate.pair;
                if self.alive[a] && self.alive[b] {
                    let result = self.join(a, b);
                    self.offer(result);
                }
            }
        }
    }

    /// Puts the pairs of an operand with its neighbours on the heap.
    fn offer(&mut self, id: usize) {
        let mut partners = Vec::new();
        for leg in &self.values[id] {
            let holders = &self.holders[leg.label as usize];
            let at = holders.partition_point(|&holder| holder < id);
            let (before, after) = holders.split_at(at);
            let after = after.strip_prefix(&[id]).unwrap_or(after);
            partners.extend(after.iter().chain(before).take(PARTNERS).copied());
        }
        partners.sort_unstable();
        partners.dedup();
        self.marked.set(&self.values[id]);
        let mut candidates: Vec<Candidate> = Vec::with_capacity(partners.len());
        for partner in partners {
            self.work += CANDIDATE_WORK + self.values[partner].len() as u64;
            let pair = [id.min(partner), id.max(partner)];
            let score = self.joined_size(id, partner) - self.alpha * (self.sizes[id] + self.sizes[partner]);
            let score = self.noise.as_mut().map_or_else(|| score.key(), |noise| noise.on(score));
            candidates.push(Candidate { score, pair });
        }
        if candidates.len() > MANY_CANDIDATES {
            candidates.select_nth_unstable(MANY_CANDIDATES);
            candidates.truncate(MANY_CANDIDATES);
        }
        self.heap.extend(candidates.into_iter().map(Reverse));
    }

    fn result(&self, a: usize, b: usize) -> Vec<Leg> {
        let mut legs = Vec::with_capacity(self.values[a].len() + self.values[b].len());
        for_each_in_union(&self.values[a], &self.values[b], |leg, shared| {
            let label = leg.label as usize;
            if !shared || self.terms.kept[label] || self.holders[label].len() > 2 {
                legs.push(leg);
            }
        });
        legs
    }

    fn join(&mut self, a: usize, b: usize) -> usize {
        let legs = self.result(a, b);
        let id = self.values.len();
        self.work += JOIN_WORK + LEG_WORK * legs.len() as u64;
        for old in [a, b] {
            for leg in std::mem::take(&mut self.values[old]) {
                let holders = &mut self.holders[leg.label as usize];
                if let Ok(at) = holders.binary_search(&old) {
                    holders.remove(at);
                }
            }
            self.alive[old] = false;
        }
        for leg in &legs {
            // Ids rise, so the newest is the last.
            self.holders[leg.label as usize].push(id);
        }
        self.sizes.push(self.size(&legs));
        self.values.push(legs);
        self.alive.push(true);
        self.joins.push([a, b]);
        id
    }

    /// Joins what no label joins.
    fn join_roots(&mut self) {
        let roots: Vec<usize> = (0..self.values.len()).filter(|&id| self.alive[id]).collect();
        let (scalars, mut arrays): (Vec<usize>, Vec<usize>) =
            roots.into_iter().partition(|&id| self.values[id].is_empty());
        let scalar = scalars.into_iter().reduce(|a, b| self.join(a, b));
        if let Some(scalar) = scalar {
            self.absorb(scalar, &mut arrays);
        }
        let mut heap: BinaryHeap<Reverse<Candidate>> =
            arrays.iter().map(|&id| Reverse(Candidate { score: self.sizes[id].key(), pair: [id, id] })).collect();
        while let (Some(Reverse(a)), Some(Reverse(b))) = (heap.pop(), heap.pop()) {
            let (a, b) = (a.pair[0], b.pair[0]);
            let id = self.join(a.min(b), a.max(b));
            heap.push(Reverse(Candidate { score: self.sizes[id].key(), pair: [id, id] }));
        }
    }

    /// Multiplies a scalar into the smallest operand or result below `arrays`.
    fn absorb(&mut self, scalar: usize, arrays: &mut [usize]) {
        let operands = self.terms.operands.len();
        let mut below = arrays.to_vec();
        let mut next = 0;
        while let Some(&id) = below.get(next) {
            next += 1;
            if id >= operands {
                below.extend(self.joins[id - operands]);
            }
        }
        let smallest = below.into_iter().min_by(|&a, &b| self.sizes[a].key().cmp(&self.sizes[b].key()).then(a.cmp(&b)));
        let Some(smallest) = smallest else { return };
        let absorbed = operands + self.joins.len();
        for join in self.joins.iter_mut().flatten().chain(arrays) {
            if *join == smallest {
                *join = absorbed;
            }
        }
        self.joins.push([smallest.min(scalar), smallest.max(scalar)]);
        self.values.push(self.values[smallest].clone());
        self.sizes.push(self.sizes[smallest]);
        self.alive.push(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::tests::graph;
    use crate::path::tree::canonical;

    #[test]
    fn greedy_trees_are_whole_and_scalars_go_where_it_is_cheap() {
        let cases = [
            (",ab,bc->ac", "a=3 b=4 c=5", 72),
            ("ab,bc,,->ac", "a=3 b=4 c=5", 1 + 12 + 60),
            ("ab,cd,->abcd", "", 4 + 16),
            ("a,,b,b->a", "a=9 b=3", 3 + 1 + 9),
            (",,->", "", 2),
            ("i,i,j,j,k->ijk", "j=5", 2 + 5 + 4 + 20),
        ];
        for (text, sizes, expected) in cases {
            let terms = Terms::new(&graph(text, sizes));
            let joins = greedy(&terms, 1.0);
            let cost = terms.cost(&canonical(&joins)).multiplications;
            assert_eq!(cost.to_u128(), Some(expected), "{text}: {joins:?}");
        }
    }

    #[test]
    fn a_label_on_thousands_of_operands_is_no_trouble() {
        let terms = Terms {
            operands: vec![vec![Leg { label: 0, wide: true }]; 5000],
            extents: vec![3],
            kept: vec![false],
            holders: vec![5000],
            layouts: vec![Vec::new(); 5000],
        };
        let joins = greedy(&terms, 1.0);
        assert_eq!(joins.len(), 4999);
        assert_eq!(terms.cost(&canonical(&joins)).multiplications.to_u128(), Some(3 * 4999));
    }
}
