//! The text of a plan: made to be read, compared and snapshot.
//!
//! Labels are the types; axis pairs stand only where they decide; costs are exact; nothing is padded to match another
//! line, so that a change of one step changes one line.

use std::fmt::{self, Write};

use crate::equation::Label;
use crate::path::{Certificate, Cost};

use super::orient::Orientation;
use super::plan::{Op, Plan, Value, ValueId};
use super::schedule::{Gathering, Stage};

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_plan(f, self, |_, _, _| Ok(()))
    }
}

/// Writes a plan, calling `below` after each step's line with its number, and the space that stands before it, for lines to
/// stand beneath it.
pub(crate) fn write_plan<W: Write>(
    f: &mut W,
    plan: &Plan,
    below: impl FnMut(&mut W, usize, &str) -> fmt::Result,
) -> fmt::Result {
    writeln!(f, "einsum {}", plan.equation)?;
    let sizes: Vec<String> = plan
        .equation
        .labels()
        .map(|label| format!("{}={}", plan.equation.joined(&[label], ""), plan.sizes.extent(label)))
        .collect();
    if !sizes.is_empty() {
        writeln!(f, "sizes {}", sizes.join(" "))?;
    }
    write_body(f, plan, below)?;
    write_totals(f, plan, &format!("{} mul", plan.multiplications()))?;
    let extents = plan.equation.labels().map(|label| plan.sizes.extent(label));
    let naive = extents.fold(Cost::ONE, |product, extent| product * Cost::from(extent));
    if !plan.found.path.steps().is_empty() && naive != *plan.multiplications() {
        write!(f, " (naive {naive})")?;
    }
    f.write_char('\n')?;
    write_certificate(f, plan)
}

/// A line that says so where the path is not proved optimal; of one or two operands there is only one.
pub(super) fn write_certificate<W: Write>(f: &mut W, plan: &Plan) -> fmt::Result {
    if !plan.found.ended.is_repeatable() {
        writeln!(f, "; {}", plan.found.ended)?;
    }
    match plan.certificate() {
        Certificate::Optimal => Ok(()),
        Certificate::Given | Certificate::Family if plan.equation.operands().len() < 3 => Ok(()),
        Certificate::Given => writeln!(f, "; path given, not searched"),
        certificate => writeln!(f, "; path {certificate}"),
    }
}

/// The lines from the path to the return, which the symbolic view shares.
pub(super) fn write_body<W: Write>(
    f: &mut W,
    plan: &Plan,
    mut below: impl FnMut(&mut W, usize, &str) -> fmt::Result,
) -> fmt::Result {
    writeln!(f, "path {}", plan.found.path)?;
    let slices: Vec<Label> = plan.slices.iter().map(|slice| slice.label).collect();
    if !slices.is_empty() {
        writeln!(f, "slices {}", plan.equation.joined(&slices, " "))?;
    }
    if !plan.found.leading.is_empty() {
        writeln!(f, "sums {} first", plan.equation.joined(&plan.found.leading, " "))?;
    }
    for (operand, value) in plan.values[..plan.equation.operands().len()].iter().enumerate() {
        writeln!(f, "%{operand}: {}", binder(plan, value))?;
    }
    write_stages(f, plan, &plan.schedule(), &mut Nesting::default(), &mut below)?;
    write!(f, "return {}", plan.output)?;
    let parts = slices.iter().copied().filter(|label| plan.equation.output().contains(label));
    for (at, label) in parts.enumerate() {
        write!(f, "{} {}", if at == 0 { " joined along" } else { "," }, plan.equation.joined(&[label], ""))?;
    }
    f.write_char('\n')
}

/// The loops around a line.
#[derive(Default)]
struct Nesting {
    depth: usize,
    /// Results that they add to.
    sums: Vec<ValueId>,
}

impl Nesting {
    /// The space before a line.
    fn indent(&self) -> String {
        "  ".repeat(self.depth)
    }
}

fn write_stages<W: Write>(
    f: &mut W,
    plan: &Plan,
    stages: &[Stage],
    nesting: &mut Nesting,
    below: &mut impl FnMut(&mut W, usize, &str) -> fmt::Result,
) -> fmt::Result {
    for stage in stages {
        let indent = nesting.indent();
        match stage {
            Stage::Step(number) => {
                let step = &plan.steps[*number];
                let value = &plan.values[step.result.index()];
                let equals = if nesting.sums.contains(&step.result) { "+=" } else { "=" };
                writeln!(f, "{indent}{}: {} {equals} {}", step.result, binder(plan, value), operation(&step.op))?;
                below(f, *number, &indent)?;
            }
            Stage::Loop(inner) => {
                let slice = inner.slice();
                writeln!(f, "{indent}for {} in {}", plan.equation.joined(&[slice.label], ""), slice.size)?;
                if inner.gathering() == Gathering::Sum {
                    nesting.sums.push(inner.result());
                }
                nesting.depth += 1;
                write_stages(f, plan, inner.body(), nesting, below)?;
                nesting.depth -= 1;
            }
        }
    }
    Ok(())
}

/// `; 2 calls, 1 swapped, ` and the cost, without the end of the line.
pub(super) fn write_totals<W: Write>(f: &mut W, plan: &Plan, cost: &str) -> fmt::Result {
    let calls = plan.calls().count();
    let plural = if calls == 1 { "" } else { "s" };
    write!(f, "; {calls} call{plural}, {} swapped, {cost}", plan.swapped_calls())
}

/// `[b,i,j]`; an axis that measures 1 where its label measures more reads `b:1`.
pub(crate) fn binder(plan: &Plan, value: &Value) -> String {
    let axis = |(label, &extent): (&Label, &usize)| {
        let name = plan.equation.joined(&[*label], "");
        if extent == plan.sizes.extent(*label) { name } else { format!("{name}:{extent}") }
    };
    let axes: Vec<String> = value.labels.iter().zip(&value.shape).map(axis).collect();
    format!("[{}]", axes.join(","))
}

/// What a step does to which values.
pub(crate) fn operation(op: &Op) -> String {
    let list = |axes: &[usize]| {
        let axes: Vec<String> = axes.iter().map(ToString::to_string).collect();
        format!("[{}]", axes.join(","))
    };
    match op {
        Op::Squeeze { input, axes } => format!("squeeze {input} {}", list(axes)),
        Op::ReduceSum { input, axes } => format!("reduce_sum {input} {}", list(axes)),
        Op::Diagonal { input, axes } => format!("diagonal {input} {}", list(axes)),
        Op::Transpose { input, permutation } => format!("transpose {input} {}", list(permutation)),
        Op::DotGeneral { lhs, rhs, dims, orientation } => {
            let mut text = format!("dot_general {lhs}, {rhs}");
            let dims = dims.to_string();
            if !dims.is_empty() {
                text.push(' ');
                text.push_str(&dims);
            }
            if *orientation == Orientation::Swapped {
                text.push_str(" swapped");
            }
            text
        }
    }
}
