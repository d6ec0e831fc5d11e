//! The speeds of this machine, for plans that are to take the least time on it.

use std::ffi::OsStr;
use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn};
use num_complex::Complex;
use qeinsum::path::{Arithmetic, MEASURED_SIZES, Measured, Speeds};
use qeinsum::{Compiled, DotGeneralConfig, Element, Error, Key, QEinsum};

use crate::failure::Failure;
use crate::progress::Progress;
use crate::text_file;

/// Multiplications of a measured run, where the memory allows it.
const WORK: usize = 1 << 22;
/// Matrices of so many multiplications are measured one by one: most calls of a plan have no batch.
const SINGLE: usize = 1 << 12;
/// Elements of the operands and the result of a measured run.
const MEMORY: usize = 1 << 24;
/// The matrices of a run.
const MOST_MATRICES: usize = 1 << 12;
/// The terms of the sums for which sides are gathered.
const GATHERED_TERMS: usize = 64;
/// The least time that runs are measured for, once for each of [`SAMPLES`].
const TIME: Duration = Duration::from_millis(5);
const SAMPLES: usize = 3;

/// The file that a machine's own speeds are kept in.
pub(crate) fn file() -> Result<PathBuf, Failure> {
    let folder = dirs::cache_dir().ok_or_else(|| {
        Failure::Request("there is no folder for caches: give `--out FILE`, and name it with `--speeds`".to_owned())
    })?;
    Ok(folder.join("qeinsum").join("speeds.json"))
}

/// The table of a file.
pub(crate) fn read(path: &OsStr) -> Result<Speeds, Failure> {
    let text = text_file::read(path, text_file::CONFIG_LIMIT)?;
    Speeds::from_json(&text).map_err(|error| Failure::from(error).within(&text_file::shown(path)))
}

/// Measures every arithmetic on as many threads as there are.
pub(crate) fn measure(name: String) -> Result<Speeds, Failure> {
    qeinsum::keep_freed_memory();
    // So many sizes of products: of the two sides in rising order, with every number of terms.
    let sizes = MEASURED_SIZES.len();
    let products = sizes * (sizes + 1) / 2 * sizes * Arithmetic::ALL.len();
    let progress = Progress::counted("measuring speeds", products as u64, "products");
    let mut measured = Vec::new();
    for arithmetic in Arithmetic::ALL {
        measured.push(match arithmetic {
            Arithmetic::F32 => Bench::<f32>::plain(&progress).measured(|value| value)?,
            Arithmetic::F64 => Bench::<f64>::plain(&progress).measured(f64::from)?,
            Arithmetic::F16 => Bench::<f16>::plain(&progress).measured(f16::from_f32)?,
            Arithmetic::Bf16 => Bench::<bf16>::plain(&progress).measured(bf16::from_f32)?,
            Arithmetic::C32 => Bench::<Complex<f32>>::plain(&progress).measured(Complex::from)?,
            Arithmetic::C64 => {
                Bench::<Complex<f64>>::plain(&progress).measured(|value| Complex::from(f64::from(value)))?
            }
            Arithmetic::Int8 => Bench::<f32>::quantized(&progress)?.measured(|value| value)?,
            _ => continue,
        });
    }
    drop(progress);
    Ok(Speeds::new(name, rayon::current_num_threads(), measured)?)
}

/// Runs of one arithmetic.
struct Bench<'p, T> {
    config: Option<DotGeneralConfig>,
    progress: &'p Progress,
    elements: std::marker::PhantomData<T>,
}

impl<'p, T: Element> Bench<'p, T> {
    fn plain(progress: &'p Progress) -> Self {
        Self { config: None, progress, elements: std::marker::PhantomData }
    }

    fn quantized(progress: &'p Progress) -> Result<Self, Error> {
        Ok(Self { config: Some(DotGeneralConfig::v4().build()?), progress, elements: std::marker::PhantomData })
    }

    fn compiled(&self, equation: &str, shapes: &[&[usize]]) -> Result<Compiled, Error> {
        let qe = QEinsum::new(equation)?;
        match &self.config {
            Some(config) => qe.with_config(config.clone()).compile(shapes),
            None => qe.compile(shapes),
        }
    }

    fn seconds(&self, equation: &str, operands: &[ArrayD<T>]) -> Result<f64, Error> {
        let shapes: Vec<&[usize]> = operands.iter().map(ArrayD::shape).collect();
        let compiled = self.compiled(equation, &shapes)?;
        seconds(|| compiled.run(operands))
    }

    fn measured(&self, cast: impl Fn(f32) -> T) -> Result<Measured, Error> {
        let operand = |shape: &[usize]| {
            let values = Key::new(1).uniform(shape.iter().product()).into_iter();
            ArrayD::from_shape_vec(IxDyn(shape), values.map(|value| cast(2.0 * value - 1.0)).collect())
                .expect("as many values as the shape has elements")
        };
        let single = self.seconds("mk,kn->mn", &[operand(&[32, 32]), operand(&[32, 32])])?;
        let many = self.seconds("bmk,bkn->bmn", &[operand(&[128, 32, 32]), operand(&[128, 32, 32])])?;
        // One of many has all but the call itself, which is at least a tenth of a single one.
        let call = (single - many / 128.0).max(single / 10.0);
        let mut gather_fs = [0; MEASURED_SIZES.len()];
        for (each, &run) in gather_fs.iter_mut().zip(&MEASURED_SIZES) {
            // Summed axes between kept ones, and the same beside each other.
            let kept = (1 << 12) / run.max(2);
            let (right, run) = (operand(&[GATHERED_TERMS, 4]), run.max(2));
            let apart = self.seconds("abc,bd->acd", &[operand(&[kept, GATHERED_TERMS, run]), right.clone()])?;
            let together = self.seconds("acb,bd->acd", &[operand(&[kept, run, GATHERED_TERMS]), right])?;
            *each = femtoseconds((apart - together) / (kept * run * GATHERED_TERMS) as f64);
        }
        let square = [operand(&[2048, 2048])];
        let moved = self.seconds("ab->ba", &square)? / square[0].len() as f64;
        let pair = [operand(&[64, 1024]), operand(&[1024, 1024])];
        let prepare = if self.config.is_some() {
            let shapes: Vec<&[usize]> = pair.iter().map(ArrayD::shape).collect();
            let compiled = self.compiled("mk,kn->mn", &shapes)?;
            let serving = compiled.clone().serve(vec![compiled.freeze(1, &pair[1], Key::new(0))?])?;
            let whole = seconds(|| compiled.run(&pair[..]))?;
            (whole - seconds(|| serving.run(&pair[..1]))?).max(0.0) / pair[1].len() as f64
        } else {
            0.0
        };
        let mut multiplication_fs = Vec::new();
        for (at, &m) in MEASURED_SIZES.iter().enumerate() {
            for &n in &MEASURED_SIZES[at..] {
                let mut row = [0; MEASURED_SIZES.len()];
                for (each, &k) in row.iter_mut().zip(&MEASURED_SIZES) {
                    let elements = m * k + k * n + m * n;
                    let batch = match m * n * k {
                        SINGLE.. => 1,
                        work => (WORK / work).min(MEMORY / elements).clamp(1, MOST_MATRICES),
                    };
                    let whole = self.seconds("bmk,bkn->bmn", &[operand(&[batch, m, k]), operand(&[batch, k, n])])?;
                    *each = femtoseconds((whole - call) / (batch * m * n * k) as f64);
                    self.progress.advance(1);
                }
                multiplication_fs.push(row);
            }
        }
        Ok(Measured {
            call_fs: femtoseconds(call),
            move_fs: femtoseconds(moved),
            prepare_fs: femtoseconds(prepare),
            gather_fs,
            multiplication_fs,
        })
    }
}

/// At least one.
fn femtoseconds(seconds: f64) -> u64 {
    ((seconds * 1e15).round().max(1.0)) as u64
}

/// The seconds of a run: the least of some averages.
fn seconds<R>(run: impl Fn() -> Result<R, Error>) -> Result<f64, Error> {
    let mut least = f64::INFINITY;
    for _ in 0..SAMPLES {
        let (start, mut runs) = (Instant::now(), 0_u32);
        while runs == 0 || start.elapsed() < TIME {
            black_box(run()?);
            runs += 1;
        }
        least = least.min(start.elapsed().as_secs_f64() / f64::from(runs));
    }
    Ok(least)
}
