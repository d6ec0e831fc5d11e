//! The gradients of a plan's steps on one rank of several.
//!
//! A gradient's call shares the label of its forward call: where the side whose gradient it makes has the label, each rank
//! makes its range, and where it has not, the call sums it. What cannot be summed in parts is given to all ranks first, which
//! then compute the same.

use ndarray::{ArrayD, ArrayViewD};

use crate::equation::Label;
use crate::error::Result;
use crate::exec::{
    Backward, CallParts, ForwardCall, Kept, KeptSide, QuantizedCalls, Recipients, Value, gradient,
    unquantized_gradient, walk_back,
};
use crate::kernel::Element;
use crate::lower::{Side, ValueId};

use super::gather::Share;
use super::gradient_sums::SharedCall;

impl Share<'_> {
    /// Runs the plan backward; all ranks have the cotangent, and who is given them the gradients of the operands that are `asked`
    /// for.
    pub(super) fn pull<T: Element>(
        &self,
        tape: &[Kept<'_, T>],
        calls: Option<&QuantizedCalls>,
        asked: &[bool],
        cotangent: &ArrayViewD<'_, T>,
        recipients: Recipients,
    ) -> Result<Vec<Option<ArrayD<T>>>> {
        let gradients = walk_back(self.plan, asked, cotangent, &mut Parts { share: self, tape, calls })?;
        let ids = (0..asked.len()).map(ValueId::new);
        let whole = |(id, gradient): (ValueId, Option<Value<'_, T>>)| -> Result<Option<ArrayD<T>>> {
            let Some(gradient) = gradient else { return Ok(None) };
            if let (Recipients::First, Some(label)) = (recipients, self.spread.wants[id.index()]) {
                return self.gather_first(&gradient.view(), &self.axes(id, label), label);
            }
            Ok(Some(self.change(id, gradient, self.spread.wants[id.index()], None)?.into_owned()))
        };
        ids.zip(gradients).map(whole).collect()
    }

    /// The label by ranges of which ranks make a call's result, if they do.
    fn made_by(&self, call: &ForwardCall<'_>) -> Option<Label> {
        self.spread.calls[call.number].filter(|&label| !self.axes(call.result, label).is_empty())
    }
}

/// The walk of a rank, which has parts of the values.
struct Parts<'s, 't, T> {
    share: &'s Share<'s>,
    tape: &'s [Kept<'t, T>],
    calls: Option<&'s QuantizedCalls>,
}

impl<T: Element> Backward<T> for Parts<'_, '_, T> {
    fn shape(&self, value: ValueId) -> Vec<usize> {
        self.share.shape(value, self.share.spread.wants[value.index()])
    }

    fn incoming<'v>(&self, call: &ForwardCall<'_>, gradient: Value<'v, T>) -> Result<Value<'v, T>> {
        let wanted = self.share.spread.wants[call.result.index()];
        self.share.change(call.result, gradient, wanted, self.share.made_by(call))
    }

    /// The gradient of a side, of which this rank makes its range where the side has the call's label, and else all.
    fn gradient(&mut self, of: Side, call: &ForwardCall<'_>, incoming: &ArrayViewD<'_, T>) -> Result<ArrayD<T>> {
        let Self { share, tape, calls } = *self;
        let call_kept = &tape[call.number];
        let config = calls.map(|calls| calls.config(call.number, call.orientation));
        let run = |kept: &Kept<'_, T>, incoming: &ArrayViewD<'_, T>, parts: CallParts<'_>| match (calls, &config) {
            (Some(calls), Some(config)) => {
                gradient(of, kept, call.dims, incoming, config, calls.key(call.number), None, parts)
            }
            _ => unquantized_gradient(of, kept, call.dims, incoming, parts.terms),
        };
        let Some(label) = share.spread.calls[call.number] else {
            return run(call_kept, incoming, CallParts::default());
        };
        let other = of.other().of(call.sides[0], call.sides[1]);
        let first = |value: ValueId| share.axes(value, label).first().copied();
        let (in_other, in_result) = (first(other), first(call.result));
        let shared = SharedCall { plan: share.plan, sides: call.sides, result: call.result, dims: call.dims, label };
        let summed = shared.summed(of, T::DTYPE, config.as_ref());
        let mut parts = CallParts {
            sides: [
                share.part(incoming.shape(), in_result, label, summed.is_some()),
                share.part(&share.shape(other, Some(label)), in_other, label, summed.is_some()),
            ],
            terms: None,
        };
        let Some(summed) = summed else { return run(call_kept, incoming, parts) };
        if share.spread.sums_parts(label, &summed) {
            parts.terms = Some(share.terms(&summed.sizes, summed.place, label));
            return run(call_kept, incoming, parts);
        }
        // Every rank takes everything.
        let incoming = share.gather(incoming, &[in_result.expect("what is summed comes in")], label)?;
        let axis = in_other.expect("what is summed is in the other side");
        let side = call_kept.side(of.other());
        let value = Value::Owned(share.gather(&side.value.view(), &[axis], label)?);
        let scales = side.scales.as_ref().map(|scales| share.gather_scales(scales, axis, label)).transpose()?;
        let all = KeptSide { value, scales };
        let own = call_kept.side(of);
        let own = KeptSide { value: Value::Borrowed(own.value.view()), scales: own.scales.clone() };
        let kept = match of {
            Side::Lhs => Kept { lhs: own, rhs: all },
            Side::Rhs => Kept { lhs: all, rhs: own },
        };
        run(&kept, &incoming.view(), CallParts::default())
    }
}
