//! The shape of a configuration file, as serde sees it: every setting, given or not.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use crate::quant::config::{
    Accumulator, Clip, ClipGradient, Dequantize, MaxValue, Residual, Rounding, ScaleRounding, Storage, Zero,
};
use crate::quant::settings::StochasticRounding;
use crate::rng::Noise;
use crate::unique;

/// A setting that may be left out. Unlike an `Option`, it does not take JSON's `null` for that.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub(super) struct Setting<T>(pub(super) Option<T>);

impl<T> Default for Setting<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Setting<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(|value| Self(Some(value)))
    }
}

/// A whole number, or `"none"`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct NumberOrNone(pub(super) Option<u64>);

/// A noise, or `"none"`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct NoiseOrNone(pub(super) Option<Noise>);

/// `config_v4` and its kin.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Preset {
    V4,
    V3,
    FullyQuantized,
    FromSides,
    Unquantized,
}

/// A file, or the part of it that configures one step.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DotTable {
    pub(super) version: Setting<u64>,
    pub(super) preset: Setting<Preset>,
    pub(super) fwd_bits: Setting<NumberOrNone>,
    pub(super) dlhs_bits: Setting<NumberOrNone>,
    pub(super) drhs_bits: Setting<NumberOrNone>,
    pub(super) lhs_bits: Setting<NumberOrNone>,
    pub(super) rhs_bits: Setting<NumberOrNone>,
    pub(super) bwd_bits: Setting<NumberOrNone>,
    pub(super) residual: Setting<Residual>,
    pub(super) stochastic_rounding: Setting<StochasticRounding>,
    pub(super) noise: Setting<Noise>,
    pub(super) static_bound: Setting<f32>,
    pub(super) fwd: Setting<CallTable>,
    pub(super) dlhs: Setting<GradientTable>,
    pub(super) drhs: Setting<GradientTable>,
    pub(super) intermediates: Setting<SideTable>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "unique::entries")]
    pub(super) operand: BTreeMap<String, SideTable>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "unique::entries")]
    pub(super) step: BTreeMap<String, Self>,
}

/// The forward call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CallTable {
    pub(super) accumulator: Setting<Accumulator>,
    pub(super) dequantize: Setting<Dequantize>,
    pub(super) lhs: Setting<SideTable>,
    pub(super) rhs: Setting<SideTable>,
}

/// A gradient's call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct GradientTable {
    pub(super) accumulator: Setting<Accumulator>,
    pub(super) dequantize: Setting<Dequantize>,
    pub(super) residual: Setting<Residual>,
    pub(super) shards: Setting<NumberOrNone>,
    pub(super) lhs: Setting<SideTable>,
    pub(super) rhs: Setting<SideTable>,
}

/// One side of a call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SideTable {
    pub(super) bits: Setting<NumberOrNone>,
    pub(super) zero: Setting<Zero>,
    pub(super) max: Setting<MaxValue>,
    pub(super) clip: Setting<Clip>,
    pub(super) rounding: Setting<Rounding>,
    pub(super) noise: Setting<NoiseOrNone>,
    pub(super) storage: Setting<Storage>,
    pub(super) gradient: Setting<ClipGradient>,
    pub(super) scale_rounding: Setting<ScaleRounding>,
    pub(super) calibration: Setting<CalibrationTable>,
}

/// `"absmax"`, or `{ constant = 1.5 }`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum CalibrationTable {
    #[serde(rename = "absmax")]
    AbsMax,
    /// A binary64, so that every bound can be written with the digits that a person would write.
    Constant(f64),
}

const NONE: &str = "none";

impl Serialize for NumberOrNone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(number) => serializer.serialize_u64(number),
            None => serializer.serialize_str(NONE),
        }
    }
}

impl<'de> Deserialize<'de> for NumberOrNone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberVisitor;
        impl Visitor<'_> for NumberVisitor {
            type Value = NumberOrNone;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number or \"none\"")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<NumberOrNone, E> {
                Ok(NumberOrNone(Some(number)))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<NumberOrNone, E> {
                u64::try_from(number)
                    .map(|number| NumberOrNone(Some(number)))
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(number), &self))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<NumberOrNone, E> {
                if text == NONE {
                    Ok(NumberOrNone(None))
                } else {
                    Err(E::invalid_value(de::Unexpected::Str(text), &self))
                }
            }

            fn visit_unit<E: de::Error>(self) -> Result<NumberOrNone, E> {
                Ok(NumberOrNone(None))
            }
        }
        deserializer.deserialize_any(NumberVisitor)
    }
}

impl Serialize for NoiseOrNone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(noise) => noise.serialize(serializer),
            None => serializer.serialize_str(NONE),
        }
    }
}

impl<'de> Deserialize<'de> for NoiseOrNone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NoiseVisitor;
        impl Visitor<'_> for NoiseVisitor {
            type Value = NoiseOrNone;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`jax.uniform`, `custom-1` or `none`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<NoiseOrNone, E> {
                if text == NONE {
                    return Ok(NoiseOrNone(None));
                }
                let noise = text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))?;
                Ok(NoiseOrNone(Some(noise)))
            }

            fn visit_unit<E: de::Error>(self) -> Result<NoiseOrNone, E> {
                Ok(NoiseOrNone(None))
            }
        }
        deserializer.deserialize_any(NoiseVisitor)
    }
}
