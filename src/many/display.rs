//! The text of a joint plan: made to be read, compared and snapshot, as that of a plan is.

use std::fmt;

use crate::lower::{binder, operation};

use super::plan::{JointCertificate, ManyPlan};

impl fmt::Display for ManyPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (plan, operands) in self.plans.iter().zip(&self.operands) {
            let places: Vec<String> = operands.iter().map(|operand| format!("%{operand}")).collect();
            writeln!(f, "einsum {} of {}", plan.equation(), places.join(", "))?;
            let size = |label| format!("{}={}", plan.equation().joined(&[label], ""), plan.sizes().extent(label));
            let sizes: Vec<String> = plan.equation().labels().map(size).collect();
            if !sizes.is_empty() {
                writeln!(f, "sizes {}", sizes.join(" "))?;
            }
            writeln!(f, "path {}", plan.path())?;
            if !plan.found.ended.is_repeatable() {
                writeln!(f, "; {}", plan.found.ended)?;
            }
        }
        for operand in 0..self.shapes.len() {
            writeln!(f, "%{operand}: {}", self.operand(operand))?;
        }
        let mut around = Vec::new();
        for step in self.steps() {
            let equations = step.equations();
            if equations != around {
                let numbers: Vec<String> = equations.iter().map(ToString::to_string).collect();
                writeln!(f, "for {}", numbers.join(", "))?;
                around = equations;
            }
            let place = step.first();
            let plan = &self.plans[place.plan];
            let value = plan.value(plan.steps()[place.step].result());
            write!(f, "  {}: {} = {}", step.result(), binder(plan, value), operation(step.op()))?;
            if step.times() > around.len() {
                write!(f, " ({} times)", step.times())?;
            }
            writeln!(f)?;
        }
        let outputs: Vec<String> = self.outputs().iter().map(ToString::to_string).collect();
        writeln!(f, "return {}", outputs.join(", "))?;
        let calls = self.steps().iter().filter(|step| step.op().inputs().count() == 2).count();
        let alone: usize = self.plans.iter().map(|plan| plan.calls().count()).sum();
        let plural = if calls == 1 { "" } else { "s" };
        write!(f, "; {calls} call{plural} (alone {alone}), {} mul", self.multiplications())?;
        writeln!(f, " (alone {})", self.multiplications_alone())?;
        match self.certificate() {
            // Where every equation has one path there is nothing to say.
            JointCertificate::Given if self.plans.iter().all(|plan| plan.equation().operands().len() < 3) => Ok(()),
            certificate => writeln!(f, "; paths {certificate}"),
        }
    }
}

impl ManyPlan {
    /// The axes of a common operand, named as in the first equation that has it.
    fn operand(&self, operand: usize) -> String {
        let mut places = self.plans.iter().zip(&self.operands);
        let found = places.find_map(|(plan, operands)| {
            let at = operands.iter().position(|&each| each == operand)?;
            Some(binder(plan, &plan.values()[at]))
        });
        found.unwrap_or_default()
    }
}
