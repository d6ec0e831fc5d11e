#![allow(unsafe_code, reason = "reads through the offsets of a walk, in functions compiled for an instruction set")]
//! Float products with next to nothing to reuse: vector dots, matrix-vector and elementwise products, sums.
//!
//! Each element is read about once, so nothing is packed. Either many neighbouring outputs take a term at once, or,
//! where the terms are what lies together in memory, several blocks run side by side.

mod blocks;
mod outputs;
mod singles;

use std::ops::Range;

use super::element::Real;
use super::isa::Isa;
use super::outputs::Outputs;
use super::parts;
use super::product::{Loop, Product};
use super::stream::Stores;
use crate::cancel::Pace;

use blocks::CHAINS;
use singles::Singles;

pub(super) use outputs::go_on;

/// Rows of one side from which on it is packed for one row of the other; half as many for two.
const PACKED_ROWS: usize = 32;

/// Multiplications that take about a tenth of a millisecond: as many as there are elements to read.
const LEAST: usize = 1 << 19;

/// Outputs that are not divided among threads: a few vectors, and whole lines of a cache.
const GRAIN: usize = 64;

/// Products between two questions whether they are wanted.
const TOGETHER: usize = 1 << 16;

/// The way through a product that packs nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Slim {
    /// Every output is one product.
    Single,
    /// Term by term over runs of outputs.
    Outputs,
    /// Block by block over the terms, which have one stride on each side.
    Blocks { lhs: isize, rhs: isize },
}

impl Slim {
    /// The way for a product, if tiles would not pay there.
    pub(super) fn choose<T>(product: &Product<'_, T>) -> Option<Self> {
        let (m, n, terms) = (product.lhs.free.len(), product.rhs.free.len(), product.terms());
        if terms == 1 {
            return Some(Self::Single);
        }
        if m.min(n) > 2 {
            return None;
        }
        let inner = inner(product);
        let strides = product.lhs.contracting.stride().zip(product.rhs.contracting.stride());
        let neighbours = [inner.lhs, inner.rhs].into_iter().all(|step| (0..=1).contains(&step));
        match strides {
            Some((lhs, rhs)) if inner.size < CHAINS || (!neighbours && terms >= 16) => {
                // Packed, the rows of the larger side are summed in the lanes of a vector, which pays where there are some.
                (m.max(n) < PACKED_ROWS / m.min(n)).then_some(Self::Blocks { lhs, rhs })
            }
            _ => Some(Self::Outputs),
        }
    }

    /// Gives every output the sum of all terms; there are terms and outputs.
    pub(super) fn multiply<T: Real, O: Real<Wide = T::Wide>>(
        self,
        isa: Isa,
        product: &Product<'_, T>,
        out: &Outputs<'_, O>,
    ) {
        assert_eq!(out.len(), product.outputs());
        let threads = parts::threads(out.len().saturating_mul(product.terms()), LEAST);
        let pieces = if threads == 1 { 1 } else { 4 * threads };
        let stores = Stores::of::<O>(out.len());
        parts::run(parts::equal(out.len(), pieces, GRAIN).collect(), |outputs: Range<usize>| {
            // SAFETY: the ranges do not meet.
            let out = unsafe { out.range(outputs.clone()) };
            match self {
                Self::Single => {
                    let mut pace = Pace::new();
                    for (out, start) in out.chunks_mut(TOGETHER).zip((outputs.start..).step_by(TOGETHER)) {
                        pace.did(out.len());
                        isa.run(Singles { product, start, out, stores });
                    }
                }
                Self::Outputs => outputs::by_outputs(isa, product, outputs.start, out),
                Self::Blocks { lhs, rhs } => blocks::by_blocks(isa, product, outputs.start, [lhs, rhs], out),
            }
            stores.finish();
        });
    }
}

/// The axis of the output whose outputs are neighbours.
fn inner<T>(product: &Product<'_, T>) -> Loop {
    product.loops.last().copied().unwrap_or(Loop { size: 1, lhs: 0, rhs: 0 })
}

/// Both sides' elements at an output, without their contracting walks.
#[inline(always)]
fn first<T>(product: &Product<'_, T>, output: usize) -> [*const T; 2] {
    let (mut rest, mut left, mut right) = (output, 0, 0);
    for &Loop { size, lhs, rhs } in product.loops.iter().rev() {
        let at = (rest % size) as isize;
        (left, right, rest) = (left + at * lhs, right + at * rhs, rest / size);
    }
    [product.lhs.first.wrapping_offset(left), product.rhs.first.wrapping_offset(right)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::blocked;
    use crate::kernel::cases::{Call, Random, Values, assert_same, seeds};
    use crate::kernel::order::Order;
    use crate::kernel::outputs::array;
    use crate::kernel::product::Terms;
    use crate::kernel::reference;

    /// Every way through a product, whichever would be chosen for it.
    fn check(sizes: [&[usize]; 4], calls: u64) {
        for seed in seeds(calls) {
            let mut random = Random(seed);
            let values = random.pick(&[Values::Unit, Values::Finite, Values::All]);
            let call = Call::<f32>::random(&mut random, sizes, values);
            let (lhs, rhs) = (call.lhs.view(), call.rhs.view());
            let expected = reference::dot_general_wide(&lhs, &rhs, &call.dims);
            let order = Order::new(random.shuffled(expected.ndim()).into_iter().collect());
            let product = Product::new(&lhs, &rhs, &call.dims, Terms::Listed, &order);
            let strides = product.lhs.contracting.stride().zip(product.rhs.contracting.stride());
            let blocks = strides.map(|(lhs, rhs)| Slim::Blocks { lhs, rhs });
            for isa in Isa::available() {
                let single = (product.terms() == 1).then_some(Some(Slim::Single));
                for way in [None, Some(Slim::Outputs)].into_iter().chain(blocks.map(Some)).chain(single) {
                    // SAFETY: all ways write every output.
                    let found = unsafe {
                        array(&product.shape, &order, |out| match way {
                            Some(slim) => slim.multiply(isa, &product, out),
                            None => blocked::multiply(isa, &product, out),
                        })
                    };
                    let what = format!(
                        "{way:?} {isa:?} seed {seed}, {} on {:?} and {:?}",
                        call.dims,
                        lhs.shape(),
                        rhs.shape()
                    );
                    assert_same(&found, &expected, &what);
                }
            }
        }
    }

    #[test]
    fn every_way_through_a_product_is_the_reference() {
        check([&[1, 2, 7], &[1, 2, 5], &[1, 3, 17], &[1, 2, 15]], 150);
        check([&[1, 1050], &[], &[], &[1, 2, 9]], 12);
        check([&[2], &[1, 3, 40], &[1, 50, 70], &[1]], 40);
        check([&[2], &[1040], &[], &[1, 3]], 8);
        check([&[], &[1, 2], &[1, 9], &[1025, 2048, 5000]], 12);
        check([&[], &[], &[], &[8192, 9000, 17_000]], 12);
    }
}
