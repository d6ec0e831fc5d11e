#![allow(unsafe_code, reason = "reads and writes through the strides of a view and of its copy")]
//! Copies of strided views, in row-major order.
//!
//! Where neighbours in the copy are no neighbours in the view, other elements of the view are: those along another axis. The
//! two axes make a plane, which is copied in tiles of a line of the cache each way. A line is then read once and written once,
//! however far apart the lines are.

use std::ops::Range;

use ndarray::{ArrayD, ArrayViewD};
use smallvec::SmallVec;

use super::isa::{Isa, Vectorized};
use super::order::Order;
use super::outputs::{Outputs, array};
use super::parts;
use super::stream::Stores;
use crate::cancel::Pace;

/// Bytes that take about a tenth of a millisecond to copy.
const LEAST: usize = 1 << 20;

/// Elements of a run that are copied at once.
const RUN: usize = 1 << 13;

/// Tiles of a block, one behind the other along neighbours of the view.
const TILES: usize = 4;

/// An axis of the copy, and how far neighbours are apart in the view and in the copy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Along {
    size: usize,
    from: isize,
    to: usize,
}

/// Nothing goes along this.
const NOWHERE: Along = Along { size: 1, from: 0, to: 0 };

/// A new array of the elements of a view, in row-major order.
pub(super) fn row_major<T: Copy + Send + Sync>(isa: Isa, view: &ArrayViewD<'_, T>) -> ArrayD<T> {
    let order = Order::row_major(view.ndim());
    // SAFETY: the blocks of all axes are the whole array.
    unsafe {
        array(view.shape(), &order, |out| match size_of::<T>() {
            2 => copy::<T, 32>(isa, view, &order, out),
            4 => copy::<T, 16>(isa, view, &order, out),
            8 => copy::<T, 8>(isa, view, &order, out),
            _ => copy::<T, 4>(isa, view, &order, out),
        })
    }
}

/// Writes all elements; so many of them are a line of the cache, or about that.
fn copy<T: Copy + Send + Sync, const LINE: usize>(
    isa: Isa,
    view: &ArrayViewD<'_, T>,
    order: &Order,
    out: &Outputs<'_, T>,
) {
    if out.len() == 0 {
        return;
    }
    let mut axes = axes(view, order);
    let last = axes.pop().unwrap_or(Along { size: 1, from: 1, to: 1 });
    // Neighbours in the view are best, and where there are none what is closest.
    let nearest = || (0..axes.len()).min_by_key(|&axis| (axes[axis].from.unsigned_abs().wrapping_sub(1), axis));
    let across = match (last.from, axes.len()) {
        (_, 0) => NOWHERE,
        // What lies together is copied together, row after row.
        (1, rank) => axes.remove(rank - 1),
        _ => nearest().map_or(NOWHERE, |axis| axes.remove(axis)),
    };
    let edges = if last.from == 1 {
        [(RUN / last.size).clamp(1, across.size), RUN.min(last.size)]
    } else {
        // As many elements where one of them is short.
        let rows = (TILES * LINE * (LINE / last.size).max(1)).min(across.size);
        [rows, (LINE * (TILES * LINE / rows).max(1)).min(last.size)]
    };
    let mut loops: SmallVec<[Loop; 8]> = axes.iter().map(|&along| Loop { along, of: Of::Others }).collect();
    for (of, along, edge) in [(Of::Across, across, edges[0]), (Of::Last, last, edges[1])] {
        let (size, from, to) = (along.size.div_ceil(edge), along.from * edge as isize, along.to * edge);
        loops.push(Loop { along: Along { size, from, to }, of });
    }
    // The next block is the one that is closest by: pages, and lines that two blocks share, are then still at hand.
    loops.sort_by_key(|each| std::cmp::Reverse(each.along.from.unsigned_abs().saturating_add(each.along.to)));
    let count = loops.iter().map(|each| each.along.size).product();
    let threads = parts::threads(out.len().saturating_mul(size_of::<T>()), LEAST);
    let pieces = if threads == 1 { 1 } else { 4 * threads };
    let (source, stores) = (Source(view.as_ptr()), Stores::of::<T>(out.len()));
    parts::run(parts::equal(count, pieces, 1).collect(), |blocks: Range<usize>| {
        let (from, to) = (source.pointer(), out.pointer(0..out.len()));
        isa.run(Blocks::<T, LINE> { isa, from, to, loops: &loops, across, last, edges, range: blocks, stores });
        stores.finish();
    });
}

/// The first element of a view.
struct Source<T>(*const T);

impl<T> Source<T> {
    fn pointer(&self) -> *const T {
        self.0
    }
}

// SAFETY: what is read through it is borrowed as shared elements, which threads may read side by side.
unsafe impl<T: Sync> Sync for Source<T> {}

/// The axes of the copy, the fastest last; those that are one on both sides are merged.
fn axes<T>(view: &ArrayViewD<'_, T>, order: &Order) -> SmallVec<[Along; 8]> {
    let mut axes: SmallVec<[Along; 8]> = SmallVec::new();
    let strides = order.strides(view.shape());
    for ((&size, &from), &to) in view.shape().iter().zip(view.strides()).zip(&strides) {
        match axes.last_mut() {
            _ if size == 1 => {}
            // In row-major order the copy's neighbours always are as far apart as the view's have to be.
            Some(outer) if outer.from == from * size as isize => *outer = Along { size: outer.size * size, from, to },
            _ => axes.push(Along { size, from, to }),
        }
    }
    axes
}

/// A loop over blocks.
#[derive(Clone, Copy)]
struct Loop {
    along: Along,
    of: Of,
}

/// What the blocks of a loop are along.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Others,
    Across,
    Last,
}

/// Some blocks of a view and of its copy.
struct Blocks<'a, T, const LINE: usize> {
    isa: Isa,
    from: *const T,
    to: *mut T,
    /// The slowest first.
    loops: &'a [Loop],
    across: Along,
    last: Along,
    /// Elements of a block along these two.
    edges: [usize; 2],
    range: Range<usize>,
    stores: Stores,
}

impl<T: Copy, const LINE: usize> Vectorized for Blocks<'_, T, LINE> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { isa, from, to, loops, across, last, edges, range, stores } = self;
        let mut place: SmallVec<[usize; 8]> = SmallVec::from_elem(0, loops.len());
        let (mut rest, mut from_offset, mut to_offset) = (range.start, 0, 0);
        for (place, Loop { along, .. }) in place.iter_mut().zip(loops).rev() {
            (*place, rest) = (rest % along.size, rest / along.size);
            from_offset += *place as isize * along.from;
            to_offset += *place * along.to;
        }
        let of = |of: Of| loops.iter().position(|each| each.of == of).expect("there is a loop of each");
        let [row, column] = [of(Of::Across), of(Of::Last)];
        let mut pace = Pace::new();
        for _ in range {
            let rows = edges[0].min(across.size - place[row] * edges[0]);
            let columns = edges[1].min(last.size - place[column] * edges[1]);
            pace.did(rows * columns);
            let plane = Plane {
                from: from.wrapping_offset(from_offset),
                to: to.wrapping_add(to_offset),
                across: Along { size: rows, ..across },
                last: Along { size: columns, ..last },
            };
            // SAFETY: a block of the view and of its copy, which is this thread's.
            unsafe {
                match (across.from, last.from) {
                    (_, 1) => plane.runs::<LINE>(stores),
                    (1, _) => plane.tiles::<LINE>(isa, stores),
                    _ => plane.elements(),
                }
            }
            // The next block.
            for (place, Loop { along, .. }) in place.iter_mut().zip(loops).rev() {
                *place += 1;
                (from_offset, to_offset) = (from_offset + along.from, to_offset + along.to);
                if *place < along.size {
                    break;
                }
                *place = 0;
                from_offset -= along.size as isize * along.from;
                to_offset -= along.size * along.to;
            }
        }
    }
}

/// A block: two axes of it, of which the last is the fastest of the copy.
#[derive(Clone, Copy)]
struct Plane<T> {
    from: *const T,
    to: *mut T,
    across: Along,
    last: Along,
}

impl<T: Copy> Plane<T> {
    /// What begins further along, of these sizes.
    #[inline(always)]
    fn part(self, [across, last]: [Range<usize>; 2]) -> Self {
        let from = across.start as isize * self.across.from + last.start as isize * self.last.from;
        Self {
            from: self.from.wrapping_offset(from),
            to: self.to.wrapping_add(across.start * self.across.to + last.start),
            across: Along { size: across.len(), ..self.across },
            last: Along { size: last.len(), ..self.last },
        }
    }

    /// Copies runs that lie together on both sides.
    ///
    /// # Safety
    ///
    /// All elements can be read, and written by this thread alone; as for those below.
    #[inline(always)]
    unsafe fn runs<const LINE: usize>(self, stores: Stores) {
        for row in 0..self.across.size {
            let from = self.from.wrapping_offset(row as isize * self.across.from);
            let to = self.to.wrapping_add(row * self.across.to);
            // SAFETY: a row of both, which are different arrays.
            unsafe {
                match stores {
                    Stores::Cached => std::ptr::copy_nonoverlapping(from, to, self.last.size),
                    Stores::Streamed => {
                        let whole = to.align_offset(LINE * size_of::<T>()).min(self.last.size);
                        std::ptr::copy_nonoverlapping(from, to, whole);
                        let mut done = whole;
                        while done + LINE <= self.last.size {
                            let line = from.add(done).cast::<[T; LINE]>().read_unaligned();
                            stores.line(to.add(done), line);
                            done += LINE;
                        }
                        std::ptr::copy_nonoverlapping(from.add(done), to.add(done), self.last.size - done);
                    }
                }
            }
        }
    }

    /// Copies neighbours along `across` to rows of the copy.
    #[inline(always)]
    unsafe fn tiles<const LINE: usize>(self, isa: Isa, stores: Stores) {
        let [across, last] = [self.across.size, self.last.size].map(|size| size / LINE * LINE);
        for column in (0..last).step_by(LINE) {
            for row in (0..across).step_by(LINE) {
                let Self { from, to, .. } = self.part([row..row + LINE, column..column + LINE]);
                // SAFETY: as the caller says.
                unsafe { tile::<T, LINE>(isa, from, self.last.from, to, self.across.to, stores) };
            }
        }
        let rest = [[0..across, last..self.last.size], [across..self.across.size, 0..self.last.size]];
        for part in rest {
            // SAFETY: as the caller says.
            unsafe { self.part(part).elements() };
        }
    }

    /// Copies one element after the other, along the longer axis.
    #[inline(always)]
    unsafe fn elements(self) {
        let (mut outer, mut inner) = (self.across, self.last);
        if outer.size > inner.size {
            (outer, inner) = (inner, outer);
        }
        for row in 0..outer.size {
            let from = self.from.wrapping_offset(row as isize * outer.from);
            let to = self.to.wrapping_add(row * outer.to);
            for at in 0..inner.size {
                // SAFETY: as the caller says.
                unsafe { *to.add(at * inner.to) = *from.offset(at as isize * inner.from) };
            }
        }
    }
}

/// Writes lines of neighbours, so far apart, as columns of rows that are so far apart.
///
/// # Safety
///
/// All elements can be read, and written by this thread alone.
#[inline(always)]
unsafe fn tile<T: Copy, const LINE: usize>(
    isa: Isa,
    from: *const T,
    step: isize,
    to: *mut T,
    apart: usize,
    stores: Stores,
) {
    #[cfg(target_arch = "x86_64")]
    if size_of::<T>() == size_of::<f32>() && LINE == 16 && matches!(isa, Isa::Avx512 | Isa::Vnni) {
        // SAFETY: the instruction set was detected, the caller vouches for the elements, and those of four bytes are moved about
        // as if they were floats.
        unsafe { super::x86::transpose_lines(from.cast(), step, to.cast(), apart, stores) };
        return;
    }
    let _ = isa;
    // SAFETY: as the caller says.
    unsafe {
        let columns: [[T; LINE]; LINE] =
            std::array::from_fn(|column| from.offset(column as isize * step).cast::<[T; LINE]>().read_unaligned());
        for row in 0..LINE {
            stores.line(to.add(row * apart), columns.map(|column| column[row]));
        }
    }
}

#[cfg(test)]
mod tests {
    use half::f16;
    use num_complex::Complex;

    use super::*;
    use crate::kernel::cases::{Random, Sample, Stored, Values, assert_same, seeds};

    fn check<T: Sample + Send + Sync>(sizes: &[usize], ranks: usize, calls: u64) {
        for seed in seeds(calls) {
            let mut random = Random(seed);
            let rank = random.below(ranks);
            let shape: Vec<usize> = (0..rank).map(|_| random.size(sizes)).collect();
            let stored = Stored::<T>::random(&mut random, &shape, Values::Unit);
            let expected = stored.view().as_standard_layout().into_owned();
            for isa in Isa::available() {
                let found = row_major(isa, &stored.view());
                assert!(found.is_standard_layout());
                assert_same(&found, &expected, &format!("{isa:?} seed {seed}, {shape:?}"));
            }
        }
    }

    #[test]
    fn every_layout_becomes_row_major() {
        for (sizes, ranks, calls) in [(&[0, 1, 2, 3, 5, 8, 16][..], 6, 100), (&[1, 2, 33, 70, 129], 4, 40)] {
            check::<f16>(sizes, ranks, calls);
            check::<f32>(sizes, ranks, calls);
            check::<f64>(sizes, ranks, calls);
            check::<Complex<f64>>(sizes, ranks, calls);
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "minutes of it, and nothing that small cases have not")]
    fn what_is_larger_than_the_caches_is_copied_past_them_by_several_threads() {
        let mut random = Random(3);
        // Lines that are whole and lines that are not; a diagonal of nothing, runs of a line and more.
        for shape in [[160, 64, 512], [131, 65, 515], [2, 3000, 800]] {
            let array = ArrayD::from_shape_simple_fn(shape.as_slice(), || f32::sample(&mut random, Values::Unit));
            for axes in [[2, 1, 0], [2, 0, 1], [1, 0, 2], [0, 2, 1]] {
                let view = array.view().permuted_axes(axes.as_slice());
                let found = row_major(Isa::detect(), &view);
                assert!(found.is_standard_layout() && found == view, "{axes:?} of {shape:?}");
            }
        }
    }
}
