//! The JSON form of a plan: everything that its text says and all that is needed to load it again.
//!
//! A loaded plan is rebuilt from its equation, shapes, path and steps; what can be derived (costs, values' labels) is
//! derived again and must agree. Of what it claims to have been proved, only what can be seen at once is checked: a bound above
//! the cost of the plan itself, and a cheaper path of few operands.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::dtype::Dtype;
use crate::equation::{Equation, Label, Subscript, Syntax};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::ContractionGraph;
use crate::path::{Certificate, Cost, Ended, Found, Objective, Path, SearchOptions, Slicing, search};
use crate::sizes::{Shape, Sizes};
use crate::unique;

use super::dims::{Axes, DimensionNumbers};
use super::orient::Orientation;
use super::plan::{Group, Layout, Op, Plan, Slice, Step, Value, ValueId};
use super::verify::verify;

/// Version of the JSON form. A reader refuses others.
///
/// ```
/// use qeinsum::{PLANNER_VERSION, PLAN_FORMAT, QEinsum};
/// let text = QEinsum::new("ij->ji")?.plan(&[&[2, 3]])?.to_json();
/// assert!(text.contains(&format!("\"format\": {PLAN_FORMAT}")));
/// assert!(text.contains(&format!("\"planner\": {PLANNER_VERSION}")));
/// # Ok::<(), qeinsum::Error>(())
/// ```
pub const PLAN_FORMAT: u32 = 1;

/// Version of the planner: the same version gives the same order for the same equation, sizes and options.
///
/// ```
/// // Orders that were saved by another version may be found no more.
/// assert_eq!(qeinsum::PLANNER_VERSION, 2);
/// ```
pub const PLANNER_VERSION: u32 = 2;

#[derive(Serialize, Deserialize)]
struct Document {
    format: u32,
    planner: u32,
    equation: String,
    syntax: DocumentSyntax,
    inputs: Vec<Vec<String>>,
    output: Vec<String>,
    #[serde(deserialize_with = "unique::entries")]
    sizes: BTreeMap<String, usize>,
    shapes: Vec<Shape>,
    dtype: Dtype,
    path: Vec<Vec<usize>>,
    ssa_path: Vec<Vec<usize>>,
    values: Vec<DocumentValue>,
    steps: Vec<DocumentStep>,
    result: ValueId,
    cost: DocumentCost,
    objective: Objective,
    optimal: bool,
    certificate: Certificate,
    #[serde(default, skip_serializing_if = "Ended::is_repeatable")]
    ended: Ended,
    slices: Vec<DocumentSlice>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    leading: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum DocumentSyntax {
    Compact,
    Named,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DocumentValue {
    labels: Vec<String>,
    shape: Shape,
    dtype: Dtype,
    layout: Layout,
}

#[derive(Serialize, Deserialize)]
struct DocumentStep {
    result: ValueId,
    group: Group,
    #[serde(flatten)]
    op: DocumentOp,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "lives only while a plan is written or read")]
enum DocumentOp {
    Squeeze {
        input: ValueId,
        axes: Axes,
    },
    ReduceSum {
        input: ValueId,
        axes: Axes,
    },
    Diagonal {
        input: ValueId,
        axes: Axes,
    },
    Transpose {
        input: ValueId,
        permutation: Axes,
    },
    DotGeneral {
        lhs: ValueId,
        rhs: ValueId,
        swapped: bool,
        dimension_numbers: DocumentDims,
        multiplications: Cost,
        elements: Cost,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DocumentDims {
    lhs_contracting: Axes,
    rhs_contracting: Axes,
    lhs_batch: Axes,
    rhs_batch: Axes,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DocumentCost {
    multiplications: Cost,
    log10_multiplications: Option<f64>,
    log2_size: Option<f64>,
    peak_bytes: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DocumentSlice {
    label: String,
    size: usize,
}

impl Serialize for Plan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        document(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Plan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        rebuild(Document::deserialize(deserializer)?).map_err(|error| de::Error::custom(error.message()))
    }
}

impl Plan {
    /// The plan as JSON, as `qeinsum plan --format json` prints it.
    #[expect(clippy::missing_panics_doc, reason = "it cannot: nothing in a plan fails to serialize")]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("keys of a plan are strings, and its floats finite or absent")
    }

    /// Loads a plan written by [`to_json`](Self::to_json) and verifies it.
    ///
    /// ```
    /// use qeinsum::{Plan, QEinsum};
    /// let plan = QEinsum::new("ij,jk->ki")?.plan(&[&[2, 3], &[3, 4]])?;
    /// assert_eq!(Plan::from_json(&plan.to_json())?, plan);
    /// assert!(Plan::from_json(&plan.to_json().replace("\"swapped\": true", "\"swapped\": false")).is_err());
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn from_json(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|error| {
            let shown = crate::span::printable_text(&error.to_string(), 300);
            Error::new(ErrorKind::Plan, format!("this is no plan: {shown}"))
        })
    }

    /// Checks the plan from its equation up; a plan that this crate made or loaded always passes.
    ///
    /// ```
    /// let plan = qeinsum::QEinsum::new("ij,jk->ki")?.plan(&[&[2, 3], &[3, 4]])?;
    /// plan.verify()?;
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn verify(&self) -> Result<()> {
        verify(self).map_err(Error::from)
    }
}

fn document(plan: &Plan) -> Document {
    let names = |labels: &[Label]| -> Vec<String> {
        labels.iter().map(|&label| plan.equation.name(label).to_owned()).collect()
    };
    let cost = &plan.found.cost;
    let mut per_step = cost.per_step.iter();
    let steps = plan.steps.iter().map(|step| DocumentStep {
        result: step.result,
        group: step.group,
        op: match &step.op {
            Op::Squeeze { input, axes } => DocumentOp::Squeeze { input: *input, axes: axes.clone() },
            Op::ReduceSum { input, axes } => DocumentOp::ReduceSum { input: *input, axes: axes.clone() },
            Op::Diagonal { input, axes } => DocumentOp::Diagonal { input: *input, axes: axes.clone() },
            Op::Transpose { input, permutation } => {
                DocumentOp::Transpose { input: *input, permutation: permutation.clone() }
            }
            Op::DotGeneral { lhs, rhs, dims, orientation } => {
                let (multiplications, elements) = per_step
                    .next()
                    .map_or((Cost::ZERO, Cost::ZERO), |step| (step.multiplications.clone(), step.elements.clone()));
                DocumentOp::DotGeneral {
                    lhs: *lhs,
                    rhs: *rhs,
                    swapped: *orientation == Orientation::Swapped,
                    dimension_numbers: DocumentDims {
                        lhs_contracting: dims.lhs_contracting(),
                        rhs_contracting: dims.rhs_contracting(),
                        lhs_batch: dims.lhs_batch(),
                        rhs_batch: dims.rhs_batch(),
                    },
                    multiplications,
                    elements,
                }
            }
        },
    });
    Document {
        format: PLAN_FORMAT,
        planner: PLANNER_VERSION,
        equation: plan.equation.to_string(),
        syntax: match plan.equation.syntax() {
            Syntax::Compact => DocumentSyntax::Compact,
            Syntax::Named => DocumentSyntax::Named,
        },
        inputs: plan.equation.operands().iter().map(|labels| names(labels)).collect(),
        output: names(plan.equation.output()),
        sizes: plan
            .equation
            .labels()
            .map(|label| (plan.equation.name(label).to_owned(), plan.sizes.extent(label)))
            .collect(),
        shapes: plan.sizes.shapes().to_vec(),
        dtype: plan.dtype,
        path: plan.found.path.to_lists(),
        ssa_path: plan.found.path.to_ssa_lists(),
        values: plan
            .values
            .iter()
            .map(|value| DocumentValue {
                labels: names(&value.labels),
                shape: value.shape.clone(),
                dtype: value.dtype,
                layout: value.layout.clone(),
            })
            .collect(),
        steps: steps.collect(),
        result: plan.output,
        cost: DocumentCost {
            multiplications: cost.multiplications.clone(),
            log10_multiplications: finite(cost.multiplications.log10()),
            log2_size: finite(cost.largest.log2()),
            peak_bytes: plan.peak_bytes(),
        },
        objective: plan.found.objective,
        optimal: plan.found.certificate == Certificate::Optimal,
        certificate: plan.found.certificate.clone(),
        ended: plan.found.ended,
        leading: names(&plan.found.leading),
        slices: plan
            .slices
            .iter()
            .map(|slice| DocumentSlice { label: plan.equation.name(slice.label).to_owned(), size: slice.size })
            .collect(),
    }
}

/// The logarithm of 0 is no JSON number.
fn finite(logarithm: f64) -> Option<f64> {
    logarithm.is_finite().then_some(logarithm)
}

fn rebuild(document: Document) -> Result<Plan> {
    let wrong = |reason: &str| Error::new(ErrorKind::Plan, format!("the plan {reason}"));
    if document.format != PLAN_FORMAT {
        let message = format!("the plan has format {}, but this version reads format {PLAN_FORMAT}", document.format);
        return Err(Error::new(ErrorKind::Plan, message));
    }
    let syntax = match document.syntax {
        DocumentSyntax::Compact => Syntax::Compact,
        DocumentSyntax::Named => Syntax::Named,
    };
    let equation = Equation::from_names(syntax, &document.inputs, &document.output)
        .map_err(|error| Error::new(ErrorKind::Plan, error.to_string()))?;
    let sizes = Sizes::bind(&equation, &document.shapes).map_err(Error::from)?;
    let stated = |label: Label| document.sizes.get(equation.name(label)) == Some(&sizes.extent(label));
    if document.equation != equation.to_string() || !equation.labels().all(stated) {
        return Err(wrong("has an equation or sizes that its inputs and shapes do not give"));
    }
    if document.sizes.len() != equation.labels().len() {
        return Err(wrong("has sizes of labels that it does not have"));
    }
    let mut slices = Vec::with_capacity(document.slices.len());
    for DocumentSlice { label, size } in &document.slices {
        let label = equation.label(label).filter(|&label| sizes.extent(label) == *size);
        let label =
            label.ok_or_else(|| wrong("slices a label that it does not have, or that measures something else"))?;
        slices.push(Slice { label, size: *size });
    }
    let sliced: Vec<Label> = slices.iter().map(|slice| slice.label).collect();
    let pairs = match document.path.as_slice() {
        [only] if only == &[0] => Vec::new(),
        steps => steps
            .iter()
            .map(|pair| <[usize; 2]>::try_from(pair.as_slice()))
            .collect::<Result<_, _>>()
            .map_err(|_| wrong("has a path that is not made of pairs"))?,
    };
    let path = Path::new(pairs)?;
    if path.to_lists() != document.path || path.to_ssa_lists() != document.ssa_path {
        return Err(wrong("has an ssa_path other than its path"));
    }
    if path.operands() != equation.operands().len() {
        return Err(wrong("has a path over another number of operands"));
    }
    let label = |name: &String| equation.label(name).ok_or_else(|| wrong("names a label it does not have"));
    let leading: Vec<Label> = document.leading.iter().map(label).collect::<Result<_>>()?;
    let slicing = Slicing::new(&ContractionGraph::new(&equation, &sizes), &path, &[])?.summing_first(&leading);
    slicing.check(&sliced).map_err(|fault| fault.error(&equation).within("the plan"))?;
    let cost = slicing.cost(&sliced);
    if cost.multiplications != document.cost.multiplications {
        return Err(wrong("states a cost that its path does not have"));
    }
    let subscript = |names: &[String]| -> Result<Subscript> {
        names.iter().map(|name| equation.label(name).ok_or_else(|| wrong("names a label it does not have"))).collect()
    };
    let mut values = Vec::with_capacity(document.values.len());
    for value in document.values {
        let labels = subscript(&value.labels)?;
        if labels.len() != value.shape.len() {
            return Err(wrong("has a value whose shape does not fit its labels"));
        }
        values.push(Value { labels, shape: value.shape, dtype: value.dtype, layout: value.layout });
    }
    let mut steps = Vec::with_capacity(document.steps.len());
    let mut per_step = cost.per_step.iter();
    for step in document.steps {
        if let DocumentOp::DotGeneral { multiplications, elements, .. } = &step.op
            && per_step
                .next()
                .is_none_or(|known| (multiplications, elements) != (&known.multiplications, &known.elements))
        {
            return Err(wrong("states costs of a step that it does not have"));
        }
        steps.push(Step { op: operation(step.op)?, result: step.result, group: step.group });
    }
    let (objective, certificate) = (document.objective, document.certificate);
    let found = Found { path, cost, objective, certificate, ended: document.ended, slices: sliced, leading };
    let output = document.result;
    if output.index() >= values.len() {
        return Err(wrong("returns a value that it does not have"));
    }
    let plan = Plan { equation, sizes, found, dtype: document.dtype, values, steps, output, slices };
    verify(&plan)?;
    if document.cost.peak_bytes != plan.peak_bytes() || document.optimal != plan.certificate().is_optimal() {
        return Err(wrong("states a peak or a proof that it does not have"));
    }
    check_claim(&plan)?;
    Ok(plan)
}

/// Operands of a plan whose proof is made again when it is loaded, which takes some thousandths of a second at most.
const PROVED_AGAIN: usize = 8;

/// An error where a plan claims to be cheaper than it can be, or optimal though another is cheaper.
fn check_claim(plan: &Plan) -> Result<()> {
    let multiplications = &plan.found.cost.multiplications;
    let is_false = match &plan.found.certificate {
        Certificate::Unproved { lower_bound } if plan.found.objective == Objective::Mul => {
            lower_bound > multiplications
        }
        Certificate::Optimal
            if plan.found.objective == Objective::Mul && plan.equation.operands().len() <= PROVED_AGAIN =>
        {
            let graph = ContractionGraph::new(&plan.equation, &plan.sizes);
            search(&graph, &SearchOptions::new())?.cost.multiplications < *multiplications
        }
        _ => false,
    };
    if is_false {
        return Err(Error::new(ErrorKind::Plan, "the plan claims a proof that its path does not have"));
    }
    Ok(())
}

fn operation(op: DocumentOp) -> Result<Op> {
    Ok(match op {
        DocumentOp::Squeeze { input, axes } => Op::Squeeze { input, axes },
        DocumentOp::ReduceSum { input, axes } => Op::ReduceSum { input, axes },
        DocumentOp::Diagonal { input, axes } => Op::Diagonal { input, axes },
        DocumentOp::Transpose { input, permutation } => Op::Transpose { input, permutation },
        DocumentOp::DotGeneral { lhs, rhs, swapped, dimension_numbers: dims, .. } => {
            if dims.lhs_batch.len() != dims.rhs_batch.len() || dims.lhs_contracting.len() != dims.rhs_contracting.len()
            {
                let message = "the plan has dimension numbers whose sides differ in length";
                return Err(Error::new(ErrorKind::Plan, message));
            }
            let dims = DimensionNumbers::new(
                dims.lhs_batch.into_iter().zip(dims.rhs_batch),
                dims.lhs_contracting.into_iter().zip(dims.rhs_contracting),
            )?;
            let orientation = if swapped { Orientation::Swapped } else { Orientation::AsWritten };
            Op::DotGeneral { lhs, rhs, dims, orientation }
        }
    })
}
