//! Chooses which operand of a call becomes `lhs`.
//!
//! JAX tries (earlier, later) and keeps it only if no transpose is needed; otherwise it calls (later, earlier), even
//! where a transpose is still needed. We repeat its choice exactly, because each side has its own quantization.

use serde::{Deserialize, Serialize};

use crate::equation::Label;

use super::lookup::Lookup;

/// Which of a step's two operands is the `lhs` of its call.
///
/// ```
/// use qeinsum::{Op, Orientation, QEinsum};
/// let orientation = |equation: &str| -> qeinsum::Result<Orientation> {
///     let plan = QEinsum::new(equation)?.plan(&[&[2, 3], &[3, 4]])?;
///     let Op::DotGeneral { orientation, .. } = plan.steps()[0].op() else { unreachable!() };
///     Ok(*orientation)
/// };
/// assert_eq!(orientation("ij,jk->ik")?, Orientation::AsWritten);
/// assert_eq!(orientation("ij,jk->ki")?, Orientation::Swapped); // so that nothing has to be transposed
/// assert_eq!(Orientation::Swapped.sides("earlier", "later"), ("later", "earlier"));
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Orientation {
    /// `lhs` is the earlier operand, `rhs` the later.
    AsWritten,
    /// `lhs` is the later operand, `rhs` the earlier.
    Swapped,
}

impl Orientation {
    /// `(earlier, later)` as `(lhs, rhs)`; applied to `(lhs, rhs)` it gives `(earlier, later)` back.
    pub fn sides<T>(self, earlier: T, later: T) -> (T, T) {
        match self {
            Self::AsWritten => (earlier, later),
            Self::Swapped => (later, earlier),
        }
    }
}

/// The orientation of a call, from the labels left of each operand when the call is made and those of its result.
///
/// `batch` are the labels of both operands that the result has, in result order.
pub(crate) fn orient(batch: &[Label], earlier: &[Label], later: &[Label], result: &[Label]) -> Orientation {
    let (needed, joined) = (Lookup::new(result), Lookup::new(batch));
    let free = |labels: &'_ [Label]| -> Vec<Label> {
        labels.iter().copied().filter(|&label| needed.contains(label) && !joined.contains(label)).collect()
    };
    let natural = batch.iter().copied().chain(free(earlier)).chain(free(later));
    if natural.eq(result.iter().copied()) { Orientation::AsWritten } else { Orientation::Swapped }
}
