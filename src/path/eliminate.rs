//! Elimination orders: sum the labels one after another, the cheapest first.
//!
//! In come [`Terms`]; out go the joins of a tree. To sum a label, all operands that have it are joined. What is cheap is
//! told by what is left of them: its size, or the pairs of labels that meet in it for the first time. On graphical
//! models and other networks of hyperedges such trees are far better than those of pair greedies.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::logs::{Log, of_size};
use super::terms::Terms;

/// What is eliminated first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rule {
    /// The label whose operands leave the smallest result.
    Degree,
    /// The label whose operands bring together the fewest labels that were apart, each pair weighed by its size.
    Fill,
}

/// Labels around one beyond which pairs of them are not counted.
const MANY: usize = 256;

/// The joins of a tree by a rule; among equals, the label named first in the equation goes first.
///
/// None where more than `work` labels would have to be looked at.
pub(super) fn eliminate(terms: &Terms, rule: Rule, work: u64) -> Option<Vec<[usize; 2]>> {
    let mut elimination = Elimination::new(terms, rule);
    for label in 0..terms.extents.len() as u32 {
        if !terms.kept[label as usize] && !elimination.holders[label as usize].is_empty() {
            elimination.offer(label);
        }
    }
    while let Some(Reverse((_, label, version))) = elimination.heap.pop() {
        if elimination.versions[label as usize] != version || elimination.holders[label as usize].is_empty() {
            continue;
        }
        if elimination.looked > work {
            return None;
        }
        let result = elimination.eliminate(label);
        let legs = elimination.values[result].clone();
        for label in legs {
            if !terms.kept[label as usize] {
                elimination.offer(label);
            }
        }
    }
    let left = (0..elimination.values.len()).filter(|&id| elimination.alive[id]).collect();
    elimination.join_all(left);
    Some(elimination.joins)
}

struct Elimination<'a> {
    terms: &'a Terms,
    rule: Rule,
    logs: Vec<Log>,
    /// Operands and results by id: their labels, sorted; empty once joined.
    values: Vec<Vec<u32>>,
    alive: Vec<bool>,
    /// Per label: the ids that have it.
    holders: Vec<Vec<usize>>,
    /// Per label: which of its offers is the newest.
    versions: Vec<u32>,
    heap: BinaryHeap<Reverse<(Log, u32, u32)>>,
    joins: Vec<[usize; 2]>,
    /// Per label: when it was last seen.
    seen: Vec<u64>,
    now: u64,
    /// Labels looked at.
    looked: u64,
}

impl<'a> Elimination<'a> {
    fn new(terms: &'a Terms, rule: Rule) -> Self {
        let labels = terms.extents.len();
        let mut holders = vec![Vec::new(); labels];
        let values: Vec<Vec<u32>> =
            terms.operands.iter().map(|legs| legs.iter().map(|leg| leg.label).collect()).collect();
        for (id, legs) in values.iter().enumerate() {
            for &label in legs {
                holders[label as usize].push(id);
            }
        }
        Self {
            terms,
            rule,
            logs: terms.extents.iter().map(|&size| of_size(size)).collect(),
            alive: vec![true; values.len()],
            values,
            holders,
            versions: vec![0; labels],
            heap: BinaryHeap::new(),
            joins: Vec::new(),
            seen: vec![0; labels],
            now: 0,
            looked: 0,
        }
    }

    /// The labels that the operands of a label have beside it.
    fn neighbours(&mut self, label: u32) -> Vec<u32> {
        self.now += 1;
        self.seen[label as usize] = self.now;
        let mut around = Vec::new();
        for &id in &self.holders[label as usize] {
            self.looked += self.values[id].len() as u64;
            for &other in &self.values[id] {
                if self.seen[other as usize] != self.now {
                    self.seen[other as usize] = self.now;
                    around.push(other);
                }
            }
        }
        around
    }

    fn offer(&mut self, label: u32) {
        let around = self.neighbours(label);
        let size: Log = around.iter().map(|&other| self.logs[other as usize]).sum();
        let score = match self.rule {
            Rule::Degree => size,
            Rule::Fill if around.len() > MANY => (size >> 6) * (size >> 6),
            Rule::Fill => self.fill(&around),
        };
        let version = self.versions[label as usize] + 1;
        self.versions[label as usize] = version;
        self.heap.push(Reverse((score, label, version)));
    }

    /// The weight of the pairs of `around` that no operand has both of.
    fn fill(&mut self, around: &[u32]) -> Log {
        let mut fill = 0;
        for (at, &label) in around.iter().enumerate() {
            self.neighbours(label);
            self.looked += (around.len() - at) as u64;
            let apart = around[at + 1..].iter().filter(|&&other| self.seen[other as usize] != self.now);
            // Ten bits after the point are plenty, and products of them do not overflow.
            let weight: Log = apart.map(|&other| self.logs[other as usize] >> 6).sum();
            fill += weight * (self.logs[label as usize] >> 6);
        }
        fill
    }

    /// Joins the operands of a label, which is summed with the last of these joins.
    fn eliminate(&mut self, label: u32) -> usize {
        let holders = self.holders[label as usize].clone();
        self.join_all(holders)
    }

    /// Joins values, the smallest first.
    fn join_all(&mut self, ids: Vec<usize>) -> usize {
        let weigh = |values: &[Vec<u32>], logs: &[Log], id: usize| -> Log {
            values[id].iter().map(|&label| logs[label as usize]).sum()
        };
        let mut heap: BinaryHeap<Reverse<(Log, usize)>> =
            ids.into_iter().map(|id| Reverse((weigh(&self.values, &self.logs, id), id))).collect();
        loop {
            let Some(Reverse((_, a))) = heap.pop() else { return 0 };
            let Some(Reverse((_, b))) = heap.pop() else { return self.sum_lone(a) };
            let result = self.join(a, b);
            heap.push(Reverse((weigh(&self.values, &self.logs, result), result)));
        }
    }

    fn join(&mut self, a: usize, b: usize) -> usize {
        let id = self.values.len();
        self.joins.push([a, b]);
        let mut legs = std::mem::take(&mut self.values[a]);
        legs.extend(std::mem::take(&mut self.values[b]));
        legs.sort_unstable();
        legs.dedup();
        self.alive[a] = false;
        self.alive[b] = false;
        legs.retain(|&label| {
            let holders = &mut self.holders[label as usize];
            for old in [a, b] {
                // Ids rise along the list.
                if let Ok(at) = holders.binary_search(&old) {
                    holders.remove(at);
                }
            }
            let dies = holders.is_empty() && !self.terms.kept[label as usize];
            if !dies {
                holders.push(id);
            }
            !dies
        });
        self.values.push(legs);
        self.alive.push(true);
        id
    }

    /// Forgets the labels that only this value has, which a step before has summed.
    fn sum_lone(&mut self, id: usize) -> usize {
        let (holders, terms) = (&mut self.holders, self.terms);
        self.values[id].retain(|&label| {
            let lone = holders[label as usize].len() == 1 && !terms.kept[label as usize];
            if lone {
                holders[label as usize].clear();
            }
            !lone
        });
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::tests::graph;
    use crate::path::tree::canonical;

    #[test]
    fn every_label_goes_and_every_operand_is_joined() {
        // Both rules take the ends of a chain first; hyperedges, lone labels, scalars and separate parts are whole.
        let cases = [
            ("ab,bc,cd,de->", "", Some(4 + 4 + 2)),
            ("xa,xb,xc,x->", "x=9", None),
            ("a,b,,cd->abd", "", None),
            (",,->", "", Some(2)),
            ("ab,ab,ab->", "a=3 b=5", Some(30)),
        ];
        for (text, sizes, expected) in cases {
            let terms = Terms::new(&graph(text, sizes));
            for rule in [Rule::Degree, Rule::Fill] {
                let joins = eliminate(&terms, rule, u64::MAX).unwrap();
                assert_eq!(joins.len(), terms.operands.len() - 1, "{text}");
                let cost = terms.cost(&canonical(&joins)).multiplications.to_u128();
                assert!(expected.is_none_or(|expected| cost == Some(expected)), "{text} {rule:?}: {cost:?}");
            }
        }
    }

    #[test]
    fn a_label_on_thousands_of_operands_is_no_trouble() {
        let text = vec!["ab"; 3000].join(",") + "->a";
        let terms = Terms::new(&graph(&text, "a=2 b=3"));
        assert_eq!(eliminate(&terms, Rule::Fill, u64::MAX).unwrap().len(), 2999);
    }
}
