//! Checks that a plan computes its equation, without trusting who made it.
//!
//! Walks the steps with an abstract value per array: its labels and its extents. Each operation has a rule for what it
//! may do to labels; a label may leave (by a sum or a contraction) only when no other live value and not the output
//! has it; a value is read exactly once; the orientation and the order of every list are derived again; the costs are
//! counted again. What passes computes the equation by the rules, whatever wrote it.

use std::fmt;

use crate::equation::Label;
use crate::error::{Error, ErrorKind};
use crate::graph::ContractionGraph;
use crate::path::{Slicing, sum_order};
use crate::sizes::{Shape, Sizes};

use super::orient::orient;
use super::plan::{Layout, Op, Plan, Slice, Step, Value, ValueId};
use super::schedule::Loops;

/// What is wrong with a plan, and at which step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PlanError {
    step: Option<usize>,
    reason: String,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step {
            Some(step) => write!(f, "step {step} of the plan {}", self.reason),
            None => write!(f, "the plan {}", self.reason),
        }
    }
}

impl From<PlanError> for Error {
    fn from(error: PlanError) -> Self {
        Self::new(ErrorKind::Plan, error.to_string())
    }
}

/// `Ok` where the plan computes its equation.
pub(crate) fn verify(plan: &Plan) -> Result<(), PlanError> {
    let whole = |reason: &str| PlanError { step: None, reason: reason.to_owned() };
    let operands = plan.equation.operands().len();
    let rebound = Sizes::bind(&plan.equation, plan.sizes.shapes()).map_err(|_| whole("has shapes that do not fit"))?;
    if rebound != plan.sizes {
        return Err(whole("has sizes that its shapes do not give"));
    }
    if plan.found.path.operands() != operands {
        return Err(whole("has a path over another number of operands"));
    }
    if plan.values.len() != operands + plan.steps.len() {
        return Err(whole("does not have one value per operand and step"));
    }
    for (operand, value) in plan.values[..operands].iter().enumerate() {
        let given = (&plan.equation.operands()[operand], &plan.sizes.shapes()[operand]);
        if (&value.labels, &value.shape) != given || value.layout != Layout::Operand {
            return Err(whole("has operand values that its equation does not have"));
        }
    }
    if plan.values.iter().any(|value| value.dtype != plan.dtype) {
        return Err(whole("has values of another element type"));
    }
    let sliced: Vec<Label> = plan.slices.iter().map(|slice| slice.label).collect();
    if plan.found.slices != sliced {
        return Err(whole("has other slices than its path"));
    }
    let graph = ContractionGraph::new(&plan.equation, &plan.sizes);
    let slicing = Slicing::new(&graph, &plan.found.path, &[]).map_err(|_| whole("has a path that does not fit"))?;
    let slicing = slicing.summing_first(&plan.found.leading);
    slicing
        .check(&sliced)
        .map_err(|fault| whole(&format!("does not run: {}", fault.error(&plan.equation).message())))?;
    let mut walk = Walk::new(plan);
    for number in 0..plan.steps.len() {
        walk.step(number).map_err(|reason| PlanError { step: Some(number), reason })?;
    }
    walk.finish().map_err(|reason| PlanError { step: None, reason })?;
    if slicing.cost(&sliced) != plan.found.cost {
        return Err(whole("states a cost that its path does not have"));
    }
    check_loops(plan, &walk.whole, &slicing.loops(&sliced))
}

/// That values have the shapes, and steps the groups, that they have in the loops of their slices; and that the loops cost
/// what the path says that they do.
fn check_loops(plan: &Plan, values: &[Value], counted: &[Vec<Label>]) -> Result<(), PlanError> {
    let whole = |reason: &str| PlanError { step: None, reason: reason.to_owned() };
    let shapes: Vec<Shape> = values.iter().map(|value| value.shape.clone()).collect();
    let sliced = &plan.found.slices;
    let loops = Loops::new((&plan.sizes, plan.output), &plan.steps, values, &shapes, sliced);
    let groups = loops.groups(&plan.steps);
    for (number, step) in plan.steps.iter().enumerate() {
        let fail = |reason: &str| Err(PlanError { step: Some(number), reason: reason.to_owned() });
        let value = &plan.values[step.result.index()];
        if value.shape != loops.shape(number, &value.labels, &shapes[step.result.index()]) {
            return fail("makes a value of another shape than its slices give");
        }
        if step.group != groups[number] {
            return fail("runs at another time than the plan states");
        }
    }
    // The cost of the path was counted by labels alone, with loops of its own.
    let calls = plan.steps.iter().enumerate().filter(|(_, step)| matches!(step.op, Op::DotGeneral { .. }));
    if !calls.map(|(number, _)| loops.around(number)).eq(counted.iter().map(Vec::as_slice)) {
        return Err(whole("has loops that its cost does not have"));
    }
    let outer = plan.equation.output().iter().filter(|label| sliced.contains(label)).copied();
    let order = outer.chain(loops.summed()).map(|label| Slice { label, size: plan.sizes.extent(label) });
    if !order.eq(plan.slices.iter().copied()) {
        return Err(whole("has slices in another order than its loops, or of another size"));
    }
    Ok(())
}

struct Walk<'a> {
    plan: &'a Plan,
    /// The values as they are where nothing is sliced: those so far.
    whole: Vec<Value>,
    live: Vec<bool>,
    holders: Vec<usize>,
    /// The operands of each path step, as SSA ids.
    pairs: Vec<[usize; 2]>,
    /// The SSA id that each value belongs to: an operand or the result of a path step.
    origin: Vec<usize>,
    /// Per SSA id, the value as it enters the step that reads it, before that step's unary operations.
    entry: Vec<usize>,
    /// Per result of a path step, the labels in the order that it must have in the end.
    wanted: Vec<Vec<Label>>,
    calls: usize,
}

type Reason = String;

impl<'a> Walk<'a> {
    fn new(plan: &'a Plan) -> Self {
        let operands = plan.equation.operands().len();
        let mut walk = Self {
            plan,
            whole: plan.values[..operands].to_vec(),
            live: vec![false; plan.values.len()],
            holders: vec![0; plan.equation.labels().len()],
            pairs: plan.found.path.ssa(),
            origin: (0..plan.values.len()).collect(),
            entry: (0..operands).collect(),
            wanted: Vec::new(),
            calls: 0,
        };
        for operand in 0..operands {
            walk.live[operand] = true;
            walk.count(&plan.values[operand], 1);
        }
        for label in plan.equation.output().iter() {
            walk.holders[label.index()] += 1;
        }
        walk
    }

    fn count(&mut self, value: &Value, by: isize) {
        for (at, label) in value.labels.iter().enumerate() {
            if !value.labels[..at].contains(label) {
                let holders = &mut self.holders[label.index()];
                *holders = holders.saturating_add_signed(by);
            }
        }
    }

    fn take(&mut self, id: ValueId) -> Result<Value, Reason> {
        match self.live.get_mut(id.index()) {
            Some(live @ true) => *live = false,
            _ => return Err(format!("reads {id}, which is not there or was read before")),
        }
        let value = self.whole[id.index()].clone();
        self.count(&value, -1);
        Ok(value)
    }

    /// Whether a label of a value just taken is needed by nobody else.
    fn dead(&self, label: Label) -> bool {
        self.holders[label.index()] == 0
    }

    fn step(&mut self, number: usize) -> Result<(), Reason> {
        let plan = self.plan;
        let Step { op, result, .. } = &plan.steps[number];
        let operands = plan.equation.operands().len();
        if result.index() != operands + number {
            return Err(format!("makes {result}, which is not the next value"));
        }
        let derived = match op {
            Op::Squeeze { input, axes } => {
                let value = self.take(*input)?;
                check_axes(axes, &value)?;
                for &axis in axes {
                    // Somebody else still has the label with its full extent, or nothing would broadcast.
                    if value.shape[axis] != 1 || self.dead(value.labels[axis]) {
                        return Err(format!("squeezes axis {axis}, which broadcasts against nothing"));
                    }
                }
                self.origin[result.index()] = self.origin[input.index()];
                without(&value, axes, Layout::View)
            }
            Op::ReduceSum { input, axes } => {
                let value = self.take(*input)?;
                check_axes(axes, &value)?;
                for &axis in axes {
                    let label = value.labels[axis];
                    let repeated = value.labels.iter().filter(|&&each| each == label).count() > 1;
                    if repeated || !self.dead(label) {
                        return Err(format!("sums axis {axis}, whose label is still needed"));
                    }
                }
                self.origin[result.index()] = self.origin[input.index()];
                without(&value, axes, Layout::row_major(value.labels.len() - axes.len()))
            }
            Op::Diagonal { input, axes } => {
                let value = self.take(*input)?;
                check_axes(axes, &value)?;
                let Some((last, dropped)) = axes.split_last() else { return Err("has no axes".to_owned()) };
                let label = value.labels[*last];
                let all = value.labels.iter().enumerate().filter(|&(_, each)| *each == label).map(|(axis, _)| axis);
                if dropped.is_empty() || !all.eq(axes.iter().copied()) {
                    return Err("takes a diagonal over axes that are not those of one label".to_owned());
                }
                self.origin[result.index()] = self.origin[input.index()];
                without(&value, dropped, Layout::View)
            }
            Op::Transpose { input, permutation } => {
                let value = self.take(*input)?;
                let mut sorted: Vec<usize> = permutation.to_vec();
                sorted.sort_unstable();
                if !sorted.into_iter().eq(0..value.labels.len()) {
                    return Err("has a permutation that is none".to_owned());
                }
                let origin = self.origin[input.index()];
                self.origin[result.index()] = origin;
                self.entry[origin] = result.index();
                Value {
                    labels: permutation.iter().map(|&axis| value.labels[axis]).collect(),
                    shape: permutation.iter().map(|&axis| value.shape[axis]).collect(),
                    dtype: value.dtype,
                    layout: Layout::View,
                }
            }
            Op::DotGeneral { .. } => self.call(op, *result)?,
        };
        let stated = &plan.values[result.index()];
        // What it measures along sliced labels is checked when all loops are known.
        let along = |(label, (&stated, &derived)): (&Label, (&usize, &usize))| {
            stated == derived || plan.found.slices.contains(label)
        };
        let extents = stated.shape.iter().zip(&derived.shape);
        if (&stated.labels, &stated.layout, stated.dtype) != (&derived.labels, &derived.layout, derived.dtype)
            || stated.shape.len() != derived.shape.len()
            || !derived.labels.iter().zip(extents).all(along)
        {
            return Err(format!("makes {result} with other labels, extents or layout than the plan states"));
        }
        self.live[result.index()] = true;
        self.count(&derived, 1);
        self.whole.push(derived);
        Ok(())
    }

    fn call(&mut self, op: &Op, result: ValueId) -> Result<Value, Reason> {
        let plan = self.plan;
        let Op::DotGeneral { lhs, rhs, dims, orientation } = op else { return Err("is no call".to_owned()) };
        let (left, right) = (self.take(*lhs)?, self.take(*rhs)?);
        let Some(&[earlier, later]) = self.pairs.get(self.calls) else {
            return Err("is a call that the path does not have".to_owned());
        };
        if orientation.sides(earlier, later) != (self.origin[lhs.index()], self.origin[rhs.index()]) {
            return Err("joins other operands than the path says, or in another orientation".to_owned());
        }
        for id in [earlier, later] {
            let in_order = |wanted: &Vec<Label>| plan.values[self.entry[id]].labels[..] == wanted[..];
            if !id.checked_sub(plan.equation.operands().len()).is_none_or(|step| in_order(&self.wanted[step])) {
                return Err(format!("reads the result of path step {id} before its labels are in order"));
            }
        }
        let shape = dims.output_shape(&left.shape, &right.shape).map_err(|error| error.message().to_owned())?;
        let last = self.calls + 1 == self.pairs.len();
        let (q, p) = orientation.sides(&left.labels, &right.labels);
        let mut wanted: Vec<Label> = Vec::new();
        if last {
            wanted.extend(plan.equation.output().iter());
        } else {
            let whole = |id: usize| plan.values[self.entry[id]].labels.iter();
            for label in whole(later).chain(whole(earlier)) {
                if !self.dead(*label) && !wanted.contains(label) {
                    wanted.push(*label);
                }
            }
        }
        let batch: Vec<Label> = wanted.iter().copied().filter(|label| q.contains(label) && p.contains(label)).collect();
        let mut contracting: Vec<Label> =
            q.iter().copied().filter(|label| p.contains(label) && !wanted.contains(label)).collect();
        contracting.sort_unstable_by_key(|label| sum_order(&plan.found.leading, *label));
        let named = |pairs: &[(usize, usize)]| -> Option<Vec<Label>> {
            pairs.iter().map(|&(l, r)| (left.labels[l] == right.labels[r]).then_some(left.labels[l])).collect()
        };
        if named(dims.batch()) != Some(batch.clone()) || named(dims.contracting()) != Some(contracting) {
            return Err("has dimension numbers other than its labels give".to_owned());
        }
        if orient(&batch, q, p, &wanted) != *orientation {
            return Err("is oriented against the rule".to_owned());
        }
        self.origin[result.index()] = plan.equation.operands().len() + self.calls;
        self.entry.push(result.index());
        self.calls += 1;
        let free = |value: &Value, axes: &[usize]| axes.iter().map(|&axis| value.labels[axis]).collect::<Vec<_>>();
        let labels: Vec<Label> = batch
            .into_iter()
            .chain(free(&left, &dims.lhs_free(left.labels.len())))
            .chain(free(&right, &dims.rhs_free(right.labels.len())))
            .collect();
        if labels.iter().any(|label| !wanted.contains(label)) || labels.len() != wanted.len() {
            return Err("does not make the labels that are still needed".to_owned());
        }
        self.wanted.push(wanted);
        let layout = Layout::row_major(labels.len());
        Ok(Value { labels: labels.into_iter().collect(), shape, dtype: left.dtype, layout })
    }

    fn finish(&self) -> Result<(), Reason> {
        if self.calls != self.pairs.len() {
            return Err("does not make every call of its path".to_owned());
        }
        let live: Vec<usize> = (0..self.live.len()).filter(|&value| self.live[value]).collect();
        if live != [self.plan.output.index()] {
            return Err("leaves values unread, or returns another than its last".to_owned());
        }
        let output = self.plan.value(self.plan.output);
        if output.labels != *self.plan.equation.output() {
            return Err("returns other labels than the output's".to_owned());
        }
        if self.whole[self.plan.output.index()].shape != self.plan.sizes.shape_of(&output.labels) {
            return Err("returns another shape than the output's".to_owned());
        }
        Ok(())
    }
}

fn check_axes(axes: &[usize], value: &Value) -> Result<(), Reason> {
    let rising = axes.windows(2).all(|pair| pair[0] < pair[1]);
    match axes.last() {
        Some(&last) if rising && last < value.labels.len() => Ok(()),
        _ => Err("names axes that its input does not have".to_owned()),
    }
}

fn without(value: &Value, axes: &[usize], layout: Layout) -> Value {
    let kept = (0..value.labels.len()).filter(|axis| !axes.contains(axis));
    Value {
        labels: kept.clone().map(|axis| value.labels[axis]).collect(),
        shape: kept.map(|axis| value.shape[axis]).collect(),
        dtype: value.dtype,
        layout,
    }
}
