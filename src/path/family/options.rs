//! What a family is asked to be, and how thoroughly it is built.

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// The largest tolerance: eleven times the least cost.
const MOST_TOLERANCE: f64 = 10.0;

/// The most sizes of a grid, and of a check.
const MOST_SIZES: usize = 1 << 20;

/// How close to the best a family's paths have to be, and what they are built and checked with.
///
/// ```
/// use qeinsum::path::FamilyOptions;
/// let options = FamilyOptions::new().tolerance(0.05).seed(7).grid(1000).samples(5000);
/// assert_ne!(options, FamilyOptions::default());
/// ```
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[must_use]
pub struct FamilyOptions {
    pub(super) tolerance: f64,
    pub(super) seed: u64,
    pub(super) grid: usize,
    pub(super) samples: usize,
    /// None where there may be as many as it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) most_members: Option<usize>,
}

impl Default for FamilyOptions {
    fn default() -> Self {
        Self { tolerance: 0.1, seed: 0, grid: 4096, samples: 20_000, most_members: None }
    }
}

impl FamilyOptions {
    /// Within 10 % of the best, with a grid of 4,096 sizes and a check on 20,000.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same options with another tolerance: the share of the least cost that a path may cost beyond it, from 0 to 10;
    /// 0.1 is 10 %.
    pub fn tolerance(mut self, share: f64) -> Self {
        self.tolerance = share;
        self
    }

    /// The same options with another seed of the random sizes; 0 unless told.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The same options with a grid of at most so many sizes, from 1 to 1,048,576.
    pub fn grid(mut self, sizes: usize) -> Self {
        self.grid = sizes;
        self
    }

    /// The same options with a check on so many random sizes, from 1 to 1,048,576.
    pub fn samples(mut self, samples: usize) -> Self {
        self.samples = samples;
        self
    }

    /// The same options with at most so many members, from 1: where more are needed to be within the tolerance at all sizes,
    /// those whose mean excess above it is least on random sizes, as far as exchanges of one for another find.
    ///
    /// ```
    /// use qeinsum::QEinsum;
    /// use qeinsum::path::FamilyOptions;
    /// let ranges = ["a", "b", "c", "d"].map(|label| (label.to_owned(), 2..=100)).into();
    /// let options = FamilyOptions::new().most_members(1);
    /// let family = QEinsum::new("ab,bc,cd->ad")?.family(&ranges, &options)?;
    /// assert_eq!(family.members().len(), 1);
    /// assert!(family.report().built_from.worst > 0.1); // one is not enough
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn most_members(mut self, members: usize) -> Self {
        self.most_members = Some(members);
        self
    }

    /// An error where a number is out of its range.
    pub(super) fn check(&self) -> Result<()> {
        if !(0.0..=MOST_TOLERANCE).contains(&self.tolerance) {
            let message = format!("the tolerance of a family is from 0 to 1000%, and not {}", percent(self.tolerance));
            return Err(Error::new(ErrorKind::Path, message));
        }
        if self.most_members == Some(0) {
            return Err(Error::new(ErrorKind::Path, "a family has at least 1 member"));
        }
        for (what, sizes) in [("grid", self.grid), ("check", self.samples)] {
            if !(1..=MOST_SIZES).contains(&sizes) {
                let message = format!("the {what} of a family has from 1 to {MOST_SIZES} sizes, and not {sizes}");
                return Err(Error::new(ErrorKind::Path, message));
            }
        }
        Ok(())
    }
}

/// A share in percent, with up to two decimals.
pub(super) fn percent(share: f64) -> String {
    let text = format!("{:.2}", share * 100.0);
    let short = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text.as_str() };
    format!("{short}%")
}

/// The same rounded up, for what is said to be at most that.
pub(super) fn percent_up(share: f64) -> String {
    percent((share * 10_000.0).ceil() / 10_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_short_percents() {
        let cases =
            [(0.1, "10%"), (0.0, "0%"), (1.0, "100%"), (0.123_456, "12.35%"), (0.105, "10.5%"), (f64::NAN, "NaN%")];
        for (share, expected) in cases {
            assert_eq!(percent(share), expected);
        }
        assert_eq!([0.1, 0.0, 0.000_001, 0.105].map(percent_up), ["10%", "0%", "0.01%", "10.5%"]);
    }
}
