//! The steps that trees are made of: every way to split a set of operands in two, and the labels of that step.
//!
//! In come the equation's terms; out go sets of operands as bits of a byte, their splits, and the monomials that the
//! splits cost. At given sizes the cheapest tree's cost follows by looking at each split once, which is what every
//! excess is measured against.

use std::collections::BTreeMap;

use crate::path::terms::Terms;

/// The most operands of a family: their trees are all looked at, and of eight there are 135,135.
pub(super) const MOST_OPERANDS: usize = 7;

/// Labels that the same operands have, and that either all stay or are all summed: they stand in a step together.
#[derive(Clone, Debug)]
struct Class {
    holders: u8,
    is_kept: bool,
    /// Indices of the labels in the equation.
    labels: Vec<usize>,
}

/// A set of operands as what two others are joined to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Split {
    /// The part that has the set's first operand.
    pub(super) one: u8,
    pub(super) other: u8,
    /// What the step multiplies: an index among the monomials.
    pub(super) monomial: u16,
}

/// All steps of all trees.
#[derive(Clone, Debug)]
pub(super) struct Splits {
    operands: usize,
    classes: Vec<Class>,
    /// By monomial: its classes.
    monomials: Vec<Vec<u16>>,
    /// By set: its splits, those first that the search would prefer among equals.
    sets: Vec<Vec<Split>>,
}

impl Splits {
    /// The steps of no more than [`MOST_OPERANDS`] operands.
    pub(super) fn new(terms: &Terms) -> Self {
        let operands = terms.operands.len();
        debug_assert!(operands <= MOST_OPERANDS);
        let mut splits = Self { operands, classes: classes(terms), monomials: Vec::new(), sets: Vec::new() };
        let mut known: BTreeMap<Vec<u16>, u16> = BTreeMap::new();
        for set in 0..=splits.full() {
            let first = set & set.wrapping_neg();
            let rest = set ^ first;
            let mut of_set = Vec::new();
            let mut others = rest;
            while others != 0 {
                others = (others - 1) & rest;
                let (one, other) = (first | others, rest ^ others);
                let labels = splits.labels_of_step(one, other);
                let next = known.len() as u16;
                let monomial = *known.entry(labels).or_insert(next);
                of_set.push(Split { one, other, monomial });
            }
            // Of two parts that have the first operand, the one comes first that has the first operand in which they differ.
            of_set.sort_unstable_by_key(|split| std::cmp::Reverse(split.one.reverse_bits()));
            splits.sets.push(of_set);
        }
        let mut monomials: Vec<(Vec<u16>, u16)> = known.into_iter().collect();
        monomials.sort_unstable_by_key(|(_, index)| *index);
        splits.monomials = monomials.into_iter().map(|(labels, _)| labels).collect();
        splits
    }

    pub(super) fn operands(&self) -> usize {
        self.operands
    }

    /// The set of all operands.
    pub(super) fn full(&self) -> u8 {
        ((1_u16 << self.operands) - 1) as u8
    }

    /// The splits of a set; none of a single operand.
    pub(super) fn of(&self, set: u8) -> &[Split] {
        &self.sets[usize::from(set)]
    }

    /// How many different monomials there are.
    pub(super) fn monomials(&self) -> usize {
        self.monomials.len()
    }

    /// The labels of a monomial, rising.
    pub(super) fn labels(&self, monomial: u16) -> Vec<usize> {
        let classes = self.monomials[usize::from(monomial)].iter();
        let mut labels: Vec<usize> =
            classes.flat_map(|&class| &self.classes[usize::from(class)].labels).copied().collect();
        labels.sort_unstable();
        labels
    }

    /// What each monomial is at these sizes of the labels.
    pub(super) fn prices(&self, extents: &[usize], prices: &mut Vec<f64>) {
        let size = |class: &Class| class.labels.iter().fold(1.0, |size, &label| size * extents[label] as f64);
        let sizes: Vec<f64> = self.classes.iter().map(size).collect();
        let price = |classes: &Vec<u16>| classes.iter().fold(1.0, |price, &class| price * sizes[usize::from(class)]);
        prices.clear();
        prices.extend(self.monomials.iter().map(price));
    }

    /// The cost of the cheapest tree, where the monomials have these prices.
    pub(super) fn least(&self, prices: &[f64]) -> f64 {
        let mut least = [0.0_f64; 1 << MOST_OPERANDS];
        for (set, splits) in self.sets.iter().enumerate().filter(|(_, splits)| !splits.is_empty()) {
            let costs = splits.iter().map(|split| {
                least[usize::from(split.one)] + least[usize::from(split.other)] + prices[usize::from(split.monomial)]
            });
            least[set] = costs.fold(f64::INFINITY, f64::min);
        }
        least[usize::from(self.full())]
    }

    /// The classes in the step that joins two sets.
    fn labels_of_step(&self, one: u8, other: u8) -> Vec<u16> {
        let is_in = |class: &Class, set: u8| class.holders & set != 0 && (class.is_kept || class.holders & !set != 0);
        let classes = self.classes.iter().enumerate();
        let those = classes.filter(|(_, class)| is_in(class, one) || is_in(class, other));
        those.map(|(class, _)| class as u16).collect()
    }
}

fn classes(terms: &Terms) -> Vec<Class> {
    let mut holders = vec![0_u8; terms.extents.len()];
    for (operand, legs) in terms.operands.iter().enumerate() {
        for leg in legs {
            holders[leg.label as usize] |= 1 << operand;
        }
    }
    let mut classes: BTreeMap<(u8, bool), Vec<usize>> = BTreeMap::new();
    for (label, &holders) in holders.iter().enumerate().filter(|(_, holders)| **holders != 0) {
        classes.entry((holders, terms.kept[label])).or_default().push(label);
    }
    classes.into_iter().map(|((holders, is_kept), labels)| Class { holders, is_kept, labels }).collect()
}

/// By how much a cost is above the least, as a share of it; what rounding may make of equal sums is nothing.
pub(super) fn excess(cost: f64, least: f64) -> f64 {
    if cost <= least * (1.0 + ROUNDING) { 0.0 } else { cost / least - 1.0 }
}

/// Well above the rounding of a sum of a few products, and well below what anybody asks of a path.
const ROUNDING: f64 = 1.0 / (1_u64 << 40) as f64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::tests::graph;

    #[test]
    fn a_chain_of_three_has_its_steps() {
        let splits = Splits::new(&Terms::new(&graph("ab,bc,cd->ad", "")));
        // Three splits of the whole, and one for each of the three pairs; abd and acd stand for a pair and the rest.
        assert_eq!((splits.of(0b111).len(), splits.of(0b011).len(), splits.of(0b100).len()), (3, 1, 0));
        let labels: Vec<Vec<usize>> = splits.of(0b111).iter().map(|split| splits.labels(split.monomial)).collect();
        assert_eq!(labels, [vec![0, 2, 3], vec![0, 1, 2, 3], vec![0, 1, 3]]);
        let mut prices = Vec::new();
        splits.prices(&[2, 30, 4, 50], &mut prices);
        assert_eq!(splits.least(&prices), f64::from(2 * 30 * 4 + 2 * 4 * 50));
    }

    #[test]
    fn one_operand_costs_nothing_and_has_no_excess() {
        let splits = Splits::new(&Terms::new(&graph("ab->a", "")));
        assert_eq!((splits.monomials(), splits.least(&[])), (0, 0.0));
        assert_eq!((excess(0.0, 0.0), excess(3.0, 2.0), excess(1.0 + 1e-15, 1.0)), (0.0, 0.5, 0.0));
    }
}
