//! The plan of an equation whose sizes are not known.
//!
//! The path is the one that is optimal when all sizes are equal, the lowering the one that holds when no size is 1,
//! and the cost a polynomial in the labels.

use std::fmt;

use serde::ser::{self, Serialize, Serializer};
use serde_json::Value as Json;

use crate::dtype::Dtype;
use crate::equation::{Equation, Label};
use crate::error::Result;
use crate::graph::ContractionGraph;
use crate::path::{Found, Path, polynomial};
use crate::sizes::Sizes;

use super::display::{write_body, write_certificate, write_totals};
use super::lower::lower;
use super::plan::{Op, Plan};

/// The size that stands for every label during the search.
///
/// Equal for all, and larger than any number of steps that the exact search covers, so that comparing costs compares
/// their polynomials from the highest power down.
const STAND_IN: usize = 1024;

/// A plan without sizes, to be read.
///
/// ```
/// let qe = qeinsum::QEinsum::new("ij,jk,kl->il")?;
/// assert_eq!(qe.symbolic()?.to_string(), "\
/// einsum ij,jk,kl->il
/// path (0,1) (0,1)
/// %0: [i,j]
/// %1: [j,k]
/// %2: [k,l]
/// %3: [k,i] = dot_general %1, %0 contract [0]x[1] swapped
/// %4: [i,l] = dot_general %3, %2 contract [0]x[0] swapped
/// return %4
/// ; 2 calls, 2 swapped, i·j·k + i·k·l mul
/// ");
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SymbolicPlan(Plan);

impl SymbolicPlan {
    /// Lowers the path that `find` chooses when all sizes are equal.
    pub(crate) fn new(equation: &Equation, find: impl FnOnce(&ContractionGraph) -> Result<Found>) -> Result<Self> {
        let sizes = Sizes::uniform(equation, STAND_IN)?;
        let found = find(&ContractionGraph::new(equation, &sizes))?;
        Ok(Self(lower(equation, &sizes, found, Dtype::F32)))
    }

    /// The path on one line.
    ///
    /// ```
    /// let symbolic = qeinsum::QEinsum::new("ij,jk,kl->il")?.symbolic()?;
    /// assert_eq!((symbolic.order(), symbolic.path().operands()), ("(0,1) (0,1)".to_owned(), 3));
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn order(&self) -> String {
        self.0.order()
    }

    /// Its contraction path.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The plan as JSON: what a bound plan has, but for sizes and all that depends on them; its multiplications are the
    /// polynomial.
    ///
    /// ```
    /// let text = qeinsum::QEinsum::new("ij,jk->ik")?.symbolic()?.to_json();
    /// assert!(text.contains(r#""multiplications": "i·j·k""#) && !text.contains("sizes"));
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    #[expect(clippy::missing_panics_doc, reason = "it cannot: nothing in a plan fails to serialize")]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("keys of a plan are strings")
    }

    /// The steps as a graph in Graphviz's language; see [`Plan::to_dot`].
    ///
    /// ```
    /// let dot = qeinsum::QEinsum::new("ij,jk->ik")?.symbolic()?.to_dot();
    /// assert!(dot.starts_with("digraph"), "{dot}");
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn to_dot(&self) -> String {
        self.0.to_dot()
    }

    /// The number of scalar multiplications as a polynomial: `i·j·k + i·k·l`.
    pub fn polynomial(&self) -> String {
        let labels = self.0.calls().filter_map(|step| {
            let Op::DotGeneral { lhs, rhs, .. } = &step.op else { return None };
            let sides = [lhs, rhs].map(|side| self.0.value(*side).labels());
            let mut labels: Vec<Label> = sides.into_iter().flat_map(|labels| labels.iter().copied()).collect();
            labels.sort_unstable();
            labels.dedup();
            Some(labels)
        });
        polynomial(self.0.equation(), labels)
    }
}

/// What [`to_json`](SymbolicPlan::to_json) writes.
impl Serialize for SymbolicPlan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut document = serde_json::to_value(&self.0).map_err(ser::Error::custom)?;
        let mut remove = |pointer: &str, keys: &[&str]| {
            let parts = match document.pointer_mut(pointer) {
                Some(Json::Array(parts)) => parts.as_mut_slice(),
                Some(part) => std::slice::from_mut(part),
                None => &mut [],
            };
            for part in parts.iter_mut().filter_map(Json::as_object_mut) {
                part.retain(|key, _| !keys.contains(&key.as_str()));
            }
        };
        remove("", &["sizes", "shapes", "dtype", "objective", "optimal", "certificate", "slices"]);
        remove("/values", &["shape", "dtype"]);
        remove("/steps", &["multiplications", "elements"]);
        document["symbolic"] = true.into();
        document["cost"] = serde_json::json!({ "multiplications": self.polynomial() });
        document.serialize(serializer)
    }
}

impl fmt::Display for SymbolicPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "einsum {}", self.0.equation())?;
        write_body(f, &self.0, |_, _, _| Ok(()))?;
        write_totals(f, &self.0, &format!("{} mul", self.polynomial()))?;
        writeln!(f)?;
        write_certificate(f, &self.0)
    }
}
