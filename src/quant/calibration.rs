//! From an array to its scales.
//!
//! A scale is what values are multiplied by to become integers: the format's bound target over the array's bound. The
//! inverse scale is one over the *rounded* scale, a rounded division of its own, and not the bound over the target.

#![allow(clippy::inline_always, reason = "loops over these vectorize only where all of it is known")]

use ndarray::{ArrayD, ArrayViewD, IxDyn};

use crate::error::{Error, ErrorKind, Result};
use crate::kernel::largest_magnitudes;

use super::config::{Calibration, IntNumerics, ScaleRounding, TensorConfig};
use super::format::{Format, flush};
use super::log2::power_of_two_below;
use super::part::Part;

/// The scales of one side of a call, shaped like it with extent 1 on the axes that share a scale.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Scales {
    /// What values are multiplied by.
    pub(crate) scale: ArrayD<f32>,
    /// What results are multiplied by.
    pub(crate) inverse: ArrayD<f32>,
    pub(crate) kind: ScaleKind,
}

/// How a scale takes part in arithmetic with operands narrower than binary32.
///
/// The reference inherits this from JAX's promotion of array types; for binary32 operands all three are one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum ScaleKind {
    /// In the operands' format (absmax).
    Operand,
    /// A binary32 constant that does not widen what it meets; binary16 rounds it first, bfloat16 does not.
    Weak,
    /// A binary32 that widens what it meets (a constant rounded to a power of two).
    Strong,
}

impl ScaleKind {
    /// The kind of the scales that a side is calibrated with.
    pub(crate) fn of(config: &TensorConfig) -> Self {
        match (config.calibration, config.scale_rounding) {
            (Calibration::AbsMax, _) => Self::Operand,
            (Calibration::Constant(_), ScaleRounding::Exact) => Self::Weak,
            (Calibration::Constant(_), ScaleRounding::PowerOfTwo) => Self::Strong,
        }
    }

    /// The format of a product of a value in `format` with such a scale.
    pub(crate) fn product(self, format: Format) -> Format {
        if self == Self::Strong { Format::F32 } else { format }
    }

    /// The kind of such a scale once it was stored beside operands of `format`: an array is never weak.
    pub(crate) fn stored(self, format: Format) -> Self {
        match (self, format) {
            (Self::Weak | Self::Strong, Format::Bf16 | Format::F16) => Self::Strong,
            _ => Self::Operand,
        }
    }

    /// A scale of this kind as it enters a product with values in `format`.
    #[inline]
    pub(crate) fn factor(self, scale: f32, format: Format) -> f32 {
        match (self, format) {
            (Self::Weak, Format::F16) => Format::F16.round(scale),
            _ => scale,
        }
    }
}

/// The scales of `x`, sharing one over `axes`, and with others who have parts of it; without axes every element has its own.
pub(crate) fn calibrate(
    x: &ArrayViewD<'_, f32>,
    format: Format,
    axes: &[usize],
    config: &TensorConfig,
    int: IntNumerics,
    part: Part<'_>,
) -> Result<Scales> {
    let kind = ScaleKind::of(config);
    if let Calibration::Constant(bound) = config.calibration {
        let shape = vec![1; x.ndim()];
        let [scale, inverse] =
            constant_scale(bound, config, int).map(|number| ArrayD::from_elem(IxDyn(&shape), number));
        return Ok(Scales { scale, inverse, kind });
    }
    let target = scale_target(format, int);
    let mut scale = absmax(x, axes, part)?.mapv(|bound| format.div(target, bound));
    if config.scale_rounding == ScaleRounding::PowerOfTwo {
        scale.mapv_inplace(|scale| power_of_two_below(scale, format));
    }
    let inverse = scale.mapv(|scale| format.div(1.0, scale));
    Ok(Scales { scale, inverse, kind })
}

/// The scale that takes a bound to the target, and one over it.
#[inline(always)]
pub(super) fn scale_and_inverse(format: Format, target: f32, bound: f32) -> [f32; 2] {
    let scale = format.div(target, bound);
    [scale, format.div(1.0, scale)]
}

/// The scale of a constant bound and one over it, computed in binary32, whatever the operands are.
pub(crate) fn constant_scale(bound: f32, config: &TensorConfig, int: IntNumerics) -> [f32; 2] {
    let mut scale = Format::F32.div(int.bound_target(), bound);
    if config.scale_rounding == ScaleRounding::PowerOfTwo {
        scale = power_of_two_below(scale, Format::F32);
    }
    [scale, Format::F32.div(1.0, scale)]
}

/// What scales of a format take bounds to: binary16 rounds it before the division; bfloat16 does not.
pub(crate) fn scale_target(format: Format, int: IntNumerics) -> f32 {
    match format {
        Format::F16 => Format::F16.round(int.bound_target()),
        Format::F32 | Format::Bf16 => int.bound_target(),
    }
}

/// The bound that the bits of a largest magnitude give: 1 where that is zero (or subnormal).
#[inline(always)]
pub(super) fn bound(largest: u32) -> f32 {
    let bound = f32::from_bits(largest);
    if flush(bound) == 0.0 { 1.0 } else { bound }
}

/// The largest magnitude over `axes`, which keep extent 1; 1 where it is zero (or subnormal), NaN where one is NaN.
fn absmax(x: &ArrayViewD<'_, f32>, axes: &[usize], part: Part<'_>) -> Result<ArrayD<f32>> {
    if let Some(sharers) = part.sharers {
        // Of nothing the largest is zero, and not all of them have nothing.
        let mut largest: Vec<u32> = largest_magnitudes(x, axes).iter().copied().collect();
        sharers.largest(&mut largest)?;
        let shape: Vec<usize> =
            (0..x.ndim()).map(|axis| if axes.contains(&axis) { 1 } else { x.shape()[axis] }).collect();
        let bounds = largest.into_iter().map(bound).collect();
        return Ok(ArrayD::from_shape_vec(IxDyn(&shape), bounds).expect("each scale has its bound"));
    }
    if let Some(&axis) = axes.iter().find(|&&axis| x.shape()[axis] == 0) {
        let message = format!("quantizing over axis {axis} needs at least one element, but its size is 0");
        return Err(Error::new(ErrorKind::Value, message));
    }
    Ok(largest_magnitudes(x, axes).mapv(bound))
}

#[cfg(test)]
mod tests {
    use ndarray::{Array, IxDyn};

    use super::*;

    #[test]
    fn magnitudes_are_found_over_any_axes_in_any_layout() {
        let x = Array::from_shape_fn((2, 3, 4), |(i, j, k)| {
            let sign = if (i + j + k) % 2 == 0 { 1.0 } else { -1.0 };
            sign * ((7 * i + 5 * j + 3 * k) % 11) as f32
        })
        .into_dyn();
        for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0]] {
            let x = x.view().permuted_axes(IxDyn(&order));
            for axes in [&[][..], &[0], &[1], &[2], &[2, 0], &[0, 1], &[1, 2, 0]] {
                let found = absmax(&x, axes, Part::default()).unwrap();
                for (place, &x) in x.indexed_iter() {
                    let place: Vec<usize> =
                        (0..3).map(|axis| if axes.contains(&axis) { 0 } else { place[axis] }).collect();
                    assert!(x.abs() <= found[IxDyn(&place)]);
                }
                let all: Vec<f32> = x.iter().map(|x| x.abs()).collect();
                assert!(found.iter().all(|bound| *bound == 1.0 || all.contains(bound)), "{axes:?} {found}");
            }
        }
    }

    #[test]
    fn zeros_subnormals_and_nan() {
        let x = ndarray::arr2(&[[0.0, -0.0], [1e-40, 0.0], [f32::NAN, 1.0], [f32::NEG_INFINITY, 2.0]]).into_dyn();
        let found = absmax(&x.view(), &[1], Part::default()).unwrap();
        assert_eq!((found[[0, 0]], found[[1, 0]], found[[3, 0]]), (1.0, 1.0, f32::INFINITY));
        assert!(found[[2, 0]].is_nan());
        let empty = ArrayD::<f32>::zeros(IxDyn(&[3, 0]));
        assert!(absmax(&empty.view(), &[1], Part::default()).is_err());
        assert_eq!(absmax(&empty.view(), &[0], Part::default()).unwrap().shape(), [1, 0]);
    }
}
