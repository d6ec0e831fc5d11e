//! One side of a call: calibrated, scaled, noised, clipped, rounded.

use ndarray::{ArrayD, Dimension as _, IxDyn};
use qeinsum::quant::{Calibration, Clip, ClipGradient, MaxValue, Rounding, ScaleRounding, Storage, TensorConfig, Zero};

use super::random::{Words, noise};

/// A side that was quantized, or left as it is.
pub(crate) struct Side {
    pub(crate) x: ArrayD<f32>,
    pub(crate) quantized: Option<Quantized>,
}

pub(crate) struct Quantized {
    /// Integers as floats, before they are stored.
    pub(crate) q: ArrayD<f32>,
    /// One over the scale, with extent 1 on calibrated axes; everywhere with a constant bound.
    pub(crate) inverse: ArrayD<f32>,
    /// Where the gradient passes.
    pub(crate) mask: Option<ArrayD<bool>>,
    pub(crate) is_int8: bool,
}

impl Side {
    pub(crate) fn new(x: &ArrayD<f32>, config: &TensorConfig, calibrated: &[usize], key: Option<Words>) -> Self {
        let Some(int) = config.int() else { return Self { x: x.clone(), quantized: None } };
        let half = |set: bool| if set { 0.5 } else { 0.0 };
        let edge = 2.0_f32.powi(i32::from(int.bits.get()) - 1) - half(int.zero == Zero::Preserved);
        let target = if int.max == MaxValue::Preserved { edge - 0.5 } else { edge };
        let limit = edge - half(int.rounding == Rounding::Nearest);
        let bound = match config.calibration {
            Calibration::Constant(bound) => ArrayD::from_elem(IxDyn(&vec![1; x.ndim()]), bound),
            Calibration::AbsMax => {
                let extent = |(axis, &size): (usize, &usize)| if calibrated.contains(&axis) { 1 } else { size };
                let shape: Vec<usize> = x.shape().iter().enumerate().map(extent).collect();
                let mut most = ArrayD::from_elem(IxDyn(&shape), 0.0_f32);
                for (at, value) in x.indexed_iter() {
                    let most = &mut most[IxDyn(&narrowed(at.slice(), &shape))];
                    *most = most.max(value.abs());
                }
                most.mapv(|most| if most == 0.0 { 1.0 } else { most })
            }
        };
        let scale = bound.mapv(|bound| {
            let scale = target / bound;
            if config.scale_rounding == ScaleRounding::PowerOfTwo { power_of_two(scale) } else { scale }
        });
        let noise = match (int.noise, key) {
            (Some(kind), Some(key)) => Some(noise(key, kind, x.len())),
            (Some(_), None) => panic!("noise needs a key"),
            (None, _) => None,
        };
        let shape = scale.shape().to_vec();
        let scaled = ArrayD::from_shape_fn(x.raw_dim(), |at| x[&at] * scale[IxDyn(&narrowed(at.slice(), &shape))]);
        let mut place = 0;
        let q = scaled.mapv(|scaled| {
            let noised = noise.as_ref().map_or(scaled, |noise| scaled + noise[place]);
            place += 1;
            let clipped = if int.clip == Clip::ToRange { noised.max(-limit).min(limit) } else { noised };
            match (int.rounding, int.zero) {
                (Rounding::Unrounded, _) => clipped,
                (Rounding::Nearest, Zero::Preserved) => clipped.round_ties_even(),
                (Rounding::Nearest, Zero::Halfway) => clipped.floor() + 0.5,
            }
        });
        let mask = (int.gradient == ClipGradient::Masked).then(|| scaled.mapv(|x| -limit <= x && x <= limit));
        let inverse = scale.mapv(|scale| 1.0 / scale);
        Self { x: x.clone(), quantized: Some(Quantized { q, inverse, mask, is_int8: int.storage == Storage::Int8 }) }
    }

    /// What the call multiplies when it rescales its result.
    pub(crate) fn stored(&self) -> ArrayD<f32> {
        match &self.quantized {
            None => self.x.clone(),
            Some(Quantized { q, is_int8: false, .. }) => q.clone(),
            Some(Quantized { q, .. }) => q.mapv(|q| q.trunc().clamp(-128.0, 127.0)),
        }
    }

    /// What it multiplies when values were scaled back before.
    pub(crate) fn faked(&self) -> ArrayD<f32> {
        match &self.quantized {
            None => self.x.clone(),
            Some(Quantized { q, inverse, .. }) => {
                let shape = inverse.shape().to_vec();
                ArrayD::from_shape_fn(q.raw_dim(), |at| q[&at] * inverse[IxDyn(&narrowed(at.slice(), &shape))])
            }
        }
    }
}

/// An index into an array that has extent 1 where the other is shared.
pub(crate) fn narrowed(at: &[usize], shape: &[usize]) -> Vec<usize> {
    at.iter().zip(shape).map(|(&at, &size)| if size == 1 { 0 } else { at }).collect()
}

/// Two to the floor of a logarithm that is not exact: a polynomial's, as the reference's compiler makes it.
fn power_of_two(scale: f32) -> f32 {
    let bits = scale.max(f32::MIN_POSITIVE).to_bits();
    let mut e = ((bits >> 23) as i32 - 127) as f32 + 1.0;
    let mut m = f32::from_bits((bits & 0x807f_ffff) | 0x3f00_0000);
    let low = m < 0.707_106_77;
    let back = if low { m } else { 0.0 };
    m -= 1.0;
    if low {
        e -= 1.0;
    }
    m += back;
    let (x2, x3) = (m * m, m * m * m);
    let mut y = m.mul_add(7.037_683_6e-2, -1.151_461e-1);
    let mut y1 = m.mul_add(-1.242_014_1e-1, 1.424_932_3e-1);
    let mut y2 = m.mul_add(2.000_071_5e-1, -2.499_999_4e-1);
    y = y.mul_add(m, 1.167_699_9e-1);
    y1 = y1.mul_add(m, -1.666_805_8e-1);
    y2 = y2.mul_add(m, 3.333_333e-1);
    y = y.mul_add(x3, y1);
    y = y.mul_add(x3, y2);
    y = y.mul_add(x3, -2.121_944_4e-4 * e);
    let log = 0.693_359_4_f32.mul_add(e, (-0.5_f32).mul_add(x2, m) + y);
    2.0_f32.powi((log * std::f32::consts::LOG2_E).floor() as i32)
}
