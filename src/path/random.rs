//! Random numbers of the searches: a seed gives the same ones on every machine, in every version.
//!
//! A library's generator may change with its version, and plans would change with it.

/// `SplitMix64`: a counter and a mix of its bits.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Random {
    /// The numbers of a stream of a seed.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mut first = Self(seed ^ stream.wrapping_mul(STEP).rotate_left(17));
        Self(first.next())
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, for tests: as even as a remainder is.
    #[cfg(test)]
    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// A number in the open interval from 0 to 1.
    pub(super) fn unit(&mut self) -> f64 {
        ((self.next() >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_sequence_for_good() {
        let mut random = Random::new(0, 0);
        let first: Vec<u64> = (0..3).map(|_| random.next()).collect();
        assert_eq!(first, [random_reference(0), random_reference(1), random_reference(2)]);
        let mut other = Random::new(0, 1);
        assert_ne!(first[0], other.next());
        assert!((0..1000).map(|_| random.unit()).all(|unit| unit > 0.0 && unit < 1.0));
    }

    /// The first numbers of seed 0, stream 0.
    fn random_reference(at: usize) -> u64 {
        let mut random = Random(0xe220_a839_7b1d_cdaf);
        (0..at).for_each(|_| _ = random.next());
        random.next()
    }
}
