//! Which row and which lane each value has.
//!
//! A row is a value, and lines run down to what is made of it. Of the two sides of a call the one that needs more lanes comes
//! first and goes on in the lane of the call; the other one is drawn below it, one lane to the right, just above the call. So a
//! tree of n operands needs no more than one lane more than the logarithm of n to base 2, however deep it is.

use super::drawing::{Drawing, Kind, Link};

/// Where the nodes of a drawing stand.
#[derive(Clone, Debug)]
pub(super) struct Lanes {
    /// By node.
    pub(super) lane: Vec<u32>,
    /// Nodes by row; those of one row from left to right.
    pub(super) rows: Vec<Vec<usize>>,
    /// The number of lanes.
    pub(super) count: u32,
}

/// Whether operands that enter a call from the right have rows of their own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Leaves {
    OwnRow,
    BesideTheirCall,
}

enum Visit {
    Enter(usize, u32),
    Leave(usize),
}

/// Gives each node its row and its lane.
pub(super) fn lanes(drawing: &Drawing, leaves: Leaves) -> Lanes {
    let nodes = &drawing.nodes;
    // Steps come after what they read, so that one pass counts the lanes of all subtrees.
    let mut need = vec![1_u32; nodes.len()];
    let mut is_read = vec![false; nodes.len()];
    for (at, node) in nodes.iter().enumerate() {
        let (first, second) = ordered(&node.links, &need);
        let needs = [first.map(|link| need[link.from]), second.map(|link| need[link.from] + 1)];
        need[at] = needs.into_iter().flatten().max().unwrap_or(1);
        node.links.iter().for_each(|link| is_read[link.from] = true);
    }
    let mut lane = vec![0; nodes.len()];
    let mut is_placed = vec![false; nodes.len()];
    let mut rows: Vec<Vec<usize>> = Vec::new();
    let mut roots: Vec<usize> = (0..nodes.len()).filter(|&node| !is_read[node] && node != drawing.output).collect();
    roots.push(drawing.output);
    let mut pending: Vec<Visit> = roots.iter().rev().map(|&root| Visit::Enter(root, 0)).collect();
    while let Some(visit) = pending.pop() {
        match visit {
            Visit::Enter(node, _) if is_placed[node] => {}
            Visit::Enter(node, at) => {
                is_placed[node] = true;
                lane[node] = at;
                pending.push(Visit::Leave(node));
                let (first, second) = ordered(&nodes[node].links, &need);
                if let Some(link) = second {
                    pending.push(Visit::Enter(link.from, at + 1));
                }
                if let Some(link) = first {
                    pending.push(Visit::Enter(link.from, at));
                }
            }
            Visit::Leave(node) => {
                let (_, second) = ordered(&nodes[node].links, &need);
                let beside = second.filter(|link| {
                    leaves == Leaves::BesideTheirCall
                        && nodes[link.from].kind == Kind::Operand
                        && rows.last().is_some_and(|row| row.as_slice() == [link.from])
                });
                match (beside, rows.last_mut()) {
                    (Some(_), Some(row)) => row.insert(0, node),
                    _ => rows.push(vec![node]),
                }
            }
        }
    }
    let count = lane.iter().copied().max().unwrap_or(0) + 1;
    Lanes { lane, rows, count }
}

/// What a node reads, in the order of the rows: what needs more lanes first, the lhs where both need as many.
pub(super) fn ordered<'l>(links: &'l [Link], need: &[u32]) -> (Option<&'l Link>, Option<&'l Link>) {
    match links {
        [lhs, rhs] if need[rhs.from] > need[lhs.from] => (Some(rhs), Some(lhs)),
        links => (links.first(), links.get(1)),
    }
}
