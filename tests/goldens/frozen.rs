//! Freezing: what is stored, and what serving makes of it.

use std::collections::BTreeMap;

use ndarray::ArrayD;
use qeinsum::{Element, FlaxLayer, Frozen, FrozenValues, OperandView, QEinsum};
use serde_json::Value;

use super::config::config_from_golden;
use super::set::Set;
use super::stage::{floats, key, text, widened};

pub(crate) fn check_freeze<T: Element>(set: &mut Set, case: &Value) {
    let arrays = &case["arrays"];
    let operands = [floats::<T>(set, &arrays["lhs"]), floats::<T>(set, &arrays["rhs"])];
    let config = config_from_golden(&case["config"], case["swapped"] == Value::Bool(true));
    let qe = QEinsum::new(text(&case["equation"])).expect("golden equations parse").with_config(config);
    let user_key = key(&case["prng_key"]);
    let shapes = [operands[0].shape(), operands[1].shape()];
    let mut frozen = BTreeMap::new();
    for (position, side) in ["lhs", "rhs"].into_iter().enumerate() {
        if case["freeze"][side] != Value::Bool(true) {
            continue;
        }
        match qe.freeze(position, &operands[position], &shapes, user_key) {
            Ok(made) => {
                check_variables(set, case, side, &made);
                let imported = imported(set, case, |layer| qe.import(position, layer, &shapes, T::DTYPE));
                if imported.as_ref() != Ok(&made) {
                    set.differ(format!("{}: {side} as it is imported: {:?}", case["name"], imported.err()));
                }
                frozen.insert(position, made);
            }
            Err(error) => return set.differ(format!("{}: refused: {error}", case["name"])),
        }
    }
    // Converting runs as training does.
    let trained = qe.vjp((&operands[0], &operands[1]), user_key).map(|(out, _)| out);
    compare(set, case, &arrays["convert_out"], trained);
    let serve = |operands: [&ArrayD<T>; 2]| {
        let operands: Vec<OperandView<'_, T>> = (0..2)
            .map(|position| match frozen.get(&position) {
                Some(frozen) => OperandView::Frozen(frozen),
                None => OperandView::Array(operands[position].view()),
            })
            .collect();
        match user_key {
            Some(key) => qe.run_with_key(operands, key),
            None => qe.run(operands),
        }
    };
    let served = serve([&operands[0], &operands[1]]);
    compare(set, case, &arrays["serve_out_same_inputs"], served);
    if arrays["serve2_out"].is_string() {
        // The frozen side's array is a dummy there, whose values nobody reads.
        let others = [floats::<T>(set, &arrays["serve2_lhs"]), floats::<T>(set, &arrays["serve2_rhs"])];
        let served = serve([&others[0], &others[1]]);
        compare(set, case, &arrays["serve2_out"], served);
    }
}

/// What `import` makes of the layer of a checkpoint that has the variables under the names that they have in the original.
fn imported(
    set: &Set,
    case: &Value,
    import: impl FnOnce(&FlaxLayer) -> qeinsum::Result<Frozen>,
) -> qeinsum::Result<Frozen> {
    let tensors = set.tensors();
    let variables = case["freeze"]["variables"].as_object().into_iter().flatten();
    let named = variables
        .map(|(path, variable)| (path, tensors.tensor(text(&variable["array"])).expect("variables are there")));
    let name = format!("qeinsum-{}-{}.safetensors", text(&case["name"]), std::process::id());
    let checkpoint = std::env::temp_dir().join(name);
    safetensors::serialize_to_file(named, None, &checkpoint).expect("a temporary file can be written");
    let imported = FlaxLayer::load(&checkpoint, "QDotGeneral_0").and_then(|layer| import(&layer));
    std::fs::remove_file(&checkpoint).ok();
    imported
}

fn compare<T: Element>(set: &mut Set, case: &Value, name: &Value, ours: qeinsum::Result<ArrayD<T>>) {
    match ours {
        Ok(ours) => set.compare_floats(text(name), &widened(&ours)),
        Err(error) => set.differ(format!("{}: {name} refused: {error}", case["name"])),
    }
}

fn check_variables(set: &mut Set, case: &Value, side: &str, ours: &Frozen) {
    for (path, variable) in case["freeze"]["variables"].as_object().into_iter().flatten() {
        let name = text(&variable["array"]);
        if path.ends_with(&format!("q{side}/scale")) {
            set.compare_floats(name, &ours.inverse_scale());
        } else if path.ends_with(&format!("q{side}/value")) {
            match ours.values() {
                FrozenValues::Int8(values) => set.compare_ints(name, &values.mapv(i64::from)),
                FrozenValues::Float(values) => set.compare_floats(name, values),
            }
        }
    }
}
