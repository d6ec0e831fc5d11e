//! Why a plan has its order and its swaps.

use std::fmt::Write as _;

use crate::equation::Label;
use crate::error::Result;
use crate::graph::ContractionGraph;
use crate::lower::{Op, Orientation, Plan};
use crate::path::{Among, Objective, SearchOptions, next_best};
use crate::predict::arithmetic;
use crate::quant::QuantConfig;

impl Plan {
    /// Why a call is swapped, if it is.
    pub(crate) fn explain_swap(&self, number: usize) -> Option<String> {
        let step = &self.steps()[number];
        let Op::DotGeneral { lhs, rhs, dims, orientation: Orientation::Swapped } = step.op() else { return None };
        let result = self.value(step.result()).labels();
        let batch = &result[..dims.batch().len()];
        // The later operand is the lhs here: as written, its free axes would come last.
        let free = |id, used: &[usize]| -> Vec<Label> {
            let labels = self.value(id).labels().iter().enumerate();
            labels.filter(|(axis, _)| !used.contains(axis)).map(|(_, &label)| label).collect()
        };
        let used = |batch: &[usize], contracting: &[usize]| [batch, contracting].concat();
        let earlier = free(*rhs, &used(&dims.rhs_batch(), &dims.rhs_contracting()));
        let later = free(*lhs, &used(&dims.lhs_batch(), &dims.lhs_contracting()));
        let as_written = [batch, &earlier, &later].concat();
        let shown = |labels: &[Label]| format!("[{}]", self.equation().joined(labels, ","));
        let transposed = self.steps().iter().find_map(|other| match other.op() {
            Op::Transpose { input, .. } if *input == step.result() => Some(self.value(other.result()).labels()),
            _ => None,
        });
        Some(match transposed {
            None => format!("swapped, for as written it would make {}", shown(&as_written)),
            Some(wanted) => format!(
                "swapped, for as written it would make {}, and neither way makes {}",
                shown(&as_written),
                shown(wanted)
            ),
        })
    }

    /// The line of an explained plan about the order that comes next to its own, by the objective of the search; none
    /// for a plan of one order, or in slices.
    pub(super) fn explain_order(&self, config: Option<&QuantConfig>, options: &SearchOptions) -> Result<String> {
        let mut text = String::new();
        if !self.slices().is_empty() {
            return Ok(text);
        }
        let graph = ContractionGraph::new(self.equation(), self.sizes());
        // As the search has scored: by the time that its calls take in what they compute in.
        let arithmetic = arithmetic(self.equation(), self.dtype(), config);
        let options = options.clone().objective(self.objective()).arithmetic(arithmetic);
        let Some(next) = next_best(&graph, &options, self.path())? else { return Ok(text) };
        let own = options.score(&graph, self.path())?;
        let among = match next.among {
            Among::All => "the next best order",
            Among::Neighbours => "the best of the orders one exchange away",
        };
        let times = next.score.to_f64() / own.to_f64();
        let ratio = if next.score == own { "as much".to_owned() } else { format!("{times:.3} times as much") };
        let measure = match self.objective() {
            Objective::Mul => format!("{} mul", next.score),
            Objective::Time => super::time::seconds(next.score.to_f64() * 1e-15),
            objective => format!("{objective} {}", next.score),
        };
        let _ = write!(text, "; {among}");
        // A long one is read by programs, not here.
        if next.path.operands() <= 20 {
            let _ = write!(text, ", {},", next.path);
        }
        let _ = writeln!(text, " takes {ratio}: {measure}");
        Ok(text)
    }
}
