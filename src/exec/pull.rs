//! The backward pass: walks a plan's steps in reverse, from the gradient of its result to those of its operands.
//!
//! Every value of a plan has one reader, so nothing is added on the way. A step's adjoint moves values where it moved
//! them; only calls compute.

use ndarray::{ArrayD, ArrayViewD};

use crate::cancel;
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::Element;
use crate::lower::{DimensionNumbers, Op, Orientation, Plan, Side, ValueId};

use super::adjoint;
use super::gradient::{GradientRecord, Kept, gradient, unquantized_gradient};
use super::quantized::QuantizedCalls;
use super::shared_terms::CallParts;
use super::value::Value;

/// Runs a plan backward.
///
/// `tape` has what each call kept, `calls` how they were quantized. The result has a gradient for each operand that is
/// `asked` for, in the operand's shape.
pub(crate) fn pull<T: Element>(
    plan: &Plan,
    tape: &[Kept<'_, T>],
    calls: Option<&QuantizedCalls>,
    asked: &[bool],
    cotangent: &ArrayViewD<'_, T>,
    observe: Option<&mut dyn FnMut(usize, Side, GradientRecord)>,
) -> Result<Vec<Option<ArrayD<T>>>> {
    let gradients = walk_back(plan, asked, cotangent, &mut Wholes { plan, tape, calls, observe })?;
    Ok(gradients.into_iter().map(|gradient| gradient.map(Value::into_owned)).collect())
}

/// A call whose gradients are wanted.
#[derive(Clone, Copy)]
pub(crate) struct ForwardCall<'p> {
    pub(crate) number: usize,
    pub(crate) sides: [ValueId; 2],
    pub(crate) result: ValueId,
    pub(crate) dims: &'p DimensionNumbers,
    pub(crate) orientation: Orientation,
}

/// What a walk back asks of who has the values: all of them, or parts.
pub(crate) trait Backward<T> {
    /// The shape that the gradient of a value has here.
    fn shape(&self, value: ValueId) -> Vec<usize>;

    /// The gradient of a call's result as the call takes it.
    fn incoming<'v>(&self, call: &ForwardCall<'_>, gradient: Value<'v, T>) -> Result<Value<'v, T>>;

    /// The gradient of a side of a call.
    fn gradient(&mut self, of: Side, call: &ForwardCall<'_>, incoming: &ArrayViewD<'_, T>) -> Result<ArrayD<T>>;
}

/// Walks a plan's steps in reverse; the result has a gradient for each operand that is `asked` for.
pub(crate) fn walk_back<'c, T: Element>(
    plan: &Plan,
    asked: &[bool],
    cotangent: &'c ArrayViewD<'_, T>,
    backward: &mut impl Backward<T>,
) -> Result<Vec<Option<Value<'c, T>>>> {
    check_cotangent(cotangent, plan.value(plan.output()).shape())?;
    let wanted = wanted(plan, asked);
    let mut gradients: Vec<Option<Value<'c, T>>> = (0..plan.values().len()).map(|_| None).collect();
    if wanted[plan.output().index()] {
        gradients[plan.output().index()] = Some(Value::Borrowed(cotangent.view()));
    }
    let mut number = plan.calls().count();
    for step in plan.steps().iter().rev() {
        number -= usize::from(matches!(step.op(), Op::DotGeneral { .. }));
        let Some(incoming) = gradients[step.result().index()].take() else { continue };
        cancel::between_steps()?;
        let (input, made) = match step.op() {
            Op::Squeeze { input, axes } => (input, adjoint::squeeze(incoming.into_owned(), axes)),
            Op::Transpose { input, permutation } => (input, adjoint::transpose(incoming.into_owned(), permutation)),
            Op::Diagonal { input, axes } => {
                (input, adjoint::diagonal(&incoming.into_owned(), axes, &backward.shape(*input)))
            }
            Op::ReduceSum { input, axes } => {
                (input, adjoint::reduce_sum(incoming.into_owned(), axes, &backward.shape(*input)))
            }
            Op::DotGeneral { lhs, rhs, dims, orientation } => {
                let sides = [*lhs, *rhs];
                let call = ForwardCall { number, sides, result: step.result(), dims, orientation: *orientation };
                let incoming = backward.incoming(&call, incoming)?;
                for (side, input) in Side::BOTH.into_iter().zip(sides) {
                    if wanted[input.index()] {
                        let made = backward.gradient(side, &call, &incoming.view())?;
                        gradients[input.index()] = Some(Value::Owned(made));
                    }
                }
                continue;
            }
        };
        gradients[input.index()] = Some(Value::Owned(made));
    }
    gradients.truncate(asked.len());
    Ok(gradients)
}

/// The walk of one process, which has all values.
struct Wholes<'w, 't, 'o, T> {
    plan: &'w Plan,
    tape: &'w [Kept<'t, T>],
    calls: Option<&'w QuantizedCalls>,
    observe: Option<&'w mut (dyn FnMut(usize, Side, GradientRecord) + 'o)>,
}

impl<T: Element> Backward<T> for Wholes<'_, '_, '_, T> {
    fn shape(&self, value: ValueId) -> Vec<usize> {
        self.plan.value(value).shape().to_vec()
    }

    fn incoming<'v>(&self, _: &ForwardCall<'_>, gradient: Value<'v, T>) -> Result<Value<'v, T>> {
        Ok(gradient)
    }

    fn gradient(&mut self, of: Side, call: &ForwardCall<'_>, incoming: &ArrayViewD<'_, T>) -> Result<ArrayD<T>> {
        let &ForwardCall { number, dims, orientation, .. } = call;
        let kept = &self.tape[number];
        let Some(calls) = self.calls else { return unquantized_gradient(of, kept, dims, incoming, None) };
        let config = calls.config(number, orientation);
        let mut watch = self.observe.as_deref_mut().map(|observe| move |side, record| observe(number, side, record));
        let watch = watch.as_mut().map(|watch| watch as &mut dyn FnMut(Side, GradientRecord));
        gradient(of, kept, dims, incoming, &config, calls.key(number), watch, CallParts::default())
    }
}

/// The gradient of a result has the result's shape.
pub(crate) fn check_cotangent<T>(cotangent: &ArrayViewD<'_, T>, expected: &[usize]) -> Result<()> {
    if cotangent.shape() == expected {
        return Ok(());
    }
    let message = format!("the result has shape {expected:?}, but the cotangent has {:?}", cotangent.shape());
    Err(Error::new(ErrorKind::Shape, message))
}

/// For each value, whether an operand that is asked for went into it.
fn wanted(plan: &Plan, asked: &[bool]) -> Vec<bool> {
    let mut wanted = asked.to_vec();
    for step in plan.steps() {
        wanted.push(step.op().inputs().any(|input| wanted[input.index()]));
    }
    wanted
}

/// The operands in the order in which the gradients of one array that stands in several places are added.
///
/// It is the order in which the reference's backward pass reaches them: from the last call, what the executed rhs was
/// made of before what the executed lhs was.
pub(crate) fn accumulation_order(plan: &Plan) -> Vec<usize> {
    let operands = plan.equation().operands().len();
    let mut order = Vec::with_capacity(operands);
    let mut open = vec![plan.output()];
    while let Some(id) = open.pop() {
        match id.index().checked_sub(operands) {
            None => order.push(id.index()),
            Some(step) => open.extend(plan.steps()[step].op().inputs()),
        }
    }
    order
}
