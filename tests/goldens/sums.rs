//! Sums of products, and where a decision of ours makes them differ from the reference's.
//!
//! Rules, each applied to every case alike:
//! - two eight-bit sides: ours is the exact sum. The reference adds modulo 256 without an accumulator and modulo 2^32 with
//!   an i32 one; with an f32 one it adds floats, which is exact up to 2^24;
//! - float sums: the reference flushes subnormal operands, products and sums and ours keeps them, which is worth at most
//!   2^-126 times 2 and the larger factor in each term, and makes NaN of a subnormal times infinity;
//! - float sums of more than 384 terms, or with a side that is a vector: the reference's order is not specified, and the
//!   stated tolerance holds.

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
    /// The weaker of two.
    pub(crate) fn max_of(self, other: Self) -> Self {
        match (self, other) {
            (Self::Equal, other) => other,
            (Self::Wrapped, _) | (_, Self::Wrapped) => Self::Wrapped,
            (Self::Within(a), Self::Within(b)) => Self::Within(a.max(b)),
            (Self::Within(_), Self::Equal) => self,
        }
    }

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
        let scales = largest(&record.lhs.inverse_scale) * largest(&record.rhs.inverse_scale);
        // Scales smaller than 1 do not help where the sides were dequantized before the dot.
        let scaled = apart * scales.max(1.0);
        golden.iter().zip(ours).all(|(&golden, &ours)| {
            let same = golden == ours || (golden.is_nan() && ours.is_nan());
            let (golden, ours) = (f64::from(golden), f64::from(ours));
            // One rounding of bfloat16, the coarsest format, on top.
            same || (golden - ours).abs() <= scaled + golden.abs() / 128.0
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
            set.by_rule += 1;
            Agreement::Wrapped
        }
        (Golden::Int(golden), _) if golden == *ours => Agreement::Equal,
        (Golden::Int(golden), _) => {
            if golden.iter().zip(ours).any(|(&golden, &ours)| golden != i64::from(ours as i32)) {
                set.differ(format!("{name}: golden {golden:?}, ours {ours:?}"));
            }
            set.by_rule += 1;
            Agreement::Wrapped
        }
        (Golden::Float(golden), dtype) => {
            let ours = ours.mapv(|sum| sum as f32);
            if golden.shape() != ours.shape() {
                set.differ(format!("{name}: shape {:?}, ours {:?}", golden.shape(), ours.shape()));
                return Agreement::Equal;
            }
            let magnitudes = products(record, dims, ours.shape(), |lhs, rhs| (lhs * rhs).abs());
            let rounding = 2.0 * terms(record, dims) as f64 * HALF_ULP;
            compare(set, name, &golden, &ours, |place| match magnitudes[place] {
                exact if exact <= 16_777_216.0 && dtype == Dtype::F32 => 0.0,
                magnitude => rounding * magnitude,
            })
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
    let terms = terms(record, dims);
    let magnitudes = products(record, dims, ours.shape(), |lhs, rhs| (lhs * rhs).abs());
    let flushed = products(record, dims, ours.shape(), |lhs, rhs| {
        f64::from(f32::MIN_POSITIVE) * (lhs.abs().max(rhs.abs()) + 2.0)
    });
    let one = |factor: &Factor, axes: &[usize]| axes.iter().all(|&axis| shape(factor)[axis] == 1);
    let vector = one(&record.lhs.factor, &dims.lhs_free(shape(&record.lhs.factor).len()))
        || one(&record.rhs.factor, &dims.rhs_free(shape(&record.rhs.factor).len()));
    let any_order = terms > SEQUENTIAL || vector;
    let step = if dtype == Dtype::F32 { 0.0 } else { 1.0 / 128.0 };
    compare(set, name, &golden, ours, |place| {
        let rounding =
            2.0 * terms as f64 * HALF_ULP * magnitudes[place.clone()] + step * f64::from(golden[place.clone()].abs());
        flushed[place] + if any_order { rounding } else { 0.0 }
    })
}

/// Half the distance from 1 to the next `f32`.
const HALF_ULP: f64 = f32::EPSILON as f64 / 2.0;

/// Compares sums within what is `allowed` at each place.
fn compare(
    set: &mut Set,
    name: &str,
    golden: &ArrayD<f32>,
    ours: &ArrayD<f32>,
    allowed: impl Fn(IxDyn) -> f64,
) -> Agreement {
    let Some((place, wanted, got)) = first_difference(golden, ours) else { return Agreement::Equal };
    let mut worst = 0.0_f64;
    let within = golden.indexed_iter().zip(ours).all(|((place, &golden), &ours)| {
        let allowed = allowed(place);
        // A subnormal times infinity is NaN in the reference, whose tolerance is then infinite.
        if golden == ours || golden.is_nan() && (ours.is_nan() || allowed.is_infinite()) {
            return true;
        }
        let apart = (f64::from(golden) - f64::from(ours)).abs();
        worst = worst.max(apart);
        apart <= allowed
    });
    if !within {
        set.differ(format!("{name}{place:?}: golden {wanted:e}, ours {got:e}"));
    }
    set.by_rule += 1;
    Agreement::Within(worst)
}

fn terms(record: &CallRecord, dims: &DimensionNumbers) -> usize {
    dims.lhs_contracting().iter().map(|&axis| shape(&record.lhs.factor)[axis]).product()
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
