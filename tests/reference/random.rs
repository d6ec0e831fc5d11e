//! Threefry in JAX's original counter layout.

use qeinsum::quant::Noise;

/// The two words of a key.
pub(crate) type Words = [u32; 2];

/// The first four bytes of SHA-1 of `QDotGeneral_0`, `_1`, … and a byte 1, as another implementation computes it.
const FOLDED: [u32; 5] = [0x4880_5886, 0x80a4_95e7, 0xc3ae_86ff, 0xadfc_77f8, 0x835b_41de];

fn threefry(key: Words, counter: Words) -> Words {
    let schedule = [key[0], key[1], key[0] ^ key[1] ^ 0x1bd1_1bda];
    let mut x0 = counter[0].wrapping_add(schedule[0]);
    let mut x1 = counter[1].wrapping_add(schedule[1]);
    for group in 0..5 {
        let rotations = if group % 2 == 0 { [13, 15, 26, 6] } else { [17, 29, 16, 24] };
        for rotation in rotations {
            x0 = x0.wrapping_add(x1);
            x1 = x1.rotate_left(rotation) ^ x0;
        }
        x0 = x0.wrapping_add(schedule[(group + 1) % 3]);
        x1 = x1.wrapping_add(schedule[(group + 2) % 3]).wrapping_add(group as u32 + 1);
    }
    [x0, x1]
}

/// The counters hashed: the first half beside the second, all first words and then all second ones.
fn hash(key: Words, counters: &[u32]) -> Vec<u32> {
    let mut padded = counters.to_vec();
    if padded.len() % 2 == 1 {
        padded.push(0);
    }
    let (first, second) = padded.split_at(padded.len() / 2);
    let blocks: Vec<Words> = first.iter().zip(second).map(|(&a, &b)| threefry(key, [a, b])).collect();
    let words = blocks.iter().map(|block| block[0]).chain(blocks.iter().map(|block| block[1]));
    words.take(counters.len()).collect()
}

/// Two keys of one.
pub(crate) fn split(key: Words) -> [Words; 2] {
    let words = hash(key, &[0, 1, 2, 3]);
    [[words[0], words[1]], [words[2], words[3]]]
}

/// The key of call `number` of a run.
pub(crate) fn fold_call(key: Words, number: usize) -> Words {
    let words = hash(key, &[0, FOLDED[number]]);
    [words[0], words[1]]
}

/// So many values of noise.
pub(crate) fn noise(key: Words, kind: Noise, count: usize) -> Vec<f32> {
    match kind {
        Noise::JaxUniform => {
            let words = hash(key, &(0..count as u32).collect::<Vec<_>>());
            words.iter().map(|bits| f32::from_bits(0x3f80_0000 | (bits >> 9)) - 1.0 - 0.5).collect()
        }
        Noise::Custom1 => {
            let words = hash(key, &(0..count.div_ceil(2) as u32).collect::<Vec<_>>());
            let halves = words.iter().flat_map(|word| [word & 0xffff, word >> 16]).take(count);
            halves.map(|half| (half as f32 + 0.5) / 65536.0 - 0.5).collect()
        }
    }
}
