//! Tokens to [`Ast`]: the syntactic half of `grammar/einsum.ebnf`, a function a production.
//!
//! One token of look-ahead and one pass; what the grammar cannot say about the output is checked after it.

use std::fmt;
use std::iter::Peekable;

use smallvec::{SmallVec, smallvec};

use super::ast::{Ast, Item, Output, Term};
use super::token::{Token, Tokens};
use crate::equation::Syntax;
use crate::error::{Error, ErrorKind, Result};
use crate::span::{Span, printable, printable_text};

/// Parses an equation.
///
/// An error of kind [`ErrorKind::Syntax`] where the text is not in the language of the syntax, or its output repeats
/// a label or names one that no operand has; it points at the place. The syntax is never guessed, but where a compact
/// text is refused that names would make an equation, the message says so.
///
/// ```
/// use qeinsum::parse::parse;
/// use qeinsum::{Span, Syntax};
/// assert!(parse("ij,jk->ik", Syntax::Compact)?.output().is_some());
/// assert!(parse("batch in, in out -> batch out", Syntax::Named).is_ok());
///
/// let error = parse("ij,j%->i", Syntax::Compact).unwrap_err();
/// assert_eq!(error.spans(), &[Span::new(4, 5)]);
/// assert_eq!(error.message(), "unexpected character `%` (U+0025)");
/// # Ok::<(), qeinsum::Error>(())
/// ```
pub fn parse(text: &str, syntax: Syntax) -> Result<Ast> {
    read(text, syntax).map_err(|error| {
        let mut message = error.to_string();
        if syntax == Syntax::Compact && read(text, Syntax::Named).is_ok() {
            message.push_str("; in named syntax (`--named`) this is an equation");
        }
        Error::new(ErrorKind::Syntax, message).at(text, &error.spans)
    })
}

fn read(text: &str, syntax: Syntax) -> Parsed<Ast> {
    let mut parser = Parser { text, syntax, tokens: Tokens::new(text, syntax).peekable() };
    let (operands, output) = match syntax {
        Syntax::Compact => parser.compact()?,
        Syntax::Named => parser.named()?,
    };
    if let Some(output) = &output {
        check_output(text, &operands, &output.term)?;
    }
    Ok(Ast::new(syntax, text, operands, output))
}

/// What is wrong with a text, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
struct SyntaxError {
    fault: Fault,
    spans: SmallVec<[Span; 2]>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Fault {
    Character(char, Syntax),
    /// A run of this many dots.
    Dots(usize),
    HalfArrow(String),
    SecondEllipsis,
    SecondArrow,
    CommaInOutput,
    NoArrow,
    UnknownOutput(String),
    RepeatedOutput(String),
}

impl Fault {
    fn at(self, span: Span) -> SyntaxError {
        SyntaxError { fault: self, spans: smallvec![span] }
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fault {
            Fault::Character(c, syntax) => {
                write!(f, "unexpected character `{}` (U+{:04X})", printable(*c), u32::from(*c))?;
                f.write_str(advice(*c, *syntax))
            }
            Fault::Dots(1) => f.write_str("a single `.`: an ellipsis is `...`, without spaces"),
            Fault::Dots(dots) => write!(f, "{dots} dots in a row: an ellipsis is `...`, without spaces"),
            Fault::HalfArrow(found) => write!(f, "unfinished arrow `{found}`: an arrow is `->`, without spaces"),
            Fault::SecondEllipsis => f.write_str("second `...` in a term"),
            Fault::SecondArrow => f.write_str("second `->`"),
            Fault::CommaInOutput => f.write_str("`,` after `->`: there is one output"),
            Fault::NoArrow => f.write_str("no `->`: an equation of names needs its output written"),
            Fault::UnknownOutput(name) => write!(f, "output label `{}` is in no operand", printable_text(name, 40)),
            Fault::RepeatedOutput(name) => write!(f, "output label `{}` is repeated", printable_text(name, 40)),
        }
    }
}

/// What to write instead of a character that is easily taken for a token.
fn advice(c: char, syntax: Syntax) -> &'static str {
    match c {
        '…' | '⋯' => ": an ellipsis is `...`",
        '→' | '⟶' | '⇒' | '➔' | '–' | '—' | '−' => ": an arrow is `->`",
        '，' | '、' | ';' => ": terms are separated by `,`",
        _ if c.is_whitespace() => ": only a space (U+0020) may stand between tokens",
        _ if syntax == Syntax::Compact && (matches!(c, '_' | '×' | '÷') || c.is_alphanumeric()) => {
            ": a label is one letter"
        }
        _ if c.is_alphanumeric() => ": a name is of `A-Z`, `a-z`, `0-9` and `_`, and begins with no digit",
        _ => "",
    }
}

type Parsed<T> = Result<T, SyntaxError>;

struct Parser<'a> {
    text: &'a str,
    syntax: Syntax,
    tokens: Peekable<Tokens<'a>>,
}

impl Parser<'_> {
    /// `compact = operands , [ arrow , output ]`
    fn compact(&mut self) -> Parsed<(Vec<Term>, Option<Output>)> {
        let operands = self.operands()?;
        let output = self.arrow().map(|arrow| self.output(arrow)).transpose()?;
        Ok((operands, output))
    }

    /// `named = operands , arrow , output`
    fn named(&mut self) -> Parsed<(Vec<Term>, Option<Output>)> {
        let operands = self.operands()?;
        let arrow = self.arrow().ok_or_else(|| Fault::NoArrow.at(self.end()))?;
        let output = self.output(arrow)?;
        Ok((operands, Some(output)))
    }

    /// `operands = term , { comma , term }`
    fn operands(&mut self) -> Parsed<Vec<Term>> {
        let mut operands = vec![self.term(0)?];
        while let Some((_, comma)) = self.tokens.next_if(|(token, _)| *token == Token::Comma) {
            operands.push(self.term(comma.end)?);
        }
        Ok(operands)
    }

    /// `term = { label } , [ ellipsis , { label } ]`; what follows it is a comma, an arrow or the end.
    fn term(&mut self, at: usize) -> Parsed<Term> {
        let mut items = Vec::new();
        let mut ellipsis = false;
        while let Some(&(token, span)) = self.tokens.peek() {
            match token {
                Token::Label => items.push(Item::Label(span)),
                Token::Ellipsis if !ellipsis => {
                    ellipsis = true;
                    items.push(Item::Ellipsis(span));
                }
                Token::Ellipsis => return Err(Fault::SecondEllipsis.at(span)),
                Token::Comma | Token::Arrow => break,
                Token::Dots => return Err(Fault::Dots(span.end - span.start).at(span)),
                Token::HalfArrow => {
                    let found = self.text.get(span.start..span.end).unwrap_or_default();
                    return Err(Fault::HalfArrow(found.to_owned()).at(span));
                }
                Token::Unknown(c) => return Err(Fault::Character(c, self.syntax).at(span)),
            }
            self.tokens.next();
        }
        Ok(Term::new(items, at))
    }

    /// `output = term`, up to the end of the text.
    fn output(&mut self, arrow: Span) -> Parsed<Output> {
        let term = self.term(arrow.end)?;
        match self.tokens.next() {
            None => Ok(Output { arrow, term }),
            Some((Token::Comma, span)) => Err(Fault::CommaInOutput.at(span)),
            Some((_, span)) => Err(Fault::SecondArrow.at(span)),
        }
    }

    fn arrow(&mut self) -> Option<Span> {
        self.tokens.next_if(|(token, _)| *token == Token::Arrow).map(|(_, span)| span)
    }

    fn end(&self) -> Span {
        Span::new(self.text.len(), self.text.len())
    }
}

/// The labels of a written output are distinct, and each is in some operand.
fn check_output(text: &str, operands: &[Term], output: &Term) -> Parsed<()> {
    let name = |span: Span| text.get(span.start..span.end).unwrap_or_default();
    let mut known: Vec<&str> = operands.iter().flat_map(Term::labels).map(name).collect();
    known.sort_unstable();
    known.dedup();
    let mut first: Vec<Option<Span>> = vec![None; known.len()];
    for span in output.labels() {
        let Ok(label) = known.binary_search(&name(span)) else {
            return Err(Fault::UnknownOutput(name(span).to_owned()).at(span));
        };
        if let Some(earlier) = first[label].replace(span) {
            let fault = Fault::RepeatedOutput(name(span).to_owned());
            return Err(SyntaxError { fault, spans: smallvec![earlier, span] });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str, syntax: Syntax) -> (String, Vec<(usize, usize)>) {
        let error = parse(text, syntax).unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Syntax);
        (error.message().to_owned(), error.spans().iter().map(|span| (span.start, span.end)).collect())
    }

    #[test]
    fn spans_cover_every_label() {
        let ast = parse(" i長 ,...j -> 長", Syntax::Compact).unwrap();
        let items: Vec<&[Item]> = ast.operands().iter().map(Term::items).collect();
        assert_eq!(items[0], [Item::Label(Span::new(1, 2)), Item::Label(Span::new(2, 5))]);
        assert_eq!(items[1], [Item::Ellipsis(Span::new(7, 10)), Item::Label(Span::new(10, 11))]);
        let output = ast.output().unwrap();
        assert_eq!(output.arrow(), Span::new(12, 14));
        assert_eq!(output.term().span(), Span::new(15, 18));
    }

    #[test]
    fn the_first_fault_is_the_one_shown() {
        type Case = (&'static str, &'static str, &'static [(usize, usize)]);
        let cases: &[Case] = &[
            ("i%,$", "unexpected character `%` (U+0025)", &[(1, 2)]),
            ("i\tj", "unexpected character `\\t` (U+0009): only a space (U+0020) may stand between tokens", &[(1, 2)]),
            ("…ij", "unexpected character `…` (U+2026): an ellipsis is `...`", &[(0, 3)]),
            ("i→i", "unexpected character `→` (U+2192): an arrow is `->`", &[(1, 4)]),
            ("i\u{200f}", "unexpected character `\\u{200f}` (U+200F)", &[(1, 4)]),
            ("i.", "a single `.`: an ellipsis is `...`, without spaces", &[(1, 2)]),
            ("....i", "4 dots in a row: an ellipsis is `...`, without spaces", &[(0, 4)]),
            ("...i...", "second `...` in a term", &[(4, 7)]),
            ("i->...... ", "6 dots in a row: an ellipsis is `...`, without spaces", &[(3, 9)]),
            ("i->->i", "second `->`", &[(3, 5)]),
            ("ij->i,j", "`,` after `->`: there is one output", &[(5, 6)]),
            ("i-", "unfinished arrow `-`: an arrow is `->`, without spaces", &[(1, 2)]),
            ("i=>i", "unfinished arrow `=>`: an arrow is `->`, without spaces", &[(1, 3)]),
            ("i->ij", "output label `j` is in no operand", &[(4, 5)]),
            ("ij->jij", "output label `j` is repeated", &[(4, 5), (6, 7)]),
            ("ij->iiz", "output label `i` is repeated", &[(4, 5), (5, 6)]),
        ];
        for &(text, message, spans) in cases {
            assert_eq!(refused(text, Syntax::Compact), (message.to_owned(), spans.to_vec()), "{text:?}");
        }
        let message = "no `->`: an equation of names needs its output written";
        assert_eq!(refused("a b", Syntax::Named), (message.to_owned(), vec![(3, 3)]));
        let message =
            "unexpected character `2` (U+0032): a name is of `A-Z`, `a-z`, `0-9` and `_`, and begins with no digit";
        assert_eq!(refused("a 2d -> a", Syntax::Named), (message.to_owned(), vec![(2, 3)]));
    }

    #[test]
    fn names_read_as_letters_are_recognized() {
        let hint = "; in named syntax (`--named`) this is an equation";
        let cases = [("all -> all", true), ("tall_1 -> tall_1", true), ("ij->ii", false), ("i->%", false)];
        for (text, hinted) in cases {
            assert_eq!(refused(text, Syntax::Compact).0.ends_with(hint), hinted, "{text}");
        }
    }

    #[test]
    fn long_text_is_parsed_in_one_pass_and_its_errors_stay_small() {
        let long = "i".repeat(1_000_000);
        assert_eq!(parse(&long, Syntax::Compact).unwrap().operands()[0].items().len(), 1_000_000);
        let cases = [
            format!("{long}%{long}"),
            format!("{long}->{long}"),
            ".".repeat(1_000_000),
            "->".repeat(500_000),
            "...".to_owned() + &long + "...",
            format!("i->i{}i", " ".repeat(1_000_000)),
            format!("i->{}", "\u{1f600}".repeat(300_000)),
        ];
        for text in cases {
            let shown = parse(&text, Syntax::Compact).unwrap_err().to_string();
            assert!(shown.len() < 1_000, "{shown}");
        }
        let name = "n".repeat(1_000_000);
        assert!(parse(&format!("a -> {name}"), Syntax::Named).unwrap_err().to_string().len() < 1_000);
    }
}
