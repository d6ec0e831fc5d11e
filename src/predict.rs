//! Predicted times of plans.
//!
//! In come a plan, a configuration and measured [`Speeds`]; out go seconds. Nothing is decided here: the search has
//! chosen by the same speeds.

use crate::dtype::Dtype;
use crate::equation::Equation;
use crate::lower::{AxisPair, Op, Plan, Side, Step};
use crate::path::{Arithmetic, Role, Speeds, gathered};
use crate::quant::{QuantConfig, Source};

/// What a plan is predicted to take.
///
/// ```
/// use qeinsum::path::Speeds;
/// let plan = qeinsum::QEinsum::new("ij,jk,kl->il")?.plan(&[&[256, 512], &[512, 256], &[256, 512]])?;
/// let prediction = plan.predict(None, &[], Speeds::shipped());
/// assert_eq!(prediction.per_step.len(), 2);
/// assert_eq!(prediction.seconds, prediction.per_step[0] + prediction.per_step[1]);
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Debug)]
pub struct Prediction {
    /// Seconds of each step of the plan, in all slices together.
    pub per_step: Vec<f64>,
    /// Seconds of all steps together.
    pub seconds: f64,
}

impl Plan {
    /// What the plan is predicted to take when it is run by a configuration and operands of these numbers are frozen.
    ///
    /// A call takes what the speeds say for its sizes and its arithmetic, sides made ready and result written included:
    /// an operand that is no stack of matrices as it lies in memory takes more. A sum, a diagonal or a
    /// transposition moves its elements.
    ///
    /// ```
    /// use qeinsum::path::Speeds;
    /// use qeinsum::{DotGeneralConfig, QEinsum};
    /// let plan = QEinsum::new("ij,jk->ik")?.plan(&[&[8, 1024], &[1024, 1024]])?;
    /// let config = DotGeneralConfig::v4().build()?.into();
    /// let speeds = Speeds::shipped();
    /// let quantized = plan.predict(Some(&config), &[], speeds).seconds;
    /// assert!(plan.predict(Some(&config), &[1], speeds).seconds < quantized);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn predict(&self, config: Option<&QuantConfig>, frozen: &[usize], speeds: &Speeds) -> Prediction {
        let configs = config.map(|config| self.call_configs(config));
        let entries: Vec<_> = frozen.iter().filter_map(|&operand| self.entry(operand)).collect();
        let mut call = 0;
        let step_seconds = |step: &Step| {
            let result = self.value(step.result()).shape();
            match step.op() {
                Op::Squeeze { .. } => 0.0,
                Op::ReduceSum { input, .. } | Op::Diagonal { input, .. } | Op::Transpose { input, .. } => {
                    speeds.seconds_to_move(self.dtype().into(), count(self.value(*input).shape()).max(count(result)))
                }
                Op::DotGeneral { lhs, rhs, .. } => {
                    let is_int8 = configs.as_ref().is_some_and(|configs| configs[call].forward.is_int8());
                    let arithmetic = if is_int8 { Arithmetic::Int8 } else { self.dtype().into() };
                    let sides = [lhs, rhs].map(|side| count(self.value(*side).shape()));
                    let (_, sizes) = call_sizes(self, step).unwrap_or_default();
                    let ready = entries.iter().filter(|entry| entry.call == call);
                    let saved: f64 = ready
                        .map(|entry| sides[usize::from(entry.side == Side::Rhs)])
                        .map(|elements| speeds.seconds_to_prepare(arithmetic, elements))
                        .sum();
                    let multiplications = sizes.iter().product();
                    let once = speeds.seconds(arithmetic, multiplications, sides, count(result))
                        + Side::BOTH
                            .into_iter()
                            .filter_map(|side| Some((side, gathered_run(self, step, side)?)))
                            .map(|(side, run)| {
                                let elements = sides[usize::from(side == Side::Rhs)];
                                speeds.seconds_to_gather(arithmetic, elements, run)
                            })
                            .sum::<f64>();
                    let all = self.cost().per_step[call].multiplications.to_f64();
                    let passes = if multiplications > 0.0 { (all / multiplications).max(1.0) } else { 1.0 };
                    call += 1;
                    (once - saved).max(0.0) * passes
                }
            }
        };
        let per_step: Vec<f64> = self.steps().iter().map(step_seconds).collect();
        // The empty sum of floats is negative.
        Prediction { seconds: per_step.iter().fold(0.0, |sum, seconds| sum + seconds), per_step }
    }
}

/// What calls compute in by default: overrides for single operands or steps are not looked at.
pub(crate) fn arithmetic(equation: &Equation, dtype: Dtype, config: Option<&QuantConfig>) -> Arithmetic {
    let later = equation.operands().len().saturating_sub(1).min(1);
    let first = config.map(|config| config.for_step(0, Source::Operand(0), Source::Operand(later)));
    if first.is_some_and(|config| config.forward.is_int8()) { Arithmetic::Int8 } else { dtype.into() }
}

/// Of a step that is a call: how many matrices it multiplies, in words, and the number of these, of their rows on both
/// sides and of the terms of a sum.
pub(crate) fn call_sizes(plan: &Plan, step: &Step) -> Option<(String, [f64; 4])> {
    let Op::DotGeneral { lhs, rhs, dims, .. } = step.op() else { return None };
    let [left, right] = [plan.value(*lhs).shape(), plan.value(*rhs).shape()];
    let of = |axes: &[usize]| axes.iter().map(|&axis| left[axis] as f64).product::<f64>();
    let (batch, terms) = (of(&dims.lhs_batch()), of(&dims.lhs_contracting()));
    let rows = |shape: &[usize]| if batch * terms > 0.0 { count(shape) / (batch * terms) } else { 0.0 };
    let words = if batch == 1.0 { String::new() } else { format!("{batch} times ") };
    Some((words, [batch, rows(left), rows(right), terms]))
}

/// How many elements lie beside each other, of a side of a call that is an operand as it came and no stack of matrices.
fn gathered_run(plan: &Plan, step: &Step, side: Side) -> Option<f64> {
    let Op::DotGeneral { lhs, rhs, dims, .. } = step.op() else { return None };
    let value = *side.of(lhs, rhs);
    if value.index() >= plan.equation().operands().len() {
        return None;
    }
    let axis_of = |pair: &AxisPair| side.of(pair.0, pair.1);
    let axes = plan.value(value).shape().iter().enumerate().map(|(axis, &size)| {
        let is_summed = dims.contracting().iter().any(|pair| axis_of(pair) == axis);
        let is_batch = dims.batch().iter().any(|pair| axis_of(pair) == axis);
        (Role::of(is_summed || is_batch, !is_summed), size as u64)
    });
    gathered(axes).map(|run| run as f64)
}

fn count(shape: &[usize]) -> f64 {
    shape.iter().map(|&size| size as f64).product()
}
