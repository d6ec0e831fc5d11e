//! What labels may measure: a range of sizes for each, and sizes drawn from them.
//!
//! In come ranges by name; out go grids, random sizes and comparisons of products that hold at all sizes of the ranges.
//! Logarithms are made of IEEE operations, so that the sizes are the same on every machine.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::equation::Equation;
use crate::path::logs::{exp, ln};
use crate::path::random::Random;
use crate::sizes::{Place, SizeError, meant};
use crate::span::printable_text;

/// From so many points of a label on, a grid says more than corners and random sizes.
const POINTS_OF_A_GRID: usize = 3;

/// The range of each label, by its index in the equation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Ranges(Vec<RangeInclusive<usize>>);

/// Sizes to build a family from.
#[derive(Clone, Debug)]
pub(super) struct Grid {
    /// By point: the size of each label.
    pub(super) points: Vec<Vec<usize>>,
    /// How many of them are random.
    pub(super) random: usize,
}

impl Ranges {
    /// A range for every label by its name; an error where one is missing, empty or begins at zero, or has no label.
    pub(super) fn by_name(
        equation: &Equation,
        ranges: &BTreeMap<String, RangeInclusive<usize>>,
    ) -> Result<Self, SizeError> {
        for (name, range) in ranges {
            let shown = printable_text(name, 40);
            let message = if equation.label(name).is_none() {
                format!(
                    "range given for label `{shown}`, which is in no operand; {}",
                    meant(equation, |name| ranges.contains_key(name))
                )
            } else if range.is_empty() {
                format!("the range of label `{shown}`, {}..{}, is empty", range.start(), range.end())
            } else if *range.start() == 0 {
                format!("the range of label `{shown}` begins at 0: the sizes of a family are at least 1")
            } else {
                continue;
            };
            return Err(SizeError::new(message, []));
        }
        let operands = equation.operands().iter().enumerate();
        let axes = operands.flat_map(|(operand, labels)| (0..labels.len()).map(move |axis| (operand, axis)));
        for (operand, axis) in axes {
            let name = equation.name(equation.operands()[operand][axis]);
            if !ranges.contains_key(name) {
                let message = format!("no range given for label `{}`", printable_text(name, 40));
                return Err(SizeError::new(message, [Place::Axis { operand, axis }]));
            }
        }
        let range = |label| ranges.get(equation.name(label)).cloned().unwrap_or(1..=1);
        Ok(Self(equation.labels().map(range).collect()))
    }

    /// The same range for so many labels.
    #[cfg(test)]
    pub(super) fn uniform(labels: usize, range: RangeInclusive<usize>) -> Self {
        Self(vec![range; labels])
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &RangeInclusive<usize>> {
        self.0.iter()
    }

    /// Whether every size is in its range.
    pub(super) fn contain(&self, extents: &[usize]) -> bool {
        extents.len() == self.0.len() && self.0.iter().zip(extents).all(|(range, extent)| range.contains(extent))
    }

    /// The logarithm of the largest product of all labels.
    pub(super) fn ln_of_largest(&self) -> f64 {
        self.0.iter().map(|range| ln(*range.end() as f64)).sum()
    }

    /// Whether the product of the labels `a` is at most that of the labels `b`, both rising, at all sizes of the ranges.
    pub(super) fn is_at_most(&self, a: &[usize], b: &[usize]) -> bool {
        let product = |these: &[usize], others: &[usize], end: fn(&RangeInclusive<usize>) -> &usize| {
            let own = these.iter().filter(|label| others.binary_search(label).is_err());
            own.map(|&label| *end(&self.0[label]) as u128).try_fold(1_u128, u128::checked_mul)
        };
        match (product(a, b, RangeInclusive::end), product(b, a, RangeInclusive::start)) {
            (Some(largest), Some(smallest)) => largest <= smallest,
            (Some(_), None) => true,
            (None, _) => false,
        }
    }

    /// Sizes of which each is as likely as the share of its range that it covers on a logarithmic scale.
    pub(super) fn sample(&self, random: &mut Random) -> Vec<usize> {
        let size = |range: &RangeInclusive<usize>| {
            let (low, high) = (*range.start() as f64, *range.end() as f64);
            let size = exp(ln(low) + random.unit() * (ln(high + 1.0) - ln(low)));
            (size as usize).clamp(*range.start(), *range.end())
        };
        self.0.iter().map(size).collect()
    }

    /// So many sizes: the middle of all ranges, and others that are always the same.
    pub(super) fn probes(&self, count: usize) -> Vec<Vec<usize>> {
        let middle = |range: &RangeInclusive<usize>| spaced(range, 3).get(1).copied().unwrap_or(*range.start());
        let mut random = Random::new(0, 0);
        let others = (1..count).map(|_| self.sample(&mut random));
        std::iter::once(self.0.iter().map(middle).collect()).chain(others).collect()
    }

    /// Some `most` sizes: a grid of points of each label that are evenly spaced on a logarithmic scale, where three of
    /// each are not too many; otherwise the corners of the ranges, or some of them, and random sizes.
    pub(super) fn grid(&self, most: usize, random: &mut Random) -> Grid {
        let counts = self.counts(most);
        let is_dense = counts.iter().zip(&self.0).all(|(&count, range)| count >= distinct(range).min(POINTS_OF_A_GRID));
        let axes = |counts: &[usize]| -> Vec<Vec<usize>> {
            self.0.iter().zip(counts).map(|(range, &count)| spaced(range, count)).collect()
        };
        if is_dense {
            return Grid { points: product(&axes(&counts)), random: 0 };
        }
        let ends: Vec<usize> = self.0.iter().map(|range| distinct(range).min(2)).collect();
        let corners = ends.iter().try_fold(1_usize, |all, &count| all.checked_mul(count));
        let mut points = if corners.is_some_and(|corners| corners <= most / 2) {
            product(&axes(&ends))
        } else {
            let mut end = |range: &RangeInclusive<usize>| {
                if random.next().is_multiple_of(2) { *range.start() } else { *range.end() }
            };
            (0..most / 2).map(|_| self.0.iter().map(&mut end).collect()).collect()
        };
        let corners = points.len();
        points.extend((corners..most).map(|_| self.sample(random)));
        Grid { random: points.len() - corners, points }
    }

    /// How many points each label has, so that there are at most `most` together: as close as they can be everywhere.
    fn counts(&self, most: usize) -> Vec<usize> {
        let mut counts = vec![1; self.0.len()];
        let gap = |label: usize, count: usize| {
            let range = &self.0[label];
            let width = ln(*range.end() as f64) - ln(*range.start() as f64);
            if count < distinct(range) { width / (count as f64 - 0.5) } else { 0.0 }
        };
        loop {
            let mut widest = (0.0, None);
            for (label, &count) in counts.iter().enumerate() {
                if gap(label, count) > widest.0 {
                    widest = (gap(label, count), Some(label));
                }
            }
            let Some(label) = widest.1 else { return counts };
            counts[label] += 1;
            if counts.iter().try_fold(1_usize, |all, &count| all.checked_mul(count)).is_none_or(|all| all > most) {
                counts[label] -= 1;
                return counts;
            }
        }
    }
}

fn distinct(range: &RangeInclusive<usize>) -> usize {
    (range.end() - range.start()).saturating_add(1)
}

/// So many points of a range, its ends first of all, evenly spaced on a logarithmic scale; fewer where some are the same
/// whole number, and all sizes where there are no more than that.
fn spaced(range: &RangeInclusive<usize>, count: usize) -> Vec<usize> {
    if count >= distinct(range) {
        return range.clone().collect();
    }
    let (low, high) = (*range.start(), *range.end());
    let (first, width) = (ln(low as f64), ln(high as f64) - ln(low as f64));
    let point = |place: usize| match place {
        0 => low,
        place if place + 1 == count => high,
        place => (exp(first + width * place as f64 / (count - 1) as f64).round() as usize).clamp(low, high),
    };
    let mut points: Vec<usize> = (0..count).map(point).collect();
    points.dedup();
    points
}

/// All ways to take one of each.
fn product(axes: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut points = vec![Vec::with_capacity(axes.len())];
    for axis in axes {
        points = points
            .iter()
            .flat_map(|point| axis.iter().map(|&size| point.iter().copied().chain([size]).collect()))
            .collect();
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_have_the_ends_and_no_more_than_was_asked() {
        let random = || Random::new(0, 0);
        let line = Ranges::uniform(1, 1..=1024).grid(11, &mut random());
        assert_eq!(line.points.concat(), (0..11).map(|power| 1 << power).collect::<Vec<_>>());
        let few = Ranges(vec![3..=3, 1..=2, 1..=1_000_000]).grid(100, &mut random());
        // Two sizes of one label, 48 of another.
        assert_eq!((few.points.len(), few.random), (96, 0));
        assert!(few.points.contains(&vec![3, 2, 1_000_000]) && few.points.contains(&vec![3, 1, 1]));
        let many = Ranges::uniform(9, 2..=1000).grid(2048, &mut random());
        assert_eq!((many.points.len(), many.random), (2048, 2048 - 512));
        let more = Ranges::uniform(40, 2..=1000).grid(100, &mut random());
        assert_eq!((more.points.len(), more.random), (100, 50));
        let ranges = Ranges::uniform(40, 2..=1000);
        assert!(more.points.iter().all(|point| ranges.contain(point)));
        assert!(!ranges.contain(&[2; 39]) && !ranges.contain(&[1; 40]));
    }

    #[test]
    fn products_are_compared_by_what_they_do_not_share() {
        let ranges = Ranges(vec![2..=8, 8..=9, 1..=1, 1..=usize::MAX, 1..=usize::MAX, 1..=usize::MAX]);
        for (a, b, expected) in [
            (&[0][..], &[1][..], true),
            (&[1], &[0], false),
            (&[0, 2], &[0], true),
            (&[0], &[0, 3], true),
            (&[0, 3], &[0], false),
            (&[3, 4, 5], &[], false),
            (&[], &[3, 4, 5], true),
        ] {
            assert_eq!(ranges.is_at_most(a, b), expected, "{a:?} {b:?}");
        }
    }

    #[test]
    fn random_sizes_are_spread_over_the_magnitudes() {
        let ranges = Ranges::uniform(1, 1..=1023);
        let mut random = Random::new(7, 0);
        let sizes: Vec<usize> = (0..10_000).map(|_| ranges.sample(&mut random)[0]).collect();
        for power in 0..10 {
            let share = sizes.iter().filter(|&&size| size.ilog2() == power).count();
            assert!((850..1150).contains(&share), "{power}: {share}");
        }
    }
}
