//! What quantization is asked for: of one tensor, of one call, of a call with its two gradient calls.
//!
//! The types follow AQT's configuration (its names are search aliases), with one value for each state that has a
//! meaning. What depends on more than one field is checked by `check.rs`.

mod call;
mod tensor;

pub use call::{Accumulator, CallConfig, Dequantize, DotGeneralConfig, GradientConfig, Residual};
pub use tensor::{
    Bits, Calibration, Clip, ClipGradient, IntNumerics, MaxValue, Numerics, Rounding, ScaleRounding, Storage,
    TensorConfig, Zero,
};
