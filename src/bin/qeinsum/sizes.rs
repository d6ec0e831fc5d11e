//! `--shapes` and `--sizes`: what operands and labels measure.

use std::collections::BTreeMap;

use clap::Args;
use qeinsum::printable_text;

use crate::failure::Failure;

/// Sizes, in one of the two ways to write them, or none.
#[derive(Args)]
pub(crate) struct SizeArgs {
    /// The shape of each operand, such as `16x64x32,16x32x8`; `scalar` for one without axes
    #[arg(long, value_name = "SHAPES", conflicts_with = "sizes")]
    shapes: Option<String>,

    /// The size of each label, such as `b=16,i=64,j=32,k=8`
    #[arg(long, value_name = "SIZES")]
    sizes: Option<String>,
}

/// Sizes as given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Given {
    /// The shape of each operand.
    Shapes(Vec<Vec<usize>>),
    /// The size of each label, by its name.
    Labels(BTreeMap<String, usize>),
    /// Nothing.
    Nothing,
}

impl SizeArgs {
    /// Whether any were given.
    pub(crate) fn is_given(&self) -> bool {
        self.shapes.is_some() || self.sizes.is_some()
    }

    /// What was given.
    pub(crate) fn read(&self) -> Result<Given, Failure> {
        match (&self.shapes, &self.sizes) {
            (Some(text), _) => shapes(text).map(Given::Shapes),
            (None, Some(sizes)) => labels(sizes).map(Given::Labels),
            (None, None) => Ok(Given::Nothing),
        }
    }
}

/// The shapes of several operands.
pub(crate) fn shapes(text: &str) -> Result<Vec<Vec<usize>>, Failure> {
    text.split(',').map(shape).collect()
}

fn shape(text: &str) -> Result<Vec<usize>, Failure> {
    match text.trim() {
        "scalar" => Ok(Vec::new()),
        text => text.split('x').map(|part| size(part, text)).collect(),
    }
}

fn labels(text: &str) -> Result<BTreeMap<String, usize>, Failure> {
    let mut sizes = BTreeMap::new();
    for pair in text.split(',') {
        let Some((name, part)) = pair.split_once('=') else {
            let shown = printable_text(pair, 40);
            return Err(Failure::Request(format!("`{shown}` is no size of a label: write such as `i=64`")));
        };
        let name = name.trim();
        if sizes.insert(name.to_owned(), size(part, pair)?).is_some() {
            let shown = printable_text(name, 40);
            return Err(Failure::Request(format!("label `{shown}` is given two sizes")));
        }
    }
    Ok(sizes)
}

fn size(part: &str, whole: &str) -> Result<usize, Failure> {
    let part = part.trim();
    part.parse().map_err(|_| {
        let (part_shown, whole) = (printable_text(part, 40), printable_text(whole, 40));
        Failure::Request(if !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) {
            format!("size `{part_shown}` in `{whole}` is more than a machine can address: overflow")
        } else {
            format!("`{part_shown}` in `{whole}` is no size: write such as `16x64`, `i=64` or `scalar`")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shapes(text: &str) -> Result<Given, Failure> {
        SizeArgs { shapes: Some(text.to_owned()), sizes: None }.read()
    }

    #[test]
    fn shapes_are_read() {
        let cases: &[(&str, &[&[usize]])] = &[
            ("16x64x32,16x32x8", &[&[16, 64, 32], &[16, 32, 8]]),
            ("scalar", &[&[]]),
            ("scalar,0x3, 4", &[&[], &[0, 3], &[4]]),
        ];
        for (text, expected) in cases {
            let expected = expected.iter().map(|shape| shape.to_vec()).collect();
            assert_eq!(shapes(text).unwrap(), Given::Shapes(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "2x", "x2", "2,,3", "-1", "2x3y", "1e3", "Scalar", "2 x 3 4", "99999999999999999999"] {
            assert!(matches!(shapes(text), Err(Failure::Request(_))), "{text}");
        }
        for text in ["", "i", "i=", "i=1,i=1", "i=2;j=3", "i=-1"] {
            assert!(matches!(labels(text), Err(Failure::Request(_))), "{text}");
        }
    }
}
