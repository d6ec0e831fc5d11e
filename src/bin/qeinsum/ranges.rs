//! `--sizes` of a family: what labels may measure.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use qeinsum::printable_text;

use crate::failure::Failure;

/// Ranges such as `b=1..64,i=16..4096`, both ends included; `k=8` is the range of one size.
pub(crate) fn read(text: &str) -> Result<BTreeMap<String, RangeInclusive<usize>>, Failure> {
    let mut ranges = BTreeMap::new();
    for pair in text.split(',') {
        let shown = printable_text(pair, 40);
        let Some((name, range)) = pair.split_once('=') else {
            return Err(Failure::Request(format!("`{shown}` is no range of a label: write such as `i=16..4096`")));
        };
        let (low, high) = range.split_once("..").unwrap_or((range, range));
        let range = size(low, &shown)?..=size(high, &shown)?;
        if ranges.insert(name.trim().to_owned(), range).is_some() {
            return Err(Failure::Request(format!("label `{}` is given two ranges", printable_text(name.trim(), 40))));
        }
    }
    Ok(ranges)
}

fn size(part: &str, whole: &str) -> Result<usize, Failure> {
    let part = part.trim();
    part.parse().map_err(|_| {
        let shown = printable_text(part, 40);
        Failure::Request(if !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) {
            format!("size `{shown}` in `{whole}` is more than a machine can address: overflow")
        } else {
            format!("`{shown}` in `{whole}` is no size: write such as `i=16..4096`, both ends included")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_with_both_ends() {
        let ranges = read("b=1..64, i=16 .. 4096,k=8").unwrap();
        let expected = [("b", 1..=64), ("i", 16..=4096), ("k", 8..=8)];
        assert_eq!(ranges, expected.map(|(name, range)| (name.to_owned(), range)).into());
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in ["", "i", "i=", "i=1..", "i=..2", "i=1..=2", "i=1..2..3", "i=-1..2", "i=1..2,i=1..2", "i=2^3"] {
            assert!(matches!(read(text), Err(Failure::Request(_))), "{text}");
        }
        assert!(read("i=1..99999999999999999999").unwrap_err().diagnostic().ends_with("overflow"));
    }
}
