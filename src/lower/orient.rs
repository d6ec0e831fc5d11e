//! Which operand of a call becomes its lhs.

/// How the two sides of a call follow from the two operands of its step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Orientation {
    /// The lhs is the earlier operand in the list.
    AsWritten,
    /// The lhs is the later operand in the list.
    Swapped,
}
