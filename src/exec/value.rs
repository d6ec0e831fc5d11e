//! A value during a run: the caller's array, a view of it, or an array of its own.

use ndarray::{ArrayD, ArrayView, ArrayViewD, Axis, Dimension, IxDyn, ShapeBuilder as _};

use crate::kernel::{self, Element};

/// An operand or an intermediate. Unary operations keep views views wherever strides can say what they mean.
#[derive(Debug)]
pub(crate) enum Value<'a, T> {
    Borrowed(ArrayViewD<'a, T>),
    Owned(ArrayD<T>),
}

impl<T: Element> Value<'_, T> {
    pub(crate) fn view(&self) -> ArrayViewD<'_, T> {
        match self {
            Self::Borrowed(view) => view.view(),
            Self::Owned(array) => array.view(),
        }
    }

    /// The value in memory of its own, in whatever order.
    pub(crate) fn into_owned(self) -> ArrayD<T> {
        match self {
            Self::Borrowed(view) => view.to_owned(),
            Self::Owned(array) => array,
        }
    }

    /// Drops axes of extent 1; `axes` rise.
    pub(crate) fn squeeze(self, axes: &[usize]) -> Self {
        axes.iter().rev().fold(self, |value, &axis| match value {
            Self::Borrowed(view) => Self::Borrowed(view.index_axis_move(Axis(axis), 0)),
            Self::Owned(array) => Self::Owned(array.index_axis_move(Axis(axis), 0)),
        })
    }

    pub(crate) fn transpose(self, permutation: &[usize]) -> Self {
        match self {
            Self::Borrowed(view) => Self::Borrowed(view.permuted_axes(permutation)),
            Self::Owned(array) => Self::Owned(array.permuted_axes(permutation)),
        }
    }

    /// The diagonal over `axes` (rising, of one extent); the last of them stays.
    pub(crate) fn diagonal(self, axes: &[usize]) -> Self {
        if let Self::Borrowed(view) = &self
            && let Some(diagonal) = diagonal_view(view, axes)
        {
            return Self::Borrowed(diagonal);
        }
        Self::Owned(diagonal_copy(&self.view(), axes))
    }

    /// The value in row-major order, in memory of its own.
    pub(crate) fn into_row_major(self) -> ArrayD<T> {
        match self {
            Self::Owned(array) if array.is_standard_layout() => array,
            other => kernel::row_major(other.view()),
        }
    }
}

/// A diagonal as a view: the kept axis strides along all axes of the label at once.
///
/// None where the array does not fill its memory without gaps, or runs through it backwards.
pub(super) fn diagonal_view<'a, T>(view: &ArrayViewD<'a, T>, axes: &[usize]) -> Option<ArrayViewD<'a, T>> {
    let (&last, dropped) = axes.split_last()?;
    let mut shape = Vec::new();
    let mut strides = Vec::new();
    for axis in 0..view.ndim() {
        if dropped.contains(&axis) {
            continue;
        }
        let along: &[usize] = if axis == last { axes } else { &[axis] };
        let stride: isize = along.iter().map(|&axis| view.stride_of(Axis(axis))).sum();
        shape.push(view.len_of(Axis(axis)));
        strides.push(usize::try_from(stride).ok()?);
    }
    if (0..view.ndim()).any(|axis| view.stride_of(Axis(axis)) < 0) {
        return None;
    }
    let memory = view.to_slice_memory_order()?;
    ArrayView::from_shape(IxDyn(&shape).strides(IxDyn(&strides)), memory).ok()
}

fn diagonal_copy<T: Element>(view: &ArrayViewD<'_, T>, axes: &[usize]) -> ArrayD<T> {
    let kept: Vec<usize> = match axes.split_last() {
        Some((_, dropped)) => (0..view.ndim()).filter(|axis| !dropped.contains(axis)).collect(),
        None => (0..view.ndim()).collect(),
    };
    let shape: Vec<usize> = kept.iter().map(|&axis| view.len_of(Axis(axis))).collect();
    let mut place = vec![0; view.ndim()];
    ArrayD::from_shape_fn(IxDyn(&shape), |index| {
        for (&axis, &at) in kept.iter().zip(index.slice()) {
            place[axis] = at;
            if axes.last() == Some(&axis) {
                for &axis in axes {
                    place[axis] = at;
                }
            }
        }
        view[IxDyn(&place)]
    })
}

#[cfg(test)]
mod tests {
    use ndarray::Array;

    use super::*;

    #[test]
    fn diagonals_are_views_where_strides_allow() {
        let cube = Array::from_shape_fn((3, 2, 3), |(i, j, k)| (100 * i + 10 * j + k) as f32).into_dyn();
        let expected = Array::from_shape_fn((2, 3), |(j, i)| (101 * i + 10 * j) as f32).into_dyn();
        let seen = Value::Borrowed(cube.view()).diagonal(&[0, 2]);
        assert!(matches!(&seen, Value::Borrowed(view) if *view == expected));
        let permuted = cube.view().permuted_axes(&[2, 1, 0][..]);
        assert!(matches!(Value::Borrowed(permuted).diagonal(&[0, 2]), Value::Borrowed(view) if view == expected));
        let mut backwards = cube.view();
        backwards.invert_axis(Axis(1));
        let mut turned = expected.clone();
        turned.invert_axis(Axis(0));
        assert!(matches!(Value::Borrowed(backwards).diagonal(&[0, 2]), Value::Owned(array) if array == turned));
        assert!(matches!(Value::Owned(cube).diagonal(&[0, 2]), Value::Owned(array) if array == expected));
    }

    #[test]
    fn diagonals_of_three_axes_and_of_nothing() {
        let cube = Array::from_shape_fn((2, 2, 2), |(i, j, k)| (4 * i + 2 * j + k) as f64).into_dyn();
        let seen = Value::Borrowed(cube.view()).diagonal(&[0, 1, 2]);
        assert_eq!(seen.view(), ndarray::arr1(&[0.0, 7.0]).into_dyn());
        let empty = ArrayD::<f32>::zeros(IxDyn(&[0, 0]));
        assert_eq!(Value::Borrowed(empty.view()).diagonal(&[0, 1]).view().shape(), [0]);
    }
}
