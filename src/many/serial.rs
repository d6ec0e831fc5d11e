//! The JSON form of a joint plan: for programs that read it. The plan of each equation is there as a whole, in the form that
//! [`Plan::from_json`] loads.

use serde::{Serialize, Serializer};

use crate::dtype::Dtype;
use crate::lower::{CommonStep, Op, PLAN_FORMAT, PLANNER_VERSION, Plan, ValueId};
use crate::path::Cost;
use crate::sizes::Shape;

use super::plan::{JointCertificate, ManyPlan};

#[derive(Serialize)]
struct Document<'p> {
    format: u32,
    planner: u32,
    operands: &'p [Shape],
    dtype: Dtype,
    equations: Vec<DocumentEquation<'p>>,
    steps: Vec<DocumentStep>,
    cost: DocumentCost<'p>,
    optimal: bool,
    certificate: &'static str,
}

#[derive(Serialize)]
struct DocumentEquation<'p> {
    /// The common operand that each of its operands is.
    operands: &'p [usize],
    /// The value that it is.
    result: ValueId,
    plan: &'p Plan,
}

#[derive(Serialize)]
struct DocumentStep {
    result: ValueId,
    op: &'static str,
    inputs: Vec<ValueId>,
    /// The equations that have it, and the step that it is in their plans.
    places: Vec<[usize; 2]>,
}

#[derive(Serialize)]
struct DocumentCost<'p> {
    multiplications: &'p Cost,
    multiplications_alone: &'p Cost,
    peak_bytes: Option<u64>,
}

impl Serialize for ManyPlan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let equations = self.plans.iter().zip(&self.operands).zip(self.outputs());
        let document = Document {
            format: PLAN_FORMAT,
            planner: PLANNER_VERSION,
            operands: self.shapes(),
            dtype: self.dtype(),
            equations: equations
                .map(|((plan, operands), &result)| DocumentEquation { operands, result, plan })
                .collect(),
            steps: self.steps().iter().map(step).collect(),
            cost: DocumentCost {
                multiplications: self.multiplications(),
                multiplications_alone: self.multiplications_alone(),
                peak_bytes: self.peak_bytes(),
            },
            optimal: self.certificate().is_optimal(),
            certificate: match self.certificate() {
                JointCertificate::Optimal => "optimal",
                JointCertificate::Unproved => "unproved",
                JointCertificate::Given => "given",
            },
        };
        document.serialize(serializer)
    }
}

fn step(step: &CommonStep) -> DocumentStep {
    let op = match step.op() {
        Op::Squeeze { .. } => "squeeze",
        Op::ReduceSum { .. } => "reduce_sum",
        Op::Diagonal { .. } => "diagonal",
        Op::Transpose { .. } => "transpose",
        Op::DotGeneral { .. } => "dot_general",
    };
    let places = step.places().iter().map(|place| [place.plan, place.step]).collect();
    DocumentStep { result: step.result(), op, inputs: step.op().inputs().collect(), places }
}

impl ManyPlan {
    /// The plan as JSON, as `qeinsum many --format json` prints it.
    ///
    /// ```
    /// use qeinsum::{Plan, QEinsum};
    /// let plan = QEinsum::many(&[("ij,jk->ik", &[0, 1]), ("ij,jk->", &[0, 1])])?.plan(&[&[2, 3], &[3, 4]])?;
    /// let json: serde_json::Value = serde_json::from_str(&plan.to_json()).expect("it is JSON");
    /// assert_eq!(Plan::from_json(&json["equations"][1]["plan"].to_string())?, plan.plans()[1]);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    #[expect(clippy::missing_panics_doc, reason = "it cannot: nothing in a plan fails to serialize")]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("keys of a plan are strings, and its floats finite or absent")
    }
}
