//! The flags that say how a path is looked for.

use std::ffi::OsStr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use qeinsum::QEinsum;
use qeinsum::path::{Objective, Optimizer, Path, SearchOptions, Speeds};

use crate::calibrate;
use crate::failure::Failure;
use crate::memory::Bytes;
use crate::text_file;

/// How to find a path, or the path.
#[derive(Args)]
pub(crate) struct SearchArgs {
    /// How to look for a path
    #[arg(long, value_name = "HOW", default_value_t, value_parser = one_of::<Optimizer>(Optimizer::ALL.map(Optimizer::name)))]
    optimize: Optimizer,

    /// What to make least
    #[arg(long, value_name = "WHAT", default_value_t, value_parser = one_of::<Objective>(Objective::ALL.map(Objective::name)))]
    minimize: Objective,

    /// What `--minimize time` predicts by: `shipped`, `machine` (what `qeinsum bench --calibrate` measured here), or a file
    /// [default: shipped]
    #[arg(long, value_name = "WHICH", value_parser = speeds)]
    speeds: Option<Arc<Speeds>>,

    /// How many times the usual work the search may do
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    effort: u32,

    /// Search until so much time is over, such as 10s or 500ms, or the path is proved; other runs may find other paths
    #[arg(long, value_name = "TIME", value_parser = time)]
    time_budget: Option<Duration>,

    /// Need no more memory than this, operands and output included, such as 4GiB; in slices when needed
    #[arg(long, value_name = "BYTES")]
    memory_limit: Option<Bytes>,

    /// Take this path and search none, such as `(1,2) (0,1)`; a list of `opt_einsum` or `NumPy` will do, and `@FILE` reads one
    #[arg(
        long,
        value_name = "PATH",
        value_parser = positions,
        conflicts_with_all = ["optimize", "minimize", "effort", "time_budget", "ssa_path"],
    )]
    path: Option<Path>,

    /// The same by ids that are never used again, as cotengra's `ssa_path`, such as `(1,2) (0,3)`
    #[arg(
        long,
        value_name = "PATH",
        value_parser = ids,
        conflicts_with_all = ["optimize", "minimize", "effort", "time_budget"],
    )]
    ssa_path: Option<Path>,
}

impl SearchArgs {
    /// The options of a search.
    pub(crate) fn options(&self) -> SearchOptions {
        let options = self.unlimited(Duration::ZERO);
        match self.memory_limit {
            Some(Bytes(bytes)) => options.memory_limit(bytes),
            None => options,
        }
    }

    /// Those of a search in as much memory as it takes, after so much of the time was spent.
    pub(crate) fn unlimited(&self, spent: Duration) -> SearchOptions {
        let options = SearchOptions::new().optimizer(self.optimize).objective(self.minimize).effort(self.effort);
        let options = match &self.speeds {
            Some(speeds) => options.speeds(Arc::clone(speeds)),
            None => options,
        };
        match self.time_budget {
            Some(budget) => options.time_budget(budget.saturating_sub(spent)),
            None => options,
        }
    }

    /// The same equation, planned like this.
    pub(crate) fn apply(&self, qe: QEinsum) -> QEinsum {
        let qe = qe.with_search(self.options());
        match self.path() {
            Some(path) => qe.with_path(path.clone()),
            None => qe,
        }
    }

    /// An error of planning; where a path was given, it is what is wrong.
    pub(crate) fn at_fault(&self, error: qeinsum::Error) -> Failure {
        let given = self.path().is_some() && *error.kind() == qeinsum::ErrorKind::Path;
        let failure = Failure::from(error);
        let flag = if self.path.is_some() { "--path" } else { "--ssa-path" };
        if given { failure.within(flag) } else { failure }
    }

    /// The bytes that a plan may need, where that was said.
    pub(crate) fn memory_limit(&self) -> Option<u64> {
        self.memory_limit.map(|Bytes(bytes)| bytes)
    }

    /// How long the search goes on, where that was said.
    pub(crate) fn time_budget(&self) -> Option<Duration> {
        self.time_budget
    }

    /// The path that was given.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_ref().or(self.ssa_path.as_ref())
    }
}

/// Reads a value by one of these names, which shells complete and help lists.
fn one_of<T>(names: impl IntoIterator<Item = &'static str>) -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err = qeinsum::Error> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(names)
        .try_map(|name| name.parse().map_err(|error: qeinsum::Error| error.message().to_owned()))
}

/// A path of positions, as it stands or in a file.
fn positions(text: &str) -> Result<Path, String> {
    read(text)?.parse().map_err(|error: qeinsum::Error| error.message().to_owned())
}

/// A path of ids, as it stands or in a file.
fn ids(text: &str) -> Result<Path, String> {
    Path::from_ssa_text(&read(text)?).map_err(|error| error.message().to_owned())
}

/// The text, or that of the file that it names.
fn read(text: &str) -> Result<String, String> {
    match text.strip_prefix('@') {
        Some(file) => text_file::read(OsStr::new(file), text_file::PLAN_LIMIT).map_err(|failure| failure.message()),
        None => Ok(text.to_owned()),
    }
}

/// The longest that a search may be asked to take.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// A table of speeds by where it is.
fn speeds(which: &str) -> Result<Arc<Speeds>, String> {
    let read = |path: &OsStr| calibrate::read(path).map(Arc::new).map_err(|failure| failure.message());
    match which {
        "shipped" => Ok(Arc::new(Speeds::shipped().clone())),
        "machine" => {
            let file = calibrate::file().map_err(|failure| failure.message())?;
            if !file.exists() {
                return Err("this machine was not measured yet: `qeinsum bench --calibrate` does that".to_owned());
            }
            read(file.as_os_str())
        }
        file => read(OsStr::new(file)),
    }
}

/// A time such as `10s`, `500ms` or `2m`.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = units.iter().find(|(name, _)| *name == &text[number.len()..]).map(|(_, seconds)| *seconds);
    let plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let seconds = number.parse::<f64>().ok().filter(|_| plain).zip(unit).map(|(number, unit)| number * unit);
    match seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
        Some(time) if time <= LONGEST && !time.is_zero() => Ok(time),
        Some(_) => Err("a search may take up to 30 days, and more than no time".to_owned()),
        None => Err("a time is a number and a unit, such as 10s, 500ms, 2m or 1h".to_owned()),
    }
}

/// The seed of a search, where a command has no other use for one.
#[derive(Args)]
pub(crate) struct SeedArg {
    /// The seed of the search's random numbers
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with = "path")]
    seed: u64,
}

impl SeedArg {
    /// The same options with this seed.
    pub(crate) fn apply(&self, options: SearchOptions) -> SearchOptions {
        options.seed(self.seed)
    }
}
