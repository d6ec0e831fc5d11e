//! From an array to its scales.
//!
//! A scale is what values are multiplied by to become integers: the format's bound target over the array's bound. The
//! inverse scale is one over the *rounded* scale, a rounded division of its own, and not the bound over the target.

use ndarray::{ArrayD, ArrayViewD, Axis, IxDyn};

use crate::error::{Error, ErrorKind, Result};

use super::config::{Calibration, IntNumerics, ScaleRounding, TensorConfig};
use super::format::{Format, flush};
use super::log2::power_of_two_below;

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
    /// The format of a product of a value in `format` with such a scale.
    pub(crate) fn product(self, format: Format) -> Format {
        if self == Self::Strong { Format::F32 } else { format }
    }

    /// A scale of this kind as it enters a product with values in `format`.
    pub(crate) fn factor(self, scale: f32, format: Format) -> f32 {
        match (self, format) {
            (Self::Weak, Format::F16) => Format::F16.round(scale),
            _ => scale,
        }
    }
}

/// The scales of `x`, sharing one over `axes`; without axes every element has its own.
pub(crate) fn calibrate(
    x: &ArrayViewD<'_, f32>,
    format: Format,
    axes: &[usize],
    config: &TensorConfig,
    int: IntNumerics,
) -> Result<Scales> {
    let (bound, kind) = match config.calibration {
        Calibration::AbsMax => (absmax(x, axes)?, ScaleKind::Operand),
        Calibration::Constant(bound) => {
            let kind = match config.scale_rounding {
                ScaleRounding::Exact => ScaleKind::Weak,
                ScaleRounding::PowerOfTwo => ScaleKind::Strong,
            };
            (ArrayD::from_elem(IxDyn(&vec![1; x.ndim()]), bound), kind)
        }
    };
    // A constant's scale is computed in binary32, whatever the operands are.
    let format = if kind == ScaleKind::Operand { format } else { Format::F32 };
    let target = match format {
        // binary16 rounds the target before the division; bfloat16 does not.
        Format::F16 => Format::F16.round(int.bound_target()),
        Format::F32 | Format::Bf16 => int.bound_target(),
    };
    let scale = bound.mapv(|bound| {
        let scale = format.div(target, bound);
        match config.scale_rounding {
            ScaleRounding::Exact => scale,
            ScaleRounding::PowerOfTwo => power_of_two_below(scale, format),
        }
    });
    let inverse = scale.mapv(|scale| format.div(1.0, scale));
    Ok(Scales { scale, inverse, kind })
}

/// The largest magnitude over `axes`, which keep extent 1; 1 where it is zero (or subnormal), NaN where one is NaN.
fn absmax(x: &ArrayViewD<'_, f32>, axes: &[usize]) -> Result<ArrayD<f32>> {
    if let Some(&axis) = axes.iter().find(|&&axis| x.shape()[axis] == 0) {
        let message = format!("quantizing over axis {axis} needs at least one element, but its size is 0");
        return Err(Error::new(ErrorKind::Value, message));
    }
    let mut bound = match axes.first() {
        Some(&axis) => x.fold_axis(Axis(axis), 0.0, |&most, &x| larger(most, x.abs())).insert_axis(Axis(axis)),
        None => x.mapv(f32::abs),
    };
    for &axis in axes.iter().skip(1) {
        bound = bound.fold_axis(Axis(axis), 0.0, |&most, &x| larger(most, x)).insert_axis(Axis(axis));
    }
    bound.mapv_inplace(|bound| if flush(bound) == 0.0 { 1.0 } else { bound });
    Ok(bound)
}

/// The larger of two magnitudes; NaN where one is.
fn larger(a: f32, b: f32) -> f32 {
    if a > b || a.is_nan() { a } else { b }
}
