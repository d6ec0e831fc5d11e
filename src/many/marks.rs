//! What calls are told apart by, beside what they do to which values: how they are quantized.

use crate::lower::{Op, Plan};
use crate::quant::{CallConfig, QuantConfig};

/// Numbers for ways to quantize a call: equal for those that give the same bits.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// The sides as executed; and of a call with noise the number of its step, which its noise is drawn by.
    known: Vec<(CallConfig, Option<usize>)>,
}

impl Marks {
    /// The mark of each call of a plan.
    pub(super) fn of(&mut self, plan: &Plan, config: Option<&QuantConfig>) -> Vec<usize> {
        let Some(config) = config else { return vec![0; plan.calls().count()] };
        let configs = plan.call_configs(config);
        let calls = plan.calls().zip(configs).enumerate();
        let marks = calls.map(|(number, (step, config))| {
            let forward = match step.op() {
                Op::DotGeneral { orientation, .. } => config.oriented(*orientation).forward,
                _ => config.forward,
            };
            let mark = (forward, forward.needs_key().then_some(number));
            self.known.iter().position(|known| *known == mark).unwrap_or_else(|| {
                self.known.push(mark);
                self.known.len() - 1
            })
        });
        marks.collect()
    }
}
