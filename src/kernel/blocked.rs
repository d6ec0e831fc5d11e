#![allow(unsafe_code, reason = "packing reads through the offsets of a walk")]
//! A product cut into blocks of terms and tiles of outputs.
//!
//! Blocks are those of the definition, so their sums can be kept aside and added as its tree says. The block with
//! number `t` is added to the sums of as many trees of rising size as `t` ends in one bits, and to all that are left
//! when it is the last; that is the pairwise tree, without its recursion.

use std::ops::Range;

use super::BLOCK;
use super::isa::Isa;
use super::lanes::Accumulator;
use super::pack::Pack;
use super::product::{Operand, Product};
use super::scratch::Scratch;
use super::tile::{Tile, widest};

/// Rows of a side that are packed together: with [`BLOCK`] terms of 4 bytes about 500 KiB, half of a usual L2.
const ROWS_PACKED: usize = 112;

/// Most rows and columns whose unfinished trees are kept at a time.
const ROWS_OPEN: usize = 1024;
const COLUMNS_OPEN: usize = 512;

/// Gives the sum of these terms to every output, in output order, through `take`.
///
/// `widen` makes a factor of an element.
pub(super) fn multiply<T: Copy, S: Accumulator, O>(
    isa: Isa,
    product: &Product<'_, T>,
    terms: Range<usize>,
    widen: impl Fn(T) -> S + Copy,
    take: impl Fn(&mut O, S),
    out: &mut [O],
) {
    let (lhs, rhs) = (&product.lhs, &product.rhs);
    let (m, n) = (lhs.free.len(), rhs.free.len());
    assert_eq!(out.len(), product.outputs());
    if terms.is_empty() || out.is_empty() {
        for out in out {
            take(out, S::default());
        }
        return;
    }
    // A product commutes, so the side with more outputs can be the one that fills vectors.
    let exchanged = n < m && n < widest::<S>(isa);
    let (rows, columns, strides) = if exchanged { (rhs, lhs, (1, n)) } else { (lhs, rhs, (n, 1)) };
    let mut workspace = Workspace::<S>::new(isa, rows.free.len(), columns.free.len(), terms.len());
    for (batch, out) in out.chunks_mut(m * n).enumerate() {
        workspace.multiply(batch, rows, columns, &terms, widen, |row, column, sums| {
            let out = &mut out[row * strides.0 + column * strides.1..];
            if strides.1 == 1 {
                out[..sums.len()].iter_mut().zip(sums).for_each(|(out, &sum)| take(out, sum));
            } else {
                out.iter_mut().step_by(strides.1).zip(sums).for_each(|(out, &sum)| take(out, sum));
            }
        });
    }
}

/// Packed panels of one side, with the offsets that they were read from.
struct Panels<S: Accumulator> {
    factors: Scratch<S>,
    free: Scratch<isize>,
    terms: Scratch<isize>,
}

impl<S: Accumulator> Panels<S> {
    /// Packs these free and contracting positions of a side at one batch position.
    fn fill<T: Copy>(
        &mut self,
        side: &Operand<'_, T>,
        [batch, free, terms]: [&Range<usize>; 3],
        widen: impl Fn(T) -> S + Copy,
        width: usize,
        isa: Isa,
    ) {
        let size = terms.len() * width;
        side.free.offsets(free, &mut self.free);
        side.contracting.offsets(terms, &mut self.terms);
        self.factors.resize(size * self.free.len().div_ceil(width), S::default());
        let first = side.first.wrapping_offset(side.batch.offset(batch.start));
        for (free, panel) in self.free.chunks(width).zip(self.factors.chunks_mut(size)) {
            // SAFETY: an operand's pointer and offsets of its three walks together are an element of its view.
            let pack = unsafe { Pack::new(first, free, &self.terms, widen, width, panel) };
            isa.run(pack);
        }
    }
}

/// What a product writes while it is made, reused over the batch.
struct Workspace<S: Accumulator> {
    isa: Isa,
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
        let panels = || Panels { factors: Scratch::new(), free: Scratch::new(), terms: Scratch::new() };
        Self {
            isa,
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
        batch: usize,
        rows: &Operand<'_, T>,
        columns: &Operand<'_, T>,
        all_terms: &Range<usize>,
        widen: impl Fn(T) -> S + Copy,
        mut write: impl FnMut(usize, usize, &[S]),
    ) {
        let (m, n) = (rows.free.len(), columns.free.len());
        let (height, width) = (self.tile.rows, self.tile.columns);
        let batch = batch..batch + 1;
        // Whole tiles, so that only the last ones of a side are cut.
        let packed = ROWS_PACKED / height * height;
        let open_rows = ROWS_OPEN / packed * packed;
        let open_columns = COLUMNS_OPEN / width * width;
        for left in cuts(&(0..n), open_columns) {
            for top in cuts(&(0..m), open_rows) {
                for (block, terms) in cuts(all_terms, BLOCK).enumerate() {
                    let place = Place { block, last: terms.end == all_terms.end, terms: terms.len() };
                    self.columns.fill(columns, [&batch, &left, &terms], widen, width, self.isa);
                    for strip in cuts(&top, packed) {
                        self.rows.fill(rows, [&batch, &strip, &terms], widen, height, self.isa);
                        self.tiles(&place, (strip.start - top.start) / height, |i, j, sums| {
                            let (row, column) = (strip.start + i * height, left.start + j * width);
                            let across = (left.end - column).min(width);
                            for (row, sums) in (row..strip.end).zip(sums.chunks(width)) {
                                write(row, column, &sums[..across]);
                            }
                        });
                    }
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
        for (j, right) in self.columns.factors.chunks(place.terms * width).enumerate() {
            for (i, left) in self.rows.factors.chunks(place.terms * height).enumerate() {
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

/// The range in pieces of `size`, the last one shorter.
fn cuts(range: &Range<usize>, size: usize) -> impl Iterator<Item = Range<usize>> + use<> {
    let Range { start, end } = *range;
    (start..end).step_by(size).map(move |start| start..end.min(start + size))
}
