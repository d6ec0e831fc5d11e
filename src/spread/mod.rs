//! One plan on several ranks: who computes what, and what they tell each other.
//!
//! In come a plan, a configuration and a [`Communicator`](crate::ranks::Communicator); out goes, on every rank, the array that
//! one rank alone would make, to the bit. For each call `choose` picks a label, or none, by what its time and the messages are
//! predicted to cost. Each rank has a range of the label's indices ([`Spread`]), reads that part of the call's sides, and makes
//! that part of its result where the result has the label. Where the call sums it, the ranks first agree on scales, then add
//! their sums: of integers in any order, of floats in the tree that they are for one rank, whose parts `exec` keeps whole. A
//! value that its reader needs in another way is given to all. Noise belongs to places in the whole array.
//!
//! `forward` walks a plan's steps like this, `backward` their gradients; `memory` says what that takes on a rank. Plans in slices
//! have the passes of their loops handed out instead, in `exec`.

mod api;
mod backward;
mod checkpoint;
mod choose;
mod forward;
mod gather;
mod gradient_sums;
mod memory;
mod predict;
mod pullback;
mod ranges;
mod run;

pub use checkpoint::Checkpoint;
pub use choose::Network;
pub use predict::Scaling;
pub use pullback::SpreadPullback;
pub use ranges::Spread;

#[cfg(test)]
mod tests;
