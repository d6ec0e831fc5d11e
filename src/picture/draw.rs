//! A plan becomes a drawing: what is said of each value, in words and shares.

use std::fmt::Write as _;

use crate::equation::Label;
use crate::exec::QuantizationError;
use crate::lower::{Op, Orientation, Plan, Stage, Step, Value, binder, operation, write_plan};
use crate::path::{Cost, Speeds};
use crate::quant::QuantConfig;

use super::drawing::{Call, Drawing, Heading, Kind, Line, Link, Node, Role, Schedule, Sides, Unary};
use super::facts::{self, Knowledge, brief};
use super::numbers::{self, share};

/// Says everything that a picture of the plan shows.
pub(super) fn draw(
    plan: &Plan,
    config: Option<&QuantConfig>,
    speeds: &Speeds,
    errors: &[QuantizationError],
) -> Drawing {
    let knowledge = Knowledge::new(plan, config, speeds, errors);
    let loops = loops(plan);
    let dearest = plan.cost().per_step.iter().map(|step| &step.multiplications).max().cloned().unwrap_or(Cost::ZERO);
    let mut nodes: Vec<Node> =
        (0..plan.equation().operands().len()).map(|operand| operand_node(plan, operand)).collect();
    let mut call = 0;
    for (number, step) in plan.steps().iter().enumerate() {
        let kind = match step.op() {
            Op::Squeeze { .. } => Kind::Unary(Unary::Squeeze),
            Op::ReduceSum { .. } => Kind::Unary(Unary::ReduceSum),
            Op::Diagonal { .. } => Kind::Unary(Unary::Diagonal),
            Op::Transpose { .. } => Kind::Unary(Unary::Transpose),
            Op::DotGeneral { orientation, .. } => {
                let cost = &plan.cost().per_step[call].multiplications;
                call += 1;
                Kind::Call(Call {
                    sides: match orientation {
                        Orientation::AsWritten => Sides::AsWritten,
                        Orientation::Swapped => Sides::Swapped,
                    },
                    cost: format!("{} mul", numbers::count(cost)),
                    share: share(cost, plan.multiplications()),
                    of_dearest: share(cost, &dearest),
                    quantized: brief(&knowledge, number),
                })
            }
        };
        let loops = loops[number].iter().map(|label| plan.equation().joined(&[*label], "")).collect();
        nodes.push(step_node(&knowledge, number, kind, loops));
    }
    Drawing {
        heading: heading(plan, config, &knowledge.predicted()),
        nodes,
        output: plan.output().index(),
        schedule: Schedule { bytes: plan.bytes_per_step(), time: knowledge.time_shares() },
        lines: lines(plan, &knowledge),
    }
}

/// `64×8`.
pub(super) fn shape(value: &Value) -> String {
    let sizes: Vec<String> = value.shape().iter().map(ToString::to_string).collect();
    if sizes.is_empty() { "scalar".to_owned() } else { sizes.join("×") }
}

/// The names of labels, each once.
fn names(plan: &Plan, labels: &[Label]) -> Vec<String> {
    let mut names: Vec<String> = labels.iter().map(|label| plan.equation().joined(&[*label], "")).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn operand_node(plan: &Plan, operand: usize) -> Node {
    let value = &plan.values()[operand];
    Node {
        id: operand,
        kind: Kind::Operand,
        line: operand_line(plan, operand),
        made: format!("operand {operand}"),
        axes: binder(plan, value),
        shape: shape(value),
        labels: names(plan, value.labels()),
        links: Vec::new(),
        loops: Vec::new(),
        facts: facts::operand(plan, operand),
    }
}

fn step_node(knowledge: &Knowledge<'_>, number: usize, kind: Kind, loops: Vec<String>) -> Node {
    let plan = knowledge.plan();
    let step = &plan.steps()[number];
    let value = plan.value(step.result());
    let links = match step.op() {
        Op::DotGeneral { lhs, rhs, .. } => {
            vec![Link { from: lhs.index(), role: Role::Lhs }, Link { from: rhs.index(), role: Role::Rhs }]
        }
        unary => unary.inputs().map(|input| Link { from: input.index(), role: Role::Input }).collect(),
    };
    let mut labels = value.labels().to_vec();
    for link in &links {
        labels.extend_from_slice(plan.values()[link.from].labels());
    }
    Node {
        id: step.result().index(),
        kind,
        line: format!("{}: {} = {}", step.result(), binder(plan, value), operation(step.op())),
        made: made(plan, step),
        axes: binder(plan, value),
        shape: shape(value),
        labels: names(plan, &labels),
        links,
        facts: facts::step(knowledge, number, &loops),
        loops,
    }
}

/// An operation by the names of its labels, where its axes are for the details.
fn made(plan: &Plan, step: &Step) -> String {
    let Op::DotGeneral { lhs, rhs, dims, .. } = step.op() else { return operation(step.op()) };
    let side = plan.value(*lhs);
    let labels = |axes: &[usize]| {
        let labels: Vec<Label> = axes.iter().map(|&axis| side.labels()[axis]).collect();
        plan.equation().joined(&labels, ",")
    };
    let mut text = format!("lhs {lhs}, rhs {rhs}");
    for (word, axes) in [("batch", dims.lhs_batch()), ("sums", dims.lhs_contracting())] {
        if !axes.is_empty() {
            // Writing to a String cannot fail.
            let _ = write!(text, ", {word} {}", labels(&axes));
        }
    }
    text
}

/// The loops around each step, outermost first.
fn loops(plan: &Plan) -> Vec<Vec<Label>> {
    let mut loops = vec![Vec::new(); plan.steps().len()];
    let schedule = plan.schedule();
    let mut pending: Vec<(&[Stage], Vec<Label>)> = vec![(schedule.as_slice(), Vec::new())];
    while let Some((stages, around)) = pending.pop() {
        for stage in stages {
            match stage {
                Stage::Step(step) => loops[*step].clone_from(&around),
                Stage::Loop(inner) => {
                    let mut within = around.clone();
                    within.push(inner.slice().label);
                    pending.push((inner.body(), within));
                }
            }
        }
    }
    loops
}

fn heading(plan: &Plan, config: Option<&QuantConfig>, predicted: &str) -> Heading {
    let equation = plan.equation();
    let sizes: Vec<String> = equation
        .labels()
        .map(|label| format!("{}={}", equation.joined(&[label], ""), plan.sizes().extent(label)))
        .collect();
    let calls = plan.calls().count();
    let plural = if calls == 1 { "" } else { "s" };
    let mut totals = vec![format!(
        "{calls} call{plural}, {} swapped, {} mul",
        plan.swapped_calls(),
        numbers::count(plan.multiplications())
    )];
    let kind = if config.is_some() { "quantized" } else { "not quantized" };
    let memory = plan.peak_bytes().map_or_else(|| "more than 2^64 bytes".to_owned(), numbers::bytes);
    totals.push(format!("{} values, {kind}, at most {memory} at a time", plan.dtype()));
    totals.push(format!("predicted {predicted}"));
    let slices: Vec<String> = plan
        .slices()
        .iter()
        .map(|slice| format!("{} in {}", equation.joined(&[slice.label], ""), slice.size))
        .collect();
    if !slices.is_empty() {
        totals.push(format!("slices: {}", slices.join(", ")));
    }
    totals.push(format!("path {}", plan.certificate()));
    Heading { equation: equation.to_string(), sizes: sizes.join(" "), totals }
}

/// The text of the plan by lines, with what quantization does where it is asked for.
fn lines(plan: &Plan, knowledge: &Knowledge<'_>) -> Vec<Line> {
    let mut text = String::new();
    let mut of_steps = Vec::new();
    // Writing to a String cannot fail.
    let _ = write_plan(&mut text, plan, |text: &mut String, number, indent| {
        of_steps.push((text.len() - 1, number));
        for line in knowledge.quantization(number) {
            writeln!(text, "{indent}  {line}")?;
        }
        Ok(())
    });
    let operands = plan.equation().operands().len();
    let mut lines = Vec::new();
    let mut of_steps = of_steps.into_iter().peekable();
    let (mut at, mut operand) = (0, 0);
    for line in text.lines() {
        at += line.len();
        let step = of_steps.next_if(|(end, _)| *end == at);
        at += 1;
        let value = match step {
            Some((_, number)) => Some(plan.steps()[number].result().index()),
            None if operand < operands && line == operand_line(plan, operand) => {
                operand += 1;
                Some(operand - 1)
            }
            None => None,
        };
        lines.push(Line { text: line.to_owned(), value });
    }
    lines
}

fn operand_line(plan: &Plan, operand: usize) -> String {
    format!("%{operand}: {}", binder(plan, &plan.values()[operand]))
}
