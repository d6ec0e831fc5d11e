//! Sums of products, and where a decision of ours makes them differ from the reference's.
//!
//! Three rules, each applied to every case alike:
//! - two eight-bit sides without an accumulator: the reference wraps modulo 256, ours is the exact sum;
//! - float sums of K terms: the reference flushes subnormals and ours keeps them, which is worth at most K·2^-126;
//! - float sums of more than 384 terms: the reference's order is not specified, and the stated tolerance holds.

use ndarray::{ArrayD, Dimension, IxDyn};
use qeinsum::{CallRecord, DimensionNumbers, Factor};
use safetensors::Dtype;

use super::set::{Golden, Set, first_difference};

/// The longest contraction for which the reference is known to add in sequence.
const SEQUENTIAL: usize = 384;

/// How the sums of a call agree with the reference's.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Agreement {
    /// Bit for bit.
    Equal,
    /// Within what a rule allows, at most this far apart.
    Within(f64),
    /// The reference's wrapped, ours are exact: nothing that follows can be compared.
    Wrapped,
}

impl Agreement {
    /// Whether outputs may differ as these do, given how the sums do.
    pub(crate) fn allows(self, record: &CallRecord, golden: &ArrayD<f32>, ours: &ArrayD<f32>) -> bool {
        let apart = match self {
            Self::Equal => return false,
            Self::Wrapped => return true,
            Self::Within(apart) => apart,
        };
        let largest = |scale: &Option<ArrayD<f32>>| {
            scale.as_ref().map_or(1.0, |scale| scale.iter().fold(0.0, |most, &each| f64::max(most, each.abs().into())))
        };
        let scaled = apart * largest(&record.lhs.inverse_scale) * largest(&record.rhs.inverse_scale);
        golden.iter().zip(ours).all(|(&golden, &ours)| {
            let (golden, ours) = (f64::from(golden), f64::from(ours));
            // One rounding of bfloat16, the coarsest format, on top.
            (golden - ours).abs() <= scaled + golden.abs() / 128.0
        })
    }
}

pub(crate) fn check_integers(
    set: &mut Set,
    name: &str,
    record: &CallRecord,
    dims: &DimensionNumbers,
    ours: &ArrayD<i64>,
) -> Agreement {
    let exact = products(record, dims, ours.shape(), |lhs, rhs| lhs * rhs);
    if ours.iter().zip(&exact).any(|(&ours, &exact)| ours as f64 != exact) {
        set.differ(format!("{name}: sums are not exact"));
    }
    match set.expected(name) {
        (Golden::Int(golden), Dtype::I8) => {
            if golden.iter().zip(ours).any(|(&golden, &ours)| golden != i64::from(ours as i8)) {
                set.differ(format!("{name}: wrapped sums are not ours modulo 256"));
            }
            Agreement::Wrapped
        }
        (Golden::Int(golden), _) => {
            if golden != *ours {
                set.differ(format!("{name}: golden {golden:?}, ours {ours:?}"));
            }
            Agreement::Equal
        }
        (Golden::Float(_), _) => {
            set.differ(format!("{name}: floats, ours are integers"));
            Agreement::Equal
        }
    }
}

pub(crate) fn check_floats(
    set: &mut Set,
    name: &str,
    record: &CallRecord,
    dims: &DimensionNumbers,
    ours: &ArrayD<f32>,
) -> Agreement {
    let (Golden::Float(golden), dtype) = set.expected(name) else {
        set.differ(format!("{name}: integers, ours are floats"));
        return Agreement::Equal;
    };
    if golden.shape() != ours.shape() {
        set.differ(format!("{name}: shape {:?}, ours {:?}", golden.shape(), ours.shape()));
        return Agreement::Equal;
    }
    let Some((place, wanted, got)) = first_difference(&golden, ours) else { return Agreement::Equal };
    let terms: usize = dims.lhs_contracting().iter().map(|&axis| shape(&record.lhs.factor)[axis]).product();
    let magnitudes = products(record, dims, ours.shape(), |lhs, rhs| (lhs * rhs).abs());
    let step = if dtype == Dtype::F32 { 0.0 } else { 1.0 / 128.0 };
    let mut worst = 0.0_f64;
    let within = golden.iter().zip(ours).zip(&magnitudes).all(|((&golden, &ours), &magnitude)| {
        let apart = (f64::from(golden) - f64::from(ours)).abs();
        worst = worst.max(apart);
        let mut allowed = terms as f64 * f64::from(f32::MIN_POSITIVE);
        if terms > SEQUENTIAL {
            allowed += 2.0 * terms as f64 * f64::from(f32::EPSILON) / 2.0 * magnitude + step * f64::from(golden.abs());
        }
        apart <= allowed || (golden.is_nan() && ours.is_nan()) || golden == ours
    });
    if !within {
        set.differ(format!("{name}{place:?}: golden {wanted:e}, ours {got:e}, over {terms} terms"));
    }
    Agreement::Within(worst)
}

fn shape(factor: &Factor) -> &[usize] {
    match factor {
        Factor::Int8(values) => values.shape(),
        Factor::Float(values) => values.shape(),
    }
}

fn value(factor: &Factor, place: &[usize]) -> f64 {
    match factor {
        Factor::Int8(values) => values[IxDyn(place)].into(),
        Factor::Float(values) => values[IxDyn(place)].into(),
    }
}

/// The sums of `term(lhs, rhs)` over the contracting axes, by nested loops in `f64`.
fn products(
    record: &CallRecord,
    dims: &DimensionNumbers,
    output: &[usize],
    term: impl Fn(f64, f64) -> f64,
) -> ArrayD<f64> {
    let (left, right) = (&record.lhs.factor, &record.rhs.factor);
    let extents: Vec<usize> = dims.lhs_contracting().iter().map(|&axis| shape(left)[axis]).collect();
    let batch = dims.batch().len();
    let lhs_free = dims.lhs_free(shape(left).len());
    let rhs_free = dims.rhs_free(shape(right).len());
    ArrayD::from_shape_fn(IxDyn(output), |place| {
        let (mut l, mut r) = (vec![0; shape(left).len()], vec![0; shape(right).len()]);
        for (at, &(lhs, rhs)) in dims.batch().iter().enumerate() {
            (l[lhs], r[rhs]) = (place[at], place[at]);
        }
        for (at, &axis) in lhs_free.iter().enumerate() {
            l[axis] = place[batch + at];
        }
        for (at, &axis) in rhs_free.iter().enumerate() {
            r[axis] = place[batch + lhs_free.len() + at];
        }
        let mut sum = 0.0;
        for inner in ndarray::indices(IxDyn(&extents)) {
            for (&at, &(lhs, rhs)) in inner.slice().iter().zip(dims.contracting()) {
                (l[lhs], r[rhs]) = (at, at);
            }
            sum += term(value(left, &l), value(right, &r));
        }
        sum
    })
}
