//! Contraction trees as steps, and the one path that a tree prints as.
//!
//! In come the joins of a tree in any order that makes an operand before it is used; out goes its canonical
//! [`Path`]. Labels count only where memory does.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::terms::Terms;
use crate::error::{Error, ErrorKind};
use crate::path::Path;

/// The steps of a tree in ids that are never reused, in canonical order.
///
/// Of the steps whose operands are there, the one with the lowest id comes next; no two steps share an operand. A
/// result takes the next id when its step comes.
pub(super) fn canonical(joins: &[[usize; 2]]) -> Vec<[usize; 2]> {
    let operands = joins.len() + 1;
    // Per value: its id once made, and the join that uses it.
    let mut ids: Vec<Option<usize>> = (0..operands + joins.len()).map(|id| (id < operands).then_some(id)).collect();
    let mut user = vec![None; ids.len()];
    for (join, pair) in joins.iter().enumerate() {
        for &value in pair {
            user[value] = Some(join);
        }
    }
    let mut ready = BinaryHeap::new();
    let offer = |ready: &mut BinaryHeap<_>, ids: &[Option<usize>], join: usize| {
        let [a, b] = joins[join];
        if let (Some(a), Some(b)) = (ids[a], ids[b]) {
            ready.push(Reverse(([a.min(b), a.max(b)], join)));
        }
    };
    for join in 0..joins.len() {
        offer(&mut ready, &ids, join);
    }
    let mut steps = Vec::with_capacity(joins.len());
    while let Some(Reverse((pair, join))) = ready.pop() {
        ids[operands + join] = Some(operands + steps.len());
        steps.push(pair);
        if let Some(next) = user[operands + join] {
            offer(&mut ready, &ids, next);
        }
    }
    steps
}

/// The joins of a tree that is put together from trees of its parts.
#[derive(Debug)]
pub(super) struct Assembly {
    operands: usize,
    pub(super) joins: Vec<[usize; 2]>,
}

impl Assembly {
    /// Of so many operands in all.
    pub(super) fn new(operands: usize) -> Self {
        Self { operands, joins: Vec::with_capacity(operands.saturating_sub(1)) }
    }

    /// Adds the steps of a part whose operands have these ids in the whole; the id of its result, if it has operands.
    pub(super) fn add(&mut self, steps: &[[usize; 2]], mut ids: Vec<usize>) -> Option<usize> {
        for &[a, b] in steps {
            self.joins.push([ids[a], ids[b]]);
            ids.push(self.operands + self.joins.len() - 1);
        }
        ids.last().copied()
    }
}

/// The steps of a tree in the order that needs the least memory when every result is freed after its use: of the two sides
/// of a step, that goes first which needs more beside its result.
///
/// R. Sethi and J. D. Ullman, *The generation of optimal code for arithmetic expressions*, 1970.
pub(super) fn frugal(terms: &Terms, steps: &[[usize; 2]]) -> Vec<[usize; 2]> {
    let operands = terms.operands.len();
    let values = terms.values(steps);
    let size = |value: usize| {
        let wide = values[value].iter().filter(|leg| leg.wide);
        wide.fold(1.0, |size, leg| size * terms.extents[leg.label as usize] as f64)
    };
    // By value: its elements, and the most that its making needs. Operands are there anyway.
    let mut need = vec![(0.0_f64, 0.0_f64); values.len()];
    let mut first = vec![0; steps.len()];
    for (step, &[a, b]) in steps.iter().enumerate() {
        let ((a_size, a_peak), (b_size, b_peak)) = (need[a], need[b]);
        let [a_first, b_first] = [a_peak.max(a_size + b_peak), b_peak.max(b_size + a_peak)];
        first[step] = usize::from(b_first < a_first);
        let own = size(operands + step);
        need[operands + step] = (own, a_first.min(b_first).max(a_size + b_size + own));
    }
    let mut ids: Vec<usize> = (0..values.len()).collect();
    let mut ordered = Vec::with_capacity(steps.len());
    let mut open: Vec<(usize, usize)> = steps.len().checked_sub(1).map(|last| (last, 0)).into_iter().collect();
    while let Some((step, visited)) = open.pop() {
        if visited < 2 {
            open.push((step, visited + 1));
            let child = steps[step][(first[step] + visited) % 2];
            if child >= operands {
                open.push((child - operands, 0));
            }
            continue;
        }
        let [a, b] = steps[step].map(|value| ids[value]);
        ordered.push([a.min(b), a.max(b)]);
        ids[operands + step] = operands + ordered.len() - 1;
    }
    ordered
}

/// That a path is for another number of operands.
pub(super) fn unfit(path: &Path, operands: usize) -> Error {
    let plural = if path.operands() == 1 { "" } else { "s" };
    let message = format!("the path contracts {} operand{plural}, but the equation has {operands}", path.operands());
    Error::new(ErrorKind::Path, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_tree_has_one_order() {
        // ((0,1),(2,3)),4 and a chain, in the orders in which they can be written.
        type Joins = &'static [[usize; 2]];
        let cases: &[(Joins, Joins)] = &[
            (&[[3, 2], [1, 0], [5, 6], [4, 7]], &[[0, 1], [2, 3], [5, 6], [4, 7]]),
            (&[[0, 1], [2, 3], [6, 5], [7, 4]], &[[0, 1], [2, 3], [5, 6], [4, 7]]),
            (&[[3, 4], [2, 5], [6, 1], [0, 7]], &[[3, 4], [2, 5], [1, 6], [0, 7]]),
            (&[], &[]),
        ];
        for (joins, expected) in cases {
            assert_eq!(canonical(joins), *expected);
        }
    }
}
