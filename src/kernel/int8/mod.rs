#![allow(unsafe_code, reason = "outputs are written where nothing was before")]
//! Products of int8 sides, exact for every value and length.
//!
//! A sum of up to 131,071 products fits in 32 bits even when all factors are -128. Longer sums are cut into pieces
//! that do, and the pieces are added in 64 bits.

mod lanes;
mod multiply;
mod pack;
mod panels;
mod scaled;
mod side;
mod tile;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::ops::Range;

use ndarray::{ArrayD, ArrayViewD, IxDyn};

use super::BLOCK;
use super::isa::Isa;
use super::outputs::filled;
use super::product::Product;
use crate::DimensionNumbers;
pub(crate) use multiply::Scales;
use multiply::multiply;
pub(super) use panels::Panels;
pub(super) use scaled::dot_general as dot_general_scaled;
pub(crate) use scaled::{ScaledElements, ScaledSide};
use side::{Elements, Side};

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
    fn shaped<S>(product: &Product<'_, i8>, sums: Vec<S>) -> ArrayD<S> {
        ArrayD::from_shape_vec(IxDyn(&product.shape), sums).expect("one sum per index")
    }
    let product = Product::new(lhs, rhs, dims);
    let side = |operand| Elements { operand, quantize: |integer: i8, _: f32| i32::from(integer) };
    let (lhs, rhs) = (side(&product.lhs), side(&product.rhs));
    let sides: [(&dyn Side, _); 2] = [(&lhs, Scales::Shared(1.0)), (&rhs, Scales::Shared(1.0))];
    let terms = product.terms();
    let outputs = product.outputs();
    let sums = |terms: Range<usize>| {
        // SAFETY: tiles do not meet, and together they are all outputs.
        unsafe {
            filled(outputs, |out| {
                multiply(isa, sides, &terms, &|tile| {
                    for line in tile.lines() {
                        let places = (line.start..).step_by(line.step);
                        let exact = line.sums.iter().map(|sum| sum.wrapping_sub(line.offset));
                        places.zip(exact).for_each(|(place, sum)| out.write(place, sum));
                    }
                });
            })
        }
    };
    if terms <= INT32_TERMS {
        return IntSums::I32(shaped(&product, sums(0..terms)));
    }
    let mut total = vec![0_i64; outputs];
    // Whole blocks, so that only the last piece has a short one.
    let piece = INT32_TERMS / BLOCK * BLOCK;
    for start in (0..terms).step_by(piece) {
        let sums = sums(start..terms.min(start + piece));
        total.iter_mut().zip(sums).for_each(|(total, sum)| *total += i64::from(sum));
    }
    IntSums::I64(shaped(&product, total))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::cases::{Call, Random, Values};
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
        for seed in 0..calls {
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
