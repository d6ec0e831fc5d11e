//! A binary tree that can be rotated, with the score of each of its steps.
//!
//! In come [`Terms`] and steps; out go rotations with what they change. A set of labels is a fixed number of words.
//! Labels that broadcast in an operand count as if they had their extent there, which is seldom more than what counts
//! in the end.

use super::logs::{self, Log, Tables};
use super::scorer::Scorer;
use super::terms::{Leg, Terms};
use crate::path::Objective;

/// The labels of a search, those of one size beside each other.
#[derive(Clone, Debug)]
pub(super) struct Labels {
    /// Per label of the terms: its place here.
    places: Vec<u32>,
    /// Per place: the logarithm of the size.
    sizes: Vec<Log>,
}

impl Labels {
    pub(super) fn new(terms: &Terms) -> Self {
        let mut held: Vec<usize> = (0..terms.extents.len()).filter(|&label| terms.holders[label] > 0).collect();
        held.sort_by_key(|&label| (terms.extents[label], label));
        let mut places = vec![0; terms.extents.len()];
        for (place, &label) in held.iter().enumerate() {
            places[label] = place as u32;
        }
        let sizes = held.iter().map(|&label| logs::of_size(terms.extents[label])).collect();
        Self { places, sizes }
    }

    /// The words of a set of them.
    pub(super) fn words(&self) -> usize {
        self.sizes.len().div_ceil(64)
    }

    fn set<const W: usize>(&self, legs: &[Leg]) -> Set<W> {
        let mut set = [0; W];
        for leg in legs {
            let place = self.places[leg.label as usize] as usize;
            set[place / 64] |= 1 << (place % 64);
        }
        set
    }
}

type Set<const W: usize> = [u64; W];

fn union<const W: usize>(a: &Set<W>, b: &Set<W>) -> Set<W> {
    let mut both = *a;
    for (both, b) in both.iter_mut().zip(b) {
        *both |= b;
    }
    both
}

fn common<const W: usize>(a: &Set<W>, b: &Set<W>) -> Set<W> {
    let mut both = *a;
    for (both, b) in both.iter_mut().zip(b) {
        *both &= b;
    }
    both
}

/// How the steps of a tree hang together. Nodes are operands and then steps, in no order.
#[derive(Clone, Debug)]
pub(super) struct TreeShape {
    children: Vec<[u32; 2]>,
    root: u32,
}

impl TreeShape {
    /// The tree of steps by their children; what is nobody's child is its root.
    pub(super) fn new(children: Vec<[u32; 2]>, operands: usize) -> Self {
        let mut is_child = vec![false; operands + children.len()];
        for &child in children.iter().flatten() {
            is_child[child as usize] = true;
        }
        let root = (operands..is_child.len()).find(|&node| !is_child[node]).unwrap_or(0) as u32;
        Self { children, root }
    }

    /// The steps, each after those that it uses.
    pub(super) fn joins(&self, operands: usize) -> Vec<[usize; 2]> {
        let mut order: Vec<usize> = vec![self.root as usize];
        let mut next = 0;
        while let Some(&node) = order.get(next) {
            next += 1;
            let children = self.children[node - operands].iter().map(|&child| child as usize);
            order.extend(children.filter(|&child| child >= operands));
        }
        let mut values: Vec<usize> = (0..operands + self.children.len()).collect();
        let mut joins = Vec::with_capacity(order.len());
        for &node in order.iter().rev() {
            joins.push(self.children[node - operands].map(|child| values[child as usize]));
            values[node] = operands + joins.len() - 1;
        }
        joins
    }
}

/// A rotation at a step: its `moved` child and the `other` child of the step above change places.
pub(super) struct Rotation<const W: usize> {
    kept: u32,
    moved: u32,
    other: u32,
    legs: Set<W>,
    scores: [Log; 2],
    /// By how much the logarithm of the scores of both steps together grows.
    pub(super) growth: Log,
}

pub(super) struct RotatingTree<'a, const W: usize> {
    scorer: Scorer<'a>,
    /// The logarithm of the elements that a result should have at most.
    limit: Log,
    tables: &'static Tables,
    operands: usize,
    sizes: Vec<Log>,
    /// Per word: the size of all of its labels, where they have one size.
    uniform: [Option<Log>; W],
    /// Per step.
    children: Vec<[u32; 2]>,
    /// Per node.
    parents: Vec<u32>,
    legs: Vec<Set<W>>,
    /// Per step: the logarithm of its score.
    scores: Vec<Log>,
    root: u32,
}

impl<'a, const W: usize> RotatingTree<'a, W> {
    /// The tree of at least one step.
    pub(super) fn new(terms: &Terms, labels: &Labels, scorer: Scorer<'a>, steps: &[[usize; 2]], limit: Log) -> Self {
        let operands = terms.operands.len();
        let values = terms.values(steps);
        let root = (operands + steps.len() - 1) as u32;
        let mut parents = vec![root; values.len()];
        for (step, pair) in steps.iter().enumerate() {
            for &child in pair {
                parents[child] = (operands + step) as u32;
            }
        }
        let uniform = std::array::from_fn(|word| {
            let sizes = labels.sizes.chunks(64).nth(word).unwrap_or(&[]);
            let first = sizes.first().copied().unwrap_or(0);
            sizes.iter().all(|&size| size == first).then_some(first)
        });
        let mut tree = Self {
            scorer,
            limit,
            tables: Tables::get(),
            operands,
            sizes: labels.sizes.clone(),
            uniform,
            children: steps.iter().map(|pair| pair.map(|child| child as u32)).collect(),
            parents,
            legs: values.iter().map(|legs| labels.set(legs)).collect(),
            scores: Vec::with_capacity(steps.len()),
            root,
        };
        for (step, pair) in steps.iter().enumerate() {
            let [a, b] = pair.map(|child| &tree.legs[child]);
            tree.scores.push(tree.score([a, b], &union(a, b), &tree.legs[operands + step]));
        }
        tree
    }

    pub(super) fn steps(&self) -> usize {
        self.children.len()
    }

    pub(super) fn shape(&self) -> TreeShape {
        TreeShape { children: self.children.clone(), root: self.root }
    }

    /// The logarithm of the product of the sizes of a set of labels.
    fn size(&self, set: &Set<W>) -> Log {
        let mut size = 0;
        for (word, &bits) in set.iter().enumerate() {
            if let Some(each) = self.uniform[word] {
                size += each * Log::from(bits.count_ones());
                continue;
            }
            let mut left = bits;
            while left != 0 {
                size += self.sizes[word * 64 + left.trailing_zeros() as usize];
                left &= left - 1;
            }
        }
        size
    }

    /// The score of a step by those of its sides, all of its labels and those of its result.
    fn score(&self, sides: [&Set<W>; 2], labels: &Set<W>, result: &Set<W>) -> Log {
        let score = self.usual_score(sides, labels, result);
        if self.limit == Log::MAX {
            return score;
        }
        // What is too large is halved by slices that may double what all steps multiply.
        score + (self.size(result) - self.limit).max(0)
    }

    fn usual_score(&self, sides: [&Set<W>; 2], labels: &Set<W>, result: &Set<W>) -> Log {
        match self.scorer.objective {
            Objective::Mul => self.size(labels),
            Objective::Size | Objective::Write => self.size(result),
            Objective::Combo | Objective::Time => {
                self.scorer.step_log(self.size(labels), || sides.map(|side| self.size(side)), self.size(result))
            }
        }
    }

    /// The logarithm of the score of the whole tree.
    pub(super) fn total(&self) -> f64 {
        match self.scorer.objective {
            Objective::Size => self.scores.iter().max().map_or(0.0, |&largest| largest as f64),
            Objective::Mul | Objective::Write | Objective::Combo | Objective::Time => {
                logs::total(self.scores.iter().copied())
            }
        }
    }

    /// One of the two rotations at a step, which moves its `second` child; none at the root.
    pub(super) fn rotation(&self, step: usize, second: bool) -> Option<Rotation<W>> {
        let node = (self.operands + step) as u32;
        if node == self.root {
            return None;
        }
        let above = self.parents[node as usize] as usize - self.operands;
        let pair = self.children[step];
        let (kept, moved) = if second { (pair[0], pair[1]) } else { (pair[1], pair[0]) };
        let other = self.children[above];
        let other = if other[0] == node { other[1] } else { other[0] };
        let [kept_legs, moved_legs, other_legs, result] =
            [kept, moved, other, self.parents[node as usize]].map(|node| &self.legs[node as usize]);
        let labels = union(kept_legs, other_legs);
        // What is outside is either in the part that moves or still there above.
        let legs = common(&labels, &union(moved_legs, result));
        let scores = [
            self.score([kept_legs, other_legs], &labels, &legs),
            self.score([&legs, moved_legs], &union(&legs, moved_legs), result),
        ];
        let before = self.tables.sum(self.scores[step], self.scores[above]);
        let growth = self.tables.sum(scores[0], scores[1]) - before;
        Some(Rotation { kept, moved, other, legs, scores, growth })
    }

    /// Rotates; the rotation must be one of this step in the tree as it is.
    pub(super) fn rotate(&mut self, step: usize, rotation: &Rotation<W>) {
        let node = self.operands + step;
        let parent = self.parents[node];
        let above = parent as usize - self.operands;
        let is_first = self.children[above][0] as usize == node;
        self.children[step] = [rotation.kept, rotation.other];
        self.children[above] = if is_first { [node as u32, rotation.moved] } else { [rotation.moved, node as u32] };
        self.parents[rotation.other as usize] = node as u32;
        self.parents[rotation.moved as usize] = parent;
        self.legs[node] = rotation.legs;
        self.scores[step] = rotation.scores[0];
        self.scores[above] = rotation.scores[1];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::tests::graph;
    use crate::path::random::Random;
    use crate::path::tree::canonical;

    #[test]
    fn scores_and_legs_stay_right_through_any_rotations() {
        let texts = ["ab,bc,cd,de,ea->", "abx,bcx,cdx,dx,ax,x->ax", "ij,jk,kl,li,ik->jl", "a,b,c,ab,bc->"];
        for text in texts {
            let terms = Terms::new(&graph(text, "a=3 b=4 c=5 d=6 x=7 i=2 j=3 k=9"));
            let n = terms.operands.len();
            let steps: Vec<[usize; 2]> = (1..n).map(|k| if k == 1 { [0, 1] } else { [k, n + k - 2] }).collect();
            for scorer in Scorer::all() {
                let mut tree: RotatingTree<'_, 1> =
                    RotatingTree::new(&terms, &Labels::new(&terms), scorer, &steps, Log::MAX);
                let mut random = Random::new(1, 0);
                for _ in 0..200 {
                    let bits = random.next();
                    let step = (bits >> 8) as usize % tree.steps();
                    if let Some(rotation) = tree.rotation(step, bits & 1 == 1) {
                        tree.rotate(step, &rotation);
                    }
                    let joins = canonical(&tree.shape().joins(n));
                    let fresh: RotatingTree<'_, 1> =
                        RotatingTree::new(&terms, &Labels::new(&terms), scorer, &joins, Log::MAX);
                    assert!((fresh.total() - tree.total()).abs() < 1e-6, "{text} {}", scorer.objective);
                }
            }
        }
    }
}
