//! A symbolic einsum compiler and interpreter with quantization as a first-class citizen.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot unwrap has failed"))]

mod dtype;
mod equation;
mod error;
pub mod io;
mod lower;
pub mod parse;
pub mod path;
pub mod quant;
pub mod rng;
mod sizes;
mod span;

pub use dtype::Dtype;
pub use equation::{Equation, Label, Subscript, Syntax};
pub use error::{Error, ErrorKind, Result};
pub use lower::{Axes, AxisPair, DimensionNumbers, Orientation};
pub use quant::{DotGeneralConfig, QuantConfig};
pub use rng::Key;
pub use sizes::{Shape, Sizes};
pub use span::Span;
