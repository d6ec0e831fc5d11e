//! The contraction graph: who shares a label with whom.
//!
//! In come an [`Equation`](crate::Equation) and its [`Sizes`](crate::Sizes); out goes a [`ContractionGraph`], which
//! everything before the path reads. Nothing here chooses an order, and nothing here knows axes of results.
//!
//! ```
//! let graph = qeinsum::QEinsum::new("ij,jk,l->ikl")?.graph(&[&[2, 3], &[3, 4], &[5]])?;
//! let j = graph.equation().label("j").expect("the equation has it");
//! assert_eq!(graph.holders(j), [0, 1]);
//! assert_eq!(graph.components(), [vec![0, 1], vec![2]]);
//! # Ok::<(), qeinsum::Error>(())
//! ```

mod contraction;
mod dot;
mod summary;

pub use contraction::{ContractionGraph, FreeReduction};
pub(crate) use dot::quoted;
pub use summary::{ComponentSummary, GraphSummary, LabelSummary, ReductionSummary};

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use super::ContractionGraph;
    use crate::{Equation, Sizes, Syntax};

    /// The graph of a compact equation without ellipsis: `graph("ij,jk->ik", "i=2 j=3")`; other labels measure 2.
    pub(crate) fn graph(text: &str, sizes: &str) -> ContractionGraph {
        let (operands, output) = text.split_once("->").unwrap();
        let letters = |term: &str| term.chars().map(String::from).collect::<Vec<_>>();
        let operands: Vec<Vec<String>> = operands.split(',').map(letters).collect();
        let equation = Equation::new(Syntax::Compact, &operands, &letters(output)).unwrap();
        let mut by_name: BTreeMap<String, usize> =
            equation.labels().map(|label| (equation.name(label).to_owned(), 2)).collect();
        for (name, size) in sizes.split_whitespace().map(|pair| pair.split_once('=').unwrap()) {
            by_name.insert(name.to_owned(), size.parse().unwrap());
        }
        let shapes: Vec<Vec<usize>> =
            operands.iter().map(|labels| labels.iter().map(|label| by_name[label]).collect()).collect();
        ContractionGraph::new(&equation, &Sizes::new(&equation, &shapes).unwrap())
    }
}
