//! The block function threefry2x32, of 20 rounds, and loops over blocks.
//!
//! A block depends on its counters alone, so that a vector holds as many of them as it has words.
//!
//! From J. Salmon, M. Moraes, R. Dror and D. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
#![allow(clippy::inline_always, reason = "a loop over blocks vectorizes where all of a block stands in it")]

use crate::kernel::Vectorized;

/// Added to the key schedule so that no key makes it all zero.
const PARITY: u32 = 0x1bd1_1bda;

/// The rotations of the four rounds of a group, of even groups and of odd ones.
const EVEN: [u32; 4] = [13, 15, 26, 6];
const ODD: [u32; 4] = [17, 29, 16, 24];

/// Blocks that go through the rounds together, all of them through one group before any goes through the next.
///
/// Each round waits for the one before it, so a processor is busy only while it sees many blocks: of a loop over whole
/// blocks it sees two or three at a time, of one over a single group many. So few stay in the nearest cache meanwhile.
const LANES: usize = 128;

/// The two random words that `key` gives for `counter`.
pub(super) fn block(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    let [mut first, mut second] = counter.map(|counter| [counter]);
    mix(key, &mut first, &mut second);
    [first[0], second[0]]
}

/// Makes of the counters of blocks their words: of each block one stands in `xs`, and one in `ys`.
#[inline(always)]
fn mix(key: [u32; 2], xs: &mut [u32], ys: &mut [u32]) {
    let [a, b] = key;
    let c = a ^ b ^ PARITY;
    add(xs, ys, [a, b]);
    group(xs, ys, EVEN, [b, c.wrapping_add(1)]);
    group(xs, ys, ODD, [c, a.wrapping_add(2)]);
    group(xs, ys, EVEN, [a, b.wrapping_add(3)]);
    group(xs, ys, ODD, [b, c.wrapping_add(4)]);
    group(xs, ys, EVEN, [c, a.wrapping_add(5)]);
}

/// Four rounds, and what is added of the key after them.
#[inline(always)]
fn group(xs: &mut [u32], ys: &mut [u32], rotations: [u32; 4], keys: [u32; 2]) {
    for (x, y) in xs.iter_mut().zip(ys) {
        let mut words = [*x, *y];
        for rotation in rotations {
            words[0] = words[0].wrapping_add(words[1]);
            words[1] = words[1].rotate_left(rotation) ^ words[0];
        }
        (*x, *y) = (words[0].wrapping_add(keys[0]), words[1].wrapping_add(keys[1]));
    }
}

#[inline(always)]
fn add(xs: &mut [u32], ys: &mut [u32], keys: [u32; 2]) {
    for (x, y) in xs.iter_mut().zip(ys) {
        (*x, *y) = (x.wrapping_add(keys[0]), y.wrapping_add(keys[1]));
    }
}

/// The words of blocks: the first one of each, and the second one. No vector of them lies across two lines of the cache.
#[repr(align(64))]
struct Blocks([u32; LANES], [u32; LANES]);

impl Blocks {
    /// Those of the blocks from these counters on.
    #[inline(always)]
    fn draw(&mut self, key: [u32; 2], counter: [u32; 2], step: [u32; 2]) {
        let Self(xs, ys) = self;
        for (at, (x, y)) in xs.iter_mut().zip(&mut *ys).enumerate() {
            *x = counter[0].wrapping_add((at as u32).wrapping_mul(step[0]));
            *y = counter[1].wrapping_add((at as u32).wrapping_mul(step[1]));
        }
        mix(key, xs, ys);
    }
}

/// Both words of blocks whose two counters rise together, the first words apart from the second.
pub(super) struct Both<'a, T, F> {
    pub(super) key: [u32; 2],
    /// The counters of the first block.
    pub(super) counter: [u32; 2],
    pub(super) firsts: &'a mut [T],
    /// As many.
    pub(super) seconds: &'a mut [T],
    /// What a word becomes.
    pub(super) convert: F,
}

impl<T, F: Fn(u32) -> T> Vectorized for Both<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { key, counter, firsts, seconds, convert } = self;
        let mut blocks = Blocks([0; LANES], [0; LANES]);
        for (at, (firsts, seconds)) in firsts.chunks_mut(LANES).zip(seconds.chunks_mut(LANES)).enumerate() {
            let counter = counter.map(|counter| counter.wrapping_add((at * LANES) as u32));
            blocks.draw(key, counter, [1, 1]);
            let Blocks(xs, ys) = &blocks;
            for (first, &x) in firsts.iter_mut().zip(xs) {
                *first = convert(x);
            }
            for (second, &y) in seconds.iter_mut().zip(ys) {
                *second = convert(y);
            }
        }
    }
}

/// What blocks give that give one thing each.
pub(super) struct Each<'a, T, F> {
    pub(super) key: [u32; 2],
    /// The counters of the first block.
    pub(super) counter: [u32; 2],
    /// What is added to them from block to block.
    pub(super) step: [u32; 2],
    pub(super) out: &'a mut [T],
    /// What a block becomes.
    pub(super) convert: F,
}

impl<T, F: Fn([u32; 2]) -> T> Vectorized for Each<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { key, counter, step, out, convert } = self;
        let mut blocks = Blocks([0; LANES], [0; LANES]);
        for (at, out) in out.chunks_mut(LANES).enumerate() {
            let passed = (at * LANES) as u32;
            let counter = [0, 1].map(|word| counter[word].wrapping_add(passed.wrapping_mul(step[word])));
            blocks.draw(key, counter, step);
            let Blocks(xs, ys) = &blocks;
            for (out, (&x, &y)) in out.iter_mut().zip(xs.iter().zip(ys)) {
                *out = convert([x, y]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::vectorized_everywhere;

    #[test]
    fn published_vectors() {
        let cases = [
            ([0, 0], [0, 0], [0x6b20_0159, 0x99ba_4efe]),
            ([u32::MAX; 2], [u32::MAX; 2], [0x1cb9_96fc, 0xbb00_2be7]),
            ([0x1319_8a2e, 0x0370_7344], [0x243f_6a88, 0x85a3_08d3], [0xc492_3a9c, 0x483d_f7a0]),
        ];
        for (key, counter, expected) in cases {
            assert_eq!(block(key, counter), expected, "{key:x?} {counter:x?}");
        }
    }

    /// Loops over so many blocks from these counters on: both words, and their sums, with the second counter rising alone.
    struct Loops([u32; 2], usize);

    impl Vectorized for Loops {
        type Output = [Vec<u32>; 3];

        #[inline(always)]
        fn run(self) -> Self::Output {
            let Self(counter, count) = self;
            let [mut firsts, mut seconds, mut out] = [0; 3].map(|word| vec![word; count]);
            let key = [3, 4];
            Both { key, counter, firsts: &mut firsts, seconds: &mut seconds, convert: |word| word }.run();
            Each { key, counter, step: [0, 1], out: &mut out, convert: |[x, y]: [u32; 2]| x.wrapping_add(y) }.run();
            [firsts, seconds, out]
        }
    }

    #[test]
    fn blocks_side_by_side_do_not_mix() {
        for count in [0, 1, 100, LANES, LANES + 1, 3 * LANES - 5] {
            for counter in [[0, 7], [u32::MAX - 20, 0], [5, u32::MAX - 50]] {
                for [firsts, seconds, out] in vectorized_everywhere(|| Loops(counter, count)) {
                    for at in 0..count {
                        let [x, y] = block([3, 4], counter.map(|counter| counter.wrapping_add(at as u32)));
                        assert_eq!([firsts[at], seconds[at]], [x, y], "{counter:x?} {at}");
                        let [x, y] = block([3, 4], [counter[0], counter[1].wrapping_add(at as u32)]);
                        assert_eq!(out[at], x.wrapping_add(y), "{counter:x?} {at}");
                    }
                }
            }
        }
    }
}
