//! Random words in the original layout, by index.
//!
//! A block gives a word of the first half of all words, and the word at the same place in the second half: drawn together
//! they take as long as either alone.

use super::key::Key;
use super::threefry::{Both, Each, block};
use crate::kernel::vectorized;

/// The original layout counts in 32 bits; beyond so many words JAX goes on with keys split from the first.
const WORDS_PER_KEY: u64 = u32::MAX as u64;

impl Key {
    /// Word `index` of `total`.
    pub(super) fn word(self, index: u64, total: u64) -> u32 {
        let (key, index, total) = self.part(index, total);
        let half = total.div_ceil(2);
        let [first, second] = block(key.words(), paired_counter(index % half, half, total));
        if index < half { first } else { second }
    }

    /// What the words from `start` on become, of `total`.
    pub(super) fn fill_words<T>(self, total: u64, start: u64, out: &mut [T], convert: impl Fn(u32) -> T + Copy) {
        let (mut start, mut out) = (start, out);
        while !out.is_empty() {
            let (key, index, words) = self.part(start, total);
            let (now, later) = out.split_at_mut((words - index).min(out.len() as u64) as usize);
            start += now.len() as u64;
            key.fill_part(words, index, now, convert);
            out = later;
        }
    }

    /// What words become that are drawn in pairs: those from `start` on, and those from [`half`]` + start` on, of which
    /// there are not more. `total` has a half.
    pub(super) fn fill_pairs<T>(
        self,
        total: u64,
        start: u64,
        firsts: &mut [T],
        seconds: &mut [T],
        convert: impl Fn(u32) -> T + Copy,
    ) {
        let (paired, alone) = firsts.split_at_mut(seconds.len());
        let counter = [start as u32, (total.div_ceil(2) + start) as u32];
        vectorized(Both { key: self.words(), counter, firsts: paired, seconds, convert });
        self.fill_firsts(total, start + paired.len() as u64, alone, convert);
    }

    /// The same as [`fill_words`](Self::fill_words), of words that are all of one key.
    fn fill_part<T>(self, total: u64, start: u64, out: &mut [T], convert: impl Fn(u32) -> T + Copy) {
        let half = total.div_ceil(2);
        let (firsts, seconds) = out.split_at_mut(half.saturating_sub(start).min(out.len() as u64) as usize);
        if start == 0 {
            self.fill_pairs(total, 0, firsts, seconds, convert);
            return;
        }
        self.fill_firsts(total, start, firsts, convert);
        let counter = [start.saturating_sub(half) as u32, start.max(half) as u32];
        let convert = move |[_, second]: [u32; 2]| convert(second);
        vectorized(Each { key: self.words(), counter, step: [1, 1], out: seconds, convert });
    }

    /// Of words of the first half.
    fn fill_firsts<T>(self, total: u64, start: u64, out: &mut [T], convert: impl Fn(u32) -> T + Copy) {
        let half = total.div_ceil(2);
        // Of an odd number the last one has no partner.
        let partnered = (total - half).saturating_sub(start).min(out.len() as u64) as usize;
        let (partnered, alone) = out.split_at_mut(partnered);
        for out in alone {
            *out = convert(block(self.words(), paired_counter(half - 1, half, total))[0]);
        }
        let counter = [start as u32, (half + start) as u32];
        let convert = move |[first, _]: [u32; 2]| convert(first);
        vectorized(Each { key: self.words(), counter, step: [1, 1], out: partnered, convert });
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

/// The first word that is drawn with one before it; none where words come from several keys.
pub(super) fn half(total: u64) -> Option<u64> {
    (total < WORDS_PER_KEY).then(|| total.div_ceil(2))
}

/// The counters of block `index`: a word of the first half, and the word of the second half at the same place; a last
/// one without partner is paired with 0.
fn paired_counter(index: u64, half: u64, total: u64) -> [u32; 2] {
    let partner = index + half;
    [index as u32, if partner < total { partner as u32 } else { 0 }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_words_can_be_drawn_alone_or_in_pairs() {
        let key = Key::new(3);
        for total in [1, 2, 3, 8, 13, 66, 101] {
            let all: Vec<u32> = (0..total).map(|index| key.word(index, total)).collect();
            let half = half(total).unwrap() as usize;
            for start in 0..=all.len() {
                for end in start..=all.len() {
                    let mut found = vec![0; end - start];
                    key.fill_words(total, start as u64, &mut found, |word| word);
                    assert_eq!(found, all[start..end], "{total} from {start}");
                    if end <= half {
                        let partners = &all[all.len().min(half + start)..all.len().min(half + end)];
                        let mut seconds = vec![0; partners.len()];
                        key.fill_pairs(total, start as u64, &mut found, &mut seconds, |word| !word);
                        assert!(found.iter().zip(&all[start..end]).all(|(found, word)| *found == !word), "{total}");
                        assert!(seconds.iter().zip(partners).all(|(found, word)| *found == !word), "{total}");
                    }
                }
            }
        }
    }

    #[test]
    fn beyond_32_bit_counters_keys_are_split() {
        let key = Key::new(5);
        let total = WORDS_PER_KEY + 4;
        assert_eq!((half(total), half(WORDS_PER_KEY - 1)), (None, Some(WORDS_PER_KEY / 2)));
        let keys = key.split(2);
        // A whole key's words are odd in number: the first half is one longer, and word 7 has this partner.
        let middle = WORDS_PER_KEY.div_ceil(2);
        assert_eq!(key.word(7, total), block(keys[0].words(), [7, middle as u32 + 7])[0]);
        let last = keys[1].bits32(4);
        for offset in 0..4 {
            assert_eq!(key.word(WORDS_PER_KEY + offset, total), last[offset as usize]);
        }
        // Across halves and keys.
        for start in [3, middle - 20, WORDS_PER_KEY - 30] {
            let mut words = [0; 34];
            key.fill_words(total, start, &mut words, |word| word);
            for (index, found) in (start..).zip(words) {
                assert_eq!(found, key.word(index, total), "{index}");
            }
        }
    }
}
