//! Cases of three and more operands: every step forward, every gradient call, and sums for repeated operands.

use ndarray::{ArrayD, ArrayViewD};
use qeinsum::path::Path;
use qeinsum::quant::{DotGeneralConfig, QuantConfig};
use qeinsum::rng::CallKeys;
use qeinsum::{CallRecord, Element, GradientRecord, Key, Op, Plan, QEinsum, Side};
use serde_json::Value;

use super::config::config_from_golden;
use super::forward::{calls, check_gradient, same_bits};
use super::set::Set;
use super::stage::{self, Ours, check_output, check_sums, floats, key, list, narrowed, numbers, pair, text, widened};
use super::sums::Agreement;

pub(crate) fn check_multi<T: Element>(set: &mut Set, case: &Value) {
    let arrays = &case["arrays"];
    let count = list(&case["shapes"]).len();
    let operands: Vec<ArrayD<T>> = (0..count).map(|k| floats(set, &arrays[format!("op{k}")])).collect();
    let views: Vec<ArrayViewD<'_, T>> = operands.iter().map(|operand| operand.view()).collect();
    let path = multi_path(case);
    let configs = configs(case, path.steps().len());
    let config = configs
        .iter()
        .enumerate()
        .fold(QuantConfig::default(), |all, (step, config)| all.with_step(step, config.clone()));
    let qe = QEinsum::new(text(&case["equation"])).expect("golden equations parse").with_path(path);
    let qe = qe.with_config(config);
    let shapes: Vec<&[usize]> = operands.iter().map(ndarray::ArrayBase::shape).collect();
    let plan = qe.plan(&shapes).expect("golden equations plan");
    let user_key = key(&case["prng_key"]);
    let mut records = Vec::new();
    let out = match qe.run_recorded(views.clone(), user_key, |_, record| records.push(record)) {
        Ok(out) => out,
        Err(error) => return set.differ(format!("{}: refused: {error}", case["name"])),
    };
    let checked = Checked { case, plan: &plan, configs: &configs, user_key };
    let agreements = checked.forward::<T>(set, &records);
    let last = agreements.last().copied().unwrap_or(Agreement::Equal);
    check_output(set, text(&arrays["out"]), &records[records.len() - 1], last, &widened(&out));
    if arrays["g"].is_null() {
        return;
    }
    let g = floats::<T>(set, &arrays["g"]);
    let mut backward = Vec::new();
    let pulled = qe.vjp(views, user_key).and_then(|(again, pullback)| {
        same_bits(set, case, &again, &out);
        let gradients = pullback.pull_recorded(&g, |step, side, record| backward.push((step, side, record)))?;
        let sources = numbers(&case["operand_source"]);
        let sums = if sources.is_empty() { Vec::new() } else { pullback.pull_summed(&g, &sources)? };
        Ok((gradients, sums))
    });
    let (gradients, sums) = match pulled {
        Ok(pulled) => pulled,
        Err(error) => return set.differ(format!("{}: gradients refused: {error}", case["name"])),
    };
    let agreements = checked.backward(set, &backward, &agreements);
    let mut worst = Agreement::Equal;
    for (operand, gradient) in gradients.iter().enumerate() {
        let name = text(&arrays[format!("dop{operand}")]);
        let entry = plan.entry(operand).expect("three operands and more have calls");
        let made = backward.iter().position(|(step, side, _)| (*step, *side) == (entry.call, entry.side));
        let made = made.expect("every operand's gradient is computed");
        worst = worst.max_of(agreements[made]);
        check_output(set, name, &backward[made].2.call, agreements[made], &widened(gradient));
    }
    for (source, sum) in sums.iter().enumerate() {
        if let Some(name) = arrays[format!("dsrc{source}")].as_str() {
            match worst {
                Agreement::Equal => set.compare_floats(name, &widened(sum)),
                _ => set.mark_ruled(name),
            }
        }
    }
}

/// The configuration of each step, sides as written.
fn configs(case: &Value, steps: usize) -> Vec<DotGeneralConfig> {
    let config = |step| {
        let golden = &case["steps"][step];
        let index = golden["config_index"].as_u64().unwrap_or(0) as usize;
        let config = list(&case["configs"]).get(index).unwrap_or(&case["config"]);
        config_from_golden(config, golden["swapped"] == Value::Bool(true))
    };
    (0..steps).map(config).collect()
}

struct Checked<'a> {
    case: &'a Value,
    plan: &'a Plan,
    configs: &'a [DotGeneralConfig],
    user_key: Option<Key>,
}

impl Checked<'_> {
    fn call_key(&self, step: usize) -> Option<Key> {
        self.user_key.map(|key| key.fold_path(&format!("QDotGeneral_{step}"), 1))
    }

    /// How what a step reads agrees, given how the results of steps do.
    fn read(&self, step: usize, results: &[Agreement]) -> Agreement {
        let pair = self.plan.path().ssa()[step];
        let count = self.plan.equation().operands().len();
        pair.iter().filter_map(|&id| id.checked_sub(count)).fold(Agreement::Equal, |all, id| all.max_of(results[id]))
    }

    fn forward<T: Element>(&self, set: &mut Set, records: &[CallRecord]) -> Vec<Agreement> {
        let mut agreements = Vec::new();
        for (step, (dims, orientation)) in calls(self.plan).into_iter().enumerate() {
            let record = &records[step];
            let before = self.read(step, &agreements);
            let golden = &self.case["steps"][step];
            if golden.is_null() {
                // The older form keeps sums and outputs of each call, forward calls first.
                agreements.push(self.old_call(set, step, record, &dims, before));
                continue;
            }
            if (orientation == qeinsum::Orientation::Swapped) != (golden["swapped"] == Value::Bool(true)) {
                let (name, swapped) = (&self.case["name"], &golden["swapped"]);
                set.differ(format!("{name} step {step}: swapped is {swapped}, ours is {orientation:?}"));
            }
            let config = self.configs[step].oriented(orientation);
            let context = self.call_key(step);
            let keys = context.map(|key| CallKeys::new(key).forward);
            let ours = Ours { dims: &dims, record, config: &config.forward, context, keys, inputs: None };
            let agreement = stage::check(set, &list(&golden["stages"])[0], &ours, before);
            let made = transposed(self.plan, step, narrowed::<T>(&record.output));
            check_output(set, text(&golden["arrays"]["out"]), record, agreement, &made);
            agreements.push(agreement);
        }
        agreements
    }

    /// Compares gradient calls in the order in which they ran; gives how each of them agrees.
    fn backward(
        &self,
        set: &mut Set,
        records: &[(usize, Side, GradientRecord)],
        forward: &[Agreement],
    ) -> Vec<Agreement> {
        let orientations = calls(self.plan);
        let mut agreements: Vec<Agreement> = Vec::new();
        for (at, (step, side, record)) in records.iter().enumerate() {
            let upstream = self.upstream(*step).and_then(|(step, side)| {
                records[..at].iter().position(|(s, of, _)| (*s, *of) == (step, side)).map(|at| agreements[at])
            });
            let before = self.read(*step, forward).max_of(upstream.unwrap_or(Agreement::Equal));
            let config = self.configs[*step].oriented(orientations[*step].1);
            let golden = &self.case["steps"][*step];
            if golden.is_null() {
                let call = self.configs.len() + 2 * (self.configs.len() - 1 - step) + side.of(0, 1);
                let golden = &self.case["calls"][call];
                let context = self.call_key(*step).map(|key| side.of(pair(pair(key)[1])[0], pair(pair(key)[1])[1]));
                if text(&golden["stage"]) != format!("d{side}")
                    || key(&golden["context_key"]).map(Key::words) != context.map(Key::words)
                {
                    set.differ(format!("{} call {call}: {golden}, ours d{side} {context:?}", self.case["name"]));
                }
                agreements.push(self.old_call(set, call, &record.call, &record.dims, before));
                continue;
            }
            let stage = list(&golden["stages"]).iter().find(|stage| text(&stage["stage"]) == format!("d{side}"));
            let Some(stage) = stage else {
                set.differ(format!("{} step {step}: has no stage d{side}, ours has", self.case["name"]));
                agreements.push(Agreement::Equal);
                continue;
            };
            agreements.push(check_gradient(set, stage, *side, record, &config, self.call_key(*step), before));
        }
        agreements
    }

    fn old_call(
        &self,
        set: &mut Set,
        call: usize,
        record: &CallRecord,
        dims: &qeinsum::DimensionNumbers,
        before: Agreement,
    ) -> Agreement {
        let golden = &self.case["calls"][call];
        if before != Agreement::Equal {
            set.mark_ruled(text(&golden["acc"]));
            set.mark_ruled(text(&golden["out"]));
            return before;
        }
        let agreement = check_sums(set, text(&golden["acc"]), record, dims);
        check_output(set, text(&golden["out"]), record, agreement, &record.output);
        agreement
    }

    /// The gradient call whose result is the gradient of a step's result: none for the last step.
    fn upstream(&self, step: usize) -> Option<(usize, Side)> {
        let mut id = self.plan.calls().nth(step)?.result();
        let mut call = 0;
        for next in self.plan.steps() {
            match next.op() {
                Op::DotGeneral { lhs, rhs, .. } => {
                    if let Some(side) = Side::BOTH.into_iter().find(|side| side.of(*lhs, *rhs) == id) {
                        return Some((call, side));
                    }
                    call += 1;
                }
                unary if unary.inputs().any(|input| input == id) => id = next.result(),
                _ => {}
            }
        }
        None
    }
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
