#![allow(unsafe_code, reason = "reads through the offsets of a walk, in functions compiled for an instruction set")]
//! Sums of one product: each is stored as soon as it is made.

use std::mem::MaybeUninit;

use super::super::element::{Element, Real, Wide};
use super::super::isa::Vectorized;
use super::super::product::Product;
use super::super::stream::Stores;
use super::{first, inner};

/// The outputs from `start` on, each of which is one product.
pub(super) struct Singles<'a, 'p, T, O> {
    pub(super) product: &'a Product<'p, T>,
    pub(super) start: usize,
    pub(super) out: &'a mut [MaybeUninit<O>],
    pub(super) stores: Stores,
}

/// Products that are stored together: a line of a cache, of four-byte elements.
const GROUP: usize = 16;

impl<T: Real, O: Real<Wide = T::Wide>> Vectorized for Singles<'_, '_, T, O> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { product, start, mut out, stores } = self;
        let inner = inner(product);
        let mut position = start;
        while !out.is_empty() {
            let [lhs, rhs] = first(product, position);
            let here;
            (here, out) = out.split_at_mut((inner.size - position % inner.size).min(out.len()));
            position += here.len();
            // SAFETY: the outputs are neighbours along the inner axis, which has elements of both sides for each of them.
            unsafe {
                match (inner.lhs, inner.rhs) {
                    (0, 1) => singles::<T, O, 0, 1>(lhs, rhs, here, stores),
                    (1, 0) => singles::<T, O, 1, 0>(lhs, rhs, here, stores),
                    (1, 1) => singles::<T, O, 1, 1>(lhs, rhs, here, stores),
                    (left, right) => {
                        for (at, out) in here.iter_mut().enumerate() {
                            let at = at as isize;
                            out.write(single(*lhs.offset(at * left), *rhs.offset(at * right)));
                        }
                    }
                }
            }
        }
    }
}

/// A sum of one product.
#[inline(always)]
fn single<T: Real, O: Real<Wide = T::Wide>>(left: T, right: T) -> O {
    O::narrow(Wide::mul_add(left.widen(), right.widen(), T::Wide::ZERO))
}

/// The products of neighbours, of one element, or of both.
#[inline(always)]
unsafe fn singles<T: Real, O: Real<Wide = T::Wide>, const LEFT: usize, const RIGHT: usize>(
    lhs: *const T,
    rhs: *const T,
    out: &mut [MaybeUninit<O>],
    stores: Stores,
) {
    // SAFETY: the caller vouches for an element of each side for each output.
    let product = |at: usize| unsafe { single(*lhs.add(at * LEFT), *rhs.add(at * RIGHT)) };
    // As far as the first whole line.
    let line = out.as_ptr().align_offset(GROUP * size_of::<O>()).min(out.len());
    let (head, rest) = out.split_at_mut(line);
    for (at, out) in head.iter_mut().enumerate() {
        out.write(product(at));
    }
    let (groups, tail) = rest.as_chunks_mut::<GROUP>();
    let mut done = line;
    for group in groups {
        let mut made = [O::ZERO; GROUP];
        for (lane, made) in made.iter_mut().enumerate() {
            *made = product(done + lane);
        }
        stores.put(group, made);
        done += GROUP;
    }
    for (at, out) in tail.iter_mut().enumerate() {
        out.write(product(done + at));
    }
}
