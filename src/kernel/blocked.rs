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
use super::parts::{self, Extent, Part, cuts};
use super::product::{Operand, Product};
use super::scratch::Scratch;
use super::tile::{Rows, Tile, widest};
use super::walk::Walk;
use crate::lower::Side;

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
    let Product { lhs, rhs, places, .. } = product;
    let (lhs, rhs) = ((lhs, &part.lhs, &places.lhs), (rhs, &part.rhs, &places.rhs));
    // A product commutes, so either side can be the one that fills vectors.
    let (rows, columns) = match product.columns(widest::<T::Wide>(isa)) {
        Side::Lhs => (rhs, lhs),
        Side::Rhs => (lhs, rhs),
    };
    let mut workspace = Workspace::<T>::new(isa, rows.1.len(), columns.1.len(), product.terms());
    workspace.across.fill(columns.2, columns.1);
    workspace.down.fill(rows.2, rows.1);
    for batch in part.batch.clone() {
        workspace.multiply(
            batch,
            (rows.0, rows.1),
            (columns.0, columns.1),
            product.terms(),
            (out, places.batch.offset(batch)),
        );
    }
}

/// Where the outputs of some positions of a side lie.
struct Lying {
    from: usize,
    places: Scratch<isize>,
}

impl Lying {
    fn new() -> Self {
        Self { from: 0, places: Scratch::new() }
    }

    fn fill(&mut self, walk: &Walk, positions: &Range<usize>) {
        self.from = positions.start;
        walk.offsets(positions, &mut self.places);
    }

    fn of(&self, positions: &Range<usize>) -> &[isize] {
        &self.places[positions.start - self.from..positions.end - self.from]
    }
}

/// Where the kernel may write the outputs of these rows and columns itself, and how far rows are apart.
fn outputs_in_place<T: Real>(
    out: &Outputs<'_, T>,
    first: isize,
    rows: &[isize],
    columns: &[isize],
) -> Option<(*mut T::Wide, usize)> {
    let apart = rows.get(1).map_or(0, |second| second - rows[0]);
    let together = columns[columns.len() - 1] - columns[0] == columns.len() as isize - 1;
    // Places rise, so that columns as far apart as they are many lie together.
    if !together || apart < 0 || rows.windows(2).any(|pair| pair[1] - pair[0] != apart) {
        return None;
    }
    let start = (first + rows[0] + columns[0]) as usize;
    let end = (first + rows[rows.len() - 1] + columns[columns.len() - 1]) as usize + 1;
    Some((T::as_wide_mut(out.pointer(start..end))?, apart as usize))
}

/// Writes the sums of these rows and columns, which are rows of `width`.
///
/// # Safety
///
/// No other thread writes these outputs.
unsafe fn write<T: Real>(
    out: &Outputs<'_, T>,
    first: isize,
    rows: &[isize],
    columns: &[isize],
    sums: &[T::Wide],
    width: usize,
) {
    for (row, sums) in rows.iter().zip(sums.chunks(width)) {
        for (column, &sum) in columns.iter().zip(sums) {
            // SAFETY: the caller vouches for it.
            unsafe { out.write((first + row + column) as usize, T::narrow(sum)) };
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
    down: Lying,
    across: Lying,
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
        Self { isa, tile, rows: Panels::new(), columns, trees, sums, down: Lying::new(), across: Lying::new() }
    }

    /// Writes the products of these rows and columns; no other thread writes them.
    fn multiply(
        &mut self,
        batch: usize,
        (rows, down): (&Operand<'_, T>, &Range<usize>),
        (columns, across): (&Operand<'_, T>, &Range<usize>),
        all_terms: usize,
        out: (&Outputs<'_, T>, isize),
    ) {
        let (height, width) = (self.tile.rows, self.tile.columns);
        // Whole tiles, so that only the last ones of a side are cut.
        let packed = ROWS_PACKED / height * height;
        // Without trees to keep, nothing is open, and columns are packed once for all rows.
        let open_rows = if self.trees.is_empty() { usize::MAX } else { ROWS_OPEN / packed * packed };
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
                        unsafe { self.tiles(&place, in_place, above, [&strip, &left], out) };
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
        (out, first): (&Outputs<'_, T>, isize),
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
                let is_whole = place.last && (rows.len(), columns.len()) == (height, width);
                let (rows, columns) = (self.down.of(&rows), self.across.of(&columns));
                let in_place = if is_whole { outputs_in_place(out, first, rows, columns) } else { None };
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
                    unsafe { write(out, first, rows, columns, &self.sums[..height * width], width) };
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
