#![allow(unsafe_code, reason = "complex numbers are taken for the pairs of reals that they are")]
//! Complex products and sums, as real ones.
//!
//! The lhs is viewed as reals with one more axis, the part, which is contracted and the fastest of the contraction. The rhs
//! is expanded to what meets it there: every element becomes four reals, by the part of the lhs that they are multiplied
//! with and the part of the output that they are added to.
//!
//! | | real part of the output | imaginary part |
//! |---|---|---|
//! | real part of the lhs | `re` | `im` |
//! | imaginary part of the lhs | `-im` | `re` |
//!
//! The part of the output is the last free axis of that rhs, so that what comes out lies as complex numbers do. Every path
//! through a real product is then one through a complex product, with the bits that are promised.

use std::mem::ManuallyDrop;
use std::ops::Range;

use ndarray::{Array1, ArrayD, ArrayView, ArrayViewD, Axis, CowArray, IxDyn, ShapeBuilder as _, Slice, s};
use num_complex::Complex;

use super::element::{Element, Wide};
use super::isa::Isa;
use super::order::Order;
use super::partial::Chains;
use super::scratch::Scratch;
use super::tiny::TinyProduct;
use super::walk::Walk;
use super::{float, parts, sum};
use crate::cancel::Pace;
use crate::{Axes, DimensionNumbers, Dtype, Shape};

/// Reals that take about a tenth of a millisecond to expand.
const LEAST: usize = 1 << 18;

macro_rules! complex {
    ($($real:ident, $dtype:ident;)*) => {$(
        impl Element for Complex<$real> {
            const DTYPE: Dtype = Dtype::$dtype;
            const ZERO: Self = Self::new(0.0, 0.0);

            fn floats(array: ArrayViewD<'_, Self>) -> CowArray<'_, f32, IxDyn> {
                $real::floats(reals(&array))
            }

            fn from_floats(array: ArrayD<f32>) -> ArrayD<Self> {
                let order = Order::row_major(array.ndim().saturating_sub(1));
                joined($real::from_floats(array.as_standard_layout().into_owned()), &order)
            }

            fn plus(self, term: Self) -> Self {
                self + term
            }

            fn dot_general(
                lhs: &ArrayViewD<'_, Self>,
                rhs: &ArrayViewD<'_, Self>,
                dims: &DimensionNumbers,
                order: &Order,
            ) -> ArrayD<Self> {
                dot_general(Isa::detect(), lhs, rhs, dims, order)
            }

            type Part = $real;

            fn add_terms(
                sums: &mut Chains<$real>,
                lhs: &ArrayViewD<'_, Self>,
                rhs: &ArrayViewD<'_, Self>,
                dims: &DimensionNumbers,
                order: &Order,
            ) {
                add_terms(Isa::detect(), sums, lhs, rhs, dims, order);
            }

            fn from_parts(parts: ArrayD<$real>, order: &Order) -> ArrayD<Self> {
                joined(parts, order)
            }

            fn tiny(_: &TinyProduct, _: &[Self], _: &[Self]) -> Option<ArrayD<Self>> {
                None
            }

            fn sum_axes(view: &ArrayViewD<'_, Self>, axes: &[usize]) -> ArrayD<Self> {
                sum_axes(Isa::detect(), view, axes)
            }
        }
    )*};
}

complex! {
    f32, C32;
    f64, C64;
}

/// The product.
pub(super) fn dot_general<T: Wide>(
    isa: Isa,
    lhs: &ArrayViewD<'_, Complex<T>>,
    rhs: &ArrayViewD<'_, Complex<T>>,
    dims: &DimensionNumbers,
    order: &Order,
) -> ArrayD<Complex<T>> {
    expanded([lhs, rhs], dims, |lhs, rhs, dims| {
        joined(float::dot_general(isa, &lhs, &rhs, dims, &order.with_parts()), order)
    })
}

/// Goes on with the parts of sums.
fn add_terms<T: Wide>(
    isa: Isa,
    sums: &mut Chains<T>,
    lhs: &ArrayViewD<'_, Complex<T>>,
    rhs: &ArrayViewD<'_, Complex<T>>,
    dims: &DimensionNumbers,
    order: &Order,
) {
    expanded([lhs, rhs], dims, |lhs, rhs, dims| sums.add(isa, &lhs, &rhs, dims, &order.with_parts()));
}

/// What `multiply` makes of the real sides and dimension numbers of a complex product.
fn expanded<T: Wide, R>(
    [lhs, rhs]: [&ArrayViewD<'_, Complex<T>>; 2],
    dims: &DimensionNumbers,
    multiply: impl FnOnce(ArrayViewD<'_, T>, ArrayViewD<'_, T>, &DimensionNumbers) -> R,
) -> R {
    let expansion = Expansion::choose(rhs, dims);
    let mut memory = Scratch::new();
    let written = expansion.fill(&mut memory);
    let repeated = written.broadcast(IxDyn(&expansion.shape(rhs.shape()))).expect("one element stands for any number");
    multiply(reals(lhs), repeated, &expansion.dims(dims, lhs.ndim()))
}

/// The sums over `axes`, of each part apart.
pub(super) fn sum_axes<T: Wide>(isa: Isa, view: &ArrayViewD<'_, Complex<T>>, axes: &[usize]) -> ArrayD<Complex<T>> {
    joined(sum::sum_axes(isa, &reals(view), axes), &Order::row_major(view.ndim() - axes.len()))
}

/// The parts of every element, along one more axis.
fn reals<'a, T>(view: &ArrayViewD<'a, Complex<T>>) -> ArrayViewD<'a, T> {
    let mut shape: Shape = view.shape().into();
    shape.push(2);
    if view.is_empty() {
        return ArrayView::from_shape(IxDyn(&shape), &[]).expect("no element is needed");
    }
    // Axes that run backwards are turned around for as long as they are named by unsigned strides.
    let mut upright = view.clone();
    let backwards: Axes = (0..view.ndim()).filter(|&axis| view.strides()[axis] < 0).collect();
    backwards.iter().for_each(|&axis| upright.invert_axis(Axis(axis)));
    let along = |axis| 2 * upright.stride_of(Axis(axis)).unsigned_abs();
    let mut strides: Shape = (0..view.ndim()).map(along).collect();
    strides.push(1);
    // SAFETY: a complex number is its two parts in order and nothing else (`repr(C)`), so the first of them lie where it
    // does, twice as far apart counted in reals, and the second one place further; all live as long as the view.
    let mut reals =
        unsafe { ArrayView::from_shape_ptr(IxDyn(&shape).strides(IxDyn(&strides)), upright.as_ptr().cast::<T>()) };
    backwards.iter().for_each(|&axis| reals.invert_axis(Axis(axis)));
    reals
}

/// The complex numbers whose parts lie along the last axis of an array that is in this order in memory, but for the parts.
fn joined<T: Copy>(parts: ArrayD<T>, order: &Order) -> ArrayD<Complex<T>> {
    let shape: Shape = parts.shape().split_last().map_or_else(Shape::new, |(_, shape)| shape.into());
    let len = parts.len() / 2;
    let (reals, offset) = parts.into_raw_vec_and_offset();
    let offset = offset.unwrap_or(0);
    let elements = if offset.is_multiple_of(2) {
        Array1::from_vec(pairs(reals)).slice_move(s![offset / 2..offset / 2 + len])
    } else {
        reals[offset..].as_chunks().0.iter().take(len).map(|&[re, im]| Complex::new(re, im)).collect()
    };
    order.array(&shape, elements)
}

/// Neighbours as the parts of complex numbers; a last one without a neighbour is left out.
fn pairs<T: Copy>(reals: Vec<T>) -> Vec<Complex<T>> {
    if !reals.capacity().is_multiple_of(2) {
        return reals.as_chunks().0.iter().map(|&[re, im]| Complex::new(re, im)).collect();
    }
    let mut reals = ManuallyDrop::new(reals);
    // SAFETY: a complex number has the layout of an array of its two parts (`repr(C)`), so the same memory, which nobody
    // else owns any more, is a vector of half as many: of the same alignment, and of the same bytes in all.
    unsafe { Vec::from_raw_parts(reals.as_mut_ptr().cast(), reals.len() / 2, reals.capacity() / 2) }
}

/// How an rhs is expanded: in which order its elements are written.
struct Expansion<'a, T> {
    /// The rhs, of extent 1 where one element is repeated.
    view: ArrayViewD<'a, Complex<T>>,
    /// Its axes in the order in which they are written, but for the parts.
    order: Axes,
    /// Where in that order the inner axes begin. One part comes before them, the other part is the last.
    inner: usize,
    lines: Lines,
}

/// The two lines that the inner elements become, one after the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Lines {
    /// For each part of the lhs, both parts of the outputs: `re im …` and `-im re …`.
    PerFactor,
    /// For each part of the outputs, what meets both parts of the lhs: `re -im …` and `im re …`.
    PerOutput,
}

impl<'a, T: Wide> Expansion<'a, T> {
    /// An order in which a kernel finds neighbours: outputs, or, where those of the rhs are, terms.
    fn choose(rhs: &'a ArrayViewD<'_, Complex<T>>, dims: &DimensionNumbers) -> Self {
        let mut view = rhs.view();
        for axis in 0..rhs.ndim() {
            if rhs.strides()[axis] == 0 && rhs.shape()[axis] > 1 {
                view.slice_axis_inplace(Axis(axis), Slice::from(..1));
            }
        }
        let (batch, contracting, free) = (dims.rhs_batch(), dims.rhs_contracting(), dims.rhs_free(rhs.ndim()));
        let (terms, outputs) = (Walk::new(&view, &contracting), Walk::new(&view, &free));
        let terms_lie_together = terms.stride() == Some(1) && outputs.stride() != Some(1);
        let (lines, outer, inner) = if terms_lie_together || outputs.len() == 1 {
            (Lines::PerOutput, free, contracting)
        } else {
            (Lines::PerFactor, contracting, free)
        };
        let order: Axes = batch.iter().chain(&outer).chain(&inner).copied().collect();
        Self { view, inner: order.len() - inner.len(), order, lines }
    }

    /// Writes the reals to memory.
    fn fill<'m>(&self, memory: &'m mut Scratch<T>) -> ArrayViewD<'m, T> {
        let (outer, inner) = self.order.split_at(self.inner);
        let (outer, inner) = (Walk::new(&self.view, outer), Walk::new(&self.view, inner));
        let pair = 4 * inner.len();
        let reals = memory.any(outer.len() * pair);
        let threads = parts::threads(reals.len(), LEAST);
        let (mut pieces, mut rest) = (Vec::new(), &mut *reals);
        for range in parts::equal(outer.len(), if threads == 1 { 1 } else { 4 * threads }, 1) {
            let to;
            (to, rest) = rest.split_at_mut(range.len() * pair);
            pieces.push((range, to));
        }
        parts::run(pieces, |(range, to)| self.fill_lines([&outer, &inner], range, to));
        ArrayView::from_shape(IxDyn(&self.shape(self.view.shape())), reals).expect("four reals per element")
    }

    /// Writes the pairs of lines of these outer positions.
    fn fill_lines(&self, [outer, inner]: [&Walk; 2], range: Range<usize>, to: &mut [T]) {
        let mut offsets = Scratch::new();
        inner.offsets(&(0..inner.len()), &mut offsets);
        let mut pace = Pace::new();
        for (position, pair) in range.zip(to.chunks_mut(4 * inner.len().max(1))) {
            pace.did(pair.len());
            let first = self.view.as_ptr().wrapping_offset(outer.offset(position));
            let (above, below) = pair.split_at_mut(2 * inner.len());
            let lines = above.as_chunks_mut().0.iter_mut().zip(below.as_chunks_mut().0);
            for ((above, below), &offset) in lines.zip(offsets.iter()) {
                // SAFETY: offsets of walks over different axes of a view lead from its first element to one of it.
                let Complex { re, im } = unsafe { *first.offset(offset) };
                (*above, *below) = match self.lines {
                    Lines::PerFactor => ([re, im], [-im, re]),
                    Lines::PerOutput => ([re, -im], [im, re]),
                };
            }
        }
    }

    /// The shape of what is written, of an rhs of this shape.
    fn shape(&self, rhs: &[usize]) -> Shape {
        let (outer, inner) = self.order.split_at(self.inner);
        let sizes = |axes: &[usize]| axes.iter().map(|&axis| rhs[axis]).collect::<Shape>();
        sizes(outer).into_iter().chain([2]).chain(sizes(inner)).chain([2]).collect()
    }

    /// The dimension numbers of the real product; `lhs_parts` is the axis of the parts of its lhs.
    fn dims(&self, dims: &DimensionNumbers, lhs_parts: usize) -> DimensionNumbers {
        let place = |axis: usize| {
            let place = self.order.iter().position(|&each| each == axis).expect("every axis is in the order");
            place + usize::from(place >= self.inner)
        };
        let moved = |pairs: &[(usize, usize)]| pairs.iter().map(|&(l, r)| (l, place(r))).collect::<Vec<_>>();
        let contracted = match self.lines {
            Lines::PerFactor => self.inner,
            Lines::PerOutput => self.order.len() + 1,
        };
        let contracting = moved(dims.contracting()).into_iter().chain([(lhs_parts, contracted)]);
        DimensionNumbers::new(moved(dims.batch()), contracting).expect("every axis moves to a place of its own")
    }
}

#[cfg(test)]
mod tests {
    use ndarray::arr1;

    use super::*;
    use crate::kernel::cases::{Call, Random, Sample, Stored, Values, assert_same, seeds};
    use crate::kernel::reference;

    fn check<T: Wide + Sample>(sizes: [&[usize]; 4], calls: u64)
    where
        Complex<T>: Element,
    {
        for seed in seeds(calls) {
            let mut random = Random(seed);
            let values = random.pick(&[Values::Unit, Values::Finite, Values::All]);
            let call = Call::<Complex<T>>::random(&mut random, sizes, values);
            let (lhs, rhs) = (call.lhs.view(), call.rhs.view());
            let expected = reference::dot_general_complex(&lhs, &rhs, &call.dims);
            for isa in Isa::available() {
                let dtype = Complex::<T>::DTYPE;
                let what =
                    format!("{dtype} {isa:?} seed {seed}, {} on {:?} and {:?}", call.dims, lhs.shape(), rhs.shape());
                let order = Order::new(random.shuffled(expected.ndim()).into_iter().collect());
                assert_same(&dot_general(isa, &lhs, &rhs, &call.dims, &order), &expected, &what);
            }
        }
    }

    fn check_all(sizes: [&[usize]; 4], calls: u64) {
        check::<f32>(sizes, calls);
        check::<f64>(sizes, calls);
    }

    #[test]
    fn small_products_are_the_reference() {
        check_all([&[0, 1, 2, 3], &[0, 1, 2, 5, 8], &[0, 1, 3, 7, 9], &[0, 1, 2, 5, 17]], 300);
        check_all([&[], &[1, 4, 13], &[], &[3, 16]], 30);
        check_all([&[2, 40], &[], &[], &[]], 30);
        check_all([&[2], &[], &[5, 14], &[]], 30);
        check_all([&[], &[], &[], &[]], 10);
    }

    #[test]
    fn products_of_many_tiles_and_blocks_are_the_reference() {
        let sizes: &[usize] = &[1, 6, 14, 17, 31, 33, 48, 65];
        check_all([&[], sizes, sizes, &[4, 19]], 40);
        // Blocks of 512 elements.
        check_all([&[], &[1, 3, 17], &[1, 2, 20], &[511, 512, 513, 1024, 1025, 2500]], 12);
        check_all([&[1, 2], &[], &[], &[511, 512, 513, 4096, 4097, 9000]], 12);
    }

    #[test]
    fn sums_are_the_reference() {
        fn check<T: Wide + Sample>() {
            for seed in seeds(100) {
                let mut random = Random(seed);
                let rank = random.below(5);
                let mut shape: Vec<usize> = (0..rank).map(|_| random.pick(&[0, 1, 2, 3, 5])).collect();
                if let Some(axis) = random.shuffled(rank).first() {
                    shape[*axis] = random.size(&[1, 7, 33, 1024, 1025, 3000]);
                }
                let mut axes = random.shuffled(rank);
                axes.truncate(random.below(rank + 1));
                let values = random.pick(&[Values::Unit, Values::Finite, Values::All]);
                let stored = Stored::<Complex<T>>::random(&mut random, &shape, values);
                let expected = reference::sum_axes_complex(&stored.view(), &axes);
                for isa in Isa::available() {
                    let what = format!("{isa:?} seed {seed}, {axes:?} of {shape:?}");
                    assert_same(&sum_axes(isa, &stored.view(), &axes), &expected, &what);
                }
            }
        }
        check::<f32>();
        check::<f64>();
    }

    #[test]
    #[cfg_attr(miri, ignore = "minutes of it, and nothing that small cases have not")]
    fn large_products_are_expanded_by_several_threads() {
        let mut random = Random(7);
        // Large enough that both the expansion and the product are cut.
        let lhs = Stored::<Complex<f32>>::random(&mut random, &[40, 512], Values::Unit);
        let rhs = Stored::<Complex<f32>>::random(&mut random, &[512, 530], Values::Unit);
        let dims = DimensionNumbers::new([], [(1, 0)]).unwrap();
        let product = || {
            dot_general(
                Isa::detect(),
                &lhs.view(),
                &rhs.view(),
                &dims,
                &Order::row_major(dims.output_rank(lhs.view().ndim(), rhs.view().ndim())),
            )
        };
        let on = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(product);
        assert_same(&on(3), &on(1), "three threads and one");
    }

    #[test]
    fn terms_come_in_the_order_of_the_definition() {
        let side = |re: f32, im: f32| arr1(&[Complex::new(re, im)]).into_dyn();
        let dims = DimensionNumbers::new([], [(0, 0)]).unwrap();
        let dot = |lhs: ArrayD<Complex<f32>>, rhs: ArrayD<Complex<f32>>| {
            dot_general(
                Isa::detect(),
                &lhs.view(),
                &rhs.view(),
                &dims,
                &Order::row_major(dims.output_rank(lhs.view().ndim(), rhs.view().ndim())),
            )[[].as_slice()]
        };
        assert_eq!(dot(side(2.0, 3.0), side(5.0, 7.0)), Complex::new(-11.0, 29.0));
        // The first product of a part is rounded before the second one is added to it.
        let (e, one) = (f32::EPSILON, 1.0);
        let rounded = (one + e) * (one + e);
        let exact = f32::mul_add(one + e, one + e, -rounded);
        assert!(exact != 0.0);
        assert_eq!(dot(side(one + e, one), side(one + e, rounded)).re, 0.0, "re·re, then -im·im");
        assert_eq!(dot(side(one, one + e), side(rounded, one + e)).re, -exact, "the second is not rounded");
        assert_eq!(dot(side(one + e, -one), side(rounded, one + e)).im, 0.0, "re·im, then im·re");
        assert_eq!(dot(side(-one, one + e), side(one + e, rounded)).im, exact);
        // Each part is a chain from +0, whatever becomes of the other.
        assert_eq!(dot(side(-0.0, 0.0), side(1.0, 0.0)).re.to_bits(), 0);
        let infinite = dot(side(f32::INFINITY, 0.0), side(1.0, 0.0));
        assert!(infinite.re == f32::INFINITY && infinite.im.is_nan());
    }

    #[test]
    fn vectors_of_an_odd_capacity_are_copied() {
        for capacity in [4, 5, 7] {
            let mut reals = Vec::with_capacity(capacity);
            reals.extend([1.0, 2.0, 3.0, 4.0]);
            assert_eq!(pairs::<f64>(reals), [Complex::new(1.0, 2.0), Complex::new(3.0, 4.0)]);
        }
        assert!(pairs::<f32>(Vec::new()).is_empty());
    }

    #[test]
    fn parts_are_floats_and_back() {
        let array = arr1(&[Complex::new(1.0, -2.0), Complex::new(0.5, f64::INFINITY)]).into_dyn();
        let floats = Complex::floats(array.view()).into_owned();
        assert_eq!((floats.shape(), floats.as_slice().unwrap()), (&[2, 2][..], &[1.0, -2.0, 0.5, f32::INFINITY][..]));
        assert_eq!(Complex::<f64>::from_floats(floats), array);
    }
}
