#![allow(unsafe_code, reason = "outputs are written where nothing was before")]
//! Products of floats.

use ndarray::{ArrayD, ArrayViewD};

use super::blocked::multiply;
use super::element::Real;
use super::isa::Isa;
use super::order::Order;
use super::outputs::{Outputs, array};
use super::product::{Product, Terms};
use super::slim::Slim;
use super::small::{self, Plain};
use super::walk::Walk;
use crate::DimensionNumbers;
use crate::lower::Side;

/// The product, each sum rounded once more where the type is narrower than its sums.
pub(super) fn dot_general<T: Real>(
    isa: Isa,
    lhs: &ArrayViewD<'_, T>,
    rhs: &ArrayViewD<'_, T>,
    dims: &DimensionNumbers,
    order: &Order,
) -> ArrayD<T> {
    if let Some((side, copy)) = straightened([lhs, rhs], dims) {
        let copy = copy.view();
        let (lhs, rhs) = match side {
            Side::Lhs => (&copy, rhs),
            Side::Rhs => (lhs, &copy),
        };
        return straight(isa, lhs, rhs, dims, order);
    }
    straight(isa, lhs, rhs, dims, order)
}

/// Rows of a side that is next to nothing beside the other, which a way without packing reads again for each of its rows.
const FEW_ROWS: usize = 2;

/// How many times larger the other side is, for a copy to cost nothing.
const FAR_LARGER: usize = 8;

/// A side of a few rows whose terms have no one stride, with its terms beside each other, where the other side's have one:
/// then blocks of terms can run side by side.
fn straightened<T: Real>(sides: [&ArrayViewD<'_, T>; 2], dims: &DimensionNumbers) -> Option<(Side, ArrayD<T>)> {
    if dims.contracting().len() < 2 || !dims.batch().is_empty() {
        return None;
    }
    let axes = [dims.lhs_contracting(), dims.rhs_contracting()];
    let walks = [0, 1].map(|side| Walk::new(sides[side], &axes[side]));
    let (side, small) = match walks.each_ref().map(Walk::stride) {
        [None, Some(_)] => (Side::Lhs, 0),
        [Some(_), None] => (Side::Rhs, 1),
        _ => return None,
    };
    let [view, other] = [sides[small], sides[1 - small]];
    if view.is_empty() || view.len() > FEW_ROWS * walks[small].len() || other.len() < FAR_LARGER * view.len() {
        return None;
    }
    // Free axes, then the terms; and back.
    let free = (0..view.ndim()).filter(|axis| !axes[small].contains(axis));
    let listed: Vec<usize> = free.chain(axes[small].iter().copied()).collect();
    let mut back = vec![0; listed.len()];
    for (place, &axis) in listed.iter().enumerate() {
        back[axis] = place;
    }
    let copy = view.view().permuted_axes(listed).as_standard_layout().into_owned();
    Some((side, copy.permuted_axes(back)))
}

/// The product of sides as they lie.
fn straight<T: Real>(
    isa: Isa,
    lhs: &ArrayViewD<'_, T>,
    rhs: &ArrayViewD<'_, T>,
    dims: &DimensionNumbers,
    order: &Order,
) -> ArrayD<T> {
    let product = Product::new(lhs, rhs, dims, Terms::Listed, order);
    // SAFETY: every output is written.
    unsafe { array(&product.shape, order, |out| fill(isa, &product, out)) }
}

/// Writes every output of a product.
pub(super) fn fill<T: Real, O: Real<Wide = T::Wide>>(isa: Isa, product: &Product<'_, T>, out: &Outputs<'_, O>) {
    if out.len() == 0 || product.terms() == 0 {
        // Positive zeros, where there are outputs at all.
        // SAFETY: the caller's alone.
        (0..out.len()).for_each(|at| unsafe { out.write(at, O::ZERO) });
        return;
    }
    // One product an output has a way of its own, along whatever lies together.
    if small::pays(product) && product.terms() > 1 {
        small::multiply(isa, product, (&Plain, &Plain), Plain, O::ZERO, out);
        return;
    }
    match Slim::choose(product) {
        Some(slim) => slim.multiply(isa, product, out),
        None => multiply(isa, product, out),
    }
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};

    use super::*;
    use ndarray::IxDyn;

    use crate::kernel::cases::{Call, Random, Sample, Values, assert_same, seeds};
    use crate::kernel::reference;

    fn check<T: Real + Sample>(sizes: [&[usize]; 4], calls: u64) {
        for seed in seeds(calls) {
            let mut random = Random(seed);
            let values = random.pick(&[Values::Unit, Values::Finite, Values::All]);
            let call = Call::<T>::random(&mut random, sizes, values);
            let (lhs, rhs) = (call.lhs.view(), call.rhs.view());
            let expected = reference::dot_general(&lhs, &rhs, &call.dims);
            for isa in Isa::available() {
                let what = format!(
                    "{} {isa:?} seed {seed}, {} on {:?} and {:?}",
                    T::DTYPE,
                    call.dims,
                    lhs.shape(),
                    rhs.shape()
                );
                let order = Order::new(random.shuffled(expected.ndim()).into_iter().collect());
                let found = dot_general(isa, &lhs, &rhs, &call.dims, &order);
                let strides = order.strides(found.shape()).into_iter();
                assert!(
                    found.is_empty()
                        || found
                            .strides()
                            .iter()
                            .zip(strides)
                            .zip(found.shape())
                            .all(|((&found, stride), &size)| size == 1 || found == stride as isize),
                    "{order:?}"
                );
                assert_same(&found, &expected, &what);
            }
        }
    }

    fn check_all(sizes: [&[usize]; 4], calls: u64) {
        check::<f32>(sizes, calls);
        check::<f64>(sizes, calls);
        check::<f16>(sizes, calls);
        check::<bf16>(sizes, calls);
    }

    #[test]
    fn small_calls_are_the_reference() {
        check_all([&[0, 1, 2, 3], &[0, 1, 2, 5, 8], &[0, 1, 3, 7, 9], &[0, 1, 2, 5, 17]], 300);
        check_all([&[], &[1, 4, 13], &[], &[3, 16]], 30);
        check_all([&[2], &[], &[5, 14], &[]], 30);
        // Small matrices by the dozen.
        check_all([&[15, 16, 17, 33, 70], &[1, 2, 4, 5, 8], &[1, 3, 4, 8], &[1, 2, 5, 8]], 100);
        check_all([&[], &[], &[], &[]], 10);
    }

    #[test]
    fn vectors_of_terms_in_any_order_are_the_reference() {
        let mut straight = 0;
        for seed in seeds(400) {
            let mut random = Random(seed);
            let sizes: [&[usize]; 4] = [&[], &[1, 2, 40, 70], &[3, 5, 17, 40], &[1, 2, 30]];
            let call = Call::<f32>::random(&mut random, sizes, Values::Unit);
            let (lhs, rhs) = (call.lhs.view(), call.rhs.view());
            straight += usize::from(straightened([&lhs, &rhs], &call.dims).is_some());
            let expected = reference::dot_general(&lhs, &rhs, &call.dims);
            let order = Order::new((0..expected.ndim()).collect());
            for isa in Isa::available() {
                assert_same(&dot_general(isa, &lhs, &rhs, &call.dims, &order), &expected, &format!("{isa:?} {seed}"));
            }
        }
        assert!(straight > 0 || cfg!(miri), "no side was copied");
    }

    #[test]
    fn every_cut_of_the_outputs_is_the_reference() {
        let sizes: &[usize] = &[1, 6, 14, 15, 16, 17, 29, 31, 32, 33, 48, 65];
        check_all([&[], sizes, sizes, &[4, 19]], 40);
        check_all([&[], &[1, 2, 113, 230], &[1, 2, 130], &[2]], 8);
    }

    #[test]
    fn more_than_one_block_is_the_reference() {
        check_all([&[], &[1, 3, 17], &[1, 2, 20], &[1023, 1024, 1025, 2048, 2049, 5000]], 12);
        check_all([&[1, 2], &[], &[], &[1023, 1024, 1025, 2049, 8192, 8193, 30_000]], 12);
        check_all([&[], &[1, 2, 5], &[], &[1023, 1024, 1025, 2048, 2049, 5000, 9000]], 12);
    }

    #[test]
    #[cfg_attr(miri, ignore = "minutes of it, and nothing that small cases have not")]
    fn outputs_beyond_the_open_tiles_are_the_reference() {
        check::<f32>([&[], &[1030], &[515], &[2]], 1);
        // Two blocks, so that trees stay open; more rows and columns than are open at a time.
        let lhs =
            ArrayD::from_shape_fn(IxDyn(&[1100, 1030]), |index| (index[0] * 31 + index[1] * 7) as f32 % 17.0 - 8.5);
        let rhs = ArrayD::from_shape_fn(IxDyn(&[1030, 530]), |index| (index[0] * 3 + index[1] * 5) as f32 % 13.0 - 6.1);
        let dims = DimensionNumbers::new([], [(1, 0)]).unwrap();
        let found = dot_general(Isa::detect(), &lhs.view(), &rhs.view(), &dims, &Order::row_major(2));
        for (row, column) in [(0, 0), (1099, 529), (1007, 511), (1008, 512), (1023, 31), (1024, 32), (500, 529)] {
            let lhs = lhs.view().index_axis_move(ndarray::Axis(0), row);
            let rhs = rhs.view().index_axis_move(ndarray::Axis(1), column);
            let dims = DimensionNumbers::new([], [(0, 0)]).unwrap();
            let expected = reference::dot_general_wide(&lhs, &rhs, &dims)[[].as_slice()];
            assert_eq!(found[[row, column].as_slice()].to_bits(), expected.to_bits(), "row {row}, column {column}");
        }
    }
}
