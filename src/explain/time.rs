//! Where the time of a plan goes, and why a quantized plan may have another order than one in floats.

use std::fmt::Write as _;

use crate::error::Result;
use crate::graph::ContractionGraph;
use crate::lower::{Plan, lower};
use crate::path::{Arithmetic, Objective, SearchOptions, search};
use crate::predict::{arithmetic, call_sizes};
use crate::quant::QuantConfig;

impl Plan {
    /// The lines of an explained plan about its time: what it is predicted to take, which steps take most of it, and, where
    /// its path was searched for the least time, whether quantization makes another order the fastest.
    pub(super) fn explain_time(&self, config: Option<&QuantConfig>, options: &SearchOptions) -> Result<String> {
        let mut text = String::new();
        let speeds = options.used_speeds();
        let own = arithmetic(self.equation(), self.dtype(), config);
        let time = |plan: &Self, config| seconds(plan.predict(config, &[], speeds).seconds);
        let threads = if speeds.threads() == 1 { "thread" } else { "threads" };
        let prediction = self.predict(config, &[], speeds);
        let _ = writeln!(
            text,
            "; predicted {} by the speeds `{}`, {} {threads}",
            seconds(prediction.seconds),
            speeds.name(),
            speeds.threads()
        );
        text += &self.explain_shares(&prediction.per_step);
        if self.objective() != Objective::Time {
            return Ok(text);
        }
        let float = Arithmetic::from(self.dtype());
        if own == float || !self.slices().is_empty() {
            return Ok(text);
        }
        let graph = ContractionGraph::new(self.equation(), self.sizes());
        let found = search(&graph, &options.clone().arithmetic(float))?;
        let other = lower(self.equation(), self.sizes(), found, self.dtype());
        let dtype = self.dtype();
        if other.path() == self.path() {
            let _ = writeln!(text, "; in {dtype} the same order is the fastest: {}", time(self, None));
            return Ok(text);
        }
        let _ = writeln!(text, "; in {dtype} another order is the fastest: {}", other.order());
        for (which, plan) in [("this one", self), ("that one", &other)] {
            let prediction = plan.predict(config, &[], speeds);
            let dearest = plan.steps().iter().zip(&prediction.per_step);
            let dearest = dearest.filter_map(|(step, &seconds)| Some((seconds, call_sizes(plan, step)?)));
            let Some((most, (batch, [_, m, n, k]))) = dearest.max_by(|a, b| a.0.total_cmp(&b.0)) else { continue };
            let _ = writeln!(
                text,
                ";   {which}: {} quantized, {} in {dtype}; its dearest call takes {}: {batch}{m} x {n} x {k}",
                seconds(prediction.seconds),
                time(plan, None),
                seconds(most),
            );
        }
        Ok(text)
    }

    /// Lines for the steps that take the most of these seconds, which are predicted or measured and a number for each step;
    /// none for a plan of one step.
    ///
    /// ```
    /// let plan = qeinsum::QEinsum::new("ab,bc,cd->ad")?.plan(&[&[2, 3], &[3, 4], &[4, 5]])?;
    /// assert_eq!(plan.explain_shares(&[3e-6, 1e-6]), "\
    /// ;   %3 3.00 us, 75 %: 4 x 2 x 3
    /// ;   %4 1.00 us, 25 %: 2 x 5 x 4
    /// ");
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn explain_shares(&self, per_step: &[f64]) -> String {
        let mut text = String::new();
        let all: f64 = per_step.iter().sum();
        if per_step.len() < 2 || all <= 0.0 {
            return text;
        }
        let mut dearest: Vec<_> = self.steps().iter().zip(per_step).filter(|(_, seconds)| **seconds > 0.0).collect();
        dearest.sort_by(|a, b| b.1.total_cmp(a.1));
        let others = dearest.split_off(dearest.len().min(SHOWN));
        for (step, &time) in dearest {
            let sizes = call_sizes(self, step).map(|(batch, [_, m, n, k])| format!(": {batch}{m} x {n} x {k}"));
            let (result, share) = (step.result(), 100.0 * time / all);
            let _ = writeln!(text, ";   {result} {}, {share:.0} %{}", seconds(time), sizes.unwrap_or_default());
        }
        if !others.is_empty() {
            let rest: f64 = others.iter().map(|(_, seconds)| **seconds).sum();
            let _ = writeln!(text, ";   {} others {}, {:.0} %", others.len(), seconds(rest), 100.0 * rest / all);
        }
        text
    }
}

/// Steps shown by name.
const SHOWN: usize = 6;

/// A time in a unit that suits it, to three digits.
pub(crate) fn seconds(time: f64) -> String {
    let (unit, value) = [("ns", 1e9), ("us", 1e6), ("ms", 1e3)]
        .into_iter()
        .map(|(unit, per_second)| (unit, time * per_second))
        .find(|(_, value)| *value < 999.5)
        .unwrap_or(("s", time));
    let digits = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_words() {
        let cases = [(1.2e-8, "12.0 ns"), (9.996e-7, "1.00 us"), (0.25, "250 ms"), (90.0, "90.0 s"), (0.0, "0.00 ns")];
        for (time, expected) in cases {
            assert_eq!(seconds(time), expected);
        }
    }
}
