#![allow(unsafe_code, reason = "reads through the offsets of a walk, in functions compiled for an instruction set")]
//! Float products with next to nothing to reuse: vector dots, matrix-vector and elementwise products, sums.
//!
//! Each element is read about once, so nothing is packed. Either many neighbouring outputs take a term at once, or,
//! where the terms are what lies together in memory, several blocks run side by side.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::BLOCK;
use super::element::{Element as _, Real, Wide};
use super::isa::Isa;
use super::outputs::Outputs;
use super::parts;
use super::product::{Operand, Product};
use super::walk::Walk;

/// Outputs that take a term together.
const OUTPUTS: usize = 1024;

/// Blocks that run side by side: as many as hide the latency of a fused multiply-add.
const CHAINS: usize = 8;

/// Multiplications that take about a tenth of a millisecond: as many as there are elements to read.
const LEAST: usize = 1 << 19;

/// Outputs that are not divided among threads: a few vectors, and whole lines of a cache.
const GRAIN: usize = 64;

/// The way through a product that packs nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Slim {
    /// Term by term over runs of outputs.
    Outputs,
    /// Block by block over the terms, which have one stride on each side.
    Blocks { lhs: isize, rhs: isize },
}

impl Slim {
    /// The way for a product, if tiles would not pay there.
    pub(super) fn choose<T>(product: &Product<'_, T>) -> Option<Self> {
        let (m, n, terms) = (product.lhs.free.len(), product.rhs.free.len(), product.terms());
        if m.min(n) > 2 && terms > 1 {
            return None;
        }
        let (lhs, rhs) = inner(product);
        let strides = product.lhs.contracting.stride().zip(product.rhs.contracting.stride());
        let neighbours = [lhs, rhs].into_iter().flatten().all(|walk| walk.stride() == Some(1));
        match strides {
            Some((lhs, rhs)) if outputs_inside(product) < CHAINS || (!neighbours && terms >= 16) => {
                Some(Self::Blocks { lhs, rhs })
            }
            _ => Some(Self::Outputs),
        }
    }

    /// Gives every output the sum of all terms; there are terms and outputs.
    pub(super) fn multiply<T: Real>(self, isa: Isa, product: &Product<'_, T>, out: &Outputs<'_, T>) {
        assert_eq!(out.len(), product.outputs());
        let threads = parts::threads(out.len().saturating_mul(product.terms()), LEAST);
        let pieces = if threads == 1 { 1 } else { 4 * threads };
        parts::run(parts::equal(out.len(), pieces, GRAIN).collect(), |outputs: Range<usize>| {
            // SAFETY: the ranges do not meet.
            let out = unsafe { out.range(outputs.clone()) };
            match self {
                Self::Outputs => by_outputs(isa, product, outputs.start, out),
                Self::Blocks { lhs, rhs } => by_blocks(isa, product, outputs.start, [lhs, rhs], out),
            }
        });
    }
}

/// The walks that the innermost outputs follow on each side; a side without one stays in place.
fn inner<'a, T>(product: &'a Product<'_, T>) -> (Option<&'a Walk>, Option<&'a Walk>) {
    let Product { lhs, rhs, .. } = product;
    match (lhs.free.len(), rhs.free.len()) {
        (1, 1) => (Some(&lhs.batch), Some(&rhs.batch)),
        (_, 1) => (Some(&lhs.free), None),
        _ => (None, Some(&rhs.free)),
    }
}

fn outputs_inside<T>(product: &Product<'_, T>) -> usize {
    let (lhs, rhs) = inner(product);
    lhs.or(rhs).map_or(1, Walk::len)
}

/// The outputs from `start` on.
fn by_outputs<T: Real>(isa: Isa, product: &Product<'_, T>, start: usize, out: &mut [MaybeUninit<T>]) {
    let (terms, length) = (product.terms(), outputs_inside(product));
    let (lhs_inner, rhs_inner) = inner(product);
    let trees = usize::BITS - (terms.div_ceil(BLOCK) - 1).leading_zeros();
    let mut trees = vec![vec![T::Wide::ZERO; length.min(OUTPUTS)]; trees as usize];
    let mut sums = vec![T::Wide::ZERO; length.min(OUTPUTS)];
    let [mut left, mut right, mut left_terms, mut right_terms] = [const { Vec::new() }; 4];
    let (mut out, mut position) = (out, start);
    while !out.is_empty() {
        // The outer position; the inner walk starts at its own first.
        let [lhs, rhs] = first(product, position - position % length);
        let here;
        (here, out) = out.split_at_mut((length - position % length).min(out.len()));
        for out in here.chunks_mut(OUTPUTS) {
            let inside = position % length..position % length + out.len();
            position += out.len();
            offsets(lhs_inner, &inside, &mut left);
            offsets(rhs_inner, &inside, &mut right);
            let sums = &mut sums[..out.len()];
            for (block, start) in (0..terms).step_by(BLOCK).enumerate() {
                let here = start..terms.min(start + BLOCK);
                product.lhs.contracting.offsets(&here, &mut left_terms);
                product.rhs.contracting.offsets(&here, &mut right_terms);
                sums.fill(T::Wide::ZERO);
                let sides =
                    [(lhs, left_terms.as_slice(), Reads::of(&left)), (rhs, right_terms.as_slice(), Reads::of(&right))];
                // SAFETY: the instruction set was detected; the pointers are to a batch and free position of each
                // operand without its inner walk, and the offsets are of its contracting and its inner walk.
                unsafe {
                    match isa {
                        Isa::Portable => lines_portable(sides, sums),
                        #[cfg(target_arch = "x86_64")]
                        Isa::Avx2 | Isa::AvxVnni => lines_avx2(sides, sums),
                        #[cfg(target_arch = "x86_64")]
                        Isa::Avx512 | Isa::Vnni => lines_avx512(sides, sums),
                    }
                }
                let last = here.end == terms;
                let merged = if last { usize::BITS } else { block.trailing_ones() };
                for (_, tree) in
                    trees.iter().enumerate().take(merged as usize).filter(|(size, _)| block >> size & 1 == 1)
                {
                    sums.iter_mut().zip(tree).for_each(|(sum, &left)| *sum = left.plus(*sum));
                }
                if last {
                    out.iter_mut().zip(&*sums).for_each(|(out, &sum)| *out = MaybeUninit::new(T::narrow(sum)));
                } else {
                    trees[merged as usize][..sums.len()].copy_from_slice(sums);
                }
            }
        }
    }
}

/// Both sides' elements at an output, without their contracting walks.
fn first<T>(product: &Product<'_, T>, output: usize) -> [*const T; 2] {
    let Product { lhs, rhs, .. } = product;
    let (rest, j) = (output / rhs.free.len(), output % rhs.free.len());
    let (batch, i) = (rest / lhs.free.len(), rest % lhs.free.len());
    let at = |side: &Operand<'_, T>, free| {
        side.first.wrapping_offset(side.batch.offset(batch)).wrapping_offset(side.free.offset(free))
    };
    [at(lhs, i), at(rhs, j)]
}

fn offsets(walk: Option<&Walk>, positions: &std::ops::Range<usize>, offsets: &mut Vec<isize>) {
    if let Some(walk) = walk {
        walk.offsets(positions, offsets);
    } else {
        offsets.clear();
        offsets.resize(positions.len(), 0);
    }
}

/// How a side is read along a run of outputs.
#[derive(Clone, Copy, Debug)]
enum Reads<'a> {
    Same(isize),
    Run(isize),
    Scattered(&'a [isize]),
}

impl<'a> Reads<'a> {
    fn of(offsets: &'a [isize]) -> Self {
        if offsets.windows(2).all(|pair| pair[0] == pair[1]) {
            Self::Same(offsets[0])
        } else if offsets.windows(2).all(|pair| pair[0] + 1 == pair[1]) {
            Self::Run(offsets[0])
        } else {
            Self::Scattered(offsets)
        }
    }

    fn at(self, index: usize) -> isize {
        match self {
            Self::Same(offset) => offset,
            Self::Run(offset) => offset + index as isize,
            Self::Scattered(offsets) => offsets[index],
        }
    }
}

/// A side's element, the offsets of its terms and how it is read along the outputs.
type Line<'a, T> = (*const T, &'a [isize], Reads<'a>);

/// Adds every term to every sum.
#[inline(always)]
unsafe fn lines<T: Real>(
    [(lhs, lhs_terms, lhs_reads), (rhs, rhs_terms, rhs_reads)]: [Line<'_, T>; 2],
    sums: &mut [T::Wide],
) {
    for (&left, &right) in lhs_terms.iter().zip(rhs_terms) {
        // SAFETY: the caller vouches for every address.
        unsafe {
            let (lhs, rhs) = (lhs.offset(left), rhs.offset(right));
            match (lhs_reads, rhs_reads) {
                (Reads::Same(left), Reads::Run(right)) => {
                    let (left, rhs) = ((*lhs.offset(left)).widen(), rhs.offset(right));
                    for (at, sum) in sums.iter_mut().enumerate() {
                        *sum = Wide::mul_add(left, (*rhs.add(at)).widen(), *sum);
                    }
                }
                (Reads::Run(left), Reads::Same(right)) => {
                    let (lhs, right) = (lhs.offset(left), (*rhs.offset(right)).widen());
                    for (at, sum) in sums.iter_mut().enumerate() {
                        *sum = Wide::mul_add((*lhs.add(at)).widen(), right, *sum);
                    }
                }
                (Reads::Run(left), Reads::Run(right)) => {
                    let (lhs, rhs) = (lhs.offset(left), rhs.offset(right));
                    for (at, sum) in sums.iter_mut().enumerate() {
                        *sum = Wide::mul_add((*lhs.add(at)).widen(), (*rhs.add(at)).widen(), *sum);
                    }
                }
                _ => {
                    for (at, sum) in sums.iter_mut().enumerate() {
                        let (left, right) = (*lhs.offset(lhs_reads.at(at)), *rhs.offset(rhs_reads.at(at)));
                        *sum = Wide::mul_add(left.widen(), right.widen(), *sum);
                    }
                }
            }
        }
    }
}

/// A block of an output: where its terms start on both sides, how many there are.
#[derive(Clone, Copy, Debug)]
struct Chain<T> {
    lhs: *const T,
    rhs: *const T,
    terms: usize,
}

/// The outputs from `start` on.
fn by_blocks<T: Real>(
    isa: Isa,
    product: &Product<'_, T>,
    start: usize,
    strides: [isize; 2],
    out: &mut [MaybeUninit<T>],
) {
    let terms = product.terms();
    let blocks = terms.div_ceil(BLOCK);
    let mut trees: Vec<T::Wide> = Vec::new();
    let end = start + out.len();
    let mut outputs = out.iter_mut();
    let mut chains: Vec<Chain<T>> = Vec::with_capacity(CHAINS);
    let mut done = 0;
    for output in start..end {
        let [lhs, rhs] = first(product, output);
        for block in 0..blocks {
            let first = block * BLOCK;
            chains.push(Chain {
                lhs: lhs.wrapping_offset(first as isize * strides[0]),
                rhs: rhs.wrapping_offset(first as isize * strides[1]),
                terms: (terms - first).min(BLOCK),
            });
            if chains.len() < CHAINS && (output + 1 < end || block + 1 < blocks) {
                continue;
            }
            let mut sums = [T::Wide::ZERO; CHAINS];
            // SAFETY: the instruction set was detected; the chains start at an operand's element and follow its
            // contracting walk, which has this one stride.
            unsafe {
                match isa {
                    Isa::Portable => side_by_side_portable(&chains, strides, &mut sums),
                    #[cfg(target_arch = "x86_64")]
                    Isa::Avx2 | Isa::AvxVnni => side_by_side_avx2(&chains, strides, &mut sums),
                    #[cfg(target_arch = "x86_64")]
                    Isa::Avx512 | Isa::Vnni => side_by_side_avx512(&chains, strides, &mut sums),
                }
            }
            for &sum in &sums[..chains.len()] {
                let block = done % blocks;
                done += 1;
                let last = block + 1 == blocks;
                let merged = if last { trees.len() } else { block.trailing_ones() as usize };
                let sum = trees.drain(trees.len() - merged..).rev().fold(sum, |sum, left| left.plus(sum));
                if !last {
                    trees.push(sum);
                } else if let Some(out) = outputs.next() {
                    out.write(T::narrow(sum));
                }
            }
            chains.clear();
        }
    }
}

/// The sum of every chain; at most [`CHAINS`].
#[inline(always)]
unsafe fn side_by_side<T: Real>(chains: &[Chain<T>], [lhs, rhs]: [isize; 2], sums: &mut [T::Wide; CHAINS]) {
    let term = |chain: &Chain<T>, at: usize, sum: T::Wide| {
        // SAFETY: the caller vouches for every term of a chain.
        let (left, right) = unsafe { (*chain.lhs.offset(at as isize * lhs), *chain.rhs.offset(at as isize * rhs)) };
        Wide::mul_add(left.widen(), right.widen(), sum)
    };
    let mut together = 0;
    if let Ok(chains) = <&[Chain<T>; CHAINS]>::try_from(chains) {
        together = chains.iter().map(|chain| chain.terms).min().unwrap_or(0);
        let mut here = [T::Wide::ZERO; CHAINS];
        for at in 0..together {
            for (chain, sum) in chains.iter().zip(&mut here) {
                *sum = term(chain, at, *sum);
            }
        }
        *sums = here;
    }
    for (chain, sum) in chains.iter().zip(sums) {
        for at in together..chain.terms {
            *sum = term(chain, at, *sum);
        }
    }
}

macro_rules! compiled {
    ($($lines:ident, $side_by_side:ident $(with $features:literal)?;)*) => {$(
        $(#[cfg(target_arch = "x86_64")] #[target_feature(enable = $features)])?
        unsafe fn $lines<T: Real>(sides: [Line<'_, T>; 2], sums: &mut [T::Wide]) {
            // SAFETY: the caller's promise, passed on.
            unsafe { lines(sides, sums) }
        }

        $(#[cfg(target_arch = "x86_64")] #[target_feature(enable = $features)])?
        unsafe fn $side_by_side<T: Real>(
            chains: &[Chain<T>],
            strides: [isize; 2],
            sums: &mut [T::Wide; CHAINS],
        ) {
            // SAFETY: the caller's promise, passed on.
            unsafe { side_by_side(chains, strides, sums) }
        }
    )*};
}

compiled! {
    lines_portable, side_by_side_portable;
    lines_avx2, side_by_side_avx2 with "avx2,fma";
    lines_avx512, side_by_side_avx512 with "avx512f,avx512bw";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::blocked;
    use crate::kernel::cases::{Call, Random, Values, assert_same};
    use crate::kernel::outputs::filled;
    use crate::kernel::reference;

    /// Every way through a product, whichever would be chosen for it.
    fn check(sizes: [&[usize]; 4], calls: u64) {
        for seed in 0..calls {
            let mut random = Random(seed);
            let values = random.pick(&[Values::Unit, Values::Finite, Values::All]);
            let call = Call::<f32>::random(&mut random, sizes, values);
            let (lhs, rhs) = (call.lhs.view(), call.rhs.view());
            let expected = reference::dot_general_wide(&lhs, &rhs, &call.dims);
            let product = Product::new(&lhs, &rhs, &call.dims);
            let strides = product.lhs.contracting.stride().zip(product.rhs.contracting.stride());
            let blocks = strides.map(|(lhs, rhs)| Slim::Blocks { lhs, rhs });
            for isa in Isa::available() {
                for way in [None, Some(Slim::Outputs)].into_iter().chain(blocks.map(Some)) {
                    // SAFETY: both ways write every output.
                    let found = unsafe {
                        filled(expected.len(), |out| match way {
                            Some(slim) => slim.multiply(isa, &product, out),
                            None => blocked::multiply(isa, &product, out),
                        })
                    };
                    let found = ndarray::ArrayD::from_shape_vec(expected.raw_dim(), found).unwrap();
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
        check([&[2], &[1040], &[], &[1, 3]], 8);
        check([&[], &[1, 2], &[1, 9], &[1025, 2048, 5000]], 12);
        check([&[], &[], &[], &[8192, 9000, 17_000]], 12);
    }
}
