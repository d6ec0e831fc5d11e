//! One stage of a golden case: a call, forward or of a gradient, with everything on its way.

use ndarray::ArrayD;
use qeinsum::quant::CallConfig;
use qeinsum::rng::SideKeys;
use qeinsum::{CallRecord, DimensionNumbers, Element, Factor, Key, SideRecord, Sums};
use serde_json::Value;

use super::set::{Golden, Set, first_difference};
use super::sums::{self, Agreement};

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}"))
}

pub(crate) fn numbers(value: &Value) -> Vec<usize> {
    list(value).iter().map(|number| number.as_u64().unwrap_or_default() as usize).collect()
}

pub(crate) fn key(value: &Value) -> Option<Key> {
    match list(value) {
        [high, low] => Some(Key::from_words([high.as_u64()? as u32, low.as_u64()? as u32])),
        _ => None,
    }
}

/// The two keys that a key splits into.
pub(crate) fn pair(key: Key) -> [Key; 2] {
    let keys = key.split(2);
    [keys[0], keys[1]]
}

pub(crate) fn floats<T: Element>(set: &mut Set, name: &Value) -> ArrayD<T> {
    match set.input(text(name)) {
        Golden::Float(array) => T::from_floats(array),
        Golden::Int(_) => panic!("{name} is no float array"),
    }
}

pub(crate) fn dimension_numbers(dims: &Value) -> DimensionNumbers {
    let pairs = |lhs: &str, rhs: &str| numbers(&dims[lhs]).into_iter().zip(numbers(&dims[rhs]));
    DimensionNumbers::new(pairs("lhs_batch", "rhs_batch"), pairs("lhs_contract", "rhs_contract")).expect("golden dims")
}

pub(crate) fn widened<T: Element>(array: &ArrayD<T>) -> ArrayD<f32> {
    T::floats(array.view()).into_owned()
}

/// Rounded to the operands' type, as what a call returns is.
pub(crate) fn narrowed<T: Element>(output: &ArrayD<f32>) -> ArrayD<f32> {
    widened(&T::from_floats(output.clone()))
}

/// A call of ours, to be held against a stage.
pub(crate) struct Ours<'a> {
    pub(crate) dims: &'a DimensionNumbers,
    pub(crate) record: &'a CallRecord,
    pub(crate) config: &'a CallConfig,
    /// The key that the stage was given, before it is split for its sides.
    pub(crate) context: Option<Key>,
    pub(crate) keys: Option<SideKeys>,
    /// What a gradient's call took for its sides.
    pub(crate) inputs: Option<[&'a ArrayD<f32>; 2]>,
}

/// Compares a stage; `before` says how what went into it agrees.
pub(crate) fn check(set: &mut Set, stage: &Value, ours: &Ours<'_>, before: Agreement) -> Agreement {
    let arrays = &stage["arrays"];
    let place = text(&arrays["op_lhs"]).trim_end_matches("/op_lhs").to_owned();
    if dimension_numbers(&stage["dims_executed"]) != *ours.dims {
        set.differ(format!("{place}: dimension numbers {}, ours {}", stage["dims_executed"], ours.dims));
    }
    if key(&stage["context_key"]).map(Key::words) != ours.context.map(Key::words) {
        set.differ(format!("{place}: key {}, ours {:?}", stage["context_key"], ours.context));
    }
    for (side, config, key) in [
        ("lhs", &ours.config.lhs, ours.keys.map(|keys| keys.lhs)),
        ("rhs", &ours.config.rhs, ours.keys.map(|keys| keys.rhs)),
    ] {
        if stage[side]["quantized"] != Value::Bool(config.is_quantized()) {
            set.differ(format!("{place}: {side} quantized is {}", stage[side]["quantized"]));
        }
        if self::key(&stage[side]["key"]).map(Key::words) != key.map(Key::words) {
            set.differ(format!("{place}: {side} key {}, ours {key:?}", stage[side]["key"]));
        }
    }
    if before != Agreement::Equal {
        // What goes in differs as a rule allows, so nothing that follows can be held against it bit for bit.
        arrays.as_object().into_iter().flatten().for_each(|(_, name)| set.mark_ruled(text(name)));
        return before;
    }
    for (side, input) in ["lhs", "rhs"].into_iter().zip(ours.inputs.into_iter().flatten()) {
        set.compare_floats(text(&arrays[format!("{side}_x")]), input);
    }
    check_side(set, arrays, "lhs", &ours.record.lhs);
    check_side(set, arrays, "rhs", &ours.record.rhs);
    let agreement = check_sums(set, text(&arrays["acc"]), ours.record, ours.dims);
    check_output(set, text(&arrays["out"]), ours.record, agreement, &ours.record.output);
    agreement
}

fn check_side(set: &mut Set, arrays: &Value, side: &str, ours: &SideRecord) {
    let parts = [("scale", &ours.scale), ("inv_scale", &ours.inverse_scale), ("noise", &ours.noise)];
    for (part, ours) in parts {
        match (arrays[format!("{side}_{part}")].as_str(), ours) {
            (Some(name), Some(ours)) => set.compare_floats(name, ours),
            (None, None) => {}
            (Some(name), None) => set.differ(format!("{name}: ours has none")),
            (None, Some(_)) => set.differ(format!("{} has no {side} {part}, ours has", arrays["out"])),
        }
    }
    let name = text(&arrays[format!("op_{side}")]);
    match &ours.factor {
        Factor::Int8(values) => set.compare_ints(name, &values.mapv(i64::from)),
        Factor::Float(values) => set.compare_floats(name, values),
    }
}

pub(crate) fn check_sums(set: &mut Set, name: &str, record: &CallRecord, dims: &DimensionNumbers) -> Agreement {
    match &record.sums {
        Sums::I32(sums) => sums::check_integers(set, name, record, dims, &sums.mapv(i64::from)),
        Sums::I64(sums) => sums::check_integers(set, name, record, dims, sums),
        Sums::Float(sums) => sums::check_floats(set, name, record, dims, sums),
    }
}

/// Compares an output: bit for bit, or as the rule allows that let the sums differ.
pub(crate) fn check_output(set: &mut Set, name: &str, record: &CallRecord, agreement: Agreement, ours: &ArrayD<f32>) {
    let (golden, _) = set.expected(name);
    let Golden::Float(golden) = golden else { return set.differ(format!("{name}: no floats")) };
    if golden.shape() != ours.shape() {
        return set.differ(format!("{name}: shape {:?}, ours {:?}", golden.shape(), ours.shape()));
    }
    if let Some((place, wanted, got)) = first_difference(&golden, ours)
        && !agreement.allows(record, &golden, ours)
    {
        set.differ(format!("{name}{place:?}: golden {wanted:e}, ours {got:e}"));
    }
}
