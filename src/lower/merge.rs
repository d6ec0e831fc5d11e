//! Several plans over common operands as one program, in which what they have in common is done once.
//!
//! In come plans, and for each of them which of the common operands its own are; out goes a [`Program`] whose steps are
//! theirs. Two steps are one where they do the same to the same values: then they have the same bits, whatever the labels of
//! the two equations are called. Nothing is rewritten to make steps the same; that is for whoever chooses the paths.

use std::collections::HashMap;

use crate::path::Cost;

use super::orient::Orientation;
use super::plan::{Op, Plan, ValueId};

/// A plan as a part of a program.
#[derive(Clone, Copy)]
pub(crate) struct Part<'p> {
    pub(crate) plan: &'p Plan,
    /// The common operand that each of the plan's operands is.
    pub(crate) operands: &'p [usize],
    /// By call: two calls are one only where their marks are equal. They stand for what a lowered plan does not know: how
    /// sides are quantized, and with which noise.
    pub(crate) marks: &'p [usize],
}

/// A step of a program.
///
/// ```
/// use qeinsum::{Op, QEinsum};
/// let many = QEinsum::many(&[("ab,bc,cd->ad", &[0, 1, 2]), ("ab,bc,ce->ae", &[0, 1, 3])])?;
/// let plan = many.plan(&[&[20, 30], &[30, 40], &[40, 20], &[40, 20]])?;
/// let shared = &plan.steps()[0];
/// assert!(matches!(shared.op(), Op::DotGeneral { .. }));
/// assert_eq!((shared.result().to_string(), shared.equations(), shared.times()), ("%4".to_owned(), vec![0, 1], 2));
/// assert_eq!(plan.steps()[1].equations(), [0]);
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct CommonStep {
    op: Op,
    result: ValueId,
    places: Vec<Place>,
}

/// A step of one of the plans.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Place {
    pub(crate) plan: usize,
    pub(crate) step: usize,
}

impl CommonStep {
    /// What the step does, to the values of the program. The orientation of a call is that of the first equation that has
    /// it: in another the same call may be swapped or not.
    pub fn op(&self) -> &Op {
        &self.op
    }

    /// The value that it makes.
    pub fn result(&self) -> ValueId {
        self.result
    }

    /// The equations whose plans have the step, rising.
    pub fn equations(&self) -> Vec<usize> {
        let mut equations: Vec<usize> = self.places.iter().map(|place| place.plan).collect();
        equations.dedup();
        equations
    }

    /// How many steps of the plans it is: more than one, and something is computed once in place of several times.
    pub fn times(&self) -> usize {
        self.places.len()
    }

    /// Where it stands in the plans, by plan; at least once.
    pub(crate) fn places(&self) -> &[Place] {
        &self.places
    }

    /// The plan from which its labels and its shape are taken, and the step there.
    pub(crate) fn first(&self) -> Place {
        self.places[0]
    }
}

/// The steps of several plans, each of them once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Program {
    pub(crate) operands: usize,
    pub(crate) steps: Vec<CommonStep>,
    /// By plan: the value that is its output.
    pub(crate) outputs: Vec<ValueId>,
    pub(crate) multiplications: Cost,
}

impl Program {
    /// The program of plans over so many common operands. Their steps stay in order, plan after plan.
    pub(crate) fn new(operands: usize, parts: &[Part<'_>]) -> Self {
        let mut numbers = Numbers::new(operands);
        let mut program = Self { operands, steps: Vec::new(), outputs: Vec::new(), multiplications: Cost::ZERO };
        for (plan, part) in parts.iter().enumerate() {
            let values = numbers.values(part);
            for (step, made) in part.plan.steps().iter().enumerate() {
                let result = values[made.result().index()];
                if result.index() == operands + program.steps.len() {
                    let op = renamed(made.op(), |id| values[id.index()]);
                    program.multiplications += &numbers.costs[numbers.step(result)];
                    program.steps.push(CommonStep { op, result, places: Vec::new() });
                }
                program.steps[result.index() - operands].places.push(Place { plan, step });
            }
            program.outputs.push(values[part.plan.output().index()]);
        }
        program
    }
}

/// Numbers of values that plans over common operands make: equal for values that are the same.
#[derive(Clone, Debug)]
pub(crate) struct Numbers {
    operands: usize,
    /// By what makes a value, the mark included where it is a call.
    known: HashMap<(Op, Option<usize>), ValueId>,
    /// By step: its multiplications.
    costs: Vec<Cost>,
}

impl Numbers {
    pub(crate) fn new(operands: usize) -> Self {
        Self { operands, known: HashMap::new(), costs: Vec::new() }
    }

    /// The step that makes a value, counted from 0.
    pub(crate) fn step(&self, value: ValueId) -> usize {
        value.index() - self.operands
    }

    /// The multiplications of each step.
    pub(crate) fn costs(&self) -> &[Cost] {
        &self.costs
    }

    /// The number of each of a plan's values; new values get the next numbers, in order.
    pub(crate) fn values(&mut self, part: &Part<'_>) -> Vec<ValueId> {
        let mut values: Vec<ValueId> = part.operands.iter().map(|&operand| ValueId::new(operand)).collect();
        let mut calls = part.marks.iter().zip(&part.plan.cost().per_step);
        for step in part.plan.steps() {
            let op = match renamed(step.op(), |id| values[id.index()]) {
                // Which operand of its step a side is changes no bit; what depends on it is in the mark.
                Op::DotGeneral { lhs, rhs, dims, .. } => {
                    Op::DotGeneral { lhs, rhs, dims, orientation: Orientation::AsWritten }
                }
                unary => unary,
            };
            let call = if matches!(op, Op::DotGeneral { .. }) { calls.next() } else { None };
            let next = ValueId::new(self.operands + self.costs.len());
            let number = *self.known.entry((op, call.map(|(&mark, _)| mark))).or_insert(next);
            if number == next {
                self.costs.push(call.map_or(Cost::ZERO, |(_, cost)| cost.multiplications.clone()));
            }
            values.push(number);
        }
        values
    }
}

/// The operation on values of other names.
fn renamed(op: &Op, name: impl Fn(ValueId) -> ValueId) -> Op {
    let mut op = op.clone();
    match &mut op {
        Op::Squeeze { input, .. }
        | Op::ReduceSum { input, .. }
        | Op::Diagonal { input, .. }
        | Op::Transpose { input, .. } => *input = name(*input),
        Op::DotGeneral { lhs, rhs, .. } => {
            *lhs = name(*lhs);
            *rhs = name(*rhs);
        }
    }
    op
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::QEinsum;

    /// An equation, the shapes of its operands, which common operands they are, and the marks of its calls.
    type Equation<'e> = (&'e str, &'e [&'e [usize]], &'e [usize], &'e [usize]);

    fn program(equations: &[Equation<'_>], operands: usize) -> Program {
        let plans: Vec<Plan> =
            equations.iter().map(|(text, shapes, ..)| QEinsum::new(text).unwrap().plan(shapes).unwrap()).collect();
        let parts: Vec<Part<'_>> =
            plans.iter().zip(equations).map(|(plan, (_, _, operands, marks))| Part { plan, operands, marks }).collect();
        Program::new(operands, &parts)
    }

    #[test]
    fn steps_are_one_where_they_do_the_same_to_the_same() {
        let (ij, jk): (&[usize], &[usize]) = (&[2, 3], &[3, 4]);
        let times = |program: Program| program.steps.iter().map(CommonStep::times).collect::<Vec<_>>();
        // Labels may have other names, and the operands another order.
        let same = program(&[("ij,jk->ik", &[ij, jk], &[0, 1], &[0]), ("bc,ab->ac", &[jk, ij], &[1, 0], &[0])], 2);
        assert_eq!(times(same), [2]);
        // A transposed result is another call, and so is one of another mark.
        let turned = program(&[("ij,jk->ik", &[ij, jk], &[0, 1], &[0]), ("ij,jk->ki", &[ij, jk], &[0, 1], &[0])], 2);
        assert_eq!(times(turned), [1, 1]);
        let marked = program(&[("ij,jk->ik", &[ij, jk], &[0, 1], &[0]), ("ij,jk->ik", &[ij, jk], &[0, 1], &[1])], 2);
        assert_eq!(times(marked), [1, 1]);
        // Sums before a product are steps as well.
        let sums =
            program(&[("xij,jk->ik", &[&[5, 2, 3], jk], &[0, 1], &[0]), ("xij->ji", &[&[5, 2, 3]], &[0], &[])], 2);
        assert_eq!(times(sums), [2, 1, 1]);
    }
}
