//! What a configuration does to a call, in the words of an explained plan.
//!
//! Defaults that leave values as a reader expects (clipping, straight-through gradients, exact scales) are not
//! mentioned; everything else is, so two sides with the same words do the same.

use std::fmt::Write as _;

use super::config::{
    Accumulator, Calibration, CallConfig, Clip, ClipGradient, Dequantize, IntNumerics, MaxValue, Numerics, Rounding,
    ScaleRounding, Storage, TensorConfig, Zero,
};
use crate::dtype::Dtype;
use crate::kernel::INT32_TERMS;

/// The lines below a call: its lhs, its rhs, its accumulator.
///
/// `lhs_labels` and `rhs_labels` name the axes that each side shares scales over, such as `j` or `j,k`; none of them
/// means a scale per element. `terms` is the number of products in a sum.
pub(crate) fn call(call: &CallConfig, lhs_labels: &str, rhs_labels: &str, dtype: Dtype, terms: usize) -> [String; 3] {
    [
        format!("lhs {}", side(&call.lhs, lhs_labels, call.dequantize)),
        format!("rhs {}", side(&call.rhs, rhs_labels, call.dequantize)),
        format!("acc {}", accumulator(call, dtype, terms)),
    ]
}

/// A side in the few words that a drawing has room for: `int8 over j`.
pub(crate) fn brief(tensor: &TensorConfig, labels: &str) -> String {
    let Numerics::Int(int) = &tensor.numerics else {
        return "not quantized".to_owned();
    };
    let scale = match tensor.calibration {
        Calibration::AbsMax if labels.is_empty() => "per element".to_owned(),
        Calibration::AbsMax => format!("over {labels}"),
        Calibration::Constant(bound) => format!("bound {bound}"),
    };
    format!("{} {scale}", format(*int))
}

fn side(tensor: &TensorConfig, labels: &str, dequantize: Dequantize) -> String {
    let Numerics::Int(int) = &tensor.numerics else {
        return "none: passes through".to_owned();
    };
    let mut text = format(*int);
    let _ = match tensor.calibration {
        Calibration::AbsMax if labels.is_empty() => write!(text, " absmax per element"),
        Calibration::AbsMax => write!(text, " absmax over {labels}"),
        Calibration::Constant(bound) => write!(text, " bound {bound}"),
    };
    let details = [
        match int.max {
            MaxValue::Edge => None,
            MaxValue::Preserved => Some("max preserved"),
        },
        match tensor.scale_rounding {
            ScaleRounding::Exact => None,
            ScaleRounding::PowerOfTwo => Some("power-of-two scale"),
        },
        match int.clip {
            Clip::ToRange => None,
            Clip::Unclipped => Some("unclipped"),
        },
        Some(match (int.rounding, int.zero) {
            (Rounding::Unrounded, _) => "unrounded",
            (Rounding::Nearest, Zero::Preserved) => "nearest-even",
            (Rounding::Nearest, Zero::Halfway) => "nearest-half",
        }),
    ];
    for detail in details.into_iter().flatten() {
        let _ = write!(text, ", {detail}");
    }
    if let Some(noise) = int.noise {
        let _ = write!(text, ", noise {noise}");
    }
    text.push_str(match int.gradient {
        ClipGradient::PassThrough => "",
        ClipGradient::Masked => ", gradient masked",
    });
    text.push_str(match dequantize {
        Dequantize::Output => ", dequant output",
        Dequantize::Inputs => ", dequant inputs",
    });
    text
}

fn format(int: IntNumerics) -> String {
    let bits = int.bits.get();
    let halves = match int.zero {
        Zero::Preserved => "",
        Zero::Halfway => " half-integers",
    };
    match int.storage {
        Storage::Int8 => format!("int{bits}{halves}"),
        Storage::Float => format!("{bits}-bit{halves} in float"),
    }
}

/// What the sums are kept in, as the kernels keep them.
fn accumulator(call: &CallConfig, dtype: Dtype, terms: usize) -> String {
    match (call.is_int8(), dtype) {
        (true, _) if terms <= INT32_TERMS => format!("i32, {}", head_room(call, terms)),
        (true, _) => "i64".to_owned(),
        (false, Dtype::F32 | Dtype::F64 | Dtype::C32 | Dtype::C64) => dtype.to_string(),
        (false, Dtype::F16 | Dtype::Bf16) if call.accumulator == Accumulator::F32 => "f32".to_owned(),
        (false, Dtype::F16 | Dtype::Bf16) => format!("f32, rounded to {dtype}"),
    }
}

/// How far the largest sum that there can be is from what 32 bits hold, as so many doublings.
fn head_room(call: &CallConfig, terms: usize) -> String {
    // An integer of b bits is at most 2^(b-1) in magnitude.
    let magnitude = [&call.lhs, &call.rhs].map(|side| side.int().map_or(7, |int| u32::from(int.bits.get()) - 1));
    let used = magnitude[0] + magnitude[1] + terms.max(1).next_power_of_two().trailing_zeros();
    match 31_u32.saturating_sub(used) {
        0 => "no bit of head-room".to_owned(),
        1 => "1 bit of head-room".to_owned(),
        bits => format!("{bits} bits of head-room"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::config::DotGeneralConfig;
    use crate::rng::Noise;

    fn int(bits: u8) -> IntNumerics {
        IntNumerics::new(bits).unwrap()
    }

    fn tensor(int: IntNumerics) -> TensorConfig {
        TensorConfig { numerics: Numerics::Int(int), ..TensorConfig::UNQUANTIZED }
    }

    #[test]
    fn sides_in_words() {
        let po2 = ScaleRounding::PowerOfTwo;
        let cases = [
            (TensorConfig::UNQUANTIZED, "j", "none: passes through"),
            (tensor(int(8)), "j", "int8 absmax over j, nearest-even, dequant output"),
            (tensor(int(8)), "j,k", "int8 absmax over j,k, nearest-even, dequant output"),
            (tensor(int(4)), "", "int4 absmax per element, nearest-even, dequant output"),
            (tensor(int(12)), "j", "12-bit in float absmax over j, nearest-even, dequant output"),
            (tensor(int(1)), "j", "1-bit half-integers in float absmax over j, nearest-half, dequant output"),
            (
                tensor(IntNumerics { zero: Zero::Halfway, ..int(8) }),
                "j",
                "int8 half-integers absmax over j, nearest-half, dequant output",
            ),
            (
                TensorConfig { calibration: Calibration::Constant(1.5), ..tensor(int(8)) },
                "j",
                "int8 bound 1.5, nearest-even, dequant output",
            ),
            (
                TensorConfig { scale_rounding: po2, ..tensor(IntNumerics { max: MaxValue::Preserved, ..int(8) }) },
                "j",
                "int8 absmax over j, max preserved, power-of-two scale, nearest-even, dequant output",
            ),
            (
                tensor(IntNumerics { clip: Clip::Unclipped, rounding: Rounding::Unrounded, ..int(8) }),
                "j",
                "int8 absmax over j, unclipped, unrounded, dequant output",
            ),
            (
                tensor(IntNumerics { noise: Some(Noise::Custom1), gradient: ClipGradient::Masked, ..int(8) }),
                "j",
                "int8 absmax over j, nearest-even, noise custom-1, gradient masked, dequant output",
            ),
        ];
        for (tensor, labels, expected) in cases {
            assert_eq!(side(&tensor, labels, Dequantize::Output), expected);
        }
        let fake = TensorConfig { scale_rounding: po2, ..tensor(IntNumerics { storage: Storage::Float, ..int(8) }) };
        assert_eq!(
            side(&fake, "j", Dequantize::Inputs),
            "8-bit in float absmax over j, power-of-two scale, nearest-even, dequant inputs"
        );
    }

    #[test]
    fn calls_in_lines() {
        let config = DotGeneralConfig::v4().build().unwrap();
        assert_eq!(
            call(&config.forward, "j", "j", Dtype::F32, 16),
            [
                "lhs int8 absmax over j, nearest-even, dequant output",
                "rhs int8 absmax over j, nearest-even, dequant output",
                "acc i32, 13 bits of head-room",
            ]
        );
        assert_eq!(
            call(&config.dlhs.call, "k", "k", Dtype::F32, 16)[0],
            "lhs int8 absmax over k, nearest-even, noise jax.uniform, dequant output"
        );
        let float = DotGeneralConfig::fully_quantized().bwd_bits(None).build().unwrap();
        assert_eq!(
            call(&float.drhs.call, "i", "i", Dtype::Bf16, 16),
            ["lhs none: passes through", "rhs none: passes through", "acc f32, rounded to bf16"]
        );
    }

    #[test]
    fn sums_are_kept_in_what_holds_them() {
        let int8 = CallConfig::from_bits(Some(8), Some(8)).unwrap();
        let int4 = CallConfig::from_bits(Some(4), Some(4)).unwrap();
        let one_sided = CallConfig::from_bits(Some(8), None).unwrap();
        let cases = [
            (int8, Dtype::F16, 131_071, "i32, no bit of head-room"),
            (int8, Dtype::F32, 65_536, "i32, 1 bit of head-room"),
            (int4, Dtype::F32, 1000, "i32, 15 bits of head-room"),
            (int8, Dtype::F16, 131_072, "i64"),
            (one_sided, Dtype::F32, 200_000, "f32"),
            (one_sided, Dtype::F16, 8, "f32, rounded to f16"),
        ];
        for (call, dtype, terms, expected) in cases {
            assert_eq!(accumulator(&call, dtype, terms), expected);
        }
    }
}
