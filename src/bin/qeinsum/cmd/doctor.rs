//! `qeinsum doctor`: what this machine has, and whether it computes as every other.

use std::fmt::Write as _;
use std::num::NonZeroUsize;

use clap::Args;
use ndarray::{ArrayD, IxDyn};
use qeinsum::peak;
use qeinsum::{DotGeneralConfig, Key, PLAN_FORMAT, PLANNER_VERSION, QEinsum};
use serde::Serialize;

use super::{Format, json};
use crate::calibrate;
use crate::destination::Destination;
use crate::failure::Failure;
use crate::memory;
use crate::threads::ThreadsArg;

const EXAMPLES: &str = "\
Examples:
  qeinsum doctor
  qeinsum doctor --threads 1 --format json";

/// Say what this machine has: instruction sets, measured peaks, threads, memory; and check that it computes the bits that
/// every other does
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Doctor {
    #[command(flatten)]
    threads: ThreadsArg,

    /// The form of the result
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    #[command(flatten)]
    destination: Destination,
}

#[derive(Serialize)]
struct Report {
    version: &'static str,
    planner: u32,
    plan_format: u32,
    system: String,
    cores: Option<usize>,
    threads: usize,
    /// The narrowest first; the last is the one that is used.
    instruction_sets: Vec<&'static str>,
    peak_int8_gops: f64,
    peak_f32_gops: f64,
    peak_int8_gops_one_thread: f64,
    peak_f32_gops_one_thread: f64,
    memory_bytes: Option<u64>,
    control_group_bytes: Option<u64>,
    default_max_memory_bytes: u64,
    /// The file that `qeinsum bench --calibrate` writes, where it is there.
    machine_speeds: Option<String>,
    checks: Vec<Check>,
    warnings: Vec<String>,
}

/// A computation whose bits are known.
#[derive(Serialize)]
struct Check {
    name: &'static str,
    passed: bool,
}

impl Doctor {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        self.threads.start()?;
        let report = Report::new()?;
        self.destination.write(&match self.format {
            Format::Text => report.text(),
            Format::Json => json(&report)?,
        })?;
        match report.checks.iter().find(|check| !check.passed) {
            None => Ok(()),
            Some(check) => Err(Failure::Machine(format!("the {} has other bits than everywhere else", check.name))),
        }
    }
}

impl Report {
    fn new() -> Result<Self, Failure> {
        let threads = rayon::current_num_threads();
        let count = NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN);
        let cores = std::thread::available_parallelism().ok().map(NonZeroUsize::get);
        let instruction_sets = peak::instruction_sets();
        let mut warnings = Vec::new();
        if let [only] = instruction_sets[..] {
            warnings
                .push(format!("no instruction set but {only}: fused multiply-adds are computed in software, slowly"));
        }
        if let Some(cores) = cores.filter(|&cores| cores < threads) {
            warnings.push(format!("{threads} threads share {cores} cores"));
        }
        if let Ok(asked) = std::env::var("RAYON_NUM_THREADS")
            && asked.parse::<usize>().is_err()
        {
            warnings.push("`RAYON_NUM_THREADS` is no number, and is not heeded".to_owned());
        }
        let machine_speeds = match calibrate::file() {
            Ok(file) if file.exists() => {
                if let Err(failure) = calibrate::read(file.as_os_str()) {
                    warnings.push(failure.message());
                }
                Some(file.display().to_string())
            }
            _ => None,
        };
        Ok(Self {
            version: env!("CARGO_PKG_VERSION"),
            planner: PLANNER_VERSION,
            plan_format: PLAN_FORMAT,
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            cores,
            threads,
            instruction_sets,
            peak_int8_gops: peak::int8(count),
            peak_f32_gops: peak::f32(count),
            peak_int8_gops_one_thread: peak::int8(NonZeroUsize::MIN),
            peak_f32_gops_one_thread: peak::f32(NonZeroUsize::MIN),
            memory_bytes: memory::machine(),
            control_group_bytes: memory::control_group(),
            default_max_memory_bytes: memory::default_limit(),
            machine_speeds,
            checks: checks()?,
            warnings,
        })
    }

    fn text(&self) -> String {
        let mut text =
            format!("qeinsum {}, planner {}, plan format {}\n", self.version, self.planner, self.plan_format);
        let mut row = |name: &str, value: String| {
            let _ = writeln!(text, "{name:<14}{value}");
        };
        let cores = self.cores.map_or_else(|| "cores not known".to_owned(), |cores| format!("{cores} cores"));
        row("machine", format!("{}, {cores}, {} threads", self.system, self.threads));
        if let Some((used, others)) = self.instruction_sets.split_last() {
            let others = if others.is_empty() { String::new() } else { format!(", of {} too", others.join(", ")) };
            row("instructions", format!("{used}{others}"));
        }
        let peaks = |one: f64, all: f64| format!("{one:.0} GOP/s on one thread, {all:.0} on {}", self.threads);
        row("int8 peak", peaks(self.peak_int8_gops_one_thread, self.peak_int8_gops));
        row("f32 peak", peaks(self.peak_f32_gops_one_thread, self.peak_f32_gops));
        let shown = |bytes: Option<u64>| bytes.map_or_else(|| "not known".to_owned(), memory::shown);
        row("memory", shown(self.memory_bytes));
        // A control group without a limit says a number beyond every memory.
        if let Some(bytes) = self.control_group_bytes.filter(|&bytes| self.memory_bytes.is_none_or(|all| bytes < all)) {
            row("of that", format!("{} for this control group", memory::shown(bytes)));
        }
        row("a run takes", format!("at most {} unless asked", memory::shown(self.default_max_memory_bytes)));
        row(
            "speeds",
            match &self.machine_speeds {
                Some(file) => format!("shipped, and those of this machine: {file}"),
                None => "shipped; `qeinsum bench --calibrate` measures those of this machine".to_owned(),
            },
        );
        for check in &self.checks {
            let result = if check.passed { "the same bits as everywhere" } else { "OTHER BITS than everywhere else" };
            row("check", format!("{}: {result}", check.name));
        }
        for warning in &self.warnings {
            row("warning", warning.clone());
        }
        text
    }
}

/// Computes what has known bits, through the kernels that this machine uses.
fn checks() -> Result<Vec<Check>, Failure> {
    let value = |at: usize| ((at * 7919) % 1009) as f32 / 256.0 - 2.0;
    let array = |shape: &[usize]| {
        let count = shape.iter().product::<usize>();
        ArrayD::from_shape_vec(IxDyn(shape), (0..count).map(value).collect())
            .map_err(|error| Failure::Machine(format!("an array cannot be made: {error}")))
    };
    // Sums of more than one block, rows and columns that fill no tile.
    let (a, b) = (array(&[3, 37, 1501])?, array(&[3, 1501, 29])?);
    let float = QEinsum::new("bij,bjk->bik")?;
    let int8 = float.clone().with_config(DotGeneralConfig::v4().drhs_bits(Some(8)).build()?);
    let (product, gradients) = int8.vjp((&a, &b), Key::new(7))?;
    let results = [
        ("float product", vec![float.run((&a, &b))?], 0x6a1d_8146_6bab_0c54),
        ("int8 product", vec![product.clone()], 0xf150_bde3_bb48_6258),
        ("gradients with noise", gradients.pull(&product)?, 0x529f_d8f5_8ee5_1edf),
    ];
    Ok(results.map(|(name, arrays, known)| Check { name, passed: digest(&arrays) == known }).into())
}

/// FNV-1a of the bits.
fn digest(arrays: &[ArrayD<f32>]) -> u64 {
    let bytes = arrays.iter().flatten().flat_map(|value| value.to_bits().to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}
