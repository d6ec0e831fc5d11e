#![allow(unsafe_code, reason = "reads through the offsets of a walk, in functions compiled for an instruction set")]
//! Float products with next to nothing to reuse: vector dots, matrix-vector and elementwise products, sums.
//!
//! Each element is read about once, so nothing is packed. Either many neighbouring outputs take a term at once, or,
//! where the terms are what lies together in memory, several blocks run side by side.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::BLOCK;
use super::element::{Element, Real, Wide};
use super::isa::{Isa, Vectorized};
use super::outputs::Outputs;
use super::parts;
use super::product::{Loop, Product};
use super::stream::Stores;
use super::tile::Start;
use crate::cancel::Pace;

/// Outputs that take a term together.
const OUTPUTS: usize = 1024;

/// Blocks that run side by side: as many as hide the latency of a fused multiply-add.
const CHAINS: usize = 8;

/// Blocks that run side by side in the lanes of a vector, where their terms can be brought there.
const LANES: usize = 16;

/// Rows of one side from which on it is packed for one row of the other; half as many for two.
const PACKED_ROWS: usize = 32;

/// Bytes of a side that no cache near the processor holds.
const FAR: usize = 1 << 20;

/// Multiplications that take about a tenth of a millisecond: as many as there are elements to read.
const LEAST: usize = 1 << 19;

/// Outputs that are not divided among threads: a few vectors, and whole lines of a cache.
const GRAIN: usize = 64;

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
                Self::Outputs => by_outputs(isa, product, outputs.start, out),
                Self::Blocks { lhs, rhs } => by_blocks(isa, product, outputs.start, [lhs, rhs], out),
            }
            stores.finish();
        });
    }
}

/// The axis of the output whose outputs are neighbours.
fn inner<T>(product: &Product<'_, T>) -> Loop {
    product.loops.last().copied().unwrap_or(Loop { size: 1, lhs: 0, rhs: 0 })
}

/// The outputs from `start` on, each of which is one product.
struct Singles<'a, 'p, T, O> {
    product: &'a Product<'p, T>,
    start: usize,
    out: &'a mut [MaybeUninit<O>],
    stores: Stores,
}

/// Products between two questions whether they are wanted.
const TOGETHER: usize = 1 << 16;

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

/// The outputs from `start` on.
fn by_outputs<T: Real, O: Real<Wide = T::Wide>>(
    isa: Isa,
    product: &Product<'_, T>,
    start: usize,
    out: &mut [MaybeUninit<O>],
) {
    let (terms, inner) = (product.terms(), inner(product));
    let trees = usize::BITS - (terms.div_ceil(BLOCK) - 1).leading_zeros();
    let mut trees = vec![vec![T::Wide::ZERO; inner.size.min(OUTPUTS)]; trees as usize];
    let mut sums = vec![T::Wide::ZERO; inner.size.min(OUTPUTS)];
    let [mut left_terms, mut right_terms] = [const { Vec::new() }; 2];
    let (mut out, mut position) = (out, start);
    let mut pace = Pace::new();
    while !out.is_empty() {
        let here;
        (here, out) = out.split_at_mut((inner.size - position % inner.size).min(out.len()));
        for out in here.chunks_mut(OUTPUTS) {
            let [lhs, rhs] = first(product, position);
            position += out.len();
            let sums = &mut sums[..out.len()];
            for (block, start) in (0..terms).step_by(BLOCK).enumerate() {
                let here = start..terms.min(start + BLOCK);
                pace.did(sums.len() * here.len());
                product.lhs.contracting.offsets(&here, &mut left_terms);
                product.rhs.contracting.offsets(&here, &mut right_terms);
                sums.fill(T::Wide::ZERO);
                let sides = [(lhs, left_terms.as_slice(), inner.lhs), (rhs, right_terms.as_slice(), inner.rhs)];
                // SAFETY: the pointers are to the elements of an output, whose neighbours are so many steps along the inner axis,
                // and the offsets are of the contracting walks.
                unsafe { add_lines(isa, sides, sums) };
                let last = here.end == terms;
                let merged = if last { usize::BITS } else { block.trailing_ones() };
                for (_, tree) in
                    trees.iter().enumerate().take(merged as usize).filter(|(size, _)| block >> size & 1 == 1)
                {
                    sums.iter_mut().zip(tree).for_each(|(sum, &left)| *sum = left.plus(*sum));
                }
                if last {
                    out.iter_mut().zip(&*sums).for_each(|(out, &sum)| *out = MaybeUninit::new(O::narrow(sum)));
                } else {
                    trees[merged as usize][..sums.len()].copy_from_slice(sums);
                }
            }
        }
    }
}

/// Adds some terms of one block to the chain of every output, or starts the chains with them; there are outputs, which are
/// sums already where it starts from them.
pub(super) fn go_on<T: Real>(
    isa: Isa,
    product: &Product<'_, T>,
    terms: &Range<usize>,
    start: Start,
    out: &Outputs<'_, T::Wide>,
) {
    assert_eq!(out.len(), product.outputs());
    debug_assert!(terms.len() <= BLOCK);
    let inner = inner(product);
    let threads = parts::threads(out.len().saturating_mul(terms.len()), LEAST);
    let pieces = if threads == 1 { 1 } else { 4 * threads };
    let [mut left_terms, mut right_terms] = [const { Vec::new() }; 2];
    product.lhs.contracting.offsets(terms, &mut left_terms);
    product.rhs.contracting.offsets(terms, &mut right_terms);
    let offsets = [left_terms.as_slice(), right_terms.as_slice()];
    parts::run(parts::equal(out.len(), pieces, GRAIN).collect(), |outputs: Range<usize>| {
        let mut position = outputs.start;
        let mut pace = Pace::new();
        while position < outputs.end {
            let run = (inner.size - position % inner.size).min(outputs.end - position).min(OUTPUTS);
            pace.did(run * terms.len());
            let [lhs, rhs] = first(product, position);
            // SAFETY: the ranges do not meet.
            let here = unsafe { out.range(position..position + run) };
            if start == Start::Zero {
                here.fill(MaybeUninit::new(T::Wide::ZERO));
            }
            // SAFETY: sums that are there, or zeros.
            let sums = unsafe { &mut *(std::ptr::from_mut(here) as *mut [T::Wide]) };
            // SAFETY: the pointers are to the elements of an output, whose neighbours are so many steps along the inner axis,
            // and the offsets are of the contracting walks.
            unsafe { add_lines(isa, [(lhs, offsets[0], inner.lhs), (rhs, offsets[1], inner.rhs)], sums) };
            position += run;
        }
    });
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

/// A side's element, the offsets of its terms and how far its elements for neighbouring outputs lie apart.
type Line<'a, T> = (*const T, &'a [isize], isize);

/// Adds every term to every sum; the instruction set was detected.
unsafe fn add_lines<T: Real>(isa: Isa, sides: [Line<'_, T>; 2], sums: &mut [T::Wide]) {
    // SAFETY: the caller vouches for every address.
    unsafe {
        match isa {
            Isa::Portable => lines_portable(sides, sums),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 | Isa::AvxVnni => lines_avx2(sides, sums),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 | Isa::Vnni => lines_avx512(sides, sums),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon | Isa::DotProd => lines_neon(sides, sums),
        }
    }
}

/// Adds every term to every sum.
#[inline(always)]
unsafe fn lines<T: Real>(
    [(lhs, lhs_terms, lhs_step), (rhs, rhs_terms, rhs_step)]: [Line<'_, T>; 2],
    sums: &mut [T::Wide],
) {
    for (&left, &right) in lhs_terms.iter().zip(rhs_terms) {
        // SAFETY: the caller vouches for every address.
        unsafe {
            let (lhs, rhs) = (lhs.offset(left), rhs.offset(right));
            match (lhs_step, rhs_step) {
                (0, 1) => {
                    let left = (*lhs).widen();
                    for (at, sum) in sums.iter_mut().enumerate() {
                        *sum = Wide::mul_add(left, (*rhs.add(at)).widen(), *sum);
                    }
                }
                (1, 0) => {
                    let right = (*rhs).widen();
                    for (at, sum) in sums.iter_mut().enumerate() {
                        *sum = Wide::mul_add((*lhs.add(at)).widen(), right, *sum);
                    }
                }
                (1, 1) => {
                    for (at, sum) in sums.iter_mut().enumerate() {
                        *sum = Wide::mul_add((*lhs.add(at)).widen(), (*rhs.add(at)).widen(), *sum);
                    }
                }
                _ => {
                    for (at, sum) in sums.iter_mut().enumerate() {
                        let at = at as isize;
                        let (left, right) = (*lhs.offset(at * lhs_step), *rhs.offset(at * rhs_step));
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
fn by_blocks<T: Real, O: Real<Wide = T::Wide>>(
    isa: Isa,
    product: &Product<'_, T>,
    start: usize,
    strides: [isize; 2],
    out: &mut [MaybeUninit<O>],
) {
    let terms = product.terms();
    let blocks = terms.div_ceil(BLOCK);
    let mut trees: Vec<T::Wide> = Vec::new();
    let end = start + out.len();
    let far = out.len().saturating_mul(terms).saturating_mul(size_of::<T>()) >= FAR;
    let mut outputs = out.iter_mut();
    let mut pace = Pace::new();
    let mut chains: Vec<Chain<T>> = Vec::with_capacity(LANES);
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
            if chains.len() < LANES && (output + 1 < end || block + 1 < blocks) {
                continue;
            }
            pace.did(chains.len() * terms.min(BLOCK));
            if far {
                // SAFETY: the terms of the chains.
                unsafe { fetch(&chains, strides) };
            }
            // SAFETY: the instruction set was detected; the chains start at an operand's element and follow its
            // contracting walk, which has this one stride.
            let sums = unsafe { sums(isa, &chains, strides) };
            for &sum in &sums[..chains.len()] {
                let block = done % blocks;
                done += 1;
                let last = block + 1 == blocks;
                let merged = if last { trees.len() } else { block.trailing_ones() as usize };
                let sum = trees.drain(trees.len() - merged..).rev().fold(sum, |sum, left| left.plus(sum));
                if !last {
                    trees.push(sum);
                } else if let Some(out) = outputs.next() {
                    out.write(O::narrow(sum));
                }
            }
            chains.clear();
        }
    }
}

/// Reads a little of every line of the chains, one line after the other: in the order of memory, which is how it is fastest,
/// and not that of chains side by side. They are then in a cache for whoever reads them so.
unsafe fn fetch<T: Copy>(chains: &[Chain<T>], strides: [isize; 2]) {
    const LINE: usize = 64;
    let sides: [fn(&Chain<T>) -> *const T; 2] = [|chain| chain.lhs, |chain| chain.rhs];
    for (side, _) in sides.into_iter().zip(strides).filter(|(_, stride)| *stride == 1) {
        for chain in chains {
            for at in (0..chain.terms).step_by(LINE / size_of::<T>()) {
                // SAFETY: a term of the chain.
                unsafe { side(chain).add(at).read_volatile() };
            }
        }
    }
}

/// The sum of every chain; at most [`LANES`].
unsafe fn sums<T: Real>(isa: Isa, chains: &[Chain<T>], strides: [isize; 2]) -> [T::Wide; LANES] {
    // SAFETY: the caller's promise, passed on.
    if let Some(sums) = unsafe { in_lanes(isa, chains, strides) } {
        return sums;
    }
    let mut made = [T::Wide::ZERO; LANES];
    for (chains, sums) in chains.chunks(CHAINS).zip(made.as_chunks_mut().0) {
        // SAFETY: as above.
        unsafe {
            match isa {
                Isa::Portable => side_by_side_portable(chains, strides, sums),
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 | Isa::AvxVnni => side_by_side_avx2(chains, strides, sums),
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512 | Isa::Vnni => side_by_side_avx512(chains, strides, sums),
                #[cfg(target_arch = "aarch64")]
                Isa::Neon | Isa::DotProd => side_by_side_neon(chains, strides, sums),
            }
        }
    }
    made
}

/// The sums of as many chains as a vector has lanes, where neighbouring terms can be exchanged with those of other chains.
#[cfg(target_arch = "x86_64")]
unsafe fn in_lanes<T: Real>(isa: Isa, chains: &[Chain<T>], strides: [isize; 2]) -> Option<[T::Wide; LANES]> {
    use super::x86::{self, Factors};

    let chains = <&[Chain<T>; LANES]>::try_from(chains).ok()?;
    let terms = chains[0].terms;
    let floats = size_of::<T::Wide>() == size_of::<f32>() && T::as_wide(chains[0].lhs).is_some();
    if !floats || !matches!(isa, Isa::Avx512 | Isa::Vnni) || chains.iter().any(|chain| chain.terms != terms) {
        return None;
    }
    let [lhs, rhs] = [chains.map(|chain| chain.lhs.cast::<f32>()), chains.map(|chain| chain.rhs.cast::<f32>())];
    // SAFETY: the instruction set was detected, elements are `f32` and so are their sums, and the chains have these terms.
    unsafe {
        let made = match strides {
            [1, 1] => x86::chains(&lhs, Factors::Rows(&rhs), terms),
            [1, 0] => x86::chains(&lhs, Factors::Same(rhs.map(|factor| *factor)), terms),
            [0, 1] => x86::chains(&rhs, Factors::Same(lhs.map(|factor| *factor)), terms),
            _ => return None,
        };
        Some((&raw const made).cast::<[T::Wide; LANES]>().read())
    }
}

#[cfg(not(target_arch = "x86_64"))]
unsafe fn in_lanes<T: Real>(_: Isa, _: &[Chain<T>], _: [isize; 2]) -> Option<[T::Wide; LANES]> {
    None
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
    ($($lines:ident, $side_by_side:ident $(on $arch:literal with $features:literal)?;)*) => {$(
        $(#[cfg(target_arch = $arch)] #[target_feature(enable = $features)])?
        unsafe fn $lines<T: Real>(sides: [Line<'_, T>; 2], sums: &mut [T::Wide]) {
            // SAFETY: the caller's promise, passed on.
            unsafe { lines(sides, sums) }
        }

        $(#[cfg(target_arch = $arch)] #[target_feature(enable = $features)])?
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
    lines_avx2, side_by_side_avx2 on "x86_64" with "avx2,fma";
    lines_avx512, side_by_side_avx512 on "x86_64" with "avx512f,avx512bw";
    lines_neon, side_by_side_neon on "aarch64" with "neon";
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
