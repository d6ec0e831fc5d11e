//! Networks in files: operands as lists of names, and a size for every name.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::equation::{Equation, Syntax};
use crate::error::{Error, ErrorKind, Result};
use crate::sizes::Sizes;
use crate::span::printable_text;
use crate::unique;

/// The content of a file. Fields that it does not need are not looked at.
#[derive(Deserialize)]
struct Document {
    name: Option<String>,
    inputs: Vec<Vec<String>>,
    output: Vec<String>,
    #[serde(deserialize_with = "unique::entries")]
    sizes: BTreeMap<String, usize>,
}

/// A tensor network as programs exchange it: an equation whose labels may have any names, and its sizes.
///
/// ```
/// use qeinsum::{Network, QEinsum};
/// let json = r#"{"inputs": [["row", "inner"], ["inner", "column"]], "output": ["row", "column"],
///     "sizes": {"row": 3, "inner": 5, "column": 2}}"#;
/// let network = Network::from_json(json)?;
/// let shapes: Vec<&[usize]> = network.sizes.shapes().iter().map(|shape| shape.as_slice()).collect();
/// let plan = QEinsum::named(&network.equation.to_string())?.plan(&shapes)?;
/// assert_eq!(plan.multiplications().to_string(), "30");
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Network {
    /// What its file calls it.
    pub name: Option<String>,
    /// The equation, in compact syntax where every label is one letter.
    pub equation: Equation,
    /// What its labels measure.
    pub sizes: Sizes,
}

impl Network {
    /// Reads JSON: `inputs`, a list of names for each operand, `output`, a list of names, `sizes`, an object with the size of
    /// each name, and maybe a `name`. Other fields are not looked at.
    ///
    /// An error where it is something else, a name has two sizes or none, or the output has a name that is in no operand.
    ///
    /// ```
    /// use qeinsum::Network;
    /// let text = r#"{"inputs": [["time", "chan"], ["chan"]], "output": ["time"], "sizes": {"time": 2, "chan": 3}}"#;
    /// let network = Network::from_json(text)?;
    /// assert_eq!(network.equation.to_string(), "time chan, chan -> time");
    /// assert_eq!(network.sizes.shapes()[0].as_slice(), [2, 3]);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn from_json(text: &str) -> Result<Self> {
        let document: Document = serde_json::from_str(text).map_err(|error| {
            let shown = printable_text(&error.to_string(), 200);
            Error::new(ErrorKind::File, format!("this is no network: {shown}"))
        })?;
        let letter = |name: &String| {
            let mut chars = name.chars();
            chars.next().is_some_and(char::is_alphabetic) && chars.next().is_none()
        };
        let syntax = if document.sizes.keys().all(letter) { Syntax::Compact } else { Syntax::Named };
        let equation = Equation::new(syntax, &document.inputs, &document.output)?;
        let sizes = Sizes::from_names(&equation, &document.sizes)?;
        Ok(Self { name: document.name, equation, sizes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sizes::Shape;

    #[test]
    fn names_may_be_any_text() {
        let text = r#"{"name": "n", "inputs": [["a b", "", "a b"], [], ["é\n"]], "output": [""],
            "sizes": {"a b": 2, "": 3, "é\n": 0}, "source": [1, {}]}"#;
        let network = Network::from_json(text).unwrap();
        assert_eq!(network.name.as_deref(), Some("n"));
        assert_eq!(network.sizes.shapes(), [&[2, 3, 2][..], &[], &[0]].map(Shape::from_slice));
        let text = r#"{"inputs": [["i", "j"], ["j"]], "output": ["i"], "sizes": {"i": 2, "j": 3}}"#;
        assert_eq!(Network::from_json(text).unwrap().equation.to_string(), "ij,j->i");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let deep = format!(r#"{{"inputs": [["i"]], "output": [], "sizes": {{"i": 1}}, "x": {}"#, "[".repeat(100_000));
        let cases = [
            ("[]", "invalid length 0"),
            (r#"{"inputs": [["i"]], "output": []}"#, "missing field `sizes`"),
            (r#"{"inputs": [["i"]], "output": [], "sizes": {}}"#, "no size given for label `i`"),
            (r#"{"inputs": [["i"]], "output": [], "sizes": {"i": 2, "z": 2}}"#, "label `z`"),
            (r#"{"inputs": [["i"]], "output": [], "sizes": {"i": -2}}"#, "integer `-2`"),
            (r#"{"inputs": [["i"]], "output": [], "sizes": {"i": 2.0}}"#, "floating point `2.0`"),
            (r#"{"inputs": [["i"]], "output": [], "sizes": {"i": 1e999}}"#, "number out of range"),
            (r#"{"inputs": [["i"]], "output": [], "sizes": {"i": 18446744073709551616}}"#, "invalid type"),
            (r#"{"inputs": [["i", "j"]], "output": [], "sizes": {"i": 4294967296, "j": 4294967296}}"#, "overflow"),
            (r#"{"inputs": [["i"]], "output": [], "sizes": {"i": 2, "i": 3}}"#, "key `i` stands twice"),
            (
                r#"{"inputs": [["i"]], "output": [], "sizes": {"\u001b[2J": 2, "\u001b[2J": 3}}"#,
                r"\u{1b}[2J` stands twice",
            ),
            (r#"{"inputs": [["i"]], "inputs": [], "output": [], "sizes": {"i": 2}}"#, "duplicate field `inputs`"),
            (r#"{"inputs": [["i"]], "output": ["i", "i"], "sizes": {"i": 2}}"#, "output label `i` is repeated"),
            (r#"{"inputs": [["i"]], "output": ["z"], "sizes": {"i": 2}}"#, "output label `z` is in no operand"),
            (r#"{"inputs": [], "output": [], "sizes": {}}"#, "at least one operand"),
            (r#"{"inputs": [["i"], [5]], "output": [], "sizes": {}}"#, "integer `5`"),
            (r#"{"inputs": [["i"]], "output": [], "sizes": {"i": 2}} {}"#, "trailing characters"),
            (&deep, "EOF while parsing a list"),
        ];
        for (text, expected) in cases {
            let message = Network::from_json(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{text:.200}: {message}");
            assert!(message.chars().all(|c| !c.is_control()), "{message}");
        }
    }
}
