//! `qeinsum plan`: the lowered program, without running it.

use std::ffi::OsString;
use std::time::Instant;

use clap::{Args, ValueEnum};
use qeinsum::path::{Objective, Speeds};
use qeinsum::spread::{Network, Scaling};
use qeinsum::{Plan as BoundPlan, QEinsum, QuantConfig, SymbolicPlan};
use serde::Serialize;

use crate::console;
use crate::destination::Destination;
use crate::dtype::DtypeArg;
use crate::failure::Failure;
use crate::interrupt;
use crate::problem::{Bound, Problem, ProblemArgs};
use crate::progress::Progress;
use crate::quantization::QuantArgs;
use crate::saved;
use crate::search::{SearchArgs, SeedArg};
use crate::slices::SliceArgs;
use crate::threads::ThreadsArg;

const EXAMPLES: &str = "\
Examples:
  qeinsum plan bij,bjk->bik --shapes 16x64x32,16x32x8
  qeinsum plan bij,bjk->bik --sizes b=16,i=64,j=32,k=8 --bits 8 --explain
  qeinsum plan bij,bjk->bik
  qeinsum plan --network network.json --format json --out plan.json
  qeinsum plan --network network.json --format html --out plan.html
  qeinsum plan bij,bjk->bik --shapes 16x64x32,16x32x8 --bits 8 --format stablehlo
  qeinsum plan bij,bjk->bik --shapes 16x64x32,16x32x8 --bits 8 --format onnx --out plan.onnx
  qeinsum plan ab,bc,cd->ad --shapes 2x3,3x4,4x5 --check plan.txt
  qeinsum plan ij,jk->ik --shapes 8192x8192,8192x8192 --bits 8 --ranks 1,4,64 --link 2us,10GB/s";

/// Print the plan: a path and the array operations that it is lowered to; without sizes, the symbolic view
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Plan {
    #[command(flatten)]
    problem: ProblemArgs,

    #[command(flatten)]
    search: SearchArgs,

    #[command(flatten)]
    seed: SeedArg,

    #[command(flatten)]
    threads: ThreadsArg,

    #[command(flatten)]
    slices: SliceArgs,

    /// The element type that memory is counted in, and that of an export's operands [default: f32]
    #[arg(long, value_enum)]
    dtype: Option<DtypeArg>,

    #[command(flatten)]
    quantization: QuantArgs,

    /// Say under each step what it does to the values, quantization included
    #[arg(long)]
    explain: bool,

    /// Predict what a run takes on so many processes, such as `1,2,64`: time, messages, memory
    #[arg(long, value_name = "N,...", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    ranks: Vec<u32>,

    /// What messages between them cost: a latency and a bandwidth
    #[arg(long, value_name = "LINK", default_value = "5us,4GB/s", requires = "ranks", value_parser = link)]
    link: Network,

    /// Fail with the difference where the order is not that of this saved plan, text or JSON
    #[arg(long, value_name = "FILE")]
    check: Option<OsString>,

    /// Say how long the search took: `search_seconds` in JSON, else on standard error
    #[arg(long)]
    timing: bool,

    /// The form of the result
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    #[command(flatten)]
    destination: Destination,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    #[default]
    Text,
    Json,
    Dot,
    /// A picture: the contraction tree, in a file of its own
    Svg,
    /// The picture in a page that shows each step
    Html,
    /// A module of `StableHLO`
    Stablehlo,
    /// An ONNX model, which is binary
    Onnx,
}

/// A plan with what only the command knows of it.
#[derive(Serialize)]
struct Document<'a, P> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(flatten)]
    plan: &'a P,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<serde_json::Value>,
    /// Where the path was searched for the least time.
    #[serde(skip_serializing_if = "Option::is_none")]
    predicted: Option<Predicted>,
    #[serde(skip_serializing_if = "Option::is_none")]
    search_seconds: Option<f64>,
    /// On numbers of processes that were asked about.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scaling: Vec<Scaling>,
}

/// What a plan is predicted to take that was searched for the least time.
#[derive(Serialize)]
struct Predicted {
    seconds: f64,
    speeds: String,
    threads: usize,
}

impl Plan {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        if self.explain && self.format != Format::Text {
            return Err(Failure::Request("`--explain` is text: give no other `--format`".to_owned()));
        }
        if self.format == Format::Onnx && self.destination.is_terminal() {
            let message = "an ONNX model is binary: name a file with `--out FILE`, or say `--out -`";
            return Err(Failure::Request(message.to_owned()));
        }
        let bytes = match self.problem.read()? {
            Problem::Bound(bound) => self.bound(&bound)?,
            Problem::Symbolic(qe) => self.symbolic(qe)?.into_bytes(),
        };
        self.destination.write_bytes(&bytes)
    }

    fn bound(&self, bound: &Bound) -> Result<Vec<u8>, Failure> {
        self.threads.start()?;
        let config = self.quantization.read(bound.equation.operands().len())?;
        let progress = Progress::until("searching a path", self.search.time_budget());
        let start = Instant::now();
        let path = self.search.path().cloned();
        let options = self.seed.apply(self.search.options());
        let (equation, sizes, dtype) = (&bound.equation, &bound.sizes, self.dtype.unwrap_or_default().into());
        let plan = interrupt::stoppable(|stop| {
            BoundPlan::search(equation, sizes, &options, path, dtype, config.as_ref(), stop)
        });
        let plan = plan.map_err(|error| self.search.at_fault(error))?;
        let plan = self.slices.apply(plan)?;
        let seconds = start.elapsed().as_secs_f64();
        drop(progress);
        if let Some(config) = &config {
            plan.check_config(config)?;
            // The fastest order is that of the configuration.
            let by_time = plan.objective() == Objective::Time;
            if matches!(self.format, Format::Text) && !self.explain && !by_time {
                console::note(
                    "the order and the swaps are the same quantized; `--explain` shows what is quantized how",
                );
            }
        }
        if let Some(file) = &self.check {
            saved::check(file, plan.path(), &plan.to_string())?;
        }
        self.tell_time(seconds);
        let scaling: Vec<Scaling> = self
            .ranks
            .iter()
            .map(|&ranks| Scaling::predict(&plan, config.as_ref(), ranks as usize, options.used_speeds(), self.link))
            .collect();
        let text = match self.format {
            Format::Onnx => return Ok(plan.to_onnx(config.as_ref())?),
            Format::Stablehlo => plan.to_stablehlo(config.as_ref())?,
            Format::Text if self.explain => {
                let time = plan.explain_search(config.as_ref(), &options)?;
                plan.explain(&config.unwrap_or_default()) + &time + &told(&scaling)
            }
            Format::Text => plan.to_string() + &told(&scaling),
            Format::Dot => plan.to_dot(),
            Format::Svg | Format::Html => self.picture(&plan, config.as_ref(), options.used_speeds()),
            Format::Json => {
                let predicted = (plan.objective() == Objective::Time).then(|| {
                    let speeds = options.used_speeds();
                    let seconds = plan.predict(config.as_ref(), &[], speeds).seconds;
                    Predicted { seconds, speeds: speeds.name().to_owned(), threads: speeds.threads() }
                });
                self.json(&plan, bound.name.as_deref(), config.as_ref(), (predicted, scaling), seconds)?
            }
        };
        Ok(text.into_bytes())
    }

    fn picture(&self, plan: &BoundPlan, config: Option<&QuantConfig>, speeds: &Speeds) -> String {
        let picture = plan.picture().with_speeds(speeds);
        let picture = match config {
            Some(config) => picture.quantized(config),
            None => picture,
        };
        if self.format == Format::Svg { picture.to_svg() } else { picture.to_html() }
    }

    fn symbolic(&self, qe: QEinsum) -> Result<String, Failure> {
        let config = self.quantization.read(qe.ast().operands().len())?;
        if matches!(self.format, Format::Svg | Format::Html) {
            let message = "a picture is of a plan with sizes: give `--shapes` or `--sizes`";
            return Err(Failure::Request(message.to_owned()));
        }
        if self.explain {
            let message = "`--explain` is about a plan with sizes: give `--shapes` or `--sizes`";
            return Err(Failure::Request(message.to_owned()));
        }
        if self.slices.is_given() {
            let message = "`--slice` is about a plan with sizes: give `--shapes` or `--sizes`";
            return Err(Failure::Request(message.to_owned()));
        }
        if self.search.memory_limit().is_some() {
            let message = "`--memory-limit` is about a plan with sizes: give `--shapes` or `--sizes`";
            return Err(Failure::Request(message.to_owned()));
        }
        if !self.ranks.is_empty() {
            let message = "`--ranks` is about a plan with sizes: give `--shapes` or `--sizes`";
            return Err(Failure::Request(message.to_owned()));
        }
        if matches!(self.format, Format::Stablehlo | Format::Onnx) {
            return Err(unbound());
        }
        // JSON keeps the configuration beside the plan.
        let flags = [
            ("`--dtype`", self.dtype.is_some()),
            ("`--bits` or `--config`", config.is_some() && self.format != Format::Json),
        ];
        for (flags, _) in flags.into_iter().filter(|&(_, given)| given) {
            console::note(&format!("{flags} changes nothing of a plan without sizes: give `--shapes` or `--sizes`"));
        }
        let progress = Progress::start("searching a path");
        let start = Instant::now();
        let plan: SymbolicPlan = self.search.apply(qe).symbolic()?;
        let seconds = start.elapsed().as_secs_f64();
        drop(progress);
        if let Some(file) = &self.check {
            saved::check(file, plan.path(), &plan.to_string())?;
        }
        self.tell_time(seconds);
        Ok(match self.format {
            Format::Dot => plan.to_dot(),
            Format::Json => self.json(&plan, None, config.as_ref(), (None, Vec::new()), seconds)?,
            Format::Stablehlo | Format::Onnx => return Err(unbound()),
            Format::Text | Format::Svg | Format::Html => plan.to_string(),
        })
    }

    fn json<P: Serialize>(
        &self,
        plan: &P,
        name: Option<&str>,
        config: Option<&QuantConfig>,
        (predicted, scaling): (Option<Predicted>, Vec<Scaling>),
        seconds: f64,
    ) -> Result<String, Failure> {
        let config = match config {
            Some(config) => serde_json::from_str(&config.to_json()?).ok(),
            None => None,
        };
        super::json(&Document {
            name,
            plan,
            config,
            predicted,
            search_seconds: self.timing.then_some(seconds),
            scaling,
        })
    }

    fn tell_time(&self, seconds: f64) {
        if self.timing && self.format != Format::Json {
            console::complain(&format!("search {seconds:.6} s"));
        }
    }
}

/// Predictions, a line each.
fn told(scaling: &[Scaling]) -> String {
    scaling.iter().map(ToString::to_string).collect()
}

/// What messages cost, as a flag says it.
fn link(text: &str) -> Result<Network, String> {
    text.parse().map_err(|error: qeinsum::Error| error.message().to_owned())
}

fn unbound() -> Failure {
    Failure::Request("an export is of a plan with sizes: give `--shapes` or `--sizes`".to_owned())
}
