#![allow(unsafe_code, reason = "reads through the strides of a view")]
//! The elements of a view in row-major order, a run of them at a time.
//!
//! What is done to elements in their logical order, as adding noise is, is done to runs of them that lie together. Where
//! they do not, they are copied together first.

use std::marker::PhantomData;
use std::ops::Range;

use ndarray::ArrayViewD;
use smallvec::SmallVec;

use super::isa::Vectorized;
use super::vectorized;

/// Floats of a line of the cache, and of a vector where they are widest.
const LINE: usize = 16;

/// A view that is read in row-major order.
pub(crate) struct RowMajor<'a> {
    first: *const f32,
    len: usize,
    /// Sizes and steps; axes that lie as one in memory are one, and there is at least one.
    axes: SmallVec<[(usize, isize); 6]>,
    /// An axis before the last, along which alone neighbours lie together.
    across: Option<Across>,
    view: PhantomData<&'a f32>,
}

/// An axis before the last one along which neighbours lie together in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Across {
    axis: usize,
    size: usize,
    /// Elements of one of its positions: the product of the sizes behind it.
    inner: usize,
}

// SAFETY: what is read is borrowed as shared floats, which threads may read side by side.
unsafe impl Send for RowMajor<'_> {}
// SAFETY: as above.
unsafe impl Sync for RowMajor<'_> {}

impl<'a> RowMajor<'a> {
    pub(crate) fn new(view: &ArrayViewD<'a, f32>) -> Self {
        let mut axes: SmallVec<[(usize, isize); 6]> = SmallVec::new();
        for (&size, &step) in view.shape().iter().zip(view.strides()) {
            match axes.last_mut() {
                _ if size == 1 => {}
                Some((outer, outer_step)) if *outer_step == step * size as isize => {
                    (*outer, *outer_step) = (*outer * size, step);
                }
                _ => axes.push((size, step)),
            }
        }
        if axes.is_empty() {
            axes.push((view.len(), 1));
        }
        let last = axes.len() - 1;
        let together = axes.iter().position(|&(_, step)| step == 1).filter(|&axis| axis < last);
        let across = together.map(|axis| {
            let inner = axes[axis + 1..].iter().map(|&(size, _)| size).product();
            Across { axis, size: axes[axis].0, inner }
        });
        Self { first: view.as_ptr(), len: view.len(), axes, across, view: PhantomData }
    }

    /// Elements that are best copied at once, so that a line of memory is read once.
    pub(crate) fn together(&self) -> usize {
        self.across.map_or(1, |across| LINE * across.inner)
    }

    /// All elements, where they lie together in this order.
    pub(crate) fn as_slice(&self) -> Option<&'a [f32]> {
        match self.axes[..] {
            // SAFETY: the elements of the view, which live as long as it does.
            [(_, 1)] => Some(unsafe { std::slice::from_raw_parts(self.first, self.len) }),
            // No element has an address to rely on.
            _ if self.len == 0 => Some(&[]),
            _ => None,
        }
    }

    /// Copies the elements from `start` on, as many as `out` has room for.
    pub(crate) fn copy(&self, start: usize, out: &mut [f32]) {
        assert!(start <= self.len && out.len() <= self.len - start);
        vectorized(Copy { from: self, start, out });
    }

    /// How far an element of these axes lies from their first.
    #[inline(always)]
    fn offset(&self, axes: Range<usize>, mut element: usize) -> isize {
        let mut offset = 0;
        for &(size, step) in self.axes[axes].iter().rev() {
            offset += (element % size) as isize * step;
            element /= size;
        }
        offset
    }
}

struct Copy<'a, 'v> {
    from: &'a RowMajor<'v>,
    /// With the length of `out`, elements that there are.
    start: usize,
    out: &'a mut [f32],
}

impl Vectorized for Copy<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { from, start, mut out } = self;
        let rank = from.axes.len();
        let (last, step) = from.axes[rank - 1];
        let mut at = start;
        while !out.is_empty() {
            let first = from.first.wrapping_offset(from.offset(0..rank, at));
            let whole = from.across.filter(|across| at.is_multiple_of(across.inner) && out.len() >= across.inner);
            let run = if let Some(across) = whole {
                let left = across.size - at / across.inner % across.size;
                let positions = left.min(out.len() / across.inner);
                from.copy_across(across, first, positions, &mut out[..positions * across.inner]);
                positions * across.inner
            } else {
                let run = (last - at % last).min(out.len());
                line(first, step, &mut out[..run]);
                run
            };
            out = &mut out[run..];
            at += run;
        }
    }
}

impl RowMajor<'_> {
    /// Copies all that belongs to some positions of the axis whose neighbours lie together; `first` is the first of it.
    #[inline(always)]
    fn copy_across(&self, across: Across, first: *const f32, positions: usize, out: &mut [f32]) {
        let rank = self.axes.len();
        let (last, step) = self.axes[rank - 1];
        for row in 0..across.inner / last {
            let first = first.wrapping_offset(self.offset(across.axis + 1..rank - 1, row));
            let mut position = 0;
            while position < positions {
                let mut column = 0;
                let tall = positions - position >= LINE;
                while column < last {
                    let first = first.wrapping_offset(position as isize + column as isize * step);
                    let to = position * across.inner + row * last + column;
                    if tall && last - column >= LINE {
                        transpose(first, step, &mut out[to..], across.inner);
                        column += LINE;
                    } else {
                        for position in 0..LINE.min(positions - position) {
                            // SAFETY: an element of the view.
                            out[to + position * across.inner] = unsafe { *first.wrapping_add(position) };
                        }
                        column += 1;
                    }
                }
                position += LINE;
            }
        }
    }
}

/// A line of elements that are so far apart.
#[inline(always)]
fn line(first: *const f32, step: isize, out: &mut [f32]) {
    if step == 1 {
        // SAFETY: elements of the view, which lie together.
        out.copy_from_slice(unsafe { std::slice::from_raw_parts(first, out.len()) });
        return;
    }
    for (at, out) in out.iter_mut().enumerate() {
        // SAFETY: an element of the view.
        *out = unsafe { *first.wrapping_offset(at as isize * step) };
    }
}

/// Writes columns of neighbours, so far apart, as rows that lie so far apart.
#[inline(always)]
fn transpose(first: *const f32, step: isize, out: &mut [f32], apart: usize) {
    // SAFETY: elements of the view; those of a column lie together.
    let columns: [[f32; LINE]; LINE] = std::array::from_fn(|column| unsafe {
        first.wrapping_offset(column as isize * step).cast::<[f32; LINE]>().read()
    });
    for row in 0..LINE {
        let out = &mut out[row * apart..][..LINE];
        for column in 0..LINE {
            out[column] = columns[column][row];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::cases::{Random, Stored, Values, seeds};
    use crate::kernel::isa::Isa;

    #[test]
    fn every_run_of_every_layout_is_what_the_view_iterates() {
        for seed in seeds(400) {
            let mut random = Random(seed);
            let rank = random.below(5);
            let shape: Vec<usize> = (0..rank).map(|_| random.size(&[0, 1, 2, 3, 7, 17, 40])).collect();
            let stored = Stored::<f32>::random(&mut random, &shape, Values::Finite);
            let view = stored.view();
            let expected: Vec<u32> = view.iter().map(|x| x.to_bits()).collect();
            let rows = RowMajor::new(&view);
            if let Some(all) = rows.as_slice() {
                assert_eq!(all.iter().map(|x| x.to_bits()).collect::<Vec<_>>(), expected);
            }
            for _ in 0..6 {
                let start = random.below(expected.len() + 1);
                let len = random.below(expected.len() - start + 1);
                // Whole positions, too.
                let grain = random.pick(&[1, rows.together(), rows.together() / LINE]).max(1);
                let start = start / grain * grain;
                for isa in Isa::available() {
                    let mut out = vec![0.0; len];
                    isa.run(Copy { from: &rows, start, out: &mut out });
                    let found: Vec<u32> = out.iter().map(|x| x.to_bits()).collect();
                    assert_eq!(found, expected[start..start + len], "{isa:?} seed {seed} from {start}");
                }
            }
        }
    }
}
