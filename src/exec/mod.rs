//! The interpreter: runs plans on arrays.
//!
//! In come a [`Plan`](crate::Plan), operands and, for a quantized run, a configuration and a key; out goes an array, and,
//! for its gradients, a tape of what the calls kept.
//! Quantization meets the plan here and nowhere above; labels end above and are not known here, but for the naive
//! interpreter, which knows nothing else.

pub(crate) mod adjoint;
mod call;
mod common;
mod fold;
mod fused;
mod gradient;
mod handed;
mod measure;
mod memory;
mod message;
mod naive;
mod order;
mod passes;
mod pull;
mod quantized;
mod rescale;
mod run;
mod shards;
mod shared_terms;
mod side;
mod slab;
mod sliced;
mod slices;
mod tape;
mod timed;
mod tiny;
mod value;

pub use call::{CallRecord, Sums};
pub use gradient::GradientRecord;
pub use measure::QuantizationError;
pub use naive::interpret;
pub use side::{Factor, SideRecord};

pub(crate) use call::{Keep, QuantizedCall, Rescaled};
pub(crate) use common::run_program;
pub(crate) use fold::{Folded, fold, pack};
pub(crate) use gradient::{Kept, KeptSide, gradient, unquantized_gradient};
pub(crate) use handed::{Checkpoint, Recipients, execute_on, handed_bytes};
pub(crate) use measure::MeasuredCalls;
pub(crate) use memory::{check_bytes, check_gradient_room, check_needed, check_room, expanded_bytes, quantizing_bytes};
pub(crate) use message::fill;
pub(crate) use order::Readers;
pub(crate) use pull::{Backward, ForwardCall, accumulation_order, check_cotangent, pull, walk_back};
pub(crate) use quantized::{QuantizedCalls, RecordedCalls, call_key, check_call, check_gradient_calls, prepare};
pub(crate) use rescale::{in_own_layout, lhs_in_output_layout, rhs_in_output_layout};
pub(crate) use run::{Call, Held, Unquantized, Values, apply, check, entering, run, view};
pub(crate) use shared_terms::{CallParts, SharedTerms, TermKind};
pub(crate) use side::{FrozenSide, Input, StoredSide};
pub use slab::Slab;
pub(crate) use slab::held_bytes;
pub(crate) use sliced::{execute, unsliced};
pub(crate) use slices::check_slices;
pub(crate) use tape::TapedCalls;
pub(crate) use timed::TimedCalls;
pub(crate) use tiny::TinyPlan;
pub(crate) use value::Value;
