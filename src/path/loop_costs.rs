//! What slices cost along a path, in logarithms: the quick form of [`Slicing`](super::sliced::Slicing), for searches.
//!
//! In come [`Terms`] and steps, out go multiplications and the largest result for any set of sliced labels, by the same
//! rule: a step runs inside the loops that stand around the step that reads it, down to the innermost one whose label its
//! result still has.

use super::logs::{self, Log, Tables};
use super::slice_search::SumOrder;
use super::sliced::CallKind;
use super::terms::{Leg, Terms};

/// What a set of slices comes to.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct SlicedCost {
    /// The logarithm of the multiplications of all passes, to some hundredths.
    pub(super) multiplications: Log,
    /// The logarithm of the elements of the largest result in a pass, beside the output: that is there in any case, and so
    /// nothing of its size counts but what a pass makes of it.
    pub(super) largest: Log,
    /// The step that makes it.
    pub(super) at: usize,
    /// By how much results are too large, in logarithms, all of them together.
    pub(super) excess: Log,
}

/// The most labels that are sliced together: a bit of a word each.
pub(super) const MOST_SLICES: usize = 128;

#[derive(Debug)]
pub(super) struct LoopCosts {
    sizes: Vec<Log>,
    /// By step, the one that reads its result; none for the last.
    readers: Vec<Option<u32>>,
    multiplications: Vec<Log>,
    elements: Vec<Log>,
    /// By step: the labels that its result has at full extent.
    results: Vec<Vec<u32>>,
    /// By step: the labels that it sums, in the order of its terms.
    summed: Vec<Vec<u32>>,
    /// By label: the steps whose result has it.
    open: Vec<Vec<u32>>,
    /// By label: the step that sums it.
    sums: Vec<Option<u32>>,
    /// By label: its place in the output.
    outputs: Vec<bool>,
    kinds: Vec<CallKind>,
    order: SumOrder,
}

/// A loop around steps: the bit of its label, the next loop outwards, and the bits of all of them.
struct Loop {
    bit: u128,
    outer: Option<usize>,
    all: u128,
}

impl LoopCosts {
    /// The costs along a path whose calls are of these kinds: floats, where there is none for a step.
    pub(super) fn new(terms: &Terms, steps: &[[usize; 2]], kinds: &[CallKind], order: SumOrder) -> Self {
        let operands = terms.operands.len();
        let sizes: Vec<Log> = terms.extents.iter().map(|&extent| logs::of_size(extent)).collect();
        let weigh = |labels: &[u32]| labels.iter().map(|&label| sizes[label as usize]).sum::<Log>();
        let values = terms.values(steps);
        let wide = |legs: &[Leg]| -> Vec<u32> { legs.iter().filter(|leg| leg.wide).map(|leg| leg.label).collect() };
        let mut costs = Self {
            readers: vec![None; steps.len()],
            multiplications: Vec::new(),
            elements: Vec::new(),
            results: Vec::new(),
            summed: Vec::new(),
            open: vec![Vec::new(); sizes.len()],
            sums: vec![None; sizes.len()],
            outputs: terms.kept.clone(),
            kinds: kinds.to_vec(),
            order,
            sizes: Vec::new(),
        };
        for (step, &[a, b]) in steps.iter().enumerate() {
            for id in [a, b] {
                if let Some(earlier) = id.checked_sub(operands) {
                    costs.readers[earlier] = Some(step as u32);
                }
            }
            let result = wide(&values[operands + step]);
            let (a, b) = (wide(&values[a]), wide(&values[b]));
            let mut all = a.clone();
            all.extend(b.iter().filter(|label| a.binary_search(label).is_err()));
            let gone = |label: &u32| result.binary_search(label).is_err();
            let summed: Vec<u32> =
                a.iter().filter(|label| b.binary_search(label).is_ok() && gone(label)).copied().collect();
            for &label in &summed {
                costs.sums[label as usize] = Some(step as u32);
            }
            for &label in &result {
                costs.open[label as usize].push(step as u32);
            }
            costs.multiplications.push(weigh(&all));
            costs.elements.push(weigh(&result));
            costs.results.push(result);
            costs.summed.push(summed);
        }
        costs.sizes = sizes;
        costs
    }

    /// The label with those that have to be sliced with it and are not yet: floats are added in the order of the terms, so
    /// that slices have to be ranges of them. `None` where it cannot be sliced at all.
    pub(super) fn with_companions(&self, label: u32, slices: &[u32]) -> Option<Vec<u32>> {
        let Some(step) = self.sums[label as usize] else {
            let missing = if slices.contains(&label) { Vec::new() } else { vec![label] };
            return self.outputs[label as usize].then_some(missing);
        };
        if self.kinds.get(step as usize).is_some_and(|&kind| kind != CallKind::Float) {
            return None;
        }
        if self.order == SumOrder::SlicesFirst {
            return Some(if slices.contains(&label) { Vec::new() } else { vec![label] });
        }
        let mut companions = Vec::new();
        for &before in &self.summed[step as usize] {
            if !slices.contains(&before) {
                companions.push(before);
            }
            if before == label {
                break;
            }
        }
        Some(companions)
    }

    /// Whether all of these can be sliced with no others beside them.
    pub(super) fn stand_alone(&self, slices: &[u32]) -> bool {
        self.order == SumOrder::SlicesFirst
            || slices.iter().all(|&label| self.with_companions(label, slices).is_some_and(|missing| missing.is_empty()))
    }

    /// What it comes to when these labels, at most [`MOST_SLICES`], are sliced and results may have `limit` elements.
    pub(super) fn cost(&self, slices: &[u32], limit: Log) -> SlicedCost {
        self.walk(slices, limit, |_, _| {})
    }

    /// The same, and by how much each label would make the results smaller, together, that are too large; of those in the
    /// largest result, beginning with what helps most.
    pub(super) fn cost_and_relief(&self, slices: &[u32], limit: Log) -> (SlicedCost, Vec<(Log, u32)>) {
        let mut relief: Vec<Log> = vec![0; self.sizes.len()];
        let cost = self.walk(slices, limit, |step, excess| {
            for &label in &self.results[step] {
                relief[label as usize] += excess.min(self.sizes[label as usize]);
            }
        });
        let labels = self.results[cost.at].iter().filter(|label| !slices.contains(label));
        let mut relief: Vec<(Log, u32)> = labels.map(|&label| (relief[label as usize], label)).collect();
        relief.sort_unstable_by_key(|&(relief, label)| (-relief, label));
        (cost, relief)
    }

    fn walk(&self, slices: &[u32], limit: Log, mut too_large: impl FnMut(usize, Log)) -> SlicedCost {
        let steps = self.readers.len();
        let mut open = vec![0_u128; steps];
        let mut own = vec![0_u128; steps];
        let mut loops: Vec<Loop> = Vec::with_capacity(slices.len());
        let mut around = None;
        let stack = |loops: &mut Vec<Loop>, bit: u128, outer: Option<usize>| {
            let all = bit | outer.map_or(0, |outer: usize| loops[outer].all);
            loops.push(Loop { bit, outer, all });
            Some(loops.len() - 1)
        };
        for (at, &label) in slices.iter().enumerate() {
            for &step in &self.open[label as usize] {
                open[step as usize] |= 1 << at;
            }
            match self.sums[label as usize] {
                Some(step) => own[step as usize] |= 1 << at,
                None => around = stack(&mut loops, 1 << at, around),
            }
        }
        let size = |slice: usize| self.sizes[slices[slice] as usize];
        // Most networks have labels of one size.
        let same = (0..slices.len()).all(|slice| size(slice) == size(0));
        let weigh = |mut bits: u128| {
            if same {
                return slices.first().map_or(0, |_| size(0) * Log::from(bits.count_ones()));
            }
            let mut weight = 0;
            while bits != 0 {
                weight += size(bits.trailing_zeros() as usize);
                bits &= bits - 1;
            }
            weight
        };
        let mut inside: Vec<Option<usize>> = vec![None; steps];
        let tables = Tables::get();
        let mut multiplications = Log::MIN / 2;
        let mut excess = 0;
        let mut largest = (0, 0);
        for step in (0..steps).rev() {
            let mut here = self.readers[step].map_or(around, |reader| inside[reader as usize]);
            while let Some(innermost) = here
                && loops[innermost].bit & open[step] == 0
            {
                here = loops[innermost].outer;
            }
            let mut left = own[step];
            while left != 0 {
                here = stack(&mut loops, left & left.wrapping_neg(), here);
                left &= left - 1;
            }
            inside[step] = here;
            let all = here.map_or(0, |here| loops[here].all);
            let passes = weigh(all & !(open[step] | own[step]));
            multiplications = tables.sum(multiplications, self.multiplications[step] + passes);
            if self.readers[step].is_none() && all & open[step] == 0 {
                // The output itself.
                continue;
            }
            let elements = self.elements[step] - weigh(all & open[step]);
            if elements > limit {
                excess += elements - limit;
                too_large(step, elements - limit);
            }
            if elements > largest.0 {
                largest = (elements, step);
            }
        }
        SlicedCost { multiplications, largest: largest.0, at: largest.1, excess }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::equation::Label;
    use crate::graph::tests::graph;
    use crate::path::sliced::Slicing;

    #[test]
    fn quick_costs_are_those_of_slicing() {
        let cases = [
            ("ab,bc,cd,de,ef->af", "(1,2) (0,2) (0,1) (0,1)", "cde"),
            ("abx,bcx,cdx,dax,x->x", "(0,1) (0,1) (0,2) (0,1)", "xbd"),
            ("ai,bi,ci,abc,adj,dbj->", "(0,3) (1,3) (0,3) (0,1) (0,1)", "abcd"),
            ("ab,cd,ef,abcdef->", "(0,1) (0,2) (0,1)", "abcdef"),
        ];
        for (text, path, names) in cases {
            let graph = graph(text, "a=2 b=4 c=8 d=2 e=4 f=2 x=16 i=2 j=4");
            let path: crate::path::Path = path.parse().unwrap();
            let slicing = Slicing::new(&graph, &path, &[]).unwrap();
            let costs = LoopCosts::new(&Terms::new(&graph), &path.ssa(), &[], SumOrder::Listed);
            let all: Vec<Label> =
                names.chars().map(|name| graph.equation().label(&name.to_string()).unwrap()).collect();
            for choice in 0..1_u32 << all.len() {
                let labels: Vec<Label> =
                    all.iter().enumerate().filter(|(at, _)| choice >> at & 1 == 1).map(|(_, &label)| label).collect();
                let mut numbers: Vec<u32> = labels.iter().map(|label| label.index() as u32).collect();
                numbers.sort_unstable();
                let possible = numbers.iter().all(|&label| costs.with_companions(label, &numbers) == Some(Vec::new()));
                assert_eq!(possible, slicing.check(&labels).is_ok(), "{text} {labels:?}");
                if !possible {
                    continue;
                }
                let exact = slicing.cost(&labels);
                let quick = costs.cost(&numbers, 0);
                let log2 = quick.multiplications as f64 / logs::ONE as f64;
                assert!((exact.multiplications.log2() - log2).abs() < 0.05, "{text} {labels:?}");
                let output = costs.elements.last().copied().unwrap_or(0);
                let largest = quick.largest.max(output) as f64 / logs::ONE as f64;
                assert!((exact.largest.log2() - largest).abs() < 1e-3, "{text}");
            }
        }
    }
}
