//! The element types of arrays, and what each of them is summed in.

use std::fmt;
use std::ops::Neg;

use half::{bf16, f16};
use ndarray::{ArrayD, ArrayViewD, CowArray, IxDyn};

use super::isa::Isa;
use super::lanes::Accumulator;
use super::order::Order;
use super::partial::Chains;
use super::tiny::TinyProduct;
use super::{float, halves, sum};
use crate::{DimensionNumbers, Dtype};

/// An element type: `f32`, `f64`, [`half::f16`], [`half::bf16`], and [`Complex`](num_complex::Complex) of `f32` or `f64`.
///
/// [`Real`] has the first four.
///
/// ```
/// use num_complex::Complex;
/// use qeinsum::Element;
/// assert_eq!(half::f16::DTYPE, qeinsum::Dtype::F16);
/// assert_eq!(Complex::<f32>::DTYPE, qeinsum::Dtype::C32);
/// ```
pub trait Element: sealed::Sealed + Copy + PartialEq + fmt::Debug + Send + Sync + 'static {
    /// The name of this type at run time.
    const DTYPE: Dtype;

    /// Positive zero, in both parts of a complex type.
    const ZERO: Self;

    /// The values as `f32`: as they are, widened, or (of `f64`) rounded. Those of a complex type are its parts, along one
    /// more axis, which is the last.
    #[doc(hidden)]
    fn floats(array: ArrayViewD<'_, Self>) -> CowArray<'_, f32, IxDyn>;

    /// The nearest values of this type, of an array such as [`floats`](Self::floats) gives.
    #[doc(hidden)]
    fn from_floats(array: ArrayD<f32>) -> ArrayD<Self>;

    /// The sum, rounded once.
    #[doc(hidden)]
    fn plus(self, term: Self) -> Self;

    /// The product of two sides that fit `dims`.
    #[doc(hidden)]
    fn dot_general(
        lhs: &ArrayViewD<'_, Self>,
        rhs: &ArrayViewD<'_, Self>,
        dims: &DimensionNumbers,
        order: &Order,
    ) -> ArrayD<Self>;

    /// The real type that sums are made of.
    #[doc(hidden)]
    type Part: Wide;

    /// Goes on with sums: adds the products of two sides that fit `dims`, whose outputs lie in this order.
    #[doc(hidden)]
    fn add_terms(
        sums: &mut Chains<Self::Part>,
        lhs: &ArrayViewD<'_, Self>,
        rhs: &ArrayViewD<'_, Self>,
        dims: &DimensionNumbers,
        order: &Order,
    );

    /// The values that sums stand for, which lie in this order; those of a complex type are its parts along the last axis.
    #[doc(hidden)]
    fn from_parts(parts: ArrayD<Self::Part>, order: &Order) -> ArrayD<Self>;

    /// The tiny product of two sides in row-major order; none of types that have no such product.
    #[doc(hidden)]
    fn tiny(product: &TinyProduct, lhs: &[Self], rhs: &[Self]) -> Option<ArrayD<Self>>;

    /// The sums over `axes`.
    #[doc(hidden)]
    fn sum_axes(view: &ArrayViewD<'_, Self>, axes: &[usize]) -> ArrayD<Self>;
}

/// A real element type.
///
/// The half-precision types are widened to `f32`, which is exact, summed there, and rounded once at the end.
///
/// ```
/// use qeinsum::Real;
/// // Above 2048 an f16 has no odd numbers; a tie goes to the even neighbour.
/// assert_eq!(half::f16::narrow(2049.0).widen(), 2048.0);
/// let sum: <half::f16 as Real>::Wide = 2048.0_f32 + 1.0; // in f32
/// assert_eq!(sum, 2049.0);
/// ```
pub trait Real: Element {
    /// The type that this type's sums are kept in.
    type Wide: Wide;

    /// The same value in the wide type.
    fn widen(self) -> Self::Wide;

    /// The nearest value of this type, ties to even; subnormals are kept, and what is too large is an infinity.
    fn narrow(wide: Self::Wide) -> Self;

    /// The elements as they are in memory, where those are already of the wide type.
    #[doc(hidden)]
    fn as_wide(elements: *const Self) -> Option<*const Self::Wide>;

    /// The same of elements that are to be written.
    #[doc(hidden)]
    fn as_wide_mut(elements: *mut Self) -> Option<*mut Self::Wide>;
}

/// A type in which float sums are kept: `f32` or `f64`.
pub trait Wide: Real<Wide = Self> + Accumulator + Neg<Output = Self> {
    /// One.
    const ONE: Self;

    /// `self * factor + term`, rounded once.
    ///
    /// Where the processor has no such instruction this is done in software: the same bits, many times slower.
    fn mul_add(self, factor: Self, term: Self) -> Self;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
    impl Sealed for half::f16 {}
    impl Sealed for half::bf16 {}
    impl Sealed for num_complex::Complex<f32> {}
    impl Sealed for num_complex::Complex<f64> {}
}

/// What every real type has from the paths that are written for all of them.
macro_rules! products {
    () => {
        fn dot_general(
            lhs: &ArrayViewD<'_, Self>,
            rhs: &ArrayViewD<'_, Self>,
            dims: &DimensionNumbers,
            order: &Order,
        ) -> ArrayD<Self> {
            float::dot_general(Isa::detect(), lhs, rhs, dims, order)
        }

        fn add_terms(
            sums: &mut Chains<Self::Part>,
            lhs: &ArrayViewD<'_, Self>,
            rhs: &ArrayViewD<'_, Self>,
            dims: &DimensionNumbers,
            order: &Order,
        ) {
            sums.add(Isa::detect(), lhs, rhs, dims, order);
        }

        fn tiny(product: &TinyProduct, lhs: &[Self], rhs: &[Self]) -> Option<ArrayD<Self>> {
            Some(product.multiply(lhs, rhs))
        }

        fn sum_axes(view: &ArrayViewD<'_, Self>, axes: &[usize]) -> ArrayD<Self> {
            sum::sum_axes(Isa::detect(), view, axes)
        }
    };
}

macro_rules! wide {
    ($type:ident, $dtype:ident, $floats:expr, $from_floats:expr) => {
        impl Element for $type {
            const DTYPE: Dtype = Dtype::$dtype;
            const ZERO: Self = 0.0;

            type Part = Self;

            fn from_parts(parts: ArrayD<Self>, _: &Order) -> ArrayD<Self> {
                parts
            }

            fn floats(array: ArrayViewD<'_, Self>) -> CowArray<'_, f32, IxDyn> {
                $floats(array)
            }

            fn from_floats(array: ArrayD<f32>) -> ArrayD<Self> {
                $from_floats(array)
            }

            #[inline(always)]
            fn plus(self, term: Self) -> Self {
                self + term
            }

            products!();
        }

        impl Real for $type {
            type Wide = Self;

            #[inline(always)]
            fn widen(self) -> Self {
                self
            }

            #[inline(always)]
            fn narrow(wide: Self) -> Self {
                wide
            }

            fn as_wide(elements: *const Self) -> Option<*const Self> {
                Some(elements)
            }

            fn as_wide_mut(elements: *mut Self) -> Option<*mut Self> {
                Some(elements)
            }
        }

        impl Wide for $type {
            const ONE: Self = 1.0;

            #[inline(always)]
            fn mul_add(self, factor: Self, term: Self) -> Self {
                $type::mul_add(self, factor, term)
            }
        }
    };
}

macro_rules! half {
    ($type:ident, $dtype:ident, $widen:path, $narrow:path) => {
        impl Element for $type {
            const DTYPE: Dtype = Dtype::$dtype;
            const ZERO: Self = $type::ZERO;

            type Part = f32;

            fn from_parts(parts: ArrayD<f32>, _: &Order) -> ArrayD<Self> {
                parts.mapv(Self::narrow)
            }

            fn floats(array: ArrayViewD<'_, Self>) -> CowArray<'_, f32, IxDyn> {
                halves::widened(&array).into()
            }

            fn from_floats(array: ArrayD<f32>) -> ArrayD<Self> {
                halves::narrowed(&array.view())
            }

            fn plus(self, term: Self) -> Self {
                Self::narrow(self.widen() + term.widen())
            }

            products!();
        }

        impl Real for $type {
            type Wide = f32;

            #[inline(always)]
            fn widen(self) -> f32 {
                $widen(self)
            }

            #[inline(always)]
            fn narrow(wide: f32) -> Self {
                $narrow(wide)
            }

            fn as_wide(_: *const Self) -> Option<*const f32> {
                None
            }

            fn as_wide_mut(_: *mut Self) -> Option<*mut f32> {
                None
            }
        }
    };
}

wide!(f32, F32, CowArray::from, |array| array);
wide!(f64, F64, |array: ArrayViewD<'_, f64>| array.mapv(|x| x as f32).into(), |array: ArrayD<f32>| array
    .mapv(f64::from));
half!(f16, F16, halves::widen_f16, halves::narrow_f16);
half!(bf16, Bf16, halves::widen_bf16, halves::narrow_bf16);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_round_once_to_nearest_even() {
        // (f32, f16 bits, bf16 bits)
        let cases = [
            (1.0, 0x3c00, 0x3f80),
            (-0.0, 0x8000, 0x8000),
            (2049.0, 0x6800, 0x4500),
            (2051.0, 0x6802, 0x4500),
            (65_519.0, 0x7bff, 0x4780),
            (65_520.0, 0x7c00, 0x4780),
            // Half of the smallest f16 subnormal is a tie with zero; the next f32 above it is not.
            (f32::from_bits(0x3300_0000), 0x0000, 0x3300),
            (f32::from_bits(0x3300_0001), 0x0001, 0x3300),
            // The same of bf16.
            (f32::from_bits(0x0000_8000), 0x0000, 0x0000),
            (f32::from_bits(0x0000_8001), 0x0000, 0x0001),
            (f32::from_bits(0x0001_8000), 0x0000, 0x0002),
            (f32::MAX, 0x7c00, 0x7f80),
            (f32::NEG_INFINITY, 0xfc00, 0xff80),
        ];
        for (wide, half, brain) in cases {
            assert_eq!(f16::narrow(wide).to_bits(), half, "{wide:e} as f16");
            assert_eq!(bf16::narrow(wide).to_bits(), brain, "{wide:e} as bf16");
        }
    }

    #[test]
    fn widening_is_undone_by_narrowing() {
        for bits in 0..=u16::MAX {
            let (half, brain) = (f16::from_bits(bits), bf16::from_bits(bits));
            assert!(half.is_nan() || f16::narrow(half.widen()).to_bits() == bits, "f16 {bits:#06x}");
            assert!(brain.is_nan() || bf16::narrow(brain.widen()).to_bits() == bits, "bf16 {bits:#06x}");
        }
    }
}
