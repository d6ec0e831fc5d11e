//! What a path is chosen for.
//!
//! In come the multiplications and the result's elements of a step; out goes its score and how scores combine.
//! Every objective is monotone: a step never lowers a score, and larger steps never score less. The exact search
//! is exact for that reason.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::evaluate::PathCost;
use super::number::Number;
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
}

/// What an element written weighs against a multiplication in [`Objective::Combo`], the factor of the peers.
const WRITE_WEIGHT: usize = 64;

/// How the scores of the steps of a tree make its score.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Combining {
    Sum,
    Max,
}

impl Objective {
    /// Every objective, in the order of the help text.
    pub const ALL: [Self; 4] = [Self::Mul, Self::Size, Self::Write, Self::Combo];

    /// The score of a path of this cost.
    pub fn score(self, cost: &PathCost) -> Cost {
        match self {
            Self::Mul => cost.multiplications.clone(),
            Self::Size => cost.largest.clone(),
            Self::Write => cost.write.clone(),
            Self::Combo => &cost.multiplications + &(&cost.write * &Cost::from(WRITE_WEIGHT)),
        }
    }

    pub(super) fn combining(self) -> Combining {
        if self == Self::Size { Combining::Max } else { Combining::Sum }
    }

    /// Whether the multiplications of a step enter its score.
    pub(super) fn multiplies(self) -> bool {
        matches!(self, Self::Mul | Self::Combo)
    }

    /// The score of one step.
    pub(super) fn step<N: Number>(self, multiplications: &N, elements: &N) -> N {
        match self {
            Self::Mul => multiplications.clone(),
            Self::Size | Self::Write => elements.clone(),
            Self::Combo => multiplications.plus(&elements.times(&N::saturated(WRITE_WEIGHT as u128))),
        }
    }

    /// The least that the score of a step can be in which an operand of this many elements takes part.
    pub(super) fn consuming<N: Number>(self, elements: &N) -> N {
        match self {
            Self::Mul | Self::Combo => elements.clone(),
            Self::Size | Self::Write => N::ZERO,
        }
    }

    /// Two scores of the same tree, together.
    pub(super) fn combine<N: Number>(self, a: &N, b: &N) -> N {
        match self.combining() {
            Combining::Sum => a.plus(b),
            Combining::Max => a.max(b).clone(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Mul => "mul",
            Self::Size => "size",
            Self::Write => "write",
            Self::Combo => "combo",
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
            Error::new(ErrorKind::Path, format!("`{shown}` is no objective: one of mul, size, write, combo"))
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
