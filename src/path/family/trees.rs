//! All trees of a few operands as polynomials, but for those that another tree is never above.
//!
//! In come the splits and the ranges of sizes; out go trees, each with the monomials of its steps. Trees over one set of
//! operands leave the same labels to the rest, so that what is dropped over a set is dropped once for all trees that have
//! it as a part.

use std::collections::BTreeSet;

use super::ranges::Ranges;
use super::splits::{MOST_OPERANDS, Splits};

/// The most steps of a tree.
const MOST_STEPS: usize = MOST_OPERANDS - 1;

/// Sizes at which two trees are compared before their monomials are: most pairs differ at one of them.
const PROBES: usize = 8;

/// A tree over a set of operands.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    /// The monomials of its steps, rising.
    steps: Vec<u16>,
    /// The part that has the set's first operand, and which of that part's trees; the same of the other part.
    parts: [(u8, u32); 2],
}

/// The trees over every set of operands.
#[derive(Clone, Debug)]
pub(super) struct Trees {
    operands: usize,
    /// By set, those first that the search would prefer among equals.
    sets: Vec<Vec<Tree>>,
}

impl Trees {
    /// The trees of which none is everywhere in the ranges at least as expensive as another.
    pub(super) fn new(splits: &Splits, ranges: &Ranges) -> Self {
        let order = Order::new(splits, ranges);
        let leaf = Tree { steps: Vec::new(), parts: [(0, 0); 2] };
        let mut trees = Self { operands: splits.operands(), sets: vec![Vec::new()] };
        for set in 1..=splits.full() {
            let of_set =
                if set.is_power_of_two() { vec![leaf.clone()] } else { order.undominated(trees.made(splits, set)) };
            trees.sets.push(of_set);
        }
        trees
    }

    /// The trees over a set whose parts are trees that are there, of each polynomial the first.
    fn made(&self, splits: &Splits, set: u8) -> Vec<Tree> {
        let mut seen: BTreeSet<Vec<u16>> = BTreeSet::new();
        let mut trees = Vec::new();
        for split in splits.of(set) {
            for (left, one) in self.sets[usize::from(split.one)].iter().enumerate() {
                for (right, other) in self.sets[usize::from(split.other)].iter().enumerate() {
                    let mut steps: Vec<u16> =
                        one.steps.iter().chain(&other.steps).copied().chain([split.monomial]).collect();
                    steps.sort_unstable();
                    if seen.insert(steps.clone()) {
                        let parts = [(split.one, left as u32), (split.other, right as u32)];
                        trees.push(Tree { steps, parts });
                    }
                }
            }
        }
        trees
    }

    /// The trees over all operands.
    pub(super) fn whole(&self) -> &[Tree] {
        self.sets.last().map_or(&[], Vec::as_slice)
    }

    /// The joins of a tree over all operands, in ids that are never reused.
    pub(super) fn joins(&self, tree: usize) -> Vec<[usize; 2]> {
        let mut joins = Vec::with_capacity(MOST_STEPS);
        self.join(self.sets.len() - 1, tree, &mut joins);
        joins
    }

    fn join(&self, set: usize, tree: usize, joins: &mut Vec<[usize; 2]>) -> usize {
        if set.is_power_of_two() {
            return set.trailing_zeros() as usize;
        }
        let sides = self.sets[set][tree].parts.map(|(part, tree)| self.join(usize::from(part), tree as usize, joins));
        joins.push(sides);
        self.operands + joins.len() - 1
    }
}

impl Tree {
    /// What the tree costs, where the monomials have these prices.
    pub(super) fn cost(&self, prices: &[f64]) -> f64 {
        self.steps.iter().fold(0.0, |cost, &step| cost + prices[usize::from(step)])
    }
}

/// How many trees there are over so many operands, those with outer products included: 1, 1, 3, 15, 105, …
pub(super) fn count(operands: usize) -> usize {
    (2..operands).fold(1, |count, n| count * (2 * n - 1))
}

/// Which monomials are at most which others, at all sizes of the ranges.
struct Order {
    monomials: usize,
    at_most: Vec<bool>,
    /// Prices of the monomials at a few sizes.
    probes: Vec<Vec<f64>>,
}

impl Order {
    fn new(splits: &Splits, ranges: &Ranges) -> Self {
        let monomials = splits.monomials();
        let labels: Vec<Vec<usize>> = (0..monomials).map(|monomial| splits.labels(monomial as u16)).collect();
        let at_most = labels.iter().flat_map(|a| labels.iter().map(|b| ranges.is_at_most(a, b))).collect();
        let probe = |extents: &Vec<usize>| {
            let mut prices = Vec::new();
            splits.prices(extents, &mut prices);
            prices
        };
        Self { monomials, at_most, probes: ranges.probes(PROBES).iter().map(probe).collect() }
    }

    /// The trees without those that another is at most as expensive as everywhere; of equals the first stays.
    fn undominated(&self, trees: Vec<Tree>) -> Vec<Tree> {
        let costs = |tree: &Tree| -> Vec<f64> { self.probes.iter().map(|prices| tree.cost(prices)).collect() };
        let costs: Vec<Vec<f64>> = trees.iter().map(costs).collect();
        // A tree that is at most as expensive everywhere is so at the first probe, and comes first.
        let mut order: Vec<usize> = (0..trees.len()).collect();
        order.sort_by(|&a, &b| costs[a].partial_cmp(&costs[b]).unwrap_or(std::cmp::Ordering::Equal).then(a.cmp(&b)));
        let mut left: Vec<usize> = Vec::new();
        for tree in order {
            let is_above = |&other: &usize| {
                costs[other].iter().zip(&costs[tree]).all(|(other, own)| other <= own)
                    && self.is_matched(&trees[other].steps, &trees[tree].steps)
            };
            if !left.iter().any(is_above) {
                left.push(tree);
            }
        }
        left.sort_unstable();
        let mut trees: Vec<Option<Tree>> = trees.into_iter().map(Some).collect();
        left.into_iter().filter_map(|tree| trees[tree].take()).collect()
    }

    /// Whether each of `below` has a partner of its own in `above` that it is at most as large as everywhere.
    fn is_matched(&self, below: &[u16], above: &[u16]) -> bool {
        let Some((&first, rest)) = below.split_first() else { return true };
        let row = &self.at_most[usize::from(first) * self.monomials..][..self.monomials];
        (0..above.len()).filter(|&place| row[usize::from(above[place])]).any(|place| {
            let mut left = above.to_vec();
            left.remove(place);
            self.is_matched(rest, &left)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::tests::graph;
    use crate::path::terms::Terms;

    fn trees(text: &str, range: std::ops::RangeInclusive<usize>) -> (Splits, Trees) {
        let terms = Terms::new(&graph(text, ""));
        let splits = Splits::new(&terms);
        let trees = Trees::new(&splits, &Ranges::uniform(terms.extents.len(), range));
        (splits, trees)
    }

    #[test]
    fn of_a_chain_few_trees_are_left() {
        // Catalan's numbers at first; of five, four trees with an outer product are not above any one of the 14 others.
        for (text, expected) in
            [("ab,bc->ac", 1), ("ab,bc,cd->ad", 2), ("ab,bc,cd,de->ae", 5), ("ab,bc,cd,de,ef->af", 18)]
        {
            let (_, trees) = trees(text, 2..=1000);
            assert_eq!(trees.whole().len(), expected, "{text}");
        }
        assert_eq!([1, 2, 3, 4, 5, 6, 7].map(count), [1, 1, 3, 15, 105, 945, 10395]);
    }

    #[test]
    fn what_is_left_has_the_least_cost_everywhere() {
        for text in ["ab,bc,cd,da->", "abx,bcx,cd,dae->ex", "a,b,ab,bc->c", "a,a,a,a->a"] {
            let (splits, trees) = trees(text, 1..=300);
            let ranges = Ranges::uniform(10, 1..=300);
            let mut prices = Vec::new();
            for extents in ranges.probes(200) {
                splits.prices(&extents, &mut prices);
                let least = trees.whole().iter().map(|tree| tree.cost(&prices)).fold(f64::INFINITY, f64::min);
                assert_eq!(least, splits.least(&prices), "{text} {extents:?}");
            }
        }
    }

    #[test]
    fn where_sizes_are_known_one_tree_is_left_or_few() {
        let (_, trees) = trees("ab,bc,cd,de->ae", 7..=7);
        assert_eq!(trees.whole().len(), 1);
        assert_eq!(trees.joins(0), [[0, 1], [4, 2], [5, 3]]);
    }
}
