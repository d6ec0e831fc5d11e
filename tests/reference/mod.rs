//! The reference arithmetic, written once more from its specification: scalar loops, one rounding a line, no reuse.
//!
//! Nothing here calls the library's numerics; what it takes from the library are configurations, which are data, and the
//! dimension numbers and orientations of plans. Values are f32 and normal: flushing and narrow types are the goldens' part.

mod call;
mod plan;
mod random;
mod side;

use ndarray::{ArrayD, IxDyn};

pub(crate) use plan::{pull, run};

/// An array with its axes in another order: axis `i` of the result is axis `order[i]`.
fn reordered(array: &ArrayD<f32>, order: &[usize]) -> ArrayD<f32> {
    let shape: Vec<usize> = order.iter().map(|&axis| array.shape()[axis]).collect();
    ArrayD::from_shape_fn(IxDyn(&shape), |at| {
        array[IxDyn(&scattered(order.len(), &[(order, ndarray::Dimension::slice(&at))]))]
    })
}

/// An array of other extents with the same elements in the same order.
fn reshaped(array: &ArrayD<f32>, shape: &[usize]) -> ArrayD<f32> {
    ArrayD::from_shape_vec(IxDyn(shape), array.iter().copied().collect()).unwrap()
}

/// An index of so many axes, where each list of axes has the values beside it.
fn scattered(rank: usize, parts: &[(&[usize], &[usize])]) -> Vec<usize> {
    let mut index = vec![0; rank];
    for (axes, values) in parts {
        for (&axis, &value) in axes.iter().zip(*values) {
            index[axis] = value;
        }
    }
    index
}

/// The axes of `0..rank` that are in neither list.
fn others(rank: usize, lists: [&[usize]; 2]) -> Vec<usize> {
    (0..rank).filter(|axis| !lists.iter().any(|list| list.contains(axis))).collect()
}

/// The positions of a list's items once they are sorted: `result[i]` is where the i-th smallest stands.
fn argsort(items: &[usize]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by_key(|&at| items[at]);
    order
}
