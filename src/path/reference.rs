//! The path of the reference: `opt_einsum`'s exhaustive search as JAX calls it, ties and quirks included.
//!
//! It goes depth first through all pairs, takes a step's cost as the product of the sizes of its labels, doubled where a
//! label is summed, and keeps the first path of the least total. Two quirks decide among equals, and now and then for a
//! path that is not the best: pairs come in the iteration order of a Python set, and the result and cost of a pair are
//! kept under its two label sets alone, though what is summed depends on the operands beside it.

use std::collections::HashMap;

use super::cost::Cost;
use super::id_set::IdSet;
use super::number::Number;
use crate::graph::ContractionGraph;

/// The steps of the reference's path, operands by never-reused ids; none where more than `work` pairs would have to be
/// looked at.
pub(super) fn reference(graph: &ContractionGraph, work: u64) -> Option<Vec<[usize; 2]>> {
    let operands = graph.operands();
    if operands < 3 {
        return Some((1..operands).map(|_| [0, 1]).collect());
    }
    // One path looks at all pairs of all operands, of all but one, and so on, and goes as deep.
    let n = operands as u64;
    if n.saturating_mul(n).saturating_mul(n) / 6 > work {
        return None;
    }
    // Two times the product of all sizes, once for every step, bounds every number of the search.
    let sizes = graph.equation().labels().map(|label| Cost::from(graph.extent(label).max(1)));
    let product = sizes.fold(Cost::ONE, |all, size| &all * &size);
    let most = &product * &Cost::from(2 * operands);
    if most.to_u128().is_some_and(|most| u64::try_from(most).is_ok()) {
        Search::<u64>::new(graph, work).run()
    } else if most.to_u128().is_some() {
        Search::<u128>::new(graph, work).run()
    } else {
        Search::<Cost>::new(graph, work).run()
    }
}

/// A set of labels, 64 to a word.
type Labels = Box<[u64]>;

/// The place of a set of labels among those that occurred.
type Known = u32;

struct Search<N> {
    sizes: Vec<N>,
    output: Labels,
    known: Vec<Labels>,
    places: HashMap<Labels, Known>,
    /// The result and the cost of a pair, as they were when it was met first.
    pairs: HashMap<(Known, Known), (Known, N)>,
    /// The label set of every id made so far.
    ids: Vec<Known>,
    steps: Vec<[usize; 2]>,
    best: Option<(N, Vec<[usize; 2]>)>,
    work: u64,
}

impl<N: Number> Search<N> {
    fn new(graph: &ContractionGraph, work: u64) -> Self {
        let sizes: Vec<N> = graph.equation().labels().map(|label| N::saturated(graph.extent(label) as u128)).collect();
        let words = sizes.len().div_ceil(64).max(1);
        let set = |labels: &mut dyn Iterator<Item = usize>| -> Labels {
            let mut set = vec![0; words];
            labels.for_each(|label| set[label / 64] |= 1 << (label % 64));
            set.into()
        };
        let output = set(&mut graph.equation().output().iter().map(|label| label.index()));
        let mut search = Self {
            sizes,
            output,
            known: Vec::new(),
            places: HashMap::new(),
            pairs: HashMap::new(),
            ids: Vec::new(),
            steps: Vec::new(),
            best: None,
            work,
        };
        for operand in 0..graph.operands() {
            let labels = set(&mut graph.labels_of(operand).into_iter().map(|(label, _)| label.index()));
            let place = search.place(labels);
            search.ids.push(place);
        }
        search
    }

    fn run(mut self) -> Option<Vec<[usize; 2]>> {
        let remaining = IdSet::range(self.ids.len());
        self.visit(&remaining, &N::ZERO)?;
        self.best.map(|(_, steps)| steps)
    }

    /// Looks at every pair of `remaining`; none where the work is used up.
    fn visit(&mut self, remaining: &IdSet, flops: &N) -> Option<()> {
        let order: Vec<usize> = remaining.members().collect();
        if order.len() == 1 {
            self.best = Some((flops.clone(), self.steps.clone()));
            return Some(());
        }
        for (at, &first) in order.iter().enumerate() {
            for &second in &order[at + 1..] {
                self.work = self.work.checked_sub(1)?;
                let [i, j] = if first < second { [first, second] } else { [second, first] };
                let (result, cost) = self.contract(&order, i, j);
                let total = flops.plus(&cost);
                if self.best.as_ref().is_some_and(|(best, _)| total >= *best) {
                    continue;
                }
                let id = self.ids.len();
                self.ids.push(result);
                self.steps.push([i, j]);
                self.visit(&remaining.replaced([i, j], id), &total)?;
                self.steps.pop();
                self.ids.pop();
            }
        }
        Some(())
    }

    /// The label set of a pair's result, and its cost.
    fn contract(&mut self, remaining: &[usize], i: usize, j: usize) -> (Known, N) {
        let key = (self.ids[i], self.ids[j]);
        if let Some(known) = self.pairs.get(&key) {
            return known.clone();
        }
        let mut keep = self.output.clone();
        for &other in remaining.iter().filter(|&&other| other != i && other != j) {
            keep.iter_mut().zip(&self.known[self.ids[other] as usize]).for_each(|(keep, labels)| *keep |= labels);
        }
        let (left, right) = (&self.known[key.0 as usize], &self.known[key.1 as usize]);
        let either: Labels = left.iter().zip(right).map(|(left, right)| left | right).collect();
        let summed = left.iter().zip(right).zip(&keep).any(|((left, right), keep)| left & right & !keep != 0);
        let labels = either
            .iter()
            .enumerate()
            .flat_map(|(word, &bits)| (0..64).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| 64 * word + bit));
        let size = N::ONE.product(labels.map(|label| &self.sizes[label]));
        let cost = if summed { size.plus(&size) } else { size };
        let result = self.place(either.iter().zip(&keep).map(|(either, keep)| either & keep).collect());
        self.pairs.insert(key, (result, cost.clone()));
        (result, cost)
    }

    fn place(&mut self, labels: Labels) -> Known {
        if let Some(&place) = self.places.get(&labels) {
            return place;
        }
        let place = self.known.len() as Known;
        self.known.push(labels.clone());
        self.places.insert(labels, place);
        place
    }
}
