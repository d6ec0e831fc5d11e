//! Forward runs: one, two and more operands, and bare calls.

use half::{bf16, f16};
use ndarray::{ArrayD, ArrayViewD};
use qeinsum::path::Path;
use qeinsum::quant::{DotGeneralConfig, QuantConfig};
use qeinsum::rng::CallKeys;
use qeinsum::{
    CallRecord, DimensionNumbers, Element, Factor, Key, Op, Orientation, Plan, QDotGeneral, QEinsum, SideRecord, Sums,
};
use serde_json::Value;

use super::config::config_from_golden;
use super::set::{Golden, Set, first_difference};
use super::sums::{self, Agreement};

/// Runs `f` with the element type that a case names.
macro_rules! with_dtype {
    ($dtype:expr, $f:ident ( $($argument:expr),* )) => {
        match $dtype {
            "float32" => $f::<f32>($($argument),*),
            "bfloat16" => $f::<bf16>($($argument),*),
            "float16" => $f::<f16>($($argument),*),
            other => panic!("unknown dtype {other}"),
        }
    };
}

/// Compares everything that the forward parts of `cases.json` hold.
pub(crate) fn check(set: &mut Set) {
    let Some(cases) = set.document("cases") else { return };
    for case in list(&cases["cases"]) {
        with_dtype!(text(&case["dtype"]), check_case(set, case));
    }
    for case in list(&cases["one_operand"]) {
        check_one_operand(set, case);
    }
    for case in list(&cases["multi"]) {
        let dtype = case["dtype"].as_str().unwrap_or("float32");
        with_dtype!(dtype, check_multi(set, case));
    }
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}"))
}

pub(crate) fn numbers(value: &Value) -> Vec<usize> {
    list(value).iter().map(|number| number.as_u64().unwrap_or_default() as usize).collect()
}

fn key(value: &Value) -> Option<Key> {
    match list(value) {
        [high, low] => Some(Key::from_words([high.as_u64()? as u32, low.as_u64()? as u32])),
        _ => None,
    }
}

fn floats<T: Element>(set: &mut Set, name: &Value) -> ArrayD<T> {
    match set.input(text(name)) {
        Golden::Float(array) => T::from_floats(array),
        Golden::Int(_) => panic!("{name} is no float array"),
    }
}

fn check_case<T: Element>(set: &mut Set, case: &Value) {
    let name = text(&case["name"]).to_owned();
    let arrays = &case["arrays"];
    let (lhs, rhs) = (floats::<T>(set, &arrays["lhs"]), floats::<T>(set, &arrays["rhs"]));
    let config = config_from_golden(&case["config"], case["swapped"] == Value::Bool(true));
    let stage = &list(&case["stages"])[0];
    if case["direct_dims"].is_object() {
        let dims = dimension_numbers(&case["direct_dims"]);
        match QDotGeneral::new(dims.clone(), config.clone()).record(&lhs, &rhs, key(&case["direct_key"])) {
            Err(error) => set.differ(format!("{name}: refused: {error}")),
            Ok(record) => {
                let agreement = check_stage(set, stage, &dims, &record, &config, key(&case["direct_key"]));
                check_output(set, text(&arrays["out"]), &record, agreement, &narrowed::<T>(&record.output));
            }
        }
        return;
    }
    let qe = QEinsum::new(text(&case["equation"])).expect("golden equations parse").with_config(config.clone());
    let plan = qe.plan(&[lhs.shape(), rhs.shape()]).expect("golden equations plan");
    let (dims, orientation) = calls(&plan).remove(0);
    if (orientation == Orientation::Swapped) != (case["swapped"] == Value::Bool(true)) {
        set.differ(format!("{name}: swapped is {}, ours is {orientation:?}", case["swapped"]));
    }
    let user_key = key(&case["prng_key"]);
    let mut records = Vec::new();
    match qe.run_recorded((&lhs, &rhs), user_key, |_, record| records.push(record)) {
        Err(error) => set.differ(format!("{name}: refused: {error}")),
        Ok(out) => {
            let call_key = user_key.map(|key| key.fold_path("QDotGeneral_0", 1));
            let agreement = check_stage(set, stage, &dims, &records[0], &config.oriented(orientation), call_key);
            check_output(set, text(&arrays["out"]), &records[0], agreement, &widened(&out));
        }
    }
}

fn check_one_operand(set: &mut Set, case: &Value) {
    let x = floats::<f32>(set, &case["arrays"]["x"]);
    let out = QEinsum::new(text(&case["equation"])).and_then(|qe| qe.run((&x,)));
    match out {
        Ok(out) => set.compare_floats(text(&case["arrays"]["out"]), &out),
        Err(error) => set.differ(format!("{}: refused: {error}", case["name"])),
    }
}

fn check_multi<T: Element>(set: &mut Set, case: &Value) {
    let name = text(&case["name"]).to_owned();
    let arrays = &case["arrays"];
    let count = list(&case["shapes"]).len();
    let operands: Vec<ArrayD<T>> = (0..count).map(|k| floats(set, &arrays[format!("op{k}")])).collect();
    let views: Vec<ArrayViewD<'_, T>> = operands.iter().map(|operand| operand.view()).collect();
    let path = multi_path(case);
    let steps = path.steps().len();
    let configs: Vec<DotGeneralConfig> = (0..steps)
        .map(|step| {
            let golden = &case["steps"][step];
            let index = golden["config_index"].as_u64().unwrap_or(0) as usize;
            let config = list(&case["configs"]).get(index).unwrap_or(&case["config"]);
            config_from_golden(config, golden["swapped"] == Value::Bool(true))
        })
        .collect();
    let config = configs
        .iter()
        .enumerate()
        .fold(QuantConfig::default(), |all, (step, config)| all.with_step(step, config.clone()));
    let qe = QEinsum::new(text(&case["equation"])).expect("golden equations parse").with_path(path);
    let qe = qe.with_config(config.clone());
    let shapes: Vec<&[usize]> = operands.iter().map(ndarray::ArrayBase::shape).collect();
    let plan = qe.plan(&shapes).expect("golden equations plan");
    let user_key = key(&case["prng_key"]);
    let mut records = Vec::new();
    let out = match qe.run_recorded(views, user_key, |_, record| records.push(record)) {
        Ok(out) => out,
        Err(error) => return set.differ(format!("{name}: refused: {error}")),
    };
    let mut agreement = Agreement::Equal;
    for (step, (dims, orientation)) in calls(&plan).into_iter().enumerate() {
        let record = &records[step];
        let golden = &case["steps"][step];
        if golden.is_null() {
            // The older form keeps sums and outputs of each call, forward calls first.
            let call = &case["calls"][step];
            agreement = check_sums(set, text(&call["acc"]), record, &dims);
            check_output(set, text(&call["out"]), record, agreement, &record.output);
            continue;
        }
        if (orientation == Orientation::Swapped) != (golden["swapped"] == Value::Bool(true)) {
            set.differ(format!("{name} step {step}: swapped is {}, ours is {orientation:?}", golden["swapped"]));
        }
        let oriented = configs[step].oriented(orientation);
        let call_key = user_key.map(|key| key.fold_path(&format!("QDotGeneral_{step}"), 1));
        agreement = check_stage(set, &list(&golden["stages"])[0], &dims, record, &oriented, call_key);
        let made = transposed(&plan, step, narrowed::<T>(&record.output));
        check_output(set, text(&golden["arrays"]["out"]), record, agreement, &made);
    }
    check_output(set, text(&arrays["out"]), &records[steps - 1], agreement, &widened(&out));
}

pub(crate) fn multi_path(case: &Value) -> Path {
    let positions = match list(&case["path_positions"]) {
        [] => list(&case["path"]).iter().map(|step| numbers(&step["operand_indices"])).collect(),
        positions => positions.iter().map(numbers).collect::<Vec<_>>(),
    };
    Path::new(positions.iter().map(|pair| [pair[0], pair[1]]).collect()).expect("golden paths fit")
}

/// The output of a call after the transpose that its step ends with, if it has one.
fn transposed(plan: &Plan, call: usize, output: ArrayD<f32>) -> ArrayD<f32> {
    let mut calls = 0;
    for pair in plan.steps().windows(2) {
        if matches!(pair[0].op(), Op::DotGeneral { .. }) {
            calls += 1;
            if let (true, Op::Transpose { permutation, .. }) = (calls == call + 1, pair[1].op()) {
                return output.permuted_axes(permutation.to_vec());
            }
        }
    }
    output
}

fn calls(plan: &Plan) -> Vec<(DimensionNumbers, Orientation)> {
    plan.calls()
        .filter_map(|step| match step.op() {
            Op::DotGeneral { dims, orientation, .. } => Some((dims.clone(), *orientation)),
            _ => None,
        })
        .collect()
}

fn dimension_numbers(dims: &Value) -> DimensionNumbers {
    let pairs = |lhs: &str, rhs: &str| numbers(&dims[lhs]).into_iter().zip(numbers(&dims[rhs]));
    DimensionNumbers::new(pairs("lhs_batch", "rhs_batch"), pairs("lhs_contract", "rhs_contract")).expect("golden dims")
}

fn widened<T: Element>(array: &ArrayD<T>) -> ArrayD<f32> {
    T::floats(array.view()).into_owned()
}

/// Rounded to the operands' type, as what a call returns is.
fn narrowed<T: Element>(output: &ArrayD<f32>) -> ArrayD<f32> {
    widened(&T::from_floats(output.clone()))
}

fn check_stage(
    set: &mut Set,
    stage: &Value,
    dims: &DimensionNumbers,
    record: &CallRecord,
    config: &DotGeneralConfig,
    call_key: Option<Key>,
) -> Agreement {
    let arrays = &stage["arrays"];
    let place = text(&arrays["op_lhs"]).trim_end_matches("/op_lhs").to_owned();
    if dimension_numbers(&stage["dims_executed"]) != *dims {
        set.differ(format!("{place}: dimension numbers {}, ours {dims}", stage["dims_executed"]));
    }
    if key(&stage["context_key"]).map(Key::words) != call_key.map(Key::words) {
        set.differ(format!("{place}: key {}, ours {call_key:?}", stage["context_key"]));
    }
    let keys = call_key.map(|key| CallKeys::new(key).forward);
    for (side, ours, config, key) in [
        ("lhs", &record.lhs, &config.forward.lhs, keys.map(|keys| keys.lhs)),
        ("rhs", &record.rhs, &config.forward.rhs, keys.map(|keys| keys.rhs)),
    ] {
        if stage[side]["quantized"] != Value::Bool(config.is_quantized()) {
            set.differ(format!("{place}: {side} quantized is {}", stage[side]["quantized"]));
        }
        if self::key(&stage[side]["key"]).map(Key::words) != key.map(Key::words) {
            set.differ(format!("{place}: {side} key {}, ours {key:?}", stage[side]["key"]));
        }
        check_side(set, arrays, side, ours);
    }
    let agreement = check_sums(set, text(&arrays["acc"]), record, dims);
    check_output(set, text(&arrays["out"]), record, agreement, &record.output);
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

fn check_sums(set: &mut Set, name: &str, record: &CallRecord, dims: &DimensionNumbers) -> Agreement {
    match &record.sums {
        Sums::I32(sums) => sums::check_integers(set, name, record, dims, &sums.mapv(i64::from)),
        Sums::I64(sums) => sums::check_integers(set, name, record, dims, sums),
        Sums::Float(sums) => sums::check_floats(set, name, record, dims, sums),
    }
}

/// Compares an output: bit for bit, or as the rule allows that let the sums differ.
fn check_output(set: &mut Set, name: &str, record: &CallRecord, agreement: Agreement, ours: &ArrayD<f32>) {
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
