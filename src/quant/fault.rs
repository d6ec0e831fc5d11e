//! What can be wrong with a configuration, and in which field.

use std::fmt;

use super::config::Bits;
use crate::dtype::Dtype;
use crate::error::{Error, ErrorKind};

/// A problem and the dotted path of the field that has it, such as `fwd.lhs.bits`.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Fault {
    field: String,
    problem: Problem,
}

/// What is wrong with a field.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Problem {
    /// Bits outside `least` to 22.
    Bits { bits: u64, least: u8 },
    /// More than eight bits, stored as `i8`.
    StorageTooNarrow { bits: u8 },
    /// A constant bound that is not positive and finite.
    Bound { bound: f32 },
    /// An integer accumulator over something that is not stored as `i8`.
    IntegerAccumulator { side: &'static str },
    /// A float accumulator that the operands cannot have.
    FloatAccumulator { operands: &'static str },
    /// Fake quantization of a side stored as `i8`.
    FakeQuantOfInt8 { side: &'static str },
    /// Fake quantization with a scale that is not a power of two.
    FakeQuantScale { side: &'static str },
    /// A residual setting for an operand that was not quantized.
    ResidualOfUnquantized { operand: &'static str },
    /// No residual setting for an operand that was quantized.
    ResidualMissing { operand: &'static str },
    /// An element type that cannot be quantized.
    Dtype { dtype: Dtype },
    /// An override for something that an equation of so many operands does not have.
    MoreOperands { operands: usize },
    /// A setting that a side has only together with bits.
    NeedsBits,
    /// A side on its own that does not say its bits.
    BitsMissing,
    /// A setting that this preset does not have.
    NotOfPreset { preset: &'static str },
    /// Noise where stochastic rounding is off.
    NoiseUnused,
    /// A number of shards that is none.
    Shards,
    /// A key that is not the number of an operand or step.
    NotANumber,
    /// An override inside an override.
    Nested,
    /// No version, or one that is not known.
    Version { found: Option<u64> },
}

impl Fault {
    /// The same fault in a field of `prefix`, which is empty or ends in a dot.
    pub(super) fn under(self, prefix: &str) -> Self {
        Self { field: format!("{prefix}{}", self.field), ..self }
    }

    /// The dotted path of the field.
    pub(super) fn field(&self) -> &str {
        &self.field
    }
}

impl Problem {
    pub(super) fn in_field(self, field: impl Into<String>) -> Fault {
        Fault { field: field.into(), problem: self }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ", self.field)?;
        match self.problem {
            Problem::Bits { bits, least } => write!(f, "is {bits}, which is not in {least} to {}", Bits::MAX.get()),
            Problem::StorageTooNarrow { bits } => write!(f, "is int8, which does not hold {bits} bits"),
            Problem::Bound { bound } => write!(f, "has the bound {bound}, which is not positive and finite"),
            Problem::IntegerAccumulator { side } => {
                write!(f, "is i32, but the {side} is not stored as int8; leave it out, or choose a float")
            }
            Problem::FloatAccumulator { operands } => write!(f, "is a type in which {operands} cannot be added"),
            Problem::FakeQuantOfInt8 { side } => {
                write!(f, "is inputs, but the {side} is stored as int8; store it as float")
            }
            Problem::FakeQuantScale { side } => {
                write!(f, "is inputs, but the scale of the {side} is not rounded to a power of two")
            }
            Problem::ResidualOfUnquantized { operand } => {
                write!(f, "is set, but the forward {operand} is not quantized")
            }
            Problem::ResidualMissing { operand } => write!(f, "is not set, but the forward {operand} is quantized"),
            Problem::Dtype { dtype } => {
                write!(f, "quantizes operands of type {dtype}; they have to be f32, f16 or bf16")
            }
            Problem::NeedsBits => write!(f, "needs `bits` beside it"),
            Problem::BitsMissing => write!(f, "has no `bits`; write a number, or \"none\""),
            Problem::NotOfPreset { preset } => write!(f, "is no setting of the preset {preset}"),
            Problem::NoiseUnused => write!(f, "has no effect where `stochastic_rounding` is off"),
            Problem::Shards => write!(f, "is 0; write a positive number, or \"none\""),
            Problem::NotANumber => write!(f, "is no number; operands and steps are counted from 0"),
            Problem::Nested => write!(f, "cannot stand inside a step"),
            Problem::Version { found: Some(found) } => write!(f, "is {found}, but only version 1 is known"),
            Problem::Version { found: None } => write!(f, "is missing; write version = 1"),
            Problem::MoreOperands { operands } => write!(f, "is for an equation of more than {operands} operands"),
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::new(ErrorKind::Config, fault.to_string())
    }
}
