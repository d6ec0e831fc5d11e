//! The surface of an equation: what was written, and where.

use std::fmt;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, SerializeSeq, SerializeStruct, Serializer};

use crate::equation::{Syntax, write_terms};
use crate::sizes::Place;
use crate::span::Span;

/// An equation as written: its terms with the place of every label and `...`, and whether the output was written.
///
/// It follows the grammar, each term has at most one ellipsis, and the labels of a written output are distinct and
/// each in some operand. `Display` prints it in canonical form, which parses to the same terms.
///
/// ```
/// use qeinsum::Syntax;
/// use qeinsum::parse::parse;
/// let ast = parse(" ... i j,jk->  ...ik", Syntax::Compact)?;
/// assert_eq!(ast.to_string(), "...ij,jk->...ik");
/// assert_eq!(ast.operands().len(), 2);
/// assert_eq!(ast.syntax(), Syntax::Compact);
/// // Every part knows its place in the text.
/// let output = ast.output().expect("it was written");
/// assert_eq!((ast.slice(output.arrow()), ast.slice(output.term().span())), ("->", "...ik"));
/// assert_eq!(ast.text().find("->"), Some(output.arrow().start));
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ast {
    syntax: Syntax,
    text: Arc<str>,
    operands: Vec<Term>,
    output: Option<Output>,
}

/// What is written for one operand, or for the output after the arrow.
///
/// ```
/// use qeinsum::Syntax;
/// use qeinsum::parse::{Item, parse};
/// let ast = parse("b...i->", Syntax::Compact)?;
/// let term = &ast.operands()[0];
/// assert_eq!(term.labels().map(|label| ast.slice(label)).collect::<Vec<_>>(), ["b", "i"]);
/// assert_eq!(term.ellipsis().map(|dots| ast.slice(dots)), Some("..."));
/// assert!(matches!(term.items(), [Item::Label(_), Item::Ellipsis(_), Item::Label(_)]));
/// assert_eq!(ast.slice(term.span()), "b...i");
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Term {
    items: Vec<Item>,
    /// Where an empty term would stand: just after the comma or arrow before it.
    at: usize,
}

/// One part of a term, with its place in the text.
///
/// ```
/// use qeinsum::{Span, Syntax};
/// use qeinsum::parse::{Item, parse};
/// let ast = parse("...i", Syntax::Compact)?;
/// assert_eq!(ast.operands()[0].items()[1], Item::Label(Span::new(3, 4)));
/// assert_eq!(ast.operands()[0].items()[0].span(), Span::new(0, 3));
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Item {
    /// A label, for one axis.
    Label(Span),
    /// `...`, for any number of axes.
    Ellipsis(Span),
}

/// The arrow and the term after it.
///
/// ```
/// use qeinsum::{Span, Syntax};
/// use qeinsum::parse::parse;
/// let ast = parse("ij->j", Syntax::Compact)?;
/// let output = ast.output().expect("it was written");
/// assert_eq!((output.arrow(), output.term().items().len()), (Span::new(2, 4), 1));
/// assert_eq!(parse("ij", Syntax::Compact)?.output(), None); // implicit
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Output {
    pub(super) arrow: Span,
    pub(super) term: Term,
}

impl Ast {
    /// The parser and the sublists have checked what the type promises.
    pub(super) fn new(syntax: Syntax, text: &str, operands: Vec<Term>, output: Option<Output>) -> Self {
        Self { syntax, text: text.into(), operands, output }
    }

    /// How the equation is written.
    pub fn syntax(&self) -> Syntax {
        self.syntax
    }

    /// The text that the spans point into.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The terms of the operands; at least one.
    pub fn operands(&self) -> &[Term] {
        &self.operands
    }

    /// The output, where it was written.
    pub fn output(&self) -> Option<&Output> {
        self.output.as_ref()
    }

    /// The text at a place; empty where the span is not one of this equation.
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.start..span.end).unwrap_or_default()
    }

    /// The span of a place that an error of sizes speaks of. An axis under `...` is all of the `...`.
    pub(crate) fn locate(&self, place: Place, ranks: &[usize]) -> Span {
        let end = Span::new(self.text.len(), self.text.len());
        match place {
            Place::Operand(operand) => self.operands.get(operand).map_or(end, Term::span),
            Place::Axis { operand, axis } => self.operands.get(operand).map_or(end, |term| {
                let rank = ranks.get(operand).copied().unwrap_or_default();
                term.axis(axis, rank).map_or_else(|| term.span(), Item::span)
            }),
            Place::Output => self
                .output
                .as_ref()
                .map_or(end, |output| if output.term.items.is_empty() { output.arrow } else { output.term.span() }),
        }
    }

    fn terms(&self) -> impl Iterator<Item = &Term> {
        self.operands.iter().chain(self.output.iter().map(|output| &output.term))
    }

    fn printed(&self, term: &Term) -> String {
        let names: Vec<&str> = term.items.iter().map(|item| self.slice(item.span())).collect();
        names.join(if self.syntax == Syntax::Named { " " } else { "" })
    }
}

impl fmt::Display for Ast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let terms: Vec<String> = self.terms().map(|term| self.printed(term)).collect();
        let (operands, output) = terms.split_at(self.operands.len());
        write_terms(f, self.syntax, operands, output.first().map(String::as_str))
    }
}

impl Term {
    pub(super) fn new(items: Vec<Item>, at: usize) -> Self {
        Self { items, at }
    }

    /// Labels and at most one ellipsis, in the order written.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// From the first item to the last; empty where the term is.
    pub fn span(&self) -> Span {
        match (self.items.first(), self.items.last()) {
            (Some(first), Some(last)) => Span::new(first.span().start, last.span().end),
            _ => Span::new(self.at, self.at),
        }
    }

    /// The places of the labels, in order.
    pub fn labels(&self) -> impl Iterator<Item = Span> + '_ {
        self.items.iter().filter(|item| matches!(item, Item::Label(_))).map(|item| item.span())
    }

    /// The place of the term's `...`, if it has one.
    pub fn ellipsis(&self) -> Option<Span> {
        self.items.iter().find(|item| matches!(item, Item::Ellipsis(_))).map(|item| item.span())
    }

    /// The item that stands for an axis of an array of this rank.
    fn axis(&self, axis: usize, rank: usize) -> Option<Item> {
        let Some(before) = self.items.iter().position(|item| matches!(item, Item::Ellipsis(_))) else {
            return self.items.get(axis).copied();
        };
        let covered = (rank + 1).saturating_sub(self.items.len());
        let item = match axis {
            _ if axis < before => axis,
            _ if axis - before < covered => before,
            _ => axis - covered + 1,
        };
        self.items.get(item).copied()
    }
}

impl Item {
    /// The place in the text.
    pub fn span(self) -> Span {
        match self {
            Self::Label(span) | Self::Ellipsis(span) => span,
        }
    }
}

impl Output {
    /// The place of the `->`.
    pub fn arrow(&self) -> Span {
        self.arrow
    }

    /// What stands after it.
    pub fn term(&self) -> &Term {
        &self.term
    }
}

/// What `qeinsum parse --format json` prints: terms as lists of `{"label": "i", "span": [0, 1]}` and
/// `{"ellipsis": true, "span": [1, 4]}`, spans in bytes; `output` is null where it was not written.
impl Serialize for Ast {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Ast", 4)?;
        let syntax = match self.syntax {
            Syntax::Compact => "compact",
            Syntax::Named => "named",
        };
        fields.serialize_field("syntax", syntax)?;
        fields.serialize_field("text", self.text())?;
        let operands: Vec<Shown<'_, Term>> = self.operands.iter().map(|term| Shown(self, term)).collect();
        fields.serialize_field("operands", &operands)?;
        fields.serialize_field("output", &self.output.as_ref().map(|output| Shown(self, &output.term)))?;
        fields.end()
    }
}

/// A part of an equation with the text that its spans point into.
struct Shown<'a, T>(&'a Ast, &'a T);

impl Serialize for Shown<'_, Term> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut items = serializer.serialize_seq(Some(self.1.items.len()))?;
        for item in &self.1.items {
            items.serialize_element(&Shown(self.0, item))?;
        }
        items.end()
    }
}

impl Serialize for Shown<'_, Item> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let span = self.1.span();
        let mut fields = serializer.serialize_map(Some(2))?;
        match self.1 {
            Item::Label(_) => fields.serialize_entry("label", self.0.slice(span))?,
            Item::Ellipsis(_) => fields.serialize_entry("ellipsis", &true)?,
        }
        fields.serialize_entry("span", &[span.start, span.end])?;
        fields.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse;

    #[test]
    fn places_are_found_in_the_text() {
        use Place::{Axis, Operand, Output};
        let axis = |operand, axis| Axis { operand, axis };
        let cases: &[(&str, &[usize], Place, &str)] = &[
            ("ij , jk->ik", &[2, 2], Operand(1), "jk"),
            ("ij,jk->ik", &[2, 2], axis(1, 0), "j"),
            ("ij,jk->ik", &[2, 2], axis(1, 1), "k"),
            ("a...bc->bc", &[5], axis(0, 0), "a"),
            ("a...bc->bc", &[5], axis(0, 1), "..."),
            ("a...bc->bc", &[5], axis(0, 2), "..."),
            ("a...bc->bc", &[5], axis(0, 3), "b"),
            ("a...bc->bc", &[5], axis(0, 4), "c"),
            ("a...bc->bc", &[3], axis(0, 1), "b"),
            ("...a", &[1], axis(0, 0), "a"),
            ("...", &[1], axis(0, 0), "..."),
            ("ij,jk->ik", &[2, 2], Output, "ik"),
            ("ij,ij->", &[2, 2], Output, "->"),
        ];
        for &(text, ranks, place, expected) in cases {
            let ast = parse(text, Syntax::Compact).unwrap();
            assert_eq!(ast.slice(ast.locate(place, ranks)), expected, "{text} {place:?}");
        }
        let places: &[(&str, Place, usize)] =
            &[("", Operand(0), 0), (",ij", Operand(0), 0), ("ij,", Operand(1), 3), ("ij,jk", Output, 5)];
        for &(text, place, at) in places {
            assert_eq!(parse(text, Syntax::Compact).unwrap().locate(place, &[2, 2]), Span::new(at, at), "{text}");
        }
    }

    #[test]
    fn prints_in_canonical_form() {
        let cases = [
            (Syntax::Compact, " i j , jk -> i k ", "ij,jk->ik"),
            (Syntax::Compact, "", ""),
            (Syntax::Compact, " , -> ", ",->"),
            (Syntax::Compact, "i ...", "i..."),
            (Syntax::Named, "a  b,b->a", "a b, b -> a"),
            (Syntax::Named, "a...b->", "a ... b ->"),
            (Syntax::Named, "->", "->"),
            (Syntax::Named, ",,x->", ",, x ->"),
            (Syntax::Named, "x,->x", "x, -> x"),
        ];
        for (syntax, text, expected) in cases {
            let printed = parse(text, syntax).unwrap().to_string();
            assert_eq!(printed, expected);
            assert_eq!(parse(&printed, syntax).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn json_keeps_what_was_written() {
        let ast = parse("...i,i ->...", Syntax::Compact).unwrap();
        let expected = serde_json::json!({
            "syntax": "compact",
            "text": "...i,i ->...",
            "operands": [
                [{"ellipsis": true, "span": [0, 3]}, {"label": "i", "span": [3, 4]}],
                [{"label": "i", "span": [5, 6]}],
            ],
            "output": [{"ellipsis": true, "span": [9, 12]}],
        });
        assert_eq!(serde_json::to_value(&ast).unwrap(), expected);
        let implicit = serde_json::to_value(parse("i", Syntax::Compact).unwrap()).unwrap();
        assert_eq!(implicit["output"], serde_json::Value::Null);
    }
}
