//! Loops over arrays row by row, where a scale is shared along the row or runs beside it.
//!
//! A loop over one row with one scale, or with a slice of them, is one that the compiler vectorizes.

use ndarray::{ArrayD, ArrayView1, ArrayViewD, IxDyn, Zip};

/// `f` of every element and its scale, in row-major order. The scale broadcasts to the shape of `x`.
pub(crate) fn map_scaled<T: Copy, U: Clone + Default>(
    x: &ArrayViewD<'_, T>,
    scale: &ArrayD<f32>,
    f: impl Fn(T, f32) -> U + Copy,
) -> ArrayD<U> {
    let mut out = ArrayD::from_elem(IxDyn(x.shape()), U::default());
    let scale = scale.broadcast(x.raw_dim()).expect("a scale has extent 1 or that of what it scales");
    if x.ndim() == 0 {
        Zip::from(&mut out).and(x).and(&scale).for_each(|out, &x, &scale| *out = f(x, scale));
        return out;
    }
    Zip::from(out.rows_mut()).and(x.rows()).and(scale.rows()).for_each(|mut out, x, scale| {
        match (out.as_slice_mut(), x.as_slice(), Along::of(&scale)) {
            (Some(out), Some(x), Along::Shared(scale)) => {
                out.iter_mut().zip(x).for_each(|(out, &x)| *out = f(x, scale));
            }
            (Some(out), Some(x), Along::Beside(scale)) => {
                out.iter_mut().zip(x).zip(scale).for_each(|((out, &x), &scale)| *out = f(x, scale));
            }
            (_, _, along) => {
                for (at, (out, &x)) in out.iter_mut().zip(x).enumerate() {
                    *out = f(x, along.at(at));
                }
            }
        }
    });
    out
}

/// `f` of every element and its scale, in place.
pub(crate) fn update_scaled(values: &mut ArrayD<f32>, scale: &ArrayD<f32>, f: impl Fn(f32, f32) -> f32 + Copy) {
    let scale = scale.broadcast(values.raw_dim()).expect("a scale has extent 1 or that of what it scales");
    if values.ndim() == 0 {
        Zip::from(values).and(&scale).for_each(|x, &scale| *x = f(*x, scale));
        return;
    }
    Zip::from(values.rows_mut()).and(scale.rows()).for_each(|mut row, scale| {
        match (row.as_slice_mut(), Along::of(&scale)) {
            (Some(row), Along::Shared(scale)) => row.iter_mut().for_each(|x| *x = f(*x, scale)),
            (Some(row), Along::Beside(scale)) => row.iter_mut().zip(scale).for_each(|(x, &scale)| *x = f(*x, scale)),
            (_, along) => row.iter_mut().enumerate().for_each(|(at, x)| *x = f(*x, along.at(at))),
        }
    });
}

/// The scales of one row.
#[derive(Clone, Copy)]
enum Along<'a> {
    /// One for the whole row.
    Shared(f32),
    /// One beside each element, without gaps.
    Beside(&'a [f32]),
    /// One for each element, anywhere.
    Apart(ArrayView1<'a, f32>),
}

impl<'a> Along<'a> {
    fn of(row: &ArrayView1<'a, f32>) -> Self {
        match (row.first(), row.to_slice()) {
            (_, Some(slice)) => Self::Beside(slice),
            (Some(&scale), None) if row.strides() == [0] => Self::Shared(scale),
            _ => Self::Apart(*row),
        }
    }

    fn at(self, index: usize) -> f32 {
        match self {
            Self::Shared(scale) => scale,
            Self::Beside(scales) => scales[index],
            Self::Apart(scales) => scales[index],
        }
    }
}
