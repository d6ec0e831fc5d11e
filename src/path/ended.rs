//! How a search ended, and so whether it finds the same path again.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a search ended.
///
/// ```
/// use std::time::Duration;
/// use qeinsum::path::Ended;
/// assert!(Ended::Work.is_repeatable());
/// assert_eq!(Ended::Time(Duration::from_secs(10)).to_string(), "searched for 10s: another run may find another path");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// With a proof, or at its limit of work: the same search finds the same path on every machine.
    #[default]
    Work,
    /// When its time was over.
    Time(Duration),
    /// When it was told to.
    Stopped,
}

impl Ended {
    /// Whether the same search finds the same path again.
    pub fn is_repeatable(&self) -> bool {
        *self == Self::Work
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Work => f.write_str("searched to the end of its work"),
            Self::Time(time) => write!(f, "searched for {time:?}: another run may find another path"),
            Self::Stopped => f.write_str("search interrupted: another run may find another path"),
        }
    }
}
