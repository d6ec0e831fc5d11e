//! From a configuration to the tables of a file: explicit, without presets, defaults left out.

use std::num::NonZeroUsize;

use super::VERSION;
use super::table::{
    CalibrationTable, CallTable, DotTable, GradientTable, NoiseOrNone, NumberOrNone, Preset, Setting, SideTable,
};
use crate::quant::config::{
    Calibration, CallConfig, DotGeneralConfig, GradientConfig, IntNumerics, Numerics, TensorConfig,
};
use crate::quant::overrides::QuantConfig;

/// The tables of a file that reads back as `config`.
pub(super) fn table(config: &QuantConfig) -> DotTable {
    let steps = config.steps().map(|(step, own)| {
        // Else a step would start from the default.
        let table = DotTable { preset: Setting(Some(Preset::Unquantized)), ..dot_general(own) };
        (step.to_string(), table)
    });
    DotTable {
        version: Setting(Some(VERSION)),
        intermediates: Setting(config.intermediates().map(override_of)),
        operand: config.operands().map(|(operand, side)| (operand.to_string(), override_of(side))).collect(),
        step: steps.collect(),
        ..dot_general(config.default_step())
    }
}

fn dot_general(config: &DotGeneralConfig) -> DotTable {
    DotTable {
        fwd: unless_default(call(&config.forward)),
        dlhs: unless_default(gradient(&config.dlhs)),
        drhs: unless_default(gradient(&config.drhs)),
        ..DotTable::default()
    }
}

fn call(call: &CallConfig) -> CallTable {
    CallTable {
        accumulator: unless_default(call.accumulator),
        dequantize: unless_default(call.dequantize),
        lhs: unless_default(side(&call.lhs)),
        rhs: unless_default(side(&call.rhs)),
    }
}

fn gradient(gradient: &GradientConfig) -> GradientTable {
    let CallTable { accumulator, dequantize, lhs, rhs } = call(&gradient.call);
    let shards = gradient.shards.map(|count| NumberOrNone(Some(NonZeroUsize::get(count) as u64)));
    GradientTable {
        accumulator,
        dequantize,
        residual: unless_default(gradient.residual),
        shards: Setting(shards),
        lhs,
        rhs,
    }
}

/// A side that stands alone, and so says its bits even where it has none.
fn override_of(tensor: &TensorConfig) -> SideTable {
    let table = side(tensor);
    SideTable { bits: Setting(Some(table.bits.0.unwrap_or(NumberOrNone(None)))), ..table }
}

fn side(tensor: &TensorConfig) -> SideTable {
    let integers = match &tensor.numerics {
        Numerics::None => SideTable::default(),
        Numerics::Int(int) => {
            let usual = IntNumerics::with_bits(int.bits);
            SideTable {
                bits: Setting(Some(NumberOrNone(Some(u64::from(int.bits.get()))))),
                zero: unless(int.zero, &usual.zero),
                max: unless(int.max, &usual.max),
                clip: unless(int.clip, &usual.clip),
                rounding: unless(int.rounding, &usual.rounding),
                noise: unless(NoiseOrNone(int.noise), &NoiseOrNone(usual.noise)),
                storage: unless(int.storage, &usual.storage),
                gradient: unless(int.gradient, &usual.gradient),
                ..SideTable::default()
            }
        }
    };
    let calibration = match tensor.calibration {
        Calibration::AbsMax => None,
        Calibration::Constant(bound) => Some(CalibrationTable::Constant(shortest(bound))),
    };
    SideTable { scale_rounding: unless_default(tensor.scale_rounding), calibration: Setting(calibration), ..integers }
}

/// A binary64 that rounds to `bound` and has the fewest digits that allow it.
fn shortest(bound: f32) -> f64 {
    let short = bound.to_string().parse().unwrap_or(f64::NAN);
    // Twice rounded, the short digits could miss by one bit; the value itself cannot.
    if short as f32 == bound { short } else { f64::from(bound) }
}

fn unless<T: PartialEq>(value: T, usual: &T) -> Setting<T> {
    Setting((value != *usual).then_some(value))
}

fn unless_default<T: PartialEq + Default>(value: T) -> Setting<T> {
    unless(value, &T::default())
}
