//! Runs a program of several plans: steps that they have in common once.
//!
//! A value may have several readers, so arrays are counted references here; each is freed when its last reader has read it.

use ndarray::{ArcArray, ArrayD, ArrayViewD, Axis, IxDyn};

use crate::cancel;
use crate::error::Result;
use crate::kernel::{self, Element};
use crate::lower::{CommonStep, Op, Place, Plan, Program, ValueId};

use super::order::Readers;
use super::run::{Call, Calls, Held};
use super::value::Value;

/// Runs a program on common operands of the shapes that its plans are bound to; a result per plan, in row-major order.
///
/// `calls` has those of each plan. A step that several plans have is run as the first one's.
pub(crate) fn run_program<T: Element>(
    program: &Program,
    plans: &[Plan],
    operands: Vec<ArrayViewD<'_, T>>,
    calls: &mut [impl for<'c> Calls<'c, T>],
) -> Result<Vec<ArrayD<T>>> {
    let orders: Vec<Readers<'_>> = plans.iter().map(Readers::new).collect();
    let numbers: Vec<Vec<usize>> = plans.iter().map(Plan::calls_before).collect();
    let mut values = Values::new(program, operands);
    for step in &program.steps {
        cancel::between_steps()?;
        let made = match step.op() {
            Op::DotGeneral { lhs, rhs, dims, orientation } => {
                let place = step.first();
                let plan = &plans[place.plan];
                let call = Call {
                    lhs: Held::Value(Value::Borrowed(values.view(*lhs))),
                    rhs: Held::Value(Value::Borrowed(values.view(*rhs))),
                    dims,
                    orientation: *orientation,
                    order: ordering(step, plans, &orders),
                };
                debug_assert_eq!(plan.steps()[place.step].op().inputs().count(), 2);
                let number = numbers[place.plan][place.step];
                Shared::Made(calls[place.plan].call(number, call)?.into_shared())
            }
            Op::ReduceSum { input, axes } => Shared::Made(kernel::sum_axes(values.view(*input), axes).into_shared()),
            unary => values.get(unary.inputs().next().expect("every operation has an input")).viewed(unary),
        };
        values.put(step.result(), made);
        step.op().inputs().for_each(|input| values.read(input));
    }
    Ok(program.outputs.iter().map(|&output| values.output(output)).collect())
}

/// The order in memory of a call's result: row-major where it is an output, else as its first plan's reader likes it.
fn ordering(step: &CommonStep, plans: &[Plan], orders: &[Readers<'_>]) -> kernel::Order {
    let of = |place: &Place| &plans[place.plan].steps()[place.step];
    let is_output = |place: &&Place| of(place).result() == plans[place.plan].output();
    let place = step.places().iter().find(is_output).copied().unwrap_or_else(|| step.first());
    orders[place.plan].memory_order(of(&place))
}

/// A value that may have several readers.
#[derive(Clone)]
enum Shared<'a, T> {
    Operand(ArrayViewD<'a, T>),
    Made(ArcArray<T, IxDyn>),
}

impl<T: Element> Shared<'_, T> {
    fn view(&self) -> ArrayViewD<'_, T> {
        match self {
            Self::Operand(view) => view.view(),
            Self::Made(array) => array.view(),
        }
    }

    /// The result of an operation that computes nothing: a view, but for diagonals that need a copy.
    fn viewed(self, op: &Op) -> Self {
        match (self, op) {
            (Self::Operand(view), Op::Squeeze { axes, .. }) => {
                Self::Operand(axes.iter().rev().fold(view, |view, &axis| view.index_axis_move(Axis(axis), 0)))
            }
            (Self::Made(array), Op::Squeeze { axes, .. }) => {
                Self::Made(axes.iter().rev().fold(array, |array, &axis| array.index_axis_move(Axis(axis), 0)))
            }
            (Self::Operand(view), Op::Transpose { permutation, .. }) => {
                Self::Operand(view.permuted_axes(&permutation[..]))
            }
            (Self::Made(array), Op::Transpose { permutation, .. }) => Self::Made(array.permuted_axes(&permutation[..])),
            (Self::Operand(view), Op::Diagonal { axes, .. }) => match Value::Borrowed(view).diagonal(axes) {
                Value::Borrowed(view) => Self::Operand(view),
                Value::Owned(array) => Self::Made(array.into_shared()),
            },
            (Self::Made(array), Op::Diagonal { axes, .. }) => {
                Self::Made(Value::Borrowed(array.view()).diagonal(axes).into_owned().into_shared())
            }
            (_, Op::ReduceSum { .. } | Op::DotGeneral { .. }) => unreachable!("sums and calls compute something"),
        }
    }
}

/// The values that are there.
struct Values<'a, T> {
    values: Vec<Option<Shared<'a, T>>>,
    /// By value: how many are still to read it.
    readers: Vec<usize>,
}

impl<'a, T: Element> Values<'a, T> {
    fn new(program: &Program, operands: Vec<ArrayViewD<'a, T>>) -> Self {
        let all = program.operands + program.steps.len();
        let mut readers = vec![0; all];
        let inputs = program.steps.iter().flat_map(|step| step.op().inputs());
        inputs.chain(program.outputs.iter().copied()).for_each(|value| readers[value.index()] += 1);
        let mut values: Vec<Option<Shared<'a, T>>> =
            operands.into_iter().map(|view| Some(Shared::Operand(view))).collect();
        values.resize_with(all, || None);
        Self { values, readers }
    }

    fn get(&self, value: ValueId) -> Shared<'a, T> {
        self.values[value.index()].clone().expect("a program makes every value before it reads it")
    }

    fn view(&self, value: ValueId) -> ArrayViewD<'_, T> {
        self.values[value.index()].as_ref().expect("a program makes every value before it reads it").view()
    }

    fn put(&mut self, value: ValueId, made: Shared<'a, T>) {
        self.values[value.index()] = Some(made);
    }

    /// Counts a reader that has read a value, and frees it after the last.
    fn read(&mut self, value: ValueId) {
        self.readers[value.index()] -= 1;
        if self.readers[value.index()] == 0 {
            self.values[value.index()] = None;
        }
    }

    /// An output in memory of its own, which is that of the value where nobody else needs it.
    fn output(&mut self, value: ValueId) -> ArrayD<T> {
        let shared = self.get(value);
        self.read(value);
        match shared {
            Shared::Made(array) if array.is_standard_layout() => {
                array.try_into_owned_nocopy().unwrap_or_else(|array| kernel::row_major(array.view()))
            }
            other => kernel::row_major(other.view()),
        }
    }
}
