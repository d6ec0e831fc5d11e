//! A symbolic einsum compiler and interpreter with quantization as a first-class citizen.
//!
//! An equation is parsed, its operands joined in a contraction graph, the best order of contraction found, and that
//! order lowered into array operations: a [`Plan`] of `dot_general` calls whose sides, axes and swaps are decided and
//! recorded. A plan can be read, compared, saved, loaded and run; run with a [`QuantConfig`], every call is quantized
//! by the sides that belong to it.
//!
//! ```
//! use ndarray::Array;
//! use qeinsum::{DotGeneralConfig, QEinsum};
//!
//! let q = Array::from_shape_fn((2, 4, 3, 8), |(b, s, h, d)| ((b + 3 * s + h) as f32 - d as f32) / 8.0);
//! let k = Array::from_shape_fn((2, 5, 3, 8), |(b, s, h, d)| ((b + s) as f32 - (h * d) as f32) / 8.0);
//! let scores = QEinsum::new("bqhd,bkhd->bhqk")?.with_config(DotGeneralConfig::v4().build()?);
//! println!("{}", scores.plan(&[q.shape(), k.shape()])?);
//! assert_eq!(scores.run((&q, &k))?.shape(), [2, 3, 4, 5]);
//! # Ok::<(), qeinsum::Error>(())
//! ```
//!
//! # Architecture
//!
//! One room per stage; arrows go down only. Each room's `mod.rs` says what comes in, what goes out and what is absent.
//!
//! ```text
//!   text, sublists                                          names (networks)
//!        │                                                       │
//!   ┌────▼────┐  Ast: every place of the text                    │
//!   │  parse  │  resolve(ast, ranks)                             │
//!   └────┬────┘                                                  │
//!        ▼                                                       ▼
//!     Equation (labels, no ellipsis, explicit output)   +   Sizes (shapes bound)
//!        │
//!   ┌────▼────┐  ContractionGraph: operands and labels as nodes
//!   │  graph  │
//!   └────┬────┘
//!   ┌────▼────┐  Path, its exact cost, its Certificate
//!   │  path   │
//!   └────┬────┘
//!   ┌────▼────┐  Plan: squeeze, reduce_sum, diagonal, dot_general, transpose
//!   │  lower  │  (knows no quantization)
//!   └────┬────┘
//!   ┌────▼────┐     ┌─────────┐  QuantConfig, scales, integers
//!   │  exec   ◄─────┤  quant  ◄── rng: JAX's keys, bits and noise
//!   └────┬────┘     └─────────┘
//!   ┌────▼────┐  float and integer products, sums (knows axes, no labels)
//!   │ kernel  │
//!   └─────────┘
//! ```
//!
//! - `parse` decides nothing by a size, `path` never sees an axis, `lower` never sees a configuration, runs never see a
//!   label (only the naive interpreter reads the equation itself), `quant`, `kernel` and `rng` never see an equation. The
//!   few words that a lower room shares with a higher one ([`DimensionNumbers`], [`Orientation`]) are plain data.
//! - A gradient is a plan's calls in reverse: each side's is a `dot_general` too ([`DimensionNumbers::gradient`]), run by the
//!   same code as the forward one, and what stands between calls has an adjoint in `exec/adjoint.rs`. [`QEinsum::vjp`] gives a
//!   [`Pullback`].
//! - An operand that was quantized once is a value, [`Frozen`], not a mode: it enters a run where its operand would have
//!   (`frozen` says whether it fits, `exec` takes it as it takes any side).
//! - Slices are loops over labels: what can be sliced and what it costs is said by labels in `path/sliced.rs`, the loops follow
//!   from the labels in `lower/schedule.rs`, values have extent 1 where a loop has them at one index, and `exec/sliced.rs` runs
//!   the steps in them as any other; `kernel/partial.rs` goes on with sums from one slice to the next.
//! - Several equations are a room above all of these, `many`: it chooses their paths together, has each lowered as ever, and
//!   `lower/merge.rs` makes one program of the plans, in which steps that do the same to the same values are one;
//!   `exec/common.rs` runs it.
//! - The orientation of a call is decided in one function (`lower/orient.rs`), stored in the plan, and everything that
//!   belongs to the sides is exchanged by one other ([`DotGeneralConfig::oriented`]).
//! - Several processes are a room above `exec`, `spread`: it decides which label they share a call by, and walks a plan's steps on
//!   parts of its values; what calls then have to agree on passes through a [`ranks::Communicator`], which knows nothing of plans.
//!   `exec/handed.rs` hands out the passes of sliced plans.
//! - `picture` draws plans: it reads a plan, a configuration and predicted times, decides nothing, and nothing reads it.
//! - A run that is cancelled ([`Cancel`]) unwinds from the loop that notices to where it was begun (`cancel.rs`): nothing half
//!   made is ever returned.
//! - A pass is a free function from one intermediate form to the next; only those that meet user input can fail.
//! - [`Plan::verify`] proves a plan against its equation without trusting who made it.
//! - `unsafe` stands in `kernel` only, and is forbidden everywhere else.
//!
//! # Numbers
//!
//! The quantized path repeats the arithmetic of the original (AQT as shipped in fjformer) bit for bit, its flushing of
//! subnormals and its inexact logarithm included; [`quant`] documents where it departs on purpose. Float products and
//! sums are *defined*: blocks of 1,024 terms, each a chain of fused multiply-adds from zero in the order of the
//! contracting labels, added as a pairwise tree. So every machine, instruction set and thread count gives the same bits.
//!
//! Complex products are defined as real ones. Of a pair of elements `a` of the lhs and `b` of the rhs the real part adds
//! `a.re * b.re`, then `a.im * (-b.im)`, and the imaginary part `a.re * b.im`, then `a.im * b.re`; 1,024 of these terms, of
//! 512 pairs, are a block. Where a part is infinite or NaN nothing is repaired. Sums over labels add each part apart.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot unwrap has failed"))]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

#[forbid(unsafe_code)]
mod cache;
#[forbid(unsafe_code)]
mod cancel;
#[forbid(unsafe_code)]
mod compiled;
#[forbid(unsafe_code)]
mod dot;
#[forbid(unsafe_code)]
mod dtype;
#[forbid(unsafe_code)]
mod equation;
#[forbid(unsafe_code)]
mod error;
#[forbid(unsafe_code)]
mod exec;
#[forbid(unsafe_code)]
mod explain;
#[forbid(unsafe_code)]
mod export;
#[forbid(unsafe_code)]
mod frozen;
#[forbid(unsafe_code)]
mod gradients;
#[forbid(unsafe_code)]
pub mod graph;
#[forbid(unsafe_code)]
pub mod guide;
#[forbid(unsafe_code)]
pub mod io;
// The one room with `unsafe`: each of its files that needs some says why.
mod kernel;
#[forbid(unsafe_code)]
mod lower;
#[forbid(unsafe_code)]
mod many;
#[forbid(unsafe_code)]
mod network;
#[forbid(unsafe_code)]
mod operands;
#[forbid(unsafe_code)]
pub mod parse;
#[forbid(unsafe_code)]
pub mod path;
#[forbid(unsafe_code)]
pub mod picture;
#[forbid(unsafe_code)]
mod planning;
#[forbid(unsafe_code)]
mod precision;
#[forbid(unsafe_code)]
mod predict;
#[forbid(unsafe_code)]
mod qeinsum;
#[forbid(unsafe_code)]
pub mod quant;
#[forbid(unsafe_code)]
pub mod ranks;
#[forbid(unsafe_code)]
pub mod rng;
#[forbid(unsafe_code)]
mod sizes;
#[forbid(unsafe_code)]
mod span;
#[forbid(unsafe_code)]
pub mod spread;
#[forbid(unsafe_code)]
mod stored;
#[forbid(unsafe_code)]
mod unique;

pub use cancel::Cancel;
pub use compiled::Compiled;
pub use dot::QDotGeneral;
pub use dtype::Dtype;
pub use equation::{Equation, Label, Subscript, Syntax};
pub use error::{Error, ErrorKind, Result};
pub use exec::{CallRecord, Factor, GradientRecord, QuantizationError, SideRecord, Slab, Sums, interpret};
pub use frozen::{FlaxLayer, Frozen, FrozenFile, FrozenValues, Serving};
pub use gradients::{DotPullback, Pullback};
pub use graph::ContractionGraph;
pub use kernel::{Element, Real, keep_freed_memory, peak};
pub use lower::{
    Axes, AxisPair, CommonStep, DimensionNumbers, Entry, Gathering, GradientCall, Group, Layout, Loop, Op, Orientation,
    PLAN_FORMAT, PLANNER_VERSION, Plan, Read, Side, Slice, Stage, Step, SymbolicPlan, Value, ValueId,
};
pub use many::{JointCertificate, Many, ManyPlan};
pub use network::Network;
pub use operands::{Operand, OperandView, Operands};
pub use precision::ChosenBits;
pub use predict::Prediction;
pub use qeinsum::QEinsum;
pub use quant::{DotGeneralConfig, QuantConfig};
pub use rng::Key;
pub use sizes::{Shape, Sizes};
pub use span::{Span, printable_text};
pub use stored::Stored;
