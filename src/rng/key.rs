//! Keys: where random numbers come from, and how keys make keys.

use std::fmt;

use sha1::{Digest as _, Sha1};

use super::threefry::block;

/// How element numbers become counters of the block function.
///
/// ```
/// use qeinsum::{Key, rng::Layout};
/// let original = Key::new(42);
/// assert_eq!(original.layout(), Layout::Original);
/// let partitionable = original.with_layout(Layout::Partitionable);
/// // The first of two elements depends on how many there are, unless each has a block of its own.
/// assert_ne!(original.bits32(2)[0], original.bits32(3)[0]);
/// assert_eq!(partitionable.bits32(2)[0], partitionable.bits32(3)[0]);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Layout {
    /// JAX's default before 0.5 (`jax_threefry_partitionable=False`): the first half of the elements is paired with
    /// the second, so an element's value depends on how many there are.
    #[default]
    Original,
    /// JAX's default since 0.5: every element has a block of its own.
    Partitionable,
}

/// A key of JAX's threefry generator, with the layout that it draws in.
///
/// The same key always gives the same numbers; [`split`](Self::split) and [`fold_in`](Self::fold_in) make new ones.
///
/// ```
/// use qeinsum::Key;
/// let key = Key::new(42);
/// assert_eq!(key.words(), [0, 42]);
/// assert_eq!(key.split(2)[0].words(), [0x92fb20ea, 0xdb4c98db]);
/// assert_eq!(key.fold_in(7).words(), [0x97d0552f, 0x51bf719f]);
/// assert_eq!(Key::from_words([0, 42]), key);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[doc(alias = "PRNGKey")]
pub struct Key {
    words: [u32; 2],
    layout: Layout,
}

impl Key {
    /// The key that `jax.random.PRNGKey(seed)` makes with JAX's default 32-bit integers.
    ///
    /// The high word is 0 and the low word holds the low 32 bits of `seed`; for the key that JAX makes of a longer
    /// seed in its 64-bit mode, give both words to [`from_words`](Self::from_words).
    pub const fn new(seed: u64) -> Self {
        Self::from_words([0, seed as u32])
    }

    /// The key with these words, high word first, as JAX's raw keys.
    pub const fn from_words(words: [u32; 2]) -> Self {
        Self { words, layout: Layout::Original }
    }

    /// The same key, drawing in `layout`; keys made from it do too.
    #[must_use]
    pub const fn with_layout(self, layout: Layout) -> Self {
        Self { layout, ..self }
    }

    /// The two words, high word first.
    pub const fn words(self) -> [u32; 2] {
        self.words
    }

    /// The layout that the key draws in.
    pub const fn layout(self) -> Layout {
        self.layout
    }

    /// `count` new keys, as `jax.random.split`.
    pub fn split(self, count: usize) -> Vec<Self> {
        (0..count).map(|child| self.child(child, count)).collect()
    }

    /// The two keys of `split(2)`.
    pub(super) fn pair(self) -> [Self; 2] {
        [self.child(0, 2), self.child(1, 2)]
    }

    /// Key `child` of `split(count)`.
    pub(super) fn child(self, child: usize, count: usize) -> Self {
        let words = match self.layout {
            Layout::Original => {
                let (first, total) = (2 * child as u64, 2 * count as u64);
                [self.word(first, total), self.word(first + 1, total)]
            }
            Layout::Partitionable => self.block_of(child as u64),
        };
        Self { words, ..self }
    }

    /// A new key from this one and a number, as `jax.random.fold_in`.
    #[must_use]
    pub fn fold_in(self, data: u32) -> Self {
        Self { words: block(self.words, [0, data]), ..self }
    }

    /// The key that Flax gives a module: `path` is the names of the modules down to it, written one after the other,
    /// and `counter` says how often the module asked before, from 1 on.
    ///
    /// Folded in are the first four bytes of the SHA-1 of the path and the counter's bytes, high byte first, without
    /// leading zeros; as Flax 0.8 does where `flax_fix_rng_separator` is off.
    ///
    /// ```
    /// use qeinsum::Key;
    /// assert_eq!(Key::new(42).fold_path("QDotGeneral_0", 1).words(), [0x55f37099, 0xb5f0ea56]);
    /// ```
    #[must_use]
    pub fn fold_path(self, path: &str, counter: u32) -> Self {
        let bytes = counter.to_be_bytes();
        let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
        let digest = Sha1::new().chain_update(path).chain_update(&bytes[zeros..]).finalize();
        self.fold_in(u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]))
    }

    /// The block of an element that has one of its own.
    pub(super) fn block_of(self, index: u64) -> [u32; 2] {
        block(self.words, [(index >> 32) as u32, index as u32])
    }
}

/// The two words in hexadecimal.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:08x} {:08x}, {:?})", self.words[0], self.words[1], self.layout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Layout, seed, then the keys of `split(2)`, `split(3)` and the first of `split(5)`, and (data, fold) pairs.
    type Case = (Layout, u64, [[u32; 2]; 2], [[u32; 2]; 3], [u32; 2], [(u32, [u32; 2]); 2]);

    /// Figures of JAX 0.4.25.
    const CASES: &[Case] = &[
        (
            Layout::Original,
            0,
            [[0xf71f_4ea9, 0x39a4_05d9], [0xa20e_4081, 0x4bdf_ae2f]],
            [[0x9312_778b, 0x1985_0714], [0xbdf1_7afd, 0xe4e8_dfbe], [0x98b8_9669, 0x7408_518d]],
            [0xc48f_e6ae, 0xb6f9_92ef],
            [(7, [0xa1ef_7a4d, 0x116e_b6b3]), (u32::MAX, [0x2c4e_0437, 0xe1e3_2d13])],
        ),
        (
            Layout::Original,
            42,
            [[0x92fb_20ea, 0xdb4c_98db], [0x0f38_d913, 0x0ff6_8959]],
            [[0xbad5_6946, 0xde83_7c89], [0xdf4f_11df, 0x354b_a891], [0x2fc6_9b62, 0x8cdb_9797]],
            [0xa1c4_4acd, 0xa79e_dc49],
            [(7, [0x97d0_552f, 0x51bf_719f]), (u32::MAX, [0x8ef6_c48d, 0xe7eb_97ca])],
        ),
        (
            Layout::Partitionable,
            0,
            [[0x6b20_0159, 0x99ba_4efe], [0x375f_238f, 0xcddb_151d]],
            [[0x6b20_0159, 0x99ba_4efe], [0x375f_238f, 0xcddb_151d], [0xf71f_4ea9, 0xa20e_4081]],
            [0x883f_fec1, 0x19db_c576],
            [(7, [0xa1ef_7a4d, 0x116e_b6b3]), (u32::MAX, [0x2c4e_0437, 0xe1e3_2d13])],
        ),
        (
            Layout::Partitionable,
            42,
            [[0x6d3e_048f, 0x1022_172d], [0x03d7_b32d, 0xadd0_83f4]],
            [[0x6d3e_048f, 0x1022_172d], [0x03d7_b32d, 0xadd0_83f4], [0x92fb_20ea, 0x0f38_d913]],
            [0xb013_aee3, 0xc34e_ddf6],
            [(7, [0x97d0_552f, 0x51bf_719f]), (u32::MAX, [0x8ef6_c48d, 0xe7eb_97ca])],
        ),
    ];

    #[test]
    fn keys_make_the_keys_that_jax_makes() {
        for &(layout, seed, two, three, fifth, folds) in CASES {
            let key = Key::new(seed).with_layout(layout);
            let words = |count| key.split(count).into_iter().map(Key::words).collect::<Vec<_>>();
            assert_eq!(words(2), two, "{key:?}");
            assert_eq!(words(3), three, "{key:?}");
            assert_eq!(words(5)[4], fifth, "{key:?}");
            for (data, expected) in folds {
                assert_eq!(key.fold_in(data).words(), expected, "{key:?} {data}");
            }
        }
    }

    #[test]
    fn counters_are_folded_without_leading_zeros() {
        let key = Key::new(42);
        let cases = [(0, &[][..]), (1, &[1]), (255, &[255]), (256, &[1, 0]), (0x0102_0304, &[1, 2, 3, 4])];
        for (counter, bytes) in cases {
            let digest = Sha1::digest([b"layer", bytes].concat());
            let expected = key.fold_in(u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]));
            assert_eq!(key.fold_path("layer", counter), expected, "{counter}");
        }
    }

    #[test]
    fn seeds_keep_their_low_word() {
        assert_eq!(Key::new((7 << 32) + 3), Key::new(3));
    }
}
