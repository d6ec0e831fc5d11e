//! Exact costs, of any size.
//!
//! In come products and sums of sizes; out go decimals, an order, and logarithms for display that are the same on
//! every machine. Nothing here rounds a cost.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Mul};

use num_bigint::BigUint;
use num_traits::ToPrimitive as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, ErrorKind};

/// The most digits of a cost that is read, since the time to read them grows with their square; a step that has 200,000
/// labels of size 2 needs as many.
const MOST_DIGITS: usize = 1 << 16;

/// A count of multiplications or elements: a natural number without bound.
///
/// Up to 2^128 it is a machine integer. Serialized it is a string of decimal digits, since JSON readers round.
///
/// ```
/// use qeinsum::path::Cost;
/// let half = Cost::from(1_u128 << 100);
/// let cost = &half * &half + Cost::ONE;
/// assert_eq!(cost.to_string(), "1606938044258990275541962092341162602522202993782792835301377");
/// assert_eq!((half * cost).log2(), 300.0);
/// let million = "1000000".parse::<Cost>()?;
/// assert_eq!((million.log10(), million.to_f64(), million.to_u128(), million.bits()), (6.0, 1e6, Some(1_000_000), 20));
/// assert_eq!(Cost::ZERO.log10(), f64::NEG_INFINITY);
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Cost(Repr);

/// `Big` holds only what `Small` cannot, so the derived order and equality are those of the numbers.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Repr {
    Small(u128),
    Big(BigUint),
}

impl Cost {
    /// Nothing.
    pub const ZERO: Self = Self(Repr::Small(0));
    /// One multiplication or element.
    pub const ONE: Self = Self(Repr::Small(1));

    fn from_big(value: BigUint) -> Self {
        Self(value.to_u128().map_or(Repr::Big(value), Repr::Small))
    }

    /// What is left of the cost after taking `other` away; nothing, where `other` is larger.
    pub(super) fn less(&self, other: &Self) -> Self {
        match (&self.0, &other.0) {
            _ if self <= other => Self::ZERO,
            (Repr::Small(a), Repr::Small(b)) => Self(Repr::Small(a - b)),
            (Repr::Big(a), Repr::Small(b)) => Self::from_big(a - *b),
            (Repr::Big(a), Repr::Big(b)) => Self::from_big(a - b),
            (Repr::Small(_), Repr::Big(_)) => Self::ZERO,
        }
    }

    /// How often a divisor, which is not zero, fits into the cost.
    pub(crate) fn over(&self, divisor: &Self) -> Self {
        match (&self.0, &divisor.0) {
            (Repr::Small(a), Repr::Small(b)) => Self(Repr::Small(a / b)),
            (Repr::Big(a), Repr::Small(b)) => Self::from_big(a / *b),
            (Repr::Big(a), Repr::Big(b)) => Self::from_big(a / b),
            (Repr::Small(_), Repr::Big(_)) => Self::ZERO,
        }
    }

    /// Half of the cost, rounded up.
    pub(super) fn half(&self) -> Self {
        match &self.0 {
            Repr::Small(value) => Self(Repr::Small(value.div_ceil(2))),
            Repr::Big(value) => Self::from_big((value + 1_u32) >> 1),
        }
    }

    /// The power of two with this exponent.
    pub(super) fn power_of_two(exponent: u32) -> Self {
        Self::from_big(BigUint::from(1_u32) << exponent)
    }

    /// The number, where 128 bits hold it.
    pub fn to_u128(&self) -> Option<u128> {
        match self.0 {
            Repr::Small(value) => Some(value),
            Repr::Big(_) => None,
        }
    }

    /// The nearest double, infinite beyond their range.
    pub fn to_f64(&self) -> f64 {
        match &self.0 {
            Repr::Small(value) => *value as f64,
            Repr::Big(value) => value.to_f64().unwrap_or(f64::INFINITY),
        }
    }

    /// The number of binary digits: 0 for zero.
    pub fn bits(&self) -> u64 {
        match &self.0 {
            Repr::Small(value) => u64::from(u128::BITS - value.leading_zeros()),
            Repr::Big(value) => value.bits(),
        }
    }

    /// The 64 leading binary digits, of a number above zero.
    pub(super) fn leading(&self) -> u64 {
        let bits = self.bits();
        let lead = match &self.0 {
            Repr::Small(value) => (value << (128 - bits)) >> 64,
            Repr::Big(value) => (value >> (bits - 64)).to_u128().unwrap_or(1 << 63),
        };
        lead as u64
    }

    /// The logarithm to base 2, for display: exact for powers of two, else right to about 15 digits; the same bits
    /// on every machine. Minus infinity for zero.
    pub fn log2(&self) -> f64 {
        let bits = self.bits();
        if bits == 0 {
            return f64::NEG_INFINITY;
        }
        // The leading digits, as a number in [1, 2).
        let mantissa = self.leading() as f64 / (1_u64 << 63) as f64;
        (bits - 1) as f64 + ln(mantissa) / std::f64::consts::LN_2
    }

    /// The logarithm to base 10, for display: exact for powers of ten, else right to about 15 digits; the same bits
    /// on every machine. Minus infinity for zero.
    pub fn log10(&self) -> f64 {
        if *self == Self::ZERO {
            return f64::NEG_INFINITY;
        }
        let digits = self.to_string();
        let lead: f64 =
            digits[..digits.len().min(17)].bytes().fold(0.0, |lead, digit| lead * 10.0 + f64::from(digit - b'0'));
        let unit = (1..digits.len().min(17)).fold(1.0, |unit: f64, _| unit * 10.0);
        (digits.len() - 1) as f64 + ln(lead / unit) / std::f64::consts::LN_10
    }
}

/// The natural logarithm of a number in [1, 10] by the series of the inverse hyperbolic tangent, with IEEE
/// operations only: a platform's `ln` differs between platforms.
pub(crate) fn ln(x: f64) -> f64 {
    let mut halvings = 0.0;
    let mut x = x;
    while x > std::f64::consts::SQRT_2 {
        x /= 2.0;
        halvings += 1.0;
    }
    let z = (x - 1.0) / (x + 1.0);
    let square = z * z;
    // |z| <= 0.172, so the terms left out are below 2^-60.
    let series = (0..12).rev().fold(0.0, |sum, k| sum * square + 1.0 / f64::from(2 * k + 1));
    halvings * std::f64::consts::LN_2 + 2.0 * z * series
}

impl From<u128> for Cost {
    fn from(value: u128) -> Self {
        Self(Repr::Small(value))
    }
}

impl From<usize> for Cost {
    fn from(value: usize) -> Self {
        Self(Repr::Small(value as u128))
    }
}

/// A product of sizes, which is made of machine integers as long as they hold it: of two thousand factors most steps are.
#[derive(Clone, Debug)]
pub(super) struct Factors {
    /// Those that were multiplied out.
    before: Cost,
    last: u128,
}

impl Factors {
    pub(super) const NONE: Self = Self { before: Cost::ONE, last: 1 };

    pub(super) fn times(&mut self, size: usize) {
        self.last = self.last.checked_mul(size as u128).unwrap_or_else(|| {
            self.before = &self.before * &Cost::from(self.last);
            size as u128
        });
    }

    pub(super) fn product(&self) -> Cost {
        &self.before * &Cost::from(self.last)
    }
}

impl Add<&Cost> for &Cost {
    type Output = Cost;

    fn add(self, other: &Cost) -> Cost {
        Cost::from_big(match (&self.0, &other.0) {
            (Repr::Small(a), Repr::Small(b)) => match a.checked_add(*b) {
                Some(sum) => return Cost(Repr::Small(sum)),
                None => BigUint::from(*a) + *b,
            },
            (Repr::Big(big), Repr::Small(small)) | (Repr::Small(small), Repr::Big(big)) => big + *small,
            (Repr::Big(a), Repr::Big(b)) => a + b,
        })
    }
}

impl Mul<&Cost> for &Cost {
    type Output = Cost;

    fn mul(self, other: &Cost) -> Cost {
        Cost::from_big(match (&self.0, &other.0) {
            (Repr::Small(a), Repr::Small(b)) => match a.checked_mul(*b) {
                Some(product) => return Cost(Repr::Small(product)),
                None => BigUint::from(*a) * *b,
            },
            (Repr::Big(big), Repr::Small(small)) | (Repr::Small(small), Repr::Big(big)) => big * *small,
            (Repr::Big(a), Repr::Big(b)) => a * b,
        })
    }
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        &self + &other
    }
}

impl Mul for Cost {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        &self * &other
    }
}

impl AddAssign<&Cost> for Cost {
    fn add_assign(&mut self, other: &Cost) {
        *self = &*self + other;
    }
}

impl<'a> Sum<&'a Cost> for Cost {
    fn sum<I: Iterator<Item = &'a Cost>>(costs: I) -> Self {
        costs.fold(Self::ZERO, |sum, cost| &sum + cost)
    }
}

/// All of its decimal digits.
impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Small(value) => value.fmt(f),
            Repr::Big(value) => value.fmt(f),
        }
    }
}

impl std::str::FromStr for Cost {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || Error::new(ErrorKind::Plan, "a cost is a string of decimal digits");
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(bad());
        }
        if text.len() > MOST_DIGITS {
            let message = format!("a cost of {} digits; the limit is {MOST_DIGITS}", text.len());
            return Err(Error::new(ErrorKind::Plan, message));
        }
        match text.parse() {
            Ok(value) => Ok(Self(Repr::Small(value))),
            Err(_) => Ok(Self::from_big(text.parse().map_err(|_| bad())?)),
        }
    }
}

impl Serialize for Cost {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cost {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(|error: Error| serde::de::Error::custom(error.message()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn power(base: u128, exponent: usize) -> Cost {
        (0..exponent).fold(Cost::ONE, |power, _| power * Cost::from(base))
    }

    #[test]
    fn arithmetic_is_exact_across_the_border_of_128_bits() {
        let top = Cost::from(u128::MAX);
        let above = &top + &Cost::ONE;
        assert_eq!(above.to_string(), "340282366920938463463374607431768211456");
        assert!(above > top);
        assert!(above.to_u128().is_none());
        assert_eq!(above, power(2, 128));
        assert_eq!(&above * &Cost::ZERO, Cost::ZERO);
        assert_eq!(power(3, 100).to_string(), "515377520732011331036461129765621272702107522001");
        assert_eq!([top.clone(), Cost::ONE].iter().sum::<Cost>(), above);
        let far = power(2, 300);
        assert_eq!(&far + &far, power(2, 301));
        assert_eq!(&far * &top, power(2, 428).less(&far));
        for (a, b, left) in [(&above, &Cost::ONE, &top), (&far, &far, &Cost::ZERO), (&top, &far, &Cost::ZERO)] {
            assert_eq!(a.less(b), *left);
        }
        for (a, b, quotient) in [
            (&top, &Cost::from(5_usize), &Cost::from(u128::MAX / 5)),
            (&far, &power(2, 172), &power(2, 128)),
            (&far, &power(2, 173), &power(2, 127)),
            (&top, &above, &Cost::ZERO),
            (&power(3, 100), &power(3, 80), &power(3, 20)),
        ] {
            assert_eq!(a.over(b), *quotient);
        }
        assert_eq!(
            [&Cost::ZERO, &Cost::ONE, &above, &far].map(Cost::half),
            [Cost::ZERO, Cost::ONE, power(2, 127), power(2, 299)]
        );
    }

    #[test]
    fn logarithms_are_exact_where_they_are_whole() {
        for exponent in [0, 1, 3, 52, 53, 64, 127, 128, 129, 500] {
            assert_eq!(power(2, exponent).log2(), exponent as f64);
        }
        for exponent in [0, 1, 2, 3, 15, 16, 17, 22, 23, 38, 39, 300] {
            assert_eq!(power(10, exponent).log10(), exponent as f64);
        }
        for (cost, log10) in
            [(3_u128, 0.477_121_254_719_662_4), (40960, 4.612_359_947_967_774), (999_999_999, 8.999_999_999_565_706)]
        {
            assert!((Cost::from(cost).log10() - log10).abs() < 1e-14, "{cost}");
        }
        assert!((power(7, 200).log2() - 561.470_984_411_520_7).abs() < 1e-12);
        assert_eq!(Cost::ZERO.log2(), f64::NEG_INFINITY);
        assert_eq!(Cost::ZERO.log10(), f64::NEG_INFINITY);
    }

    #[test]
    fn costs_are_strings_of_digits_in_json() {
        for cost in [Cost::ZERO, Cost::from(40960_usize), power(10, 60)] {
            let text = serde_json::to_string(&cost).unwrap();
            assert_eq!(text, format!("\"{cost}\""));
            assert_eq!(serde_json::from_str::<Cost>(&text).unwrap(), cost);
        }
        for bad in ["\"\"", "\"-1\"", "\"+1\"", "\"1e3\"", "7"] {
            assert!(serde_json::from_str::<Cost>(bad).is_err(), "{bad}");
        }
        let long = "9".repeat(MOST_DIGITS);
        assert_eq!(long.parse::<Cost>().unwrap().to_string(), long);
        assert_eq!(
            format!("{long}9").parse::<Cost>().unwrap_err().message(),
            "a cost of 65537 digits; the limit is 65536"
        );
    }
}
