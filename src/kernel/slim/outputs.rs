#![allow(unsafe_code, reason = "reads through the offsets of a walk, in functions compiled for an instruction set")]
//! Term by term: runs of neighbouring outputs take a term at once.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::super::BLOCK;
use super::super::element::{Element, Real, Wide};
use super::super::isa::Isa;
use super::super::outputs::Outputs;
use super::super::parts;
use super::super::product::Product;
use super::super::tile::Start;
use super::{GRAIN, LEAST, first, inner};
use crate::cancel::Pace;

/// Outputs that take a term together.
const OUTPUTS: usize = 1024;

/// The outputs from `start` on.
pub(super) fn by_outputs<T: Real, O: Real<Wide = T::Wide>>(
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
pub(in crate::kernel) fn go_on<T: Real>(
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

macro_rules! compiled {
    ($($name:ident $(on $arch:literal with $features:literal)?;)*) => {$(
        $(#[cfg(target_arch = $arch)] #[target_feature(enable = $features)])?
        unsafe fn $name<T: Real>(sides: [Line<'_, T>; 2], sums: &mut [T::Wide]) {
            // SAFETY: the caller's promise, passed on.
            unsafe { lines(sides, sums) }
        }
    )*};
}

compiled! {
    lines_portable;
    lines_avx2 on "x86_64" with "avx2,fma";
    lines_avx512 on "x86_64" with "avx512f,avx512bw";
    lines_neon on "aarch64" with "neon";
}
