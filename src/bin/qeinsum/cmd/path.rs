//! `qeinsum path`: the order of contraction alone, before it is lowered.

use clap::{Args, ValueEnum};
use qeinsum::ContractionGraph;
use qeinsum::path::{Certificate, Ended, Found, Objective, PathCost, given, search_until};
use serde::Serialize;

use crate::destination::Destination;
use crate::failure::Failure;
use crate::interrupt;
use crate::problem::{Problem, ProblemArgs};
use crate::progress::Progress;
use crate::search::{SearchArgs, SeedArg};
use crate::threads::ThreadsArg;

const EXAMPLES: &str = "\
Examples:
  qeinsum path ab,bc,cd,de->ae --shapes 64x8,8x64,64x8,8x64
  qeinsum path ab,bc,cd,de->ae
  qeinsum path --network network.json --optimize greedy --format json
  qeinsum path ab,bc,cd,de->ae --shapes 64x8,8x64,64x8,8x64 --format opt-einsum";

/// Print the best contraction path, its exact cost, and how good it is known to be
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Path {
    #[command(flatten)]
    problem: ProblemArgs,

    #[command(flatten)]
    search: SearchArgs,

    #[command(flatten)]
    seed: SeedArg,

    #[command(flatten)]
    threads: ThreadsArg,

    /// The form of the result
    #[arg(long, value_enum, default_value_t)]
    format: PathFormat,

    #[command(flatten)]
    destination: Destination,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum PathFormat {
    #[default]
    Text,
    Json,
    /// The positions as a list of Python, for `opt_einsum`, `NumPy` and cotengra
    OptEinsum,
    /// The same by ids that are never used again, for cotengra's `ssa_path`
    Cotengra,
}

/// The result as data.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    equation: String,
    path: Vec<Vec<usize>>,
    ssa_path: Vec<Vec<usize>>,
    cost: &'a PathCost,
    objective: Objective,
    optimal: bool,
    certificate: &'a Certificate,
    #[serde(skip_serializing_if = "Ended::is_repeatable")]
    ended: Ended,
}

impl Path {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        self.threads.start()?;
        let progress = Progress::until("searching a path", self.search.time_budget());
        let text = match self.problem.read()? {
            Problem::Bound(bound) => {
                let graph = ContractionGraph::new(&bound.equation, &bound.sizes);
                let found = if let Some(path) = self.search.path() {
                    given(&graph, path.clone()).map_err(|error| self.search.at_fault(error))?
                } else {
                    let options = self.seed.apply(self.search.options());
                    interrupt::stoppable(|stop| search_until(&graph, &options, stop))?
                };
                match self.format {
                    PathFormat::Text => text(&found),
                    PathFormat::Json => super::json(&document(&found, &graph, bound.name.as_deref()))?,
                    PathFormat::OptEinsum => found.path.to_python() + "\n",
                    PathFormat::Cotengra => found.path.to_ssa_python() + "\n",
                }
            }
            Problem::Symbolic(qe) => {
                let plan = self.search.apply(qe).symbolic()?;
                match self.format {
                    PathFormat::Text => format!("path {}\n{} mul\n", plan.path(), plan.polynomial()),
                    PathFormat::OptEinsum => plan.path().to_python() + "\n",
                    PathFormat::Cotengra => plan.path().to_ssa_python() + "\n",
                    PathFormat::Json => super::json(&serde_json::json!({
                        "path": plan.path().to_lists(),
                        "ssa_path": plan.path().to_ssa_lists(),
                        "cost": { "multiplications": plan.polynomial() },
                    }))?,
                }
            }
        };
        drop(progress);
        self.destination.write(&text)
    }
}

fn text(found: &Found) -> String {
    let PathCost { multiplications, write, largest, .. } = &found.cost;
    let ended = if found.ended.is_repeatable() { String::new() } else { format!("{}\n", found.ended) };
    format!(
        "path {}\n{multiplications} mul, largest result {largest}, all results {write}\n{} {}\n{ended}",
        found.path, found.objective, found.certificate
    )
}

fn document<'a>(found: &'a Found, graph: &ContractionGraph, name: Option<&'a str>) -> Document<'a> {
    Document {
        name,
        equation: graph.equation().to_string(),
        path: found.path.to_lists(),
        ssa_path: found.path.to_ssa_lists(),
        cost: &found.cost,
        objective: found.objective,
        optimal: found.certificate.is_optimal(),
        certificate: &found.certificate,
        ended: found.ended,
    }
}
