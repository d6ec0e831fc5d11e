//! The compiler's back end: an equation, sizes and a path become a [`Plan`] of array operations.
//!
//! In come labels; out go axes, sides and dimension numbers, with every orientation decided and recorded. Nothing
//! here knows quantization, and nothing below it knows labels.

mod dims;
mod orient;

pub use dims::{Axes, AxisPair, DimensionNumbers};
pub use orient::Orientation;
