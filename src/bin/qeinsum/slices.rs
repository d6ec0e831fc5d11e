//! The flag that says which labels are sliced.

use clap::Args;
use qeinsum::Plan;

use crate::failure::Failure;

/// Labels to slice.
#[derive(Args)]
pub(crate) struct SliceArgs {
    /// Run over these labels one index at a time, to need less memory: their names with commas between them
    #[arg(long, value_name = "LABELS", value_delimiter = ',')]
    slice: Vec<String>,
}

impl SliceArgs {
    /// Whether there are any.
    pub(crate) fn is_given(&self) -> bool {
        !self.slice.is_empty()
    }

    /// The plan in these slices.
    pub(crate) fn apply(&self, plan: Plan) -> Result<Plan, Failure> {
        if !self.is_given() {
            return Ok(plan);
        }
        plan.with_slices(&self.slice).map_err(|error| Failure::from(error).within("--slice"))
    }
}
