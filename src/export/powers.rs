//! The reference's power of two below a scale, as a table.
//!
//! The reference computes it by a polynomial with fused operations, which no engine promises to keep. It never falls
//! where its argument rises, so it is all said by the least scale that has each power; the test looks at how it rises.

use crate::quant::{Format, power_of_two_below};

/// A power of two, and the least scale of the format whose power it is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Power {
    pub(super) from: f32,
    pub(super) power: f32,
}

/// The powers of all scales of a format, rising; scales below the first have the power 0.
pub(super) fn powers(format: Format) -> Vec<Power> {
    // Positive scales by their bits, in steps of the format's last place.
    let step: u32 = match format {
        Format::F32 => 1,
        Format::Bf16 => 1 << 16,
        Format::F16 => 1 << 13,
    };
    let power = |at: u32| power_of_two_below(f32::from_bits(at * step), format);
    let end = f32::INFINITY.to_bits() / step;
    let mut powers = Vec::new();
    let mut at = 0;
    while at < end {
        // The first scale beyond `at` that has another power.
        let (mut same, mut other) = (at, end);
        while other - same > 1 {
            let middle = same + (other - same) / 2;
            if power(middle) == power(at) { same = middle } else { other = middle }
        }
        at = other;
        powers.push(Power { from: f32::from_bits(at * step), power: power(at) });
    }
    powers
}
