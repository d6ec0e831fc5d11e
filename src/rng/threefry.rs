//! The block function threefry2x32, of 20 rounds.
//!
//! From J. Salmon, M. Moraes, R. Dror and D. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

/// Added to the key schedule so that no key makes it all zero.
const PARITY: u32 = 0x1bd1_1bda;

/// The rotations of the four rounds of a group, even groups before odd ones.
const ROTATIONS: [[u32; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];

/// The two random words that `key` gives for `counter`.
pub(super) fn block(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    blocks(key, counter.map(|word| [word])).map(|[word]| word)
}

/// The same for `N` counters side by side: their first words, and their second words.
///
/// Each operation runs over all counters before the next one, which compilers turn into vector instructions.
pub(super) fn blocks<const N: usize>(key: [u32; 2], counters: [[u32; N]; 2]) -> [[u32; N]; 2] {
    let schedule = [key[0], key[1], key[0] ^ key[1] ^ PARITY];
    let [mut x, mut y] = counters;
    add(&mut x, schedule[0]);
    add(&mut y, schedule[1]);
    for group in 0..5 {
        for rotation in ROTATIONS[group % 2] {
            for (x, y) in x.iter_mut().zip(&mut y) {
                *x = x.wrapping_add(*y);
                *y = y.rotate_left(rotation) ^ *x;
            }
        }
        add(&mut x, schedule[(group + 1) % 3]);
        add(&mut y, schedule[(group + 2) % 3].wrapping_add(group as u32 + 1));
    }
    [x, y]
}

fn add<const N: usize>(words: &mut [u32; N], key: u32) {
    for word in words {
        *word = word.wrapping_add(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn counters_side_by_side_do_not_mix() {
        let counters = [[0, 1, 2, u32::MAX, 7], [9, 0, 2, 5, u32::MAX]];
        let [x, y] = blocks([3, 4], counters);
        for lane in 0..5 {
            assert_eq!([x[lane], y[lane]], block([3, 4], [counters[0][lane], counters[1][lane]]), "{lane}");
        }
    }
}
