#![allow(unsafe_code, reason = "packing reads through the offsets of a walk")]
//! A product cut into blocks of terms and tiles of outputs.
//!
//! Blocks are those of the definition, so their sums can be kept aside and added as its tree says. The block with
//! number `t` is added to the sums of as many trees of rising size as `t` ends in one bits, and to all that are left
//! when it is the last; that is the pairwise tree, without its recursion.

use std::ops::Range;

use ndarray::ArrayViewD;

use super::BLOCK;
use super::lanes::Accumulator;
use super::pack::pack;
use super::tile::{Isa, Tile};
use super::walk::{Side, sides};
use crate::DimensionNumbers;

/// Rows of a side that are packed together: with [`BLOCK`] terms of 4 bytes about 500 KiB, half of a usual L2.
const ROWS_PACKED: usize = 112;

/// Most rows and columns whose unfinished trees are kept at a time.
const ROWS_OPEN: usize = 1024;
const COLUMNS_OPEN: usize = 512;

/// The product of two sides as a flat list in output order.
///
/// `part` makes a factor of an element and `finish` an output of a sum; `zero` is an output without terms.
pub(super) fn multiply<T: Copy, S: Accumulator, O: Copy>(
    isa: Isa,
    (lhs, rhs): (&ArrayViewD<'_, T>, &ArrayViewD<'_, T>),
    dims: &DimensionNumbers,
    part: impl Fn(T) -> S::Part + Copy,
    finish: impl Fn(S) -> O,
) -> Vec<O> {
    let [left, right] = sides(lhs, rhs, dims);
    let (batches, m, n) = (left.batch.len(), left.free.len(), right.free.len());
    let outputs = batches.checked_mul(m).and_then(|rows| rows.checked_mul(n));
    let mut out = vec![finish(S::default()); outputs.expect("the caller's output fits in the address space")];
    if out.is_empty() || left.contracting.len() == 0 {
        return out;
    }
    // A product commutes, so the side with fewer outputs may be the one that is not vectorized.
    let exchanged = n < m && n < isa.widest::<S>();
    let (rows, columns) = if exchanged {
        (Operand { first: rhs.as_ptr(), side: &right }, Operand { first: lhs.as_ptr(), side: &left })
    } else {
        (Operand { first: lhs.as_ptr(), side: &left }, Operand { first: rhs.as_ptr(), side: &right })
    };
    let strides = if exchanged { (1, n) } else { (n, 1) };
    let mut workspace =
        Workspace::<S>::new(isa, rows.side.free.len(), columns.side.free.len(), rows.side.contracting.len());
    for batch in 0..batches {
        let [rows, columns] = [rows.at_batch(batch), columns.at_batch(batch)];
        let out = &mut out[batch * m * n..][..m * n];
        workspace.multiply(&rows, &columns, part, |row, column, sums| {
            for (out, &sum) in out[row * strides.0 + column * strides.1..].iter_mut().step_by(strides.1).zip(sums) {
                *out = finish(sum);
            }
        });
    }
    out
}

/// A side at one batch position: `first` plus the offsets of its free and contracting walks is readable.
struct Operand<'a, T> {
    first: *const T,
    side: &'a Side,
}

impl<T: Copy> Operand<'_, T> {
    fn at_batch(&self, batch: usize) -> Self {
        Self { first: self.first.wrapping_offset(self.side.batch.offset(batch)), side: self.side }
    }

    /// Packs these free and contracting positions into panels of `width`.
    fn pack<S: Accumulator>(
        &self,
        free: Range<usize>,
        terms: Range<usize>,
        part: impl Fn(T) -> S::Part + Copy,
        width: usize,
        panels: &mut Panels<S>,
    ) {
        let size = Tile::<S>::panel(terms.len(), width);
        self.side.free.offsets(free, &mut panels.free);
        self.side.contracting.offsets(terms, &mut panels.terms);
        panels.parts.resize(size * panels.free.len().div_ceil(width), S::Part::default());
        for (free, panel) in panels.free.chunks(width).zip(panels.parts.chunks_mut(size)) {
            // SAFETY: both lists of offsets are of walks over the view that `first` belongs to, and of different
            // axes of it.
            unsafe { pack::<T, S>(self.first, free, &panels.terms, part, width, panel) }
        }
    }
}

/// Packed panels of one side, with the offsets that they were read from.
struct Panels<S: Accumulator> {
    parts: Vec<S::Part>,
    free: Vec<isize>,
    terms: Vec<isize>,
}

/// What a product writes while it is made, reused over the batch.
struct Workspace<S: Accumulator> {
    tile: Tile<S>,
    rows: Panels<S>,
    columns: Panels<S>,
    /// For each size of tree, its sums in the tiles of the open rows and columns.
    trees: Vec<Vec<S>>,
    sums: Vec<S>,
}

impl<S: Accumulator> Workspace<S> {
    fn new(isa: Isa, m: usize, n: usize, k: usize) -> Self {
        let tile = Tile::<S>::choose(isa, m, n);
        let size = tile.rows * tile.columns;
        let tiles = m.min(ROWS_OPEN).div_ceil(tile.rows) * n.min(COLUMNS_OPEN).div_ceil(tile.columns);
        let trees = usize::BITS - (k.div_ceil(BLOCK) - 1).leading_zeros();
        let panels = || Panels { parts: Vec::new(), free: Vec::new(), terms: Vec::new() };
        Self {
            tile,
            rows: panels(),
            columns: panels(),
            trees: vec![vec![S::default(); tiles * size]; trees as usize],
            sums: vec![S::default(); size],
        }
    }

    /// Calls `write(row, column, sums)` with runs of finished sums along the columns.
    fn multiply<T: Copy>(
        &mut self,
        rows: &Operand<'_, T>,
        columns: &Operand<'_, T>,
        part: impl Fn(T) -> S::Part + Copy,
        mut write: impl FnMut(usize, usize, &[S]),
    ) {
        let (m, n, k) = (rows.side.free.len(), columns.side.free.len(), rows.side.contracting.len());
        let (height, width) = (self.tile.rows, self.tile.columns);
        // Whole tiles, so that only the last ones of a side are cut.
        let packed = ROWS_PACKED / height * height;
        let open = ROWS_OPEN / packed * packed;
        for (left, top) in
            cuts(n, COLUMNS_OPEN / width * width).flat_map(|left| cuts(m, open).map(move |top| (left.clone(), top)))
        {
            for (block, terms) in cuts(k, BLOCK).enumerate() {
                let place = Place { block, last: terms.end == k, terms: terms.len() };
                columns.pack(left.clone(), terms.clone(), part, width, &mut self.columns);
                for strip in (top.start..top.end).step_by(packed) {
                    rows.pack(strip..top.end.min(strip + packed), terms.clone(), part, height, &mut self.rows);
                    let above = (strip - top.start) / height;
                    self.tiles(&place, above, |i, j, sums| {
                        let (row, column) = (strip + i * height, left.start + j * width);
                        let across = (left.end - column).min(width);
                        for (row, sums) in (row..top.end).zip(sums.chunks(width)) {
                            write(row, column, &sums[..across]);
                        }
                    });
                }
            }
        }
    }

    /// Runs the kernel on all packed panels and calls `finished(panel of rows, panel of columns, tile)` after the
    /// last block; `above` open panels of rows come before those that are packed.
    fn tiles(&mut self, place: &Place, above: usize, mut finished: impl FnMut(usize, usize, &[S])) {
        let (height, width) = (self.tile.rows, self.tile.columns);
        let across = self.columns.free.len().div_ceil(width);
        let merged = if place.last { usize::BITS } else { place.block.trailing_ones() };
        for (j, right) in self.columns.parts.chunks(Tile::<S>::panel(place.terms, width)).enumerate() {
            for (i, left) in self.rows.parts.chunks(Tile::<S>::panel(place.terms, height)).enumerate() {
                let at = ((above + i) * across + j) * height * width;
                let at = at..at + height * width;
                let earlier = self.trees.iter().enumerate().take(merged as usize);
                let earlier =
                    earlier.filter(|(size, _)| place.block >> size & 1 == 1).map(|(_, tree)| &tree[at.clone()]);
                self.tile.run(place.terms, left, right, earlier, &mut self.sums);
                if place.last {
                    finished(i, j, &self.sums);
                } else {
                    self.trees[merged as usize][at].copy_from_slice(&self.sums);
                }
            }
        }
    }
}

/// A block among those of a sum.
struct Place {
    block: usize,
    last: bool,
    terms: usize,
}

/// `0..len` in pieces of `size`, the last one shorter.
fn cuts(len: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(size).map(move |start| start..len.min(start + size))
}
