//! The compiler's back end: an equation, sizes and a path become a [`Plan`] of array operations.
//!
//! In come labels; out go axes, sides and dimension numbers, with every orientation decided and recorded. Nothing
//! here knows quantization, and nothing below it knows labels.

mod common_peak;
mod dims;
mod display;
mod dot;
mod entry;
mod gradient;
mod lookup;
#[expect(clippy::module_inception, reason = "the pass is called what its room is called")]
mod lower;
mod merge;
mod orient;
mod peak;
mod plan;
mod schedule;
mod serial;
mod symbolic;
mod verify;

pub use dims::{Axes, AxisPair, DimensionNumbers};
pub use entry::Entry;
pub use gradient::{GradientCall, Side};
pub use merge::CommonStep;
pub use orient::Orientation;
pub use plan::{Group, Layout, Op, Plan, Slice, Step, Value, ValueId};
pub use schedule::{Gathering, Loop, Read, Stage};
pub use serial::{PLAN_FORMAT, PLANNER_VERSION};
pub use symbolic::SymbolicPlan;

pub(crate) use display::{binder, operation, write_plan};
pub(crate) use lower::lower;
pub(crate) use merge::{Numbers, Part, Place, Program};
pub(crate) use peak::bytes_of;
