//! How deep a file nests its tables, found before any is made.
//!
//! The parser bounds the parts of a key and the brackets around a value, each for itself. Keys in brackets can have as many
//! parts again, so that a few kilobytes make tables some thousand deep, and whatever visits those runs out of stack.

use toml_parser::Source;
use toml_parser::lexer::TokenKind;

/// Far more than a configuration needs: `step.0.dlhs.lhs.calibration.constant` has six parts.
const MOST: usize = 16;

/// The first byte that lies deeper than any configuration needs.
pub(super) fn too_deep(text: &str) -> Option<usize> {
    // Of each open bracket what closes it, and how deep it lies.
    let mut open: Vec<(TokenKind, usize)> = Vec::new();
    let (mut depth, mut dots) = (0, 0);
    for token in Source::new(text).lex() {
        match token.kind() {
            TokenKind::Dot => dots += 1,
            kind @ (TokenKind::LeftCurlyBracket | TokenKind::LeftSquareBracket) => {
                let curly = kind == TokenKind::LeftCurlyBracket;
                open.push((if curly { TokenKind::RightCurlyBracket } else { TokenKind::RightSquareBracket }, depth));
                depth += dots + 1;
                dots = 0;
            }
            // One that closes nothing is a fault that the parser finds, and makes nothing shallower.
            kind if open.last().is_some_and(|&(closing, _)| closing == kind) => {
                depth = open.pop().map_or(0, |(_, depth)| depth);
                dots = 0;
            }
            TokenKind::Comma => dots = 0,
            TokenKind::Newline if open.is_empty() => dots = 0,
            _ => {}
        }
        if depth + dots > MOST {
            return Some(token.span().start());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_that_of_tables_and_brackets() {
        let deepest = "step.0.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a = 1\n";
        let wide = "a = [1.5, 2.5, {b = 1}, [3.5]]\n".repeat(100);
        let quoted = format!("a = \"{}\" # {}\nb = '{}'\n", "[".repeat(99), "{".repeat(99), ".".repeat(99));
        for text in ["", "version = 1\n[fwd.lhs]\ncalibration = { constant = 1.5 }\n", deepest, &wide, &quoted] {
            assert_eq!(too_deep(text), None, "{text}");
        }
        let keys = "step.0.".repeat(9);
        let mixed = "a.b.c = {".repeat(6);
        let closed_wrongly = "a = [[[[[[}}}}}}".repeat(4);
        for text in
            [&*keys, &mixed, &closed_wrongly, &"[".repeat(17), &"a={".repeat(17), &format!("[{}]", "a.".repeat(17))]
        {
            assert!(too_deep(text).is_some(), "{text}");
        }
    }
}
