//! The graph itself, on petgraph: operands and labels are its two kinds of node.
//!
//! In come an equation and sizes; out go holders, components and the reductions that cost nothing. A label may join
//! any number of operands, so it is a node and not an edge.

use petgraph::graph::{NodeIndex, UnGraph};
use petgraph::visit::{Dfs, EdgeRef as _};

use crate::equation::{Equation, Label};
use crate::sizes::Sizes;

/// A node of the graph.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Node {
    Operand(usize),
    Label { label: Label, extent: usize, output: bool },
}

/// That an operand has a label: what the label measures there, and on how many of the operand's axes it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Bond {
    extent: usize,
    axes: usize,
}

/// The operands and labels of an equation with sizes, joined where an operand has a label.
///
/// ```
/// use qeinsum::graph::ContractionGraph;
/// use qeinsum::{Equation, Sizes, Syntax};
/// let equation = Equation::new(Syntax::Compact, &[vec!["i", "j"], vec!["j", "k"], vec!["x"]], &["i", "k"])?;
/// let sizes = Sizes::new(&equation, &[[2, 3].as_slice(), &[3, 4], &[5]])?;
/// let graph = ContractionGraph::new(&equation, &sizes);
/// assert_eq!(graph.components(), [vec![0, 1], vec![2]]);
/// let [i, j] = ["i", "j"].map(|name| graph.equation().label(name).expect("the equation has it"));
/// assert_eq!((graph.operands(), graph.holders(j)), (3, vec![0, 1]));
/// assert_eq!((graph.extent(j), graph.is_output(i), graph.is_output(j)), (3, true, false));
/// assert_eq!(graph.labels_of(0), [(i, 2), (j, 3)]);
/// assert_eq!(graph.free_reductions().len(), 1); // x stands in operand 2 alone: it is summed before any step
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ContractionGraph {
    equation: Equation,
    nodes: UnGraph<Node, Bond>,
    operands: Vec<NodeIndex>,
    labels: Vec<NodeIndex>,
}

/// What can be done to one operand before any step, at no cost: both only shrink it.
///
/// ```
/// use qeinsum::graph::FreeReduction;
/// let graph = qeinsum::QEinsum::new("iij,ik->k")?.graph(&[&[2, 2, 3], &[2, 4]])?;
/// let [i, j] = ["i", "j"].map(|name| graph.equation().label(name).expect("the equation has it"));
/// assert_eq!(graph.free_reductions(), [FreeReduction { operand: 0, diagonal: vec![i], summed: vec![j] }]);
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct FreeReduction {
    /// The operand, numbered as written.
    pub operand: usize,
    /// Labels that stand on more than one of its axes: their diagonal is taken.
    pub diagonal: Vec<Label>,
    /// Labels that no other operand and not the output has: they are summed.
    pub summed: Vec<Label>,
}

impl ContractionGraph {
    /// The graph of an equation whose labels and operands measure `sizes`.
    ///
    /// # Panics
    ///
    /// Where the sizes were bound to another equation.
    pub fn new(equation: &Equation, sizes: &Sizes) -> Self {
        let mut nodes = UnGraph::default();
        let mut output = vec![false; equation.labels().len()];
        for &label in equation.output().iter() {
            output[label.index()] = true;
        }
        let labels: Vec<NodeIndex> = equation
            .labels()
            .map(|label| {
                nodes.add_node(Node::Label { label, extent: sizes.extent(label), output: output[label.index()] })
            })
            .collect();
        let mut operands = Vec::with_capacity(equation.operands().len());
        for (operand, (subscript, shape)) in equation.operands().iter().zip(sizes.shapes()).enumerate() {
            let node = nodes.add_node(Node::Operand(operand));
            operands.push(node);
            let mut axes: Vec<(Label, usize)> = subscript.iter().copied().zip(shape.iter().copied()).collect();
            axes.sort_unstable_by_key(|&(label, _)| label);
            for same in axes.chunk_by(|a, b| a.0 == b.0) {
                let (label, extent) = same[0];
                nodes.add_edge(node, labels[label.index()], Bond { extent, axes: same.len() });
            }
        }
        Self { equation: equation.clone(), nodes, operands, labels }
    }

    /// The equation that the graph was made from.
    pub fn equation(&self) -> &Equation {
        &self.equation
    }

    /// The number of operands.
    pub fn operands(&self) -> usize {
        self.operands.len()
    }

    /// What the label measures: its extent in the operands where it does not broadcast.
    pub fn extent(&self, label: Label) -> usize {
        self.label(label).0
    }

    /// Whether the output has the label.
    pub fn is_output(&self, label: Label) -> bool {
        self.label(label).1
    }

    /// The operands that have the label, in order. Their number is the label's degree.
    pub fn holders(&self, label: Label) -> Vec<usize> {
        let neighbours = self.nodes.neighbors(self.labels[label.index()]);
        let mut holders: Vec<usize> = neighbours
            .filter_map(|node| match self.nodes[node] {
                Node::Operand(operand) => Some(operand),
                Node::Label { .. } => None,
            })
            .collect();
        holders.sort_unstable();
        holders
    }

    /// The distinct labels of an operand, in order, each with what it measures there: 1 where it broadcasts.
    pub fn labels_of(&self, operand: usize) -> Vec<(Label, usize)> {
        self.bonds(operand).into_iter().map(|(label, bond)| (label, bond.extent)).collect()
    }

    /// Groups of operands that no label joins to each other, each in order, the groups by their first operand.
    ///
    /// A label joins the operands that have it also where the output keeps it, and where it measures 1.
    pub fn components(&self) -> Vec<Vec<usize>> {
        let mut seen = vec![false; self.operands.len()];
        let mut components = Vec::new();
        for first in 0..self.operands.len() {
            if seen[first] {
                continue;
            }
            let mut component = Vec::new();
            let mut search = Dfs::new(&self.nodes, self.operands[first]);
            while let Some(node) = search.next(&self.nodes) {
                if let Node::Operand(operand) = self.nodes[node] {
                    seen[operand] = true;
                    component.push(operand);
                }
            }
            component.sort_unstable();
            components.push(component);
        }
        components
    }

    /// The diagonals and sums that come before any step, for the operands that have some.
    pub fn free_reductions(&self) -> Vec<FreeReduction> {
        let reduction = |operand| {
            let bonds = self.bonds(operand);
            let diagonal: Vec<Label> = bonds.iter().filter(|(_, bond)| bond.axes > 1).map(|pair| pair.0).collect();
            let alone = |label: &Label| {
                !self.is_output(*label) && self.nodes.neighbors(self.labels[label.index()]).nth(1).is_none()
            };
            let summed: Vec<Label> = bonds.iter().map(|pair| pair.0).filter(alone).collect();
            (!diagonal.is_empty() || !summed.is_empty()).then_some(FreeReduction { operand, diagonal, summed })
        };
        (0..self.operands.len()).filter_map(reduction).collect()
    }

    fn label(&self, label: Label) -> (usize, bool) {
        match self.nodes[self.labels[label.index()]] {
            Node::Label { extent, output, .. } => (extent, output),
            Node::Operand(_) => unreachable!("`labels` holds label nodes only"),
        }
    }

    fn bonds(&self, operand: usize) -> Vec<(Label, Bond)> {
        let edges = self.nodes.edges(self.operands[operand]);
        let mut bonds: Vec<(Label, Bond)> = edges
            .filter_map(|edge| match self.nodes[edge.target()] {
                Node::Label { label, .. } => Some((label, *edge.weight())),
                Node::Operand(_) => None,
            })
            .collect();
        bonds.sort_unstable_by_key(|pair| pair.0);
        bonds
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::tests::graph;

    #[test]
    fn components_are_joined_by_any_label() {
        let cases: &[(&str, &[&[usize]])] = &[
            ("ij,jk->ik", &[&[0, 1]]),
            ("i,j->ij", &[&[0], &[1]]),
            ("i,i->i", &[&[0, 1]]),
            ("ab,cd,bx,,dx->", &[&[0, 1, 2, 4], &[3]]),
        ];
        for (text, expected) in cases {
            assert_eq!(graph(text, "").components(), *expected, "{text}");
        }
    }

    #[test]
    fn what_stands_alone_or_twice_is_reduced_first() {
        let graph = graph("iij,jkx,kk->k", "");
        let name = |labels: &[Label]| graph.equation().subscript(labels);
        let found: Vec<(usize, String, String)> = graph
            .free_reductions()
            .iter()
            .map(|free| (free.operand, name(&free.diagonal), name(&free.summed)))
            .collect();
        let expected = [(0, "i", "i"), (1, "", "x"), (2, "k", "")];
        assert_eq!(found, expected.map(|(operand, d, s)| (operand, d.to_owned(), s.to_owned())));
    }

    #[test]
    fn a_label_measures_one_where_it_broadcasts() {
        let equation = Equation::new(crate::Syntax::Compact, &[vec!["i", "j"], vec!["j"]], &["i"]).unwrap();
        let sizes = Sizes::new(&equation, &[[2, 1].as_slice(), &[3]]).unwrap();
        let graph = ContractionGraph::new(&equation, &sizes);
        let j = equation.label("j").unwrap();
        assert_eq!(graph.extent(j), 3);
        assert_eq!(graph.holders(j), [0, 1]);
        assert_eq!(graph.labels_of(0)[1], (j, 1));
        assert_eq!(graph.labels_of(1), [(j, 3)]);
    }
}
