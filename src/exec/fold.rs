//! Folding: what frozen operands alone make of a plan, computed once.

use ndarray::ArrayD;

use crate::cancel;
use crate::error::Result;
use crate::kernel::{Element, PackedSide};
use crate::lower::{Op, Plan, Side, ValueId};
use crate::quant::{Dequantize, Format, TensorConfig, Values};

use super::order::Readers;
use super::quantized::QuantizedCalls;
use super::run::{Call, Calls as _, Held, apply};
use super::side::FrozenSide;
use super::value::Value;

/// A value that depends on frozen operands alone.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Folded<T> {
    /// Quantized as the call that reads it would.
    Side(FrozenSide),
    /// As it is.
    Array(ArrayD<T>),
}

impl<T: Element> Folded<T> {
    /// The value for a run, with the same side packed, if it was.
    pub(crate) fn held<'a>(&'a self, packed: Option<&'a PackedSide>) -> Held<'a, T> {
        match self {
            Self::Side(side) => Held::Frozen(side, packed),
            Self::Array(array) => Held::Value(Value::Borrowed(array.view())),
        }
    }
}

/// Runs the steps whose inputs are all known, and quantizes what then meets an unknown side.
///
/// Steps that draw noise are left to the run, whose key they need. The result holds what the steps that are left read,
/// in the order of values, and the output where no step is left.
pub(crate) fn fold<T: Element>(
    plan: &Plan,
    calls: &mut QuantizedCalls,
    known: Vec<(ValueId, Folded<T>)>,
) -> Result<Vec<(ValueId, Folded<T>)>> {
    let mut values: Vec<Option<Folded<T>>> = (0..plan.values().len()).map(|_| None).collect();
    for (id, value) in known {
        values[id.index()] = Some(value);
    }
    let readers = Readers::new(plan);
    let mut number = 0;
    for step in plan.steps() {
        cancel::between_steps()?;
        let Op::DotGeneral { lhs, rhs, dims, orientation } = step.op() else {
            let input = step.op().inputs().next().expect("every operation has an input");
            if let Some(Folded::Array(array)) = take_array(&mut values[input.index()]) {
                let made = apply(step.op(), Value::Owned(array));
                values[step.result().index()] = Some(Folded::Array(made.into_row_major()));
            }
            continue;
        };
        number += 1;
        let config = calls.config(number - 1, *orientation).forward;
        let draws = Side::BOTH.map(|side| {
            let value = &values[side.of(lhs, rhs).index()];
            matches!(value, Some(Folded::Array(_))) && side.of(config.lhs, config.rhs).noise().is_some()
        });
        if let (Some(left), Some(right), [false, false]) = (&values[lhs.index()], &values[rhs.index()], draws) {
            let order = readers.memory_order(step);
            let call = Call { lhs: left.held(None), rhs: right.held(None), dims, orientation: *orientation, order };
            let made = calls.call(number - 1, call)?;
            values[lhs.index()] = None;
            values[rhs.index()] = None;
            values[step.result().index()] = Some(Folded::Array(made));
            continue;
        }
        for ((side, id), draws) in Side::BOTH.into_iter().zip([lhs, rhs]).zip(draws) {
            if !draws && let Some(Folded::Array(array)) = take_array(&mut values[id.index()]) {
                let contracting = side.of(dims.lhs_contracting(), dims.rhs_contracting());
                values[id.index()] = Some(quantized(array, &contracting, &side.of(config.lhs, config.rhs))?);
            }
        }
    }
    let ids = (0..values.len()).map(ValueId::new);
    Ok(ids.zip(values).filter_map(|(id, value)| Some((id, value?))).collect())
}

/// Packs the sides that are known, where calls with unknown other sides read panels.
pub(crate) fn pack<T: Element>(
    plan: &Plan,
    calls: &QuantizedCalls,
    known: &[(ValueId, Folded<T>)],
) -> Vec<(ValueId, PackedSide)> {
    let side_of = |id: ValueId| match known.iter().find(|(known, _)| *known == id) {
        Some((_, Folded::Side(side))) => Some(side),
        _ => None,
    };
    let readers = Readers::new(plan);
    let mut packed = Vec::new();
    for (number, step) in plan.calls().enumerate() {
        let Op::DotGeneral { lhs, rhs, dims, orientation } = step.op() else { continue };
        let config = calls.config(number, *orientation).forward;
        for side in Side::BOTH {
            let (id, other) = side.of((*lhs, *rhs), (*rhs, *lhs));
            let Some(FrozenSide { values: Values::Int8(values), inverse_scale, .. }) = side_of(id) else { continue };
            if !side.of(config.rhs, config.lhs).is_int8() || config.dequantize != Dequantize::Output {
                continue;
            }
            let (order, other) = (readers.memory_order(step), plan.value(other).shape());
            let sides = PackedSide::new(&values.view(), &inverse_scale.view(), side, other, dims, &order);
            packed.extend(sides.map(|packed| (id, packed)));
        }
    }
    packed
}

/// Takes a value that is an array, and leaves any other.
fn take_array<T>(value: &mut Option<Folded<T>>) -> Option<Folded<T>> {
    value.take_if(|value| matches!(value, Folded::Array(_)))
}

/// What a call would quantize, quantized.
fn quantized<T: Element>(array: ArrayD<T>, contracting: &[usize], config: &TensorConfig) -> Result<Folded<T>> {
    let Some(format) = Format::of(T::DTYPE) else { return Ok(Folded::Array(array)) };
    let side = FrozenSide::new(&T::floats(array.view()).view(), format, contracting, config, None)?;
    Ok(side.map_or(Folded::Array(array), Folded::Side))
}
