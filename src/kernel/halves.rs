//! Sixteen-bit floats to binary32 and back, without branches, so that loops over them become vectors.

use half::{bf16, f16};
use ndarray::{ArrayD, ArrayViewD, Axis, IxDyn, ShapeBuilder as _};

use super::element::Real;
use super::isa::{Isa, Vectorized};
use super::parts;
use crate::cancel::Pace;

/// Elements that keep a thread busy for about a tenth of a millisecond.
const LEAST: usize = 1 << 18;

/// Elements between two questions whether they are wanted.
const TOGETHER: usize = 1 << 16;

#[inline(always)]
pub(super) fn widen_bf16(x: bf16) -> f32 {
    f32::from_bits(u32::from(x.to_bits()) << 16)
}

#[inline(always)]
pub(super) fn widen_f16(x: f16) -> f32 {
    // As the fraction and the exponent of a binary32 number it is too small by this.
    const EXPONENTS: f32 = f32::from_bits((127 + 112) << 23);
    const INFINITY: u32 = 0x7c00 << 13;
    let (sign, magnitude) = (u32::from(x.to_bits() & 0x8000) << 16, u32::from(x.to_bits() & 0x7fff) << 13);
    let finite = (f32::from_bits(magnitude) * EXPONENTS).to_bits();
    f32::from_bits(sign | if magnitude >= INFINITY { magnitude | f32::INFINITY.to_bits() } else { finite })
}

/// The nearest number, ties to even.
#[inline(always)]
pub(super) fn narrow_bf16(x: f32) -> bf16 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
    bf16::from_bits((if x.is_nan() { bits | 0x0040_0000 } else { rounded } >> 16) as u16)
}

/// The nearest number, ties to even.
#[inline(always)]
pub(super) fn narrow_f16(x: f32) -> f16 {
    const SMALLEST_NORMAL: u32 = 113 << 23;
    const INFINITY: u32 = 0x7c00;
    let (sign, magnitude) = (x.to_bits() >> 16 & 0x8000, x.to_bits() & 0x7fff_ffff);
    let normal = ((magnitude + (0x0fff + (magnitude >> 13 & 1))) >> 13).wrapping_sub(112 << 10).min(INFINITY);
    // Added to a half, a number is rounded in steps of the smallest subnormal one, which are the lowest bits of the sum.
    let subnormal = (f32::from_bits(magnitude) + 0.5).to_bits().wrapping_sub(0.5_f32.to_bits());
    let finite = if magnitude < SMALLEST_NORMAL { subnormal } else { normal };
    let nan = INFINITY | 0x0200 | (magnitude >> 13 & 0x03ff);
    f16::from_bits((sign | if x.is_nan() { nan } else { finite }) as u16)
}

/// The same values in binary32.
pub(super) fn widened<T: Real<Wide = f32>>(array: &ArrayViewD<'_, T>) -> ArrayD<f32> {
    converted(array, T::widen)
}

/// The nearest values.
pub(super) fn narrowed<T: Real<Wide = f32> + Default>(array: &ArrayViewD<'_, f32>) -> ArrayD<T> {
    converted(array, T::narrow)
}

/// Converts each element; an array without gaps is one in the same order.
fn converted<T: Copy + Sync, O: Copy + Default + Send>(
    array: &ArrayViewD<'_, T>,
    convert: impl Fn(T) -> O + Copy + Sync,
) -> ArrayD<O> {
    let forward = (0..array.ndim()).all(|axis| array.stride_of(Axis(axis)) >= 0);
    let Some(elements) = array.as_slice_memory_order().filter(|_| forward) else { return array.mapv(convert) };
    let mut made = vec![O::default(); elements.len()];
    let threads = parts::threads(elements.len(), LEAST);
    let piece = elements.len().div_ceil(threads).max(1);
    let isa = Isa::detect();
    parts::run(elements.chunks(piece).zip(made.chunks_mut(piece)).collect(), |(elements, made)| {
        let mut pace = Pace::new();
        for (elements, made) in elements.chunks(TOGETHER).zip(made.chunks_mut(TOGETHER)) {
            pace.did(elements.len());
            isa.run(Convert { elements, made, element: convert });
        }
    });
    let strides: Vec<usize> = array.strides().iter().map(|&stride| stride as usize).collect();
    ArrayD::from_shape_vec(IxDyn(array.shape()).strides(IxDyn(&strides)), made)
        .expect("it lies as the array that it is made of")
}

struct Convert<'a, T, O, C> {
    elements: &'a [T],
    made: &'a mut [O],
    element: C,
}

impl<T: Copy, O, C: Fn(T) -> O> Vectorized for Convert<'_, T, O, C> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { elements, made, element } = self;
        for (made, &x) in made.iter_mut().zip(elements) {
            *made = element(x);
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::s;

    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "minutes of it, and nothing that small cases have not")]
    fn conversions_are_those_of_the_types() {
        for bits in 0..=u16::MAX {
            let (half, brain) = (f16::from_bits(bits), bf16::from_bits(bits));
            let same = |found: f32, expected: f32| {
                found.to_bits() == expected.to_bits() || expected.is_nan() && found.is_nan()
            };
            assert!(same(widen_f16(half), half.to_f32()), "{bits:x}");
            assert!(same(widen_bf16(brain), brain.to_f32()), "{bits:x}");
        }
        let check = |bits: u32| {
            let x = f32::from_bits(bits);
            let (half, brain) = (narrow_f16(x), narrow_bf16(x));
            assert!(
                half == f16::from_f32(x) && half.to_bits() >> 15 == u16::from(x.is_sign_negative())
                    || x.is_nan() && half.is_nan(),
                "{bits:x}"
            );
            assert!(
                brain == bf16::from_f32(x) && brain.to_bits() >> 15 == u16::from(x.is_sign_negative())
                    || x.is_nan() && brain.is_nan(),
                "{bits:x}"
            );
        };
        // Every sign, exponent and leading bits of a fraction, about what is halfway in either format.
        for leading in 0..=u32::from(u16::MAX) {
            for trailing in [0, 1, 0x0fff, 0x1000, 0x1001, 0x2fff, 0x3000, 0x7fff, 0x8000, 0x8001, 0xf000, 0xffff] {
                check(leading << 16 | trailing);
            }
        }
        (0..1_000_000_u32).for_each(|at| check(at.wrapping_mul(2_654_435_769)));
    }

    #[test]
    fn arrays_keep_their_values_in_any_layout() {
        let array =
            ArrayD::from_shape_fn(IxDyn(&[3, 4, 5]), |at| bf16::from_f32((at[0] * 20 + at[1] * 5 + at[2]) as f32));
        let check = |view: ArrayViewD<'_, bf16>| {
            let wide = widened(&view);
            assert_eq!(wide, view.mapv(bf16::to_f32));
            assert_eq!(narrowed::<bf16>(&wide.view()), view);
        };
        check(array.view());
        check(array.view().permuted_axes(IxDyn(&[2, 0, 1])));
        check(array.slice(s![..;-1, .., ..;2]).into_dyn());
        check(array.slice(s![..;-1, ..;-1, ..]).into_dyn());
        check(array.slice(s![0..0, .., ..]).into_dyn());
        check(array.slice(s![0..1, .., ..]).into_dyn().broadcast(IxDyn(&[2, 4, 5])).unwrap());
    }
}
