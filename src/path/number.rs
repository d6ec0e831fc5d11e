//! The numbers that the exact search counts in: as narrow as the problem allows.
//!
//! A search never looks at a score above its bound, so narrow numbers may saturate: what saturates is above the
//! bound. Which numbers are wide enough is decided once, where a search starts.

use super::cost::Cost;
use super::logs::{Log, Tables};

/// A natural number that adds and multiplies without wrapping.
pub(crate) trait Number: Clone + Ord {
    const ZERO: Self;
    const ONE: Self;

    /// The number, or the largest of its kind.
    fn saturated(value: u128) -> Self;

    /// The cost, or the largest number of this kind.
    fn from_cost(cost: &Cost) -> Self;

    fn to_cost(&self) -> Cost;

    /// The nearest double, infinite beyond their range.
    fn to_f64(&self) -> f64;

    fn plus(&self, other: &Self) -> Self;

    fn times(&self, other: &Self) -> Self;

    /// The number less another that is not above it; zero for one that is.
    fn minus(&self, other: &Self) -> Self;

    /// How often a divisor, which is not zero, fits into the number.
    fn quotient(&self, divisor: &Self) -> Self;

    /// The logarithm to base 2, of a number above zero.
    fn log(&self) -> Log;

    /// The whole number below two to a logarithm.
    fn from_log(log: Log) -> Self;

    /// The number times all of `factors`.
    fn product<'a>(self, factors: impl Iterator<Item = &'a Self>) -> Self
    where
        Self: 'a,
    {
        factors.fold(self, |product, factor| product.times(factor))
    }
}

impl Number for u64 {
    const ZERO: Self = 0;
    const ONE: Self = 1;

    fn saturated(value: u128) -> Self {
        Self::try_from(value).unwrap_or(Self::MAX)
    }

    fn from_cost(cost: &Cost) -> Self {
        cost.to_u128().map_or(Self::MAX, Self::saturated)
    }

    fn to_cost(&self) -> Cost {
        Cost::from(u128::from(*self))
    }

    fn to_f64(&self) -> f64 {
        *self as f64
    }

    fn plus(&self, other: &Self) -> Self {
        self.saturating_add(*other)
    }

    fn times(&self, other: &Self) -> Self {
        self.saturating_mul(*other)
    }

    fn minus(&self, other: &Self) -> Self {
        self.saturating_sub(*other)
    }

    fn quotient(&self, divisor: &Self) -> Self {
        self / divisor
    }

    fn log(&self) -> Log {
        let zeros = self.leading_zeros();
        Tables::get().of_leading(self << zeros, u64::from(Self::BITS - zeros))
    }

    fn from_log(log: Log) -> Self {
        match Tables::get().power(log) {
            (lead, 0) => lead,
            (_, 1..) => Self::MAX,
            (lead, exponent) => lead.checked_shr(exponent.unsigned_abs() as u32).unwrap_or(0),
        }
    }
}

impl Number for u128 {
    const ZERO: Self = 0;
    const ONE: Self = 1;

    fn saturated(value: u128) -> Self {
        value
    }

    fn from_cost(cost: &Cost) -> Self {
        cost.to_u128().unwrap_or(Self::MAX)
    }

    fn to_cost(&self) -> Cost {
        Cost::from(*self)
    }

    fn to_f64(&self) -> f64 {
        *self as f64
    }

    fn plus(&self, other: &Self) -> Self {
        self.saturating_add(*other)
    }

    fn times(&self, other: &Self) -> Self {
        self.saturating_mul(*other)
    }

    fn minus(&self, other: &Self) -> Self {
        self.saturating_sub(*other)
    }

    fn quotient(&self, divisor: &Self) -> Self {
        self / divisor
    }

    fn log(&self) -> Log {
        let zeros = self.leading_zeros();
        Tables::get().of_leading(((self << zeros) >> 64) as u64, u64::from(Self::BITS - zeros))
    }

    fn from_log(log: Log) -> Self {
        match Tables::get().power(log) {
            (_, 65..) => Self::MAX,
            (lead, exponent @ 0..) => Self::from(lead) << exponent,
            (lead, exponent) => Self::from(lead.checked_shr(exponent.unsigned_abs() as u32).unwrap_or(0)),
        }
    }
}

impl Number for Cost {
    const ZERO: Self = Cost::ZERO;
    const ONE: Self = Cost::ONE;

    fn saturated(value: u128) -> Self {
        Cost::from(value)
    }

    fn from_cost(cost: &Cost) -> Self {
        cost.clone()
    }

    fn to_cost(&self) -> Cost {
        self.clone()
    }

    fn to_f64(&self) -> f64 {
        self.to_f64()
    }

    fn plus(&self, other: &Self) -> Self {
        self + other
    }

    fn times(&self, other: &Self) -> Self {
        self * other
    }

    fn minus(&self, other: &Self) -> Self {
        self.less(other)
    }

    fn log(&self) -> Log {
        Tables::get().of_leading(self.leading(), self.bits())
    }

    fn from_log(log: Log) -> Self {
        let (lead, exponent) = Tables::get().power(log);
        match u32::try_from(exponent) {
            Ok(exponent) => &Cost::from(u128::from(lead)) * &Cost::power_of_two(exponent),
            Err(_) => Cost::from(u128::from_log(log)),
        }
    }

    fn product<'a>(self, factors: impl Iterator<Item = &'a Self>) -> Self {
        // Factors are multiplied in machine integers as long as they fit, which saves most long multiplications.
        let (mut product, mut pending) = (self, 1_u128);
        for factor in factors {
            let next = factor.to_u128().and_then(|factor| pending.checked_mul(factor));
            pending = next.unwrap_or_else(|| {
                product = &(&product * &Cost::from(pending)) * factor;
                1
            });
        }
        &product * &Cost::from(pending)
    }

    fn quotient(&self, divisor: &Self) -> Self {
        self.over(divisor)
    }
}
