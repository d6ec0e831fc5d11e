//! The flags that say how a path is looked for.

use clap::Args;
use qeinsum::QEinsum;
use qeinsum::path::{Objective, Optimizer, Path, SearchOptions};

use crate::failure::Failure;

/// How to find a path, or the path.
#[derive(Args)]
pub(crate) struct SearchArgs {
    /// How to look for a path: auto, optimal, greedy, reference, or none
    #[arg(long, value_name = "HOW", default_value_t)]
    optimize: Optimizer,

    /// What to make least: mul, size, write, or combo
    #[arg(long, value_name = "WHAT", default_value_t)]
    minimize: Objective,

    /// How many times the usual work the search may do
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    effort: u32,

    /// Take this path and search none, such as `(1,2) (0,1)`
    #[arg(long, value_name = "PATH", conflicts_with_all = ["optimize", "minimize", "effort"])]
    path: Option<Path>,
}

impl SearchArgs {
    /// The options of a search.
    pub(crate) fn options(&self) -> SearchOptions {
        SearchOptions::new().optimizer(self.optimize).objective(self.minimize).effort(self.effort)
    }

    /// The same equation, planned like this.
    pub(crate) fn apply(&self, qe: QEinsum) -> QEinsum {
        let qe = qe.with_search(self.options());
        match &self.path {
            Some(path) => qe.with_path(path.clone()),
            None => qe,
        }
    }

    /// An error of planning; where a path was given, it is what is wrong.
    pub(crate) fn at_fault(&self, error: qeinsum::Error) -> Failure {
        let given = self.path.is_some() && *error.kind() == qeinsum::ErrorKind::Path;
        let failure = Failure::from(error);
        if given { failure.within("--path") } else { failure }
    }

    /// The path that was given.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_ref()
    }
}
