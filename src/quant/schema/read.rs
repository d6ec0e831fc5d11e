//! From the tables of a file to a configuration.

use std::num::NonZeroUsize;

use super::VERSION;
use super::table::{CalibrationTable, CallTable, DotTable, GradientTable, NumberOrNone, Preset, Setting, SideTable};
use crate::quant::config::{
    Bits, Calibration, CallConfig, DotGeneralConfig, GradientConfig, IntNumerics, Numerics, TensorConfig,
};
use crate::quant::fault::{Fault, Problem};
use crate::quant::overrides::QuantConfig;
use crate::quant::settings::StochasticRounding;
use crate::rng::Noise;

/// The configuration of a whole file, checked.
pub(super) fn config(table: &DotTable) -> Result<QuantConfig, Fault> {
    if table.version.0 != Some(VERSION) {
        return Err(Problem::Version { found: table.version.0 }.in_field("version"));
    }
    let mut config = QuantConfig::from(dot_general(table, &DotGeneralConfig::unquantized())?);
    if let Some(side) = &table.intermediates.0 {
        config = config.with_intermediates(override_of(side, "intermediates")?);
    }
    for (key, step) in &table.step {
        let prefix = format!("step.{key}.");
        let number = number(key, "step")?;
        let own = own_step(step, config.default_step()).map_err(|fault| fault.under(&prefix))?;
        config = config.with_step(number, own);
    }
    for (key, side) in &table.operand {
        let number = number(key, "operand")?;
        config = config.with_operand(number, override_of(side, &format!("operand.{key}"))?);
    }
    config.fault()?;
    Ok(config)
}

fn number(key: &str, list: &str) -> Result<usize, Fault> {
    // Only one way to write each number, so that no two keys mean the same.
    let number = key.parse().ok().filter(|number: &usize| number.to_string() == key);
    number.ok_or_else(|| {
        let key = crate::span::printable_text(key, 40);
        Problem::NotANumber.in_field(format!("{list}.{key}"))
    })
}

fn own_step(table: &DotTable, default: &DotGeneralConfig) -> Result<DotGeneralConfig, Fault> {
    let nested = [
        ("version", table.version.0.is_some()),
        ("intermediates", table.intermediates.0.is_some()),
        ("operand", !table.operand.is_empty()),
        ("step", !table.step.is_empty()),
    ];
    if let Some((field, _)) = nested.iter().find(|(_, given)| *given) {
        return Err(Problem::Nested.in_field(*field));
    }
    dot_general(table, default)
}

/// The configuration that a table makes of `base`, or of its preset.
fn dot_general(table: &DotTable, base: &DotGeneralConfig) -> Result<DotGeneralConfig, Fault> {
    let (mut config, preset_rounding) = preset(table, base)?;
    let rounding = table.stochastic_rounding.0.or(preset_rounding);
    if table.noise.0.is_some() && rounding.is_none_or(|rounding| rounding == StochasticRounding::Off) {
        return Err(Problem::NoiseUnused.in_field("noise"));
    }
    if let Some(rounding) = rounding {
        config = config.with_stochastic_rounding(rounding, table.noise.0.unwrap_or(Noise::JaxUniform));
    }
    if let Some(bound) = table.static_bound.0 {
        if !(bound > 0.0 && bound.is_finite()) {
            return Err(Problem::Bound { bound }.in_field("static_bound"));
        }
        config = config.with_static_bound(bound);
    }
    if let Some(fwd) = &table.fwd.0 {
        change_call(&mut config.forward, fwd, "fwd")?;
    }
    for (gradient, table, field) in [(&mut config.dlhs, &table.dlhs, "dlhs"), (&mut config.drhs, &table.drhs, "drhs")] {
        if let Some(table) = &table.0 {
            change_gradient(gradient, table, field)?;
        }
    }
    Ok(config)
}

/// What the preset gives, and which sides it rounds stochastically; settings that it does not have are refused.
fn preset(table: &DotTable, base: &DotGeneralConfig) -> Result<(DotGeneralConfig, Option<StochasticRounding>), Fault> {
    let (name, has): (_, &[&str]) = match table.preset.0 {
        Some(Preset::V4) => ("v4", &["fwd_bits", "dlhs_bits", "drhs_bits"]),
        Some(Preset::V3) => ("v3", &["fwd_bits", "dlhs_bits", "drhs_bits"]),
        Some(Preset::FullyQuantized) => ("fully-quantized", &["fwd_bits", "bwd_bits", "residual"]),
        Some(Preset::FromSides) => ("from-sides", &["lhs_bits", "rhs_bits", "bwd_bits", "residual"]),
        Some(Preset::Unquantized) | None => ("unquantized", &[]),
    };
    let given = [
        ("fwd_bits", table.fwd_bits.0.is_some()),
        ("dlhs_bits", table.dlhs_bits.0.is_some()),
        ("drhs_bits", table.drhs_bits.0.is_some()),
        ("lhs_bits", table.lhs_bits.0.is_some()),
        ("rhs_bits", table.rhs_bits.0.is_some()),
        ("bwd_bits", table.bwd_bits.0.is_some()),
        ("residual", table.residual.0.is_some()),
    ];
    if let Some((field, _)) = given.iter().find(|(field, given)| *given && !has.contains(field)) {
        return Err(Problem::NotOfPreset { preset: name }.in_field(*field));
    }
    Ok(match table.preset.0 {
        Some(version @ (Preset::V4 | Preset::V3)) => {
            let mut builder = match version {
                Preset::V3 => DotGeneralConfig::v3(),
                _ => DotGeneralConfig::v4(),
            };
            if let Setting(Some(bits)) = bits(table.fwd_bits, "fwd_bits")? {
                builder = builder.fwd_bits(bits);
            }
            if let Setting(Some(bits)) = bits(table.dlhs_bits, "dlhs_bits")? {
                builder = builder.dlhs_bits(bits);
            }
            if let Setting(Some(bits)) = bits(table.drhs_bits, "drhs_bits")? {
                builder = builder.drhs_bits(bits);
            }
            (builder.assemble()?, Some(StochasticRounding::Gradient))
        }
        Some(Preset::FullyQuantized) => {
            let mut builder = DotGeneralConfig::fully_quantized();
            if let Setting(Some(bits)) = bits(table.fwd_bits, "fwd_bits")? {
                builder = builder.fwd_bits(bits);
            }
            if let Setting(Some(bits)) = bits(table.bwd_bits, "bwd_bits")? {
                builder = builder.bwd_bits(bits);
            }
            if let Some(residual) = table.residual.0 {
                builder = builder.residual(residual);
            }
            (builder.assemble()?, Some(StochasticRounding::Both))
        }
        Some(Preset::FromSides) => {
            let mut builder = DotGeneralConfig::from_sides();
            if let Setting(Some(bits)) = bits(table.lhs_bits, "lhs_bits")? {
                builder = builder.lhs_bits(bits);
            }
            if let Setting(Some(bits)) = bits(table.rhs_bits, "rhs_bits")? {
                builder = builder.rhs_bits(bits);
            }
            if let Setting(Some(bits)) = bits(table.bwd_bits, "bwd_bits")? {
                builder = builder.bwd_bits(bits);
            }
            if let Some(residual) = table.residual.0 {
                builder = builder.residual(residual);
            }
            (builder.assemble()?, None)
        }
        Some(Preset::Unquantized) => (DotGeneralConfig::unquantized(), None),
        None => (base.clone(), None),
    })
}

/// Bits that were given, as a builder takes them; those that no `u8` holds are out of every range.
fn bits(setting: Setting<NumberOrNone>, field: &str) -> Result<Setting<Option<u8>>, Fault> {
    let Some(NumberOrNone(given)) = setting.0 else {
        return Ok(Setting(None));
    };
    let narrow = given.map(|bits| u8::try_from(bits).map_err(|_| Problem::Bits { bits, least: 1 }.in_field(field)));
    Ok(Setting(Some(narrow.transpose()?)))
}

fn change_call(call: &mut CallConfig, table: &CallTable, field: &str) -> Result<(), Fault> {
    set(&mut call.accumulator, table.accumulator);
    set(&mut call.dequantize, table.dequantize);
    change_sides(call, &table.lhs, &table.rhs, field)
}

fn change_gradient(gradient: &mut GradientConfig, table: &GradientTable, field: &str) -> Result<(), Fault> {
    set(&mut gradient.call.accumulator, table.accumulator);
    set(&mut gradient.call.dequantize, table.dequantize);
    set(&mut gradient.residual, table.residual);
    if let Some(NumberOrNone(shards)) = table.shards.0 {
        gradient.shards = match shards {
            None => None,
            Some(count) => {
                let count = usize::try_from(count).ok().and_then(NonZeroUsize::new);
                Some(count.ok_or_else(|| Problem::Shards.in_field(format!("{field}.shards")))?)
            }
        };
    }
    change_sides(&mut gradient.call, &table.lhs, &table.rhs, field)
}

fn change_sides(
    call: &mut CallConfig,
    lhs: &Setting<SideTable>,
    rhs: &Setting<SideTable>,
    field: &str,
) -> Result<(), Fault> {
    for (side, table, name) in [(&mut call.lhs, lhs, "lhs"), (&mut call.rhs, rhs, "rhs")] {
        if let Some(table) = &table.0 {
            change_side(side, table, &format!("{field}.{name}"))?;
        }
    }
    Ok(())
}

/// A side on its own, which has to say its bits.
fn override_of(table: &SideTable, field: &str) -> Result<TensorConfig, Fault> {
    let mut side = TensorConfig::UNQUANTIZED;
    if table.bits.0.is_none() {
        return Err(Problem::BitsMissing.in_field(field));
    }
    change_side(&mut side, table, field)?;
    Ok(side)
}

fn change_side(side: &mut TensorConfig, table: &SideTable, field: &str) -> Result<(), Fault> {
    set(&mut side.scale_rounding, table.scale_rounding);
    match table.calibration.0 {
        Some(CalibrationTable::AbsMax) => side.calibration = Calibration::AbsMax,
        Some(CalibrationTable::Constant(bound)) => side.calibration = Calibration::Constant(bound as f32),
        None => {}
    }
    let bits_field = format!("{field}.bits");
    match bits(table.bits, &bits_field)?.0 {
        Some(Some(bits)) => side.numerics = Numerics::Int(IntNumerics::with_bits(Bits::checked(bits, 1, &bits_field)?)),
        Some(None) => side.numerics = Numerics::None,
        None => {}
    }
    if let Numerics::Int(int) = &mut side.numerics {
        set(&mut int.zero, table.zero);
        set(&mut int.max, table.max);
        set(&mut int.clip, table.clip);
        set(&mut int.rounding, table.rounding);
        set(&mut int.storage, table.storage);
        set(&mut int.gradient, table.gradient);
        if let Some(noise) = table.noise.0 {
            int.noise = noise.0;
        }
        return Ok(());
    }
    let of_integers = [
        ("zero", table.zero.0.is_some()),
        ("max", table.max.0.is_some()),
        ("clip", table.clip.0.is_some()),
        ("rounding", table.rounding.0.is_some()),
        ("noise", table.noise.0.is_some()),
        ("storage", table.storage.0.is_some()),
        ("gradient", table.gradient.0.is_some()),
    ];
    match of_integers.iter().find(|(_, given)| *given) {
        Some((name, _)) => Err(Problem::NeedsBits.in_field(format!("{field}.{name}"))),
        None => Ok(()),
    }
}

fn set<T: Copy>(field: &mut T, setting: Setting<T>) {
    if let Some(value) = setting.0 {
        *field = value;
    }
}
