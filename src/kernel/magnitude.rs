#![allow(unsafe_code, reason = "reads through the strides of a view")]
//! The largest magnitudes over axes.
//!
//! Magnitudes are compared as the integers that their bits are, which orders them as the floats they are and puts NaN
//! above all: so a maximum is NaN where one value is, the order of comparisons does not matter, and loops over them
//! vectorize. An array is read in the order in which it lies in memory, whatever the order of its axes.

use std::ops::Range;

use ndarray::{ArrayD, ArrayViewD, Axis, IxDyn, Slice};
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use smallvec::SmallVec;

use super::isa::{Isa, Vectorized};
use super::parts;
use crate::cancel::{self, Pace};

/// Elements that keep a thread busy for about a tenth of a millisecond.
const LEAST: usize = 1 << 18;

/// The bits of the largest magnitude over `axes`, which keep extent 1; those of zero where there is nothing.
pub(super) fn largest(isa: Isa, x: &ArrayViewD<'_, f32>, axes: &[usize]) -> ArrayD<u32> {
    let threads = parts::threads(x.len(), LEAST);
    // Along the axis whose elements lie furthest apart, each thread reads memory of its own.
    let furthest =
        (0..x.ndim()).filter(|&axis| x.shape()[axis] > 1).max_by_key(|&axis| x.strides()[axis].unsigned_abs());
    let Some(axis) = furthest.filter(|_| threads > 1) else { return largest_of(isa, x, axes) };
    let pieces: Vec<_> = parts::equal(x.shape()[axis], threads, 1).collect();
    let of = |piece: Range<usize>| largest_of(isa, &x.slice_axis(Axis(axis), Slice::from(piece)), axes);
    let found: Vec<ArrayD<u32>> =
        cancel::aside(|token| pieces.into_par_iter().map(|piece| cancel::on_behalf(token, || of(piece))).collect());
    if !axes.contains(&axis) {
        let views: Vec<_> = found.iter().map(|piece| piece.view()).collect();
        return ndarray::concatenate(Axis(axis), &views).expect("pieces of one array fit together");
    }
    let all = found.into_iter().reduce(|mut all, piece| {
        all.zip_mut_with(&piece, |most, &other| *most = other.max(*most));
        all
    });
    all.expect("there are as many pieces as threads")
}

/// The same on one thread.
fn largest_of(isa: Isa, x: &ArrayViewD<'_, f32>, axes: &[usize]) -> ArrayD<u32> {
    let extent = |(axis, &size): (usize, &usize)| if axes.contains(&axis) { 1 } else { size };
    let shape: SmallVec<[usize; 8]> = x.shape().iter().enumerate().map(extent).collect();
    let mut largest = ArrayD::zeros(IxDyn(&shape));
    if x.is_empty() {
        return largest;
    }
    let loops = loops(x, largest.strides(), axes);
    let out = largest.as_slice_mut().expect("a new array is in standard layout");
    isa.run(Largest { first: x.as_ptr(), loops: &loops, out });
    largest
}

/// An axis of the array: its size, how far its elements lie apart, and how far their results do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Loop {
    size: usize,
    step: isize,
    out: isize,
}

/// The axes in the order in which the array lies in memory, those that are one in both arrays merged. There is at least one.
fn loops(x: &ArrayViewD<'_, f32>, out: &[isize], axes: &[usize]) -> SmallVec<[Loop; 6]> {
    let mut all: SmallVec<[Loop; 6]> = (0..x.ndim())
        .map(|axis| {
            let out = if axes.contains(&axis) { 0 } else { out[axis] };
            Loop { size: x.shape()[axis], step: x.strides()[axis], out }
        })
        // A repeated element is one, where it is for one result.
        .filter(|each| each.size != 1 && (each.step, each.out) != (0, 0))
        .collect();
    all.sort_by_key(|each| std::cmp::Reverse(each.step.unsigned_abs()));
    let mut merged: SmallVec<[Loop; 6]> = SmallVec::new();
    for inner in all {
        let size = inner.size as isize;
        match merged.last_mut() {
            Some(outer) if outer.step == inner.step * size && outer.out == inner.out * size => {
                *outer = Loop { size: outer.size * inner.size, ..inner };
            }
            _ => merged.push(inner),
        }
    }
    if merged.is_empty() {
        merged.push(Loop { size: 1, step: 1, out: 1 });
    }
    merged
}

struct Largest<'a> {
    /// The loops together reach elements of a view, and results in `out`.
    first: *const f32,
    loops: &'a [Loop],
    out: &'a mut [u32],
}

impl Vectorized for Largest<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { first, loops, out } = self;
        let Some((&inner, outer)) = loops.split_last() else { return };
        let mut index: SmallVec<[usize; 6]> = outer.iter().map(|_| 0).collect();
        let (mut offset, mut to) = (0_isize, 0_isize);
        let mut pace = Pace::new();
        loop {
            pace.did(inner.size);
            line(first.wrapping_offset(offset), inner, &mut out[to as usize..]);
            // The next index of the outer loops, the last one fastest.
            let mut axis = outer.len();
            loop {
                let Some(before) = axis.checked_sub(1) else { return };
                axis = before;
                let Loop { size, step, out } = outer[axis];
                index[axis] += 1;
                offset += step;
                to += out;
                if index[axis] < size {
                    break;
                }
                index[axis] = 0;
                offset -= step * size as isize;
                to -= out * size as isize;
            }
        }
    }
}

/// The innermost loop.
#[inline(always)]
fn line(first: *const f32, Loop { size, step, out: apart }: Loop, out: &mut [u32]) {
    let magnitude = |x: f32| x.to_bits() & 0x7fff_ffff;
    if step != 1 {
        for at in 0..size {
            // SAFETY: an element of the view.
            let x = unsafe { *first.offset(at as isize * step) };
            let most = &mut out[at * apart as usize];
            *most = magnitude(x).max(*most);
        }
        return;
    }
    // SAFETY: elements of the view, which lie together.
    let elements = unsafe { std::slice::from_raw_parts(first, size) };
    match apart {
        0 => {
            // A maximum in one variable, which compilers know how to divide among vectors.
            let most = elements.iter().map(|&x| magnitude(x)).fold(0, u32::max);
            out[0] = most.max(out[0]);
        }
        1 => {
            for (most, &x) in out[..size].iter_mut().zip(elements) {
                *most = magnitude(x).max(*most);
            }
        }
        _ => {
            for (most, &x) in out.iter_mut().step_by(apart as usize).zip(elements) {
                *most = magnitude(x).max(*most);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Dimension as _;

    use super::*;
    use crate::kernel::cases::{Random, Stored, Values, seeds};

    #[test]
    fn every_way_through_an_array_finds_the_largest() {
        for seed in seeds(400) {
            let mut random = Random(seed);
            let rank = random.below(5);
            let shape: Vec<usize> = (0..rank).map(|_| random.size(&[0, 1, 2, 3, 7, 33, 40])).collect();
            let stored = Stored::<f32>::random(&mut random, &shape, Values::All);
            let view = stored.view();
            let axes: Vec<usize> = (0..rank).filter(|_| random.below(2) == 0).collect();
            let mut shape = shape;
            for &axis in &axes {
                shape[axis] = 1;
            }
            let mut expected = ArrayD::<u32>::zeros(IxDyn(&shape));
            for (at, x) in view.indexed_iter() {
                let at: Vec<usize> = at.slice().iter().zip(&shape).map(|(&at, &size)| at.min(size - 1)).collect();
                let most = &mut expected[IxDyn(&at)];
                *most = (x.to_bits() & 0x7fff_ffff).max(*most);
            }
            for isa in Isa::available() {
                assert_eq!(
                    largest(isa, &view, &axes),
                    expected,
                    "{isa:?} seed {seed}, {:?} over {axes:?}",
                    view.shape()
                );
            }
        }
    }
}
