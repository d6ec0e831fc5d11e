//! The gradients of a plan's steps on one rank of several.
//!
//! A gradient's call shares the label of its forward call: where the side whose gradient it makes has the label, each rank
//! makes its range, and where it has not, the call sums it. What cannot be summed in parts is given to all ranks first, which
//! then compute the same.

use ndarray::{ArrayD, ArrayViewD};

use crate::cancel;
use crate::equation::Label;
use crate::error::Result;
use crate::exec::{
    CallParts, Kept, KeptSide, QuantizedCalls, TermKind, Value, adjoint, check_cotangent, gradient,
    unquantized_gradient, wanted,
};
use crate::kernel::Element;
use crate::lower::{DimensionNumbers, Op, Orientation, Side, ValueId};
use crate::quant::{DotGeneralConfig, Format};

use super::choose::unit_of;
use super::gather::Share;

/// A forward call whose gradients are wanted.
struct Forward<'t, 'a, T> {
    number: usize,
    sides: [ValueId; 2],
    result: ValueId,
    dims: &'t DimensionNumbers,
    orientation: Orientation,
    kept: &'t Kept<'a, T>,
    label: Option<Label>,
}

impl Share<'_> {
    /// Runs the plan backward; all ranks have the cotangent, and the gradients of the operands that are `asked` for.
    pub(super) fn pull<T: Element>(
        &self,
        tape: &[Kept<'_, T>],
        calls: Option<&QuantizedCalls>,
        asked: &[bool],
        cotangent: &ArrayViewD<'_, T>,
    ) -> Result<Vec<Option<ArrayD<T>>>> {
        let plan = self.plan;
        check_cotangent(cotangent, plan.value(plan.output()).shape())?;
        let wanted = wanted(plan, asked);
        let mut gradients: Vec<Option<Value<'_, T>>> = (0..plan.values().len()).map(|_| None).collect();
        if wanted[plan.output().index()] {
            gradients[plan.output().index()] = Some(Value::Borrowed(cotangent.view()));
        }
        let mut number = tape.len();
        for step in plan.steps().iter().rev() {
            number -= usize::from(matches!(step.op(), Op::DotGeneral { .. }));
            let Some(incoming) = gradients[step.result().index()].take() else { continue };
            cancel::between_steps()?;
            let shape = |input: ValueId| self.shape(input, self.spread.wants[input.index()]);
            let (input, made) = match step.op() {
                Op::Squeeze { input, axes } => (*input, adjoint::squeeze(incoming.into_owned(), axes)),
                Op::Transpose { input, permutation } => {
                    (*input, adjoint::transpose(incoming.into_owned(), permutation))
                }
                Op::Diagonal { input, axes } => {
                    (*input, adjoint::diagonal(&incoming.into_owned(), axes, &shape(*input)))
                }
                Op::ReduceSum { input, axes } => {
                    (*input, adjoint::reduce_sum(incoming.into_owned(), axes, &shape(*input)))
                }
                Op::DotGeneral { lhs, rhs, dims, orientation } => {
                    let (sides, result, kept) = ([*lhs, *rhs], step.result(), &tape[number]);
                    let label = self.spread.calls[number];
                    let call = Forward { number, sides, result, dims, orientation: *orientation, kept, label };
                    let made_by = label.filter(|&label| !self.axes(result, label).is_empty());
                    let incoming = self.change(result, incoming, self.spread.wants[result.index()], made_by)?;
                    for (side, input) in Side::BOTH.into_iter().zip(sides) {
                        if wanted[input.index()] {
                            let made = self.gradient(side, &call, calls, &incoming.view())?;
                            gradients[input.index()] = Some(Value::Owned(made));
                        }
                    }
                    continue;
                }
            };
            gradients[input.index()] = Some(Value::Owned(made));
        }
        gradients.truncate(asked.len());
        let ids = (0..asked.len()).map(ValueId::new);
        let whole = |(id, gradient): (ValueId, Option<Value<'_, T>>)| -> Result<Option<ArrayD<T>>> {
            let Some(gradient) = gradient else { return Ok(None) };
            Ok(Some(self.change(id, gradient, self.spread.wants[id.index()], None)?.into_owned()))
        };
        ids.zip(gradients).map(whole).collect()
    }

    /// The gradient of a side, of which this rank makes its range where the side has the call's label, and else all.
    fn gradient<T: Element>(
        &self,
        of: Side,
        call: &Forward<'_, '_, T>,
        calls: Option<&QuantizedCalls>,
        incoming: &ArrayViewD<'_, T>,
    ) -> Result<ArrayD<T>> {
        let config = calls.map(|calls| calls.config(call.number, call.orientation));
        let run = |kept: &Kept<'_, T>, incoming: &ArrayViewD<'_, T>, parts: CallParts<'_>| match (calls, &config) {
            (Some(calls), Some(config)) => {
                gradient(of, kept, call.dims, incoming, config, calls.key(call.number), None, parts)
            }
            _ => unquantized_gradient(of, kept, call.dims, incoming, parts.terms),
        };
        let Some(label) = call.label else { return run(call.kept, incoming, CallParts::default()) };
        let [own, other] = of.of(call.sides, [call.sides[1], call.sides[0]]);
        let first = |value: ValueId| self.axes(value, label).first().copied();
        let (in_own, in_other, in_result) = (first(own), first(other), first(call.result));
        let made = call.dims.gradient(of, self.rank(call.sides[0]), self.rank(call.sides[1]));
        // The axes of what comes in are those of the result.
        let summed = made.dims.contracting().iter().position(|pair| in_result == Some(pair.0));
        let is_summed = in_own.is_none() && summed.is_some();
        let mut parts = CallParts {
            sides: [
                self.part(incoming.shape(), in_result, label, is_summed),
                self.part(&self.shape(other, Some(label)), in_other, label, is_summed),
            ],
            terms: None,
        };
        let (Some(place), true) = (summed, is_summed) else { return run(call.kept, incoming, parts) };
        let whole = self.plan.value(call.result).shape();
        let sizes: Vec<usize> = made.dims.contracting().iter().map(|pair| whole[pair.0]).collect();
        if self.can_share::<T>(of, config.as_ref(), &sizes, place, label) {
            parts.terms = Some(self.terms(&sizes, place, label));
            return run(call.kept, incoming, parts);
        }
        // Every rank takes everything.
        let incoming = self.gather(incoming, &[in_result.expect("what is summed comes in")], label)?;
        let axis = in_other.expect("what is summed is in the other side");
        let side = call.kept.side(of.other());
        let value = Value::Owned(self.gather(&side.value.view(), &[axis], label)?);
        let scales = side.scales.as_ref().map(|scales| self.gather_scales(scales, axis, label)).transpose()?;
        let all = KeptSide { value, scales };
        let own = call.kept.side(of);
        let own = KeptSide { value: Value::Borrowed(own.value.view()), scales: own.scales.clone() };
        let kept = match of {
            Side::Lhs => Kept { lhs: own, rhs: all },
            Side::Rhs => Kept { lhs: all, rhs: own },
        };
        run(&kept, &incoming.view(), CallParts::default())
    }

    fn rank(&self, value: ValueId) -> usize {
        self.plan.value(value).shape().len()
    }

    /// Whether ranks can sum their terms of a gradient each.
    fn can_share<T: Element>(
        &self,
        of: Side,
        config: Option<&DotGeneralConfig>,
        sizes: &[usize],
        place: usize,
        label: Label,
    ) -> bool {
        let gradient = config.filter(|_| Format::of(T::DTYPE).is_some()).map(|config| of.of(config.dlhs, config.drhs));
        let kind = gradient.as_ref().map_or(TermKind::Float, |gradient| TermKind::of(&gradient.call));
        // Shards cut a summed axis, perhaps this one.
        let is_cut = gradient.is_some_and(|gradient| gradient.shards.is_some());
        let unit = unit_of(kind, T::DTYPE, sizes, place);
        !is_cut && unit.is_some_and(|unit| self.spread.units[label.index()].is_multiple_of(unit))
    }
}
