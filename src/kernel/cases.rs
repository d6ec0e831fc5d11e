//! Random calls for the tests of every path: shapes, layouts and values that are likely to hurt.

use std::ops::Range;

use half::{bf16, f16};
use ndarray::{ArrayD, ArrayViewD, Axis, IxDyn, Slice};
use num_complex::Complex;

use crate::DimensionNumbers;

/// A small generator of random numbers (`SplitMix64`), so that every failure can be repeated from its seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.bits() % bound as u64) as usize
    }

    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// A size out of these; miri, which takes a minute for a million elements, gets small ones.
    pub(crate) fn size(&mut self, choices: &[usize]) -> usize {
        let size = self.pick(choices);
        if cfg!(miri) { size.min(self.pick(&[2, 5, 17])) } else { size }
    }

    pub(crate) fn shuffled(&mut self, len: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..len).collect();
        for last in (1..len).rev() {
            order.swap(last, self.below(last + 1));
        }
        order
    }
}

/// The seeds of so many calls; of a few for miri.
pub(crate) fn seeds(calls: u64) -> Range<u64> {
    0..if cfg!(miri) { calls.min(2) } else { calls }
}

/// Which values an array holds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Values {
    /// Between -1 and 1.
    Unit,
    /// Every power of two that the type has, subnormals and signed zeros.
    Finite,
    /// The same, infinities and NaN.
    All,
}

/// An element type that the tests can draw and compare.
pub(crate) trait Sample: Copy + std::fmt::Debug {
    fn sample(random: &mut Random, values: Values) -> Self;

    /// The bits, which are the same for every NaN.
    fn identity(self) -> u128;
}

macro_rules! sample {
    ($($type:ident: $smallest:literal to $largest:literal, $from:expr;)*) => {$(
        impl Sample for $type {
            fn sample(random: &mut Random, values: Values) -> Self {
                let from: fn(f64) -> Self = $from;
                let unit = (random.bits() >> 11) as f64 / (1_u64 << 52) as f64 - 1.0;
                match (values, random.below(40)) {
                    (Values::Unit, _) => from(unit),
                    (_, 0) => from(0.0),
                    (_, 1) => from(-0.0),
                    (Values::All, 2) => random.pick(&[Self::NAN, Self::INFINITY, Self::NEG_INFINITY]),
                    _ => {
                        let exponent = $smallest + random.below(($largest - $smallest) as usize + 1) as i32;
                        from(unit * 2.0_f64.powi(exponent / 2) * 2.0_f64.powi(exponent - exponent / 2))
                    }
                }
            }

            fn identity(self) -> u128 {
                if self.is_nan() { u128::from(u64::MAX) } else { u128::from(self.to_bits()) }
            }
        }
    )*};
}

sample! {
    f32: -149 to 127, |value| value as f32;
    f64: -1074 to 1023, |value| value;
    f16: -24 to 15, f16::from_f64;
    bf16: -133 to 127, bf16::from_f64;
}

impl Sample for i8 {
    fn sample(random: &mut Random, values: Values) -> Self {
        match values {
            Values::Unit => random.bits() as Self,
            Values::Finite | Values::All => random.pick(&[-128, -127, 127]),
        }
    }

    fn identity(self) -> u128 {
        self as u128
    }
}

impl<T: Sample> Sample for Complex<T> {
    fn sample(random: &mut Random, values: Values) -> Self {
        Self::new(T::sample(random, values), T::sample(random, values))
    }

    fn identity(self) -> u128 {
        self.re.identity() << 64 | self.im.identity()
    }
}

/// An array whose view has permuted, reversed, spread and repeated axes.
pub(crate) struct Stored<T> {
    array: ArrayD<T>,
    /// Per axis of the view: its axis in `array` and its step there; 0 repeats one element.
    axes: Vec<(usize, isize)>,
    shape: Vec<usize>,
}

impl<T: Sample> Stored<T> {
    pub(crate) fn random(random: &mut Random, shape: &[usize], values: Values) -> Self {
        let order = random.shuffled(shape.len());
        let axes: Vec<(usize, isize)> =
            order.iter().map(|&axis| (axis, random.pick(&[1, 1, 1, 1, 1, -1, 2, -2, 0]))).collect();
        let mut stored = vec![0; shape.len()];
        for (&(axis, step), &size) in axes.iter().zip(shape) {
            stored[axis] = if step == 0 { 1 } else { size * step.unsigned_abs() };
        }
        let array = ArrayD::from_shape_simple_fn(IxDyn(&stored), || T::sample(random, values));
        Self { array, axes, shape: shape.to_vec() }
    }

    pub(crate) fn view(&self) -> ArrayViewD<'_, T> {
        let mut shape = vec![0; self.shape.len()];
        for (&(axis, step), &size) in self.axes.iter().zip(&self.shape) {
            shape[axis] = size * step.unsigned_abs().max(1);
        }
        let mut view = self.array.broadcast(IxDyn(&shape)).expect("only axes of size 1 are repeated");
        for &(axis, step) in self.axes.iter().filter(|(_, step)| *step != 0) {
            view.slice_axis_inplace(Axis(axis), Slice::new(0, None, step));
        }
        view.permuted_axes(self.axes.iter().map(|&(axis, _)| axis).collect::<Vec<_>>())
    }
}

/// A call with random dimension numbers, shapes and layouts.
pub(crate) struct Call<T> {
    pub(crate) dims: DimensionNumbers,
    pub(crate) lhs: Stored<T>,
    pub(crate) rhs: Stored<T>,
}

impl<T: Sample> Call<T> {
    /// Up to two axes of each kind, of sizes drawn from these lists.
    pub(crate) fn random(
        random: &mut Random,
        [batch, lhs_free, rhs_free, contracting]: [&[usize]; 4],
        values: Values,
    ) -> Self {
        let mut sizes = |choices: &[usize]| -> Vec<usize> {
            if choices.is_empty() {
                return Vec::new();
            }
            // Only one axis is large, else a call takes seconds.
            let mut sizes = vec![random.size(choices)];
            for _ in 0..random.below(if cfg!(miri) { 2 } else { 3 }) {
                sizes.push(random.pick(&[1, 2, 3]));
            }
            sizes
        };
        let (batch, lhs_free, rhs_free, contracting) =
            (sizes(batch), sizes(lhs_free), sizes(rhs_free), sizes(contracting));
        let mut side = |free: &[usize]| {
            let logical: Vec<usize> = batch.iter().chain(&contracting).chain(free).copied().collect();
            let position = random.shuffled(logical.len());
            let mut shape = vec![0; logical.len()];
            for (&axis, &size) in position.iter().zip(&logical) {
                shape[axis] = size;
            }
            (position, shape)
        };
        let ((left, lhs_shape), (right, rhs_shape)) = (side(&lhs_free), side(&rhs_free));
        let pairs: Vec<(usize, usize)> = left.into_iter().zip(right).take(batch.len() + contracting.len()).collect();
        let (batch, contracting) = pairs.split_at(batch.len());
        Self {
            dims: DimensionNumbers::new(batch.iter().copied(), contracting.iter().copied())
                .expect("every axis is drawn once"),
            lhs: Stored::random(random, &lhs_shape, values),
            rhs: Stored::random(random, &rhs_shape, values),
        }
    }
}

/// Fails where two arrays differ in shape or in a bit, but for the bits of a NaN.
pub(crate) fn assert_same<T: Sample>(found: &ArrayD<T>, expected: &ArrayD<T>, what: &str) {
    assert_eq!(found.shape(), expected.shape(), "{what}");
    for ((index, found), expected) in found.indexed_iter().zip(expected) {
        assert_eq!(found.identity(), expected.identity(), "{what}: {found:?} is not {expected:?} at {index:?}");
    }
}
