//! A plan's steps on one rank of several.

use std::ops::Range;

use ndarray::ArrayD;

use crate::cancel;
use crate::equation::Label;
use crate::error::Result;
use crate::exec::{
    Call, CallParts, Held, Keep, Kept, KeptSide, QuantizedCalls, Readers, Recipients, Rescaled, SharedTerms,
    Unquantized, Value, Values, apply,
};
use crate::kernel::Element;
use crate::lower::{DimensionNumbers, Op, ValueId};
use crate::quant::Format;
use crate::stored::read_part;

use super::gather::{Given, Share};

/// What calls keep for their gradients, where those are wanted.
pub(super) type Tape<'a, T> = Option<Vec<Kept<'a, T>>>;

impl<'s> Share<'s> {
    /// The range of a side that this rank has, if it has one; a side is what a call reads, and has a label once.
    pub(super) fn along(&self, id: ValueId) -> Option<(usize, Range<usize>)> {
        let label = self.spread.wants[id.index()]?;
        Some((*self.axes(id, label).first()?, self.range(label)))
    }

    /// What this rank has of an operand.
    fn own<'a, T: Element>(&self, id: ValueId, held: Held<'a, T>) -> Result<Held<'a, T>> {
        let want = self.spread.wants[id.index()];
        let along = self.along(id);
        Ok(match (held, want) {
            (Held::Value(value), Some(label)) if self.given == Given::Wholes => {
                Held::Value(self.narrow(value, &self.axes(id, label), label))
            }
            (Held::Stored(stored), _) => {
                let part = self.spread.part(self.plan, id.index(), self.ranks.rank());
                Held::Value(Value::Owned(read_part(stored, &part)?))
            }
            (Held::Frozen(side, packed), _) => match along {
                Some((axis, range)) => Held::Loaded(Box::new(side.narrow(axis, range))),
                None => Held::Frozen(side, packed),
            },
            (Held::StoredSide(stored), _) => Held::Loaded(Box::new(stored.side(along)?)),
            (held, _) => held,
        })
    }

    /// Runs the plan on operands of which each rank reads its own part, or is given that; the result is in row-major order, and
    /// none on ranks that are not given it.
    pub(super) fn run<'a, T: Element>(
        &self,
        known: impl IntoIterator<Item = (ValueId, Held<'a, T>)>,
        calls: Option<&QuantizedCalls>,
        tape: &mut Tape<'a, T>,
        recipients: Recipients,
    ) -> Result<Option<ArrayD<T>>> {
        let mut values = Values::new(self.plan);
        for (id, held) in known {
            values.put(id, self.own(id, held)?);
        }
        let needed = values.needed(self.plan);
        let readers = Readers::new(self.plan);
        let mut number = 0;
        for step in self.plan.steps() {
            let is_call = matches!(step.op(), Op::DotGeneral { .. });
            if needed[step.result().index()] {
                cancel::between_steps()?;
                let made = match step.op() {
                    Op::DotGeneral { lhs, rhs, dims, orientation } => {
                        let order = readers.memory_order(step);
                        let sides = [*lhs, *rhs];
                        let (lhs, rhs) = (values.take(*lhs), values.take(*rhs));
                        let call = Call { lhs, rhs, dims, orientation: *orientation, order };
                        let made = self.call(number, sides, call, calls, tape)?;
                        let is_last = number + 1 == self.spread.calls.len();
                        let to = if is_last { recipients } else { Recipients::All };
                        let settled = self.settle(step.result(), self.spread.calls[number], made, to)?;
                        let Some(made) = settled else { return Ok(None) };
                        made
                    }
                    unary => {
                        let input = unary.inputs().next().expect("every operation has an input");
                        apply(unary, values.take_array(input))
                    }
                };
                values.put(step.result(), Held::Value(made));
            }
            number += usize::from(is_call);
        }
        let result = values.take_array(self.plan.output()).into_row_major();
        Ok((recipients == Recipients::All || self.ranks.rank() == 0).then_some(result))
    }

    /// What a call makes of this rank's parts of its sides.
    fn call<'a, T: Element>(
        &self,
        number: usize,
        sides: [ValueId; 2],
        call: Call<'a, '_, T>,
        calls: Option<&QuantizedCalls>,
        tape: &mut Tape<'a, T>,
    ) -> Result<ArrayD<T>> {
        let parts = self.call_parts(number, sides, call.dims);
        let quantized = calls.filter(|_| Format::of(T::DTYPE).is_some());
        let (output, scales) = match (quantized, parts.terms) {
            (Some(calls), _) => {
                let mut prepared = calls.prepare(number, &call)?;
                prepared.parts = parts;
                let keep = if tape.is_some() { Keep::Scales } else { Keep::Output };
                let Rescaled { output, scales, .. } = prepared.rescale(keep)?;
                (T::from_floats(output), scales)
            }
            (None, Some(terms)) => match (&call.lhs, &call.rhs) {
                (Held::Value(lhs), Held::Value(rhs)) => {
                    (terms.product(&lhs.view(), &rhs.view(), call.dims, &call.order)?, [None, None])
                }
                _ => (Unquantized::product(&call)?, [None, None]),
            },
            (None, None) => (Unquantized::product(&call)?, [None, None]),
        };
        if let (Some(tape), Held::Value(lhs), Held::Value(rhs)) = (tape, call.lhs, call.rhs) {
            let [left, right] = scales;
            tape.push(Kept { lhs: KeptSide { value: lhs, scales: left }, rhs: KeptSide { value: rhs, scales: right } });
        }
        Ok(output)
    }

    /// How the sides of a call are parts of whole ones.
    fn call_parts(&self, number: usize, sides: [ValueId; 2], dims: &DimensionNumbers) -> CallParts<'s> {
        let Some(label) = self.spread.calls[number] else { return CallParts::default() };
        let axes = sides.map(|side| self.axes(side, label).first().copied());
        let place = dims.contracting().iter().position(|pair| axes[0] == Some(pair.0));
        let shapes = sides.map(|side| self.shape(side, Some(label)));
        let parts = [0, 1].map(|side| self.part(&shapes[side], axes[side], label, place.is_some()));
        let whole = self.plan.value(sides[0]).shape();
        let sizes: Vec<usize> = dims.contracting().iter().map(|pair| whole[pair.0]).collect();
        CallParts { sides: parts, terms: place.map(|place| self.terms(&sizes, place, label)) }
    }

    /// The terms that this rank has of sums over labels of these sizes, of which it has a range of the one at `place`.
    pub(super) fn terms(&self, sizes: &[usize], place: usize, label: Label) -> SharedTerms<'s> {
        // Where others come before it, terms are integers, whose places do not matter.
        let rest: usize = sizes[place + 1..].iter().product();
        let range = self.range(label);
        SharedTerms { ranks: self.ranks, own: (range.start * rest, range.end * rest), all: sizes.iter().product() }
    }

    /// A call's result as its reader needs it; none on a rank without one, where there is nothing left to do.
    fn settle<'a, T: Element>(
        &self,
        id: ValueId,
        label: Option<Label>,
        made: ArrayD<T>,
        to: Recipients,
    ) -> Result<Option<Value<'a, T>>> {
        let made_by = label.filter(|&label| !self.axes(id, label).is_empty());
        let wanted = self.spread.wants[id.index()];
        if let (Recipients::First, Some(label), None) = (to, made_by, wanted) {
            return Ok(self.gather_first(&made.view(), &self.axes(id, label), label)?.map(Value::Owned));
        }
        self.change(id, Value::Owned(made), made_by, wanted).map(Some)
    }

    /// A value of which ranks have ranges of one label, or all of it, as ranges of another one, or all.
    pub(super) fn change<'a, T: Element>(
        &self,
        id: ValueId,
        value: Value<'a, T>,
        from: Option<Label>,
        to: Option<Label>,
    ) -> Result<Value<'a, T>> {
        if from == to {
            return Ok(value);
        }
        let whole = match from {
            Some(label) => Value::Owned(self.gather(&value.view(), &self.axes(id, label), label)?),
            None => value,
        };
        Ok(match to {
            Some(label) => self.narrow(whole, &self.axes(id, label), label),
            None => whole,
        })
    }
}
