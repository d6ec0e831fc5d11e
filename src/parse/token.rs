//! Text to tokens: the lexical half of `grammar/einsum.ebnf`.
//!
//! Every character of the text is part of a token, but for spaces (U+0020) between tokens. Characters that no token
//! of the language has come out as tokens of their own, so that the parser meets them in order and names their place.

use logos::Logos;

use crate::equation::Syntax;
use crate::span::Span;

/// A token of either syntax.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Token {
    /// One letter in compact syntax, a name in named syntax.
    Label,
    /// `...`
    Ellipsis,
    Comma,
    /// `->`
    Arrow,
    /// A run of dots that is not three.
    Dots,
    /// Part of an arrow: `-`, `>` or `=>`.
    HalfArrow,
    /// A character of no token.
    Unknown(char),
}

/// The two lexers differ in what a label is and in nothing else.
macro_rules! lexer {
    ($name:ident, $label:tt) => {
        #[derive(Logos, Clone, Copy)]
        #[logos(skip " +")]
        pub(super) enum $name {
            #[regex($label)]
            Label,
            #[regex(r"\.+")]
            Dots,
            #[token(",")]
            Comma,
            #[token("->")]
            Arrow,
            #[regex("-|=?>")]
            HalfArrow,
            #[regex("(?s).", priority = 0)]
            Unknown,
        }

        impl $name {
            fn token(self, slice: &str) -> Token {
                match self {
                    Self::Label => Token::Label,
                    Self::Dots if slice == "..." => Token::Ellipsis,
                    Self::Dots => Token::Dots,
                    Self::Comma => Token::Comma,
                    Self::Arrow => Token::Arrow,
                    Self::HalfArrow => Token::HalfArrow,
                    Self::Unknown => unknown(slice),
                }
            }
        }
    };
}

lexer!(Compact, r"\p{L}");
lexer!(Named, "[A-Za-z_][A-Za-z0-9_]*");

fn unknown(slice: &str) -> Token {
    Token::Unknown(slice.chars().next().unwrap_or(char::REPLACEMENT_CHARACTER))
}

/// The tokens of a text in order, each with its place.
pub(super) enum Tokens<'a> {
    Compact(logos::Lexer<'a, Compact>),
    Named(logos::Lexer<'a, Named>),
}

impl<'a> Tokens<'a> {
    pub(super) fn new(text: &'a str, syntax: Syntax) -> Self {
        match syntax {
            Syntax::Compact => Self::Compact(Compact::lexer(text)),
            Syntax::Named => Self::Named(Named::lexer(text)),
        }
    }
}

impl Iterator for Tokens<'_> {
    type Item = (Token, Span);

    fn next(&mut self) -> Option<Self::Item> {
        let (token, range) = match self {
            Self::Compact(lexer) => {
                let found = lexer.next()?;
                (found.map_or_else(|()| unknown(lexer.slice()), |found| found.token(lexer.slice())), lexer.span())
            }
            Self::Named(lexer) => {
                let found = lexer.next()?;
                (found.map_or_else(|()| unknown(lexer.slice()), |found| found.token(lexer.slice())), lexer.span())
            }
        };
        Some((token, Span::new(range.start, range.end)))
    }
}

/// Whether a character is a label of compact syntax: a code point of Unicode category L.
pub(super) fn is_letter(c: char) -> bool {
    let mut buffer = [0; 4];
    let mut lexer = Compact::lexer(c.encode_utf8(&mut buffer));
    matches!(lexer.next(), Some(Ok(Compact::Label)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str, syntax: Syntax) -> Vec<(Token, &str)> {
        Tokens::new(text, syntax).map(|(token, span)| (token, &text[span.start..span.end])).collect()
    }

    #[test]
    fn compact_text_is_cut_into_letters() {
        use Token::{Arrow, Comma, Dots, Ellipsis, HalfArrow, Label, Unknown};
        let cases: &[(&str, &[(Token, &str)])] = &[
            ("", &[]),
            ("   ", &[]),
            ("iJ", &[(Label, "i"), (Label, "J")]),
            ("長β", &[(Label, "長"), (Label, "β")]),
            (" i ,->", &[(Label, "i"), (Comma, ","), (Arrow, "->")]),
            ("...i", &[(Ellipsis, "..."), (Label, "i")]),
            (". ..", &[(Dots, "."), (Dots, "..")]),
            ("......", &[(Dots, "......")]),
            ("- >", &[(HalfArrow, "-"), (HalfArrow, ">")]),
            ("=>->", &[(HalfArrow, "=>"), (Arrow, "->")]),
            ("=i", &[(Unknown('='), "="), (Label, "i")]),
            (
                "i\u{301}\n\0",
                &[(Label, "i"), (Unknown('\u{301}'), "\u{301}"), (Unknown('\n'), "\n"), (Unknown('\0'), "\0")],
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(&tokens(text, Syntax::Compact), expected, "{text:?}");
        }
    }

    #[test]
    fn named_text_is_cut_into_names() {
        use Token::{Arrow, Comma, Ellipsis, Label, Unknown};
        let cases: &[(&str, &[(Token, &str)])] = &[
            ("batch x_1,_", &[(Label, "batch"), (Label, "x_1"), (Comma, ","), (Label, "_")]),
            ("2d", &[(Unknown('2'), "2"), (Label, "d")]),
            ("dé->", &[(Label, "d"), (Unknown('é'), "é"), (Arrow, "->")]),
            ("...a", &[(Ellipsis, "..."), (Label, "a")]),
        ];
        for (text, expected) in cases {
            assert_eq!(&tokens(text, Syntax::Named), expected, "{text:?}");
        }
    }

    #[test]
    fn letters_are_category_l_and_nothing_else_that_looks_like_one() {
        // Lu, Ll, Lt, Lm, Lo, the last outside the basic plane.
        for c in ['A', 'ß', 'ǅ', 'ʰ', 'ª', '長', 'ㅤ', '𝒜', '𐎀'] {
            assert!(is_letter(c), "U+{:04X}", u32::from(c));
        }
        // Nl, No, Nd, Mn, Mc, So (alphabetic in Unicode's wider sense), Sm, Pc, Cf, Co, Cn.
        for c in ['Ⅷ', '²', '٠', '\u{345}', 'ा', 'ⓐ', '×', '_', '\u{200d}', '\u{e000}', '\u{378}'] {
            assert!(!is_letter(c), "U+{:04X}", u32::from(c));
        }
    }
}
