//! From a plan and a configuration to a program.
//!
//! Values of f16 and bf16 are held as the binary32 numbers that they are, as in the interpreter, and rounded where it rounds.

use crate::dtype::Dtype;
use crate::error::{Error, ErrorKind, Result};
use crate::lower::{Axes, Op, Plan, ValueId, binder, operation};
use crate::quant::{CallConfig, Format, QuantConfig};
use crate::sizes::{Shape, check_elements};
use crate::span::printable_text;

use super::call::{Arithmetic, Call};
use super::program::{F32, Id, Program, Type};

/// Columns of a line of the plan that stands in an export.
const NOTE: usize = 400;

/// The program of a plan without slices.
pub(super) fn build(plan: &Plan, config: Option<&QuantConfig>) -> Result<Program> {
    let calls = match config {
        Some(config) => {
            plan.check_config(config)?;
            let calls = plan.call_configs(config);
            calls.iter().enumerate().try_for_each(|(step, call)| check_noise(step, &call.forward))?;
            Some(calls)
        }
        None => None,
    };
    for value in plan.values() {
        check_elements(value.shape(), "a value of the plan")?;
    }
    let mut steps = Steps::new(plan);
    let mut number = 0;
    for step in plan.steps() {
        let value = plan.value(step.result());
        let line = format!("{}: {} = {}", step.result(), binder(plan, value), operation(step.op()));
        steps.arithmetic.program.note(printable_text(&line, NOTE));
        let made = match step.op() {
            Op::Squeeze { input, .. } => {
                let input = steps.value(*input);
                steps.arithmetic.reshape(input, value.shape().into())
            }
            Op::Transpose { input, permutation } => {
                let input = steps.value(*input);
                steps.arithmetic.transpose(input, permutation.clone())
            }
            Op::Diagonal { input, axes } => steps.diagonal(*input, axes),
            Op::ReduceSum { input, axes } => steps.sum(*input, axes),
            Op::DotGeneral { lhs, rhs, dims, orientation } => {
                let config = calls.as_ref().map(|calls| calls[number].oriented(*orientation).forward);
                number += 1;
                let (lhs, rhs) = (steps.value(*lhs), steps.value(*rhs));
                let call = Call { lhs, rhs, dims, shape: value.shape(), format: Format::of(plan.dtype()) };
                call.write(&mut steps.arithmetic, config.unwrap_or(CallConfig::UNQUANTIZED))?
            }
        };
        steps.values.push(made);
    }
    Ok(steps.finish(plan))
}

/// That a call draws no random numbers.
fn check_noise(step: usize, call: &CallConfig) -> Result<()> {
    for (side, tensor) in [("lhs", &call.lhs), ("rhs", &call.rhs)] {
        if tensor.noise().is_some() {
            let message = format!("`fwd.{side}.noise` of step {step} is set: an exported plan draws no random numbers");
            return Err(Error::new(ErrorKind::Export, message));
        }
    }
    Ok(())
}

/// The steps written so far.
struct Steps {
    arithmetic: Arithmetic,
    /// What stands for each value of the plan.
    values: Vec<Id>,
    format: Option<Format>,
}

impl Steps {
    fn new(plan: &Plan) -> Self {
        let mut arithmetic = Arithmetic::default();
        arithmetic.program.title = printable_text(&plan.equation().to_string(), NOTE);
        let operands = plan.sizes().shapes().iter().enumerate();
        // All operands first, which are the arguments.
        let operands: Vec<Id> =
            operands.map(|(number, shape)| arithmetic.program.operand(number, plan.dtype(), shape)).collect();
        let held = held_as(plan.dtype());
        let values = operands.into_iter().map(|id| arithmetic.program.convert(id, held)).collect();
        Self { arithmetic, values, format: Format::of(plan.dtype()) }
    }

    fn value(&self, id: ValueId) -> Id {
        self.values[id.index()]
    }

    fn sum(&mut self, input: ValueId, axes: &[usize]) -> Id {
        let input = self.value(input);
        let sum = self.arithmetic.program.sum_over(input, axes);
        match self.format {
            // Summed in binary32, and rounded once.
            Some(format) => self.arithmetic.narrowed(sum, format),
            None => sum,
        }
    }

    /// A diagonal: the axes of the label become one, the last, of whose elements every so manyth is kept.
    fn diagonal(&mut self, input: ValueId, axes: &[usize]) -> Id {
        let input = self.value(input);
        let shape = self.arithmetic.program.shape(input).clone();
        let extent = shape[axes[0]];
        let others: Axes = (0..shape.len()).filter(|axis| !axes.contains(axis)).collect();
        let gathered = self.arithmetic.transpose(input, others.iter().chain(axes).copied().collect());
        let mut flat: Shape = others.iter().map(|&axis| shape[axis]).collect();
        // No overflow: these are elements of a value whose number was checked, but for a value without any.
        flat.push(axes.iter().fold(1, |product: usize, _| product.saturating_mul(extent)));
        let flat = self.arithmetic.reshape(gathered, flat);
        let step = axes.iter().fold(0, |step: usize, _| step.saturating_mul(extent).saturating_add(1));
        let kept = self.arithmetic.every(flat, step);
        // The axis that is left stands where the last of them stood.
        let before = others.iter().filter(|&&axis| axis < axes[axes.len() - 1]).count();
        let last = others.len();
        self.arithmetic.transpose(kept, (0..before).chain([last]).chain(before..last).collect())
    }

    fn finish(mut self, plan: &Plan) -> Program {
        let result = self.value(plan.output());
        let program = &mut self.arithmetic.program;
        program.result = Some(program.convert(result, Type::Float(plan.dtype())));
        self.arithmetic.program
    }
}

/// The type in which values are held between steps.
fn held_as(dtype: Dtype) -> Type {
    match dtype {
        Dtype::F16 | Dtype::Bf16 => F32,
        Dtype::F32 | Dtype::F64 | Dtype::C32 | Dtype::C64 => Type::Float(dtype),
    }
}
