//! The order that would be taken if the best one were not there.
//!
//! Up to [`ALL`] operands every other tree is looked at, beyond that those one exchange away: in each of them one operand
//! of a step and one of the steps that make its other operand have changed places.

use super::options::SearchOptions;
use super::scored::Scoring;
use super::terms::Terms;
use super::tree::{canonical, unfit};
use super::{Cost, Path};
use crate::error::Result;
use crate::graph::ContractionGraph;

/// The most operands of which every tree is looked at: 10,395 trees of them.
const ALL: usize = 7;
/// The most operands of which any are: what is looked at grows with their square.
const MOST: usize = 1000;

/// Which orders were looked at for the next best one.
///
/// ```
/// use qeinsum::path::{Among, SearchOptions, next_best};
/// use qeinsum::QEinsum;
/// let qe = QEinsum::new("ab,bc,cd->ad")?;
/// let shapes: [&[usize]; 3] = [&[2, 3], &[3, 4], &[4, 5]];
/// let next = next_best(&qe.graph(&shapes)?, &SearchOptions::new(), qe.plan(&shapes)?.path())?;
/// assert_eq!(next.map(|next| next.among), Some(Among::All)); // of so few operands all orders
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Among {
    /// All but the one that was given.
    All,
    /// Those whose trees are one exchange away from it.
    Neighbours,
}

/// The cheapest order beside one that is taken.
///
/// ```
/// use qeinsum::path::{SearchOptions, next_best};
/// use qeinsum::QEinsum;
/// let qe = QEinsum::new("ab,bc,cd->ad")?;
/// let shapes: [&[usize]; 3] = [&[2, 3], &[3, 4], &[4, 5]];
/// let (graph, path) = (qe.graph(&shapes)?, "(0,1) (0,1)".parse()?);
/// let next = next_best(&graph, &SearchOptions::new(), &path)?.expect("there are three");
/// assert_eq!((next.path.to_string(), next.score.to_string()), ("(1,2) (0,1)".to_owned(), "90".to_owned()));
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NextBest {
    /// The order.
    pub path: Path,
    /// Its score for the objective of the search.
    pub score: Cost,
    /// Which orders were looked at.
    pub among: Among,
}

/// The cheapest order beside `path`, by the objective of `options`; none for fewer than three operands, which have one
/// order, and for more than 1,000, where it is not looked for. Of equally cheap ones the first counts.
///
/// An error where the path does not have the graph's number of operands.
///
/// ```
/// use qeinsum::graph::ContractionGraph;
/// use qeinsum::path::{SearchOptions, next_best, search};
/// use qeinsum::{Equation, Sizes, Syntax};
/// let chain = Equation::new(Syntax::Compact, &[vec!["a", "b"], vec!["b", "c"], vec!["c", "d"]], &["a", "d"])?;
/// let graph = ContractionGraph::new(&chain, &Sizes::new(&chain, &[[2, 3], [3, 4], [4, 5]])?);
/// let options = SearchOptions::new();
/// let best = search(&graph, &options)?.path;
/// let next = next_best(&graph, &options, &best)?.expect("three operands have three orders");
/// assert_eq!((best.to_string(), next.path.to_string()), ("(0,1) (0,1)".to_owned(), "(1,2) (0,1)".to_owned()));
/// assert_eq!((next.score.to_string()), "90");
/// # Ok::<(), qeinsum::Error>(())
/// ```
pub fn next_best(graph: &ContractionGraph, options: &SearchOptions, path: &Path) -> Result<Option<NextBest>> {
    let operands = graph.operands();
    if path.operands() != operands {
        return Err(unfit(path, operands));
    }
    if !(3..=MOST).contains(&operands) {
        return Ok(None);
    }
    let terms = Terms::new(graph);
    let scoring = Scoring { terms: &terms, scorer: options.scorer() };
    let own = canonical(&path.ssa());
    let mut best: Option<(Cost, Vec<[usize; 2]>)> = None;
    let mut look = |joins: &[[usize; 2]]| {
        let steps = canonical(joins);
        if steps == own {
            return;
        }
        let score = scoring.as_made(steps.clone()).score;
        if best.as_ref().is_none_or(|(least, _)| score < *least) {
            best = Some((score, steps));
        }
    };
    let among = if operands <= ALL {
        every_tree(operands, &mut look);
        Among::All
    } else {
        neighbours(&own, &mut look);
        Among::Neighbours
    };
    best.map(|(score, steps)| Ok(NextBest { path: Path::from_ssa(&steps)?, score, among })).transpose()
}

/// Shows each tree of so many operands once: operand `n` is joined to each edge of each tree of those before it.
fn every_tree(operands: usize, look: &mut impl FnMut(&[[usize; 2]])) {
    // A node is an operand, or `operands` and the place of its join.
    fn grow(
        joins: &mut Vec<[usize; 2]>,
        root: usize,
        next: usize,
        operands: usize,
        look: &mut impl FnMut(&[[usize; 2]]),
    ) {
        if next == operands {
            return look(joins);
        }
        let node = operands + joins.len();
        // Above the root, and then above each operand of each join.
        joins.push([root, next]);
        grow(joins, node, next + 1, operands, look);
        joins.pop();
        for join in 0..joins.len() {
            for side in 0..2 {
                let below = joins[join][side];
                joins.push([below, next]);
                joins[join][side] = node;
                grow(joins, root, next + 1, operands, look);
                joins[join][side] = below;
                joins.pop();
            }
        }
    }
    grow(&mut Vec::new(), 0, 1, operands, look);
}

/// Shows each tree that is one exchange away.
fn neighbours(steps: &[[usize; 2]], look: &mut impl FnMut(&[[usize; 2]])) {
    let operands = steps.len() + 1;
    let mut joins = steps.to_vec();
    for step in 0..steps.len() {
        for side in 0..2 {
            let (child, other) = (steps[step][side], steps[step][1 - side]);
            let Some(made) = child.checked_sub(operands) else { continue };
            let [a, b] = steps[made];
            for (stays, goes) in [(a, b), (b, a)] {
                joins[made] = [stays, other];
                joins[step] = [child, goes];
                look(&joins);
            }
            (joins[made], joins[step]) = (steps[made], steps[step]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_tree_is_shown_once() {
        for (operands, count) in [(2, 1), (3, 3), (4, 15), (5, 105), (6, 945)] {
            let mut trees = BTreeSet::new();
            let mut shown = 0;
            every_tree(operands, &mut |joins| {
                trees.insert(canonical(joins));
                shown += 1;
            });
            assert_eq!((trees.len(), shown), (count, count), "{operands}");
        }
    }

    #[test]
    fn neighbours_are_other_trees() {
        let chain = [[0, 1], [2, 4], [3, 5]];
        let mut trees = BTreeSet::new();
        neighbours(&chain, &mut |joins| {
            trees.insert(canonical(joins));
        });
        assert!(trees.len() == 4 && !trees.contains(&canonical(&chain)), "{trees:?}");
    }
}
