//! A family as text: its members, and how good they are.

use std::fmt;
use std::ops::RangeInclusive;

use super::options::{percent, percent_up};
use super::{Family, Grid};
use crate::equation::Label;
use crate::sizes::count;

/// Members with their polynomials and the share of the grid at which each is chosen, then what was measured.
impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |label: Label| self.equation.joined(&[label], "");
        writeln!(f, "family {}", self.equation)?;
        let labels = self.equation.labels().zip(self.ranges.iter());
        let range = |(label, range): (Label, &RangeInclusive<usize>)| match (range.start(), range.end()) {
            (low, high) if low == high => format!("{}={low}", name(label)),
            (low, high) => format!("{}={low}..{high}", name(label)),
        };
        let ranges: Vec<String> = labels.map(range).collect();
        if !ranges.is_empty() {
            writeln!(f, "sizes {}", ranges.join(" "))?;
        }
        let report = &self.report;
        let of = |wins: usize| percent(wins as f64 / report.built_from.grid.sizes.max(1) as f64);
        for (place, member) in self.members.iter().enumerate() {
            writeln!(f, "{place}: {}", member.path)?;
            writeln!(f, "  {} mul, chosen at {}", member.polynomial, of(member.wins))?;
        }
        let (members, enough) = (self.members.len(), report.enough_members);
        let (tolerance, least) = (percent(self.options.tolerance), report.least_members);
        write!(f, "; {} of {}", count(members, "member"), count(report.paths, "path"))?;
        match (members < enough, least < enough) {
            (true, false) => writeln!(f, ": it takes {enough} to be within {tolerance} of the best")?,
            (true, true) => writeln!(f, ": it takes {least} to {enough} to be within {tolerance} of the best")?,
            (false, false) if members == 1 => writeln!(f, ", within {tolerance} of the best")?,
            (false, false) => writeln!(f, ", within {tolerance} of the best; fewer do not do")?,
            (false, true) => writeln!(f, ", within {tolerance} of the best; {least} may do")?,
        }
        let built = &report.built_from;
        let Grid { sizes, random } = built.grid;
        let what = if random == 0 {
            format!("a grid of {}", count(sizes, "point"))
        } else {
            format!("{} and {random} random sizes", count(sizes.saturating_sub(random), "corner"))
        };
        writeln!(f, "; built from {what} and {} off it in {}", built.added, count(built.rounds, "round"))?;
        writeln!(f, "; {} of these are within {tolerance}, all within {}", built.within, percent_up(built.worst))?;
        let fresh = &report.fresh;
        writeln!(
            f,
            "; of {} random sizes {} are within {tolerance}; half are within {}, 95 of 100 within {}, 99 within {}, all within {}",
            fresh.sizes,
            fresh.within,
            percent_up(fresh.median),
            percent_up(fresh.p95),
            percent_up(fresh.p99),
            percent_up(fresh.worst),
        )?;
        let worst = self.equation.labels().zip(&report.worst.sizes);
        let worst: Vec<String> = worst.map(|(label, size)| format!(" {}={size}", name(label))).collect();
        writeln!(f, "; the worst found is {} above the best, at{}", percent_up(report.worst.excess), worst.concat())
    }
}
