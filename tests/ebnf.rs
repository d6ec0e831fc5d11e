//! Reads an EBNF grammar and recognises its sentences by trying every way to read them.
//!
//! It knows nothing of the parser under test and shares no code with it; it is slow and meant for short texts.

use std::collections::{BTreeMap, BTreeSet};

/// The productions of a grammar.
pub(crate) struct Grammar(BTreeMap<String, Expression>);

#[derive(Clone, Debug)]
pub(crate) enum Expression {
    Sequence(Vec<Expression>),
    Choice(Vec<Expression>),
    Optional(Box<Expression>),
    Repeated(Box<Expression>),
    Production(String),
    Literal(String),
    /// Text between question marks, given a meaning by the caller.
    Special(String),
}

/// One symbol of a sentence: a character, or a token that a production has been cut as.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Symbol {
    Character(char),
    Token(String),
}

impl Grammar {
    /// Reads ISO 14977 as far as `grammar/einsum.ebnf` uses it.
    pub(crate) fn read(text: &str) -> Self {
        let mut productions = BTreeMap::new();
        let mut reader = Reader { symbols: symbols(text), next: 0 };
        while reader.next < reader.symbols.len() {
            let name = reader.take();
            assert_eq!(reader.take(), "=", "after {name}");
            let expression = reader.choice();
            assert_eq!(reader.take(), ";", "after the production {name}");
            assert!(productions.insert(name.clone(), expression).is_none(), "two productions {name}");
        }
        Self(productions)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(crate) fn production(&self, name: &str) -> &Expression {
        self.0.get(name).unwrap_or_else(|| panic!("no production {name}"))
    }

    /// The productions that a production names, directly or not, itself included.
    pub(crate) fn reachable(&self, name: &str) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        let mut open = vec![name];
        while let Some(name) = open.pop() {
            let (name, expression) = self.0.get_key_value(name).unwrap_or_else(|| panic!("no production {name}"));
            if found.insert(name.as_str()) {
                expression.productions(&mut open);
            }
        }
        found
    }

    /// Where a reading of `expression` that starts at `start` may end.
    ///
    /// `special` says whether a character is one that a special sequence describes.
    pub(crate) fn ends(
        &self,
        expression: &Expression,
        input: &[Symbol],
        start: usize,
        special: &dyn Fn(&str, char) -> bool,
    ) -> BTreeSet<usize> {
        let ends = |expression: &Expression, start: usize| self.ends(expression, input, start, special);
        match expression {
            Expression::Sequence(parts) => parts.iter().fold(BTreeSet::from([start]), |starts, part| {
                starts.into_iter().flat_map(|start| ends(part, start)).collect()
            }),
            Expression::Choice(parts) => parts.iter().flat_map(|part| ends(part, start)).collect(),
            Expression::Optional(part) => ends(part, start).into_iter().chain([start]).collect(),
            Expression::Repeated(part) => {
                let mut all = BTreeSet::from([start]);
                let mut open = vec![start];
                while let Some(start) = open.pop() {
                    open.extend(ends(part, start).into_iter().filter(|&end| all.insert(end)));
                }
                all
            }
            Expression::Production(name) if input.get(start) == Some(&Symbol::Token(name.clone())) => {
                [start + 1].into()
            }
            Expression::Production(name) => ends(self.production(name), start),
            Expression::Literal(literal) => {
                let fits = literal
                    .chars()
                    .enumerate()
                    .all(|(offset, c)| input.get(start + offset) == Some(&Symbol::Character(c)));
                fits.then_some(start + literal.chars().count()).into_iter().collect()
            }
            Expression::Special(text) => match input.get(start) {
                Some(Symbol::Character(c)) if special(text, *c) => [start + 1].into(),
                _ => BTreeSet::new(),
            },
        }
    }
}

impl Expression {
    fn productions<'a>(&'a self, into: &mut Vec<&'a str>) {
        match self {
            Self::Sequence(parts) | Self::Choice(parts) => parts.iter().for_each(|part| part.productions(into)),
            Self::Optional(part) | Self::Repeated(part) => part.productions(into),
            Self::Production(name) => into.push(name),
            Self::Literal(_) | Self::Special(_) => {}
        }
    }
}

/// The text without comments and white space; a quoted or special part is one symbol with its marks.
fn symbols(text: &str) -> Vec<String> {
    let mut symbols = Vec::new();
    let mut rest = text.trim_start();
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '(' if rest.starts_with("(*") => {
                rest = rest[rest.find("*)").expect("a comment ends") + 2..].trim_start();
                continue;
            }
            '"' | '?' => rest[1..].find(c).expect("a quotation ends") + 2,
            _ if c.is_alphabetic() => rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len()),
            _ => c.len_utf8(),
        };
        symbols.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    symbols
}

struct Reader {
    symbols: Vec<String>,
    next: usize,
}

impl Reader {
    fn take(&mut self) -> String {
        self.next += 1;
        self.symbols.get(self.next - 1).expect("the grammar ends in the midst of a production").clone()
    }

    fn skip(&mut self, symbol: &str) -> bool {
        let found = self.symbols.get(self.next).is_some_and(|next| next == symbol);
        self.next += usize::from(found);
        found
    }

    fn choice(&mut self) -> Expression {
        let mut parts = vec![self.sequence()];
        while self.skip("|") {
            parts.push(self.sequence());
        }
        Expression::Choice(parts)
    }

    fn sequence(&mut self) -> Expression {
        let mut parts = vec![self.part()];
        while self.skip(",") {
            parts.push(self.part());
        }
        Expression::Sequence(parts)
    }

    fn part(&mut self) -> Expression {
        let symbol = self.take();
        let close = match symbol.as_str() {
            "[" => "]",
            "{" => "}",
            "(" => ")",
            _ if symbol.starts_with('"') => return Expression::Literal(symbol.trim_matches('"').to_owned()),
            _ if symbol.starts_with('?') => return Expression::Special(symbol.trim_matches(['?', ' ']).to_owned()),
            _ => return Expression::Production(symbol),
        };
        let inner = Box::new(self.choice());
        assert_eq!(self.take(), close);
        match close {
            "]" => Expression::Optional(inner),
            "}" => Expression::Repeated(inner),
            _ => *inner,
        }
    }
}
