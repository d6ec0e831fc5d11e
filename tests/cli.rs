//! The command line, as a process: its texts, its files, its exit codes.

#![allow(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]

#[path = "cli/batches.rs"]
mod batches;
#[path = "cli/benches.rs"]
mod benches;
#[path = "cli/checkpoints.rs"]
mod checkpoints;
#[path = "cli/complex.rs"]
mod complex;
#[path = "cli/explanations.rs"]
mod explanations;
#[path = "cli/faults.rs"]
mod faults;
#[path = "cli/frozen.rs"]
mod frozen;
#[path = "cli/gradients.rs"]
mod gradients;
#[path = "cli/harness.rs"]
mod harness;
#[cfg(target_os = "linux")]
#[path = "cli/hostile.rs"]
mod hostile;
#[path = "cli/imports.rs"]
mod imports;
#[path = "cli/many.rs"]
mod many;
#[cfg(feature = "mpi")]
#[path = "cli/mpi.rs"]
mod mpi;
#[path = "cli/plans.rs"]
mod plans;
#[path = "cli/refusals.rs"]
mod refusals;
#[path = "cli/runs.rs"]
mod runs;
mod snapshot;
