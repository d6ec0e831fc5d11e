//! Quantization: how floats become integers and back.
//!
//! In come a [`QuantConfig`] and the two float operands of a call; out go integers with their scales. The
//! configuration half says what is wanted and refuses what contradicts itself; the numerics half does it, to the bit.
//! Nothing here knows labels, paths or plans.
//!
//! ```
//! use ndarray::array;
//! use qeinsum::QEinsum;
//! use qeinsum::quant::{DotGeneralConfig, QuantConfig, TensorConfig};
//! // Eight bits, but four for operand 1.
//! let config = QuantConfig::from(DotGeneralConfig::v4().build()?).with_operand(1, TensorConfig::from_bits(Some(4))?);
//! let qe = QEinsum::new("i,i->")?.with_config(config);
//! let sum = qe.run((&array![1.0_f32, 0.3], &array![0.7_f32, -2.0]))?;
//! assert!((sum.sum() - 0.1).abs() < 0.2);
//! # Ok::<(), qeinsum::Error>(())
//! ```

mod calibration;
mod check;
mod config;
mod eight_bits;
pub(crate) mod explain;
mod fault;
mod format;
mod log2;
mod overrides;
mod part;
mod presets;
mod quantizer;
mod rows;
pub mod schema;
mod settings;
mod shared;
mod step;
#[cfg(test)]
mod tests;

pub use crate::rng::Noise;
pub use config::{
    Accumulator, Bits, Calibration, CallConfig, Clip, ClipGradient, Dequantize, DotGeneralConfig, GradientConfig,
    IntNumerics, MaxValue, Numerics, Residual, Rounding, ScaleRounding, Storage, TensorConfig, Zero,
};
pub use overrides::{QuantConfig, Source};
pub use presets::{FullyQuantizedBuilder, SidesBuilder, VersionBuilder};
pub use settings::StochasticRounding;

pub(crate) use calibration::{ScaleKind, Scales, calibrate, constant_scale, scale_target};
pub(crate) use eight_bits::{Arithmetic, Bfloat16, Binary16, Binary32, Products, ToEightBits};
pub(crate) use format::Format;
pub(crate) use log2::power_of_two_below;
pub(crate) use part::Part;
pub(crate) use quantizer::{Quantized, Values, mask_gradient, quantize, quantized_floats};
pub(crate) use rows::{map_scaled_in, update_scaled};
