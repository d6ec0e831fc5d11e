//! An array whose element type is known only when its file is read.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use half::{bf16, f16};
use ndarray::ArrayD;
use num_complex::Complex;

use crate::dtype::Dtype;
use crate::error::{Error, ErrorKind};
use crate::kernel;
use crate::sizes::Shape;

/// What is known of an array before its elements are read.
///
/// ```
/// use qeinsum::Dtype;
/// use qeinsum::io::{AnyArray, Header};
/// let header = AnyArray::F32(ndarray::arr2(&[[1.0, 2.0]]).into_dyn()).header();
/// assert_eq!(header, Header { dtype: Dtype::F32, shape: [1, 2].into_iter().collect() });
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Header {
    /// The element type.
    pub dtype: Dtype,
    /// The extents of the axes; empty for a scalar.
    pub shape: Shape,
}

/// An array of any dtype that a file can have.
///
/// ```
/// use qeinsum::Dtype;
/// use qeinsum::io::AnyArray;
/// use ndarray::arr1;
///
/// let array = AnyArray::from(arr1(&[1.0_f64, f64::NAN]).into_dyn()).cast(Dtype::F32)?;
/// assert_eq!(array.dtype(), Dtype::F32);
/// assert_eq!(array.shape(), [2]);
/// assert_eq!(array.first_nonfinite(), Some(vec![1]));
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Debug)]
pub enum AnyArray {
    /// IEEE 754 binary32.
    F32(ArrayD<f32>),
    /// IEEE 754 binary64.
    F64(ArrayD<f64>),
    /// IEEE 754 binary16.
    F16(ArrayD<f16>),
    /// The upper half of a binary32.
    Bf16(ArrayD<bf16>),
    /// Complex numbers of two binary32 parts.
    C32(ArrayD<Complex<f32>>),
    /// Complex numbers of two binary64 parts.
    C64(ArrayD<Complex<f64>>),
}

/// Evaluates an expression with `$array` bound to the array, whatever its element type.
macro_rules! each {
    ($any:expr, $array:ident => $body:expr) => {
        match $any {
            $crate::io::AnyArray::F32($array) => $body,
            $crate::io::AnyArray::F64($array) => $body,
            $crate::io::AnyArray::F16($array) => $body,
            $crate::io::AnyArray::Bf16($array) => $body,
            $crate::io::AnyArray::C32($array) => $body,
            $crate::io::AnyArray::C64($array) => $body,
        }
    };
}
pub(super) use each;

impl AnyArray {
    /// The element type.
    pub const fn dtype(&self) -> Dtype {
        match self {
            Self::F32(_) => Dtype::F32,
            Self::F64(_) => Dtype::F64,
            Self::F16(_) => Dtype::F16,
            Self::Bf16(_) => Dtype::Bf16,
            Self::C32(_) => Dtype::C32,
            Self::C64(_) => Dtype::C64,
        }
    }

    /// The extents of the axes.
    pub fn shape(&self) -> &[usize] {
        each!(self, array => array.shape())
    }

    /// The element type and the extents together.
    pub fn header(&self) -> Header {
        Header { dtype: self.dtype(), shape: self.shape().iter().copied().collect() }
    }

    /// The same values in another element type, each rounded once to the nearest, ties to even.
    ///
    /// A real number gets the imaginary part +0. An error where complex numbers would lose theirs.
    ///
    /// ```
    /// use num_complex::Complex;
    /// use qeinsum::Dtype;
    /// use qeinsum::io::AnyArray;
    /// let x = AnyArray::F64(ndarray::arr1(&[0.1]).into_dyn()).cast(Dtype::F32)?;
    /// assert_eq!(x, AnyArray::F32(ndarray::arr1(&[0.1_f32]).into_dyn()));
    /// let z = AnyArray::C64(ndarray::arr1(&[Complex::new(1.0, 2.0)]).into_dyn());
    /// assert!(z.cast(Dtype::F64).is_err()); // where would 2.0 go?
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn cast(self, to: Dtype) -> Result<Self, Error> {
        let from = self.dtype();
        if from == to {
            return Ok(self);
        }
        if from.is_complex() && !to.is_complex() {
            let message = format!("{from} elements cannot become {to}: their imaginary parts would be lost");
            return Err(Error::new(ErrorKind::Value, message));
        }
        Ok(each!(self, array => convert(&array, to)))
    }

    /// A number that arrays with the same elements have in common, and others hardly ever, in processes of one build.
    ///
    /// ```
    /// use qeinsum::io::AnyArray;
    /// let array = |x: f32| AnyArray::from(ndarray::arr1(&[1.0, x]).into_dyn());
    /// assert_eq!(array(2.0).fingerprint(), array(2.0).fingerprint());
    /// assert_ne!(array(2.0).fingerprint(), array(-2.0).fingerprint());
    /// ```
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        each!(self, array => {
            array.shape().hash(&mut hasher);
            match array.as_slice() {
                Some(elements) => hasher.write(kernel::bytes(elements)),
                None => array.iter().for_each(|element| hasher.write(kernel::bytes(std::slice::from_ref(element)))),
            }
        });
        hasher.finish()
    }

    /// The index of the first NaN or infinity, in row-major order; a complex number is one if a part of it is.
    pub fn first_nonfinite(&self) -> Option<Vec<usize>> {
        each!(self, array => first(array, |x| !x.exact().is_finite()))
    }
}

fn first<T>(array: &ArrayD<T>, wanted: impl Fn(&T) -> bool) -> Option<Vec<usize>> {
    // Row-major position and index grow together, so that the index is made only once.
    let position = array.iter().position(wanted)?;
    let mut rest = position;
    let mut index = vec![0; array.ndim()];
    for (at, &size) in index.iter_mut().zip(array.shape()).rev() {
        // No size is 0 here: the array has an element.
        *at = rest % size;
        rest /= size;
    }
    Some(index)
}

/// An element of any type as two parts of binary64, which holds every value of the narrower types exactly.
trait Exact: Copy {
    fn exact(self) -> Complex<f64>;
}

macro_rules! exact {
    ($($real:ty),*) => {$(
        impl Exact for $real {
            fn exact(self) -> Complex<f64> {
                Complex::new(self.into(), 0.0)
            }
        }
    )*};
}
exact!(f32, f64, f16, bf16);

impl<T: Copy + Into<f64>> Exact for Complex<T> {
    fn exact(self) -> Complex<f64> {
        Complex::new(self.re.into(), self.im.into())
    }
}

/// Of real elements where `to` is real.
fn convert<T: Exact>(array: &ArrayD<T>, to: Dtype) -> AnyArray {
    match to {
        Dtype::F32 => AnyArray::F32(array.mapv(|x| x.exact().re as f32)),
        Dtype::F64 => AnyArray::F64(array.mapv(|x| x.exact().re)),
        Dtype::F16 => AnyArray::F16(array.mapv(|x| f16::from_f32(round_to_odd(x.exact().re)))),
        Dtype::Bf16 => AnyArray::Bf16(array.mapv(|x| bf16::from_f32(round_to_odd(x.exact().re)))),
        Dtype::C32 => AnyArray::C32(array.mapv(|x| {
            let Complex { re, im } = x.exact();
            Complex::new(re as f32, im as f32)
        })),
        Dtype::C64 => AnyArray::C64(array.mapv(Exact::exact)),
    }
}

/// `x` as f32, an inexact result being the neighbour whose last bit is 1.
///
/// Rounding that to a narrower type gives what rounding `x` at once would (S. Boldo and G. Melquiond, "When double
/// rounding is odd", 2005). The conversion of the `half` crate from f64 drops the lower half of the significand
/// on some machines and rounds twice on others.
fn round_to_odd(x: f64) -> f32 {
    let nearest = x as f32;
    if x.is_nan() || f64::from(nearest) == x {
        return nearest;
    }
    let bits = nearest.to_bits();
    let toward_zero = if f64::from(nearest).abs() > x.abs() { bits - 1 } else { bits };
    f32::from_bits(toward_zero | 1)
}

macro_rules! from_array {
    ($($element:ty => $variant:ident),*) => {$(
        impl From<ArrayD<$element>> for AnyArray {
            fn from(array: ArrayD<$element>) -> Self {
                Self::$variant(array)
            }
        }

        /// The array itself where it has this element type; else it comes back as it was.
        impl TryFrom<AnyArray> for ArrayD<$element> {
            type Error = AnyArray;

            fn try_from(array: AnyArray) -> Result<Self, AnyArray> {
                match array {
                    AnyArray::$variant(array) => Ok(array),
                    other => Err(other),
                }
            }
        }
    )*};
}
from_array!(f32 => F32, f64 => F64, f16 => F16, bf16 => Bf16, Complex<f32> => C32, Complex<f64> => C64);

#[cfg(test)]
mod tests {
    use ndarray::{Array, ShapeBuilder as _, arr1};

    use super::*;

    #[test]
    fn casts_round_once() {
        let tie = 1.0 + 2.0_f64.powi(-11);
        let ulp = 2.0_f64.powi(-10);
        let cases = [
            (tie, 1.0),
            (tie + 2.0_f64.powi(-50), 1.0 + ulp),
            (tie - 2.0_f64.powi(-50), 1.0),
            (-tie - 2.0_f64.powi(-50), -1.0 - ulp),
            (65_519.999_999_999, 65504.0),
            (65520.0, f64::INFINITY),
            (1e300, f64::INFINITY),
            (-1e300, f64::NEG_INFINITY),
            (1e-300, 0.0),
            (2.0_f64.powi(-25), 0.0),
            (2.0_f64.powi(-25) * (1.0 + 2.0_f64.powi(-40)), 2.0_f64.powi(-24)),
        ];
        for (x, expected) in cases {
            let AnyArray::F16(out) = AnyArray::from(arr1(&[x]).into_dyn()).cast(Dtype::F16).unwrap() else {
                unreachable!()
            };
            assert_eq!(out[0].to_f64(), expected, "{x:e}");
        }
        let above_tie = 1.0 + 2.0_f64.powi(-8) + 2.0_f64.powi(-40);
        let out = AnyArray::from(arr1(&[above_tie]).into_dyn()).cast(Dtype::Bf16).unwrap();
        assert_eq!(out, AnyArray::from(arr1(&[bf16::from_f64(1.0 + 2.0_f64.powi(-7))]).into_dyn()));
    }

    #[test]
    fn every_cast_of_a_value_held_by_all_is_exact() {
        let all = [Dtype::F32, Dtype::F64, Dtype::F16, Dtype::Bf16];
        let start = AnyArray::from(arr1(&[0.0_f32, -1.5, f32::INFINITY, 96.0]).into_dyn());
        for from in all {
            for to in all {
                let there = start.clone().cast(from).unwrap().cast(to).unwrap();
                assert_eq!(there.dtype(), to);
                assert_eq!(there.cast(Dtype::F32).unwrap(), start, "{from} to {to}");
            }
        }
    }

    #[test]
    fn real_numbers_become_complex_ones_and_not_back() {
        let real = AnyArray::from(arr1(&[1.5_f32, -0.0]).into_dyn());
        for to in [Dtype::C32, Dtype::C64] {
            let complex = real.clone().cast(to).unwrap();
            let expected = arr1(&[Complex::new(1.5_f64, 0.0), Complex::new(-0.0, 0.0)]).into_dyn();
            assert_eq!((complex.dtype(), complex.clone().cast(Dtype::C64).unwrap()), (to, expected.into()));
            for back in [Dtype::F32, Dtype::F64, Dtype::F16, Dtype::Bf16] {
                let error = complex.clone().cast(back).unwrap_err();
                assert_eq!(error.kind(), &ErrorKind::Value);
                let expected = format!("{to} elements cannot become {back}: their imaginary parts would be lost");
                assert_eq!(error.message(), expected);
            }
        }
        let wide = AnyArray::from(arr1(&[Complex::new(0.1_f64, -1e300)]).into_dyn());
        let narrow = AnyArray::from(arr1(&[Complex::new(0.1_f32, f32::NEG_INFINITY)]).into_dyn());
        assert_eq!(wide.cast(Dtype::C32).unwrap(), narrow);
    }

    #[test]
    fn the_first_nonfinite_is_found_in_row_major_order() {
        for fortran in [false, true] {
            let mut array = Array::from_elem((2, 3, 4).set_f(fortran), 1.0_f32);
            assert_eq!(AnyArray::from(array.clone().into_dyn()).first_nonfinite(), None);
            array[[1, 2, 0]] = f32::NAN;
            array[[1, 0, 3]] = f32::NEG_INFINITY;
            assert_eq!(AnyArray::from(array.into_dyn()).first_nonfinite(), Some(vec![1, 0, 3]));
        }
        let scalar = AnyArray::from(ndarray::arr0(f64::NAN).into_dyn());
        assert_eq!(scalar.first_nonfinite(), Some(vec![]));
        let empty = AnyArray::from(ArrayD::<f16>::zeros(vec![0, 3]));
        assert_eq!(empty.first_nonfinite(), None);
        for bad in [Complex::new(0.0, f64::NAN), Complex::new(f64::INFINITY, 0.0)] {
            let parts = AnyArray::from(arr1(&[Complex::new(0.0, 1.0), bad]).into_dyn());
            assert_eq!(parts.first_nonfinite(), Some(vec![1]));
        }
    }
}
