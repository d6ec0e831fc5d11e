//! `qeinsum bench`: an equation in f32 against the same quantized, on this machine.

use std::fmt::Write as _;
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use clap::Args;
use ndarray::{ArrayD, IxDyn};
use qeinsum::peak::{self, PackedMatrices};
use qeinsum::{
    Compiled, DotGeneralConfig, Dtype, Error, Key, Op, Plan, Pullback, QuantConfig, QuantizationError, Serving, Shape,
};
use serde::Serialize;

use super::{Format, json};
use crate::calibrate;
use crate::destination::{Destination, print};
use crate::equation::EquationArg;
use crate::failure::Failure;
use crate::memory::{self, Bytes, Work};
use crate::progress::Progress;
use crate::quantization::QuantArgs;
use crate::search::SearchArgs;
use crate::sizes::{Given, SizeArgs};
use crate::threads::ThreadsArg;

const EXAMPLES: &str = "\
Examples:
  qeinsum bench bij,bjk->bik --shapes 16x256x256,16x256x256
  qeinsum bench bi,io->bo --sizes b=1,i=4096,o=4096 --bits 8 --threads 1 --format json";

/// Measure runs on random operands: in f32, quantized, and quantized with the last operand frozen before; or the machine
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Bench {
    #[command(flatten)]
    equation: EquationArg,

    #[command(flatten)]
    sizes: SizeArgs,

    #[command(flatten)]
    search: SearchArgs,

    #[command(flatten)]
    quantization: QuantArgs,

    /// The seed of the operands, and of the noise that a configuration adds
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u32,

    /// Measure the gradients of all operands too, each of them quantized as the forward pass is where the configuration does
    /// not say how
    #[arg(long)]
    backward: bool,

    #[command(flatten)]
    threads: ThreadsArg,

    /// Measure the speeds of this machine, instead of an equation, for plans that take the least time: into the folder for
    /// caches, where `--speeds machine` finds them, or into `--out`
    #[arg(long, conflicts_with_all = ["equation", "shapes", "sizes", "backward"])]
    calibrate: bool,

    /// Measure for about so many seconds
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=3600))]
    seconds: u16,

    /// Refuse to take more memory than this, such as 4GiB [default: 80 % of what there is, at most 64GiB]
    #[arg(long, value_name = "BYTES")]
    max_memory: Option<Bytes>,

    /// The form of the result
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    #[command(flatten)]
    destination: Destination,
}

/// Milliseconds that a run takes.
#[derive(Clone, Copy, Debug, Serialize)]
struct Times {
    min: f64,
    median: f64,
}

/// The result as data; what could not be measured is null.
#[derive(Debug, Serialize)]
struct Report {
    equation: String,
    threads: usize,
    /// Billions of operations in a run: a multiplication and its addition are two.
    gop: f64,
    f32_ms: Times,
    quantized_ms: Option<Times>,
    quantized_frozen_ms: Option<Times>,
    /// The product alone, of matrices of integers that were packed before: where the plan is one call without a batch.
    packed_ms: Option<Times>,
    /// The gradients of all operands, without the forward pass: where that was asked for.
    backward_ms: Option<Times>,
    peak_int8_gops: f64,
    peak_f32_gops: f64,
    /// Of the quantized result against the f32 result; null where they are equal, too.
    sqnr_db: Option<f64>,
    /// Why something is null.
    notes: Vec<String>,
}

impl Bench {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        if self.calibrate {
            return self.calibrate();
        }
        let qe = self.search.apply(self.equation.read()?);
        let (equation, sizes) = match self.sizes.read()? {
            Given::Shapes(shapes) => qe.bind(&shapes.iter().map(Vec::as_slice).collect::<Vec<_>>())?,
            Given::Labels(sizes) => qe.bind_by_sizes(&sizes)?,
            Given::Nothing => {
                let message = "a measurement needs sizes: give `--shapes` or `--sizes`";
                return Err(Failure::Request(message.to_owned()));
            }
        };
        let config: QuantConfig = match self.quantization.read(equation.operands().len())? {
            Some(config) => config,
            None => DotGeneralConfig::v4().drhs_bits(self.backward.then_some(8)).build()?.into(),
        };
        self.threads.start()?;
        // Runs in a loop: what it takes to page memory in is not what is measured.
        qeinsum::keep_freed_memory();
        let progress = Progress::until("measuring", Some(Duration::from_secs(self.seconds.into())));
        let shapes: Vec<&[usize]> = sizes.shapes().iter().map(Shape::as_slice).collect();
        let exact = qe.compile(&shapes).map_err(|error| self.search.at_fault(error))?;
        let plan = exact.plan();
        plan.check_config(&config)?;
        let limit = self.max_memory.map_or_else(memory::default_limit, |bytes| bytes.0);
        // Integers packed before: as many bytes as there are elements, twice, and as many again while they are made.
        let elements = |shape: &Shape| shape.iter().fold(1_u64, |count, &size| count.saturating_mul(size as u64));
        let packed = sizes.shapes().iter().map(elements).fold(0, u64::saturating_add).saturating_mul(3);
        memory::check(plan, Dtype::F32, Work::Measured(&config), packed, limit)?;
        if self.backward {
            memory::check_gradients(plan, Dtype::F32, Work::Measured(&config), packed, limit, None)?;
        }
        let seed = Key::new(self.seed.into());
        let operands: Vec<ArrayD<f32>> =
            shapes.iter().zip(0..).map(|(shape, number)| operand(seed.fold_in(number), shape)).collect();
        let quantized = qe.with_path(plan.path().clone()).with_config(config).compile(&shapes)?;
        let mut contest = Contest::new(exact, quantized, &operands, seed);
        if self.backward {
            contest.prepare_backward()?;
        }
        let report = contest.report(equation.to_string(), Duration::from_secs(self.seconds.into()))?;
        drop(progress);
        self.destination.write(&match self.format {
            Format::Text => report.text(),
            Format::Json => json(&report)?,
        })
    }
}

impl Bench {
    /// Measures the machine.
    fn calibrate(&self) -> Result<(), Failure> {
        self.threads.start()?;
        let speeds = calibrate::measure("machine".to_owned())?;
        let text = speeds.to_json() + "\n";
        if self.destination.is_given() {
            return self.destination.write(&text);
        }
        let file = calibrate::file()?;
        let shown = file.display().to_string();
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).map_err(|error| Failure::of_file(&shown, "make its folder", &error))?;
        }
        qeinsum::io::write_whole(&file, |out| std::io::Write::write_all(out, text.as_bytes()))?;
        print(&format!("{shown}: measured on {} threads\n", speeds.threads()))
    }
}

/// Values between -1 and 1.
fn operand(key: Key, shape: &[usize]) -> ArrayD<f32> {
    let values = key.uniform(shape.iter().product()).into_iter().map(|value| 2.0 * value - 1.0);
    ArrayD::from_shape_vec(IxDyn(shape), values.collect()).expect("as many values as the shape has elements")
}

/// The ways to run an equation, on the same operands.
struct Contest<'a> {
    operands: &'a [ArrayD<f32>],
    key: Key,
    exact: Compiled,
    quantized: Option<Compiled>,
    frozen: Option<Serving<f32>>,
    packed: Option<PackedMatrices>,
    backward: Option<(ArrayD<f32>, Pullback<'a, f32>)>,
    notes: Vec<String>,
}

impl<'a> Contest<'a> {
    fn new(exact: Compiled, quantized: Compiled, operands: &'a [ArrayD<f32>], key: Key) -> Self {
        let packed = packed(exact.plan());
        let (quantized_run, frozen, backward, notes) = (None, None, None, Vec::new());
        let mut contest = Self { operands, key, exact, quantized: quantized_run, frozen, packed, backward, notes };
        if contest.exact.plan().calls().next().is_none() {
            contest.notes.push("nothing is quantized: the plan has no call".to_owned());
            return contest;
        }
        // What quantization refuses is no fault of the measurement, and the rest of it stands.
        if let Err(error) = contest.quantized_run(&quantized) {
            contest.notes.push(format!("no quantized run: {error}"));
            return contest;
        }
        if let Some((last, array)) = operands.iter().enumerate().next_back() {
            let frozen = quantized.freeze(last, array, key).and_then(|frozen| quantized.clone().serve(vec![frozen]));
            match frozen {
                Ok(serving) => contest.frozen = Some(serving),
                Err(error) => contest.notes.push(format!("no frozen run: {error}")),
            }
        }
        contest.quantized = Some(quantized);
        contest
    }

    /// Runs forward once, so that gradients can be measured.
    fn prepare_backward(&mut self) -> Result<(), Failure> {
        if let Some(quantized) = &self.quantized {
            self.backward = Some(quantized.vjp(self.operands, self.key)?);
        }
        Ok(())
    }

    fn exact_run(&self) -> Result<ArrayD<f32>, Error> {
        self.exact.run(self.operands)
    }

    fn quantized_run(&self, compiled: &Compiled) -> Result<ArrayD<f32>, Error> {
        compiled.run_with_key(self.operands, self.key)
    }

    fn frozen_run(&self, serving: &Serving<f32>) -> Result<ArrayD<f32>, Error> {
        let open = self.operands.split_last().map_or(self.operands, |(_, open)| open);
        serving.run_with_key(open, self.key)
    }

    /// Runs all ways in turn, so that what disturbs one disturbs the others.
    fn report(self, equation: String, time: Duration) -> Result<Report, Failure> {
        let threads = rayon::current_num_threads();
        let count = NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN);
        let (peak_int8_gops, peak_f32_gops) = (peak::int8(count), peak::f32(count));
        let mut sqnr_db = None;
        if let Some(quantized) = &self.quantized {
            let error = QuantizationError::between(&self.exact_run()?, &self.quantized_run(quantized)?);
            sqnr_db = Some(error.sqnr_db()).filter(|sqnr| sqnr.is_finite());
        }
        let mut samples: [Vec<f64>; 5] = Default::default();
        let start = Instant::now();
        while samples[0].len() < 3 || start.elapsed() < time {
            samples[0].push(sample(|| self.exact_run())?);
            if let Some(quantized) = &self.quantized {
                samples[1].push(sample(|| self.quantized_run(quantized))?);
            }
            if let Some(frozen) = &self.frozen {
                samples[2].push(sample(|| self.frozen_run(frozen))?);
            }
            if let Some(packed) = &self.packed {
                samples[3].push(sample(|| Ok(packed.multiply()))?);
            }
            if let Some((output, pullback)) = &self.backward {
                samples[4].push(sample(|| pullback.pull(output))?);
            }
        }
        let [exact, quantized, frozen, packed, backward] = samples.map(Times::of);
        Ok(Report {
            equation,
            threads,
            gop: 2.0 * self.exact.plan().multiplications().to_f64() / 1e9,
            f32_ms: exact.unwrap_or(Times { min: f64::NAN, median: f64::NAN }),
            quantized_ms: quantized,
            quantized_frozen_ms: frozen,
            packed_ms: packed,
            backward_ms: backward,
            peak_int8_gops,
            peak_f32_gops,
            sqnr_db,
            notes: self.notes,
        })
    }
}

/// The matrices of a plan that is one product of two of them.
fn packed(plan: &Plan) -> Option<PackedMatrices> {
    let mut calls = plan.calls();
    let (Some(call), None) = (calls.next(), calls.next()) else { return None };
    let Op::DotGeneral { lhs, rhs, dims, .. } = call.op() else { return None };
    let [left, right] = [plan.value(*lhs).shape(), plan.value(*rhs).shape()];
    let terms: usize = dims.lhs_contracting().iter().map(|&axis| left[axis]).product();
    let (m, n) = (left.iter().product::<usize>(), right.iter().product::<usize>());
    let measured = dims.batch().is_empty() && (1..=PackedMatrices::MOST_TERMS).contains(&terms);
    measured.then(|| PackedMatrices::new(m / terms, n / terms, terms))
}

/// Milliseconds that a run takes, on average over as many as take 20 milliseconds together.
fn sample<R>(run: impl Fn() -> Result<R, Error>) -> Result<f64, Failure> {
    let (start, mut runs) = (Instant::now(), 0_u32);
    loop {
        black_box(run()?);
        runs += 1;
        let elapsed = start.elapsed();
        if elapsed >= Duration::from_millis(20) {
            return Ok(elapsed.as_secs_f64() * 1e3 / f64::from(runs));
        }
    }
}

impl Times {
    fn of(mut samples: Vec<f64>) -> Option<Self> {
        samples.sort_by(f64::total_cmp);
        let min = *samples.first()?;
        Some(Self { min, median: samples[samples.len() / 2] })
    }
}

impl Report {
    fn text(&self) -> String {
        let mut text = format!("{}: {:.3} GOP, threads: {}\n", self.equation, self.gop, self.threads);
        let rows = [
            ("f32", Some(self.f32_ms), self.peak_f32_gops),
            ("quantized", self.quantized_ms, self.peak_int8_gops),
            ("last operand frozen", self.quantized_frozen_ms, self.peak_int8_gops),
            ("both packed", self.packed_ms, self.peak_int8_gops),
        ];
        let _ = writeln!(
            text,
            "{:<20} {:>10} {:>10} {:>9} {:>10} {:>7}",
            "", "median ms", "min ms", "GOP/s", "% of peak", "× f32"
        );
        for (name, times, peak) in rows {
            let Some(Times { min, median }) = times else { continue };
            let rate = self.gop / median * 1e3;
            let (share, gain) = (100.0 * rate / peak, self.f32_ms.median / median);
            let _ = writeln!(text, "{name:<20} {median:>10.4} {min:>10.4} {rate:>9.1} {share:>10.1} {gain:>7.2}");
        }
        if let (Some(backward), Some(forward)) = (self.backward_ms, self.quantized_ms) {
            let (Times { min, median }, times) = (backward, backward.median / forward.median);
            let _ = writeln!(text, "{:<20} {median:>10.4} {min:>10.4}, {times:.2} × quantized", "backward alone");
        }
        let _ = writeln!(text, "peaks: f32 {:.0} GOP/s, int8 {:.0} GOP/s", self.peak_f32_gops, self.peak_int8_gops);
        if let Some(sqnr) = self.sqnr_db {
            let _ = writeln!(text, "quantized against f32: sqnr {sqnr:.2} dB");
        }
        for note in &self.notes {
            let _ = writeln!(text, "{note}");
        }
        text
    }
}
