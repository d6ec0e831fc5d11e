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

/// Entries of the table of leading digits.
const LEADING: usize = 1 << 12;
/// Entries of the table of powers.
const POWERS: usize = 1 << 8;

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
    /// Quantiles of the distribution of `-log2(-ln(u))`.
    gumbels: Vec<Log>,
    /// `log2(1 + x)` by `x`, and one more.
    leading: Vec<Log>,
    /// `2^(x + 63)` by `x`, below and including one.
    powers: Vec<u64>,
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
        let quantiles = || (0..DRAWS).map(|draw| (draw as f64 + 0.5) / DRAWS as f64);
        let draws = quantiles().map(|u| in_units(-ln(u))).collect();
        let gumbels = quantiles().map(|u| in_units(-ln(-ln(u)))).collect();
        let leading = (0..=LEADING).map(|step| in_units(ln(1.0 + step as f64 / LEADING as f64))).collect();
        let power = |step| exp(step as f64 / POWERS as f64 * LN_2) * power_of_two(63);
        // The conversion of the last, which is 2^64, saturates.
        let powers = (0..=POWERS).map(|step| power(step) as u64).collect();
        Self { sums, draws, gumbels, leading, powers }
    }

    /// The logarithm of the sum of two numbers, by theirs.
    pub(super) fn sum(&self, a: Log, b: Log) -> Log {
        let step = (a - b).unsigned_abs() as usize / (ONE / PER_ONE) as usize;
        a.max(b) + self.sums.get(step).copied().unwrap_or(0)
    }

    /// The logarithm of a number of so many binary digits, by its 64 leading ones.
    pub(super) fn of_leading(&self, lead: u64, bits: u64) -> Log {
        // The digits after the first: some for the entry, some for the way to the next.
        let step = (lead << 1 >> 52) as usize;
        let rest = (lead << 13 >> 48) as Log;
        let (below, above) = (self.leading[step], self.leading[step + 1]);
        (bits as Log - 1) * ONE + below + (((above - below) * rest) >> 16)
    }

    /// Two to a logarithm, as a number between 2^63 and 2^64 and a power of two to multiply it with.
    pub(super) fn power(&self, log: Log) -> (u64, i64) {
        let rest = (log & (ONE - 1)) as usize;
        let (below, above) = (self.powers[rest / POWERS], self.powers[rest / POWERS + 1]);
        let way = (u128::from(above - below) * (rest % POWERS) as u128) / POWERS as u128;
        (below + way as u64, (log >> 16) - 63)
    }

    /// A random `-log2(-ln(u))`, `u` uniform, from random bits: that many powers of two are a logarithm of an exponential
    /// variate, and the least of several scores that have each such a number taken off is a draw by their exponentials.
    pub(super) fn gumbel(&self, bits: u64) -> Log {
        self.gumbels[bits as usize % DRAWS]
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
    fn logarithms_of_numbers_and_back() {
        let tables = Tables::get();
        for number in [1_u64, 2, 3, 5, 1000, 1023, 1 << 40, (1 << 53) - 1, u64::MAX] {
            let bits = 64 - u64::from(number.leading_zeros());
            let log = tables.of_leading(number << number.leading_zeros(), bits);
            assert!((log as f64 / ONE as f64 - (number as f64).log2()).abs() < 3e-5, "{number}");
            let (lead, exponent) = tables.power(log);
            assert!(((lead as f64).log2() + exponent as f64 - log as f64 / ONE as f64).abs() < 3e-6, "{number}");
        }
        let mut last = (-64, 0);
        for log in 0..2 * ONE {
            let (lead, exponent) = tables.power(log);
            assert!((exponent, lead) >= last, "{log}");
            last = (exponent, lead);
        }
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
