//! One run: an equation, the files of its operands, and the file of its result.

use std::ffi::{OsStr, OsString};
use std::time::Instant;

use num_complex::Complex;
use qeinsum::io;
use qeinsum::parse::Note;
use qeinsum::{ChosenBits, DotGeneralConfig, Dtype, Plan, QEinsum, QuantConfig};

use crate::compute::{Computing, compute};
use crate::console;
use crate::failure::Failure;
use crate::inputs::Inputs;
use crate::memory::{self, Work};
use crate::progress::Progress;
use crate::report::{Report, Times};
use crate::settings::Settings;

/// What to run.
pub(crate) struct Case<'a> {
    pub(crate) equation: QEinsum,
    pub(crate) inputs: &'a [OsString],
    pub(crate) out: &'a OsStr,
    pub(crate) reporting: Reporting,
    pub(crate) precision: Precision,
}

/// What quantization may cost the result, as its signal-to-quantization-noise ratio in decibels.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Precision {
    /// Whatever it costs.
    Any,
    /// Refuse a result below this.
    AtLeast(f64),
    /// Choose bits for each call so that it is not below this.
    Chosen(f64),
}

/// Whether a run measures what quantization does to its results.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reporting {
    Silent,
    Measured,
    /// Measured, and timed, and what each call costs the result.
    Analyzed,
}

/// What there is to say of a run that was done.
pub(crate) struct Done {
    pub(crate) notes: Vec<Note>,
    pub(crate) plan: Plan,
    /// The one that was given, or that of the frozen operands.
    pub(crate) config: Option<QuantConfig>,
    /// What was chosen, where that was asked for.
    pub(crate) chosen: Option<ChosenBits>,
    /// That of [`Reporting::Measured`].
    pub(crate) report: Option<Report>,
    /// Those of [`Reporting::Analyzed`].
    pub(crate) times: Option<Times>,
}

impl Case<'_> {
    /// Reads headers, plans, checks memory, and only then reads elements, computes and writes.
    pub(crate) fn run(self, settings: &Settings<'_>) -> Result<Done, Failure> {
        let inputs = Inputs::open(self.inputs, settings.limit)?;
        if let Some(flag) = self.compares().filter(|_| inputs.any_frozen()) {
            return Err(Failure::Request(format!(
                "{flag} compares with the unquantized result, and frozen operands keep their integers alone"
            )));
        }
        let shapes = inputs.shapes();
        let (equation, sizes) = self.equation.bind(&shapes)?;
        let ranks: Vec<usize> = shapes.iter().map(|shape| shape.len()).collect();
        let notes = self.equation.notes(&ranks)?;
        let dtype = inputs.dtype(settings.cast)?;
        io::check_output(self.out, dtype)?;
        let start = Instant::now();
        let plan = settings.plan(&equation, &sizes, dtype)?;
        console::detail(|| format!("planned in {:.6} s: {}, {}", seconds(start), plan.order(), plan.certificate()));
        let given = match self.precision {
            // Bits are chosen among these and floats, which no run of them takes more than.
            Precision::Chosen(_) => Some(DotGeneralConfig::v4().build()?.into()),
            _ => inputs.config(settings.config.as_ref())?,
        };
        let work = match (&given, self.compares()) {
            (None, None | Some("`--analyze`")) => Work::Float,
            (None, Some(flag)) => {
                let message = format!("{flag} measures quantization: give `--config` or `--bits`");
                return Err(Failure::Request(message));
            }
            (Some(config), None) => Work::Quantized(config),
            (Some(config), Some(_)) => Work::Measured(config),
        };
        if let Some(config) = &given {
            plan.check_config(config)?;
        }
        let adds_noise = |config| plan.call_configs(config).iter().any(|call| call.forward.needs_key());
        if settings.key.is_none() && given.as_ref().is_some_and(adds_noise) && !inputs.any_frozen() {
            return Err(Failure::Request("the configuration adds noise: give `--seed`".to_owned()));
        }
        memory::check(&plan, dtype, work, inputs.converted_bytes(dtype), settings.limit)?;
        let reading = Progress::start("reading");
        let start = Instant::now();
        let operands = inputs.load(dtype, settings.nonfinite(given.as_ref()))?;
        drop(reading);
        console::detail(|| format!("read {} operands of {dtype} in {:.6} s", operands.len(), seconds(start)));
        let compute = match dtype {
            Dtype::F32 => compute::<f32>,
            Dtype::F64 => compute::<f64>,
            Dtype::F16 => compute::<half::f16>,
            Dtype::Bf16 => compute::<half::bf16>,
            Dtype::C32 => compute::<Complex<f32>>,
            Dtype::C64 => compute::<Complex<f64>>,
        };
        let start = Instant::now();
        let (reporting, precision) = (self.reporting, self.precision);
        let computing = Computing { equation: &self.equation, plan: &plan, settings, work, reporting, precision };
        let computed = compute(&computing, operands)?;
        console::detail(|| format!("computed in {:.6} s", seconds(start)));
        let start = Instant::now();
        io::save(self.out, &computed.result)?;
        console::detail(|| format!("wrote the result in {:.6} s", seconds(start)));
        let (chosen, report, times) = (computed.chosen, computed.report, computed.times);
        let config = chosen.as_ref().map_or(given, |chosen| Some(chosen.config.clone()));
        Ok(Done { notes, plan, config, chosen, report, times })
    }

    /// The flag that has the result compared with the unquantized one, if one does.
    fn compares(&self) -> Option<&'static str> {
        match (self.reporting, self.precision) {
            (Reporting::Measured, _) => Some("`--report`"),
            (_, Precision::AtLeast(_) | Precision::Chosen(_)) => Some("`--min-sqnr`"),
            (Reporting::Analyzed, Precision::Any) => Some("`--analyze`"),
            (Reporting::Silent, Precision::Any) => None,
        }
    }
}

fn seconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64()
}
