#![allow(unsafe_code, reason = "packing reads through the offsets of a walk, and parts write their own outputs")]
//! A product cut into blocks of terms and tiles of outputs.
//!
//! Blocks are those of the definition, so their sums can be kept aside and added as its tree says. The block with
//! number `t` is added to the sums of as many trees of rising size as `t` ends in one bits, and to all that are left
//! when it is the last; that is the pairwise tree, without its recursion.

use std::ops::Range;

use smallvec::SmallVec;

use super::BLOCK;
use super::element::Real;
use super::isa::Isa;
use super::lanes::Accumulator;
use super::outputs::Outputs;
use super::pack::Pack;
use super::parts::{self, Extent, Part};
use super::product::{Operand, Product};
use super::scratch::Scratch;
use super::tile::{Rows, Tile, widest};

/// Rows of a side that are packed together: with [`BLOCK`] terms of 4 bytes about 500 KiB, half of a usual L2.
const ROWS_PACKED: usize = 112;

/// Most rows and columns whose unfinished trees are kept at a time.
const ROWS_OPEN: usize = 1024;
const COLUMNS_OPEN: usize = 512;

/// Multiplications that take about a tenth of a millisecond.
const LEAST: usize = 1 << 22;
/// Multiplications that take as long as packing an element.
const PACKING: usize = 16;

/// Gives every output the sum of all terms; there are terms.
pub(super) fn multiply<T: Real>(isa: Isa, product: &Product<'_, T>, out: &Outputs<'_, T>) {
    assert_eq!(out.len(), product.outputs());
    let extent = Extent {
        batch: product.lhs.batch.len(),
        free: [product.lhs.free.len(), product.rhs.free.len()],
        terms: product.terms(),
        packing: PACKING,
        least: LEAST,
        grain: [8, widest::<T::Wide>(isa)],
    };
    parts::run(extent.parts(), |part| part_of(isa, product, &part, out));
}

/// The outputs of a part.
fn part_of<T: Real>(isa: Isa, product: &Product<'_, T>, part: &Part, out: &Outputs<'_, T>) {
    let (m, n) = (product.lhs.free.len(), product.rhs.free.len());
    let (lhs, rhs) = ((&product.lhs, &part.lhs), (&product.rhs, &part.rhs));
    // A product commutes, so the side with more outputs can be the one that fills vectors.
    let exchanged = rhs.1.len() < lhs.1.len() && rhs.1.len() < widest::<T::Wide>(isa);
    let (rows, columns, [down, across]) = if exchanged { (rhs, lhs, [1, n]) } else { (lhs, rhs, [n, 1]) };
    let mut workspace = Workspace::<T>::new(isa, rows.1.len(), columns.1.len(), product.terms());
    for batch in part.batch.clone() {
        let matrix = Matrix { out, first: batch * m * n, down, across };
        workspace.multiply(batch, rows, columns, product.terms(), matrix);
    }
}

/// The outputs of a batch position, by row and column.
#[derive(Clone, Copy)]
struct Matrix<'a, T> {
    out: &'a Outputs<'a, T>,
    first: usize,
    down: usize,
    across: usize,
}

impl<T: Real> Matrix<'_, T> {
    /// Where the kernel may write these rows and columns itself, and how far rows are apart.
    fn in_place(&self, rows: &Range<usize>, columns: &Range<usize>) -> Option<(*mut T::Wide, usize)> {
        if self.across != 1 {
            return None;
        }
        let start = self.first + rows.start * self.down + columns.start;
        let end = self.first + (rows.end - 1) * self.down + columns.end;
        Some((T::as_wide_mut(self.out.pointer(start..end))?, self.down))
    }

    /// Writes the sums of these rows and columns, which are rows of `width`.
    ///
    /// # Safety
    ///
    /// No other thread writes these outputs.
    unsafe fn write(&self, rows: Range<usize>, columns: &Range<usize>, sums: &[T::Wide], width: usize) {
        for (row, sums) in rows.zip(sums.chunks(width)) {
            let start = self.first + row * self.down + columns.start * self.across;
            let places = (start..).step_by(self.across);
            for (place, &sum) in places.zip(&sums[..columns.len()]) {
                // SAFETY: the caller vouches for it.
                unsafe { self.out.write(place, T::narrow(sum)) };
            }
        }
    }
}

/// Packed panels of one side, with the offsets that they were read from.
struct Panels<S: Accumulator> {
    factors: Scratch<S>,
    /// Of the factors, those of the panels.
    len: usize,
    free: Scratch<isize>,
    terms: Scratch<isize>,
}

impl<S: Accumulator> Panels<S> {
    fn new() -> Self {
        Self { factors: Scratch::new(), len: 0, free: Scratch::new(), terms: Scratch::new() }
    }

    /// Packs these free and contracting positions of a side at one batch position.
    fn fill<T: Real<Wide = S>>(
        &mut self,
        side: &Operand<'_, T>,
        batch: usize,
        free: &Range<usize>,
        terms: &Range<usize>,
        width: usize,
        isa: Isa,
    ) {
        let size = terms.len() * width;
        side.free.offsets(free, &mut self.free);
        side.contracting.offsets(terms, &mut self.terms);
        self.len = size * self.free.len().div_ceil(width);
        let first = side.first.wrapping_offset(side.batch.offset(batch));
        for (free, panel) in self.free.chunks(width).zip(self.factors.any(self.len).chunks_mut(size)) {
            // SAFETY: an operand's pointer and offsets of its three walks together are an element of its view.
            let pack = unsafe { Pack::new(first, free, &self.terms, T::widen, width, panel) };
            isa.run(pack);
        }
    }

    /// The panels, each of `size` factors.
    fn chunks(&self, size: usize) -> impl Iterator<Item = &[S]> {
        self.factors[..self.len].chunks(size)
    }
}

/// Rows that are read where they are: the first ones of a strip, as many whole tiles as there are.
#[derive(Clone, Copy)]
struct InPlace<S> {
    rows: Rows<S>,
    tiles: usize,
}

impl<S: Accumulator> InPlace<S> {
    /// The rows of a strip that the kernel can read without a panel: neighbouring terms of the type that is summed.
    fn of<T: Real<Wide = S>>(
        side: &Operand<'_, T>,
        batch: usize,
        strip: &Range<usize>,
        terms: &Range<usize>,
        height: usize,
    ) -> Option<Self> {
        // Rows that lie so far apart that all of them take the same place of the first cache.
        const ALIAS: usize = 4096;
        let (row, term) = (side.free.stride()?, side.contracting.stride()?);
        if term != 1 || (row.unsigned_abs() * size_of::<T>()).is_multiple_of(ALIAS) {
            return None;
        }
        let first = side.batch.offset(batch) + side.free.offset(strip.start) + side.contracting.offset(terms.start);
        let first = T::as_wide(side.first.wrapping_offset(first))?;
        Some(Self { rows: Rows { first, row, term }, tiles: strip.len() / height })
    }
}

/// What a product writes while it is made, reused over the batch.
struct Workspace<T: Real> {
    isa: Isa,
    tile: Tile<T::Wide>,
    rows: Panels<T::Wide>,
    columns: Panels<T::Wide>,
    /// For each size of tree, its sums in the tiles of the open rows and columns.
    trees: Vec<Vec<T::Wide>>,
    sums: Scratch<T::Wide>,
}

impl<T: Real> Workspace<T> {
    fn new(isa: Isa, m: usize, n: usize, k: usize) -> Self {
        let tile = Tile::choose(isa, m, n);
        let size = tile.rows * tile.columns;
        let tiles = m.min(ROWS_OPEN).div_ceil(tile.rows) * n.min(COLUMNS_OPEN).div_ceil(tile.columns);
        let trees = usize::BITS - (k.div_ceil(BLOCK) - 1).leading_zeros();
        let trees = vec![vec![T::Wide::default(); tiles * size]; trees as usize];
        // What is made last is given back last, so that the next product finds memory of the same size.
        let sums = Scratch::new();
        let columns = Panels::new();
        Self { isa, tile, rows: Panels::new(), columns, trees, sums }
    }

    /// Writes the products of these rows and columns; no other thread writes them.
    fn multiply(
        &mut self,
        batch: usize,
        (rows, down): (&Operand<'_, T>, &Range<usize>),
        (columns, across): (&Operand<'_, T>, &Range<usize>),
        all_terms: usize,
        matrix: Matrix<'_, T>,
    ) {
        let (height, width) = (self.tile.rows, self.tile.columns);
        // Whole tiles, so that only the last ones of a side are cut.
        let packed = ROWS_PACKED / height * height;
        let open_rows = ROWS_OPEN / packed * packed;
        let open_columns = COLUMNS_OPEN / width * width;
        for left in cuts(across, open_columns) {
            for top in cuts(down, open_rows) {
                for (block, terms) in cuts(&(0..all_terms), BLOCK).enumerate() {
                    let place = Place { block, last: terms.end == all_terms, terms: terms.len() };
                    self.columns.fill(columns, batch, &left, &terms, width, self.isa);
                    for strip in cuts(&top, packed) {
                        let in_place = InPlace::of(rows, batch, &strip, &terms, height);
                        let whole = in_place.map_or(0, |rows| rows.tiles * height);
                        self.rows.fill(rows, batch, &(strip.start + whole..strip.end), &terms, height, self.isa);
                        let above = (strip.start - top.start) / height;
                        // SAFETY: the rows are of this strip and have these terms; the outputs are this thread's.
                        unsafe { self.tiles(&place, in_place, above, [&strip, &left], matrix) };
                    }
                }
            }
        }
    }

    /// Runs the kernel on all rows in place, all packed ones after them and all packed columns, and writes outputs after the
    /// last block; `above` open tiles come before these.
    ///
    /// # Safety
    ///
    /// The rows in place have the block's terms, and no other thread writes the outputs of these rows and columns.
    unsafe fn tiles(
        &mut self,
        place: &Place,
        in_place: Option<InPlace<T::Wide>>,
        above: usize,
        [down, across]: [&Range<usize>; 2],
        matrix: Matrix<'_, T>,
    ) {
        let (height, width) = (self.tile.rows, self.tile.columns);
        let tiles_across = across.len().div_ceil(width);
        let merged = if place.last { self.trees.len() } else { place.block.trailing_ones() as usize };
        let in_place = in_place.into_iter().flat_map(|InPlace { rows, tiles }| {
            (0..tiles).map(move |tile| {
                let first = rows.first.wrapping_offset((tile * height) as isize * rows.row);
                Rows { first, ..rows }
            })
        });
        let packed = self.rows.chunks(place.terms * height).map(|panel| Rows::packed(panel, height));
        let rows: SmallVec<[Rows<T::Wide>; 16]> = in_place.chain(packed).collect();
        let mut earlier: SmallVec<[*const T::Wide; 8]> = SmallVec::new();
        for (j, panel) in self.columns.chunks(place.terms * width).enumerate() {
            let column = across.start + j * width;
            let columns = column..across.end.min(column + width);
            for (i, &panel_rows) in rows.iter().enumerate() {
                let row = down.start + i * height;
                let rows = row..down.end.min(row + height);
                let at = ((above + i) * tiles_across + j) * height * width;
                let at = at..at + height * width;
                // Filled in place: a list that is handed over would be waited for until all outputs before it are written.
                earlier.clear();
                let (merging, open) = self.trees.split_at_mut(merged);
                for (size, tree) in merging.iter().enumerate() {
                    if place.block >> size & 1 == 1 {
                        earlier.push(tree[at.clone()].as_ptr());
                    }
                }
                let is_whole = (rows.len(), columns.len()) == (height, width);
                let in_place = matrix.in_place(&rows, &columns).filter(|_| place.last && is_whole);
                let sums = match (in_place, open.first_mut()) {
                    (Some(sums), _) => sums,
                    (None, Some(tree)) if !place.last => (tree[at.clone()].as_mut_ptr(), width),
                    _ => (self.sums.any(height * width).as_mut_ptr(), width),
                };
                // SAFETY: packed panels have this many terms of a tile's rows, and the caller vouches for the others and for
                // outputs in place; other sums are a tile.
                unsafe { self.tile.run(place.terms, panel_rows, panel, &earlier, sums) };
                if place.last && in_place.is_none() {
                    // SAFETY: as the caller says.
                    unsafe { matrix.write(rows, &columns, &self.sums[..height * width], width) };
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
