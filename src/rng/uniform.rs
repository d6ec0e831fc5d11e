//! Random floats, and the noise of stochastic rounding.

use serde::{Deserialize, Serialize};

use super::key::Key;

/// The noise that stochastic rounding adds to scaled values, always in f32 and centred at zero.
///
/// ```
/// use qeinsum::{Key, rng::Noise};
/// let all = Noise::JaxUniform.values(Key::new(42), 3);
/// assert_eq!(all, [0.57414436 - 0.5, 0.10015821 - 0.5, 0.05946112 - 0.5]);
/// let mut last = [0.0];
/// Noise::JaxUniform.fill(Key::new(42), 3, 2, &mut last);
/// assert_eq!(last, all[2..]);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[doc(alias("rng_type", "noise_fn"))]
pub enum Noise {
    /// Uniform in [-0.5, 0.5), in steps of 2^-23.
    #[doc(alias = "jax.uniform")]
    JaxUniform,
    /// Symmetric about zero, from 16 bits an element: (u + 0.5) / 65536 - 0.5.
    #[doc(alias = "custom-1")]
    #[serde(rename = "custom-1")]
    Custom1,
}

/// A float in [1, 2) with these 23 bits as its fraction.
fn in_one_to_two(fraction: u32) -> f32 {
    f32::from_bits(0x3f80_0000 | fraction)
}

/// A float in [0, 1), a multiple of 2^-23.
fn unit(bits: u32) -> f32 {
    in_one_to_two(bits >> 9) - 1.0
}

/// 1.5 less half a step of 2^-16: what takes 16 bits at the top of a fraction to their place about zero.
const CUSTOM1_CENTRE: f32 = 1.5 - 1.0 / 131_072.0;

impl Key {
    /// `count` floats uniform in [0, 1), multiples of 2^-23, as `jax.random.uniform`.
    pub fn uniform(self, count: usize) -> Vec<f32> {
        let mut floats = vec![0.0; count];
        self.each_bits32(count, 0, count, |index, bits| floats[index] = unit(bits));
        floats
    }
}

impl Noise {
    /// The noise of an array of `count` elements, in flat row-major order.
    pub fn values(self, key: Key, count: usize) -> Vec<f32> {
        let mut values = vec![0.0; count];
        self.fill(key, count, 0, &mut values);
        values
    }

    /// The noise of the elements from `start` on of an array of `count` elements, as many as `out` holds.
    ///
    /// Filling an array part by part gives the same values as filling it at once; at once is up to twice as fast.
    pub fn fill(self, key: Key, count: usize, start: usize, out: &mut [f32]) {
        let length = out.len();
        match self {
            Self::JaxUniform => key.each_bits32(count, start, length, |offset, bits| out[offset] = unit(bits) - 0.5),
            Self::Custom1 => key.each_bits16(count, start, length, |offset, bits| {
                out[offset] = in_one_to_two(u32::from(bits) << 7) - CUSTOM1_CENTRE;
            }),
        }
    }
}
