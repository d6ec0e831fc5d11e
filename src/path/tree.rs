//! Contraction trees as steps, and the one path that a tree prints as.
//!
//! In come the joins of a tree in any order that makes an operand before it is used; out goes its canonical
//! [`Path`]. Nothing here knows labels.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

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
