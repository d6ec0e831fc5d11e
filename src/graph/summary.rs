//! The graph in words and as data: what `qeinsum graph` prints.
//!
//! In comes a graph; out goes a [`GraphSummary`] to serialize, or its text. Neither decides anything.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ContractionGraph;
use crate::equation::Label;
use crate::span::printable_text;

/// Columns of a name that the text shows.
const NAME: usize = 80;

/// Everything that the graph knows, by name.
///
/// ```
/// let graph = qeinsum::QEinsum::new("iij,ik,x->k")?.graph(&[&[2, 2, 3], &[1, 4], &[5]])?;
/// let summary = graph.summary();
/// assert_eq!((summary.equation.as_str(), summary.operands), ("iij,ik,x->k", 3));
/// // Labels, connected parts, and what each operand loses before any step, all by name.
/// let i = &summary.labels[0];
/// assert_eq!((i.label.as_str(), i.size, i.output), ("i", 2, false));
/// assert_eq!((&i.operands[..], &i.broadcast[..]), (&[0, 1][..], &[1][..])); // it measures 1 in operand 1
/// assert_eq!((&summary.components[1].operands, &summary.components[1].labels), (&vec![2], &vec!["x".to_owned()]));
/// let reduction = &summary.free_reductions[0];
/// assert_eq!((reduction.operand, &reduction.diagonal[..]), (0, &["i".to_owned()][..]));
/// assert_eq!(reduction.summed, ["j"]);
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GraphSummary {
    /// The equation in its own syntax.
    pub equation: String,
    /// The number of operands.
    pub operands: usize,
    /// The labels, in order.
    pub labels: Vec<LabelSummary>,
    /// The connected parts.
    pub components: Vec<ComponentSummary>,
    /// What is reduced before any step.
    pub free_reductions: Vec<ReductionSummary>,
}

/// One label: its size and who has it.
///
/// ```
/// let summary = qeinsum::QEinsum::new("iij,ik,x->k")?.graph(&[&[2, 2, 3], &[1, 4], &[5]])?.summary();
/// let k = &summary.labels[2];
/// assert_eq!((k.label.as_str(), k.size, &k.operands[..], k.output), ("k", 4, &[1][..], true));
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LabelSummary {
    /// Its name.
    pub label: String,
    /// Its extent.
    pub size: usize,
    /// The operands that have it, in order.
    pub operands: Vec<usize>,
    /// Those of them in which it measures 1 and broadcasts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub broadcast: Vec<usize>,
    /// Whether the output has it.
    pub output: bool,
}

/// Operands that labels join to each other, and to no other operand.
///
/// ```
/// let summary = qeinsum::QEinsum::new("iij,ik,x->k")?.graph(&[&[2, 2, 3], &[1, 4], &[5]])?.summary();
/// assert_eq!(summary.components.len(), 2); // no label joins operand 2 to the others
/// let first = &summary.components[0];
/// assert_eq!((&first.operands[..], first.labels.concat()), (&[0, 1][..], "ijk".to_owned()));
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ComponentSummary {
    /// The operands, in order.
    pub operands: Vec<usize>,
    /// Their labels, in order.
    pub labels: Vec<String>,
}

/// What one operand loses before any step.
///
/// ```
/// let summary = qeinsum::QEinsum::new("iij,ik,x->k")?.graph(&[&[2, 2, 3], &[1, 4], &[5]])?.summary();
/// let sums: Vec<(usize, String)> =
///     summary.free_reductions.iter().map(|reduction| (reduction.operand, reduction.summed.concat())).collect();
/// assert_eq!(sums, [(0, "j".to_owned()), (2, "x".to_owned())]);
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReductionSummary {
    /// The operand.
    pub operand: usize,
    /// Labels whose diagonal is taken.
    pub diagonal: Vec<String>,
    /// Labels that are summed.
    pub summed: Vec<String>,
}

impl ContractionGraph {
    /// The graph as data, for a program to read.
    pub fn summary(&self) -> GraphSummary {
        let equation = self.equation();
        let names = |labels: &[Label]| labels.iter().map(|&label| equation.name(label).to_owned()).collect();
        let mut broadcast: Vec<Vec<usize>> = vec![Vec::new(); equation.labels().len()];
        for operand in 0..self.operands() {
            for (label, extent) in self.labels_of(operand) {
                if extent != self.extent(label) {
                    broadcast[label.index()].push(operand);
                }
            }
        }
        let labels = equation
            .labels()
            .zip(broadcast)
            .map(|(label, broadcast)| LabelSummary {
                label: equation.name(label).to_owned(),
                size: self.extent(label),
                operands: self.holders(label),
                broadcast,
                output: self.is_output(label),
            })
            .collect();
        let components = self
            .components()
            .into_iter()
            .map(|operands| {
                let mut labels: Vec<Label> =
                    operands.iter().flat_map(|&operand| equation.operands()[operand].iter().copied()).collect();
                labels.sort_unstable();
                labels.dedup();
                ComponentSummary { operands, labels: names(&labels) }
            })
            .collect();
        let free_reductions = self
            .free_reductions()
            .into_iter()
            .map(|free| ReductionSummary {
                operand: free.operand,
                diagonal: names(&free.diagonal),
                summed: names(&free.summed),
            })
            .collect();
        GraphSummary { equation: equation.to_string(), operands: self.operands(), labels, components, free_reductions }
    }
}

/// The text of `qeinsum graph`: components, labels with sizes and holders, free reductions.
impl fmt::Display for ContractionGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.summary().fmt(f)
    }
}

impl fmt::Display for GraphSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "graph {}", self.equation)?;
        for (index, component) in self.components.iter().enumerate() {
            write!(f, "component {index}: operands {}", numbers(&component.operands))?;
            if !component.labels.is_empty() {
                write!(f, "; labels {}", names(&component.labels))?;
            }
            writeln!(f)?;
        }
        for label in &self.labels {
            let name = printable_text(&label.label, NAME);
            write!(f, "label {name}: size {}, in {}", label.size, numbers(&label.operands))?;
            if !label.broadcast.is_empty() {
                write!(f, ", broadcast in {}", numbers(&label.broadcast))?;
            }
            writeln!(f, "{}", if label.output { ", output" } else { "" })?;
        }
        for free in &self.free_reductions {
            write!(f, "operand {}:", free.operand)?;
            let mut space = " ";
            for (verb, labels) in [("diagonal of", &free.diagonal), ("sum over", &free.summed)] {
                if !labels.is_empty() {
                    write!(f, "{space}{verb} {}", names(labels))?;
                    space = ", ";
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

fn numbers(operands: &[usize]) -> String {
    operands.iter().map(usize::to_string).collect::<Vec<_>>().join(" ")
}

fn names(labels: &[String]) -> String {
    labels.iter().map(|label| printable_text(label, NAME)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use crate::graph::GraphSummary;
    use crate::graph::tests::graph;

    #[test]
    fn the_text_names_every_part() {
        let expected = "graph iij,jk,x,->k\n\
            component 0: operands 0 1; labels i j k\n\
            component 1: operands 2; labels x\n\
            component 2: operands 3\n\
            label i: size 5, in 0\n\
            label j: size 2, in 0 1\n\
            label k: size 2, in 1, output\n\
            label x: size 2, in 2\n\
            operand 0: diagonal of i, sum over i\n\
            operand 2: sum over x\n";
        assert_eq!(graph("iij,jk,x,->k", "i=5").to_string(), expected);
    }

    #[test]
    fn the_summary_survives_json() {
        let summary = graph("iij,jk,x,->k", "i=5").summary();
        let text = serde_json::to_string(&summary).unwrap();
        assert_eq!(serde_json::from_str::<GraphSummary>(&text).unwrap(), summary);
        assert!(text.contains(r#"{"operands":[3],"labels":[]}"#), "{text}");
    }
}
