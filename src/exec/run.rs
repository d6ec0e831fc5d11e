//! Walks a plan's steps over arrays.
//!
//! Squeezes, diagonals and transposes are views; sums and calls make arrays; a value is handed to its one reader as
//! soon as that reads it. What a call does, quantized or not, is decided by the [`Calls`] that the caller brings.

use ndarray::{ArrayD, ArrayViewD, Axis};

use crate::cancel;
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::{self, Element, Order, PackedSide};
use crate::lower::{DimensionNumbers, Op, Orientation, Plan, ValueId};
use crate::sizes::check_elements;
use crate::stored::{Stored, read_whole};

use super::order::Readers;
use super::side::{FrozenSide, StoredSide};
use super::slab::SlabReader;
use super::value::{Value, diagonal_view};

/// What runs the calls of a plan on values that may borrow for `'a`.
pub(crate) trait Calls<'a, T> {
    /// Call number `step` of the plan.
    fn call(&mut self, step: usize, call: Call<'a, '_, T>) -> Result<ArrayD<T>>;
}

/// A call with its two sides, as executed.
pub(crate) struct Call<'a, 'plan, T> {
    pub(crate) lhs: Held<'a, T>,
    pub(crate) rhs: Held<'a, T>,
    pub(crate) dims: &'plan DimensionNumbers,
    pub(crate) orientation: Orientation,
    /// In which order the axes of the result are to lie in memory, as its reader likes them.
    pub(crate) order: Order,
}

/// What a call takes for a side.
#[derive(Debug)]
pub(crate) enum Held<'a, T> {
    Value(Value<'a, T>),
    /// Quantized before, by a run of this plan's configuration; and packed before, if it was.
    Frozen(&'a FrozenSide, Option<&'a PackedSide>),
    /// A part of such a side, or one that was read.
    Loaded(Box<FrozenSide>),
    /// Such a side that is read when it is needed; calls take what was read of it.
    StoredSide(&'a dyn StoredSide),
    /// An operand that is read when it is needed; calls take what was read of it.
    Stored(&'a dyn Stored<T>),
    /// One of which the passes of a loop read slabs.
    Slabs(SlabReader<'a, T>),
}

impl<T> Held<'_, T> {
    /// The same, all of it read.
    pub(super) fn read(self) -> Result<Self> {
        match self {
            Self::Stored(stored) => Ok(Self::Value(Value::Owned(read_whole(stored)?))),
            Self::StoredSide(stored) => Ok(Self::Loaded(Box::new(stored.side(None)?))),
            held => Ok(held),
        }
    }
}

/// Calls as plain float products.
#[derive(Clone, Copy)]
pub(crate) struct Unquantized;

impl Unquantized {
    pub(crate) fn product<T: Element>(call: &Call<'_, '_, T>) -> Result<ArrayD<T>> {
        let (Held::Value(lhs), Held::Value(rhs)) = (&call.lhs, &call.rhs) else {
            let message =
                "a frozen operand has no float values; run it quantized, by the configuration it was frozen with";
            return Err(Error::new(ErrorKind::Freeze, message));
        };
        Ok(kernel::dot_general(lhs.view(), rhs.view(), call.dims, &call.order))
    }
}

impl<'a, T: Element> Calls<'a, T> for Unquantized {
    fn call(&mut self, _: usize, call: Call<'a, '_, T>) -> Result<ArrayD<T>> {
        Self::product(&call)
    }
}

/// Runs a plan on arrays; the result is in row-major order.
pub(crate) fn run<'a, T: Element>(
    plan: &Plan,
    operands: Vec<ArrayViewD<'a, T>>,
    calls: &mut impl Calls<'a, T>,
) -> Result<ArrayD<T>> {
    check(plan, &operands.iter().map(ArrayViewD::shape).collect::<Vec<_>>())?;
    let arrays = operands.into_iter().enumerate();
    run_known(plan, arrays.map(|(id, operand)| (ValueId::new(id), Held::Value(Value::Borrowed(operand)))), calls)
}

/// Runs a plan on values that are known: operands, or what frozen operands make of them further on.
///
/// Steps that nothing needs beside what is known are left out. The known values have the shapes that the plan gives
/// them, and make all others.
pub(crate) fn run_known<'a, T: Element>(
    plan: &Plan,
    known: impl IntoIterator<Item = (ValueId, Held<'a, T>)>,
    calls: &mut impl Calls<'a, T>,
) -> Result<ArrayD<T>> {
    let mut values = Values::new(plan);
    for (id, held) in known {
        values.put(id, held.read()?);
    }
    let needed = values.needed(plan);
    let walk = Walk::new(plan);
    let mut number = 0;
    for (at, step) in plan.steps().iter().enumerate() {
        if needed[step.result().index()] {
            walk.step((at, number), &mut values, calls)?;
        }
        number += usize::from(matches!(step.op(), Op::DotGeneral { .. }));
    }
    Ok(values.take_array(plan.output()).into_row_major())
}

/// A plan that is run step by step.
pub(super) struct Walk<'p> {
    pub(super) plan: &'p Plan,
    pub(super) readers: Readers<'p>,
}

impl<'p> Walk<'p> {
    pub(super) fn new(plan: &'p Plan) -> Self {
        Self { plan, readers: Readers::new(plan) }
    }

    /// Takes what a step reads from the values, and puts there what it makes; `number` is that of its call, if it is one.
    pub(super) fn step<'a, T: Element>(
        &self,
        (step, number): (usize, usize),
        values: &mut Values<'a, T>,
        calls: &mut impl Calls<'a, T>,
    ) -> Result<()> {
        cancel::between_steps()?;
        let step = &self.plan.steps()[step];
        let result = match step.op() {
            Op::DotGeneral { lhs, rhs, dims, orientation } => {
                let (lhs, rhs) = (values.take(*lhs), values.take(*rhs));
                let order = self.readers.memory_order(step);
                let call = Call { lhs, rhs, dims, orientation: *orientation, order };
                Value::Owned(calls.call(number, call)?)
            }
            unary => {
                let input = unary.inputs().next().expect("every operation has an input");
                apply(unary, values.take_array(input))
            }
        };
        values.put(step.result(), Held::Value(result));
        Ok(())
    }
}

/// The values made so far; each is taken by its one reader.
pub(crate) struct Values<'a, T>(Vec<Option<Held<'a, T>>>);

impl<'a, T: Element> Values<'a, T> {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self((0..plan.values().len()).map(|_| None).collect())
    }

    pub(crate) fn put(&mut self, id: ValueId, value: Held<'a, T>) {
        self.0[id.index()] = Some(value);
    }

    /// An array that is there, for whoever does not take it.
    pub(super) fn view(&self, id: ValueId) -> ArrayViewD<'_, T> {
        match &self.0[id.index()] {
            Some(Held::Value(value)) => value.view(),
            _ => unreachable!("a loop reads arrays that were made before it"),
        }
    }

    /// What reads slabs of an operand that is not there.
    pub(super) fn slabs(&self, id: ValueId) -> Option<&SlabReader<'a, T>> {
        match &self.0[id.index()] {
            Some(Held::Slabs(slabs)) => Some(slabs),
            _ => None,
        }
    }

    pub(super) fn clear(&mut self, id: ValueId) {
        self.0[id.index()] = None;
    }

    /// For each value, whether it has to be made from those that are there.
    pub(crate) fn needed(&self, plan: &Plan) -> Vec<bool> {
        let mut needed = vec![false; self.0.len()];
        needed[plan.output().index()] = self.0[plan.output().index()].is_none();
        for step in plan.steps().iter().rev() {
            if needed[step.result().index()] {
                step.op().inputs().for_each(|input| needed[input.index()] = self.0[input.index()].is_none());
            }
        }
        needed
    }

    pub(crate) fn take(&mut self, id: ValueId) -> Held<'a, T> {
        self.0[id.index()].take().expect("a verified plan makes every value before it reads it, and reads it once")
    }

    pub(crate) fn take_array(&mut self, id: ValueId) -> Value<'a, T> {
        match self.take(id) {
            Held::Value(value) => value,
            Held::Frozen(..) | Held::Loaded(_) => {
                unreachable!("a frozen side stands for the value that a call reads")
            }
            Held::Stored(_) | Held::StoredSide(_) | Held::Slabs(_) => unreachable!("it was read"),
        }
    }
}

/// An operation on one value.
pub(crate) fn apply<'a, T: Element>(op: &Op, value: Value<'a, T>) -> Value<'a, T> {
    match op {
        Op::Squeeze { axes, .. } => value.squeeze(axes),
        Op::Transpose { permutation, .. } => value.transpose(permutation),
        Op::Diagonal { axes, .. } => value.diagonal(axes),
        Op::ReduceSum { axes, .. } => Value::Owned(kernel::sum_axes(value.view(), axes)),
        Op::DotGeneral { .. } => unreachable!("a call has two values"),
    }
}

/// The result of a plan of one operand without a copy; none where a step computes something, or strides cannot say what a
/// diagonal is.
pub(crate) fn view<'a, T: Element>(plan: &Plan, x: ArrayViewD<'a, T>) -> Option<ArrayViewD<'a, T>> {
    plan.steps().iter().try_fold(x, |view, step| match step.op() {
        Op::Squeeze { axes, .. } => {
            Some(axes.iter().rev().fold(view, |view, &axis| view.index_axis_move(Axis(axis), 0)))
        }
        Op::Transpose { permutation, .. } => Some(view.permuted_axes(&permutation[..])),
        Op::Diagonal { axes, .. } => diagonal_view(&view, axes),
        Op::ReduceSum { .. } | Op::DotGeneral { .. } => None,
    })
}

/// What the call that an operand enters reads of it.
pub(crate) fn entering<'a, T: Element>(plan: &Plan, operand: usize, x: ArrayViewD<'a, T>) -> Value<'a, T> {
    let (mut id, mut value) = (ValueId::new(operand), Value::Borrowed(x));
    for step in plan.steps() {
        if step.op().inputs().any(|input| input == id) {
            if matches!(step.op(), Op::DotGeneral { .. }) {
                break;
            }
            id = step.result();
            value = apply(step.op(), value);
        }
    }
    value
}

/// Operands must be those that the plan is bound to, and every value must be addressable.
pub(crate) fn check(plan: &Plan, shapes: &[&[usize]]) -> Result<()> {
    let bound = plan.sizes().shapes();
    if shapes.len() != bound.len() {
        let message = format!("the plan has {} operands, but {} were given", bound.len(), shapes.len());
        return Err(Error::new(ErrorKind::Shape, message));
    }
    for (number, (&found, shape)) in shapes.iter().zip(bound).enumerate() {
        if found != shape.as_slice() {
            let message = format!("operand {number} has shape {found:?}, but the plan is bound to {shape:?}");
            return Err(Error::new(ErrorKind::Shape, message));
        }
    }
    for step in plan.steps() {
        check_elements(plan.value(step.result()).shape(), &step.result().to_string())?;
    }
    Ok(())
}
