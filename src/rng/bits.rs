//! Random bits of the elements of an array, by flat row-major index.
//!
//! Any range of the elements can be drawn alone; each function takes the number of all elements because in the
//! original layout every value depends on it.

use std::ops::Range;

use super::key::{Key, Layout};
use super::threefry::{block, blocks};

/// Counters that go through the block function together.
const LANES: usize = 16;

/// The original layout counts in 32 bits; beyond so many words JAX goes on with keys split from the first.
const WORDS_PER_KEY: u64 = u32::MAX as u64;

impl Key {
    /// 32 random bits for each of `count` elements.
    ///
    /// ```
    /// use qeinsum::Key;
    /// assert_eq!(Key::new(42).bits32(3), [0x92fb20ea, 0x19a3f86f, 0x0f38d913]);
    /// ```
    pub fn bits32(self, count: usize) -> Vec<u32> {
        let mut bits = vec![0; count];
        self.each_bits32(count, 0, count, |index, value| bits[index] = value);
        bits
    }

    /// 16 random bits for each of `count` elements.
    pub fn bits16(self, count: usize) -> Vec<u16> {
        let mut bits = vec![0; count];
        self.each_bits16(count, 0, count, |index, value| bits[index] = value);
        bits
    }

    /// 8 random bits for each of `count` elements.
    pub fn bits8(self, count: usize) -> Vec<u8> {
        let mut bits = vec![0; count];
        match self.layout() {
            Layout::Original => self.each_word((count as u64).div_ceil(4), 0, count.div_ceil(4), |index, word| {
                for (bits, byte) in bits[4 * index..].iter_mut().zip(word.to_le_bytes()) {
                    *bits = byte;
                }
            }),
            Layout::Partitionable => self.each_mixed(0, count, |index, word| bits[index] = word as u8),
        }
        bits
    }

    /// Calls `put(offset, bits)` for the elements `start..start + length` of `count`, offsets from 0.
    pub(super) fn each_bits32(self, count: usize, start: usize, length: usize, put: impl FnMut(usize, u32)) {
        match self.layout() {
            Layout::Original => self.each_word(count as u64, start as u64, length, put),
            Layout::Partitionable => self.each_mixed(start, length, put),
        }
    }

    /// The same with 16 bits; in the original layout a word gives two elements, its low half first.
    pub(super) fn each_bits16(self, count: usize, start: usize, length: usize, mut put: impl FnMut(usize, u16)) {
        match self.layout() {
            Layout::Original => {
                let first = start / 2;
                let words = (start + length).div_ceil(2) - first;
                self.each_word((count as u64).div_ceil(2), first as u64, words, |offset, word| {
                    let halves = [word as u16, (word >> 16) as u16];
                    for (half, bits) in halves.into_iter().enumerate() {
                        let index = 2 * (first + offset) + half;
                        if (start..start + length).contains(&index) {
                            put(index - start, bits);
                        }
                    }
                });
            }
            Layout::Partitionable => self.each_mixed(start, length, |offset, bits| put(offset, bits as u16)),
        }
    }

    /// Calls `put(offset, bits)` for elements `start..start + length`, each of which has a block of its own.
    fn each_mixed(self, start: usize, length: usize, mut put: impl FnMut(usize, u32)) {
        let range = start as u64..(start + length) as u64;
        let counter = |index: u64| [(index >> 32) as u32, index as u32];
        self.each_block(range, counter, |index, [x, y]| put(index as usize - start, x ^ y));
    }

    /// Word `index` of `total` in the original layout.
    pub(super) fn word(self, index: u64, total: u64) -> u32 {
        let (key, index, total) = self.part(index, total);
        let half = total.div_ceil(2);
        let [first, second] = block(key.words(), paired_counter(index % half, half, total));
        if index < half { first } else { second }
    }

    /// Calls `put(offset, word)` for words `start..start + length` of `total` in the original layout.
    fn each_word(self, total: u64, start: u64, length: usize, mut put: impl FnMut(usize, u32)) {
        if total >= WORDS_PER_KEY {
            for offset in 0..length {
                put(offset, self.word(start + offset as u64, total));
            }
            return;
        }
        let (end, half) = (start + length as u64, total.div_ceil(2));
        let firsts = start.min(half)..end.min(half);
        let seconds = start.max(half) - half..end.max(half) - half;
        let counter = |index: u64| paired_counter(index, half, total);
        if start == 0 {
            // Every second word that is wanted has its first word wanted too: one block gives both.
            self.each_block(firsts, counter, |index, [first, second]| {
                put(index as usize, first);
                if seconds.contains(&index) {
                    put((index + half) as usize, second);
                }
            });
        } else {
            self.each_block(firsts, counter, |index, [first, _]| put((index - start) as usize, first));
            self.each_block(seconds, counter, |index, [_, second]| put((index + half - start) as usize, second));
        }
    }

    /// Calls `take(index, words)` for each block of `range`, whose counters are those of its index.
    fn each_block(self, range: Range<u64>, counter: impl Fn(u64) -> [u32; 2], mut take: impl FnMut(u64, [u32; 2])) {
        let mut index = range.start;
        while index < range.end {
            // The last lanes may go past the range; what they give is dropped.
            let counters: [[u32; 2]; LANES] = std::array::from_fn(|lane| counter(index + lane as u64));
            let [x, y] = blocks(self.words(), [counters.map(|counter| counter[0]), counters.map(|counter| counter[1])]);
            for (x, y) in x.into_iter().zip(y).take((range.end - index).min(LANES as u64) as usize) {
                take(index, [x, y]);
                index += 1;
            }
        }
    }

    /// The key that word `index` of `total` comes from, and the word's index and number there.
    fn part(self, index: u64, total: u64) -> (Self, u64, u64) {
        let full = total / WORDS_PER_KEY;
        if full == 0 {
            return (self, index, total);
        }
        let part = index / WORDS_PER_KEY;
        let words = if part < full { WORDS_PER_KEY } else { total % WORDS_PER_KEY };
        (self.child(part as usize, full as usize + 1), index % WORDS_PER_KEY, words)
    }
}

/// The counters of block `index` in the original layout: a word of the first half, and the word of the second half at
/// the same place; a last one without partner is paired with 0.
fn paired_counter(index: u64, half: u64, total: u64) -> [u32; 2] {
    let partner = index + half;
    [index as u32, if partner < total { partner as u32 } else { 0 }]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Figures of JAX 0.4.25 for the seed 42.
    #[test]
    fn bits_are_those_of_jax() {
        let key = Key::new(42);
        assert_eq!(key.bits32(3), [0x92fb_20ea, 0x19a3_f86f, 0x0f38_d913]);
        assert_eq!(key.bits32(4), [0x92fb_20ea, 0xdb4c_98db, 0x0f38_d913, 0x0ff6_8959]);
        assert_eq!(key.bits16(5), [0x20ea, 0x92fb, 0xf86f, 0x19a3, 0xd913]);
        let partitionable = key.with_layout(Layout::Partitionable);
        assert_eq!(partitionable.bits32(3), [0x7d1c_13a2, 0xae07_30d9, 0x9dc3_f9f9]);
        assert_eq!(partitionable.bits16(3), [0x13a2, 0x30d9, 0xf9f9]);
        assert_eq!(partitionable.bits8(3), [0xa2, 0xd9, 0xf9]);
    }

    #[test]
    fn bytes_are_those_of_the_words_low_byte_first() {
        for count in [0, 1, 2, 3, 4, 5, 8, 13, 30] {
            let words = Key::new(7).bits32(usize::div_ceil(count, 4));
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).take(count).collect();
            assert_eq!(Key::new(7).bits8(count), bytes, "{count}");
        }
    }

    #[test]
    fn any_range_can_be_drawn_alone() {
        for layout in [Layout::Original, Layout::Partitionable] {
            let key = Key::new(3).with_layout(layout);
            for count in [0, 1, 2, 5, 8, 13, 37, 66] {
                let (all32, all16) = (key.bits32(count), key.bits16(count));
                for start in 0..=count {
                    for length in 0..=count - start {
                        let mut part32 = vec![0; length];
                        key.each_bits32(count, start, length, |offset, bits| part32[offset] = bits);
                        assert_eq!(part32, all32[start..start + length], "{layout:?} {count} {start}");
                        let mut part16 = vec![0; length];
                        key.each_bits16(count, start, length, |offset, bits| part16[offset] = bits);
                        assert_eq!(part16, all16[start..start + length], "{layout:?} {count} {start}");
                    }
                }
            }
        }
    }

    #[test]
    fn beyond_32_bit_counters_keys_are_split() {
        let key = Key::new(5);
        let total = WORDS_PER_KEY + 4;
        let keys = key.split(2);
        // A whole key's words are odd in number: the first half is one longer, and word 7 has this partner.
        let partner = WORDS_PER_KEY.div_ceil(2) as u32 + 7;
        assert_eq!(key.word(7, total), block(keys[0].words(), [7, partner])[0]);
        let last = keys[1].bits32(4);
        for offset in 0..4 {
            assert_eq!(key.word(WORDS_PER_KEY + offset, total), last[offset as usize]);
        }
    }
}
