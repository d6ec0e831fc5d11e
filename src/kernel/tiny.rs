//! Products so small that finding out how to compute them takes longer than computing them: that is done once for many.

use ndarray::{ArrayD, IxDyn};

use super::element::{Element as _, Real, Wide as _};
use super::int8::{Quantize, Rescale};
use super::isa::{Isa, Vectorized};
use super::order::Order;
use crate::{DimensionNumbers, Shape};

/// Elements of a side and of the output at most, each of which a byte can number.
const ELEMENTS: usize = 64;

/// Multiplications at most.
const MULTIPLICATIONS: usize = 512;

/// How a tiny product of two sides in row-major order is computed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TinyProduct {
    /// The place of each element of a side, free position after free position of a batch position, with all of its terms.
    lhs: Places,
    rhs: Places,
    /// That of each output, in the order of batch positions, then free positions of the lhs, then of the rhs.
    outputs: Places,
    batch: usize,
    /// Free positions of the lhs and of the rhs.
    free: [usize; 2],
    terms: usize,
    /// Of the result in row-major order, as it lies in memory.
    shape: Shape,
}

type Places = Box<[u8]>;

impl TinyProduct {
    /// The product of sides of these shapes that fit `dims`, with axes in memory in this order; none where it is not tiny.
    pub(crate) fn new(lhs: &[usize], rhs: &[usize], dims: &DimensionNumbers, order: &Order) -> Option<Self> {
        let size = |shape: &[usize]| shape.iter().try_fold(1, |size: usize, &extent| size.checked_mul(extent));
        let shape = dims.output_shape(lhs, rhs).ok()?;
        let is_small = |shape: &[usize]| size(shape).is_some_and(|size| (1..=ELEMENTS).contains(&size));
        let terms: usize = size(&dims.contracting().iter().map(|pair| lhs[pair.0]).collect::<Shape>())?;
        if ![lhs, rhs, &shape].into_iter().all(is_small) || size(&shape)?.checked_mul(terms)? > MULTIPLICATIONS {
            return None;
        }
        let (lhs_free, rhs_free) = (dims.lhs_free(lhs.len()), dims.rhs_free(rhs.len()));
        let places = |shape: &[usize], axes: [&[usize]; 3]| {
            places(shape, &Order::row_major(shape.len()).strides(shape), axes.into_iter().flatten().copied())
        };
        let count = |shape: &[usize], axes: &[usize]| axes.iter().map(|&axis| shape[axis]).product();
        Some(Self {
            lhs: places(lhs, [&dims.lhs_batch(), &lhs_free, &dims.lhs_contracting()]),
            rhs: places(rhs, [&dims.rhs_batch(), &rhs_free, &dims.rhs_contracting()]),
            outputs: self::places(&shape, &order.strides(&shape), 0..shape.len()),
            batch: count(lhs, &dims.lhs_batch()),
            free: [count(lhs, &lhs_free), count(rhs, &rhs_free)],
            terms,
            shape: order.axes().iter().map(|&axis| shape[axis]).collect(),
        })
    }

    /// The product of sides in row-major order; the array has its axes as they lie in memory.
    pub(crate) fn multiply<T: Real>(&self, lhs: &[T], rhs: &[T]) -> ArrayD<T> {
        self.multiply_on(Isa::detect(), lhs, rhs)
    }

    fn multiply_on<T: Real>(&self, isa: Isa, lhs: &[T], rhs: &[T]) -> ArrayD<T> {
        let mut out = vec![T::ZERO; self.outputs.len()];
        isa.run(Floats { product: self, lhs, rhs, out: &mut out });
        self.array(out)
    }

    /// The rescaled product of the integers that become of both sides, scaled by the largest magnitude of each position.
    pub(crate) fn multiply_scaled<Q: Quantize>(
        &self,
        [lhs, rhs]: [&[f32]; 2],
        quantize: [Q; 2],
        rescale: impl Rescale<f32>,
    ) -> ArrayD<f32> {
        let mut out = vec![0.0; self.outputs.len()];
        Isa::detect().run(Scaled { product: self, lhs, rhs, quantize, rescale, out: &mut out });
        self.array(out)
    }

    fn array<T>(&self, out: Vec<T>) -> ArrayD<T> {
        ArrayD::from_shape_vec(IxDyn(&self.shape), out).expect("there are as many outputs as the shape has")
    }

    /// Gives each output's place the output of its free positions, which are numbered through the batch.
    #[inline(always)]
    fn each<O>(&self, out: &mut [O], output: impl Fn(usize, usize) -> O) {
        let [m, n] = self.free;
        let mut places = self.outputs.iter();
        for batch in 0..self.batch {
            for left in batch * m..(batch + 1) * m {
                for (right, &place) in (batch * n..(batch + 1) * n).zip(&mut places) {
                    out[usize::from(place)] = output(left, right);
                }
            }
        }
    }
}

/// The places of all elements along these axes, the last of which is the fastest.
fn places(shape: &[usize], strides: &[usize], axes: impl Iterator<Item = usize>) -> Places {
    axes.fold(vec![0], |slower: Vec<u8>, axis| {
        let places = |&first: &u8| (0..shape[axis]).map(move |at| first + (at * strides[axis]) as u8);
        slower.iter().flat_map(places).collect()
    })
    .into()
}

struct Floats<'a, T> {
    product: &'a TinyProduct,
    lhs: &'a [T],
    rhs: &'a [T],
    out: &'a mut [T],
}

impl<T: Real> Vectorized for Floats<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { product, lhs, rhs, out } = self;
        let terms = product.terms;
        let (mut left, mut right) = ([T::Wide::ZERO; ELEMENTS], [T::Wide::ZERO; ELEMENTS]);
        for (to, &place) in left.iter_mut().zip(&product.lhs) {
            *to = lhs[usize::from(place)].widen();
        }
        for (to, &place) in right.iter_mut().zip(&product.rhs) {
            *to = rhs[usize::from(place)].widen();
        }
        product.each(out, |l, r| {
            let terms = left[l * terms..(l + 1) * terms].iter().zip(&right[r * terms..(r + 1) * terms]);
            T::narrow(terms.fold(T::Wide::ZERO, |sum, (&left, &right)| left.mul_add(right, sum)))
        });
    }
}

struct Scaled<'a, Q, R> {
    product: &'a TinyProduct,
    lhs: &'a [f32],
    rhs: &'a [f32],
    quantize: [Q; 2],
    rescale: R,
    out: &'a mut [f32],
}

impl<Q: Quantize, R: Rescale<f32>> Vectorized for Scaled<'_, Q, R> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { product, lhs, rhs, quantize: [p, q], rescale, out } = self;
        let terms = product.terms;
        let (left, lhs_inverses) = integers(lhs, &product.lhs, terms, p);
        let (right, rhs_inverses) = integers(rhs, &product.rhs, terms, q);
        product.each(out, |l, r| {
            // So few products are exact as floats.
            let terms = left[l * terms..(l + 1) * terms].iter().zip(&right[r * terms..(r + 1) * terms]);
            let sum = terms.fold(0.0, |sum, (left, right)| sum + left * right);
            rescale.output_of_any(sum, lhs_inverses[l], rhs_inverses[r])
        });
    }
}

/// The integers of a side, and what each of its positions is rescaled by.
#[inline(always)]
fn integers<Q: Quantize>(
    elements: &[f32],
    places: &[u8],
    terms: usize,
    quantize: Q,
) -> ([f32; ELEMENTS], [f32; ELEMENTS]) {
    let (mut integers, mut inverses) = ([0.0; ELEMENTS], [0.0; ELEMENTS]);
    for ((places, integers), inverse) in
        places.chunks_exact(terms).zip(integers.chunks_exact_mut(terms)).zip(&mut inverses)
    {
        let mut largest = 0;
        for (to, &place) in integers.iter_mut().zip(places) {
            *to = elements[usize::from(place)];
            largest = largest.max(to.to_bits() & 0x7fff_ffff);
        }
        let [scale, one_over] = quantize.scales(largest);
        *inverse = one_over;
        for x in integers {
            let integer = if scale > Q::LARGE_SCALE {
                quantize.integer_of_any_scale(*x, scale)
            } else {
                quantize.integer(*x, scale)
            };
            *x = integer as f32;
        }
    }
    (integers, inverses)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::cases::{Call, Random, Values, assert_same, seeds};
    use crate::kernel::reference;

    #[test]
    fn tiny_products_are_the_reference_on_every_instruction_set() {
        let mut tiny = 0;
        for seed in seeds(400) {
            let mut random = Random(seed);
            let values = random.pick(&[Values::Unit, Values::Finite, Values::All]);
            let call = Call::<f32>::random(&mut random, [&[1, 2], &[1, 2, 4, 8], &[1, 3, 4], &[0, 1, 2, 8]], values);
            let (lhs, rhs) = (call.lhs.view(), call.rhs.view());
            let expected = reference::dot_general(&lhs, &rhs, &call.dims);
            let order = Order::new(random.shuffled(expected.ndim()).into_iter().collect());
            let Some(product) = TinyProduct::new(lhs.shape(), rhs.shape(), &call.dims, &order) else { continue };
            tiny += 1;
            let expected = expected.permuted_axes(order.axes());
            let [lhs, rhs] = [&lhs, &rhs].map(|side| side.as_standard_layout());
            for isa in Isa::available() {
                let found = product.multiply_on(isa, lhs.as_slice().unwrap(), rhs.as_slice().unwrap());
                assert_same(&found, &expected, &format!("{isa:?} seed {seed}, {}", call.dims));
            }
        }
        assert!(tiny > if cfg!(miri) { 0 } else { 100 }, "{tiny}");
    }
}
