//! What is known about how good a path is.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::path::{Cost, Found};

/// How good a path is known to be, for the objective it was searched for.
///
/// ```
/// use qeinsum::path::{Certificate, Cost};
/// assert!(Certificate::Optimal.is_optimal());
/// let unproved = Certificate::Unproved { lower_bound: Cost::from(40_usize) };
/// assert_eq!(unproved.to_string(), "not proved optimal: no path scores below 40");
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Certificate {
    /// No path scores lower, those with outer products included.
    Optimal,
    /// No path without outer products scores lower: none in which the two sides of every step share a label that measures
    /// more than 1 (of operands that no label joins: none that contracts each
    /// connected part by itself, without outer products).
    OptimalConnected,
    /// The path was found by a rule of thumb, or the search ended at its limit of work.
    Unproved {
        /// What no path scores below.
        lower_bound: Cost,
    },
    /// The path was given, and not searched for.
    Given,
    /// The path is the member of a [`Family`](crate::path::Family) that multiplies least at these sizes, which were not
    /// searched.
    Family,
}

impl Certificate {
    /// Whether the path is proved to be the best of all.
    pub fn is_optimal(&self) -> bool {
        *self == Self::Optimal
    }
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Optimal => f.write_str("proved optimal over all paths"),
            Self::OptimalConnected => f.write_str("proved optimal over all paths without outer products"),
            Self::Unproved { lower_bound } => {
                write!(f, "not proved optimal: no path scores below {lower_bound}")
            }
            Self::Given => f.write_str("given"),
            Self::Family => f.write_str("chosen from a family, not searched"),
        }
    }
}

/// What is known of a tree whose parts were searched apart, and whose score is the sum of theirs.
#[derive(Clone, Debug)]
pub(super) struct Certificates {
    /// What no tree of all parts scores below.
    lower_bound: Cost,
    are_optimal: bool,
    are_connected: bool,
}

impl Certificates {
    /// Of no part yet, but so many steps of this score between parts.
    pub(super) fn new(step: &Cost, steps: usize) -> Self {
        Self { lower_bound: step * &Cost::from(steps), are_optimal: true, are_connected: true }
    }

    /// Adds a part, which scores no less than `least` at any rate.
    pub(super) fn add(&mut self, found: &Found, least: Cost) {
        let (bound, is_connected) = match &found.certificate {
            Certificate::Optimal => (found.objective.score(&found.cost).unwrap_or(least), true),
            Certificate::OptimalConnected => (least, true),
            Certificate::Unproved { lower_bound } => (lower_bound.clone(), false),
            Certificate::Given | Certificate::Family => (least, false),
        };
        self.lower_bound += &bound;
        self.are_optimal &= found.certificate.is_optimal();
        self.are_connected &= is_connected;
    }

    /// The certificate of a tree of all parts that scores no more than those that were found.
    pub(super) fn of(self, score: &Cost) -> Certificate {
        if self.are_optimal || *score <= self.lower_bound {
            Certificate::Optimal
        } else if self.are_connected {
            Certificate::OptimalConnected
        } else {
            Certificate::Unproved { lower_bound: self.lower_bound }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_survive_json() {
        let unproved = Certificate::Unproved { lower_bound: Cost::from(7_usize) };
        assert_eq!(serde_json::to_string(&unproved).unwrap(), r#"{"kind":"unproved","lower_bound":"7"}"#);
        let others = [Certificate::OptimalConnected, unproved, Certificate::Given, Certificate::Family];
        for certificate in [Certificate::Optimal].into_iter().chain(others) {
            let text = serde_json::to_string(&certificate).unwrap();
            assert_eq!(serde_json::from_str::<Certificate>(&text).unwrap(), certificate);
        }
    }
}
