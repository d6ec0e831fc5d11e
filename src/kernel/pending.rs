//! Stand-ins until the kernels land.
use super::element::Element;
use crate::DimensionNumbers;
use ndarray::{ArrayD, ArrayViewD, Axis, IxDyn};
#[allow(missing_docs)]
pub(crate) enum IntSums {
    I32(ArrayD<i32>),
    #[allow(dead_code)]
    I64(ArrayD<i64>),
}
pub(crate) fn dot_general_int8(lhs: ArrayViewD<'_, i8>, rhs: ArrayViewD<'_, i8>, dims: &DimensionNumbers) -> IntSums {
    let l = lhs.mapv(f64::from);
    let r = rhs.mapv(f64::from);
    IntSums::I32(super::dot_general(l.view(), r.view(), dims).mapv(|x| x as i32))
}
pub(crate) fn sum_axes<T: Element>(x: ArrayViewD<'_, T>, axes: &[usize]) -> ArrayD<T> {
    let shape: Vec<usize> = axes.iter().map(|&a| x.len_of(Axis(a))).collect();
    let ones = ArrayD::from_elem(IxDyn(&shape), T::narrow(<T::Wide as super::element::Wide>::ONE));
    let dims = DimensionNumbers::new([], axes.iter().enumerate().map(|(i, &a)| (a, i))).unwrap();
    super::dot_general(x, ones.view(), &dims)
}
