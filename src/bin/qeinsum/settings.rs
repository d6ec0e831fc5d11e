//! What all cases of `qeinsum run` have in common.

use std::ffi::OsString;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::{Args, ValueEnum};
use qeinsum::path::SearchOptions;
use qeinsum::rng::Layout;
use qeinsum::{Dtype, Equation, ErrorKind, Key, Plan, QuantConfig, Sizes};

use crate::console;
use crate::dtype::DtypeArg;
use crate::failure::Failure;
use crate::inputs::Nonfinite;
use crate::memory::{self, Bytes};
use crate::quantization::QuantArgs;
use crate::ranks::Ranks;
use crate::search::SearchArgs;
use crate::slices::SliceArgs;
use crate::text_file;
use crate::threads::ThreadsArg;

/// The flags.
#[derive(Args)]
pub(crate) struct SettingsArgs {
    #[command(flatten)]
    search: SearchArgs,

    #[command(flatten)]
    slices: SliceArgs,

    /// Run this plan, saved by `qeinsum plan --format json`; it is verified, and has to be one of EQ
    #[arg(long, value_name = "FILE", conflicts_with_all = ["optimize", "minimize", "effort", "path", "slice"])]
    plan: Option<OsString>,

    #[command(flatten)]
    quantization: QuantArgs,

    /// Convert every input to this type; without it all have to be of one type
    #[arg(long, value_enum, value_name = "DTYPE")]
    cast: Option<DtypeArg>,

    /// The seed of the noise that a configuration adds, below 2^32: the key is JAX's `PRNGKey(N)`
    #[arg(long, value_name = "N")]
    seed: Option<u32>,

    /// How random numbers are drawn from a key
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    rng: Rng,

    /// Refuse to take more memory than this, such as 4GiB [default: 80 % of what there is, at most 64GiB]
    #[arg(long, value_name = "BYTES")]
    max_memory: Option<Bytes>,

    #[command(flatten)]
    threads: ThreadsArg,

    /// Quantize NaN and infinity too instead of refusing inputs that have them
    #[arg(long)]
    allow_nonfinite: bool,
}

/// How JAX draws random numbers.
#[derive(Clone, Copy, Default, ValueEnum)]
enum Rng {
    /// As JAX did by default before version 0.5
    #[default]
    Jax,
    /// As JAX does by default since version 0.5
    JaxPartitionable,
}

/// The flags with their files read.
pub(crate) struct Settings<'a> {
    search: &'a SearchArgs,
    slices: &'a SliceArgs,
    pub(crate) plan: Option<Plan>,
    /// How calls are quantized, if they are.
    pub(crate) config: Option<QuantConfig>,
    /// What inputs are converted to.
    pub(crate) cast: Option<Dtype>,
    /// Where noise comes from.
    pub(crate) key: Option<Key>,
    /// The most bytes that a run may take.
    pub(crate) limit: u64,
    allow_nonfinite: bool,
}

impl SettingsArgs {
    /// Whether bits are to be chosen by the operands.
    pub(crate) fn chooses_bits(&self) -> bool {
        self.quantization.chooses()
    }

    /// Reads the files and starts the threads.
    pub(crate) fn read(&self) -> Result<Settings<'_>, Failure> {
        self.read_with(self.quantization.parsed()?)
    }

    /// Says which flags have changed nothing, where nothing was quantized.
    pub(crate) fn note_unused(&self) {
        let flags = [("--seed", self.seed.is_some()), ("--allow-nonfinite", self.allow_nonfinite)];
        for (flag, _) in flags.into_iter().filter(|&(_, given)| given) {
            console::note(&format!(
                "nothing is quantized, so that `{flag}` changes nothing: `--bits` and `--config` quantize"
            ));
        }
    }

    /// The same where the configuration is still to be chosen.
    pub(crate) fn read_to_choose(&self) -> Result<Settings<'_>, Failure> {
        self.read_with(None)
    }

    fn read_with(&self, config: Option<QuantConfig>) -> Result<Settings<'_>, Failure> {
        self.threads.start()?;
        let plan = match &self.plan {
            Some(file) => {
                let text = text_file::read(file, text_file::PLAN_LIMIT)?;
                Some(Plan::from_json(&text).map_err(|error| Failure::from(error).within(&text_file::shown(file)))?)
            }
            None => None,
        };
        let layout = match self.rng {
            Rng::Jax => Layout::Original,
            Rng::JaxPartitionable => Layout::Partitionable,
        };
        Ok(Settings {
            search: &self.search,
            slices: &self.slices,
            plan,
            config,
            cast: self.cast.map(Dtype::from),
            key: self.seed.map(|seed| Key::new(seed.into()).with_layout(layout)),
            limit: self.max_memory.map_or_else(memory::default_limit, |bytes| bytes.0),
            allow_nonfinite: self.allow_nonfinite,
        })
    }
}

/// Why there is no plan.
pub(crate) enum Unplanned {
    /// None is within the limit of memory.
    OverLimit(Failure),
    Other(Failure),
}

impl From<Failure> for Unplanned {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

impl From<Unplanned> for Failure {
    fn from(unplanned: Unplanned) -> Self {
        match unplanned {
            Unplanned::OverLimit(failure) | Unplanned::Other(failure) => failure,
        }
    }
}

impl Settings<'_> {
    /// What becomes of inputs that are not finite in a run of this configuration.
    pub(crate) fn nonfinite(&self, config: Option<&QuantConfig>) -> Nonfinite {
        if config.is_none() || self.allow_nonfinite { Nonfinite::Allowed } else { Nonfinite::Refused }
    }

    /// The bytes that a plan may need, where that was said.
    pub(crate) fn plan_limit(&self) -> Option<u64> {
        self.search.memory_limit()
    }

    /// How a path is searched.
    pub(crate) fn options(&self) -> SearchOptions {
        self.search.options()
    }

    /// How a path is searched where ranks share what one process has no memory for, after so much of the time was spent.
    pub(crate) fn unlimited(&self, spent: Duration) -> SearchOptions {
        self.search.unlimited(spent)
    }

    /// The plan of an equation: the one that was given, or one found for it, by several ranks where there are.
    pub(crate) fn plan(
        &self,
        (equation, sizes): (&Equation, &Sizes),
        dtype: Dtype,
        options: &SearchOptions,
        ranks: Ranks<'_>,
    ) -> Result<Plan, Unplanned> {
        let Some(plan) = &self.plan else {
            let path = self.search.path().cloned();
            let config = self.config.as_ref();
            let plan = match ranks {
                Some(ranks) => Plan::search_on(ranks, equation, sizes, options, path, dtype, config),
                None => Plan::search(equation, sizes, options, path, dtype, config, &AtomicBool::new(false)),
            };
            let plan = plan.map_err(|error| match error.kind() {
                ErrorKind::Limit => Unplanned::OverLimit(error.into()),
                _ => Unplanned::Other(self.search.at_fault(error)),
            });
            return Ok(self.slices.apply(plan?)?);
        };
        Ok(checked(plan, equation, sizes)?)
    }
}

/// The plan that was given, if it is one of this equation.
fn checked(plan: &Plan, equation: &Equation, sizes: &Sizes) -> Result<Plan, Failure> {
    if plan.equation() != equation {
        let message = format!("the plan is one of `{}`, but the equation is `{equation}`", plan.equation());
        return Err(Failure::Request(message));
    }
    let bound = plan.sizes().shapes().iter().zip(sizes.shapes()).enumerate();
    for (operand, (planned, found)) in bound {
        if planned != found {
            let message = format!("operand {operand} has shape {found:?}, but the plan is bound to {planned:?}");
            return Err(Failure::Request(message));
        }
    }
    Ok(plan.clone())
}
