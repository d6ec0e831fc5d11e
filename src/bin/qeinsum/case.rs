//! One run: an equation, the files of its operands, and the file of its result.

use std::ffi::{OsStr, OsString};
use std::fmt;

use ndarray::ArrayD;
use num_complex::Complex;
use qeinsum::io::{self, AnyArray};
use qeinsum::parse::Note;
use qeinsum::{Dtype, Element, Frozen, OperandView, Plan, QEinsum, QuantConfig, QuantizationError};
use serde::Serialize;
use serde::ser::{SerializeStruct as _, Serializer};

use crate::failure::Failure;
use crate::inputs::{Inputs, Loaded};
use crate::memory::{self, Work};
use crate::settings::Settings;

/// What to run.
pub(crate) struct Case<'a> {
    pub(crate) equation: QEinsum,
    pub(crate) inputs: &'a [OsString],
    pub(crate) out: &'a OsStr,
    pub(crate) reporting: Reporting,
}

/// Whether a run measures what quantization does to its results.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reporting {
    Silent,
    Measured,
}

/// What there is to say of a run that was done.
pub(crate) struct Done {
    pub(crate) notes: Vec<Note>,
    pub(crate) plan: Plan,
    /// The one that was given, or that of the frozen operands.
    pub(crate) config: Option<QuantConfig>,
    /// That of [`Reporting::Measured`].
    pub(crate) report: Option<Report>,
}

/// The error of quantization, call by call and in all.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Report {
    calls: Vec<QuantizationError>,
    result: QuantizationError,
}

impl Case<'_> {
    /// Reads headers, plans, checks memory, and only then reads elements, computes and writes.
    pub(crate) fn run(self, settings: &Settings<'_>) -> Result<Done, Failure> {
        let inputs = Inputs::open(self.inputs, settings.limit)?;
        if self.reporting == Reporting::Measured && inputs.any_frozen() {
            let message =
                "`--report` compares with the unquantized result, and frozen operands keep their integers alone";
            return Err(Failure::Request(message.to_owned()));
        }
        let shapes = inputs.shapes();
        let (equation, sizes) = self.equation.bind(&shapes)?;
        let ranks: Vec<usize> = shapes.iter().map(|shape| shape.len()).collect();
        let notes = self.equation.notes(&ranks)?;
        let dtype = inputs.dtype(settings.cast)?;
        io::check_output(self.out, dtype)?;
        let plan = settings.plan(&equation, &sizes, dtype)?;
        let config = inputs.config(settings.config.as_ref())?;
        let work = match (&config, self.reporting) {
            (None, Reporting::Measured) => {
                let message = "`--report` measures quantization: give `--config` or `--bits`";
                return Err(Failure::Request(message.to_owned()));
            }
            (None, Reporting::Silent) => Work::Float,
            (Some(config), Reporting::Silent) => Work::Quantized(config),
            (Some(config), Reporting::Measured) => Work::Measured(config),
        };
        if let Some(config) = &config {
            plan.check_config(config)?;
        }
        let adds_noise = |config| plan.call_configs(config).iter().any(|call| call.forward.needs_key());
        if settings.key.is_none() && config.as_ref().is_some_and(adds_noise) && !inputs.any_frozen() {
            return Err(Failure::Request("the configuration adds noise: give `--seed`".to_owned()));
        }
        memory::check(&plan, dtype, work, inputs.converted_bytes(dtype), settings.limit)?;
        let operands = inputs.load(dtype, settings.nonfinite(config.as_ref()))?;
        let compute = match dtype {
            Dtype::F32 => compute::<f32>,
            Dtype::F64 => compute::<f64>,
            Dtype::F16 => compute::<half::f16>,
            Dtype::Bf16 => compute::<half::bf16>,
            Dtype::C32 => compute::<Complex<f32>>,
            Dtype::C64 => compute::<Complex<f64>>,
        };
        let (result, report) = compute(&self.equation, &plan, operands, settings, work)?;
        io::save(self.out, &result)?;
        Ok(Done { notes, plan, config, report })
    }
}

fn compute<T: Element>(
    equation: &QEinsum,
    plan: &Plan,
    operands: Vec<Loaded>,
    settings: &Settings<'_>,
    work: Work<'_>,
) -> Result<(AnyArray, Option<Report>), Failure>
where
    AnyArray: From<ArrayD<T>>,
    ArrayD<T>: TryFrom<AnyArray>,
{
    let operands: Vec<Operand<T>> = operands.into_iter().filter_map(Operand::new).collect();
    let views: Vec<OperandView<'_, T>> = operands.iter().map(Operand::view).collect();
    let key = settings.key;
    match work {
        Work::Float => Ok((plan.run(views)?.into(), None)),
        Work::Quantized(config) if operands.iter().any(|operand| matches!(operand, Operand::Frozen(_))) => {
            // By the equation as it is written, for which operands are frozen; its plan is this one.
            let equation = equation.clone().with_path(plan.path().clone()).with_config(config.clone());
            let result = match key {
                Some(key) => equation.run_with_key(views, key),
                None => equation.run(views),
            };
            Ok((result?.into(), None))
        }
        Work::Quantized(config) => Ok((plan.run_quantized(views, config, key)?.into(), None)),
        Work::Measured(config) => {
            let exact = plan.run(views.clone())?;
            let mut calls = Vec::new();
            let result = plan.run_measured(views, config, key, |_, error| calls.push(error))?;
            let report = Report { calls, result: QuantizationError::between(&exact, &result) };
            Ok((result.into(), Some(report)))
        }
    }
}

/// An operand of a run whose element type is known.
enum Operand<T> {
    Array(ArrayD<T>),
    Frozen(Box<Frozen>),
}

impl<T: Element> Operand<T>
where
    ArrayD<T>: TryFrom<AnyArray>,
{
    /// All were read as this type; were one not, the run would refuse the shorter list.
    fn new(loaded: Loaded) -> Option<Self> {
        match loaded {
            Loaded::Array(array) => array.try_into().ok().map(Self::Array),
            Loaded::Frozen(frozen) => Some(Self::Frozen(frozen)),
        }
    }

    fn view(&self) -> OperandView<'_, T> {
        match self {
            Self::Array(array) => OperandView::Array(array.view()),
            Self::Frozen(frozen) => OperandView::Frozen(frozen),
        }
    }
}

/// A line for each call, and one for the result.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (step, error) in self.calls.iter().enumerate() {
            writeln!(f, "call {step}: {error}")?;
        }
        writeln!(f, "result: {}", self.result)
    }
}

/// An error as data. Measures that are no numbers of JSON, such as an infinite ratio, are null.
#[derive(Serialize)]
struct Measures {
    sqnr_db: Option<f64>,
    max_error: Option<f64>,
}

impl Measures {
    fn of(error: &QuantizationError) -> Self {
        let finite = |x: f64| x.is_finite().then_some(x);
        Self { sqnr_db: finite(error.sqnr_db()), max_error: finite(error.largest()) }
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Report", 2)?;
        fields.serialize_field("calls", &self.calls.iter().map(Measures::of).collect::<Vec<_>>())?;
        fields.serialize_field("result", &Measures::of(&self.result))?;
        fields.end()
    }
}
