//! The floor of a scale's binary logarithm, as the reference computes it.
//!
//! The reference takes `floor(log2(s))` in the scale's own format, and its `log2` is a polynomial for the natural
//! logarithm times a rounded constant. Near powers of two the result is therefore off by one; the numbers depend on
//! it, so the polynomial is evaluated here step by step, with the same fused operations.

use super::format::Format;

/// Two to the floor of the reference's `log2(scale)`.
///
/// For the formats as they store the scale: 0 for 0, infinity for infinity, NaN for NaN and negative numbers.
pub(crate) fn power_of_two_below(scale: f32, format: Format) -> f32 {
    let logarithm = ln(scale);
    let exponent = match format {
        Format::F32 => (logarithm * f32::from_bits(0x3fb8_aa3b)).floor(),
        // bfloat16 has ln 2 = 0.69140625; the quotient is rounded once.
        Format::Bf16 => Format::Bf16.round(logarithm / 0.691_406_25).floor(),
        // binary16 has 1 / ln 2 = 1.4423828125, and rounds the logarithm before the product.
        Format::F16 => Format::F16.round(Format::F16.round(logarithm) * 1.442_382_8).floor(),
    };
    format.round(exp2_integer(exponent))
}

/// Two to an integer held in a float; subnormal results are 0.
fn exp2_integer(exponent: f32) -> f32 {
    if exponent.is_nan() {
        f32::NAN
    } else if exponent < -126.0 {
        0.0
    } else if exponent > 127.0 {
        f32::INFINITY
    } else {
        f32::from_bits(((exponent as i32 + 127) as u32) << 23)
    }
}

/// The natural logarithm as XLA's CPU backend computes it: a Cephes polynomial on [√½, √2), with fused operations.
///
/// The coefficients are those of Cephes' `logf`.
fn ln(x: f32) -> f32 {
    if x.is_nan() || x < 0.0 {
        return f32::NAN;
    }
    if x == f32::INFINITY {
        return f32::INFINITY;
    }
    if x < f32::MIN_POSITIVE {
        return f32::NEG_INFINITY;
    }
    let bits = x.to_bits();
    let mut e = ((bits >> 23) as i32 - 127) as f32 + 1.0;
    let mut m = f32::from_bits((bits & 0x807f_ffff) | 0x3f00_0000);
    let low = m < f32::from_bits(0x3f35_04f3);
    let again = if low { m } else { 0.0 };
    m -= 1.0;
    if low {
        e -= 1.0;
    }
    m += again;
    let x2 = m * m;
    let x3 = x2 * m;
    let y = m.mul_add(7.037_683_6e-2, -1.151_461e-1).mul_add(m, 1.167_699_9e-1);
    let y1 = m.mul_add(-1.242_014_1e-1, 1.424_932_3e-1).mul_add(m, -1.666_805_8e-1);
    let y2 = m.mul_add(2.000_071_5e-1, -2.499_999_4e-1).mul_add(m, 3.333_333e-1);
    let y = y.mul_add(x3, y1).mul_add(x3, y2).mul_add(x3, -2.121_944_4e-4 * e);
    0.693_359_4_f32.mul_add(e, (-0.5_f32).mul_add(x2, m) + y)
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};

    use super::*;

    fn exponent(scale: f32, format: Format) -> i32 {
        (power_of_two_below(scale, format).to_bits() >> 23) as i32 - 127
    }

    /// The exponent of the largest power of two not above a normal number.
    fn floor_log2(x: f32) -> i32 {
        (x.to_bits() >> 23) as i32 - 127
    }

    #[test]
    fn binary32_is_one_too_small_for_23_exact_powers() {
        let off: Vec<i32> = (-120..=126)
            .filter(|&k| {
                let x = f32::from_bits(((k + 127) as u32) << 23);
                exponent(x, Format::F32) == k - 1
            })
            .collect();
        let expected =
            [13, 15, 26, 27, 30, 31, 49, 52, 54, 57, 60, 62, 93, 98, 103, 104, 108, 109, 114, 119, 120, 124, 125];
        assert_eq!(off, expected);
    }

    #[test]
    fn bfloat16_differs_from_the_true_floor_for_6886_values() {
        let off = (0x0080..0x7f80_u16)
            .map(|bits| bf16::from_bits(bits).to_f32())
            .filter(|&x| exponent(x, Format::Bf16) != floor_log2(x))
            .count();
        assert_eq!(off, 6886);
    }

    #[test]
    fn binary16_differs_from_the_true_floor_for_these_104_values() {
        // The n values just below 2^k round up to k.
        let up = [
            (-17, 1),
            (-16, 1),
            (-15, 2),
            (-14, 3),
            (-13, 1),
            (-12, 13),
            (-11, 12),
            (-10, 8),
            (-9, 11),
            (-8, 7),
            (-7, 3),
            (-6, 6),
            (-5, 4),
            (-4, 3),
            (-3, 3),
            (-2, 1),
            (6, 1),
            (9, 4),
            (11, 3),
            (12, 2),
            (15, 5),
            (16, 1),
        ];
        let down = [32.0, 128.0, 128.125, 1024.0, 8192.0, 16384.0, 16400.0, 16416.0, 16432.0];
        let mut expected: Vec<(u16, i32)> = Vec::new();
        for (k, n) in up {
            let power = f16::from_f32(f32::from_bits(((k + 127) as u32) << 23)).to_bits();
            expected.extend((1..=n).map(|below| (power - below, k)));
        }
        expected.extend(down.map(|x| (f16::from_f32(x).to_bits(), floor_log2(x) - 1)));
        expected.sort_unstable();
        let mut found: Vec<(u16, i32)> = Vec::new();
        for bits in 1..0x7c00_u16 {
            let x = f16::from_bits(bits).to_f32();
            let scale = power_of_two_below(x, Format::F16);
            let k = if scale == f32::INFINITY { 16 } else { floor_log2(scale) };
            if k != floor_log2(x) {
                found.push((bits, k));
            }
        }
        assert_eq!(found, expected);
        assert_eq!(found.len(), 104);
    }

    #[test]
    fn special_scales() {
        for format in [Format::F32, Format::Bf16, Format::F16] {
            assert_eq!(power_of_two_below(0.0, format), 0.0);
            assert_eq!(power_of_two_below(f32::INFINITY, format), f32::INFINITY);
            assert!(power_of_two_below(f32::NAN, format).is_nan());
            assert!(power_of_two_below(-1.0, format).is_nan());
        }
    }
}
