//! Equations as text.

use qeinsum::Syntax;
use qeinsum::parse::{Item, parse, resolve};

use super::sound;

/// Parses bytes in both syntaxes; what is accepted is printed and parsed to the same.
pub(crate) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if text.len() > 1 << 14 {
        return;
    }
    for syntax in [Syntax::Compact, Syntax::Named] {
        let ast = match parse(text, syntax) {
            Ok(ast) => ast,
            Err(error) => {
                sound::error(&error);
                let places = error.spans().iter();
                assert!(places.clone().all(|span| text.get(span.start..span.end).is_some()), "{text:?}: {error}");
                continue;
            }
        };
        let printed = ast.to_string();
        let again = parse(&printed, syntax).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert_eq!(again.to_string(), printed);
        // An ellipsis of no axes, and one of two.
        for covered in [0, 2] {
            let rank = |item: &Item| if matches!(item, Item::Ellipsis(_)) { covered } else { 1 };
            let ranks: Vec<usize> = ast.operands().iter().map(|term| term.items().iter().map(rank).sum()).collect();
            match (resolve(&ast, &ranks), resolve(&again, &ranks)) {
                (Ok(equation), Ok(same)) => assert_eq!(equation, same, "{text:?}"),
                (Err(error), Err(same)) => {
                    sound::error(&error);
                    assert_eq!(error.message(), same.message(), "{text:?}");
                }
                (one, other) => panic!("{text:?}: {one:?} and {other:?}"),
            }
        }
    }
}
