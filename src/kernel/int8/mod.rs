#![allow(unsafe_code, reason = "outputs are written where nothing was before")]
//! Products of int8 sides, exact for every value and length.
//!
//! A sum of up to 131,071 products fits in 32 bits even when all factors are -128. Longer sums are cut into pieces
//! that do, and the pieces are added in 64 bits.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod lanes;
mod multiply;
mod pack;
mod packed_side;
mod panels;
mod peak;
mod scaled;
mod side;
mod small;
mod tile;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::ops::Range;

use ndarray::{ArrayD, ArrayViewD};

use super::BLOCK;
use super::isa::Isa;
use super::order::Order;
use super::outputs::array;
use super::product::{Product, Terms};
use super::stream::Stores;
use crate::DimensionNumbers;
use multiply::{Multiplication, Tile};
pub(crate) use packed_side::PackedSide;
pub(super) use peak::PeakPanels;
pub(super) use scaled::dot_general as dot_general_scaled;
pub(crate) use scaled::{Rescale, ScaledSide, Scales};
pub(super) use side::Exact;
use side::{Elements, Scaling, Side};
pub(crate) use side::{Factor, Quantize};
use tile::Kernel;

/// Exact sums, in the narrowest type that holds the largest that could occur.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum IntSums {
    /// Of at most 131,071 terms.
    I32(ArrayD<i32>),
    /// Of more.
    I64(ArrayD<i64>),
}

/// Products of -128 with itself that fit in an `i32` together: the longest sum that is kept in one.
pub(crate) const INT32_TERMS: usize = i32::MAX as usize / (128 * 128);

/// The exact product.
pub(super) fn dot_general(
    isa: Isa,
    lhs: &ArrayViewD<'_, i8>,
    rhs: &ArrayViewD<'_, i8>,
    dims: &DimensionNumbers,
) -> IntSums {
    let order = Order::row_major(dims.output_rank(lhs.ndim(), rhs.ndim()));
    let product = Product::new(lhs, rhs, dims, Terms::Any, &order);
    let columns = product.columns(Kernel::of(isa).lanes);
    let [lhs, rhs] = [&product.lhs, &product.rhs].map(|operand| Elements {
        operand,
        quantize: Exact,
        scaling: Scaling::None,
        packed: None,
    });
    let (lhs, rhs): (&dyn Side, &dyn Side) = (&lhs, &rhs);
    let multiplication =
        Multiplication { isa, lhs, rhs, places: &product.places, columns, products: None, stores: Stores::Cached };
    let terms = product.terms();
    let sums = |terms: Range<usize>| {
        // SAFETY: tiles do not meet, and together they are all outputs.
        unsafe {
            array(&product.shape, &order, |out| {
                multiplication.run(&terms, &|Tile { sums, width, offsets, first, down, across, .. }| {
                    for ((sums, offset), down) in sums.chunks(width).zip(offsets).zip(down) {
                        for (sum, across) in sums.iter().zip(across) {
                            out.write((first + down + across) as usize, sum.wrapping_sub(*offset));
                        }
                    }
                });
            })
        }
    };
    if terms <= INT32_TERMS {
        return IntSums::I32(sums(0..terms));
    }
    let mut total: ArrayD<i64> = ArrayD::zeros(product.shape.as_slice());
    // Whole blocks, so that only the last piece has a short one.
    let piece = INT32_TERMS / BLOCK * BLOCK;
    for terms in super::parts::cuts(&(0..terms), piece) {
        total.zip_mut_with(&sums(terms), |total, &sum| *total += i64::from(sum));
    }
    IntSums::I64(total)
}

#[cfg(test)]
mod tests {
    use ndarray::IxDyn;

    use super::*;
    use crate::kernel::cases::{Call, Random, Values, seeds};
    use crate::kernel::reference;

    fn check(lhs: &ArrayViewD<'_, i8>, rhs: &ArrayViewD<'_, i8>, dims: &DimensionNumbers, what: &str) {
        let expected = reference::dot_general_int8(lhs, rhs, dims);
        for isa in Isa::available() {
            let found = match dot_general(isa, lhs, rhs, dims) {
                IntSums::I32(sums) => sums.mapv(i64::from),
                IntSums::I64(sums) => sums,
            };
            assert_eq!(found, expected, "{isa:?} {what}, {dims} on {:?} and {:?}", lhs.shape(), rhs.shape());
        }
    }

    fn check_random(sizes: [&[usize]; 4], calls: u64) {
        for seed in seeds(calls) {
            let mut random = Random(seed);
            let values = random.pick(&[Values::Unit, Values::All]);
            let call = Call::<i8>::random(&mut random, sizes, values);
            check(&call.lhs.view(), &call.rhs.view(), &call.dims, &format!("seed {seed}"));
        }
    }

    #[test]
    fn sums_are_exact_in_any_layout() {
        let sizes: &[usize] = &[1, 6, 14, 15, 16, 17, 29, 31, 32, 33, 48, 65];
        check_random([&[0, 1, 2, 3], &[0, 1, 2, 5, 8], &[0, 1, 3, 7, 9], &[0, 1, 2, 5, 17]], 300);
        check_random([&[], sizes, sizes, &[1, 4, 19]], 40);
        check_random([&[], &[1, 3, 17], &[1, 2, 20], &[1023, 1024, 1025, 2048, 2049, 5000]], 20);
    }

    #[test]
    #[cfg_attr(miri, ignore = "minutes of it, and nothing that small cases have not")]
    fn sums_are_exact_at_the_extremes_of_any_length() {
        let dims = DimensionNumbers::new([], [(0, 0)]).unwrap();
        for length in [131_070, 131_071, 131_072, 133_144, 133_145, 133_153, 200_000, 262_145] {
            for (left, right) in [(127, 127), (-127, 127), (-128, 127), (-128, -128)] {
                let side = |value: i8| ArrayD::from_elem(IxDyn(&[length]), value);
                check(&side(left).view(), &side(right).view(), &dims, &format!("{left} times {right}"));
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "minutes of it, and nothing that small cases have not")]
    fn the_sums_are_wide_only_where_the_worst_case_needs_it() {
        let dims = DimensionNumbers::new([], [(0, 0)]).unwrap();
        let sums = |length| {
            let side = ArrayD::from_elem(IxDyn(&[length]), -128_i8);
            dot_general(Isa::detect(), &side.view(), &side.view(), &dims)
        };
        assert_eq!(sums(131_071), IntSums::I32(ndarray::arr0(2_147_467_264).into_dyn()));
        assert_eq!(sums(131_072), IntSums::I64(ndarray::arr0(2_147_483_648).into_dyn()));
    }
}
