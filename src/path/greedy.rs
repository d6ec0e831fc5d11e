//! Pair greedy: join what shrinks most, again and again.
//!
//! In come [`Terms`]; out go the joins of a tree, in near-linear time for any number of operands. Nothing is proved
//! here. Scores are doubles made by IEEE operations only, so they are the same on every machine.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::logs;
use super::random::Random;
use super::terms::{Leg, Terms, for_each_in_union};

/// How many holders of a label are offered to an operand as partners. A label held by thousands would else make
/// millions of candidates; the next ones in written order are as good as any.
const PARTNERS: usize = 16;

/// Sizes stop growing here, so that differences of them stay finite.
const LARGEST: f64 = 1e300;

/// The joins of a greedy tree over all operands, in ids that are never reused.
///
/// The next pair is the one that shares a label and has the lowest `size(result) - alpha * (size(a) + size(b))`;
/// among equals, the one with the lowest ids. Scalars are multiplied together, and then into the smallest array
/// that the tree has; what no label joins is combined smallest first.
pub(super) fn greedy(terms: &Terms, alpha: f64) -> Vec<[usize; 2]> {
    Greedy::new(terms, alpha, None).joined()
}

/// The joins of a greedy tree whose choices are random, the better ones being likelier.
///
/// Which weight `alpha` it uses and how hot it is, is random too, since what is good differs between networks.
pub(super) fn random_greedy(terms: &Terms, random: &mut Random) -> Vec<[usize; 2]> {
    let between = |low: f64, high: f64, unit: f64| low * logs::exp(unit * logs::ln(high / low));
    let alpha = between(0.1, 4.0, random.unit());
    let temperature = between(0.001, 1.0, random.unit());
    Greedy::new(terms, alpha, Some(Noise { temperature, random })).joined()
}

/// What makes choices random: as if each were drawn with a probability of `exp(-score / temperature)`.
struct Noise<'a> {
    temperature: f64,
    random: &'a mut Random,
}

impl Noise<'_> {
    /// The score with noise, on a scale of logarithms: sizes differ by orders of magnitude.
    fn on(&mut self, score: f64) -> f64 {
        let magnitude = logs::ln(score.abs() + 1.0);
        // The negative logarithm of an exponential variate has the distribution that makes the least of several
        // noisy scores a draw with those probabilities.
        let gumbel = -logs::ln(-logs::ln(self.random.unit()));
        (if score < 0.0 { -magnitude } else { magnitude }) - self.temperature * gumbel
    }
}

/// A candidate pair; the order of the heap is that of its fields.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Candidate {
    score: f64,
    pair: [usize; 2],
}

impl Eq for Candidate {}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.score.total_cmp(&other.score).then(self.pair.cmp(&other.pair))
    }
}

struct Greedy<'a> {
    terms: &'a Terms,
    alpha: f64,
    noise: Option<Noise<'a>>,
    /// Operands and results by id; empty once joined.
    values: Vec<Vec<Leg>>,
    sizes: Vec<f64>,
    alive: Vec<bool>,
    /// Per label, the ids that have it and are alive, rising.
    holders: Vec<Vec<usize>>,
    heap: BinaryHeap<Reverse<Candidate>>,
    joins: Vec<[usize; 2]>,
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
            alpha,
            noise,
            values: terms.operands.clone(),
            sizes: Vec::new(),
            alive: vec![true; terms.operands.len()],
            holders,
            heap: BinaryHeap::new(),
            joins: Vec::new(),
        };
        greedy.sizes = terms.operands.iter().map(|legs| greedy.size(legs)).collect();
        greedy
    }

    fn joined(mut self) -> Vec<[usize; 2]> {
        self.join_linked();
        self.join_roots();
        self.joins
    }

    fn size(&self, legs: &[Leg]) -> f64 {
        let wide = legs.iter().filter(|leg| leg.wide);
        wide.fold(1.0, |size: f64, leg| (size * self.terms.extents[leg.label as usize] as f64).min(LARGEST))
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
        for partner in partners {
            let pair = [id.min(partner), id.max(partner)];
            let size = self.size(&self.result(pair[0], pair[1]));
            let score = size - self.alpha * (self.sizes[id] + self.sizes[partner]);
            let score = self.noise.as_mut().map_or(score, |noise| noise.on(score));
            self.heap.push(Reverse(Candidate { score, pair }));
        }
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
            arrays.iter().map(|&id| Reverse(Candidate { score: self.sizes[id], pair: [id, id] })).collect();
        while let (Some(Reverse(a)), Some(Reverse(b))) = (heap.pop(), heap.pop()) {
            let (a, b) = (a.pair[0], b.pair[0]);
            let id = self.join(a.min(b), a.max(b));
            heap.push(Reverse(Candidate { score: self.sizes[id], pair: [id, id] }));
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
        let smallest = below.into_iter().min_by(|&a, &b| self.sizes[a].total_cmp(&self.sizes[b]).then(a.cmp(&b)));
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
        };
        let joins = greedy(&terms, 1.0);
        assert_eq!(joins.len(), 4999);
        assert_eq!(terms.cost(&canonical(&joins)).multiplications.to_u128(), Some(3 * 4999));
    }
}
