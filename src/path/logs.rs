//! Logarithms, for the searches that compare sizes far beyond any machine number.
//!
//! A [`Log`] is an integer of units of 2^-16. Adding them is exact, so the order of additions decides nothing, and
//! tables made of IEEE operations give the logarithm of a sum: the same on every machine.

use std::f64::consts::LN_2;

use super::cost::{Cost, ln as ln_of_mantissa};

/// A logarithm to base 2, in units of 2^-16.
pub(super) type Log = i64;

/// The logarithm of 2.
pub(super) const ONE: Log = 1 << 16;

/// The logarithm of a size; that of 1 for 0, whose own is no number.
pub(super) fn of_size(size: usize) -> Log {
    (Cost::from(size.max(1)).log2() * ONE as f64).round() as Log
}

/// The exponent of a positive normal number.
fn exponent(x: f64) -> i64 {
    (x.to_bits() >> 52) as i64 - 1023
}

/// Two to an integer in the range of normal numbers.
fn power_of_two(exponent: i64) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

/// The natural logarithm of a positive normal number, made of IEEE operations.
pub(super) fn ln(x: f64) -> f64 {
    let exponent = exponent(x).max(-1022);
    exponent as f64 * LN_2 + ln_of_mantissa(x / power_of_two(exponent))
}

/// The exponential of a number between -700 and 700, made of IEEE operations.
pub(super) fn exp(x: f64) -> f64 {
    let halves = (x / LN_2).round();
    let rest = x - halves * LN_2;
    // |rest| <= 0.35, so the terms left out are below 2^-60.
    let series = (1..16).rev().fold(1.0, |sum, k| 1.0 + sum * rest / f64::from(k));
    series * power_of_two(halves as i64)
}

/// Entries of the table of sums for a difference of one.
const PER_ONE: Log = 64;
/// The difference above which the smaller of two numbers does not count.
const WIDEST: Log = 20;
/// Draws of the exponential distribution.
const DRAWS: usize = 4096;

/// Tables of functions of logarithms.
#[derive(Debug)]
pub(super) struct Tables {
    /// `log2(1 + 2^-d)` by `d`.
    sums: Vec<Log>,
    /// Quantiles of the distribution of `-log2(u)`, `u` being uniform.
    draws: Vec<Log>,
}

impl Tables {
    /// The tables, made when they are first needed.
    pub(super) fn get() -> &'static Self {
        static TABLES: std::sync::OnceLock<Tables> = std::sync::OnceLock::new();
        TABLES.get_or_init(Self::new)
    }

    fn new() -> Self {
        let in_units = |log: f64| (log / LN_2 * ONE as f64).round() as Log;
        let sums = (0..=PER_ONE * WIDEST)
            .map(|step| {
                // The middle of the step, but exact for equal numbers.
                let difference = if step == 0 { 0.0 } else { (step as f64 + 0.5) / PER_ONE as f64 };
                in_units(ln(1.0 + exp(-difference * LN_2)))
            })
            .collect();
        let draws = (0..DRAWS).map(|draw| in_units(-ln((draw as f64 + 0.5) / DRAWS as f64))).collect();
        Self { sums, draws }
    }

    /// The logarithm of the sum of two numbers, by theirs.
    pub(super) fn sum(&self, a: Log, b: Log) -> Log {
        let step = (a - b).unsigned_abs() as usize / (ONE / PER_ONE) as usize;
        a.max(b) + self.sums.get(step).copied().unwrap_or(0)
    }

    /// A random `-log2(u)`, `u` uniform, from random bits.
    pub(super) fn draw(&self, bits: u64) -> Log {
        self.draws[bits as usize % DRAWS]
    }
}

/// The logarithm to base 2 of a sum, to some 12 digits: for the score of a whole tree.
pub(super) fn total(logs: impl Iterator<Item = Log> + Clone) -> f64 {
    let Some(largest) = logs.clone().max() else { return 0.0 };
    let unit = LN_2 / ONE as f64;
    let sum: f64 = logs.map(|log| exp(((log - largest) as f64 * unit).max(-700.0))).sum();
    largest as f64 / ONE as f64 + ln(sum) / LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_and_powers_are_right_to_many_digits() {
        for x in [1e-300, 0.1, 0.999, 1.0, 1.5, 2.0, std::f64::consts::PI, 1e17, 1e300] {
            assert!((ln(x) - x.ln()).abs() <= 1e-13 * x.ln().abs().max(1.0), "{x}");
            let x = x.ln();
            assert!((exp(x) / x.exp() - 1.0).abs() <= 1e-12, "{x}");
        }
        assert_eq!([of_size(0), of_size(1), of_size(1 << 40)], [0, 0, 40 * ONE]);
    }

    #[test]
    fn sums_of_logarithms_are_close_and_symmetric() {
        let tables = Tables::get();
        assert_eq!(tables.sum(5 * ONE, 5 * ONE), 6 * ONE);
        for (a, b) in [(0, 3 * ONE), (ONE / 3, 100 * ONE), (7 * ONE + 5, 7 * ONE)] {
            let sum = tables.sum(a, b);
            assert_eq!(sum, tables.sum(b, a));
            let exact = total([a, b].into_iter());
            assert!((sum as f64 / ONE as f64 - exact).abs() < 0.01, "{a} {b}");
        }
        let mean = (0..DRAWS).map(|draw| tables.draw(draw as u64)).sum::<Log>() as f64 / DRAWS as f64;
        assert!((mean / ONE as f64 * LN_2 - 1.0).abs() < 0.01, "{mean}");
    }
}
