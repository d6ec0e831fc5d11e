//! What is known of a value and its step, a fact a line.

use crate::equation::Label;
use crate::exec::QuantizationError;
use crate::explain::seconds;
use crate::lower::{Op, Orientation, Plan, Value, ValueId, binder};
use crate::path::Speeds;
use crate::predict::Prediction;
use crate::quant::{DotGeneralConfig, QuantConfig, explain};
use crate::span::printable_text;

use super::draw::shape;
use super::drawing::Fact;
use super::numbers::{self, percent, share, share_of_time};

/// A plan and everything that is known beside it.
pub(super) struct Knowledge<'p> {
    plan: &'p Plan,
    configs: Option<Vec<DotGeneralConfig>>,
    prediction: Prediction,
    /// The name of what times are predicted by.
    speeds: String,
    bytes: Option<Vec<u64>>,
    peak: Option<u64>,
    errors: &'p [QuantizationError],
    /// By step, the calls before it.
    calls: Vec<usize>,
}

impl<'p> Knowledge<'p> {
    pub(super) fn new(
        plan: &'p Plan,
        config: Option<&QuantConfig>,
        speeds: &Speeds,
        errors: &'p [QuantizationError],
    ) -> Self {
        Self {
            plan,
            configs: config.map(|config| plan.call_configs(config)),
            prediction: plan.predict(config, &[], speeds),
            speeds: printable_text(speeds.name(), 40),
            bytes: plan.bytes_per_step(),
            peak: plan.peak_bytes(),
            errors,
            calls: plan.calls_before(),
        }
    }

    pub(super) fn plan(&self) -> &'p Plan {
        self.plan
    }

    /// The predicted time of all steps, and by which speeds.
    pub(super) fn predicted(&self) -> String {
        format!("{} by the speeds `{}`", seconds(self.prediction.seconds), self.speeds)
    }

    /// The share of each step in it.
    pub(super) fn time_shares(&self) -> Vec<u32> {
        self.prediction.per_step.iter().map(|&step| share_of_time(step, self.prediction.seconds)).collect()
    }

    /// What quantization does at a step; nothing where there is none.
    pub(super) fn quantization(&self, number: usize) -> Vec<String> {
        self.configs.as_ref().map_or_else(Vec::new, |configs| self.plan.explain_step(number, configs))
    }
}

/// How the sides of a call are quantized, in few words.
pub(super) fn brief(knowledge: &Knowledge<'_>, number: usize) -> Option<[String; 2]> {
    let plan = knowledge.plan;
    let Op::DotGeneral { lhs, rhs, dims, orientation } = plan.steps()[number].op() else { return None };
    let config = knowledge.configs.as_ref()?.get(knowledge.calls[number])?.oriented(*orientation);
    let labels = |side: ValueId, axes: &[usize]| names(plan, plan.value(side), axes);
    Some([
        explain::brief(&config.forward.lhs, &labels(*lhs, &dims.lhs_contracting())),
        explain::brief(&config.forward.rhs, &labels(*rhs, &dims.rhs_contracting())),
    ])
}

fn names(plan: &Plan, value: &Value, axes: &[usize]) -> String {
    let labels: Vec<Label> = axes.iter().map(|&axis| value.labels()[axis]).collect();
    plan.equation().joined(&labels, ",")
}

fn fact(what: &'static str, text: impl Into<String>) -> Fact {
    Fact { what, text: text.into() }
}

/// `%4 [d,b] 8×8 f32`.
fn described(plan: &Plan, id: ValueId) -> String {
    let value = plan.value(id);
    format!("{id} {} {}", binder(plan, value), shape(value))
}

/// Of an operand.
pub(super) fn operand(plan: &Plan, operand: usize) -> Vec<Fact> {
    let value = &plan.values()[operand];
    let mut facts = vec![fact("shape", format!("{} of {}", shape(value), value.dtype()))];
    if let Some(entry) = plan.entry(operand) {
        let side = entry.side.of("lhs", "rhs");
        facts.push(fact("enters", format!("call {} as its {side}", entry.call)));
    }
    facts
}

/// Of a step, and of the value that it makes.
pub(super) fn step(knowledge: &Knowledge<'_>, number: usize, loops: &[String]) -> Vec<Fact> {
    let plan = knowledge.plan;
    let step = &plan.steps()[number];
    let value = plan.value(step.result());
    let mut facts = vec![fact("shape", format!("{} of {}", shape(value), value.dtype()))];
    match step.op() {
        Op::DotGeneral { lhs, rhs, dims, orientation } => {
            facts.push(fact("lhs", described(plan, *lhs)));
            facts.push(fact("rhs", described(plan, *rhs)));
            if *orientation == Orientation::Swapped {
                let reason = plan.explain_swap(number).unwrap_or_default();
                facts.push(fact("swapped", reason.trim_start_matches("swapped, ")));
            }
            let numbers = dims.to_string();
            facts.push(fact("dimensions", if numbers.is_empty() { "no pairs".to_owned() } else { numbers }));
            let of = |axes: &[usize]| match names(plan, plan.value(*lhs), axes) {
                none if none.is_empty() => "nothing".to_owned(),
                names => names,
            };
            facts.push(fact("batch", of(&dims.lhs_batch())));
            facts.push(fact("sums", of(&dims.lhs_contracting())));
            let cost = &plan.cost().per_step[knowledge.calls[number]].multiplications;
            let part = percent(share(cost, plan.multiplications()));
            facts.push(fact("mul", format!("{cost}, {part} of all")));
        }
        unary => facts.extend(unary.inputs().map(|input| fact("input", described(plan, input)))),
    }
    facts.push(time(knowledge, number));
    facts.extend(memory(knowledge, number));
    if !loops.is_empty() {
        facts.push(fact("loops", format!("for {}", loops.join(", "))));
    }
    facts.extend(knowledge.quantization(number).into_iter().map(|line| fact("quantized", line)));
    if matches!(step.op(), Op::DotGeneral { .. }) {
        let error = knowledge.errors.get(knowledge.calls[number]);
        facts.extend(error.map(|error| fact("error", error.to_string())));
    }
    facts
}

fn time(knowledge: &Knowledge<'_>, number: usize) -> Fact {
    let Prediction { per_step, seconds: all } = &knowledge.prediction;
    let own = per_step[number];
    fact("predicted", format!("{}, {} of all", seconds(own), percent(share_of_time(own, *all))))
}

fn memory(knowledge: &Knowledge<'_>, number: usize) -> Option<Fact> {
    let bytes = knowledge.bytes.as_ref()?;
    let peak = knowledge.peak?;
    let own = *bytes.get(number)?;
    let part = percent(share(&u128::from(own).into(), &u128::from(peak).into()));
    Some(fact("memory", format!("{} while it runs, {part} of the peak", numbers::bytes(own))))
}
