//! Where operands enter calls.

use super::gradient::Side;
use super::plan::{Op, Plan, ValueId};

/// The place in which a value enters a call.
///
/// ```
/// use qeinsum::{Entry, QEinsum};
/// let plan = QEinsum::new("ijx,jk->ik")?.plan(&[&[2, 3, 5], &[3, 4]])?;
/// let Entry { value, call, side } = plan.entry(0).expect("a call reads it");
/// assert_eq!((call, side.to_string()), (0, "lhs".to_owned()));
/// assert_eq!(plan.value(value).shape(), [2, 3]); // after `x` was summed
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Entry {
    /// The value as the call reads it.
    pub value: ValueId,
    /// The number of the call.
    pub call: usize,
    /// The side that it is there, as executed.
    pub side: Side,
}

impl Plan {
    /// Where an operand enters a call, after what is squeezed, summed or taken the diagonal of before; none where no
    /// call reads it.
    ///
    /// ```
    /// use qeinsum::Side;
    /// let plan = qeinsum::QEinsum::new("ij,jk,kl->li")?.plan(&[&[2, 3], &[3, 4], &[4, 5]])?;
    /// assert_eq!(plan.order(), "(0,1) (0,1)");
    /// let entry = plan.entry(2).expect("three operands need calls");
    /// assert_eq!((entry.call, entry.side), (1, Side::Lhs));
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn entry(&self, operand: usize) -> Option<Entry> {
        if operand >= self.equation().operands().len() {
            return None;
        }
        let mut value = ValueId::new(operand);
        let mut call = 0;
        for step in self.steps() {
            match step.op() {
                Op::DotGeneral { lhs, rhs, .. } => {
                    let side = Side::BOTH.into_iter().find(|side| side.of(*lhs, *rhs) == value);
                    if let Some(side) = side {
                        return Some(Entry { value, call, side });
                    }
                    call += 1;
                }
                unary => {
                    if unary.inputs().any(|input| input == value) {
                        value = step.result();
                    }
                }
            }
        }
        None
    }
}
