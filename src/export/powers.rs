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
        // The largest finite scales may have the power of infinity already.
        if powers.last().is_none_or(|last: &Power| last.power != power(at)) {
            powers.push(Power { from: f32::from_bits(at * step), power: power(at) });
        }
    }
    powers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_table(table: &[Power], scale: f32) -> f32 {
        let reached = table.iter().filter(|power| scale >= power.from);
        reached.map(|power| power.power).fold(0.0, f32::max)
    }

    #[test]
    fn the_table_is_the_function_for_all_narrow_scales() {
        for (format, step) in [(Format::Bf16, 1 << 16), (Format::F16, 1 << 13)] {
            let table = powers(format);
            // Of binary16 also what it has no numbers for; they are scales of its products.
            for at in 0..=f32::INFINITY.to_bits() / step {
                let scale = f32::from_bits(at * step);
                assert_eq!(by_table(&table, scale), power_of_two_below(scale, format), "{format:?} {scale}");
            }
        }
    }

    #[test]
    fn the_table_is_the_function_around_every_power_and_between() {
        let table = powers(Format::F32);
        assert_eq!(table.len(), 255);
        let infinity = f32::INFINITY.to_bits();
        let around = (1..255_u32).flat_map(|exponent| (exponent << 23) - 300..=(exponent << 23) + 300);
        let between = (0..200_000_u32).map(|at| at.wrapping_mul(2_654_435_769) % infinity);
        for bits in around.chain(between).chain([0, infinity]) {
            let scale = f32::from_bits(bits);
            assert_eq!(by_table(&table, scale), power_of_two_below(scale, Format::F32), "{bits:x}");
        }
    }
}
