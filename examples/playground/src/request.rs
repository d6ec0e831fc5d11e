//! What the page asks.

use std::collections::BTreeMap;

use qeinsum::path::{Objective, Optimizer, SearchOptions};
use qeinsum::{DotGeneralConfig, Error, QEinsum, QuantConfig};
use serde::Deserialize;

/// The fields of the page as they stand.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Request {
    /// An equation.
    pub equation: String,
    /// Sizes of labels (`i=2,j=3`), shapes of operands (`2x3,3x4`), or nothing.
    pub sizes: String,
    /// How the equation is written.
    pub syntax: SyntaxChoice,
    /// How a path is searched; as on the command line.
    pub optimize: String,
    /// What the path makes least; as on the command line.
    pub minimize: String,
    /// Bits to quantize to; none where this is empty.
    pub bits: String,
}

/// The two syntaxes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyntaxChoice {
    /// One letter a label.
    #[default]
    Compact,
    /// Names with spaces between them.
    Named,
}

/// What stands in the field of sizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sizes {
    /// A size for each label.
    Labels(BTreeMap<String, usize>),
    /// A shape for each operand.
    Shapes(Vec<Vec<usize>>),
    /// Nothing: the symbolic view.
    Nothing,
}

impl Request {
    /// The equation, planned as asked; `effort` bounds the search.
    pub fn equation(&self) -> Result<QEinsum, Error> {
        match self.syntax {
            SyntaxChoice::Compact => QEinsum::new(&self.equation),
            SyntaxChoice::Named => QEinsum::named(&self.equation),
        }
    }

    /// How a path is searched: with the least effort, so that the page answers while one types.
    pub fn options(&self) -> Result<SearchOptions, String> {
        let mut options = SearchOptions::new();
        if !self.optimize.is_empty() {
            let optimizer: Optimizer = self.optimize.parse().map_err(|error: Error| error.message().to_owned())?;
            options = options.optimizer(optimizer);
        }
        if !self.minimize.is_empty() {
            let objective: Objective = self.minimize.parse().map_err(|error: Error| error.message().to_owned())?;
            options = options.objective(objective);
        }
        Ok(options)
    }

    /// How calls are quantized, if they are.
    pub fn config(&self) -> Result<Option<QuantConfig>, String> {
        if self.bits.is_empty() {
            return Ok(None);
        }
        let bits: u8 = self.bits.parse().map_err(|_| "bits are a whole number, such as 8".to_owned())?;
        let config = DotGeneralConfig::v4().fwd_bits(Some(bits)).dlhs_bits(Some(bits)).build();
        config.map(|config| Some(config.into())).map_err(|error| error.message().to_owned())
    }

    /// The field of sizes, read.
    pub fn sizes(&self) -> Result<Sizes, String> {
        let text = self.sizes.trim();
        if text.is_empty() {
            return Ok(Sizes::Nothing);
        }
        if text.contains('=') {
            let mut sizes = BTreeMap::new();
            for part in text.split([',', ' ']).filter(|part| !part.is_empty()) {
                let (label, size) = part.split_once('=').ok_or_else(|| format!("`{part}` is no size such as i=2"))?;
                if sizes.insert(label.to_owned(), number(size)?).is_some() {
                    return Err(format!("`{label}` has two sizes"));
                }
            }
            return Ok(Sizes::Labels(sizes));
        }
        let shapes = text.split(',').map(|shape| match shape.trim() {
            "scalar" => Ok(Vec::new()),
            shape => shape.split(['x', '×']).map(number).collect(),
        });
        shapes.collect::<Result<_, String>>().map(Sizes::Shapes)
    }
}

fn number(text: &str) -> Result<usize, String> {
    // As large as on the command line: the pages' own numbers have 32 bits, and larger sizes are refused there.
    text.trim().parse().map_err(|_| format!("`{}` is no size", qeinsum::printable_text(text.trim(), 20)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]

    use super::*;

    fn sizes(text: &str) -> Result<Sizes, String> {
        Request { sizes: text.to_owned(), ..Request::default() }.sizes()
    }

    #[test]
    fn sizes_are_labels_or_shapes() {
        let labels = BTreeMap::from([("i".to_owned(), 2), ("j".to_owned(), 3)]);
        assert_eq!(sizes("i=2,j=3").unwrap(), Sizes::Labels(labels.clone()));
        assert_eq!(sizes(" i=2 j=3 ").unwrap(), Sizes::Labels(labels));
        assert_eq!(sizes("2x3, 3×4,scalar").unwrap(), Sizes::Shapes(vec![vec![2, 3], vec![3, 4], vec![]]));
        assert_eq!(sizes(" ").unwrap(), Sizes::Nothing);
        for wrong in ["i=2,j", "i=x", "2x,3", "i=2,i=3", "i=-1", "99999999999999999999x2"] {
            assert!(sizes(wrong).is_err(), "{wrong}");
        }
    }
}
