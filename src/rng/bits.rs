//! Random bits of the elements of an array, by flat row-major index.
//!
//! Any range of the elements can be drawn alone; each function takes the number of all elements because in the
//! original layout every value depends on it.
#![allow(clippy::inline_always, reason = "a loop is compiled for an instruction set where it is inlined")]

use super::key::{Key, Layout};
use super::threefry::Each;
use crate::kernel::{Vectorized, vectorized};

/// Words that are drawn before they are taken apart, so few that they stay in the cache.
const WORDS: usize = 512;

impl Key {
    /// 32 random bits for each of `count` elements.
    ///
    /// ```
    /// use qeinsum::Key;
    /// assert_eq!(Key::new(42).bits32(3), [0x92fb20ea, 0x19a3f86f, 0x0f38d913]);
    /// ```
    pub fn bits32(self, count: usize) -> Vec<u32> {
        let mut bits = vec![0; count];
        self.fill32(count, 0, &mut bits, |word| word);
        bits
    }

    /// 16 random bits for each of `count` elements.
    ///
    /// ```
    /// use qeinsum::Key;
    /// // In the original layout a word is two elements, its low half first.
    /// let word = Key::new(42).bits32(1)[0];
    /// assert_eq!(Key::new(42).bits16(2), [word as u16, (word >> 16) as u16]);
    /// ```
    pub fn bits16(self, count: usize) -> Vec<u16> {
        let mut bits = vec![0; count];
        match self.layout() {
            Layout::Original => halves(&self.all_words(count.div_ceil(2)), &mut bits, |bits| bits),
            Layout::Partitionable => self.fill_mixed(0, &mut bits, |word| word as u16),
        }
        bits
    }

    /// 8 random bits for each of `count` elements.
    ///
    /// ```
    /// use qeinsum::Key;
    /// assert_eq!(Key::new(42).bits8(4), Key::new(42).bits32(1)[0].to_le_bytes());
    /// ```
    pub fn bits8(self, count: usize) -> Vec<u8> {
        let mut bits = vec![0; count];
        match self.layout() {
            Layout::Original => {
                for (bits, word) in bits.chunks_mut(4).zip(self.all_words(count.div_ceil(4))) {
                    bits.copy_from_slice(&word.to_le_bytes()[..bits.len()]);
                }
            }
            Layout::Partitionable => self.fill_mixed(0, &mut bits, |word| word as u8),
        }
        bits
    }

    /// What 32 bits become for each of the elements from `start` on, of `count`.
    pub(super) fn fill32<T>(self, count: usize, start: usize, out: &mut [T], convert: impl Fn(u32) -> T + Copy) {
        match self.layout() {
            Layout::Original => self.fill_words(count as u64, start as u64, out, convert),
            Layout::Partitionable => self.fill_mixed(start as u64, out, convert),
        }
    }

    /// What 16 bits become; in the original layout a word gives two elements, its low half first.
    pub(super) fn fill16<T>(self, count: usize, start: usize, out: &mut [T], convert: impl Fn(u16) -> T + Copy) {
        if self.layout() == Layout::Partitionable {
            self.fill_mixed(start as u64, out, move |word| convert(word as u16));
            return;
        }
        let total = (count as u64).div_ceil(2);
        // The second half of a word, then whole words.
        let (high, out) = out.split_at_mut((start % 2).min(out.len()));
        for high in high {
            *high = convert((self.word(start as u64 / 2, total) >> 16) as u16);
        }
        let mut words = [0; WORDS];
        for (out, first) in out.chunks_mut(2 * WORDS).zip((start.div_ceil(2) as u64..).step_by(WORDS)) {
            let words = &mut words[..out.len().div_ceil(2)];
            self.fill_words(total, first, words, |word| word);
            halves(words, out, convert);
        }
    }

    /// What 16 bits become for elements that are drawn in pairs in the original layout, of `total` words: two of each word
    /// from `start` on, and two of each that is drawn with one of these.
    pub(super) fn fill_pairs16<T>(
        self,
        total: u64,
        start: u64,
        [firsts, seconds]: [&mut [T]; 2],
        convert: impl Fn(u16) -> T + Copy,
    ) {
        let mut words = [[0; WORDS]; 2];
        let mut seconds = seconds.chunks_mut(2 * WORDS);
        for (firsts, start) in firsts.chunks_mut(2 * WORDS).zip((start..).step_by(WORDS)) {
            let seconds = seconds.next().unwrap_or_default();
            let [first_words, second_words] = &mut words;
            let first_words = &mut first_words[..firsts.len().div_ceil(2)];
            let second_words = &mut second_words[..seconds.len().div_ceil(2)];
            self.fill_pairs(total, start, first_words, second_words, |word| word);
            halves(first_words, firsts, convert);
            halves(second_words, seconds, convert);
        }
    }

    /// What 32 bits become of elements from `start` on, each of which has a block of its own.
    fn fill_mixed<T>(self, start: u64, out: &mut [T], convert: impl Fn(u32) -> T + Copy) {
        let (mut start, mut out) = (start, out);
        while !out.is_empty() {
            // As far as the high word of the counter stays the same.
            let counter = [(start >> 32) as u32, start as u32];
            let (now, later) = out.split_at_mut(((1 << 32) - u64::from(counter[1])).min(out.len() as u64) as usize);
            start += now.len() as u64;
            let convert = move |[x, y]: [u32; 2]| convert(x ^ y);
            vectorized(Each { key: self.words(), counter, step: [0, 1], out: now, convert });
            out = later;
        }
    }

    /// So many words in the original layout, which are all there are.
    fn all_words(self, total: usize) -> Vec<u32> {
        let mut words = vec![0; total];
        self.fill_words(total as u64, 0, &mut words, |word| word);
        words
    }
}

/// What the halves of words become, the low one first; of the last word perhaps that alone.
fn halves<T>(words: &[u32], out: &mut [T], convert: impl Fn(u16) -> T + Copy) {
    vectorized(Halves { words, out, convert });
}

struct Halves<'a, T, F> {
    words: &'a [u32],
    out: &'a mut [T],
    convert: F,
}

impl<T, F: Fn(u16) -> T> Vectorized for Halves<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { words, out, convert } = self;
        let (pairs, last) = out.as_chunks_mut::<2>();
        for (pair, &word) in pairs.iter_mut().zip(words) {
            *pair = [convert(word as u16), convert((word >> 16) as u16)];
        }
        for (last, &word) in last.iter_mut().zip(words.last()) {
            *last = convert(word as u16);
        }
    }
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
    fn high_words_of_counters_change_where_they_do() {
        let key = Key::new(8).with_layout(Layout::Partitionable);
        for start in [(1 << 32) - 20, 1 << 32, (3 << 32) - 1] {
            let mut found = [0; 33];
            key.fill_mixed(start, &mut found, |bits| bits);
            for (index, found) in (start..).zip(found) {
                let [x, y] = key.block_of(index);
                assert_eq!(found, x ^ y, "{index}");
            }
        }
    }

    #[test]
    fn any_range_can_be_drawn_alone() {
        for layout in [Layout::Original, Layout::Partitionable] {
            let key = Key::new(3).with_layout(layout);
            for count in [0, 1, 2, 5, 8, 13, 37, 66, 90] {
                let (all32, all16) = (key.bits32(count), key.bits16(count));
                for start in 0..=count {
                    for length in 0..=count - start {
                        let mut part32 = vec![0; length];
                        key.fill32(count, start, &mut part32, |bits| bits);
                        assert_eq!(part32, all32[start..start + length], "{layout:?} {count} {start}");
                        let mut part16 = vec![0; length];
                        key.fill16(count, start, &mut part16, |bits| bits);
                        assert_eq!(part16, all16[start..start + length], "{layout:?} {count} {start}");
                    }
                }
            }
        }
    }
}
