//! Networks in files: operands as lists of names, and a size for every name.

use std::collections::BTreeMap;
use std::ffi::OsStr;

use qeinsum::{Equation, Sizes, Syntax, printable_text};
use serde::Deserialize;

use crate::failure::Failure;
use crate::text_file;

/// The content of a file. Fields that it does not need are not looked at.
#[derive(Deserialize)]
struct Document {
    name: Option<String>,
    inputs: Vec<Vec<String>>,
    output: Vec<String>,
    sizes: BTreeMap<String, usize>,
}

/// A network bound to its sizes.
pub(crate) struct Network {
    /// What the file calls it.
    pub(crate) name: Option<String>,
    /// Its equation, in compact syntax where every label is one letter.
    pub(crate) equation: Equation,
    /// Its sizes.
    pub(crate) sizes: Sizes,
}

/// Reads a file.
pub(crate) fn read(path: &OsStr) -> Result<Network, Failure> {
    let text = text_file::read(path, text_file::PLAN_LIMIT)?;
    parse(&text).map_err(|failure| failure.within(&text_file::shown(path)))
}

fn parse(text: &str) -> Result<Network, Failure> {
    let document: Document = serde_json::from_str(text).map_err(|error| {
        Failure::Request(format!("this is no network: {}", printable_text(&error.to_string(), 200)))
    })?;
    let letter = |name: &String| {
        let mut chars = name.chars();
        chars.next().is_some_and(char::is_alphabetic) && chars.next().is_none()
    };
    let syntax = if document.sizes.keys().all(letter) { Syntax::Compact } else { Syntax::Named };
    let equation = Equation::new(syntax, &document.inputs, &document.output)?;
    let sizes = Sizes::from_names(&equation, &document.sizes)?;
    Ok(Network { name: document.name, equation, sizes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_be_any_text() {
        let text = r#"{"name": "n", "inputs": [["a b", "", "a b"], [], ["é\n"]], "output": [""],
            "sizes": {"a b": 2, "": 3, "é\n": 0}, "source": [1, {}]}"#;
        let network = parse(text).unwrap();
        assert_eq!(network.name.as_deref(), Some("n"));
        assert_eq!(network.sizes.shapes(), [&[2, 3, 2][..], &[], &[0]].map(qeinsum::Shape::from_slice));
        let compact = parse(r#"{"inputs": [["i", "j"], ["j"]], "output": ["i"], "sizes": {"i": 2, "j": 3}}"#).unwrap();
        assert_eq!(compact.equation.to_string(), "ij,j->i");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            ("[]", "invalid length 0"),
            (r#"{"inputs": [["i"]], "output": []}"#, "missing field `sizes`"),
            (r#"{"inputs": [["i"]], "output": [], "sizes": {}}"#, "no size given for label `i`"),
            (r#"{"inputs": [["i"]], "output": [], "sizes": {"i": 2, "z": 2}}"#, "label `z`"),
            (r#"{"inputs": [["i"]], "output": [], "sizes": {"i": -2}}"#, "integer `-2`"),
            (r#"{"inputs": [["i"]], "output": ["i", "i"], "sizes": {"i": 2}}"#, "output label `i` is repeated"),
            (r#"{"inputs": [["i"]], "output": ["z"], "sizes": {"i": 2}}"#, "output label `z` is in no operand"),
            (r#"{"inputs": [], "output": [], "sizes": {}}"#, "at least one operand"),
            (r#"{"inputs": [["i"], [5]], "output": [], "sizes": {}}"#, "integer `5`"),
        ];
        for (text, expected) in cases {
            let diagnostic = parse(text).err().map(|failure| failure.diagnostic()).unwrap_or_default();
            assert!(diagnostic.contains(expected), "{text}: {diagnostic}");
        }
    }
}
