//! The sides of batches of small products: calibrated and quantized a batch position in each lane.

use std::ops::Range;

use super::side::{Elements, Factor, Factors, Quantize, ScalesOf, Scaling, Side as _};
use crate::kernel::isa::{Isa, Vectorized};
use crate::kernel::small::{Group, Prepare, Room, TOGETHER};

impl<T: Factor, Q: Quantize> Prepare<T, f32> for Elements<'_, T, Q> {
    #[inline(always)]
    fn widen(&self, x: T) -> f32 {
        x.widen()
    }

    fn as_wide(&self, elements: *const T) -> Option<*const f32> {
        T::as_floats(elements)
    }

    fn prepare(
        &self,
        isa: Isa,
        batch: &Range<usize>,
        elements: &mut [Group<f32>],
        numbers: &mut [Group<f32>],
        room: &mut Room,
    ) {
        let quantize = self.quantize;
        let scales = room.scales.any(numbers.len() * TOGETHER);
        let free = 0..numbers.len();
        let inverses = numbers.as_flattened_mut();
        let elements = elements.as_flattened_mut();
        if matches!(self.scaling, Scaling::Largest) {
            let largest = room.largest.any(scales.len());
            isa.run(Calibrate { elements, largest, quantize, scales: &mut *scales, inverses });
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
        isa.run(ToIntegers { elements, scales, quantize });
    }
}

/// The scales of each lane's terms, which are as far apart as there are lanes, by their largest magnitudes.
struct Calibrate<'a, Q> {
    elements: &'a [f32],
    largest: &'a mut [u32],
    quantize: Q,
    scales: &'a mut [f32],
    inverses: &'a mut [f32],
}

impl<Q: Quantize> Vectorized for Calibrate<'_, Q> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { elements, largest, quantize, scales, inverses } = self;
        largest.fill(0);
        for elements in elements.chunks(largest.len()) {
            for (most, x) in largest.iter_mut().zip(elements) {
                *most = (x.to_bits() & 0x7fff_ffff).max(*most);
            }
        }
        ScalesOf { largest, quantize, scales, inverses }.run();
    }
}

/// Elements become the integers that they are quantized to, as floats; each term has an element for every scale.
struct ToIntegers<'a, Q> {
    elements: &'a mut [f32],
    scales: &'a [f32],
    quantize: Q,
}

impl<Q: Quantize> Vectorized for ToIntegers<'_, Q> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { elements, scales, quantize } = self;
        // All of them are looked at, so that the loop vectorizes.
        let is_large = scales.iter().filter(|&&scale| scale > Q::LARGE_SCALE).count() > 0;
        for elements in elements.chunks_mut(scales.len()) {
            if is_large {
                for (x, &scale) in elements.iter_mut().zip(scales) {
                    *x = quantize.integer_of_any_scale(*x, scale) as f32;
                }
            } else {
                for (x, &scale) in elements.iter_mut().zip(scales) {
                    *x = quantize.integer(*x, scale) as f32;
                }
            }
        }
    }
}
