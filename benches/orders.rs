//! What orders chosen for time gain over those of the fewest multiplications, measured: `cargo bench --bench orders`.
//!
//! Small networks by seed, planned both ways in f32 and in int8 and run in turns on one thread. Where the order is the
//! same there is nothing to measure. `--calibrated FILE` plans by a table that `qeinsum bench --calibrate` wrote.

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ndarray::{ArrayD, IxDyn};
use qeinsum::path::{Objective, SearchOptions, Speeds};
use qeinsum::{Compiled, DotGeneralConfig, Key, QEinsum};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The problems of a full run.
const PROBLEMS: u32 = 300;
/// More multiplications than this are not run.
const MOST: f64 = 3e8;
const SIZES: [usize; 9] = [2, 4, 8, 16, 32, 64, 128, 256, 512];
const LABELS: &[u8] = b"abcdefghij";

#[expect(clippy::print_stdout, reason = "it is a program")]
fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let is_test = arguments.iter().any(|argument| argument == "--test");
    let table = arguments.iter().position(|argument| argument == "--calibrated").and_then(|at| arguments.get(at + 1));
    let speeds = match table {
        Some(file) => Speeds::from_json(&std::fs::read_to_string(file)?)?,
        None => Speeds::shipped().clone(),
    };
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global()?;
    qeinsum::keep_freed_memory();
    println!("speeds: {}", speeds.name());
    println!(
        "{:<10} {:>9} {:>9} {:>11} {:>12} {:>10}",
        "", "problems", "differ", "geo. mean", "slower > 5%", "predicted"
    );
    let speeds = Arc::new(speeds);
    for quantized in [None, Some(DotGeneralConfig::v4().build()?)] {
        let mut gains = Vec::new();
        let mut predicted = Vec::new();
        let mut problems = 0;
        for number in 0..if is_test { 5 } else { PROBLEMS } {
            let Some(problem) = Problem::new(Key::new(7).fold_in(number)) else { continue };
            let [by_mul, by_time] = [Objective::Mul, Objective::Time].map(|objective| {
                let qe = QEinsum::new(&problem.equation)?;
                let qe = qe.with_search(SearchOptions::new().objective(objective).speeds(Arc::clone(&speeds)));
                let qe = match &quantized {
                    Some(config) => qe.with_config(config.clone()),
                    None => qe,
                };
                qe.compile(&problem.operands.iter().map(ArrayD::shape).collect::<Vec<_>>())
            });
            let (by_mul, by_time) = (by_mul?, by_time?);
            problems += 1;
            if by_mul.plan().path() == by_time.plan().path() {
                continue;
            }
            let config = quantized.clone().map(Into::into);
            let seconds = |compiled: &Compiled| compiled.plan().predict(config.as_ref(), &[], &speeds).seconds;
            predicted.push(seconds(&by_mul) / seconds(&by_time));
            gains.push(ratio(&by_mul, &by_time, &problem.operands, is_test)?);
        }
        println!(
            "{:<10} {:>9} {:>9} {:>11.3} {:>12} {:>10.3}",
            if quantized.is_some() { "int8" } else { "f32" },
            problems,
            gains.len(),
            mean(&gains),
            gains.iter().filter(|gain| **gain < 0.95).count(),
            mean(&predicted),
        );
    }
    Ok(())
}

/// The geometric mean.
fn mean(ratios: &[f64]) -> f64 {
    (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len().max(1) as f64).exp()
}

/// How many times longer the one takes than the other; the median of runs in turns.
fn ratio(one: &Compiled, other: &Compiled, operands: &[ArrayD<f32>], is_test: bool) -> Result<f64> {
    let mut ratios = Vec::new();
    for _ in 0..if is_test { 1 } else { 7 } {
        ratios.push(seconds(one, operands)? / seconds(other, operands)?);
    }
    ratios.sort_by(f64::total_cmp);
    Ok(ratios[ratios.len() / 2])
}

fn seconds(compiled: &Compiled, operands: &[ArrayD<f32>]) -> Result<f64> {
    let (start, mut runs) = (Instant::now(), 0);
    while runs == 0 || start.elapsed() < Duration::from_millis(2) {
        black_box(compiled.run(operands)?);
        runs += 1;
    }
    Ok(start.elapsed().as_secs_f64() / f64::from(runs))
}

struct Problem {
    equation: String,
    operands: Vec<ArrayD<f32>>,
}

impl Problem {
    /// A tree of three to five operands with some labels more; none where it is too large.
    fn new(key: Key) -> Option<Self> {
        let mut values = key.uniform(64).into_iter();
        let mut below = |bound: usize| values.next().map_or(0, |value| (value * bound as f32) as usize % bound);
        let count = 3 + below(3);
        let mut terms = vec![Vec::new(); count];
        let mut output = Vec::new();
        let mut labels = LABELS.iter();
        for operand in 1..count {
            let label = *labels.next()?;
            terms[operand].push(label);
            terms[below(operand)].push(label);
        }
        for _ in 0..below(3) {
            let (one, other) = (below(count), below(count));
            if one != other {
                let label = *labels.next()?;
                terms[one].push(label);
                terms[other].push(label);
            }
        }
        for _ in 0..=below(3) {
            let label = *labels.next()?;
            terms[below(count)].push(label);
            output.push(label);
        }
        let sizes: Vec<usize> = LABELS.iter().map(|_| SIZES[below(SIZES.len())]).collect();
        let shape = |term: &[u8]| term.iter().map(|label| sizes[usize::from(label - b'a')]).collect::<Vec<_>>();
        let text = |term: &[u8]| String::from_utf8_lossy(term).into_owned();
        let written: Vec<String> = terms.iter().map(|term| text(term)).collect();
        let equation = format!("{}->{}", written.join(","), text(&output));
        let shapes: Vec<Vec<usize>> = terms.iter().map(|term| shape(term)).collect();
        if shapes.iter().chain([&shape(&output)]).any(|shape| shape.iter().product::<usize>() > 1 << 22) {
            return None;
        }
        let plan = QEinsum::new(&equation).ok()?.plan(&shapes.iter().map(Vec::as_slice).collect::<Vec<_>>()).ok()?;
        if plan.multiplications().to_f64() > MOST {
            return None;
        }
        let operands = shapes.iter().zip(0..).map(|(shape, number)| {
            let values = key.fold_in(number).uniform(shape.iter().product()).into_iter();
            ArrayD::from_shape_vec(IxDyn(shape), values.map(|value| 2.0 * value - 1.0).collect()).ok()
        });
        Some(Self { equation, operands: operands.collect::<Option<_>>()? })
    }
}
