//! A plan as Graphviz text: its values as nodes, its steps as the edges into them.
//!
//! In comes a plan; out goes text, the same on every run. Values point to what is made of them, so that the operands
//! stand on top and the result at the bottom.

use std::fmt::Write as _;

use crate::graph::quoted;

use super::display::binder;
use super::orient::Orientation;
use super::plan::{Op, Plan};

impl Plan {
    /// The steps as a graph in Graphviz's language: operands are boxes, results ellipses with their operation and axes.
    ///
    /// The sides of a call are written on its edges. The value that the plan returns has a double line.
    ///
    /// ```
    /// let plan = qeinsum::QEinsum::new("ij,jk->ki")?.plan(&[&[2, 3], &[3, 4]])?;
    /// assert!(plan.to_dot().contains(r#"v1 -> v2 [label="lhs"];"#));
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn to_dot(&self) -> String {
        let mut out = String::from("digraph plan {\n");
        let double = |id: usize| if id == self.output.index() { ", peripheries=2" } else { "" };
        for (id, value) in self.values[..self.equation.operands().len()].iter().enumerate() {
            let label = quoted(&format!("%{id} {}", binder(self, value)));
            let _ = writeln!(out, "  v{id} [shape=box{}, label={label}];", double(id));
        }
        for step in &self.steps {
            let id = step.result.index();
            let name = match &step.op {
                Op::Squeeze { .. } => "squeeze",
                Op::ReduceSum { .. } => "reduce_sum",
                Op::Diagonal { .. } => "diagonal",
                Op::Transpose { .. } => "transpose",
                Op::DotGeneral { orientation: Orientation::AsWritten, .. } => "dot_general",
                Op::DotGeneral { orientation: Orientation::Swapped, .. } => "dot_general swapped",
            };
            let label = quoted(&format!("%{id} {} {name}", binder(self, &self.values[id])));
            let _ = writeln!(out, "  v{id} [shape=ellipse{}, label={label}];", double(id));
            let sides: &[&str] = if matches!(step.op, Op::DotGeneral { .. }) { &["lhs", "rhs"] } else { &["input"] };
            for (input, side) in step.op.inputs().zip(sides) {
                let _ = writeln!(out, "  v{} -> v{id} [label=\"{side}\"];", input.index());
            }
        }
        out.push_str("}\n");
        out
    }
}

#[cfg(test)]
mod tests {
    use crate::QEinsum;

    #[test]
    fn every_value_is_a_node_and_every_reading_an_edge() {
        let plan = QEinsum::new("iij,jk->ki").unwrap().plan(&[&[2, 2, 3], &[3, 4]]).unwrap();
        let text = plan.to_dot();
        let count = |what: &str| text.matches(what).count();
        assert_eq!((count("shape=box"), count("shape=ellipse")), (2, plan.steps().len()), "{text}");
        assert_eq!(count(" -> "), plan.steps().iter().map(|step| step.op().inputs().count()).sum::<usize>(), "{text}");
        assert_eq!(count("peripheries=2"), 1, "{text}");
        let one = QEinsum::new("i->i").unwrap().plan(&[&[2]]).unwrap();
        assert!(one.to_dot().contains("v0 [shape=box, peripheries=2"));
    }
}
