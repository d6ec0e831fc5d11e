//! Configurations made of decisions.

use qeinsum::quant::{
    Accumulator, Bits, Calibration, CallConfig, Clip, ClipGradient, Dequantize, DotGeneralConfig, GradientConfig,
    IntNumerics, MaxValue, Noise, Numerics, Residual, Rounding, ScaleRounding, Storage, TensorConfig, Zero,
};

use qeinsum::Plan;

use super::choices::Decide;

/// A side of any kind that a call can have.
pub(crate) fn side(random: &mut impl Decide) -> TensorConfig {
    if random.below(6) == 0 {
        return TensorConfig::UNQUANTIZED;
    }
    let bits = random.of(&[2, 3, 4, 5, 8, 8, 8, 8, 12]);
    let storage = if bits > 8 || random.below(6) == 0 { Storage::Float } else { Storage::Int8 };
    let int = IntNumerics {
        bits: Bits::new(bits).unwrap(),
        zero: random.of(&[Zero::Preserved, Zero::Preserved, Zero::Preserved, Zero::Halfway]),
        max: random.of(&[MaxValue::Edge, MaxValue::Edge, MaxValue::Preserved]),
        clip: random.of(&[Clip::ToRange, Clip::ToRange, Clip::ToRange, Clip::Unclipped]),
        rounding: random.of(&[Rounding::Nearest, Rounding::Nearest, Rounding::Nearest, Rounding::Unrounded]),
        noise: random.of(&[None, None, Some(Noise::JaxUniform), Some(Noise::Custom1)]),
        storage,
        gradient: random.of(&[ClipGradient::PassThrough, ClipGradient::Masked]),
    };
    TensorConfig {
        numerics: Numerics::Int(int),
        calibration: random.of(&[Calibration::AbsMax, Calibration::AbsMax, Calibration::Constant(0.75)]),
        scale_rounding: random.of(&[ScaleRounding::Exact, ScaleRounding::Exact, ScaleRounding::PowerOfTwo]),
    }
}

fn call(random: &mut impl Decide) -> CallConfig {
    let (mut lhs, mut rhs) = (side(random), side(random));
    let dequantize = if random.below(6) == 0 { Dequantize::Inputs } else { Dequantize::Output };
    if dequantize == Dequantize::Inputs {
        for side in [&mut lhs, &mut rhs] {
            side.scale_rounding = ScaleRounding::PowerOfTwo;
            if let Numerics::Int(int) = &mut side.numerics {
                int.storage = Storage::Float;
            }
        }
    }
    CallConfig { lhs, rhs, accumulator: Accumulator::Auto, dequantize }
}

/// Three calls that make sense together.
pub(crate) fn dot_general(random: &mut impl Decide) -> DotGeneralConfig {
    let forward = call(random);
    let mut gradient = |other: &TensorConfig| GradientConfig {
        call: call(random),
        residual: if other.is_quantized() {
            random.of(&[Residual::Original, Residual::Quantized])
        } else {
            Residual::Unspecified
        },
        shards: None,
    };
    let (dlhs, drhs) = (gradient(&forward.rhs), gradient(&forward.lhs));
    DotGeneralConfig { forward, dlhs, drhs }
}

/// Whether the arithmetic defines every bit of a quantized run: there is something to calibrate, and no sum is so long that it
/// is cut.
pub(crate) fn is_defined(plan: &Plan) -> bool {
    plan.values().iter().all(|value| (1..=384).contains(&value.shape().iter().product::<usize>()))
}
