//! What a configuration lets be sliced.
//!
//! Scales are always those of the unsliced call. Those of a side are shared along what the call sums, so that the other
//! labels of a call can be sliced, and the summed ones cannot: a slice does not know what the others hold.

use crate::error::Result;
use crate::graph::ContractionGraph;
use crate::lower::Plan;
use crate::path::{CallKind, Path, Slicing};
use crate::quant::{Accumulator, CallConfig, QuantConfig, Source};

impl QuantConfig {
    /// What the calls of a path are when they are run by this configuration, as [`Slicing`] asks for it.
    ///
    /// ```
    /// use qeinsum::path::CallKind;
    /// use qeinsum::{DotGeneralConfig, QuantConfig};
    /// let config = QuantConfig::from(DotGeneralConfig::v4().build()?).with_step(1, DotGeneralConfig::unquantized());
    /// assert_eq!(config.call_kinds(&"(0,1) (0,1)".parse()?), [CallKind::Quantized, CallKind::Float]);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn call_kinds(&self, path: &Path) -> Vec<CallKind> {
        let source = |id: usize| if id < path.operands() { Source::Operand(id) } else { Source::Intermediate };
        let pairs = path.ssa().into_iter().enumerate();
        pairs.map(|(step, [a, b])| kind(&self.for_step(step, source(a), source(b)).forward)).collect()
    }
}

fn kind(call: &CallConfig) -> CallKind {
    if call.needs_key() {
        return CallKind::Noisy;
    }
    // Sums that are rounded to another type than their outputs are not what a float product adds up.
    let is_plain = matches!(call.accumulator, Accumulator::Auto | Accumulator::F32);
    if is_plain && !call.lhs.is_quantized() && !call.rhs.is_quantized() { CallKind::Float } else { CallKind::Quantized }
}

/// That a plan's slices can be run by a configuration; an error names the label that cannot be.
pub(crate) fn check_slices(plan: &Plan, config: &QuantConfig) -> Result<()> {
    if plan.slices().is_empty() {
        return Ok(());
    }
    let graph = ContractionGraph::new(plan.equation(), plan.sizes());
    let labels: Vec<_> = plan.slices().iter().map(|slice| slice.label).collect();
    let slicing = Slicing::new(&graph, plan.path(), &config.call_kinds(plan.path()))?.summing_first(plan.leading());
    slicing.check(&labels).map_err(|unsliceable| unsliceable.error(plan.equation()))
}
