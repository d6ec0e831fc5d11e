//! What is allowed but may surprise.

use std::fmt;
use std::sync::Arc;

use super::ast::{Ast, Term};
use super::resolve::ellipsis_axes;
use crate::error::Result;
use crate::sizes::count;
use crate::span::{Span, underline};

/// Something that an equation does and that its writer may not have meant, with its place.
///
/// `Display` prints it as an [`Error`](crate::Error) is printed.
///
/// ```
/// use qeinsum::Syntax;
/// use qeinsum::parse::parse;
/// let notes = parse("i...->i", Syntax::Compact)?.notes(&[3])?;
/// assert_eq!(notes.len(), 1);
/// assert_eq!(notes[0].message(), "the 2 axes of `...` are not in the output: they are summed");
/// assert_eq!(notes[0].spans(), [qeinsum::Span::new(1, 4)]);
/// assert_eq!(
///     notes[0].to_string(),
///     "the 2 axes of `...` are not in the output: they are summed\n  i...->i\n   ^^^"
/// );
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    message: String,
    text: Arc<str>,
    spans: Vec<Span>,
}

impl Ast {
    /// What is worth saying about the equation on operands of these ranks.
    ///
    /// At present one thing: a written output without `...` sums the axes of the operands' `...`, as JAX and `torch`
    /// do and `numpy` does not.
    ///
    /// The errors of [`resolve`](super::resolve()).
    pub fn notes(&self, ranks: &[usize]) -> Result<Vec<Note>> {
        let axes = ellipsis_axes(self, ranks).map_err(|error| error.at(self))?;
        let summed = self.output().is_some_and(|output| output.term().ellipsis().is_none());
        let longest = axes.iter().copied().max().unwrap_or_default();
        if !summed || longest == 0 {
            return Ok(Vec::new());
        }
        let widest = self.operands().iter().zip(&axes).find(|&(_, &covered)| covered == longest);
        let message = match longest {
            1 => "the axis of `...` is not in the output: it is summed".to_owned(),
            _ => format!("the {} of `...` are not in the output: they are summed", count(longest, "axis")),
        };
        let spans = widest.and_then(|(term, _)| Term::ellipsis(term)).into_iter().collect();
        Ok(vec![Note { message, text: self.text().into(), spans }])
    }
}

impl Note {
    /// The message alone, without the equation: lower case, no full stop.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The places that the message speaks of, in bytes.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.message, underline(&self.text, &self.spans))
    }
}

#[cfg(test)]
mod tests {
    use crate::equation::Syntax;
    use crate::parse::parse;

    #[test]
    fn only_a_summed_ellipsis_is_noted() {
        let cases: &[(&str, &[usize], Option<&str>)] = &[
            ("i...->i", &[1], None),
            ("i...->i", &[2], Some("the axis of `...` is not in the output: it is summed\n  i...->i\n   ^^^")),
            (
                "...i,...i->i",
                &[2, 3],
                Some("the 2 axes of `...` are not in the output: they are summed\n  ...i,...i->i\n       ^^^"),
            ),
            ("i...", &[3], None),
            ("i...->...", &[3], None),
            ("i->i", &[1], None),
        ];
        for &(text, ranks, expected) in cases {
            let notes = parse(text, Syntax::Compact).unwrap().notes(ranks).unwrap();
            let notes: Vec<String> = notes.iter().map(ToString::to_string).collect();
            assert_eq!(notes, Vec::from_iter(expected), "{text}");
        }
        assert!(parse("i...->i", Syntax::Compact).unwrap().notes(&[]).is_err());
    }
}
