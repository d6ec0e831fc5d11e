//! A symbolic einsum compiler and interpreter with quantization as a first-class citizen.

mod dtype;
mod equation;
mod error;
mod kernel;
mod lower;
pub mod path;
mod sizes;
mod span;

pub use dtype::Dtype;
pub use equation::{Equation, Label, Subscript, Syntax};
pub use error::{Error, ErrorKind, Result};
pub use kernel::{Element, Wide};
pub use lower::{Axes, AxisPair, DimensionNumbers};
pub use sizes::{Shape, Sizes};
pub use span::Span;
