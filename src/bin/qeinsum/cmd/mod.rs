//! The subcommands.

pub(crate) mod batch;
pub(crate) mod bench;
pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod family;
pub(crate) mod freeze;
pub(crate) mod graph;
pub(crate) mod man;
pub(crate) mod many;
pub(crate) mod parse;
pub(crate) mod path;
pub(crate) mod plan;
pub(crate) mod playground;
pub(crate) mod run;
pub(crate) mod vjp;

use clap::ValueEnum;
use serde::Serialize;

use crate::failure::Failure;

/// The form of a result that is no graph.
#[derive(Clone, Copy, Default, ValueEnum)]
enum Format {
    #[default]
    Text,
    Json,
}

/// A result as JSON, ending its last line.
fn json(result: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(result)
        .map_err(|error| Failure::Machine(format!("the result is no JSON: {error}")))?;
    Ok(text + "\n")
}
