//! Random floats, and the noise of stochastic rounding.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::key::Key;
use crate::error::{Error, ErrorKind, Result};

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
#[doc(alias("rng_type", "noise_fn"))]
pub enum Noise {
    /// Uniform in [-0.5, 0.5), in steps of 2^-23.
    #[doc(alias = "jax.uniform")]
    #[serde(rename = "jax.uniform")]
    JaxUniform,
    /// Symmetric about zero, from 16 bits an element: (u + 0.5) / 65536 - 0.5.
    #[doc(alias = "custom-1")]
    #[serde(rename = "custom-1")]
    Custom1,
}

impl Noise {
    const ALL: [Self; 2] = [Self::JaxUniform, Self::Custom1];
}

/// AQT's name: `jax.uniform` or `custom-1`.
impl fmt::Display for Noise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::JaxUniform => "jax.uniform",
            Self::Custom1 => "custom-1",
        })
    }
}

impl FromStr for Noise {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|noise| noise.to_string() == name).ok_or_else(|| {
            let shown = crate::span::printable_text(name, 40);
            Error::new(ErrorKind::Config, format!("`{shown}` is no noise: write jax.uniform or custom-1"))
        })
    }
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

    /// The noise of the elements from `start` on of an array of `count` elements, as many as `out` holds; what of it
    /// lies past the last element stays as it is.
    ///
    /// Filling an array part by part gives the same values as filling it at once; at once is up to twice as fast.
    pub fn fill(self, key: Key, count: usize, start: usize, out: &mut [f32]) {
        let length = out.len().min(count.saturating_sub(start));
        match self {
            Self::JaxUniform => key.each_bits32(count, start, length, |offset, bits| out[offset] = unit(bits) - 0.5),
            Self::Custom1 => key.each_bits16(count, start, length, |offset, bits| {
                out[offset] = in_one_to_two(u32::from(bits) << 7) - CUSTOM1_CENTRE;
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_those_of_jax() {
        let key = Key::new(42);
        let bits = |floats: Vec<f32>| floats.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        assert_eq!(bits(key.uniform(3)), [0x3f12_fb20, 0x3dcd_1fc0, 0x3d73_8d80]);
        let custom = bits(Noise::Custom1.values(key, 5));
        assert_eq!(custom, [0xbebe_2b00, 0x3d97_dc00, 0x3ef0_df00, 0xbecc_b900, 0x3eb2_2700]);
    }

    #[test]
    fn noise_stays_within_half_a_step() {
        let custom = |bits: u16| in_one_to_two(u32::from(bits) << 7) - CUSTOM1_CENTRE;
        for bits in 0..=u16::MAX {
            assert_eq!(f64::from(custom(bits)), (f64::from(bits) + 0.5) / 65536.0 - 0.5, "{bits}");
        }
        assert_eq!((unit(0), unit(u32::MAX)), (0.0, 1.0 - 1.0 / 8_388_608.0));
    }

    #[test]
    fn names_are_those_of_aqt() {
        for noise in Noise::ALL {
            assert_eq!(noise.to_string().parse::<Noise>().unwrap(), noise);
            assert_eq!(serde_json::to_string(&noise).unwrap(), format!("\"{noise}\""));
        }
        assert!("uniform".parse::<Noise>().is_err());
    }

    #[test]
    fn filling_by_parts_is_filling_at_once() {
        for noise in [Noise::JaxUniform, Noise::Custom1] {
            let all = noise.values(Key::new(9), 13);
            let mut parts = vec![0.0; 13];
            let (head, tail) = parts.split_at_mut(5);
            noise.fill(Key::new(9), 13, 5, tail);
            noise.fill(Key::new(9), 13, 0, head);
            assert_eq!(parts, all, "{noise:?}");
            let mut past = [2.0; 3];
            noise.fill(Key::new(9), 13, 12, &mut past);
            assert_eq!(past, [all[12], 2.0, 2.0], "{noise:?}");
            noise.fill(Key::new(9), 13, usize::MAX, &mut past);
            assert_eq!(past, [all[12], 2.0, 2.0], "{noise:?}");
        }
    }
}
