//! The exact search: best-first over sets of operands.
//!
//! In come [`Terms`], an objective and the score of a tree that is known; out goes the best tree, if it is found
//! within the limit of work, or else what no tree scores below.
//!
//! A queue holds sets of operands by the score of the best tree known for each. The cheapest set leaves it: its
//! score is final, since a union scores no less than its parts. It is joined with every final set it can be joined
//! with, and the unions enter the queue. A union is dropped where what is known already shows that no tree through
//! it scores as low as the bound; ties are never dropped.
//!
//! # Ties
//!
//! Of trees that score alike, the one that joins earlier operands first is chosen, decided from the last step
//! downwards: of two ways to split a set, look at the part that has the set's first operand, and at the first operand
//! that is in this part one way but not the other; the way that has it there wins. So `((1,2),0),3` wins over
//! `((1,2),3),0`. No hash order and no order of discovery takes part in this.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::BuildHasherDefault;

use super::number::Number;
use super::objective::Combining;
use super::problem::{MOST_OPERANDS, Problem, Set, SetHasher, members};
use super::terms::Terms;
use super::watch::Watch;
use crate::path::{Cost, Objective};

/// The trees that a search looks at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Trees {
    /// Those in which the two sides of every step share a label.
    Connected,
    /// All of them.
    All,
}

/// What a search is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    pub(super) terms: &'a Terms,
    pub(super) objective: Objective,
    pub(super) trees: Trees,
    /// The score of a tree that is known. Trees that score above are not looked for.
    pub(super) upper: &'a Cost,
    /// The elements that no result may exceed, where there is such a limit.
    pub(super) largest: Option<&'a Cost>,
    /// When to end before the work is used up.
    pub(super) watch: Watch<'a>,
}

/// What a search found.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// The joins of the best tree found, none where none scores as low as the bound.
    pub(super) joins: Option<Vec<[usize; 2]>>,
    pub(super) proof: Proof,
}

/// Whether a search went to its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Proof {
    /// No tree of those asked for scores below the answer (without one: below the bound, and none reaches it).
    Complete,
    /// The work ran out. No tree scores below this.
    Cut(Cost),
}

/// Units of work that a pair looked at, a pair scored and a set entered cost, in proportion to their time: about
/// 5 ns a unit.
const LOOK: u64 = 1;
const SCORE: u64 = 4;
const ENTER: u64 = 32;

/// Sets finished between two looks at the watch.
const GLANCE: u32 = 256;

/// The sets at which a search ends whatever work is left: they take up to about 2 GB.
const MOST_SETS: usize = 1 << 23;

/// Searches until the answer is proved or `work` is used up; `None` for more than 128 operands.
pub(super) fn optimal(question: Question<'_>, work: &mut u64) -> Option<Answer> {
    if question.terms.operands.len() > MOST_OPERANDS {
        return None;
    }
    let widest = question.largest.map_or(question.upper, |largest| largest.max(question.upper));
    // Saturated numbers must lie above every bound, hence one bit to spare.
    Some(match widest.bits() {
        0..=63 => Search::<u64>::new(question).run(work),
        64..=127 => Search::<u128>::new(question).run(work),
        _ => Search::<Cost>::new(question).run(work),
    })
}

/// A set of operands and the best tree known for it.
struct Node<N> {
    set: Set,
    score: N,
    elements: N,
    /// The nodes of the two parts, that with the set's first operand first; an operand's own id where it is one.
    parts: [u32; 2],
    done: bool,
}

struct Search<'a, N> {
    problem: Problem<N>,
    objective: Objective,
    trees: Trees,
    upper: N,
    largest: Option<N>,
    nodes: Vec<Node<N>>,
    /// The legs of each node, `problem.words()` words each.
    legs: Vec<u64>,
    ids: HashMap<Set, u32, BuildHasherDefault<SetHasher>>,
    queue: BinaryHeap<Reverse<(N, u32)>>,
    /// Per operand, the final sets that have it, by rising score.
    with: Vec<Vec<(Set, u32)>>,
    /// Per exponent of the elements, the final sets, by rising score. Empty where only connected trees count.
    sized: Vec<Vec<(Set, u32)>>,
    scratch: Vec<u64>,
    work: u64,
    watch: Watch<'a>,
}

impl<'a, N: Number> Search<'a, N> {
    fn new(question: Question<'a>) -> Self {
        let problem: Problem<N> = Problem::new(question.terms);
        let mut search = Self {
            objective: question.objective,
            trees: question.trees,
            upper: N::from_cost(question.upper),
            largest: question.largest.map(N::from_cost),
            nodes: Vec::new(),
            legs: Vec::new(),
            ids: HashMap::default(),
            queue: BinaryHeap::new(),
            with: vec![Vec::new(); problem.operands()],
            sized: Vec::new(),
            scratch: Vec::new(),
            work: 0,
            watch: question.watch,
            problem,
        };
        for operand in 0..search.problem.operands() {
            search.scratch.clear();
            search.scratch.extend_from_slice(search.problem.legs(operand));
            let elements = search.problem.elements(&search.scratch);
            search.enter(1 << operand, N::ZERO, elements, [operand as u32; 2]);
        }
        search
    }

    fn run(mut self, work: &mut u64) -> Answer {
        let full = self.problem.full();
        // Where a step can add nothing, a part of a best tree may leave the queue after the whole of it.
        let steps_count = self.objective.combining() == Combining::Sum && !self.problem.has_zero();
        let mut proof = Proof::Complete;
        let mut finished = 0_u32;
        while let Some(Reverse((score, id))) = self.queue.pop() {
            let node = &self.nodes[id as usize];
            if node.done || node.score != score {
                continue;
            }
            let found = self.ids.get(&full).map(|&full| &self.nodes[full as usize].score);
            if found.is_some_and(|found| steps_count && score >= *found) {
                break;
            }
            finished = finished.wrapping_add(1);
            let is_over = finished.is_multiple_of(GLANCE) && self.watch.is_over();
            if is_over || self.work > *work || self.nodes.len() > MOST_SETS {
                let least = self.least_left(id).min(self.upper.clone());
                if found.is_none_or(|found| *found > least) {
                    proof = Proof::Cut(least.to_cost());
                }
                break;
            }
            self.finish(id);
        }
        *work = work.saturating_sub(self.work);
        let joins = self.ids.get(&full).map(|&id| self.joins(id));
        Answer { joins, proof }
    }

    /// What no tree scores below that still has to be found, `next` being the first set not final.
    fn least_left(&self, next: u32) -> N {
        let left = self.queue.iter().map(|Reverse((_, id))| *id).chain([next]);
        let scores = left.map(|id| &self.nodes[id as usize]).filter(|node| !node.done).map(|node| {
            if node.set == self.problem.full() { node.score.clone() } else { self.outlook(&node.score, &node.elements) }
        });
        scores.min().unwrap_or(N::ZERO)
    }

    /// What no tree scores below that has a part of this score and elements.
    fn outlook(&self, score: &N, elements: &N) -> N {
        if self.problem.has_zero() {
            return score.clone();
        }
        self.objective.combine(score, &self.objective.consuming(elements))
    }

    /// Takes the set for final and joins it with all final sets that it can be joined with.
    fn finish(&mut self, id: u32) {
        let node = &mut self.nodes[id as usize];
        node.done = true;
        let set = node.set;
        let exponent = node.elements.exponent() as usize;
        for operand in members(set) {
            self.with[operand].push((set, id));
        }
        let neighbours = self.problem.neighbours(set);
        let mut seen = set;
        for operand in members(neighbours) {
            // Sets entered meanwhile are not final, so the list does not grow.
            let partners = std::mem::take(&mut self.with[operand]);
            // Of the lists that have a partner, only that of its first neighbour counts.
            self.consider_all(id, &partners, &N::ZERO, seen);
            self.with[operand] = partners;
            seen |= 1 << operand;
        }
        if self.trees == Trees::All {
            if self.sized.len() <= exponent {
                self.sized.resize(exponent + 1, Vec::new());
            }
            self.sized[exponent].push((set, id));
            for exponent in 0..self.sized.len() {
                if self.sized[exponent].is_empty() {
                    continue;
                }
                let least = self.outer_product(id, exponent as u32);
                let partners = std::mem::take(&mut self.sized[exponent]);
                self.consider_all(id, &partners, &least, set | neighbours);
                self.sized[exponent] = partners;
            }
        }
    }

    /// Considers the partners that have nothing of `without`, by rising score, as long as a step that scores `least`
    /// stays within the bound.
    fn consider_all(&mut self, id: u32, partners: &[(Set, u32)], least: &N, without: Set) {
        let reach = &partners[..self.in_reach(id, partners, least)];
        self.work += reach.len() as u64 * LOOK + 1;
        for &(other, partner) in reach {
            if other & without == 0 {
                self.consider(id, partner);
            }
        }
    }

    /// What an outer product scores at least, of a set and another of at least `2^exponent` elements.
    fn outer_product(&self, id: u32, exponent: u32) -> N {
        if self.problem.has_zero() {
            return N::ZERO;
        }
        let elements = self.nodes[id as usize].elements.times(&N::power_of_two(exponent));
        self.objective.step(&elements, &elements)
    }

    /// How many of the partners, by rising score, can be joined within the bound by a step that scores `least`.
    fn in_reach(&self, id: u32, partners: &[(Set, u32)], least: &N) -> usize {
        let node = &self.nodes[id as usize];
        let own = self.objective.combine(&self.outlook(&N::ZERO, &node.elements).max(least.clone()), &node.score);
        partners.partition_point(|&(_, partner)| {
            self.objective.combine(&own, &self.nodes[partner as usize].score) <= self.upper
        })
    }

    /// Scores the join of two final sets and enters their union where it can matter.
    fn consider(&mut self, a: u32, b: u32) {
        let words = self.problem.words();
        self.work += SCORE * words as u64;
        let (left, right) = (&self.nodes[a as usize], &self.nodes[b as usize]);
        let (set, objective) = (left.set | right.set, self.objective);
        let legs = &self.legs[a as usize * words..][..words];
        let others = &self.legs[b as usize * words..][..words];
        let parts = objective.combine(&left.score, &right.score);
        let multiplications = if objective.multiplies() {
            // A step multiplies `left * right / shared`. Sides share few labels, so this turns most pairs down
            // before the many others are multiplied.
            let most = self.upper.minus(&parts).times(&self.problem.shared(legs, others));
            if left.elements.times(&right.elements) > most {
                return;
            }
            self.problem.multiplications(&left.elements, legs, others)
        } else {
            N::ZERO
        };
        if objective.combine(&parts, &objective.step(&multiplications, &N::ZERO)) > self.upper {
            return;
        }
        let known = self.ids.get(&set).copied();
        let elements = if let Some(id) = known {
            self.nodes[id as usize].elements.clone()
        } else {
            self.problem.join(set, legs, others, &mut self.scratch);
            self.problem.elements(&self.scratch)
        };
        let score = objective.combine(&parts, &objective.step(&multiplications, &elements));
        let whole = set == self.problem.full();
        let least = if whole { score.clone() } else { self.outlook(&score, &elements) };
        if least > self.upper || self.largest.as_ref().is_some_and(|largest| elements > *largest) {
            return;
        }
        let first = set & set.wrapping_neg();
        let parts = if left.set & first == 0 { [b, a] } else { [a, b] };
        match known {
            None => self.enter(set, score.clone(), elements, parts),
            Some(id) => self.improve(id, score.clone(), parts),
        }
        if whole && score < self.upper {
            self.upper = score;
        }
    }

    /// Enters a set whose legs are in `scratch`.
    fn enter(&mut self, set: Set, score: N, elements: N, parts: [u32; 2]) {
        self.work += ENTER;
        let id = self.nodes.len() as u32;
        self.legs.extend_from_slice(&self.scratch);
        self.nodes.push(Node { set, score: score.clone(), elements, parts, done: false });
        self.ids.insert(set, id);
        self.queue.push(Reverse((score, id)));
    }

    fn improve(&mut self, id: u32, score: N, parts: [u32; 2]) {
        let known = &self.nodes[id as usize];
        let first = |parts: [u32; 2]| self.nodes[parts[0] as usize].set;
        let wins = score == known.score && {
            let differ = first(parts) ^ first(known.parts);
            first(parts) & differ & differ.wrapping_neg() != 0
        };
        if score < known.score {
            self.queue.push(Reverse((score.clone(), id)));
        } else if !wins {
            return;
        }
        let node = &mut self.nodes[id as usize];
        node.score = score;
        node.parts = parts;
    }

    /// The joins of the tree of a node, in ids that are never reused.
    fn joins(&self, root: u32) -> Vec<[usize; 2]> {
        let operands = self.problem.operands();
        let mut order = vec![root];
        let mut next = 0;
        while let Some(&id) = order.get(next) {
            next += 1;
            if id as usize >= operands {
                order.extend(self.nodes[id as usize].parts);
            }
        }
        order.retain(|&id| id as usize >= operands);
        let mut values: HashMap<u32, usize> = (0..operands).map(|operand| (operand as u32, operand)).collect();
        let mut joins = Vec::with_capacity(order.len());
        for &id in order.iter().rev() {
            joins.push(self.nodes[id as usize].parts.map(|part| values[&part]));
            values.insert(id, operands + joins.len() - 1);
        }
        joins
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::tests::graph;
    use crate::path::terms::Leg;
    use crate::path::tree::canonical;

    /// Operands of which each two share a label of this size.
    fn clique(operands: usize, size: usize) -> Terms {
        let label = |a: usize, b: usize| (a.min(b) * operands + a.max(b)) as u32;
        let axes = |operand: usize| {
            let mut legs: Vec<Leg> = (0..operands)
                .filter(|&other| other != operand)
                .map(|other| Leg { label: label(operand, other), wide: true })
                .collect();
            legs.sort_unstable_by_key(|leg| leg.label);
            legs
        };
        let mut terms = Terms {
            operands: (0..operands).map(axes).collect(),
            extents: vec![size; operands * operands],
            kept: vec![false; operands * operands],
            holders: vec![0; operands * operands],
        };
        for leg in terms.operands.iter().flatten() {
            terms.holders[leg.label as usize] += 1;
        }
        terms
    }

    fn ask(terms: &Terms, trees: Trees, upper: &Cost, work: u64) -> Option<Answer> {
        let question =
            Question { terms, objective: Objective::Mul, trees, upper, largest: None, watch: Watch::default() };
        optimal(question, &mut { work })
    }

    fn mul(terms: &Terms, answer: &Answer) -> Cost {
        terms.cost(&canonical(answer.joins.as_ref().unwrap())).multiplications
    }

    #[test]
    fn narrow_and_wide_numbers_find_the_same() {
        let terms = Terms::new(&graph("ab,bc,cd,da,ac,bd->", "a=3 b=4 c=5 d=6"));
        let least = mul(&terms, &ask(&terms, Trees::All, &Cost::from(100_000_usize), u64::MAX).unwrap());
        for bits in [40, 62, 63, 100, 127, 128, 300] {
            let answer = ask(&terms, Trees::All, &Cost::power_of_two(bits), u64::MAX).unwrap();
            assert_eq!((mul(&terms, &answer), answer.proof), (least.clone(), Proof::Complete), "{bits}");
        }
    }

    #[test]
    fn ties_with_the_bound_are_found_and_nothing_below_the_best_is() {
        let terms = Terms::new(&graph("ab,bc,cd->ad", "a=3 b=4 c=5 d=6"));
        let least = Cost::from(60 + 90_usize);
        let answer = ask(&terms, Trees::All, &least, u64::MAX).unwrap();
        assert_eq!(mul(&terms, &answer), least);
        let answer = ask(&terms, Trees::All, &Cost::from(149_usize), u64::MAX).unwrap();
        assert!(answer.joins.is_none() && answer.proof == Proof::Complete);
    }

    #[test]
    fn the_choice_among_ties_does_not_depend_on_the_bound() {
        let cases = [
            ("ab,bc,cd,de,ef->af", ""),
            ("a,b,c,d,e->abcde", "a=1 c=1"),
            ("ab,bc,cd,da,ac,bd->", ""),
            ("ab,bc,cd,de,ea->", "c=0"),
            ("xa,xb,xc,xd,x->", "x=3"),
        ];
        for (text, sizes) in cases {
            let terms = Terms::new(&graph(text, sizes));
            let loose = ask(&terms, Trees::All, &Cost::from(1_000_000_usize), u64::MAX).unwrap();
            let tight = ask(&terms, Trees::All, &mul(&terms, &loose), u64::MAX).unwrap();
            let steps = |answer: &Answer| canonical(answer.joins.as_ref().unwrap());
            assert_eq!(steps(&loose), steps(&tight), "{text}");
        }
    }

    #[test]
    fn outer_products_are_found_only_where_they_are_looked_for() {
        let terms = Terms::new(&graph("a,b,abx,x->x", "a=2 b=3 x=50"));
        let upper = Cost::from(100_000_usize);
        let [all, connected] =
            [Trees::All, Trees::Connected].map(|trees| mul(&terms, &ask(&terms, trees, &upper, u64::MAX).unwrap()));
        assert_eq!((all, connected), (Cost::from(6 + 300 + 50_usize), Cost::from(300 + 100 + 50_usize)));
    }

    #[test]
    fn the_bound_of_a_search_cut_short_holds() {
        let terms = clique(9, 3);
        let upper = Cost::power_of_two(60);
        let least = mul(&terms, &ask(&terms, Trees::All, &upper, u64::MAX).unwrap());
        let mut last = Cost::ZERO;
        for work in [0, 1_000, 10_000, 30_000, 60_000, 100_000] {
            let answer = ask(&terms, Trees::All, &upper, work).unwrap();
            let Proof::Cut(bound) = answer.proof else { continue };
            assert!(bound >= last && bound <= least, "{work}: {bound} {least}");
            last = bound;
        }
        assert!(last > Cost::ONE, "{last}");
    }

    #[test]
    fn hundreds_of_labels_are_no_trouble() {
        // 136 labels, no two of them in the same operands.
        let terms = clique(17, 2);
        let upper = terms.cost(&(1..17).map(|k| if k == 1 { [0, 1] } else { [k, 15 + k] }).collect::<Vec<_>>());
        let answer = ask(&terms, Trees::All, &upper.multiplications, 1 << 22).unwrap();
        match answer.proof {
            Proof::Complete => assert!(mul(&terms, &answer) <= upper.multiplications),
            Proof::Cut(bound) => assert!(bound <= upper.multiplications),
        }
    }

    #[test]
    fn more_than_a_set_holds_is_not_searched() {
        let terms = |operands| Terms {
            operands: vec![Vec::new(); operands],
            extents: Vec::new(),
            kept: Vec::new(),
            holders: Vec::new(),
        };
        let upper = Cost::from(1000_usize);
        assert!(ask(&terms(129), Trees::All, &upper, 10).is_none());
        assert!(ask(&terms(128), Trees::All, &upper, 10).is_some());
    }
}
