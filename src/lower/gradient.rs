//! The calls that compute the gradients of a call.
//!
//! The gradient of a side is a call too: the incoming gradient times the other side, contracted over the other side's
//! free axes. Its axes then go back to where the side has them.

use std::fmt;

use super::dims::{Axes, DimensionNumbers};

/// A side of a call.
///
/// ```
/// use qeinsum::Side;
/// assert_eq!(Side::Lhs.other(), Side::Rhs);
/// assert_eq!(Side::BOTH.map(|side| side.of("earlier", "later")), ["earlier", "later"]);
/// assert_eq!(Side::Rhs.to_string(), "rhs");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Side {
    /// The left side.
    Lhs,
    /// The right side.
    Rhs,
}

impl Side {
    /// Both sides, left first.
    pub const BOTH: [Self; 2] = [Self::Lhs, Self::Rhs];

    /// The other side.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Lhs => Self::Rhs,
            Self::Rhs => Self::Lhs,
        }
    }

    /// The one of `(lhs, rhs)` that belongs to this side.
    pub fn of<T>(self, lhs: T, rhs: T) -> T {
        match self {
            Self::Lhs => lhs,
            Self::Rhs => rhs,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.of("lhs", "rhs"))
    }
}

/// How the gradient of one side of a call is computed from the gradient of its result.
///
/// ```
/// use qeinsum::{DimensionNumbers, Side};
/// // [b,i,j] times [b,j,k] is [b,i,k]; the gradient of the rhs is [b,i,k] times [b,i,j], which is [b,k,j].
/// let forward = DimensionNumbers::new([(0, 0)], [(2, 1)])?;
/// let gradient = forward.gradient(Side::Rhs, 3, 3);
/// assert_eq!(gradient.dims.to_string(), "batch [0]x[0] contract [1]x[1]");
/// assert_eq!(gradient.permutation.as_slice(), [0, 2, 1]);
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct GradientCall {
    /// The incoming gradient is the lhs of the call, the other side of the forward call its rhs.
    pub dims: DimensionNumbers,
    /// Axis `i` of the gradient is axis `permutation[i]` of the call's result.
    pub permutation: Axes,
}

impl DimensionNumbers {
    /// How the gradient of side `of` is computed, the sides having so many axes.
    ///
    /// The order of contracting pairs is that of the other side's free axes, rising, which is the order in which the
    /// reference adds their terms.
    ///
    /// ```
    /// use qeinsum::{DimensionNumbers, Side};
    /// // [i,j] times [j,k]; the gradient of the lhs is [i,k] times [j,k], summed over `k`.
    /// let gradient = DimensionNumbers::new([], [(1, 0)])?.gradient(Side::Lhs, 2, 2);
    /// assert_eq!(gradient.dims.contracting(), [(1, 1)]);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn gradient(&self, of: Side, lhs_rank: usize, rhs_rank: usize) -> GradientCall {
        let (lhs_free, rhs_free) = (self.lhs_free(lhs_rank), self.rhs_free(rhs_rank));
        let batch = self.batch().len();
        let (own_free, other_free) = (of.of(&lhs_free, &rhs_free), of.of(&rhs_free, &lhs_free));
        // The result of the forward call has the batch axes, then the free axes of the lhs, then those of the rhs.
        let first = batch + of.of(lhs_free.len(), 0);
        let other_batch = of.of(self.rhs_batch(), self.lhs_batch());
        let dims = DimensionNumbers::from_distinct(
            other_batch.iter().copied().enumerate().collect(),
            other_free.iter().enumerate().map(|(at, &axis)| (first + at, axis)).collect(),
        );
        // The call's result has the batch axes, this side's free axes, and its contracting axes as they rise on the
        // other side.
        let mut contracting: Vec<(usize, usize)> =
            self.contracting().iter().map(|&(lhs, rhs)| (of.of(rhs, lhs), of.of(lhs, rhs))).collect();
        contracting.sort_unstable();
        let own_batch = of.of(self.lhs_batch(), self.rhs_batch());
        let made = own_batch.iter().chain(own_free).copied().chain(contracting.into_iter().map(|(_, own)| own));
        let mut permutation: Axes = (0..of.of(lhs_rank, rhs_rank)).collect();
        for (at, axis) in made.enumerate() {
            permutation[axis] = at;
        }
        GradientCall { dims, permutation }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contracting_axes_go_back_to_their_places() {
        // [j,b,i,k] with [k,j,m,b]: contracted over k and j, listed in an order that is neither side's.
        let forward = DimensionNumbers::new([(1, 3)], [(3, 0), (0, 1)]).unwrap();
        let cases = [
            // [b,i,m] with [k,j,m,b] makes [b,i,k,j]; with [j,b,i,k] it makes [b,m,j,k].
            (Side::Lhs, "batch [0]x[3] contract [2]x[2]", [3, 0, 1, 2]),
            (Side::Rhs, "batch [0]x[1] contract [1]x[2]", [3, 2, 1, 0]),
        ];
        for (side, dims, permutation) in cases {
            let gradient = forward.gradient(side, 4, 4);
            assert_eq!(gradient.dims.to_string(), dims);
            assert_eq!(gradient.permutation.as_slice(), permutation, "{side}");
        }
    }

    #[test]
    fn outer_products_and_vector_dots() {
        let outer = DimensionNumbers::default().gradient(Side::Rhs, 1, 2);
        assert_eq!(
            (outer.dims.to_string(), outer.permutation.as_slice()),
            ("contract [0]x[0]".to_owned(), &[0, 1][..])
        );
        let dot = DimensionNumbers::new([], [(0, 0)]).unwrap().gradient(Side::Lhs, 1, 1);
        assert_eq!((dot.dims, dot.permutation.as_slice()), (DimensionNumbers::default(), &[0][..]));
    }
}
