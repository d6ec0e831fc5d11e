#![allow(unsafe_code, reason = "reads through the offsets of a walk, in functions compiled for an instruction set")]
//! Block by block: where terms are what lies together in memory, several blocks run side by side.

use std::mem::MaybeUninit;

use super::super::BLOCK;
use super::super::element::{Element, Real, Wide};
use super::super::isa::Isa;
use super::super::product::Product;
use super::first;
use crate::cancel::Pace;

/// Blocks that run side by side: as many as hide the latency of a fused multiply-add.
pub(super) const CHAINS: usize = 8;

/// Blocks that run side by side in the lanes of a vector, where their terms can be brought there.
const LANES: usize = 16;

/// Bytes of a side that no cache near the processor holds.
const FAR: usize = 1 << 20;

/// A block of an output: where its terms start on both sides, how many there are.
#[derive(Clone, Copy, Debug)]
struct Chain<T> {
    lhs: *const T,
    rhs: *const T,
    terms: usize,
}

/// The outputs from `start` on.
pub(super) fn by_blocks<T: Real, O: Real<Wide = T::Wide>>(
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
    use super::super::x86::{self, Factors};

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
    ($($name:ident $(on $arch:literal with $features:literal)?;)*) => {$(
        $(#[cfg(target_arch = $arch)] #[target_feature(enable = $features)])?
        unsafe fn $name<T: Real>(chains: &[Chain<T>], strides: [isize; 2], sums: &mut [T::Wide; CHAINS]) {
            // SAFETY: the caller's promise, passed on.
            unsafe { side_by_side(chains, strides, sums) }
        }
    )*};
}

compiled! {
    side_by_side_portable;
    side_by_side_avx2 on "x86_64" with "avx2,fma";
    side_by_side_avx512 on "x86_64" with "avx512f,avx512bw";
    side_by_side_neon on "aarch64" with "neon";
}
