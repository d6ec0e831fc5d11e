//! Bytes as a source of decisions, so that what a fuzzer changes in its input changes one decision, and the decisions of
//! a failure can be replayed from a file.

use ndarray::{ArrayD, Axis, IxDyn, Slice};
use qeinsum::Element;

/// Something that decides, by bytes or by chance.
pub(crate) trait Decide {
    /// A number below `bound`, or 0.
    fn below(&mut self, bound: usize) -> usize;

    /// One of some alternatives.
    fn of<T: Copy>(&mut self, alternatives: &[T]) -> T {
        alternatives[self.below(alternatives.len())]
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// Bytes that are not read yet. After the last one every decision is the first of its alternatives.
pub(crate) struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    /// A generator for what is too much to be decided one by one.
    pub(crate) fn generator(&mut self) -> Generator {
        Generator(u64::from_le_bytes([self.byte(), self.byte(), 0, 0, 0, 0, 0, 0]))
    }
}

/// One byte for each decision, so that no bound may be more than 256.
impl Decide for Choices<'_> {
    fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound.max(1)
    }
}

/// Numbers that look random (`SplitMix64`).
pub(crate) struct Generator(u64);

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Whole numbers from -`most` to `most`, both parts of complex ones; exact in every type.
    pub(crate) fn integers<T: Element>(&mut self, shape: &[usize], most: usize) -> ArrayD<T> {
        self.array(shape, |generator| generator.below(2 * most + 1) as f32 - most as f32)
    }

    /// Numbers from -1 to 1 that are rounded wherever they are added.
    pub(crate) fn fractions<T: Element>(&mut self, shape: &[usize]) -> ArrayD<T> {
        self.array(shape, |generator| generator.below(1 << 16) as f32 / 32_768.0 - 1.0)
    }

    fn array<T: Element>(&mut self, shape: &[usize], mut number: impl FnMut(&mut Self) -> f32) -> ArrayD<T> {
        let parts = T::DTYPE.is_complex().then_some(2);
        let shape: Vec<usize> = shape.iter().copied().chain(parts).collect();
        T::from_floats(ArrayD::from_shape_simple_fn(IxDyn(&shape), || number(self)))
    }
}

impl Decide for Generator {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((word ^ (word >> 31)) % bound.max(1) as u64) as usize
    }
}

/// The same values in another memory layout: axes stored in another order, some backwards, some with gaps.
pub(crate) fn relaid<T: Copy>(choices: &mut impl Decide, array: &ArrayD<T>) -> ArrayD<T> {
    let mut order: Vec<usize> = (0..array.ndim()).collect();
    choices.shuffle(&mut order);
    let mut inverse = vec![0; order.len()];
    for (at, &axis) in order.iter().enumerate() {
        inverse[axis] = at;
    }
    let mut relaid = array.view().permuted_axes(order).as_standard_layout().into_owned().permuted_axes(inverse);
    for axis in (0..array.ndim()).map(Axis) {
        match choices.below(4) {
            1 => {
                let backwards = relaid.slice_axis(axis, Slice::new(0, None, -1)).to_owned();
                relaid = backwards;
                relaid.invert_axis(axis);
            }
            2 if array.len() < 1 << 12 => {
                // Every element stands twice along the axis, and every second one is taken.
                let mut shape = relaid.shape().to_vec();
                shape[axis.index()] *= 2;
                let wide = ArrayD::from_shape_fn(IxDyn(&shape), |mut at| {
                    at[axis.index()] /= 2;
                    relaid[at]
                });
                relaid = wide;
                relaid.slice_axis_inplace(axis, Slice::new(0, None, 2));
            }
            _ => {}
        }
    }
    relaid
}
