//! Sublists to [`Ast`]: equations written as integers, as the interleaved form of `numpy` has them.
//!
//! The integers become names of the same order, so that everything after sees an ordinary equation.

use std::fmt;

use super::ast::{Ast, Item, Output, Term};
use super::resolve::implicit_output;
use crate::equation::Syntax;
use crate::error::{Error, ErrorKind, Result};
use crate::span::Span;

/// One axis of a sublist, or an ellipsis.
///
/// ```
/// use qeinsum::parse::SublistItem;
/// assert_eq!([SublistItem::from(3), SublistItem::Label(3)], [SublistItem::Label(3); 2]);
/// assert!(SublistItem::Ellipsis != SublistItem::Label(0));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SublistItem {
    /// A label. Labels are ordered as their numbers are.
    Label(u32),
    /// Any number of axes, as `...`.
    Ellipsis,
}

impl From<u32> for SublistItem {
    fn from(label: u32) -> Self {
        Self::Label(label)
    }
}

/// The equation of one sublist per operand, and one for the output where it is not implied.
///
/// The labels are replaced by names that sort as the numbers do: up to 26 labels by `a` to `z`, up to 52 by `A` to
/// `Z` and `a` to `z`, more by named syntax in which the number 7 is `i007`, padded to the longest. Named syntax needs
/// its output written, so it then is, the implied one included.
///
/// An error of kind [`ErrorKind::Syntax`], which names operand and item, for a second ellipsis in a sublist, or an
/// output with a repeated or unknown label; and where there is no operand.
///
/// ```
/// use qeinsum::parse::{SublistItem, from_sublists};
/// let [i, j, k] = [3, 7, 20].map(SublistItem::from);
/// let batch = SublistItem::Ellipsis;
/// let ast = from_sublists(&[&[batch, i, j], &[j, k]], Some(&[batch, k, i]))?;
/// assert_eq!(ast.to_string(), "...ab,bc->...ca");
/// # Ok::<(), qeinsum::Error>(())
/// ```
pub fn from_sublists(operands: &[&[SublistItem]], output: Option<&[SublistItem]>) -> Result<Ast> {
    let mut labels: Vec<u32> = operands.iter().copied().flatten().copied().filter_map(label).collect();
    labels.sort_unstable();
    labels.dedup();
    check(operands, output, &labels).map_err(|error| Error::new(ErrorKind::Syntax, error.to_string()))?;

    let names = Names::new(&labels);
    let mut writer = Writer { text: String::new(), syntax: names.syntax() };
    let mut terms = Vec::with_capacity(operands.len());
    for (position, sublist) in operands.iter().enumerate() {
        let comma = if position > 0 { "," } else { "" };
        terms.push(writer.term(comma, sublist.iter().map(|&item| names.piece(item))));
    }
    let written = match (output, writer.syntax) {
        (Some(sublist), _) => Some(writer.output(sublist.iter().map(|&item| names.piece(item)))),
        (None, Syntax::Compact) => None,
        (None, Syntax::Named) => {
            let operands = writer.text.clone();
            let implied = implicit_output(&operands, &terms);
            Some(writer.output(implied.iter().map(|item| match item {
                Item::Label(span) => Piece::Label(operands.get(span.start..span.end).unwrap_or_default().to_owned()),
                Item::Ellipsis(_) => Piece::Ellipsis,
            })))
        }
    };
    Ok(Ast::new(writer.syntax, &writer.text, terms, written))
}

fn label(item: SublistItem) -> Option<u32> {
    match item {
        SublistItem::Label(label) => Some(label),
        SublistItem::Ellipsis => None,
    }
}

/// What is wrong with sublists, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
enum SublistError {
    NoOperand,
    SecondEllipsis { place: Sublist, item: usize },
    UnknownOutput { label: u32, item: usize },
    RepeatedOutput { label: u32, first: usize, second: usize },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sublist {
    Operand(usize),
    Output,
}

impl fmt::Display for SublistError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NoOperand => f.write_str("an equation needs at least one operand"),
            Self::SecondEllipsis { place: Sublist::Operand(operand), item } => {
                write!(f, "second ellipsis in the sublist of operand {operand} (item {item})")
            }
            Self::SecondEllipsis { place: Sublist::Output, item } => {
                write!(f, "second ellipsis in the sublist of the output (item {item})")
            }
            Self::UnknownOutput { label, item } => write!(f, "output label `{label}` (item {item}) is in no operand"),
            Self::RepeatedOutput { label, first, second } => {
                write!(f, "output label `{label}` is repeated (items {first} and {second})")
            }
        }
    }
}

fn check(operands: &[&[SublistItem]], output: Option<&[SublistItem]>, known: &[u32]) -> Result<(), SublistError> {
    if operands.is_empty() {
        return Err(SublistError::NoOperand);
    }
    let places = (0..operands.len()).map(Sublist::Operand).chain([Sublist::Output]);
    for (place, sublist) in places.zip(operands.iter().copied().chain(output)) {
        let mut ellipses = sublist.iter().enumerate().filter(|(_, item)| **item == SublistItem::Ellipsis);
        if let Some((item, _)) = ellipses.nth(1) {
            return Err(SublistError::SecondEllipsis { place, item });
        }
    }
    let mut seen: Vec<Option<usize>> = vec![None; known.len()];
    for (item, label) in output.unwrap_or_default().iter().enumerate().filter_map(|(i, &x)| Some((i, label(x)?))) {
        let Ok(position) = known.binary_search(&label) else {
            return Err(SublistError::UnknownOutput { label, item });
        };
        if let Some(first) = seen[position].replace(item) {
            return Err(SublistError::RepeatedOutput { label, first, second: item });
        }
    }
    Ok(())
}

/// The names of the labels of one equation.
enum Names<'a> {
    /// The letters from this one on, in the order of the sorted labels.
    Letters { labels: &'a [u32], letters: Vec<char> },
    /// `i` and the number, in this many digits.
    Numbers { digits: usize },
}

impl<'a> Names<'a> {
    fn new(labels: &'a [u32]) -> Self {
        match labels.len() {
            0..=26 => Self::Letters { labels, letters: ('a'..='z').collect() },
            27..=52 => Self::Letters { labels, letters: ('A'..='Z').chain('a'..='z').collect() },
            _ => Self::Numbers { digits: labels.last().map_or(1, |label| label.to_string().len()) },
        }
    }

    fn syntax(&self) -> Syntax {
        match self {
            Self::Letters { .. } => Syntax::Compact,
            Self::Numbers { .. } => Syntax::Named,
        }
    }

    fn piece(&self, item: SublistItem) -> Piece {
        let SublistItem::Label(label) = item else { return Piece::Ellipsis };
        Piece::Label(match self {
            Self::Letters { labels, letters } => labels
                .binary_search(&label)
                .ok()
                .and_then(|position| letters.get(position))
                .map_or_else(String::new, char::to_string),
            Self::Numbers { digits } => format!("i{label:0digits$}"),
        })
    }
}

/// An item of a term, with its name.
enum Piece {
    Label(String),
    Ellipsis,
}

/// Writes the text and keeps the place of everything, as `Display` of the result would print it.
struct Writer {
    text: String,
    syntax: Syntax,
}

impl Writer {
    fn term(&mut self, before: &str, pieces: impl Iterator<Item = Piece>) -> Term {
        self.text.push_str(before);
        let at = self.text.len();
        let mut items = Vec::new();
        for piece in pieces {
            if self.syntax == Syntax::Named && !self.text.is_empty() {
                self.text.push(' ');
            }
            let start = self.text.len();
            match piece {
                Piece::Label(name) => {
                    self.text.push_str(&name);
                    items.push(Item::Label(Span::new(start, self.text.len())));
                }
                Piece::Ellipsis => {
                    self.text.push_str("...");
                    items.push(Item::Ellipsis(Span::new(start, self.text.len())));
                }
            }
        }
        Term::new(items, at)
    }

    fn output(&mut self, pieces: impl Iterator<Item = Piece>) -> Output {
        // Where names are long there are many, so that something stands before the arrow.
        if self.syntax == Syntax::Named {
            self.text.push(' ');
        }
        let start = self.text.len();
        let term = self.term("->", pieces);
        Output { arrow: Span::new(start, start + 2), term }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::{parse, resolve};

    const E: SublistItem = SublistItem::Ellipsis;

    fn items(labels: &[u32]) -> Vec<SublistItem> {
        labels.iter().copied().map(SublistItem::from).collect()
    }

    #[test]
    fn labels_are_ordered_as_their_numbers() {
        type Case<'a> = (&'a [&'a [u32]], Option<&'a [u32]>, &'a str, &'a str);
        let cases: &[Case] = &[
            (&[&[0, 1], &[1, 2]], Some(&[0, 2]), "ab,bc->ac", "ab,bc->ac"),
            (&[&[u32::MAX, 5], &[5, 0]], None, "cb,ba", "cb,ba->ac"),
            (&[&[]], None, "", "->"),
            (&[&[], &[9]], Some(&[]), ",a->", ",a->"),
            (&[&[4, 4]], None, "aa", "aa->"),
        ];
        for (operands, output, written, resolved) in cases {
            let sublists: Vec<Vec<SublistItem>> = operands.iter().map(|labels| items(labels)).collect();
            let sublists: Vec<&[SublistItem]> = sublists.iter().map(Vec::as_slice).collect();
            let ranks: Vec<usize> = operands.iter().map(|labels| labels.len()).collect();
            let ast = from_sublists(&sublists, output.map(items).as_deref()).unwrap();
            assert_eq!(ast.to_string(), *written);
            assert_eq!(resolve(&ast, &ranks).unwrap().to_string(), *resolved);
        }
    }

    #[test]
    fn one_ellipsis_is_an_equation() {
        for (output, written) in [(None, "..."), (Some(&[E][..]), "...->..."), (Some(&[]), "...->")] {
            assert_eq!(from_sublists(&[&[E]], output).unwrap().to_string(), written);
        }
    }

    #[test]
    fn any_number_of_labels_keeps_the_order_and_the_places() {
        for n in [1_u32, 26, 27, 52, 53, 1_000] {
            let first: Vec<SublistItem> = [E].into_iter().chain((0..n).rev().map(|k| (k * 4_000_000).into())).collect();
            let ast = from_sublists(&[&first, &items(&[0])], None).unwrap();
            assert_eq!(ast, parse(ast.text(), ast.syntax()).unwrap(), "{n}");
            assert_eq!(ast.to_string(), ast.text());
            let equation = resolve(&ast, &[n as usize + 1, 1]).unwrap();
            let (ellipsis, labels) = equation.operands()[0].split_first().unwrap();
            assert!(labels.is_sorted_by(|a, b| a > b), "{n}");
            assert_eq!(equation.output()[0], *ellipsis);
            assert!(equation.output()[1..].iter().eq(labels[..n as usize - 1].iter().rev()), "{n}");
        }
    }

    #[test]
    fn errors_name_the_place() {
        let check = |operands: &[&[SublistItem]], output: &[SublistItem], expected: &str| {
            let error = from_sublists(operands, Some(output)).unwrap_err();
            assert_eq!(error.to_string(), expected);
            assert_eq!(error.kind(), &ErrorKind::Syntax);
        };
        check(&[], &[], "an equation needs at least one operand");
        check(&[&items(&[1]), &[E, 1.into(), E]], &[], "second ellipsis in the sublist of operand 1 (item 2)");
        check(&[&items(&[1])], &[E, E], "second ellipsis in the sublist of the output (item 1)");
        check(&[&items(&[1])], &items(&[1, 7]), "output label `7` (item 1) is in no operand");
        check(&[&items(&[1, 7])], &[7.into(), E, 7.into()], "output label `7` is repeated (items 0 and 2)");
    }
}
