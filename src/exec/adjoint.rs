//! Adjoints of the operations that are no calls: each puts a gradient where the operation took its value from.
//!
//! They copy values and add none, so they are exact.

use ndarray::{ArrayD, Axis, IxDyn};

use crate::kernel::Element;

/// Axes of extent 1 come back; `axes` rise.
pub(crate) fn squeeze<T>(gradient: ArrayD<T>, axes: &[usize]) -> ArrayD<T> {
    axes.iter().fold(gradient, |gradient, &axis| gradient.insert_axis(Axis(axis)))
}

/// Axes go back to where they came from.
pub(crate) fn transpose<T>(gradient: ArrayD<T>, permutation: &[usize]) -> ArrayD<T> {
    let mut back = vec![0; permutation.len()];
    for (to, &from) in permutation.iter().enumerate() {
        back[from] = to;
    }
    gradient.permuted_axes(back)
}

/// Every term of a sum has the gradient of the sum; `axes` rise, `shape` is that of the terms.
pub(crate) fn reduce_sum<T: Element>(gradient: ArrayD<T>, axes: &[usize], shape: &[usize]) -> ArrayD<T> {
    squeeze(gradient, axes).broadcast(IxDyn(shape)).expect("a sum has the other axes of its terms").to_owned()
}

/// The gradient of a diagonal, and zero beside it; the last of `axes` is the one that stayed, `shape` is that of all.
pub(crate) fn diagonal<T: Element>(gradient: &ArrayD<T>, axes: &[usize], shape: &[usize]) -> ArrayD<T> {
    let mut whole = ArrayD::from_elem(IxDyn(shape), T::ZERO);
    let Some((&last, dropped)) = axes.split_last() else { return gradient.clone() };
    let stays: Vec<usize> = (0..shape.len()).filter(|axis| !dropped.contains(axis)).collect();
    let mut place = IxDyn(&vec![0; shape.len()]);
    for (at, &value) in gradient.indexed_iter() {
        for (&axis, &at) in stays.iter().zip(ndarray::Dimension::slice(&at)) {
            place[axis] = at;
        }
        for &axis in dropped {
            place[axis] = place[last];
        }
        whole[&place] = value;
    }
    whole
}

#[cfg(test)]
mod tests {
    use ndarray::{arr1, arr2, arr3};

    use super::*;

    #[test]
    fn values_go_back_to_where_they_came_from() {
        let g = arr1(&[1.0, 2.0]).into_dyn();
        assert_eq!(diagonal(&g, &[0, 1], &[2, 2]), arr2(&[[1.0, 0.0], [0.0, 2.0]]).into_dyn());
        assert_eq!(reduce_sum(g.clone(), &[0], &[3, 2]), arr2(&[[1.0, 2.0]; 3]).into_dyn());
        assert_eq!(squeeze(g, &[0, 2]), arr3(&[[[1.0], [2.0]]]).into_dyn());
        let wide = ArrayD::from_shape_fn(IxDyn(&[2, 3, 4]), |at| (100 * at[0] + 10 * at[1] + at[2]) as f32);
        let moved = wide.clone().permuted_axes(&[2, 0, 1][..]);
        assert_eq!(transpose(moved, &[2, 0, 1]), wide);
        // A diagonal of the outer two of three axes.
        let inner = arr2(&[[1.0, 2.0], [3.0, 4.0]]).into_dyn(); // [j, i]
        let whole = diagonal(&inner, &[0, 2], &[2, 2, 2]);
        assert_eq!((whole[[0, 0, 0]], whole[[1, 0, 1]], whole[[0, 1, 0]], whole[[1, 1, 1]]), (1.0, 2.0, 3.0, 4.0));
        assert_eq!(whole.sum(), 10.0);
    }
}
