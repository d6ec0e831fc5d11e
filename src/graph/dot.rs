//! The graph as Graphviz text.
//!
//! In comes a graph; out goes text for `dot`, `neato` or any other reader of the language, the same on every run.

use std::fmt::Write as _;

use super::ContractionGraph;
use crate::span::printable_text;

/// Columns of a name that a drawing shows.
const NAME: usize = 60;

impl ContractionGraph {
    /// The graph in Graphviz's language: operands are boxes such as `0: ij`, labels are ellipses with their size.
    ///
    /// Labels of the output are circled twice. An edge carries the extent where a label broadcasts, and `diagonal`
    /// where it stands on several axes of an operand.
    ///
    /// ```
    /// # use qeinsum::graph::ContractionGraph;
    /// # use qeinsum::{Equation, Sizes, Syntax};
    /// let equation = Equation::new(Syntax::Compact, &[vec!["i"]], &["i"])?;
    /// let graph = ContractionGraph::new(&equation, &Sizes::new(&equation, &[[3]])?);
    /// assert!(graph.to_dot().contains(r#"o0 [shape=box, label="0: i"];"#));
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn to_dot(&self) -> String {
        let equation = self.equation();
        let mut out = String::from("graph contraction {\n");
        for (operand, subscript) in equation.operands().iter().enumerate() {
            let text = quoted(&format!("{operand}: {}", equation.subscript(subscript)));
            let _ = writeln!(out, "  o{operand} [shape=box, label={text}];");
        }
        for label in equation.labels() {
            let name = printable_text(equation.name(label), NAME);
            let text = quoted(&format!("{name} = {}", self.extent(label)));
            let output = if self.is_output(label) { ", peripheries=2" } else { "" };
            let _ = writeln!(out, "  l{} [shape=ellipse{output}, label={text}];", label.index());
        }
        for (operand, subscript) in equation.operands().iter().enumerate() {
            for (label, extent) in self.labels_of(operand) {
                let mut notes = Vec::new();
                if extent != self.extent(label) {
                    notes.push(extent.to_string());
                }
                if subscript.iter().filter(|&&other| other == label).count() > 1 {
                    notes.push("diagonal".to_owned());
                }
                let attributes =
                    if notes.is_empty() { String::new() } else { format!(" [label={}]", quoted(&notes.join(" "))) };
                let _ = writeln!(out, "  o{operand} -- l{}{attributes};", label.index());
            }
        }
        out.push_str("}\n");
        out
    }
}

/// A quoted string of Graphviz's language. Its only escapes that matter are those of the quote and the backslash.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use crate::graph::ContractionGraph;
    use crate::graph::tests::graph;
    use crate::{Equation, Sizes, Syntax};

    #[test]
    fn boxes_are_operands_and_ellipses_labels() {
        let expected = r#"graph contraction {
  o0 [shape=box, label="0: iij"];
  o1 [shape=box, label="1: j"];
  l0 [shape=ellipse, peripheries=2, label="i = 2"];
  l1 [shape=ellipse, label="j = 3"];
  o0 -- l0 [label="diagonal"];
  o0 -- l1;
  o1 -- l1;
}
"#;
        assert_eq!(graph("iij,j->i", "j=3").to_dot(), expected);
    }

    #[test]
    fn names_cannot_break_out_of_their_quotes() {
        let equation = Equation::new(Syntax::Named, &[vec!["a\"b\\", "\n\u{202e}"]], &[]).unwrap();
        let graph = ContractionGraph::new(&equation, &Sizes::new(&equation, &[[2, 2]]).unwrap());
        let text = graph.to_dot();
        assert!(text.contains(r#"label="a\"b\\ = 2""#), "{text}");
        assert!(!text.contains('\u{202e}'), "{text}");
        assert_eq!(text.lines().count(), 7, "{text}");
    }
}
