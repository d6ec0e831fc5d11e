//! One run: an equation, the files of its operands, and the file of its result.

use std::ffi::{OsStr, OsString};
use std::time::Instant;

use num_complex::Complex;
use qeinsum::io;
use qeinsum::parse::Note;
use qeinsum::spread::{Checkpoint, Network, Spread};
use qeinsum::{ChosenBits, DotGeneralConfig, Dtype, Plan, QEinsum, QuantConfig};

use crate::compute::{Computing, compute};
use crate::console;
use crate::failure::Failure;
use crate::inputs::{Inputs, Loaded, Nonfinite};
use crate::kept_file;
use crate::memory::{self, Work};
use crate::progress::moved;
use crate::ranks::{self, Ranks};
use crate::report::{Report, Times};
use crate::settings::Settings;
use crate::together::{self, Planned, Sharing};

/// What to run.
pub(crate) struct Case<'a> {
    pub(crate) equation: QEinsum,
    pub(crate) inputs: &'a [OsString],
    pub(crate) out: &'a OsStr,
    pub(crate) reporting: Reporting,
    pub(crate) precision: Precision,
    pub(crate) checkpoint: Option<Checkpoint>,
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
    pub(crate) fn run(self, settings: &Settings<'_>, ranks: Ranks<'_>) -> Result<Done, Failure> {
        let mut inputs = ranks::agree(ranks, self.opened(settings, ranks))?;
        let (equation, sizes) = self.equation.bind(&inputs.shapes())?;
        let ranks_of: Vec<usize> = inputs.shapes().iter().map(|shape| shape.len()).collect();
        let notes = self.equation.notes(&ranks_of)?;
        let dtype = inputs.dtype(settings.cast)?;
        let start = Instant::now();
        together::check_asked(ranks, (&equation, &sizes), dtype, settings)?;
        let planned = together::plan(ranks, (&equation, &sizes), dtype, (settings, &inputs))?;
        let plan = &planned.plan;
        console::detail(|| format!("planned in {:.6} s: {}, {}", seconds(start), plan.order(), plan.certificate()));
        let given = ranks::agree(ranks, self.config(&planned, &inputs, settings))?;
        if ranks.is_some() && !plan.slices().is_empty() {
            inputs.check_samples(ranks)?;
            ranks::agree(ranks, inputs.keep_files(plan))?;
        }
        let bytes = |spread: &Spread| {
            let needed = spread.run_bytes(plan, dtype, given.as_ref())?;
            let needed = needed.saturating_sub(inputs.left_in_files(plan, dtype));
            let beside = inputs.shared_converted_bytes(dtype, plan, spread).checked_add(inputs.frozen_bytes())?;
            needed.checked_add(beside)
        };
        let within = (settings.limit, bytes);
        let sharing = together::sharing(ranks, &planned, &inputs, given.as_ref(), within, |spread| spread)?;
        let room = match (&sharing, ranks) {
            (Some(Sharing { spread, .. }), _) => memory::within(bytes(spread), settings.limit),
            // The first rank takes what the others send it.
            (None, Some(some)) if !plan.slices().is_empty() => {
                let spread = Spread::choose(plan, given.as_ref(), some.size(), Network::default());
                memory::within(bytes(&spread), settings.limit)
            }
            _ => {
                let (work, converted) = (self.work(given.as_ref())?, inputs.converted_bytes(dtype));
                memory::check(plan, dtype, work, converted, settings.limit)
            }
        };
        ranks::agree(ranks, room)?;
        let operands = ranks::agree(ranks, read(inputs, dtype, settings.nonfinite(given.as_ref()), sharing.as_ref()))?;
        if sharing.is_none() {
            together::check_inputs(ranks, self.inputs, &operands)?;
        }
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
        let work = self.work(given.as_ref())?;
        let checkpoint = self.checkpoint.as_ref();
        let equation = &self.equation;
        let sharing = sharing.as_ref();
        let computing = Computing { equation, plan, settings, work, reporting, precision, ranks, sharing, checkpoint };
        let computed = compute(&computing, operands).map_err(|failure| ranks::fail(ranks, failure))?;
        console::detail(|| format!("computed in {:.6} s", seconds(start)));
        let start = Instant::now();
        let result = computed.result.as_ref().filter(|_| ranks::is_first(ranks));
        let saved = result.map_or(Ok(()), |result| {
            moved("writing", kept_file::bytes(&result.header()), || io::save(self.out, result))
        });
        ranks::agree(ranks, saved.map_err(Failure::from))?;
        console::detail(|| format!("wrote the result in {:.6} s", seconds(start)));
        let (chosen, report, times) = (computed.chosen, computed.report, computed.times);
        let config = chosen.as_ref().map_or(given, |chosen| Some(chosen.config.clone()));
        Ok(Done { notes, plan: planned.plan, config, chosen, report, times })
    }

    /// The headers of the inputs, which fit the equation, and an output that can be written.
    fn opened(&self, settings: &Settings<'_>, ranks: Ranks<'_>) -> Result<Inputs, Failure> {
        let inputs = Inputs::open(self.inputs, settings.limit, ranks)?;
        if let Some(flag) = self.compares().filter(|_| inputs.any_frozen()) {
            return Err(Failure::Request(format!(
                "{flag} compares with the unquantized result, and frozen operands keep their integers alone"
            )));
        }
        let shapes = inputs.shapes();
        self.equation.bind(&shapes)?;
        let dtype = inputs.dtype(settings.cast)?;
        if ranks::is_first(ranks) {
            io::check_output(self.out, dtype)?;
        }
        Ok(inputs)
    }

    /// How calls are quantized.
    fn config(
        &self,
        planned: &Planned,
        inputs: &Inputs,
        settings: &Settings<'_>,
    ) -> Result<Option<QuantConfig>, Failure> {
        let (plan, only_shared) = (&planned.plan, planned.only_within.is_some());
        if self.checkpoint.is_some() && plan.slices().is_empty() {
            let message = if only_shared {
                "`--checkpoint` is for runs in slices, and no slices keep `--memory-limit`, only parts that ranks share"
            } else {
                "`--checkpoint` is for runs in slices: give `--slice` or `--memory-limit`"
            };
            return Err(Failure::Request(message.to_owned()));
        }
        if inputs.any_frozen() && !plan.slices().is_empty() {
            return Err(together::frozen_in_slices());
        }
        let given = match self.precision {
            // Bits are chosen among these and floats, which no run of them takes more than.
            Precision::Chosen(_) => Some(DotGeneralConfig::v4().build()?.into()),
            _ => inputs.config(settings.config.as_ref())?,
        };
        self.work(given.as_ref())?;
        if let Some(config) = &given {
            plan.check_config(config)?;
        }
        let adds_noise = |config| plan.call_configs(config).iter().any(|call| call.forward.needs_key());
        if settings.key.is_none() && given.as_ref().is_some_and(adds_noise) && !inputs.any_frozen() {
            return Err(Failure::Request("the configuration adds noise: give `--seed`".to_owned()));
        }
        Ok(given)
    }

    /// What is done beside float products.
    fn work<'c>(&self, given: Option<&'c QuantConfig>) -> Result<Work<'c>, Failure> {
        match (given, self.compares()) {
            (None, None | Some("`--analyze`")) => Ok(Work::Float),
            (None, Some(flag)) => {
                let message = format!("{flag} measures quantization: give `--config` or `--bits`");
                Err(Failure::Request(message))
            }
            (Some(config), None) => Ok(Work::Quantized(config)),
            (Some(config), Some(_)) => Ok(Work::Measured(config)),
        }
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

/// The elements of the inputs, or what a rank reads of them.
fn read(inputs: Inputs, dtype: Dtype, nonfinite: Nonfinite, sharing: Option<&Sharing>) -> Result<Vec<Loaded>, Failure> {
    let start = Instant::now();
    let operands = inputs.load(dtype, nonfinite, sharing.map(|sharing| sharing.parts.as_slice()))?;
    console::detail(|| format!("read {} operands of {dtype} in {:.6} s", operands.len(), seconds(start)));
    Ok(operands)
}

fn seconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64()
}
