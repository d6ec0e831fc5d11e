//! The operands as the searches see them: after the free reductions, without labels of size 1.
//!
//! In comes the contraction graph; out go, per operand, sorted labels with a mark where one broadcasts. All
//! searches and the cost of a path read these and nothing else.

use super::cost::Factors;
use super::layout::{Role, gathered};
use super::scorer::Scorer;
use crate::equation::Subscript;
use crate::graph::ContractionGraph;
use crate::path::{Cost, Objective};

/// A label of an operand or of a result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Leg {
    /// Index of the label in its equation.
    pub(super) label: u32,
    /// Whether it has the label's extent here. Else it measures 1 and broadcasts: it multiplies nothing, but the
    /// label is not summed before this operand has been joined.
    pub(super) wide: bool,
}

/// What a search starts from.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    /// The legs of each operand, sorted by label.
    pub(super) operands: Vec<Vec<Leg>>,
    /// Per label: its extent.
    pub(super) extents: Vec<usize>,
    /// Per label: whether the output has it.
    pub(super) kept: Vec<bool>,
    /// Per label: how many operands have it.
    pub(super) holders: Vec<u32>,
    /// Per operand: its labels as they lie in memory, outermost first; none of a result, which lies as its reader wants.
    pub(super) layouts: Vec<Vec<u32>>,
}

impl Terms {
    pub(super) fn new(graph: &ContractionGraph) -> Self {
        let equation = graph.equation();
        let extents: Vec<usize> = equation.labels().map(|label| graph.extent(label)).collect();
        let kept: Vec<bool> = equation.labels().map(|label| graph.is_output(label)).collect();
        let mut summed_first = vec![false; extents.len()];
        for free in graph.free_reductions() {
            for label in free.summed {
                summed_first[label.index()] = true;
            }
        }
        let operands: Vec<Vec<Leg>> = (0..graph.operands())
            .map(|operand| {
                let labels = graph.labels_of(operand).into_iter();
                labels
                    .filter(|(label, _)| !summed_first[label.index()] && extents[label.index()] != 1)
                    .map(|(label, extent)| Leg { label: label.index() as u32, wide: extent == extents[label.index()] })
                    .collect()
            })
            .collect();
        let layout = |(subscript, legs): (&Subscript, &Vec<Leg>)| {
            let labels = subscript.iter().map(|label| label.index() as u32);
            labels.filter(|&label| legs.iter().any(|leg| leg.label == label && leg.wide)).collect()
        };
        let layouts = equation.operands().iter().zip(&operands).map(layout).collect();
        Self { layouts, ..Self::with_operands(operands, extents, kept) }
    }

    fn with_operands(operands: Vec<Vec<Leg>>, extents: Vec<usize>, kept: Vec<bool>) -> Self {
        let mut holders = vec![0; extents.len()];
        for leg in operands.iter().flatten() {
            holders[leg.label as usize] += 1;
        }
        let layouts = vec![Vec::new(); operands.len()];
        Self { operands, extents, kept, holders, layouts }
    }

    /// Some of the operands alone, labels numbered anew. No label may join them to another.
    pub(super) fn part(&self, operands: &[usize]) -> Self {
        let values: Vec<&[Leg]> = operands.iter().map(|&operand| self.operands[operand].as_slice()).collect();
        let (mut part, names) = Self::piece(&values, &self.result(operands), &self.extents);
        let renamed = |&label: &u32| names.binary_search(&label).unwrap_or_default() as u32;
        part.layouts = operands.iter().map(|&operand| self.layouts[operand].iter().map(renamed).collect()).collect();
        part
    }

    /// One operand per part: what is left of the part when all of its operands have been joined.
    pub(super) fn results(&self, parts: &[Vec<usize>]) -> Self {
        let results = parts.iter().map(|part| self.result(part)).collect();
        let layout = |part: &Vec<usize>| match part[..] {
            [operand] => self.layouts[operand].clone(),
            _ => Vec::new(),
        };
        let layouts = parts.iter().map(layout).collect();
        Self { layouts, ..Self::with_operands(results, self.extents.clone(), self.kept.clone()) }
    }

    /// The legs of the output that the operands of a part have.
    pub(super) fn result(&self, part: &[usize]) -> Vec<Leg> {
        let legs = part.iter().flat_map(|&operand| &self.operands[operand]);
        let mut legs: Vec<Leg> = legs.filter(|leg| self.kept[leg.label as usize]).copied().collect();
        legs.sort_unstable_by_key(|leg| (leg.label, !leg.wide));
        legs.dedup_by_key(|leg| leg.label);
        legs
    }

    /// Values of a tree as a problem of its own, whose output has the legs `output`; its labels are numbered anew,
    /// and their old numbers returned beside it.
    pub(super) fn piece(values: &[&[Leg]], output: &[Leg], extents: &[usize]) -> (Self, Vec<u32>) {
        let mut names: Vec<u32> = values.iter().copied().flatten().map(|leg| leg.label).collect();
        names.sort_unstable();
        names.dedup();
        let renamed = |legs: &[Leg]| {
            let mut from = 0;
            let legs = legs.iter().map(|leg| {
                from += names[from..].partition_point(|&name| name < leg.label);
                Leg { label: from as u32, wide: leg.wide }
            });
            legs.collect::<Vec<Leg>>()
        };
        let mut kept = vec![false; names.len()];
        for leg in renamed(output) {
            kept[leg.label as usize] = true;
        }
        let operands = values.iter().map(|legs| renamed(legs)).collect();
        let extents = names.iter().map(|&name| extents[name as usize]).collect();
        (Self::with_operands(operands, extents, kept), names)
    }

    /// Groups of operands that labels join, each in order, the groups by their first operand.
    ///
    /// Unlike the graph's own components, labels of size 1 join nothing here.
    pub(super) fn parts(&self) -> Vec<Vec<usize>> {
        let mut root: Vec<usize> = (0..self.operands.len()).collect();
        let mut first: Vec<Option<usize>> = vec![None; self.extents.len()];
        for (operand, legs) in self.operands.iter().enumerate() {
            for leg in legs {
                let other = *first[leg.label as usize].get_or_insert(operand);
                let (a, b) = (find(&mut root, operand), find(&mut root, other));
                root[a.max(b)] = a.min(b);
            }
        }
        let mut parts: Vec<Vec<usize>> = vec![Vec::new(); self.operands.len()];
        for operand in 0..self.operands.len() {
            parts[find(&mut root, operand)].push(operand);
        }
        parts.retain(|part| !part.is_empty());
        parts
    }

    /// The legs of every operand and of every result of steps in ids that are never reused.
    pub(super) fn values(&self, steps: &[[usize; 2]]) -> Vec<Vec<Leg>> {
        let mut left = self.holders.clone();
        let mut values = self.operands.clone();
        for &[a, b] in steps {
            let mut result = Vec::with_capacity(values[a].len().max(values[b].len()));
            for_each_in_union(&values[a], &values[b], |leg, shared| {
                let label = leg.label as usize;
                left[label] -= u32::from(shared);
                if left[label] > 1 || self.kept[label] || !shared {
                    result.push(leg);
                }
            });
            values.push(result);
        }
        values
    }

    /// The same without some labels, as one index of each sees it.
    pub(super) fn without(&self, labels: &[u32]) -> Self {
        let is_left = |leg: &&Leg| !labels.contains(&leg.label);
        let operands = self.operands.iter().map(|legs| legs.iter().filter(is_left).copied().collect()).collect();
        let left = |layout: &Vec<u32>| layout.iter().filter(|label| !labels.contains(label)).copied().collect();
        let layouts = self.layouts.iter().map(left).collect();
        Self { layouts, ..Self::with_operands(operands, self.extents.clone(), self.kept.clone()) }
    }

    /// Whether some label has no extent. Scores then need not grow with the operands.
    pub(super) fn has_zero(&self) -> bool {
        self.operands.iter().flatten().any(|leg| self.extents[leg.label as usize] == 0)
    }

    /// The elements of an operand or result with these legs.
    pub(super) fn elements(&self, legs: &[Leg]) -> Cost {
        let mut factors = Factors::NONE;
        legs.iter().filter(|leg| leg.wide).for_each(|leg| factors.times(self.extents[leg.label as usize]));
        factors.product()
    }

    /// Of a side of a step that is an operand: how many of its elements lie beside each other, where it is gathered.
    pub(super) fn gathered(&self, operand: usize, other: &[Leg], result: &[Leg]) -> Option<Cost> {
        let has = |legs: &[Leg], label: u32| legs.iter().any(|leg| leg.label == label);
        let axes = self.layouts.get(operand)?.iter().map(|&label| {
            let role = Role::of(has(other, label), has(result, label));
            (role, Cost::from(self.extents[label as usize]))
        });
        gathered(axes)
    }

    /// What no tree can score below, known without a search.
    ///
    /// Every operand takes part in a step, which multiplies at least as many numbers as the operand has; a step
    /// takes two operands at most. The last step makes the output, and every other result has an element.
    pub(super) fn least(&self, scorer: Scorer<'_>) -> Cost {
        let steps = self.operands.len() - 1;
        if steps == 0 || self.has_zero() {
            return Cost::ZERO;
        }
        let sizes: Vec<Cost> = self.operands.iter().map(|legs| self.elements(legs)).collect();
        let all: Vec<usize> = (0..self.operands.len()).collect();
        let output = self.elements(&self.result(&all));
        let largest = sizes.iter().max().unwrap_or(&output).max(&output).clone();
        let half = sizes.iter().sum::<Cost>().half();
        let multiplications = largest.max(half).max(Cost::from(steps));
        let write = &output + &Cost::from(steps - 1);
        match scorer.objective {
            Objective::Size => output,
            Objective::Mul | Objective::Write | Objective::Combo | Objective::Time => {
                scorer.at_least(&multiplications, &write)
            }
        }
    }
}

fn find(root: &mut [usize], mut operand: usize) -> usize {
    while root[operand] != operand {
        root[operand] = root[root[operand]];
        operand = root[operand];
    }
    operand
}

/// Visits the labels of two operands in order: the leg as the result would have it, and whether both have it.
pub(super) fn for_each_in_union(a: &[Leg], b: &[Leg], mut visit: impl FnMut(Leg, bool)) {
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    loop {
        match (a.peek(), b.peek()) {
            (None, None) => return,
            (Some(x), Some(y)) if x.label == y.label => {
                visit(Leg { label: x.label, wide: x.wide || y.wide }, true);
                a.next();
                b.next();
            }
            (Some(x), y) if y.is_none_or(|y| x.label < y.label) => {
                visit(**x, false);
                a.next();
            }
            (_, Some(y)) => {
                visit(**y, false);
                b.next();
            }
            (Some(_), None) => unreachable!("covered by the arm before"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::tests::graph;

    #[test]
    fn free_reductions_and_size_one_are_gone() {
        let terms = Terms::new(&graph("iijx,jkz,l,z->kl", "z=1"));
        let labels: Vec<Vec<u32>> =
            terms.operands.iter().map(|legs| legs.iter().map(|leg| leg.label).collect()).collect();
        assert_eq!(labels, [vec![1], vec![1, 2], vec![3], vec![]]);
        assert_eq!(terms.parts(), [vec![0, 1], vec![2], vec![3]]);
        assert_eq!(terms.results(&terms.parts()).operands.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 0]);
    }

    #[test]
    fn the_least_is_a_bound_and_sometimes_reached() {
        let terms = Terms::new(&graph("ij,jk->ik", "i=3 j=4 k=5"));
        let least = |objective| terms.least(Scorer::of(objective)).to_u128().unwrap();
        assert_eq!([Objective::Mul, Objective::Size, Objective::Write].map(least), [20, 15, 15]);
        assert_eq!(least(Objective::Combo), 20 + 64 * 15);
        assert_eq!(Terms::new(&graph("ij,jk->ik", "j=0")).least(Scorer::of(Objective::Mul)), Cost::ZERO);
    }
}
