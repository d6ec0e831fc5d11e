//! The subcommands.

pub(crate) mod batch;
pub(crate) mod graph;
pub(crate) mod parse;
pub(crate) mod path;
pub(crate) mod plan;
pub(crate) mod run;

use serde::Serialize;

use crate::failure::Failure;

/// A result as JSON, ending its last line.
fn json(result: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(result)
        .map_err(|error| Failure::Machine(format!("the result is no JSON: {error}")))?;
    Ok(text + "\n")
}
