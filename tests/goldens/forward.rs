//! One- and two-operand cases and bare calls, forward and backward.

use half::{bf16, f16};
use ndarray::ArrayD;
use qeinsum::quant::DotGeneralConfig;
use qeinsum::rng::CallKeys;
use qeinsum::{
    CallRecord, DimensionNumbers, Element, GradientRecord, Key, Op, Orientation, Plan, QDotGeneral, QEinsum, Result,
    Side,
};
use serde_json::Value;

use super::config::config_from_golden;
use super::frozen::check_freeze;
use super::multi::check_multi;
use super::set::Set;
use super::stage::{self, Ours, check_output, dimension_numbers, floats, key, list, pair, text, widened};
use super::sums::Agreement;

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

/// Compares everything that `cases.json` holds, but configurations.
pub(crate) fn check(set: &mut Set) {
    let Some(cases) = set.document("cases") else { return };
    for case in list(&cases["cases"]) {
        with_dtype!(text(&case["dtype"]), check_case(set, case));
        if case["freeze"].is_object() {
            with_dtype!(text(&case["dtype"]), check_freeze(set, case));
        }
    }
    for case in list(&cases["one_operand"]) {
        check_one_operand(set, case);
    }
    for case in list(&cases["multi"]) {
        let dtype = case["dtype"].as_str().unwrap_or("float32");
        with_dtype!(dtype, check_multi(set, case));
    }
}

/// What a two-operand case or a bare call made.
struct Run<T> {
    dims: DimensionNumbers,
    /// In terms of the executed sides.
    config: DotGeneralConfig,
    call_key: Option<Key>,
    forward: CallRecord,
    out: ArrayD<T>,
    backward: Option<Result<Backward<T>>>,
}

struct Backward<T> {
    records: Vec<(Side, GradientRecord)>,
    /// Of the two operands, as written.
    gradients: Vec<ArrayD<T>>,
}

fn check_case<T: Element>(set: &mut Set, case: &Value) {
    let name = text(&case["name"]).to_owned();
    let arrays = &case["arrays"];
    let run = if case["direct_dims"].is_object() { run_bare::<T>(set, case) } else { run_equation::<T>(set, case) };
    let run = match run {
        Ok(run) => run,
        Err(error) => return set.differ(format!("{name}: refused: {error}")),
    };
    let stages = list(&case["stages"]);
    if stages.is_empty() {
        return check_results(set, case, &run);
    }
    let ours = Ours {
        dims: &run.dims,
        record: &run.forward,
        config: &run.config.forward,
        context: run.call_key,
        keys: run.call_key.map(|key| CallKeys::new(key).forward),
        inputs: None,
    };
    let agreement = stage::check(set, &stages[0], &ours, Agreement::Equal);
    check_output(set, text(&arrays["out"]), &run.forward, agreement, &widened(&run.out));
    let Backward { records, gradients } = match run.backward {
        Some(Ok(backward)) => backward,
        Some(Err(error)) => return set.differ(format!("{name}: gradients refused: {error}")),
        None => return,
    };
    let swapped = case["swapped"] == Value::Bool(true);
    for (side, record) in &records {
        let stage = stages.iter().find(|stage| text(&stage["stage"]) == format!("d{side}"));
        let Some(stage) = stage else {
            set.differ(format!("{name}: has no stage d{side}, ours has"));
            continue;
        };
        let agreement = check_gradient(set, stage, *side, record, &run.config, run.call_key, Agreement::Equal);
        let operand = usize::from((*side == Side::Rhs) != swapped);
        let golden = &arrays[["dlhs", "drhs"][operand]];
        check_output(set, text(golden), &record.call, agreement, &widened(&gradients[operand]));
    }
}

/// Compares results and gradients alone, for a set that has nothing of what is between.
fn check_results<T: Element>(set: &mut Set, case: &Value, run: &Run<T>) {
    let arrays = &case["arrays"];
    set.compare_floats(text(&arrays["out"]), &widened(&run.out));
    match &run.backward {
        Some(Ok(backward)) => {
            for (name, gradient) in ["dlhs", "drhs"].into_iter().zip(&backward.gradients) {
                set.compare_floats(text(&arrays[name]), &widened(gradient));
            }
        }
        Some(Err(error)) => set.differ(format!("{}: gradients refused: {error}", case["name"])),
        None => {}
    }
}

/// Compares a gradient's call under an oriented configuration; `call_key` is that of the forward call.
pub(crate) fn check_gradient(
    set: &mut Set,
    stage: &Value,
    side: Side,
    record: &GradientRecord,
    config: &DotGeneralConfig,
    call_key: Option<Key>,
    before: Agreement,
) -> Agreement {
    let keys = call_key.map(CallKeys::new);
    let ours = Ours {
        dims: &record.dims,
        record: &record.call,
        config: &side.of(config.dlhs, config.drhs).call,
        context: call_key.map(|key| side.of(pair(pair(key)[1])[0], pair(pair(key)[1])[1])),
        keys: keys.map(|keys| side.of(keys.dlhs, keys.drhs)),
        inputs: Some([&record.incoming, &record.other]),
    };
    stage::check(set, stage, &ours, before)
}

/// The gradient of the result, where the reference has gradients.
fn cotangent<T: Element>(set: &mut Set, case: &Value) -> Option<ArrayD<T>> {
    let given = list(&case["stages"]).len() != 1 && case["arrays"]["g"].is_string();
    if !given && case["gradient_error"].is_null() {
        set.differ(format!("{}: has neither gradients nor a reason", case["name"]));
    }
    given.then(|| floats(set, &case["arrays"]["g"]))
}

fn run_bare<T: Element>(set: &mut Set, case: &Value) -> Result<Run<T>> {
    let (lhs, rhs) = (floats::<T>(set, &case["arrays"]["lhs"]), floats::<T>(set, &case["arrays"]["rhs"]));
    let config = config_from_golden(&case["config"], false);
    let dims = dimension_numbers(&case["direct_dims"]);
    let call_key = key(&case["direct_key"]);
    let dot = QDotGeneral::new(dims.clone(), config.clone());
    let forward = dot.record(&lhs, &rhs, call_key)?;
    let out = T::from_floats(forward.output.clone());
    let backward = cotangent::<T>(set, case).map(|g| {
        let (again, pullback) = dot.vjp(&lhs, &rhs, call_key)?;
        same_bits(set, case, &again, &out);
        let mut records = Vec::new();
        let gradients = pullback.pull_recorded(&g, |side, record| records.push((side, record)))?;
        Ok(Backward { records, gradients: gradients.into() })
    });
    Ok(Run { dims, config, call_key, forward, out, backward })
}

fn run_equation<T: Element>(set: &mut Set, case: &Value) -> Result<Run<T>> {
    let (lhs, rhs) = (floats::<T>(set, &case["arrays"]["lhs"]), floats::<T>(set, &case["arrays"]["rhs"]));
    let swapped = case["swapped"] == Value::Bool(true);
    let config = config_from_golden(&case["config"], swapped);
    let qe = QEinsum::new(text(&case["equation"]))?.with_config(config.clone());
    let plan = qe.plan(&[lhs.shape(), rhs.shape()])?;
    let (dims, orientation) = calls(&plan).remove(0);
    if (orientation == Orientation::Swapped) != swapped {
        set.differ(format!("{}: swapped is {swapped}, ours is {orientation:?}", case["name"]));
    }
    let user_key = key(&case["prng_key"]);
    let mut forward = Vec::new();
    let out = qe.run_recorded((&lhs, &rhs), user_key, |_, record| forward.push(record))?;
    let backward = cotangent::<T>(set, case).map(|g| {
        let (again, pullback) = qe.vjp((&lhs, &rhs), user_key)?;
        same_bits(set, case, &again, &out);
        let mut records = Vec::new();
        let gradients = pullback.pull_recorded(&g, |_, side, record| records.push((side, record)))?;
        Ok(Backward { records, gradients })
    });
    let call_key = user_key.map(|key| key.fold_path("QDotGeneral_0", 1));
    Ok(Run { dims, config: config.oriented(orientation), call_key, forward: forward.remove(0), out, backward })
}

/// A run that keeps what its gradients need makes the result of one that does not.
pub(crate) fn same_bits<T: Element>(set: &mut Set, case: &Value, taped: &ArrayD<T>, plain: &ArrayD<T>) {
    if super::set::first_difference(&widened(taped), &widened(plain)).is_some() {
        set.differ(format!("{}: the result differs where gradients are asked for", case["name"]));
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

pub(crate) fn calls(plan: &Plan) -> Vec<(DimensionNumbers, Orientation)> {
    plan.calls()
        .filter_map(|step| match step.op() {
            Op::DotGeneral { dims, orientation, .. } => Some((dims.clone(), *orientation)),
            _ => None,
        })
        .collect()
}
