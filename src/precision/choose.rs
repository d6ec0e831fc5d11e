//! Bits for each call, by the time that they are predicted to take and the error that they are measured to make.
//!
//! Each call is quantized alone, to see what that adds to the result's noise. Noises of several calls nearly add up, so
//! that a sum tells which ways to give bits may do; these are run, the fastest first, until one holds.

use std::fmt;

use ndarray::ArrayD;

use super::by_step;
use super::front::{Choice, front};
use crate::error::{Error, ErrorKind, Result};
use crate::exec::QuantizationError;
use crate::explain::seconds;
use crate::kernel::Element;
use crate::lower::Plan;
use crate::operands::OperandView;
use crate::path::Speeds;
use crate::quant::{DotGeneralConfig, QuantConfig};
use crate::rng::Key;

/// The bits that a call may be given; the last stands for floats.
const BITS: [Option<u8>; 3] = [Some(4), Some(8), None];
/// Ways that are run before the most exact one is taken.
const TRIES: usize = 64;

/// Bits for each call of a plan, found by [`Plan::choose_bits`].
///
/// `Display` says them in a line: `call 0 int4, call 1 f32; sqnr 33.21 dB, max error 1.250e-1; predicted 1.20 ms, in f32
/// 3.10 ms`.
///
/// ```
/// use ndarray::array;
/// use qeinsum::path::Speeds;
/// use qeinsum::{Operand, QEinsum};
/// let (a, b) = (array![[1.0_f32, 0.3]], array![[0.7_f32], [-2.0]]);
/// let plan = QEinsum::new("ij,jk->ik")?.plan(&[a.shape(), b.shape()])?;
/// // More than any integers of eight bits give.
/// let chosen = plan.choose_bits(&[(&a).into_operand(), (&b).into_operand()], 120.0, Speeds::shipped())?;
/// assert_eq!(chosen.bits, [None]);
/// assert!(chosen.to_string().starts_with("call 0 f32; sqnr "), "{chosen}");
/// assert_eq!(chosen.seconds, chosen.float_seconds);
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Debug)]
pub struct ChosenBits {
    /// By call; none where it stays in floats.
    pub bits: Vec<Option<u8>>,
    /// The configuration that gives them.
    pub config: QuantConfig,
    /// The error that the result was measured to have.
    pub error: QuantizationError,
    /// Predicted seconds of a run by the configuration.
    pub seconds: f64,
    /// Predicted seconds of a run in floats.
    pub float_seconds: f64,
    /// What floats are called.
    float: crate::Dtype,
}

impl fmt::Display for ChosenBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (call, bits) in self.bits.iter().enumerate() {
            let comma = if call == 0 { "" } else { ", " };
            match bits {
                Some(bits) => write!(f, "{comma}call {call} int{bits}")?,
                None => write!(f, "{comma}call {call} {}", self.float)?,
            }
        }
        let [own, floats] = [self.seconds, self.float_seconds].map(seconds);
        write!(f, "; {}; predicted {own}, in {} {floats}", self.error, self.float)
    }
}

impl Plan {
    /// Four bits, eight bits or floats for each call, such that a run is predicted to take the least time while the result
    /// of these operands has at least this signal-to-quantization-noise ratio, in decibels. Of equally fast choices that
    /// with the fewest bits is taken: frozen, its operands are the smallest.
    ///
    /// The error is that of these operands, measured by running the configuration; others may have another. An error
    /// where the plan has no call, or is sliced, or the ratio is no number.
    ///
    /// ```
    /// use ndarray::ArrayD;
    /// use qeinsum::path::Speeds;
    /// use qeinsum::{OperandView, QEinsum};
    /// let a = ArrayD::from_shape_fn(vec![64, 128], |at| ((at[0] * 31 + at[1] * 17) % 23) as f32 - 11.0);
    /// let b = ArrayD::from_shape_fn(vec![128, 64], |at| ((at[0] * 13 + at[1] * 29) % 19) as f32 - 9.0);
    /// let plan = QEinsum::new("ij,jk->ik")?.plan(&[a.shape(), b.shape()])?;
    /// let views = [OperandView::Array(a.view()), OperandView::Array(b.view())];
    /// let chosen = plan.choose_bits(&views, 30.0, Speeds::shipped())?;
    /// assert!(chosen.error.sqnr_db() >= 30.0 && chosen.seconds <= chosen.float_seconds);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn choose_bits<T: Element>(
        &self,
        operands: &[OperandView<'_, T>],
        least_sqnr_db: f64,
        speeds: &Speeds,
    ) -> Result<ChosenBits> {
        if least_sqnr_db.is_nan() {
            return Err(Error::new(ErrorKind::Config, "the least signal-to-noise ratio is no number"));
        }
        let calls = self.calls().count();
        if calls == 0 {
            return Err(Error::new(ErrorKind::Config, "the plan has no call: there is nothing to quantize"));
        }
        let configs = BITS.map(of_bits).into_iter().collect::<Result<Vec<_>>>()?;
        let trial = Trial { plan: self, operands, exact: self.run(operands.to_vec())?, configs: &configs, speeds };
        let choices = trial.choices(calls)?;
        let signal = trial.exact_signal();
        // In decibels a ratio; the noise that it allows.
        let most = signal / power_of_ten(least_sqnr_db / 10.0);
        for way in front(&choices, most).iter().take(TRIES) {
            let error = trial.run(&way.choices)?;
            if error.sqnr_db() >= least_sqnr_db {
                return Ok(trial.chosen(&way.choices, error));
            }
        }
        let floats = vec![BITS.len() - 1; calls];
        let error = trial.run(&floats)?;
        Ok(trial.chosen(&floats, error))
    }
}

/// What is run to find out.
struct Trial<'t, 'a, T: Element> {
    plan: &'t Plan,
    operands: &'t [OperandView<'a, T>],
    exact: ArrayD<T>,
    /// For each of [`BITS`].
    configs: &'t [DotGeneralConfig],
    speeds: &'t Speeds,
}

impl<T: Element> Trial<'_, '_, T> {
    fn config(&self, choices: &[usize]) -> QuantConfig {
        by_step(choices.iter().map(|&choice| self.configs[choice].clone()).collect())
    }

    fn run(&self, choices: &[usize]) -> Result<QuantizationError> {
        self.plan.error(&self.exact, self.operands, &self.config(choices), None::<Key>)
    }

    /// Predicted seconds of each call, where all have this choice.
    fn seconds(&self, choice: usize, calls: usize) -> Vec<f64> {
        let config = self.config(&vec![choice; calls]);
        let prediction = self.plan.predict(Some(&config), &[], self.speeds);
        self.plan.calls().map(|step| prediction.per_step[self.plan.step_of(step.result())]).collect()
    }

    /// What each call takes for each choice.
    fn choices(&self, calls: usize) -> Result<Vec<Vec<Choice>>> {
        let floats = BITS.len() - 1;
        let seconds: Vec<Vec<f64>> = (0..BITS.len()).map(|choice| self.seconds(choice, calls)).collect();
        let choice = |call: usize, choice: usize| -> Result<Choice> {
            let mut choices = vec![floats; calls];
            choices[call] = choice;
            let noise = if choice == floats { 0.0 } else { self.run(&choices)?.noise() };
            // What is not finite cannot be allowed.
            let noise = if noise.is_nan() { f64::INFINITY } else { noise };
            Ok(Choice { seconds: seconds[choice][call], bits: BITS[choice].unwrap_or(32).into(), noise })
        };
        (0..calls).map(|call| (0..BITS.len()).map(|each| choice(call, each)).collect()).collect()
    }

    fn exact_signal(&self) -> f64 {
        QuantizationError::between(&self.exact, &self.exact).signal()
    }

    fn chosen(&self, choices: &[usize], error: QuantizationError) -> ChosenBits {
        let config = self.config(choices);
        ChosenBits {
            bits: choices.iter().map(|&choice| BITS[choice]).collect(),
            seconds: self.plan.predict(Some(&config), &[], self.speeds).seconds,
            float_seconds: self.plan.predict(None, &[], self.speeds).seconds,
            float: self.plan.dtype(),
            config,
            error,
        }
    }
}

/// Ten to this power, with IEEE operations only, and so the same on every machine.
fn power_of_ten(exponent: f64) -> f64 {
    // Beyond, no binary64 is left.
    let exponent = exponent.clamp(-400.0, 400.0);
    let whole = exponent.floor();
    let steps = 0..whole.abs() as u32;
    let mut power = steps.fold(1.0, |power: f64, _| if whole < 0.0 { power / 10.0 } else { power * 10.0 });
    // The binary digits of the rest, each of which takes another square root.
    let (mut rest, mut root) = (exponent - whole, 10.0_f64);
    for _ in 0..f64::MANTISSA_DIGITS {
        (rest, root) = (2.0 * rest, root.sqrt());
        if rest >= 1.0 {
            rest -= 1.0;
            power *= root;
        }
    }
    power
}

/// The configuration of a call of so many bits, forward and for the gradient of its earlier operand.
fn of_bits(bits: Option<u8>) -> Result<DotGeneralConfig> {
    match bits {
        None => Ok(DotGeneralConfig::default()),
        bits => DotGeneralConfig::v4().fwd_bits(bits).dlhs_bits(bits).build(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_ten() {
        for exponent in [-12.75, -3.0, -0.1, 0.0, 0.5, 1.0, 3.3, 20.0] {
            let (power, expected) = (power_of_ten(exponent), libm::pow(10.0, exponent));
            assert!((power / expected - 1.0).abs() < 1e-13, "{exponent}: {power} {expected}");
        }
        assert!(power_of_ten(f64::INFINITY).is_infinite() && power_of_ten(f64::NEG_INFINITY) == 0.0);
    }
}
