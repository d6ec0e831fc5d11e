//! Golden configurations: the reference's fields as ours, and its builders against ours.

use std::num::NonZeroUsize;

use qeinsum::Error;
use qeinsum::quant::{
    Accumulator, Calibration, CallConfig, Clip, ClipGradient, Dequantize, DotGeneralConfig, GradientConfig,
    IntNumerics, MaxValue, Noise, Numerics, Residual, Rounding, ScaleRounding, StochasticRounding, Storage,
    TensorConfig, Zero,
};
use serde_json::Value;

/// The configuration that a golden's `config` describes.
///
/// Sides without bits keep what has an effect without them: calibration, and whether the scale is rounded.
///
/// Of the two sides' flags for fake quantization the reference looks at that of the *executed* lhs: of the user's rhs in a
/// call that is `swapped`.
pub(crate) fn config_from_golden(config: &Value, swapped: bool) -> DotGeneralConfig {
    let mut read = read(config);
    let decides = if swapped { "rhs" } else { "lhs" };
    read.forward.dequantize = dequantize(&config["fwd"][decides]);
    read
}

fn read(config: &Value) -> DotGeneralConfig {
    DotGeneralConfig { forward: call(&config["fwd"]), dlhs: gradient(&config["dlhs"]), drhs: gradient(&config["drhs"]) }
}

fn gradient(raw: &Value) -> GradientConfig {
    let residual = match raw["rhs"]["use_fwd_quant"].as_bool() {
        None => Residual::Unspecified,
        Some(false) => Residual::Original,
        Some(true) => Residual::Quantized,
    };
    let shards = raw["local_shards"].as_u64().and_then(|count| NonZeroUsize::new(count as usize));
    GradientConfig { call: call(raw), residual, shards }
}

fn call(raw: &Value) -> CallConfig {
    let accumulator = accumulator(&raw["acc_dtype"]);
    CallConfig { lhs: tensor(&raw["lhs"]), rhs: tensor(&raw["rhs"]), accumulator, dequantize: dequantize(&raw["lhs"]) }
}

fn dequantize(side: &Value) -> Dequantize {
    if is(side, "use_fake_quant") { Dequantize::Inputs } else { Dequantize::Output }
}

fn accumulator(name: &Value) -> Accumulator {
    match name.as_str() {
        None => Accumulator::Auto,
        Some("int32") => Accumulator::I32,
        Some("float32") => Accumulator::F32,
        Some("bfloat16") => Accumulator::Bf16,
        Some("float16") => Accumulator::F16,
        Some(other) => panic!("unknown accumulator {other}"),
    }
}

fn tensor(side: &Value) -> TensorConfig {
    let calibration = match side["calibration"]["type"].as_str() {
        Some("absmax") => Calibration::AbsMax,
        Some("constant") => Calibration::Constant(number(&side["calibration"]["bound"])),
        other => panic!("unknown calibration {other:?}"),
    };
    let scale_rounding = if is(side, "po2_scale") { ScaleRounding::PowerOfTwo } else { ScaleRounding::Exact };
    TensorConfig { numerics: numerics(side).expect("a golden has bits in range"), calibration, scale_rounding }
}

fn numerics(side: &Value) -> Result<Numerics, Error> {
    let Some(bits) = bits(&side["bits"]) else {
        return Ok(Numerics::None);
    };
    Ok(Numerics::Int(IntNumerics {
        zero: if is(side, "preserve_zero") { Zero::Preserved } else { Zero::Halfway },
        max: if is(side, "preserve_max_val") { MaxValue::Preserved } else { MaxValue::Edge },
        clip: if is(side, "clip") { Clip::ToRange } else { Clip::Unclipped },
        rounding: if is(side, "round") { Rounding::Nearest } else { Rounding::Unrounded },
        noise: side["noise"].as_str().map(str::parse).transpose()?,
        storage: if side["int_dtype"].is_null() { Storage::Float } else { Storage::Int8 },
        gradient: if is(side, "clip_gradient") { ClipGradient::Masked } else { ClipGradient::PassThrough },
        ..IntNumerics::new(bits)?
    }))
}

fn is(side: &Value, flag: &str) -> bool {
    side[flag].as_bool().unwrap_or_else(|| panic!("{flag} is not given"))
}

fn bits(value: &Value) -> Option<u8> {
    value.as_u64().map(|bits| u8::try_from(bits).unwrap_or(u8::MAX))
}

/// A number; infinities and NaN, which are no JSON, were read as null.
fn number(value: &Value) -> f32 {
    value.as_f64().unwrap_or(f64::INFINITY) as f32
}

/// What comparing the entries of `config_equivalence` found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Entries that were compared.
    pub(crate) compared: usize,
    /// Entries of kinds that have no counterpart here: convolutions.
    pub(crate) left_alone: usize,
    /// Each entry that differs: its name and how.
    pub(crate) differences: Vec<String>,
}

/// Makes each entry's builder call and settings through our builders and compares the result.
///
/// Accumulators are compared as they are used: an unset one for int8 means i32 here, and the int32 that the
/// reference's builders write although a side is not int8 (its dots then refuse to run) is unset here.
pub(crate) fn check(entries: &Value) -> Report {
    let mut report = Report::default();
    for entry in entries.as_array().expect("a list of entries") {
        let calls = entry["calls"].as_array().expect("a list of calls");
        let builder = calls[0]["call"].as_str().expect("the name of a builder");
        if builder.starts_with("conv_") {
            report.left_alone += 1;
            continue;
        }
        report.compared += 1;
        if let Some(difference) = difference(entry, calls) {
            report.differences.push(format!("{}: {difference}", entry["name"]));
        }
    }
    report
}

fn difference(entry: &Value, calls: &[Value]) -> Option<String> {
    let expected = &entry["config"];
    match (entry["kind"].as_str(), build(calls)) {
        (None, Ok(built)) => {
            let refused = matches!(&built, Built::Dot(config) if config.check().is_err());
            (!refused).then(|| format!("the reference fails with {}, ours gives {built:?}", entry["error"]))
        }
        (None, Err(_)) => None,
        // The reference builds these, and refuses every dot with them; ours refuses at once.
        (Some(_), Err(_)) if cannot_run(expected) => None,
        (Some(_), Err(Refusal(reason))) => Some(format!("refused: {reason}")),
        (Some("dot_general"), Ok(Built::Dot(config))) => {
            unequal(&as_used(&config), &as_used(&config_from_golden(expected, false)))
        }
        (Some("raw"), Ok(Built::Raw(raw))) => {
            let golden = gradient(expected);
            unequal(
                &GradientConfig { call: call_as_used(raw.call), ..raw },
                &GradientConfig { call: call_as_used(golden.call), ..golden },
            )
        }
        (Some("tensor"), Ok(Built::Tensor(side))) => unequal(&side, &tensor(expected)),
        (Some(kind), Ok(built)) => Some(format!("{built:?} is no {kind}")),
    }
}

fn unequal<T: PartialEq + std::fmt::Debug>(ours: &T, golden: &T) -> Option<String> {
    (ours != golden).then(|| format!("ours {ours:?}, golden {golden:?}"))
}

fn as_used(config: &DotGeneralConfig) -> DotGeneralConfig {
    let gradient = |gradient: GradientConfig| GradientConfig { call: call_as_used(gradient.call), ..gradient };
    DotGeneralConfig { forward: call_as_used(config.forward), dlhs: gradient(config.dlhs), drhs: gradient(config.drhs) }
}

fn call_as_used(call: CallConfig) -> CallConfig {
    let refused = call.accumulator == Accumulator::I32 && !call.is_int8();
    let call = if refused { CallConfig { accumulator: Accumulator::Auto, ..call } } else { call };
    CallConfig { accumulator: call.resolved_accumulator(), ..call }
}

/// Why a call of the reference has no result here.
#[derive(Debug)]
struct Refusal(String);

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

/// What a builder gives.
#[derive(Debug)]
enum Built {
    Dot(Box<DotGeneralConfig>),
    Raw(GradientConfig),
    Tensor(TensorConfig),
}

fn build(calls: &[Value]) -> Result<Built, Refusal> {
    let (builder, setters) = calls.split_first().expect("a builder");
    let args = &builder["args"];
    let config = match builder["call"].as_str().expect("a name") {
        "tensor_make" => return Ok(Built::Tensor(TensorConfig::from_bits(bits(&args["bits"]))?)),
        "dot_general_raw_make" => {
            let call = CallConfig::from_bits(bits(&args["lhs_bits"]), bits(&args["rhs_bits"]))?;
            let shards = shards(&args["local_aqt"]);
            return Ok(Built::Raw(GradientConfig { call, shards, ..GradientConfig::default() }));
        }
        "config_v4" => version(DotGeneralConfig::v4(), args)?,
        "config_v3" => version(DotGeneralConfig::v3(), args)?,
        "dot_general_make" => sides(args)?,
        "fully_quantized" => fully_quantized(args)?,
        other => panic!("unknown builder {other}"),
    };
    let config = setters.iter().try_fold(config, set)?;
    Ok(Built::Dot(Box::new(config)))
}

type VersionBuilder = qeinsum::quant::VersionBuilder;

fn version(mut builder: VersionBuilder, args: &Value) -> Result<DotGeneralConfig, Error> {
    for (name, value) in args.as_object().expect("arguments by name") {
        builder = match name.as_str() {
            "fwd_bits" => builder.fwd_bits(bits(value)),
            "dlhs_bits" => builder.dlhs_bits(bits(value)),
            "drhs_bits" => builder.drhs_bits(bits(value)),
            "use_dummy_static_bound" => builder.static_bound(static_bound(value)),
            "rng_type" => builder.noise(noise(value)?),
            "dlhs_local_aqt" => builder.dlhs_shards(shards(value)),
            "drhs_local_aqt" => builder.drhs_shards(shards(value)),
            "fwd_accumulator_dtype" => builder.fwd_accumulator(accumulator(value)),
            "dlhs_accumulator_dtype" => builder.dlhs_accumulator(accumulator(value)),
            "drhs_accumulator_dtype" => builder.drhs_accumulator(accumulator(value)),
            other => panic!("unknown argument {other}"),
        };
    }
    builder.build()
}

fn sides(args: &Value) -> Result<DotGeneralConfig, Error> {
    let mut builder = DotGeneralConfig::from_sides();
    for (name, value) in args.as_object().expect("arguments by name") {
        builder = match name.as_str() {
            "lhs_bits" => builder.lhs_bits(bits(value)),
            "rhs_bits" => builder.rhs_bits(bits(value)),
            "bwd_bits" => builder.bwd_bits(bits(value)),
            "use_fwd_quant" => builder.residual(residual(value)),
            "dlhs_local_aqt" => builder.dlhs_shards(shards(value)),
            "drhs_local_aqt" => builder.drhs_shards(shards(value)),
            other => panic!("unknown argument {other}"),
        };
    }
    builder.build()
}

fn fully_quantized(args: &Value) -> Result<DotGeneralConfig, Refusal> {
    let mut builder = DotGeneralConfig::fully_quantized();
    let mut both = Some(true);
    let (mut lhs, mut rhs) = (None, None);
    for (name, value) in args.as_object().expect("arguments by name") {
        builder = match name.as_str() {
            "fwd_bits" => builder.fwd_bits(bits(value)),
            "bwd_bits" => builder.bwd_bits(bits(value)),
            "use_fwd_quant" => builder.residual(residual(value)),
            "use_dummy_static_bound" => builder.static_bound(static_bound(value)),
            "dlhs_local_aqt" => builder.dlhs_shards(shards(value)),
            "drhs_local_aqt" => builder.drhs_shards(shards(value)),
            "use_stochastic_rounding" => {
                both = value.as_bool();
                builder
            }
            "vjp_lhs_stochastic_rounding" => {
                lhs = value.as_bool();
                builder
            }
            "vjp_rhs_stochastic_rounding" => {
                rhs = value.as_bool();
                builder
            }
            other => panic!("unknown argument {other}"),
        };
    }
    Ok(builder.stochastic_rounding(stochastic_flags(both, lhs, rhs)?).build()?)
}

/// The one setting that three flags of the reference stand for; where it refuses them there is none.
fn stochastic_flags(both: Option<bool>, lhs: Option<bool>, rhs: Option<bool>) -> Result<StochasticRounding, Refusal> {
    match (both, lhs, rhs) {
        (Some(true), None, None) => Ok(StochasticRounding::Both),
        (Some(false), None, None) | (None, Some(false), Some(false)) => Ok(StochasticRounding::Off),
        (None, Some(true), Some(false)) => Ok(StochasticRounding::Gradient),
        (None, Some(false), Some(true)) => Ok(StochasticRounding::Other),
        _ => Err(Refusal(format!("no setting stands for {both:?} {lhs:?} {rhs:?}"))),
    }
}

fn set(config: DotGeneralConfig, setter: &Value) -> Result<DotGeneralConfig, Error> {
    let args = &setter["args"];
    Ok(match setter["call"].as_str().expect("a name") {
        "set_stochastic_rounding" => {
            let sides = match (is(args, "vjp_lhs_stochastic_rounding"), is(args, "vjp_rhs_stochastic_rounding")) {
                (false, false) => StochasticRounding::Off,
                (true, false) => StochasticRounding::Gradient,
                (false, true) => StochasticRounding::Other,
                (true, true) => StochasticRounding::Both,
            };
            config.with_stochastic_rounding(sides, noise(&args["implementation"])?)
        }
        "set_static_bound" => config.with_static_bound(args.get("bound").map_or(1.0, number)),
        "set_accumulator_dtype" => {
            let [fwd, dlhs, drhs] = ["fwd_dtype", "dlhs_dtype", "drhs_dtype"].map(|name| accumulator(&args[name]));
            config.with_accumulators(fwd, dlhs, drhs)
        }
        "set_fwd_numerics" => config.with_forward_numerics(numerics(&args["fwd_numerics"])?),
        other => panic!("unknown setter {other}"),
    })
}

fn noise(name: &Value) -> Result<Noise, Error> {
    name.as_str().expect("a name").parse()
}

fn static_bound(flag: &Value) -> Option<f32> {
    flag.as_bool().expect("a flag").then_some(1.0)
}

fn shards(local: &Value) -> Option<NonZeroUsize> {
    local["contraction_axis_shard_count"].as_u64().and_then(|count| NonZeroUsize::new(count as usize))
}

fn residual(use_fwd_quant: &Value) -> Residual {
    match use_fwd_quant.as_bool() {
        None => Residual::Unspecified,
        Some(true) => Residual::Quantized,
        Some(false) => Residual::Original,
    }
}

/// Whether the reference builds this but refuses every dot with it.
fn cannot_run(config: &Value) -> bool {
    let odd = |side: &Value| side["bits"].as_u64().is_some_and(|bits| !(1..=22).contains(&bits));
    let not_int8 = |side: &Value| side["int_dtype"].is_null();
    let call = |raw: &Value| {
        let (lhs, rhs) = (&raw["lhs"], &raw["rhs"]);
        odd(lhs) || odd(rhs) || (raw["acc_dtype"] == "int32" && (not_int8(lhs) || not_int8(rhs)))
    };
    odd(config) || call(config) || ["fwd", "dlhs", "drhs"].iter().any(|name| call(&config[*name]))
}
