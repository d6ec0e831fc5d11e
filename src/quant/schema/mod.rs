//! Configuration files: TOML or JSON, one schema, version 1.
//!
//! In comes text, out goes a [`QuantConfig`], or an error that names the field and, in TOML, the line; and back: every
//! configuration can be written, and read again equal.
//!
//! # The schema
//!
//! A file starts with `version = 1`. The other settings apply in the order of this table, and each is optional:
//!
//! | setting | values | what it does |
//! |---|---|---|
//! | `preset` | `v4`, `v3`, `fully-quantized`, `from-sides`, `unquantized` (default) | the configuration to start from |
//! | `fwd_bits`, `dlhs_bits`, `drhs_bits` | bits | with `v4` (8, 8, none) and `v3` |
//! | `fwd_bits`, `bwd_bits`, `residual` | bits, residual | with `fully-quantized` (8, 8, `quantized`) |
//! | `lhs_bits`, `rhs_bits`, `bwd_bits`, `residual` | bits, residual | with `from-sides` (none, none, none, `quantized`) |
//! | `stochastic_rounding` | `off`, `gradient`, `other`, `both` | which sides of the gradient calls have noise |
//! | `noise` | `jax.uniform` (default), `custom-1` | which noise those have |
//! | `static_bound` | a positive number | calibrates all six sides by this bound |
//! | `[fwd]`, `[dlhs]`, `[drhs]` | a call | changes single fields of the three calls |
//! | `[intermediates]` | a side with `bits` | results of earlier steps, where the step has no table of its own |
//! | `[step.N]` | all settings above but `[intermediates]` | step N of the path, from 0, starting from the settings above |
//! | `[operand.N]` | a side with `bits` | operand N of the equation, from 0, in the forward call that it enters |
//!
//! A call has `accumulator` (`auto`, `i32`, `f32`, `bf16`, `f16`), `dequantize` (`output`, `inputs`) and the sides
//! `[fwd.lhs]` and `[fwd.rhs]`; the two gradient calls, whose lhs is the incoming gradient, have beside these `residual`
//! (`unspecified`, `original`, `quantized`) and `shards` (a positive number or `"none"`).
//!
//! A side has:
//!
//! | setting | values | default |
//! |---|---|---|
//! | `bits` | 1 to 22, or `"none"`: values pass through | |
//! | `zero` | `preserved`, `halfway` | `preserved`; `halfway` for 1 bit |
//! | `max` | `edge`, `preserved` | `edge` |
//! | `clip` | `to-range`, `unclipped` | `to-range` |
//! | `rounding` | `nearest`, `unrounded` | `nearest` |
//! | `noise` | `none`, `jax.uniform`, `custom-1` | `none` |
//! | `storage` | `int8`, `float` | `int8` for 2 to 8 bits, else `float` |
//! | `gradient` | `pass-through`, `masked` | `pass-through` |
//! | `calibration` | `absmax`, `{ constant = 1.5 }` | `absmax` |
//! | `scale_rounding` | `exact`, `power-of-two` | `exact` |
//!
//! A side that names `bits` starts from the defaults of so many bits; one that does not changes what is there. The
//! last two settings stay as they are in both cases. In JSON `null` stands for `"none"`.
//!
//! ```
//! use qeinsum::quant::{QuantConfig, Source};
//! let config = QuantConfig::from_toml(r#"
//!     version = 1
//!     preset = "v4"
//!     drhs_bits = 8
//!
//!     [operand.1]
//!     bits = 4
//!     calibration = { constant = 1.0 }
//! "#)?;
//! let step = config.for_step(0, Source::Operand(0), Source::Operand(1));
//! assert_eq!(step.forward.rhs.int().map(|int| int.bits.get()), Some(4));
//!
//! let error = QuantConfig::from_toml("version = 1\npreset = 'v4'\nfwd_bits = 30").unwrap_err();
//! assert_eq!(error.message(), "line 3: `fwd_bits` is 30, which is not in 2 to 22");
//! # Ok::<(), qeinsum::Error>(())
//! ```

mod depth;
mod read;
mod table;
#[cfg(test)]
mod tests;
mod write;

use toml::de::{DeTable, DeValue};

use self::table::DotTable;
use super::overrides::QuantConfig;
use crate::error::{Error, ErrorKind, Result};
use crate::span::printable_text;

/// The version of the schema that is read and written.
const VERSION: u64 = 1;

/// Columns of a parser's message that are shown; it can quote the file.
const MESSAGE_WIDTH: usize = 400;

impl QuantConfig {
    /// Reads a TOML file's content ([the schema](crate::quant::schema)).
    ///
    /// ```
    /// use qeinsum::{DotGeneralConfig, QuantConfig};
    /// let config = QuantConfig::from_toml("version = 1\npreset = 'v4'\nfwd_bits = 4")?;
    /// assert_eq!(config, DotGeneralConfig::v4().fwd_bits(Some(4)).build()?.into());
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn from_toml(text: &str) -> Result<Self> {
        if let Some(byte) = depth::too_deep(text) {
            return Err(config_error(&format!("line {}: no setting lies in so many tables", line_of(text, byte))));
        }
        let table: DotTable = toml::from_str(text).map_err(|error| {
            let message = printable_text(error.message(), MESSAGE_WIDTH);
            config_error(&match error.span() {
                Some(span) => format!("line {}: {message}", line_of(text, span.start)),
                None => message,
            })
        })?;
        read::config(&table).map_err(|fault| {
            let line = line_of_field(text, fault.field());
            let error = Error::from(fault);
            match line {
                Some(line) => error.within(&format!("line {line}")),
                None => error,
            }
        })
    }

    /// Reads a JSON file's content ([the schema](crate::quant::schema)).
    ///
    /// ```
    /// use qeinsum::QuantConfig;
    /// let config = QuantConfig::from_json(r#"{"version": 1, "preset": "v4"}"#)?;
    /// assert_eq!(config, QuantConfig::from_bits(8)?);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn from_json(text: &str) -> Result<Self> {
        let table: DotTable = serde_json::from_str(text)
            .map_err(|error| config_error(&printable_text(&error.to_string(), MESSAGE_WIDTH)))?;
        Ok(read::config(&table)?)
    }

    /// The TOML that [`from_toml`](Self::from_toml) reads this configuration from; an error where it fails its check.
    ///
    /// ```
    /// use qeinsum::QuantConfig;
    /// let config = QuantConfig::from_bits(4)?;
    /// assert_eq!(QuantConfig::from_toml(&config.to_toml()?)?, config);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn to_toml(&self) -> Result<String> {
        self.check()?;
        toml::to_string(&write::table(self)).map_err(|error| config_error(&error.to_string()))
    }

    /// The JSON that [`from_json`](Self::from_json) reads this configuration from; an error where it fails its check.
    ///
    /// ```
    /// use qeinsum::QuantConfig;
    /// let config = QuantConfig::from_bits(4)?;
    /// assert_eq!(QuantConfig::from_json(&config.to_json()?)?, config);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn to_json(&self) -> Result<String> {
        self.check()?;
        // By way of TOML's values, which leave out settings that are not given.
        let value = toml::Value::try_from(write::table(self)).map_err(|error| config_error(&error.to_string()))?;
        serde_json::to_string_pretty(&value).map_err(|error| config_error(&error.to_string()))
    }
}

fn config_error(message: &str) -> Error {
    Error::new(ErrorKind::Config, message.lines().collect::<Vec<_>>().join(" "))
}

/// The line, from 1, of a byte of `text`.
fn line_of(text: &str, byte: usize) -> usize {
    1 + text.bytes().take(byte).filter(|&byte| byte == b'\n').count()
}

/// The line of the field at a dotted path, or of the innermost table around it that is written out.
fn line_of_field(text: &str, field: &str) -> Option<usize> {
    let root = DeTable::parse(text).ok()?;
    let mut table = root.get_ref();
    let mut line = None;
    for name in field.split('.') {
        let Some((key, value)) = table.iter().find(|(key, _)| key.get_ref() == name) else {
            break;
        };
        line = Some(line_of(text, key.span().start));
        let DeValue::Table(inner) = value.get_ref() else {
            break;
        };
        table = inner;
    }
    line
}
