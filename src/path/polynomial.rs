//! Costs as polynomials in the labels, to be read.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::equation::{Equation, Label};

/// The sum of the products of these labels, each rising: `2·i·j·k + i·k`, the highest power first.
pub(crate) fn polynomial(equation: &Equation, steps: impl IntoIterator<Item = Vec<Label>>) -> String {
    let mut terms: BTreeMap<Vec<Label>, usize> = BTreeMap::new();
    for labels in steps {
        *terms.entry(labels).or_default() += 1;
    }
    let mut terms: Vec<(Vec<Label>, usize)> = terms.into_iter().collect();
    // The highest power first; BTreeMap order among equals.
    terms.sort_by_key(|(labels, _)| Reverse(labels.len()));
    let term = |(labels, times): &(Vec<Label>, usize)| {
        let product = equation.joined(labels, "·");
        match (times, product.as_str()) {
            (times, "") => times.to_string(),
            (1, product) => product.to_owned(),
            (times, product) => format!("{times}·{product}"),
        }
    };
    let terms: Vec<String> = terms.iter().map(term).collect();
    if terms.is_empty() { "0".to_owned() } else { terms.join(" + ") }
}
