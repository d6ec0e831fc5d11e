//! Integers as bytes: one to a byte, or two of up to four bits.

/// Integers of up to four bits, two to a byte: the first in the lower half. An odd last one leaves the upper half 0.
pub(super) fn pack(values: impl IntoIterator<Item = i8>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (at, value) in values.into_iter().enumerate() {
        let half = value as u8 & 0x0f;
        match bytes.last_mut() {
            Some(last) if at % 2 == 1 => *last |= half << 4,
            _ => bytes.push(half),
        }
    }
    bytes
}

/// The first `count` integers of packed bytes; none where there are fewer or more, or where what is left over is not 0.
pub(super) fn unpack(bytes: &[u8], count: usize) -> Option<Vec<i8>> {
    if bytes.len() != count.div_ceil(2) {
        return None;
    }
    let mut values: Vec<i8> = unpack_from(bytes, 0).collect();
    let left = values.split_off(count);
    left.iter().all(|&value| value == 0).then_some(values)
}

/// The integers of packed bytes after the first `skip`, which is 0 or 1; the last one may be what is left over.
pub(super) fn unpack_from(bytes: &[u8], skip: usize) -> impl Iterator<Item = i8> {
    let halves = bytes.iter().flat_map(|byte| [byte << 4, byte & 0xf0]);
    halves.skip(skip).map(|high| (high as i8) >> 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_bits_survive() {
        for count in 0..=16 {
            let values: Vec<i8> = (-8..8).take(count).collect();
            let packed = pack(values.iter().copied());
            assert_eq!(packed.len(), count.div_ceil(2));
            assert_eq!(unpack(&packed, count), Some(values));
        }
        assert_eq!(pack([1, -1, 7]), [0xf1, 0x07]);
        assert_eq!(unpack(&[0xf1, 0x17], 3), None, "something is left over");
        assert_eq!(unpack(&[0xf1], 3), None);
    }
}
