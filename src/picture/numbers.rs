//! Numbers in few characters, by whole-number arithmetic alone.

use crate::path::Cost;

/// The parts that shares are counted in.
pub(super) const WHOLE: u32 = 100_000;

/// Digits of a number that is shown in full.
const DIGITS: usize = 7;

/// A part of a whole in hundred-thousandths, rounded down, but one at least where there is any; nothing of nothing.
pub(super) fn share(part: &Cost, whole: &Cost) -> u32 {
    if *whole == Cost::ZERO || *part == Cost::ZERO {
        return 0;
    }
    let share = (part * &Cost::from(u128::from(WHOLE))).over(whole);
    share.to_u128().and_then(|share| u32::try_from(share).ok()).unwrap_or(WHOLE).max(1)
}

/// The same of floats, which are compared only with each other.
pub(super) fn share_of_time(part: f64, whole: f64) -> u32 {
    let share = part / whole * f64::from(WHOLE);
    if share.is_finite() && share > 0.0 { (share as u32).min(WHOLE) } else { 0 }
}

/// A share of hundred-thousandths in words: `63.2 %`.
pub(super) fn percent(share: u32) -> String {
    match share {
        0 => "0 %".to_owned(),
        1..50 => "<0.1 %".to_owned(),
        _ => {
            let tenths = (share + 50) / 100;
            match (tenths / 10, tenths % 10) {
                (100, _) => "100 %".to_owned(),
                (units, tenth) => format!("{units}.{tenth} %"),
            }
        }
    }
}

/// A count in full, or as `2.62e7` where it has many digits.
pub(super) fn count(number: &Cost) -> String {
    let digits = number.to_string();
    if digits.len() <= DIGITS {
        return digits;
    }
    // Rounded half up on the digits, so that numbers of any length do.
    let lead: u32 = digits.bytes().take(4).fold(0, |lead, digit| lead * 10 + u32::from(digit - b'0'));
    let (lead, exponent) = match (lead + 5) / 10 {
        1000 => (100, digits.len()),
        lead => (lead, digits.len() - 1),
    };
    format!("{}.{:02}e{exponent}", lead / 100, lead % 100)
}

/// Bytes in a unit that suits them: `12.3 KiB`.
pub(super) fn bytes(number: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if number < 1024 {
        return format!("{number} bytes");
    }
    let number = u128::from(number);
    // The first unit that leaves fewer than 1024 of them after rounding to tenths.
    let tenths = |unit: usize| ((number * 10) + (1 << (10 * (unit + 1) - 1))) >> (10 * (unit + 1));
    let unit = (0..UNITS.len()).find(|&unit| tenths(unit) < 10_240).unwrap_or(UNITS.len() - 1);
    format!("{}.{} {}", tenths(unit) / 10, tenths(unit) % 10, UNITS[unit])
}

/// A length in tenths of a pixel as SVG writes it.
pub(super) fn tenths(length: u32) -> String {
    match length % 10 {
        0 => (length / 10).to_string(),
        tenth => format!("{}.{tenth}", length / 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_their_words() {
        let cost = |number: usize| Cost::from(number);
        assert_eq!(share(&cost(1), &cost(3)), 33_333);
        assert_eq!(share(&cost(0), &cost(0)), 0);
        assert_eq!(share(&cost(1), &cost(1_000_000)), 1);
        let large: Cost = "1".repeat(600).parse().unwrap();
        assert_eq!(share(&large, &(&large + &large)), 50_000);
        let cases =
            [(0, "0 %"), (1, "<0.1 %"), (50, "0.1 %"), (63_249, "63.2 %"), (99_949, "99.9 %"), (99_950, "100 %")];
        for (share, expected) in cases {
            assert_eq!(percent(share), expected);
        }
        assert_eq!(share_of_time(0.0, 0.0), 0);
        assert_eq!(share_of_time(1.0, 4.0), 25_000);
    }

    #[test]
    fn counts_and_bytes() {
        let cases = [("1234567", "1234567"), ("12345678", "1.23e7"), ("99995000", "1.00e8"), ("99949999", "9.99e7")];
        for (number, expected) in cases {
            assert_eq!(count(&number.parse().unwrap()), expected);
        }
        let cases = [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1.0 KiB"),
            (12_595, "12.3 KiB"),
            (1_048_575, "1.0 MiB"),
            (u64::MAX, "16.0 EiB"),
        ];
        for (number, expected) in cases {
            assert_eq!(bytes(number), expected);
        }
        assert_eq!((tenths(70), tenths(73)), ("7".to_owned(), "7.3".to_owned()));
    }
}
