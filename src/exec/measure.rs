//! Quantized calls, each measured against the unquantized product of the same operands.
//!
//! In comes what a quantized run takes; out goes, beside its result, a [`QuantizationError`] per call. Sums run in
//! row-major order in binary64, so that a report is the same on every machine.

use std::fmt;

use ndarray::ArrayD;

use crate::error::Result;
use crate::kernel::Element;
use crate::path::ln;

use super::quantized::QuantizedCalls;
use super::run::{Call, Calls, Unquantized};

/// How far values are from what they should be.
///
/// `Display` prints both measures: `sqnr 41.52 dB, max error 3.125e-2`.
///
/// ```
/// use ndarray::{arr1, ArrayD};
/// use qeinsum::QuantizationError;
/// let error = QuantizationError::between(&arr1(&[1.0_f32, 10.0]).into_dyn(), &arr1(&[1.0_f32, 9.0]).into_dyn());
/// assert_eq!(error.largest(), 1.0);
/// assert_eq!((error.signal(), error.noise()), (101.0, 1.0)); // sums of squares
/// assert_eq!(format!("{:.3}", error.sqnr_db()), "20.043"); // ten times the logarithm of 101 over 1
/// ```
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct QuantizationError {
    signal: f64,
    noise: f64,
    largest: f64,
}

impl QuantizationError {
    /// The error of `actual`, where `exact` should be; of arrays of different shapes, that of the elements both have
    /// in row-major order. Values of `f64` are rounded to `f32` before.
    pub fn between<T: Element>(exact: &ArrayD<T>, actual: &ArrayD<T>) -> Self {
        let mut error = Self::default();
        for (&exact, &actual) in T::floats(exact.view()).iter().zip(&T::floats(actual.view())) {
            let (exact, actual) = (f64::from(exact), f64::from(actual));
            let difference = (actual - exact).abs();
            error.signal += exact * exact;
            error.noise += difference * difference;
            // A NaN is the largest error of all and stays.
            if difference.is_nan() || difference > error.largest {
                error.largest = difference;
            }
        }
        error
    }

    /// The signal-to-quantization-noise ratio in decibels: ten times the decimal logarithm of the sum of squares of
    /// the exact values over that of the differences. Infinite where there is no difference.
    pub fn sqnr_db(self) -> f64 {
        if self.noise == 0.0 { f64::INFINITY } else { 10.0 * log10(self.signal / self.noise) }
    }

    /// The sum of squares of the exact values.
    pub fn signal(self) -> f64 {
        self.signal
    }

    /// The sum of squares of the differences.
    pub fn noise(self) -> f64 {
        self.noise
    }

    /// The largest absolute difference.
    pub fn largest(self) -> f64 {
        self.largest
    }
}

impl fmt::Display for QuantizationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sqnr {:.2} dB, max error {:.3e}", self.sqnr_db(), self.largest)
    }
}

/// The decimal logarithm, with IEEE operations only.
fn log10(x: f64) -> f64 {
    if x == 0.0 {
        return f64::NEG_INFINITY;
    }
    if !x.is_finite() || x < 0.0 {
        return x;
    }
    // Scaling by ten rounds, by far less than is ever printed.
    let (mut lead, mut exponent) = (x, 0.0);
    while lead >= 10.0 {
        lead /= 10.0;
        exponent += 1.0;
    }
    while lead < 1.0 {
        lead *= 10.0;
        exponent -= 1.0;
    }
    exponent + ln(lead) / std::f64::consts::LN_10
}

/// Quantized calls with an observer of their errors.
pub(crate) struct MeasuredCalls<F> {
    quantized: QuantizedCalls,
    observe: F,
}

impl<F: FnMut(usize, QuantizationError)> MeasuredCalls<F> {
    pub(crate) fn new(quantized: QuantizedCalls, observe: F) -> Self {
        Self { quantized, observe }
    }
}

impl<'a, T: Element, F: FnMut(usize, QuantizationError)> Calls<'a, T> for MeasuredCalls<F> {
    fn call(&mut self, step: usize, call: Call<'a, '_, T>) -> Result<ArrayD<T>> {
        let exact = Unquantized::product(&call)?;
        let output = self.quantized.call(step, call)?;
        (self.observe)(step, QuantizationError::between(&exact, &output));
        Ok(output)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::arr1;

    use super::*;

    fn between(exact: &[f32], actual: &[f32]) -> QuantizationError {
        QuantizationError::between(&arr1(exact).into_dyn(), &arr1(actual).into_dyn())
    }

    #[test]
    fn both_measures_at_their_edges() {
        let cases: &[(&[f32], &[f32], &str)] = &[
            (&[1.0, 2.0], &[1.0, 2.0], "sqnr inf dB, max error 0.000e0"),
            (&[0.0, 0.0], &[0.0, 2.0], "sqnr -inf dB, max error 2.000e0"),
            (&[], &[], "sqnr inf dB, max error 0.000e0"),
            (&[3.0, 4.0], &[3.0, 3.5], "sqnr 20.00 dB, max error 5.000e-1"),
            (&[1e-3], &[2e-3], "sqnr 0.00 dB, max error 1.000e-3"),
            (&[1.0, f32::NAN], &[9.0, 1.0], "sqnr NaN dB, max error NaN"),
        ];
        for (exact, actual, expected) in cases {
            assert_eq!(between(exact, actual).to_string(), *expected);
        }
    }
}
