//! The sides of batches of small products: calibrated and quantized a batch position in each lane.

use std::ops::Range;

use super::side::{Elements, Factor, Factors, Quantize, ScalesOf, Scaling, Side as _};
use crate::kernel::isa::{Isa, Vectorized};
use crate::kernel::scratch::Scratch;
use crate::kernel::small::{Group, Prepare, TOGETHER};

impl<T: Factor, Q: Quantize> Prepare<T, f32> for Elements<'_, T, Q> {
    #[inline(always)]
    fn widen(&self, x: T) -> f32 {
        x.widen()
    }

    fn as_wide(&self, elements: *const T) -> Option<*const f32> {
        T::as_floats(elements)
    }

    fn prepare(&self, isa: Isa, batch: &Range<usize>, elements: &mut [Group<f32>], numbers: &mut [Group<f32>]) {
        let quantize = self.quantize;
        let free = 0..numbers.len();
        let mut scales = Scratch::<f32>::new();
        let scales = scales.any(numbers.len() * TOGETHER);
        let inverses = numbers.as_flattened_mut();
        let elements = elements.as_flattened_mut();
        if matches!(self.scaling, Scaling::Largest) {
            let mut largest = Scratch::new();
            largest.clear();
            largest.resize(scales.len(), 0);
            isa.run(LargestOfTerms { elements, most: &mut largest });
            isa.run(ScalesOf { largest: &largest, quantize, scales: &mut *scales, inverses });
        } else {
            // Lanes without a batch position of their own are scaled by one.
            scales.fill(1.0);
            let mut factors = Factors::new();
            for (lane, batch) in batch.clone().enumerate() {
                self.factors(isa, batch, &free, &mut factors);
                for (at, (scale, inverse)) in factors.scales.iter().zip(&*factors.inverses).enumerate().take(free.len())
                {
                    (scales[at * TOGETHER + lane], inverses[at * TOGETHER + lane]) = (*scale, *inverse);
                }
            }
        }
        if isa.run(AnyLarger { scales, than: Q::LARGE_SCALE }) {
            isa.run(ToIntegers { elements, scales, quantize: |x, scale| quantize.integer_of_any_scale(x, scale) });
        } else {
            isa.run(ToIntegers { elements, scales, quantize: |x, scale| quantize.integer(x, scale) });
        }
    }
}

/// Whether any of the scales is larger than a number.
struct AnyLarger<'a> {
    scales: &'a [f32],
    than: f32,
}

impl Vectorized for AnyLarger<'_> {
    type Output = bool;

    #[inline(always)]
    fn run(self) -> bool {
        // All of them are looked at, so that the loop vectorizes.
        self.scales.iter().filter(|&&scale| scale > self.than).count() > 0
    }
}

/// The largest magnitude of each lane's terms, which are as far apart as there are lanes.
struct LargestOfTerms<'a> {
    elements: &'a [f32],
    most: &'a mut [u32],
}

impl Vectorized for LargestOfTerms<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { elements, most } = self;
        for elements in elements.chunks(most.len()) {
            for (most, x) in most.iter_mut().zip(elements) {
                *most = (x.to_bits() & 0x7fff_ffff).max(*most);
            }
        }
    }
}

/// Elements become the integers that they are quantized to, as floats; each term has an element for every scale.
struct ToIntegers<'a, F> {
    elements: &'a mut [f32],
    scales: &'a [f32],
    quantize: F,
}

impl<F: Fn(f32, f32) -> i32> Vectorized for ToIntegers<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { elements, scales, quantize } = self;
        for elements in elements.chunks_mut(scales.len()) {
            for (x, &scale) in elements.iter_mut().zip(scales) {
                *x = quantize(*x, scale) as f32;
            }
        }
    }
}
