//! `qeinsum graph`: who shares a label with whom.

use clap::{Args, ValueEnum};
use qeinsum::ContractionGraph;

use crate::destination::Destination;
use crate::failure::Failure;
use crate::problem::{Problem, ProblemArgs};

const EXAMPLES: &str = "\
Examples:
  qeinsum graph ij,jk,kl->il --shapes 2x3,3x4,4x5
  qeinsum graph ij,jk,kl->il --sizes i=2,j=3,k=4,l=5 --format dot | dot -Tsvg > graph.svg";

/// Print the contraction graph: components, labels with their sizes and operands, free reductions
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Graph {
    #[command(flatten)]
    problem: ProblemArgs,

    /// The form of the result
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    #[command(flatten)]
    destination: Destination,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Format {
    #[default]
    Text,
    Json,
    Dot,
}

impl Graph {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let Problem::Bound(bound) = self.problem.read()? else {
            let message = "a graph has sizes: give `--shapes` or `--sizes`";
            return Err(Failure::Request(message.to_owned()));
        };
        let graph = ContractionGraph::new(&bound.equation, &bound.sizes);
        let text = match self.format {
            Format::Text => graph.to_string(),
            Format::Json => super::json(&graph.summary())?,
            Format::Dot => graph.to_dot(),
        };
        self.destination.write(&text)
    }
}
