//! What a run says of itself: the error of quantization, and where time went.

use std::fmt;
use std::time::Duration;

use qeinsum::QuantizationError;
use serde::Serialize;
use serde::ser::{SerializeStruct as _, Serializer};

/// The error of quantization, call by call and in all.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Report {
    pub(crate) calls: Vec<QuantizationError>,
    pub(crate) result: QuantizationError,
    /// By call, that of the result were the call left in floats; where it was measured.
    pub(crate) without: Vec<QuantizationError>,
}

/// Where the time of a run went.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Times {
    /// Of each step of the plan; steps that are no calls are in what is left.
    pub(crate) per_step: Vec<f64>,
    pub(crate) all: Duration,
}

/// A line for each call, and one for the result.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (step, error) in self.calls.iter().enumerate() {
            writeln!(f, "call {step}: {error}")?;
            if let Some(without) = self.without.get(step) {
                let gain = without.sqnr_db() - self.result.sqnr_db();
                writeln!(f, "  in floats: the result would have sqnr {:.2} dB, {gain:+.2}", without.sqnr_db())?;
            }
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
        let mut fields = serializer.serialize_struct("Report", 3)?;
        fields.serialize_field("calls", &self.calls.iter().map(Measures::of).collect::<Vec<_>>())?;
        fields.serialize_field("result", &Measures::of(&self.result))?;
        if self.without.is_empty() {
            fields.skip_field("result_without_call")?;
        } else {
            let without: Vec<_> = self.without.iter().map(Measures::of).collect();
            fields.serialize_field("result_without_call", &without)?;
        }
        fields.end()
    }
}
