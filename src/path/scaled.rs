//! Sizes of any magnitude as a double and an exponent: exact where a double is, and without overflow.

use std::ops::{Add, Div, Mul, Sub};

use super::logs::{self, Log, Tables};

/// The number `mantissa * 2^exponent`; the mantissa is at least 1 and below 2 in magnitude, or zero.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Scaled {
    exponent: i32,
    mantissa: f64,
}

/// Bits of a key below its exponent.
const MANTISSA_BITS: i32 = 40;
/// What is added to exponents, so that those of all numbers above 2^-65536 are positive.
const BIAS: i64 = 1 << 16;

impl Scaled {
    pub(super) const ONE: Self = Self { exponent: 0, mantissa: 1.0 };

    /// A positive number.
    pub(super) fn of(number: f64) -> Self {
        Self::new(number, 0)
    }

    fn new(mantissa: f64, exponent: i32) -> Self {
        if mantissa == 0.0 {
            return Self { exponent: 0, mantissa };
        }
        let bits = mantissa.to_bits();
        let shift = (bits >> 52 & 0x7ff) as i32 - 1023;
        let mantissa = f64::from_bits(bits & !(0x7ff << 52) | 1023 << 52);
        Self { exponent: exponent + shift, mantissa }
    }

    /// An integer that orders as the numbers do, to about 12 digits.
    pub(super) fn key(self) -> i64 {
        if self.mantissa == 0.0 {
            return 0;
        }
        let fraction = ((self.mantissa.abs() - 1.0) * f64::from_bits(((1023 + MANTISSA_BITS) as u64) << 52)) as i64;
        let magnitude = ((i64::from(self.exponent) + BIAS).max(0) << MANTISSA_BITS) + fraction;
        if self.mantissa < 0.0 { -magnitude } else { magnitude }
    }

    /// The logarithm of one more than the magnitude, with the number's sign.
    pub(super) fn signed_log(self, tables: &Tables) -> Log {
        let magnitude = Self { mantissa: self.mantissa.abs(), ..self } + Self::ONE;
        let lead = 1 << 63 | magnitude.mantissa.to_bits() << 11;
        let log = i64::from(magnitude.exponent) * logs::ONE + tables.of_leading(lead, 1);
        if self.mantissa < 0.0 { -log } else { log }
    }

    /// The mantissa with respect to a larger exponent.
    fn aligned(self, exponent: i32) -> f64 {
        let shift = self.exponent - exponent;
        if shift < -100 { 0.0 } else { self.mantissa * f64::from_bits(((1023 + shift) as u64) << 52) }
    }
}

/// Zero is zero.
impl From<usize> for Scaled {
    fn from(size: usize) -> Self {
        Self::new(size as f64, 0)
    }
}

impl Mul for Scaled {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        Self::new(self.mantissa * other.mantissa, self.exponent + other.exponent)
    }
}

impl Div for Scaled {
    type Output = Self;

    /// The quotient by a number that is not zero.
    fn div(self, other: Self) -> Self {
        Self::new(self.mantissa / other.mantissa, self.exponent - other.exponent)
    }
}

impl Add for Scaled {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let exponent = if self.mantissa == 0.0 {
            other.exponent
        } else if other.mantissa == 0.0 {
            self.exponent
        } else {
            self.exponent.max(other.exponent)
        };
        Self::new(self.aligned(exponent) + other.aligned(exponent), exponent)
    }
}

impl Sub for Scaled {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + Self { mantissa: -other.mantissa, ..other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_numbers_are_exact_and_large_ones_do_not_overflow() {
        let number = |n: usize| Scaled::from(n);
        assert_eq!(number(12) * number(35), number(420));
        assert_eq!(number(420) / number(35), number(12));
        assert_eq!(number(5) - number(12) + number(9), number(2));
        assert_eq!(number(7) - number(7), number(0));
        assert_eq!(number(0) * number(9) + number(4), number(4));
        let mut large = number(3);
        for _ in 0..12 {
            large = large * large;
        }
        assert_eq!(large.exponent, 6492);
        assert_eq!(large - number(1), large);
        let ordered = [number(0) - large, number(0) - number(2), number(0), number(1), number(3), large, large * large];
        assert!(ordered.map(Scaled::key).is_sorted());
        for size in [0, 1, 6, 1 << 20, usize::MAX >> 12] {
            let log = number(size).signed_log(Tables::get()) as f64 / logs::ONE as f64;
            assert!((log - (size as f64 + 1.0).log2()).abs() < 3e-5, "{size}");
            assert_eq!((number(0) - number(size)).signed_log(Tables::get()) as f64, -log * logs::ONE as f64);
        }
    }
}
