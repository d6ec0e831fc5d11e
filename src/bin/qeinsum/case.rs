//! One run: an equation, the files of its operands, and the file of its result.

use std::ffi::{OsStr, OsString};
use std::fmt;

use ndarray::{ArrayD, ArrayViewD};
use qeinsum::io::{self, AnyArray};
use qeinsum::parse::Note;
use qeinsum::{Dtype, Element, Plan, QEinsum, QuantizationError};
use serde::Serialize;
use serde::ser::{SerializeStruct as _, Serializer};

use crate::failure::Failure;
use crate::inputs::Inputs;
use crate::memory::{self, Work};
use crate::settings::Settings;

/// What to run.
pub(crate) struct Case<'a> {
    pub(crate) equation: QEinsum,
    pub(crate) inputs: &'a [OsString],
    pub(crate) out: &'a OsStr,
    pub(crate) work: Work<'a>,
}

/// What there is to say of a run that was done.
pub(crate) struct Done {
    pub(crate) notes: Vec<Note>,
    pub(crate) plan: Plan,
    /// That of [`Work::Measured`].
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
        let inputs = Inputs::open(self.inputs)?;
        let shapes = inputs.shapes();
        let (equation, sizes) = self.equation.bind(&shapes)?;
        let ranks: Vec<usize> = shapes.iter().map(|shape| shape.len()).collect();
        let notes = self.equation.notes(&ranks)?;
        let dtype = inputs.dtype(settings.cast)?;
        io::check_output(self.out, dtype)?;
        let plan = settings.plan(&equation, &sizes, dtype)?;
        if let Some(config) = self.work.config() {
            plan.check_config(config)?;
        }
        let adds_noise = |config| plan.call_configs(config).iter().any(|call| call.forward.needs_key());
        if settings.key.is_none() && self.work.config().is_some_and(adds_noise) {
            return Err(Failure::Request("the configuration adds noise: give `--seed`".to_owned()));
        }
        memory::check(&plan, dtype, self.work, inputs.converted_bytes(dtype), settings.limit)?;
        let arrays = inputs.load(dtype, settings.nonfinite)?;
        let compute = match dtype {
            Dtype::F32 => compute::<f32>,
            Dtype::F64 => compute::<f64>,
            Dtype::F16 => compute::<half::f16>,
            Dtype::Bf16 => compute::<half::bf16>,
        };
        let (result, report) = compute(&plan, arrays, settings, self.work)?;
        io::save(self.out, &result)?;
        Ok(Done { notes, plan, report })
    }
}

fn compute<T: Element>(
    plan: &Plan,
    arrays: Vec<AnyArray>,
    settings: &Settings<'_>,
    work: Work<'_>,
) -> Result<(AnyArray, Option<Report>), Failure>
where
    AnyArray: From<ArrayD<T>>,
    ArrayD<T>: TryFrom<AnyArray>,
{
    // All were read as this type; were one not, the run would refuse the shorter list.
    let arrays: Vec<ArrayD<T>> = arrays.into_iter().filter_map(|array| array.try_into().ok()).collect();
    let views: Vec<ArrayViewD<'_, T>> = arrays.iter().map(|array| array.view()).collect();
    let key = settings.key;
    match work {
        Work::Float => Ok((plan.run(&views)?.into(), None)),
        Work::Quantized(config) => Ok((plan.run_quantized(&views, config, key)?.into(), None)),
        Work::Measured(config) => {
            let exact = plan.run(&views)?;
            let mut calls = Vec::new();
            let result = plan.run_measured(&views, config, key, |_, error| calls.push(error))?;
            let report = Report { calls, result: QuantizationError::between(&exact, &result) };
            Ok((result.into(), Some(report)))
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
