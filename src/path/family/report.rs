//! What is known of a family: measured, and on which sizes.

use serde::{Deserialize, Serialize};

/// How good the members of a family are, on the sizes that it was built from and on fresh ones.
///
/// An excess is what the chosen member costs beyond the cheapest of all paths, as a share of the latter's cost: 0.1 is
/// 10 %. On the sizes that the family was built from it is within the tolerance, unless the number of members was limited;
/// of all others it is known from samples.
///
/// ```
/// use qeinsum::QEinsum;
/// use qeinsum::path::FamilyOptions;
/// let ranges = ["a", "b", "c", "d"].map(|label| (label.to_owned(), 1..=100)).into();
/// let family = QEinsum::new("ab,bc,cd->ad")?.family(&ranges, &FamilyOptions::new())?;
/// let report = family.report();
/// assert_eq!((report.paths, report.undominated), (3, 2));
/// assert!(report.built_from.worst <= 0.1);
/// // The sizes that it was built from, random ones on which it was checked, and the worst that were found.
/// let (built, fresh, worst) = (&report.built_from, &report.fresh, &report.worst);
/// assert_eq!(built.within, built.grid.sizes + built.added);
/// assert_eq!(fresh.sizes, 20_000);
/// assert!(fresh.median <= fresh.p95 && fresh.p95 <= fresh.p99 && fresh.p99 <= fresh.worst);
/// assert_eq!(worst.sizes.len(), 4); // one for each label
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FamilyReport {
    /// All trees of the equation's operands, those with outer products included.
    pub paths: usize,
    /// Those of them that are not, at all sizes of the ranges, at least as expensive as another.
    pub undominated: usize,
    /// So many members are within the tolerance on all sizes that the family was built from: as many as it has, unless
    /// [`most_members`](super::FamilyOptions::most_members) allows fewer.
    pub enough_members: usize,
    /// Fewer than so many members are not; where this is below the number that is enough, the search ended at its limit of
    /// work.
    pub least_members: usize,
    /// The sizes that the family was built from.
    pub built_from: BuiltFrom,
    /// Fresh random sizes, each as likely as the share of its range that it covers on a logarithmic scale.
    pub fresh: Fresh,
    /// The worst sizes that were found by climbing from the worst fresh ones.
    pub worst: Worst,
}

/// The sizes that a family was built from.
///
/// ```
/// use qeinsum::QEinsum;
/// use qeinsum::path::FamilyOptions;
/// let ranges = ["a", "b", "c", "d"].map(|label| (label.to_owned(), 1..=100)).into();
/// let family = QEinsum::new("ab,bc,cd->ad")?.family(&ranges, &FamilyOptions::new().grid(100).samples(1000))?;
/// let grid = &family.report().built_from.grid;
/// assert!(grid.sizes <= 100 && grid.random == 0); // three points of each label are 81
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Grid {
    /// How many there are.
    pub sizes: usize,
    /// How many of them are random: none where a grid has three points of each label or more.
    pub random: usize,
}

/// What is known of the sizes that a family was built from.
///
/// ```
/// use qeinsum::QEinsum;
/// use qeinsum::path::FamilyOptions;
/// let ranges = ["a", "b", "c", "d"].map(|label| (label.to_owned(), 1..=100)).into();
/// let family = QEinsum::new("ab,bc,cd->ad")?.family(&ranges, &FamilyOptions::new().grid(100).samples(1000))?;
/// let built = &family.report().built_from;
/// assert!(built.rounds >= 1 && built.worst <= 0.1);
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BuiltFrom {
    /// The sizes that it began with.
    pub grid: Grid,
    /// Sizes off the grid at which an earlier family was not within the tolerance.
    pub added: usize,
    /// How often the family was made anew.
    pub rounds: usize,
    /// At how many of all these sizes the family is within the tolerance.
    pub within: usize,
    /// The worst excess.
    pub worst: f64,
}

/// What is known of fresh sizes, on which nothing was built.
///
/// ```
/// use qeinsum::QEinsum;
/// use qeinsum::path::FamilyOptions;
/// let ranges = ["a", "b", "c", "d"].map(|label| (label.to_owned(), 1..=100)).into();
/// let family = QEinsum::new("ab,bc,cd->ad")?.family(&ranges, &FamilyOptions::new().grid(100).samples(1000))?;
/// let fresh = &family.report().fresh;
/// assert!(fresh.sizes == 1000 && fresh.within <= 1000);
/// assert!(fresh.median <= fresh.p95 && fresh.p95 <= fresh.p99 && fresh.p99 <= fresh.worst);
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Fresh {
    /// How many there are.
    pub sizes: usize,
    /// How many of them are within the tolerance.
    pub within: usize,
    /// The excess that half of them have at most.
    pub median: f64,
    /// The excess that 95 of 100 have at most.
    pub p95: f64,
    /// The excess that 99 of 100 have at most.
    pub p99: f64,
    /// The worst excess.
    pub worst: f64,
}

/// The worst sizes that were found.
///
/// ```
/// use qeinsum::QEinsum;
/// use qeinsum::path::FamilyOptions;
/// let ranges = ["a", "b", "c", "d"].map(|label| (label.to_owned(), 1..=100)).into();
/// let family = QEinsum::new("ab,bc,cd->ad")?.family(&ranges, &FamilyOptions::new().grid(100).samples(1000))?;
/// let worst = &family.report().worst;
/// assert_eq!(worst.sizes.len(), 4); // of `a`, `b`, `c` and `d`
/// assert!(worst.excess >= 0.0);
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Worst {
    /// The excess there.
    pub excess: f64,
    /// The size of each label, in the order of their names.
    pub sizes: Vec<usize>,
}

impl Fresh {
    /// The quantiles of these, at least one.
    pub(super) fn new(mut excesses: Vec<f64>, tolerance: f64) -> Self {
        excesses.sort_unstable_by(f64::total_cmp);
        let sizes = excesses.len();
        // The smallest that so many of a hundred do not exceed.
        let quantile = |share: usize| {
            let place = (sizes * share).div_ceil(100).saturating_sub(1);
            excesses.get(place).copied().unwrap_or(0.0)
        };
        Self {
            sizes,
            within: excesses.partition_point(|&excess| excess <= tolerance),
            median: quantile(50),
            p95: quantile(95),
            p99: quantile(99),
            worst: quantile(100),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_seen() {
        let fresh = Fresh::new((1..=200).rev().map(f64::from).collect(), 150.0);
        assert_eq!(fresh, Fresh { sizes: 200, within: 150, median: 100.0, p95: 190.0, p99: 198.0, worst: 200.0 });
        assert_eq!(Fresh::new(vec![0.5], 0.1).p95, 0.5);
    }
}
