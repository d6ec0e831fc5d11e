//! Explained plans: under each step, what it does to the values.
//!
//! The one place, beside the interpreter, where a plan and a configuration meet; it decides nothing, it only says.

mod order;
mod time;

use std::fmt::Write as _;

pub(crate) use time::seconds;

use crate::equation::Label;
use crate::error::Result;
use crate::lower::{Op, Plan, Value, ValueId, write_plan};
use crate::path::SearchOptions;
use crate::quant::{DotGeneralConfig, QuantConfig, explain};

impl Plan {
    /// The text of the plan with what a configuration does at each step, and what is known of its path.
    ///
    /// ```
    /// use qeinsum::{DotGeneralConfig, QEinsum};
    /// let plan = QEinsum::new("ij,jk->ki")?.plan(&[&[64, 32], &[32, 16]])?;
    /// let config = DotGeneralConfig::v4().fwd_bits(Some(4)).build()?.into();
    /// assert_eq!(plan.explain(&config), "\
    /// einsum ij,jk->ki
    /// sizes i=64 j=32 k=16
    /// path (0,1)
    /// %0: [i,j]
    /// %1: [j,k]
    /// %2: [k,i] = dot_general %1, %0 contract [0]x[1] swapped
    ///   swapped, for as written it would make [i,k]
    ///   lhs int4 absmax over j, nearest-even, dequant output
    ///   rhs int4 absmax over j, nearest-even, dequant output
    ///   acc i32, 20 bits of head-room
    /// return %2
    /// ; 1 call, 1 swapped, 32768 mul
    /// ; values are f32, at most 14336 bytes of them at a time
    /// ; path proved optimal over all paths
    /// ");
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn explain(&self, config: &QuantConfig) -> String {
        let mut text = String::new();
        let steps = self.call_configs(config);
        // Writing to a String cannot fail.
        let _ = write_plan(&mut text, self, |text, number, indent| {
            let lines = self.explain_step(number, &steps);
            for line in self.explain_swap(number).into_iter().chain(lines) {
                writeln!(text, "{indent}  {line}")?;
            }
            Ok(())
        });
        let bytes = match self.peak_bytes() {
            Some(bytes) => format!("at most {bytes} bytes of them at a time"),
            None => "more bytes of them at a time than 64 bits count".to_owned(),
        };
        let _ = writeln!(text, "; values are {}, {bytes}", self.dtype());
        let _ = writeln!(text, "; path {}", self.certificate());
        text
    }

    /// The lines of an explained plan about the search that found its path: the order that comes next to it, and where time
    /// goes, as predicted for a run by `config`.
    ///
    /// ```
    /// use qeinsum::QEinsum;
    /// use qeinsum::path::SearchOptions;
    /// let plan = QEinsum::new("ab,bc,cd->ad")?.plan(&[&[64, 8], &[8, 64], &[64, 64]])?;
    /// let text = plan.explain_search(None, &SearchOptions::new())?;
    /// assert!(text.starts_with("; the next best order, (0,1) (0,1), takes 4.500 times as much: 294912 mul\n"), "{text}");
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn explain_search(&self, config: Option<&QuantConfig>, options: &SearchOptions) -> Result<String> {
        Ok(self.explain_order(config, options)? + &self.explain_time(config, options)?)
    }

    /// What a step does to its values, a line each; `calls` are the configurations of all calls.
    pub(crate) fn explain_step(&self, number: usize, calls: &[DotGeneralConfig]) -> Vec<String> {
        match self.steps()[number].op() {
            Op::Squeeze { input, axes } => axes.iter().map(|&axis| self.explain_broadcast(*input, axis)).collect(),
            Op::ReduceSum { .. } => vec![format!("sums {} values, before any quantization", self.dtype())],
            Op::Diagonal { .. } | Op::Transpose { .. } => Vec::new(),
            Op::DotGeneral { lhs, rhs, dims, orientation } => {
                let earlier = self.steps()[..number].iter().filter(|step| matches!(step.op(), Op::DotGeneral { .. }));
                let Some(config) = calls.get(earlier.count()) else { return Vec::new() };
                let (value, axes) = (self.value(*lhs), dims.lhs_contracting());
                let terms = self.terms(self.steps()[number].result());
                let names = |value: &Value, axes: &[usize]| {
                    let labels: Vec<Label> = axes.iter().map(|&axis| value.labels()[axis]).collect();
                    self.equation().joined(&labels, ",")
                };
                let (lhs, rhs) = (names(value, &axes), names(self.value(*rhs), &dims.rhs_contracting()));
                let forward = config.oriented(*orientation).forward;
                explain::call(&forward, &lhs, &rhs, self.dtype(), terms).into_iter().collect()
            }
        }
    }

    fn explain_broadcast(&self, input: ValueId, axis: usize) -> String {
        let label = self.value(input).labels()[axis];
        let extent = self.sizes().extent(label);
        format!("broadcasts {}, which measures 1 here and {extent} elsewhere", self.equation().joined(&[label], ""))
    }
}
