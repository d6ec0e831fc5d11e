//! What a path is chosen for.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::evaluate::PathCost;
use crate::error::{Error, ErrorKind};
use crate::path::Cost;
use crate::span::printable_text;

/// What a path is to make least.
///
/// ```
/// use qeinsum::path::Objective;
/// let objective: Objective = "write".parse()?;
/// assert_eq!(objective, Objective::Write);
/// assert_eq!(objective.to_string(), "write");
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Objective {
    /// Scalar multiplications, all steps together.
    #[default]
    Mul,
    /// Elements of the largest result of a pairwise step; among paths equal in that, multiplications.
    Size,
    /// Elements of all pairwise results together.
    Write,
    /// Multiplications and 64 times the elements written.
    Combo,
    /// Femtoseconds that all steps take together, as [`Speeds`](crate::path::Speeds) predict them.
    Time,
}

/// What an element written weighs against a multiplication in [`Objective::Combo`], the factor of the peers.
pub(super) const WRITE_WEIGHT: usize = 64;

impl Objective {
    /// Every objective, in the order of the help text.
    pub const ALL: [Self; 5] = [Self::Mul, Self::Size, Self::Write, Self::Combo, Self::Time];

    /// The score of a path of this cost; none for time, which is not told from these numbers but by
    /// [`SearchOptions::score`](crate::path::SearchOptions::score).
    ///
    /// ```
    /// use qeinsum::path::Objective;
    /// let plan = qeinsum::QEinsum::new("ij,jk->ik")?.plan(&[&[2, 3], &[3, 4]])?;
    /// let scores = Objective::ALL.map(|objective| objective.score(plan.cost()).map(|score| score.to_string()));
    /// // 24 multiplications, 8 elements, and an element weighs 64 times as much in `combo`.
    /// assert_eq!(scores, [Some("24"), Some("8"), Some("8"), Some("536"), None].map(|score| score.map(str::to_owned)));
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn score(self, cost: &PathCost) -> Option<Cost> {
        match self {
            Self::Mul => Some(cost.multiplications.clone()),
            Self::Size => Some(cost.largest.clone()),
            Self::Write => Some(cost.write.clone()),
            Self::Combo => Some(&cost.multiplications + &(&cost.write * &Cost::from(WRITE_WEIGHT))),
            Self::Time => None,
        }
    }

    /// The name that it is written and read by.
    ///
    /// ```
    /// use qeinsum::path::Objective;
    /// assert_eq!(Objective::Mul.name(), "mul");
    /// ```
    pub fn name(self) -> &'static str {
        match self {
            Self::Mul => "mul",
            Self::Size => "size",
            Self::Write => "write",
            Self::Combo => "combo",
            Self::Time => "time",
        }
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl std::str::FromStr for Objective {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|objective| objective.name() == text).ok_or_else(|| {
            let shown = printable_text(text, 40);
            Error::new(ErrorKind::Path, format!("`{shown}` is no objective: one of mul, size, write, combo, time"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back() {
        for objective in Objective::ALL {
            assert_eq!(objective.to_string().parse::<Objective>().unwrap(), objective);
            assert_eq!(serde_json::to_string(&objective).unwrap(), format!("\"{objective}\""));
        }
        assert!("flops".parse::<Objective>().is_err());
    }
}
