//! In which order the axes of a new array lie in memory.

use ndarray::{ArrayD, IxDyn};

use crate::{Axes, Shape};

/// The axes of an array, that whose elements lie furthest apart first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order(Axes);

impl Order {
    /// Axes as they are numbered.
    pub(crate) fn row_major(rank: usize) -> Self {
        Self((0..rank).collect())
    }

    /// Every axis once.
    pub(crate) fn new(axes: Axes) -> Self {
        debug_assert!((0..axes.len()).all(|axis| axes.contains(&axis)), "{axes:?}");
        Self(axes)
    }

    /// The same with one more axis, the last and the fastest.
    pub(super) fn with_parts(&self) -> Self {
        Self(self.0.iter().copied().chain([self.0.len()]).collect())
    }

    pub(crate) fn axes(&self) -> &[usize] {
        &self.0
    }

    /// From an element to the next along each axis, of an array of this shape without gaps.
    pub(super) fn strides(&self, shape: &[usize]) -> Axes {
        let mut strides: Axes = shape.iter().map(|_| 0).collect();
        let mut stride: usize = 1;
        for &axis in self.0.iter().rev() {
            strides[axis] = stride;
            // Of an array without elements, whatever is large enough.
            stride = stride.saturating_mul(shape[axis].max(1));
        }
        strides
    }

    /// The array of these elements, which lie in this order.
    pub(super) fn array<T>(&self, shape: &[usize], elements: ndarray::Array1<T>) -> ArrayD<T> {
        let lying: Shape = self.0.iter().map(|&axis| shape[axis]).collect();
        let mut back: Axes = self.0.iter().map(|_| 0).collect();
        for (at, &axis) in self.0.iter().enumerate() {
            back[axis] = at;
        }
        let array = elements.into_shape_with_order(IxDyn(&lying)).expect("as many elements as the shape has");
        array.permuted_axes(IxDyn(&back))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array1;

    use super::*;

    #[test]
    fn axes_lie_as_they_are_told_to() {
        let order = Order::new([2, 0, 1].into_iter().collect());
        assert_eq!(order.strides(&[2, 3, 4]).as_slice(), [3, 1, 6]);
        let array = order.array(&[2, 3, 4], Array1::from_iter(0..24));
        assert_eq!((array.shape(), array.strides()), (&[2, 3, 4][..], &[3, 1, 6][..]));
        assert_eq!(array[[1, 2, 3]], 3 + 2 + 18);
    }
}
