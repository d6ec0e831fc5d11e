//! Files and configurations, there and back.

use std::num::NonZeroUsize;

use proptest::collection::btree_map;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::quant::config::{
    Accumulator, Bits, Calibration, CallConfig, Clip, ClipGradient, Dequantize, DotGeneralConfig, GradientConfig,
    IntNumerics, MaxValue, Numerics, Residual, Rounding, ScaleRounding, Storage, TensorConfig, Zero,
};
use crate::quant::overrides::Source;
use crate::quant::settings::StochasticRounding;
use crate::rng::Noise;

fn read(text: &str) -> DotGeneralConfig {
    let config = QuantConfig::from_toml(&format!("version = 1\n{text}")).unwrap();
    config.default_step().clone()
}

fn refusal(text: &str) -> String {
    QuantConfig::from_toml(text).unwrap_err().message().to_owned()
}

#[test]
fn presets_are_those_of_the_builders() {
    let v4 = DotGeneralConfig::v4;
    let full = DotGeneralConfig::fully_quantized;
    let sides = DotGeneralConfig::from_sides;
    let cases = [
        ("", DotGeneralConfig::unquantized()),
        ("preset = 'unquantized'", DotGeneralConfig::unquantized()),
        ("preset = 'v4'", v4().build().unwrap()),
        ("preset = 'v3'\nfwd_bits = 1", DotGeneralConfig::v3().fwd_bits(Some(1)).build().unwrap()),
        (
            "preset = 'v4'\nfwd_bits = 4\ndlhs_bits = 'none'\ndrhs_bits = 6\nnoise = 'custom-1'\nstatic_bound = 2",
            v4().fwd_bits(Some(4))
                .dlhs_bits(None)
                .drhs_bits(Some(6))
                .noise(Noise::Custom1)
                .static_bound(Some(2.0))
                .build()
                .unwrap(),
        ),
        (
            "preset = 'v4'\n[dlhs]\nshards = 2\n[fwd]\naccumulator = 'f32'",
            v4().dlhs_shards(NonZeroUsize::new(2)).fwd_accumulator(Accumulator::F32).build().unwrap(),
        ),
        (
            "preset = 'fully-quantized'\nfwd_bits = 4\nbwd_bits = 5\nresidual = 'original'\nstochastic_rounding = 'other'",
            full()
                .fwd_bits(Some(4))
                .bwd_bits(Some(5))
                .residual(Residual::Original)
                .stochastic_rounding(StochasticRounding::Other)
                .build()
                .unwrap(),
        ),
        ("preset = 'fully-quantized'\nstochastic_rounding = 'off'", {
            full().stochastic_rounding(StochasticRounding::Off).build().unwrap()
        }),
        (
            "preset = 'from-sides'\nlhs_bits = 8\nrhs_bits = 4\nbwd_bits = 3\nresidual = 'original'",
            sides().lhs_bits(Some(8)).rhs_bits(Some(4)).bwd_bits(Some(3)).residual(Residual::Original).build().unwrap(),
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(read(text), expected, "{text}");
    }
}

#[test]
fn sides_change_field_by_field_and_bits_start_anew() {
    let int8 = IntNumerics::new(8).unwrap();
    let side = |numerics| TensorConfig { numerics, ..TensorConfig::UNQUANTIZED };
    let masked = IntNumerics { gradient: ClipGradient::Masked, ..int8 };
    let cases = [
        ("gradient = 'masked'", side(Numerics::Int(masked))),
        ("bits = 4", side(Numerics::Int(IntNumerics::new(4).unwrap()))),
        ("bits = 1", side(Numerics::Int(IntNumerics::new(1).unwrap()))),
        ("bits = 'none'", TensorConfig::UNQUANTIZED),
        (
            "calibration = { constant = 0.7 }",
            TensorConfig { calibration: Calibration::Constant(0.7), ..side(Numerics::Int(int8)) },
        ),
        ("noise = 'jax.uniform'", side(Numerics::Int(IntNumerics { noise: Some(Noise::JaxUniform), ..int8 }))),
    ];
    for (text, expected) in cases {
        assert_eq!(read(&format!("preset = 'v4'\n[fwd.lhs]\n{text}")).forward.lhs, expected, "{text}");
    }
    assert_eq!(read("preset = 'v4'\n[dlhs.lhs]\nnoise = 'none'").dlhs.call.lhs.noise(), None);
}

#[test]
fn steps_start_from_what_is_above_them() {
    let text = "version = 1\npreset = 'v4'\n[step.2]\nstatic_bound = 3.0\n[step.2.drhs.lhs]\nbits = 8\n[step.0]\npreset = 'v3'";
    let config = QuantConfig::from_toml(text).unwrap();
    let step = |number| config.for_step(number, Source::Operand(0), Source::Intermediate);
    assert_eq!(step(0), DotGeneralConfig::v3().build().unwrap());
    assert_eq!(step(1), DotGeneralConfig::v4().build().unwrap());
    let mut expected = DotGeneralConfig::v4().static_bound(Some(3.0)).build().unwrap();
    expected.drhs.call.lhs.numerics = Numerics::Int(IntNumerics::new(8).unwrap());
    assert_eq!(step(2), expected);
}

#[test]
fn null_is_none_only_where_none_can_stand() {
    let read = |text: &str| QuantConfig::from_json(text).map(|config| config.default_step().clone());
    let v4 = DotGeneralConfig::v4().fwd_bits(None).build().unwrap();
    assert_eq!(read(r#"{"version": 1, "preset": "v4", "fwd_bits": null}"#).unwrap(), v4);
    assert!(read(r#"{"version": 1, "preset": null}"#).is_err());
    assert!(read(r#"{"version": 1, "fwd": null}"#).is_err());
}

#[test]
fn refusals_name_the_field_and_the_line() {
    let cases = [
        ("", "`version` is missing; write version = 1"),
        ("\nversion = 2", "line 2: `version` is 2, but only version 1 is known"),
        (
            "version = 1\npreset = 'v5'",
            "line 2: unknown variant `v5`, expected one of `v4`, `v3`, `fully-quantized`, `from-sides`, `unquantized`",
        ),
        ("version = 1\n\nfwd_bits = 8", "line 3: `fwd_bits` is no setting of the preset unquantized"),
        ("version = 1\npreset = 'v4'\nlhs_bits = 8", "line 3: `lhs_bits` is no setting of the preset v4"),
        ("version = 1\npreset = 'v4'\nfwd_bits = 256", "line 3: `fwd_bits` is 256, which is not in 1 to 22"),
        (
            "version = 1\npreset = 'v4'\nfwd_bits = -8",
            "line 3: invalid value: integer `-8`, expected a whole number or \"none\"",
        ),
        ("version = 1\n[fwd]\n[fwd.lhs]\nbits = 0", "line 4: `fwd.lhs.bits` is 0, which is not in 1 to 22"),
        ("version = 1\n[fwd.lhs]\nzero = 'halfway'", "line 3: `fwd.lhs.zero` needs `bits` beside it"),
        (
            "version = 1\npreset = 'v4'\n[fwd]\ndequantize = 'inputs'",
            "line 4: `fwd.dequantize` is inputs, but the lhs is stored as int8; store it as float",
        ),
        (
            "version = 1\npreset = 'v4'\n[step.1.dlhs]\nshards = 0",
            "line 4: `step.1.dlhs.shards` is 0; write a positive number, or \"none\"",
        ),
        ("version = 1\n[step.1]\nversion = 1", "line 3: `step.1.version` cannot stand inside a step"),
        ("version = 1\n[step.x]", "line 2: `step.x` is no number; operands and steps are counted from 0"),
        (
            "version = 1\n[operand.01]\nbits = 8",
            "line 2: `operand.01` is no number; operands and steps are counted from 0",
        ),
        (
            "version = 1\n[operand.1]\nzero = 'halfway'",
            "line 2: `operand.1` has no `bits`; write a number, or \"none\"",
        ),
        (
            "version = 1\n[intermediates]\nbits = 9\nstorage = 'int8'",
            "line 4: `intermediates.storage` is int8, which does not hold 9 bits",
        ),
        ("version = 1\nnoise = 'custom-1'", "line 2: `noise` has no effect where `stochastic_rounding` is off"),
        ("version = 1\nstatic_bound = -1", "line 2: `static_bound` has the bound -1, which is not positive and finite"),
        (
            "version = 1\n[fwd]\nresidual = 'original'",
            "line 3: unknown field `residual`, expected one of `accumulator`, `dequantize`, `lhs`, `rhs`",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(refusal(text), expected, "{text}");
    }
    let broken = refusal("version = 1\npreset = ");
    assert!(broken.starts_with("line 2: "), "{broken}");
    let json = QuantConfig::from_json("{\"version\": 1,\n \"preset\": \"v5\"}").unwrap_err();
    assert!(
        json.message().starts_with("unknown variant `v5`") && json.message().ends_with("at line 2 column 15"),
        "{json}"
    );
}

#[test]
fn refusals_quote_nothing_raw() {
    for text in ["\"\\u001b[31m\" = 1", "version = 1\n[step.\"\\u001b\"]", "preset = \"\\u202e\""] {
        let message = refusal(text);
        assert!(message.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{message:?}");
    }
}

#[test]
fn files_are_written_as_a_person_would() {
    let config = DotGeneralConfig::v4().fwd_bits(Some(4)).static_bound(Some(0.7)).build().unwrap();
    let text = QuantConfig::from(config).with_operand(1, TensorConfig::UNQUANTIZED).to_toml().unwrap();
    let start = "version = 1\n\n[fwd.lhs]\nbits = 4\n\n[fwd.lhs.calibration]\nconstant = 0.7\n";
    assert!(text.starts_with(start), "{text}");
    assert!(text.ends_with("[operand.1]\nbits = \"none\"\n"), "{text}");
}

#[test]
fn what_fails_its_check_is_not_written() {
    let config = QuantConfig::from(DotGeneralConfig::v4().build().unwrap().with_static_bound(f32::NAN));
    assert!(config.to_toml().is_err() && config.to_json().is_err());
}

fn side() -> impl Strategy<Value = TensorConfig> {
    let int = ((1..=22_u8, any::<[bool; 6]>()), option::of(prop_oneof![Just(Noise::JaxUniform), Just(Noise::Custom1)]))
        .prop_map(|((bits, [zero, max, clip, rounding, storage, gradient]), noise)| IntNumerics {
            bits: Bits::new(bits).unwrap(),
            zero: if zero { Zero::Preserved } else { Zero::Halfway },
            max: if max { MaxValue::Edge } else { MaxValue::Preserved },
            clip: if clip { Clip::ToRange } else { Clip::Unclipped },
            rounding: if rounding { Rounding::Nearest } else { Rounding::Unrounded },
            noise,
            storage: if storage && bits <= 8 { Storage::Int8 } else { Storage::Float },
            gradient: if gradient { ClipGradient::PassThrough } else { ClipGradient::Masked },
        });
    let bound = (1..f32::INFINITY.to_bits()).prop_map(|bits| Calibration::Constant(f32::from_bits(bits)));
    let calibration = prop_oneof![Just(Calibration::AbsMax), bound];
    let scale = prop_oneof![Just(ScaleRounding::Exact), Just(ScaleRounding::PowerOfTwo)];
    (option::of(int), calibration, scale).prop_map(|(int, calibration, scale_rounding)| TensorConfig {
        numerics: int.map_or(Numerics::None, Numerics::Int),
        calibration,
        scale_rounding,
    })
}

fn call() -> impl Strategy<Value = CallConfig> {
    let accumulator = prop_oneof![
        Just(Accumulator::Auto),
        Just(Accumulator::I32),
        Just(Accumulator::F32),
        Just(Accumulator::Bf16),
        Just(Accumulator::F16)
    ];
    let dequantize = prop_oneof![Just(Dequantize::Output), Just(Dequantize::Inputs)];
    (side(), side(), accumulator, dequantize).prop_map(|(lhs, rhs, accumulator, dequantize)| {
        let call = CallConfig { lhs, rhs, accumulator, dequantize };
        let plain = CallConfig { accumulator: Accumulator::Auto, dequantize: Dequantize::Output, ..call };
        if call.fault("").is_ok() { call } else { plain }
    })
}

fn gradient() -> impl Strategy<Value = GradientConfig> {
    let residual = prop_oneof![Just(Residual::Unspecified), Just(Residual::Original), Just(Residual::Quantized)];
    (call(), residual, 0..9_usize).prop_map(|(call, residual, shards)| GradientConfig {
        call,
        residual,
        shards: NonZeroUsize::new(shards),
    })
}

fn dot_general() -> impl Strategy<Value = DotGeneralConfig> {
    (call(), gradient(), gradient()).prop_map(|(forward, dlhs, drhs)| DotGeneralConfig { forward, dlhs, drhs })
}

fn config() -> impl Strategy<Value = QuantConfig> {
    let overrides =
        (option::of(side()), btree_map(0..12_usize, side(), 0..3), btree_map(0..12_usize, dot_general(), 0..3));
    (dot_general(), overrides).prop_map(|(default, (intermediates, operands, steps))| {
        let mut config = QuantConfig::from(default);
        if let Some(side) = intermediates {
            config = config.with_intermediates(side);
        }
        config = operands.into_iter().fold(config, |config, (operand, side)| config.with_operand(operand, side));
        steps.into_iter().fold(config, |config, (step, own)| config.with_step(step, own))
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back_equal(config in config()) {
        let toml = config.to_toml().unwrap();
        prop_assert_eq!(&QuantConfig::from_toml(&toml).unwrap(), &config, "{}", toml);
        let json = config.to_json().unwrap();
        prop_assert_eq!(&QuantConfig::from_json(&json).unwrap(), &config, "{}", json);
    }
}

#[test]
fn depth_is_bounded() {
    let deep = 100_000;
    let dotted = format!("{}version = 1", "step.1.".repeat(deep));
    let header = format!("version = 1\n[{}step.1]", "step.1.".repeat(deep));
    let inline = format!("version = 1\nstep = {}", "{1 = {step = ".repeat(deep));
    let array = format!("version = {}", "[".repeat(deep));
    for text in [dotted, header, inline, array] {
        assert!(QuantConfig::from_toml(&text).is_err());
    }
    let json = "{\"step\":{\"1\":".repeat(deep);
    assert!(QuantConfig::from_json(&json).is_err());
}
