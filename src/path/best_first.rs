//! Best-first search over sets of operands.
//!
//! In come a problem and a [`Question`]; out goes the [`Answer`].
//!
//! A queue holds sets of operands by the score of the best tree known for each. The cheapest set leaves it: its
//! score is final, since a union scores no less than its parts. It is joined with every final set it can be joined
//! with, and the unions enter the queue. A union is dropped where what is known already shows that no tree through
//! it scores as low as the bound, or that a tree through it can be made better; ties are never dropped.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::number::Number;
use super::operand_set::{Ids, Set};
use super::optimal::{Answer, Proof, Question, Trees};
use super::partners::{Kind, Partners, Query, QueryRooms};
use super::problem::Problem;
use super::rooms::{Room, Rooms, sketch};
use super::scorer::{Combining, Scorer};
use super::watch::Watch;
use crate::path::Objective;

/// Units of work that a pair looked at, a pair scored and a set entered cost, in proportion to their time.
const LOOK: u64 = 1;
const SCORE: u64 = 8;
const ENTER: u64 = 40;

/// Units of work between two looks at the watch.
const GLANCE: u64 = 1 << 17;

/// The sets at which a search ends whatever work is left: they take up to about 2 GB.
const MOST_SETS: usize = 1 << 23;

/// Searches until the answer is proved or `work` is used up.
pub(super) fn best_first<S: Set, N: Number>(question: Question<'_>, problem: Problem<S, N>, work: &mut u64) -> Answer {
    Search::new(question, problem).run(work)
}

/// A set of operands and the best tree known for it.
struct Node<S, N> {
    set: S,
    score: N,
    elements: N,
    /// The nodes of the two parts, that with the set's first operand first; an operand's own id where it is one.
    parts: [u32; 2],
    /// Of a final set. Else of no meaning.
    kind: Kind,
    done: bool,
}

struct Search<'a, S, N> {
    problem: Problem<S, N>,
    /// None where scores do not grow with labels.
    rooms: Option<Rooms<N>>,
    scorer: Scorer<'a>,
    trees: Trees,
    upper: N,
    largest: Option<N>,
    nodes: Vec<Node<S, N>>,
    /// The legs of each node, `problem.words()` words each.
    legs: Vec<u64>,
    ids: Ids<S>,
    queue: BinaryHeap<Reverse<(N, u32)>>,
    partners: Partners<S, N>,
    scratch: Vec<u64>,
    work: u64,
    watch: Watch<'a>,
}

impl<'a, S: Set, N: Number> Search<'a, S, N> {
    fn new(question: Question<'a>, problem: Problem<S, N>) -> Self {
        let mut search = Self {
            rooms: (!problem.has_zero()).then(|| Rooms::new(&problem.sizes())),
            scorer: question.scorer,
            trees: question.trees,
            upper: N::from_cost(question.upper),
            largest: question.largest.map(N::from_cost),
            nodes: Vec::new(),
            legs: Vec::new(),
            ids: Ids::new(problem.operands()),
            queue: BinaryHeap::new(),
            partners: Partners::new(),
            scratch: Vec::new(),
            work: 0,
            watch: question.watch,
            problem,
        };
        for operand in 0..search.problem.operands() {
            search.scratch.clear();
            search.scratch.extend_from_slice(search.problem.legs(operand));
            let elements = search.problem.elements(&search.scratch);
            search.enter(S::single(operand), N::ZERO, elements, [operand as u32; 2]);
        }
        search
    }

    fn run(mut self, work: &mut u64) -> Answer {
        let full = self.problem.full();
        // Where a step can add nothing, a part of a best tree may leave the queue after the whole of it.
        let steps_count = self.scorer.combining() == Combining::Sum && !self.problem.has_zero();
        let mut proof = Proof::Complete;
        let mut glance = GLANCE;
        let mut found = Vec::new();
        while let Some(Reverse((score, id))) = self.queue.pop() {
            let node = &self.nodes[id as usize];
            if node.done || node.score != score {
                continue;
            }
            let whole = self.ids.get(full).map(|full| &self.nodes[full as usize].score);
            if whole.is_some_and(|whole| steps_count && score >= *whole) {
                break;
            }
            let is_over = self.work > glance && self.watch.is_over();
            glance = if self.work > glance { self.work + GLANCE } else { glance };
            if is_over || self.work > *work || self.nodes.len() > MOST_SETS {
                let least = self.least_left(id).min(self.upper.clone());
                if whole.is_none_or(|whole| *whole > least) {
                    proof = Proof::Cut(least.to_cost());
                }
                break;
            }
            self.finish(id, &mut found);
        }
        *work = work.saturating_sub(self.work);
        let joins = self.ids.get(full).map(|id| self.joins(id));
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
        self.scorer.combine(score, &self.scorer.consuming(elements))
    }

    /// Takes the set for final and joins it with all final sets that it can be joined with.
    fn finish(&mut self, id: u32, found: &mut Vec<u32>) {
        let neighbours = self.problem.neighbours(self.nodes[id as usize].set);
        let kind = self.kind(id, neighbours);
        let node = &mut self.nodes[id as usize];
        node.done = true;
        node.kind = kind;
        let node = &self.nodes[id as usize];
        let (set, own) = (node.set, self.outlook(&node.score, &node.elements));
        if own <= self.upper {
            let query = Query {
                set,
                labels: sketch(self.legs(id)),
                neighbours,
                required: if kind == Kind::Product { neighbours } else { S::zero() },
                rooms: self.rooms(node),
            };
            let looks = self.partners.find(&query, found);
            if self.trees == Trees::All {
                // The last step has no next one, which the rooms for outer products count on.
                let rest = self.ids.get(self.problem.full() & !set);
                found.extend(rest.filter(|&rest| self.nodes[rest as usize].done));
            }
            self.work += looks * LOOK + found.len() as u64 * SCORE;
            for partner in found.drain(..) {
                self.consider(id, partner, neighbours);
            }
        }
        let labels = sketch(self.legs(id));
        self.partners.push(set, kind, labels, &self.nodes[id as usize].score, id);
    }

    fn legs(&self, id: u32) -> &[u64] {
        let words = self.problem.words();
        &self.legs[id as usize * words..][..words]
    }

    /// What may be added to a score within the bound.
    fn left_of(&self, score: &N) -> N {
        match self.scorer.combining() {
            Combining::Sum => self.upper.minus(score),
            Combining::Max => self.upper.clone(),
        }
    }

    /// The kind of a set whose best tree is known.
    fn kind(&self, id: u32, neighbours: S) -> Kind {
        let counts = self.trees == Trees::All && self.scorer.counts_multiplications() && self.largest.is_none();
        let node = &self.nodes[id as usize];
        if !counts || self.problem.has_zero() || !self.problem.is_plain(node.set, self.legs(id), neighbours) {
            return Kind::Any;
        }
        let [one, other] = node.parts.map(|part| &self.nodes[part as usize]);
        let is_product = self.scorer.objective == Objective::Mul
            && one.set != node.set
            && one.kind != Kind::Any
            && other.kind != Kind::Any
            && !self.problem.neighbours(one.set).meets(other.set);
        if is_product { Kind::Product } else { Kind::Plain }
    }

    /// The rooms that a set has, first for partners that share labels with it: what they add multiplies its elements.
    fn rooms(&self, node: &Node<S, N>) -> QueryRooms<N> {
        let left = self.left_of(&node.score);
        let room = |unit: &N| match &self.rooms {
            Some(rooms) => rooms.room(unit, &left, self.scorer.combining()),
            None => Room::endless(&left),
        };
        let each: N = self.scorer.per_multiplication();
        let sharing = if each == N::ZERO { Room::endless(&left) } else { room(&each.times(&node.elements)) };
        if self.trees == Trees::Connected {
            return QueryRooms {
                sharing,
                sharing_product: Room::none(),
                apart: Room::none(),
                apart_plain: Room::none(),
            };
        }
        let [apart, apart_plain] = [Kind::Any, Kind::Plain].map(|kind| {
            let factor = self.outer_factor((node.kind, &node.elements), (kind, &N::ONE));
            room(&self.scorer.at_least(&N::ONE, &N::ONE).plus(&factor).times(&node.elements))
        });
        QueryRooms { sharing_product: sharing.without_additions(), sharing, apart, apart_plain }
    }

    /// What the step that uses an outer product scores at least in a best tree, by the elements of the product.
    ///
    /// Let it join the product of `A` and `B`, of `a` and `b` elements, with `X`, in `W` multiplications. Joining `A`
    /// with `X` first takes `W / m`, if `X` lacks labels of `B` of size `m`, and then `W / s`, if labels of size `s`
    /// end there. As a best tree does not gain by it, `a b + W <= W / m + W / s`. So `m` or `s` is 1, and `W` at least
    /// `a b m s`; likewise with `A` and `B` exchanged. Where the labels of `A` and `B` are ended by whoever has them
    /// next, this leaves two cases: `X` has all labels of both, and `m s` is `a` or `b`; or it has none, and `m s` is
    /// `b` or `a`. Where only those of `A` are, `m s` is a size at least in one of the ways. A score that counts
    /// writing, too, leaves `a b m s` as it is, but not the cases: there the two ways together leave `a b` in all.
    fn outer_factor(&self, a: (Kind, &N), b: (Kind, &N)) -> N {
        if !self.scorer.counts_multiplications() {
            return N::ZERO;
        }
        match (a.0 == Kind::Any, b.0 == Kind::Any) {
            (false, false) if self.scorer.objective == Objective::Mul => a.1.max(b.1).clone(),
            (false, false) => a.1.min(b.1).clone(),
            (true, true) => N::ONE,
            _ => N::saturated(2),
        }
    }

    /// Scores the join of two final sets and enters their union where it can matter.
    fn consider(&mut self, a: u32, b: u32, neighbours: S) {
        let (left, right) = (&self.nodes[a as usize], &self.nodes[b as usize]);
        let (set, scorer) = (left.set | right.set, self.scorer);
        let (legs, others) = (self.legs(a), self.legs(b));
        let parts = scorer.combine(&left.score, &right.score);
        let multiplications =
            if scorer.multiplies() { self.problem.multiplications(&left.elements, legs, others) } else { N::ZERO };
        if scorer.combine(&parts, &scorer.at_least(&multiplications, &N::ZERO)) > self.upper {
            return;
        }
        let known = self.ids.get(set);
        let elements = if let Some(id) = known {
            self.nodes[id as usize].elements.clone()
        } else {
            let words = self.problem.words();
            let [legs, others] = [a, b].map(|id| &self.legs[id as usize * words..][..words]);
            self.problem.join(set, legs, others, &mut self.scratch);
            self.problem.elements(&self.scratch)
        };
        let sides = [&left.elements, &right.elements];
        let step = scorer.step(&multiplications, sides, &elements);
        let step = if scorer.reads_layouts() { scorer.gathering(step, sides, self.runs(set, [a, b])) } else { step };
        let score = scorer.combine(&parts, &step);
        let whole = set == self.problem.full();
        let least = if whole {
            score.clone()
        } else if right.set.meets(neighbours) || self.problem.has_zero() {
            self.outlook(&score, &elements)
        } else {
            let factor = self.outer_factor((left.kind, &left.elements), (right.kind, &right.elements));
            scorer.combine(&score, &multiplications.times(&factor))
        };
        if least > self.upper || self.largest.as_ref().is_some_and(|largest| elements > *largest) {
            return;
        }
        let parts = if left.set.comes_before(right.set) { [a, b] } else { [b, a] };
        match known {
            None => self.enter(set, score.clone(), elements, parts),
            Some(id) => self.improve(id, score.clone(), parts),
        }
        if whole && score < self.upper {
            self.upper = score;
        }
    }

    /// Of the sides of a step that are operands: how many of their elements lie beside each other, where they are gathered.
    fn runs(&self, set: S, sides: [u32; 2]) -> [Option<N>; 2] {
        // Results lie as their readers want them.
        if sides.iter().all(|&side| side as usize >= self.problem.operands()) {
            return [None, None];
        }
        let [legs, others] = sides.map(|id| self.legs(id));
        let mut result = Vec::new();
        self.problem.join(set, legs, others, &mut result);
        let run = |side: u32, other: &[u64]| {
            let operand = side as usize;
            (operand < self.problem.operands()).then(|| self.problem.gathered(operand, other, &result)).flatten()
        };
        [run(sides[0], others), run(sides[1], legs)]
    }

    /// Enters a set whose legs are in `scratch`.
    fn enter(&mut self, set: S, score: N, elements: N, parts: [u32; 2]) {
        self.work += ENTER;
        let id = self.nodes.len() as u32;
        self.legs.extend_from_slice(&self.scratch);
        self.nodes.push(Node { set, score: score.clone(), elements, parts, kind: Kind::Any, done: false });
        self.ids.insert(set, id);
        self.queue.push(Reverse((score, id)));
    }

    fn improve(&mut self, id: u32, score: N, parts: [u32; 2]) {
        let known = &self.nodes[id as usize];
        let first = |parts: [u32; 2]| self.nodes[parts[0] as usize].set;
        if score < known.score {
            self.queue.push(Reverse((score.clone(), id)));
        } else if score > known.score || !first(parts).comes_before(first(known.parts)) {
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
        let mut joins: Vec<[usize; 2]> = Vec::with_capacity(order.len());
        let value = |part: u32, place: usize| {
            // Nodes come before their parts in the order, and are made after them.
            let made = || order[place + 1..].iter().position(|&id| id == part);
            if (part as usize) < operands {
                part as usize
            } else {
                let below = made().map_or(0, |below| place + 1 + below);
                operands + (order.len() - 1 - below)
            }
        };
        for (place, &id) in order.iter().enumerate().rev() {
            joins.push(self.nodes[id as usize].parts.map(|part| value(part, place)));
        }
        joins
    }
}
