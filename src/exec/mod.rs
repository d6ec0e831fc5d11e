//! The interpreter: runs plans on arrays.
//!
//! In come a [`Plan`](crate::Plan), operands and, for a quantized run, a configuration and a key; out goes an array.
//! Quantization meets the plan here and nowhere above; labels end above and are not known here, but for the naive
//! interpreter, which knows nothing else.

mod call;
mod measure;
mod naive;
mod quantized;
mod rescale;
mod run;
mod value;

pub use call::{CallRecord, Factor, SideRecord, Sums};
pub use measure::QuantizationError;
pub use naive::interpret;

pub(crate) use call::Computed;
pub(crate) use measure::MeasuredCalls;
pub(crate) use quantized::{QuantizedCalls, RecordedCalls, check_call, run_call};
pub(crate) use run::{Unquantized, run};
