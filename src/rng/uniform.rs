//! Random floats, and the noise of stochastic rounding.
#![allow(clippy::inline_always, reason = "loops over these are compiled where they are inlined")]

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::key::{Key, Layout};
use super::words::half;
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
#[inline(always)]
fn in_one_to_two(fraction: u32) -> f32 {
    f32::from_bits(0x3f80_0000 | fraction)
}

/// A float in [0, 1), a multiple of 2^-23.
#[inline(always)]
fn unit(bits: u32) -> f32 {
    in_one_to_two(bits >> 9) - 1.0
}

/// The noise [`Noise::JaxUniform`] that 32 bits are.
#[inline(always)]
fn centred(bits: u32) -> f32 {
    unit(bits) - 0.5
}

/// The noise [`Noise::Custom1`] that 16 bits are.
#[inline(always)]
fn symmetric(bits: u16) -> f32 {
    // 1.5 less half a step of 2^-16 takes 16 bits at the top of a fraction to their place about zero.
    const CENTRE: f32 = 1.5 - 1.0 / 131_072.0;
    in_one_to_two(u32::from(bits) << 7) - CENTRE
}

impl Key {
    /// `count` floats uniform in [0, 1), multiples of 2^-23, as `jax.random.uniform`.
    ///
    /// ```
    /// use qeinsum::Key;
    /// assert_eq!(Key::new(42).uniform(3), [0.57414436, 0.100158215, 0.059461117]);
    /// ```
    pub fn uniform(self, count: usize) -> Vec<f32> {
        let mut floats = vec![0.0; count];
        self.fill32(count, 0, &mut floats, unit);
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
        let out = &mut out[..length];
        if start == 0 {
            let noise = ArrayNoise::new(self, key, count, None);
            let (firsts, seconds) = out.split_at_mut(noise.middle().min(length));
            noise.fill(0, firsts, seconds);
            return;
        }
        self.fill_from(key, count, start, out);
    }

    /// The noise of elements that are there, from any place on.
    fn fill_from(self, key: Key, count: usize, start: usize, out: &mut [f32]) {
        match self {
            Self::JaxUniform => key.fill32(count, start, out, centred),
            Self::Custom1 => key.fill16(count, start, out, symmetric),
        }
    }

    /// That of the elements of a window from `start` on.
    fn fill_window(self, key: Key, window: Window, start: usize, mut out: &mut [f32]) {
        let Window { count, run, stride, first } = window;
        let mut at = start;
        while !out.is_empty() {
            let (row, within) = (at / run, at % run);
            let length = out.len().min(run - within);
            let (now, rest) = out.split_at_mut(length);
            self.fill_from(key, count, row * stride + first + within, now);
            (at, out) = (at + length, rest);
        }
    }
}

/// Where the elements of an array lie in a larger one that it was cut from along one axis, both in row-major order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Window {
    /// Elements of the larger one.
    pub(crate) count: usize,
    /// So many elements in a row are neighbours there too.
    pub(crate) run: usize,
    /// From the first of a run to the first of the next one, there.
    pub(crate) stride: usize,
    /// The place of the first element there.
    pub(crate) first: usize,
}

impl Window {
    /// That of an array of this shape, cut from one of `extent` along `axis`, from index `start` on.
    pub(crate) fn new(shape: &[usize], axis: usize, extent: usize, start: usize) -> Self {
        let product = |sizes: &[usize]| sizes.iter().product::<usize>();
        let (outer, inner) = (product(&shape[..axis]), product(&shape[axis + 1..]));
        Self { count: outer * extent * inner, run: shape[axis] * inner, stride: extent * inner, first: start * inner }
    }
}

/// The noise of an array, of which two parts are drawn at a time.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct ArrayNoise {
    noise: Noise,
    key: Key,
    /// Elements of the array.
    count: usize,
    /// Where they lie in the array that noise is drawn for, if that is a larger one.
    window: Option<Window>,
}

impl ArrayNoise {
    pub(crate) fn new(noise: Noise, key: Key, count: usize, window: Option<Window>) -> Self {
        Self { noise, key, count, window }
    }

    /// The first element that is drawn with one before it: from here on each is drawn with the one at its distance from
    /// the first. There is none where this is the number of elements.
    pub(crate) fn middle(&self) -> usize {
        let (words, each) = self.words();
        let half = match (self.key.layout(), self.window) {
            (Layout::Original, None) => half(words),
            // The halves are those of the larger array.
            (Layout::Original, Some(_)) | (Layout::Partitionable, _) => None,
        };
        half.map_or(self.count, |half| self.count.min((half as usize).saturating_mul(each)))
    }

    /// The noise of elements from `start` on, which is even, and of elements from as far behind the middle on, of which
    /// there are not more.
    pub(crate) fn fill(&self, start: usize, firsts: &mut [f32], seconds: &mut [f32]) {
        let Self { noise, key, count, window } = *self;
        if let Some(window) = window {
            debug_assert!(seconds.is_empty(), "a part has one part");
            return noise.fill_window(key, window, start, firsts);
        }
        let (words, each) = self.words();
        match noise {
            Noise::JaxUniform if seconds.is_empty() => key.fill32(count, start, firsts, centred),
            Noise::Custom1 if seconds.is_empty() => key.fill16(count, start, firsts, symmetric),
            Noise::JaxUniform => key.fill_pairs(words, start as u64, firsts, seconds, centred),
            Noise::Custom1 => {
                assert!(start.is_multiple_of(each), "a word is drawn whole");
                key.fill_pairs16(words, (start / each) as u64, [firsts, seconds], symmetric);
            }
        }
    }

    /// All of it.
    pub(crate) fn values(&self) -> Vec<f32> {
        let Some(window) = self.window else { return self.noise.values(self.key, self.count) };
        let mut values = vec![0.0; self.count];
        self.noise.fill_window(self.key, window, 0, &mut values);
        values
    }

    /// How many words the original layout draws, and how many elements each of them is for.
    fn words(&self) -> (u64, usize) {
        let each = match self.noise {
            Noise::JaxUniform => 1,
            Noise::Custom1 => 2,
        };
        (self.count.div_ceil(each) as u64, each)
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
        for bits in 0..=u16::MAX {
            assert_eq!(f64::from(symmetric(bits)), (f64::from(bits) + 0.5) / 65536.0 - 0.5, "{bits}");
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
    fn the_two_parts_of_an_array_are_drawn_together() {
        for noise in Noise::ALL {
            for layout in [Layout::Original, Layout::Partitionable] {
                for count in [0, 1, 2, 3, 4, 5, 6, 7, 8, 50, 101, 4099, 4100, 4101, 4102] {
                    let key = Key::new(11).with_layout(layout);
                    let all = noise.values(key, count);
                    let array = ArrayNoise::new(noise, key, count, None);
                    let middle = array.middle();
                    assert!(middle <= count && count <= 2 * middle);
                    for start in (0..=middle).step_by(usize::max(2, middle / 8 * 2)) {
                        let mut firsts = vec![2.0; middle - start];
                        let mut seconds = vec![2.0; (count - middle).saturating_sub(start)];
                        array.fill(start, &mut firsts, &mut seconds);
                        assert_eq!(firsts, all[start..middle], "{noise:?} {layout:?} {count} from {start}");
                        assert_eq!(seconds, all[count.min(middle + start)..], "{noise:?} {layout:?} {count} {start}");
                    }
                    // And one after the other, from any place.
                    let mut single = vec![2.0; count];
                    (0..count.min(200)).for_each(|at| noise.fill(key, count, at, &mut single[at..=at]));
                    assert!(
                        single.iter().zip(all).take(200).all(|(found, noise)| *found == noise),
                        "{noise:?} {count}"
                    );
                }
            }
        }
    }

    #[test]
    fn windows_have_the_noise_of_their_places() {
        let (shape, key) = ([3, 5, 7], Key::new(5));
        for noise in Noise::ALL {
            let all = noise.values(key, 105);
            for axis in 0..3 {
                for start in 0..shape[axis] {
                    for end in start + 1..=shape[axis] {
                        let mut part = shape;
                        part[axis] = end - start;
                        let window = Window::new(&part, axis, shape[axis], start);
                        let drawn = ArrayNoise::new(noise, key, part.iter().product(), Some(window));
                        assert_eq!(drawn.middle(), drawn.count);
                        let values = drawn.values();
                        let mut late = vec![0.0; drawn.count - drawn.count / 2];
                        drawn.fill(drawn.count / 2, &mut late, &mut []);
                        assert_eq!(late, values[drawn.count / 2..]);
                        let mut expected = Vec::new();
                        for i in 0..3 {
                            for j in 0..5 {
                                for k in 0..7 {
                                    if (start..end).contains(&[i, j, k][axis]) {
                                        expected.push(all[35 * i + 7 * j + k]);
                                    }
                                }
                            }
                        }
                        assert_eq!(values, expected, "{noise} axis {axis} from {start} to {end}");
                    }
                }
            }
        }
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
