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
use super::lying::{Lying, outputs_in_place, read, write};
use super::outputs::Outputs;
use super::pack::{Pack, PackTogether, TOGETHER};
use super::parts::{self, Extent, Part, cuts};
use super::product::{Operand, Product};
use super::scratch::Scratch;
use super::tile::{Columns, Rows, Start, Tile, Unpacked, widest};
use crate::cancel::Pace;
use crate::lower::Side;

/// Rows of a side that are packed together: with [`BLOCK`] terms of 4 bytes about 500 KiB, half of a usual L2.
const ROWS_PACKED: usize = 112;

/// Tiles of columns up to which rows that can be are read where they are: for more, a panel, whose rows the kernel finds without
/// a thought, is worth its making.
const IN_PLACE: usize = 8;

/// Most rows and columns whose unfinished trees are kept at a time.
const ROWS_OPEN: usize = 1024;
const COLUMNS_OPEN: usize = 512;

/// Multiplications that take about a tenth of a millisecond.
const LEAST: usize = 1 << 22;
/// Multiplications that take as long as packing an element.
const PACKING: usize = 16;

/// Gives every output the sum of all terms; there are terms.
pub(super) fn multiply<T: Real, O: Real<Wide = T::Wide>>(isa: Isa, product: &Product<'_, T>, out: &Outputs<'_, O>) {
    // SAFETY: from zero no output is read.
    unsafe { multiply_terms(isa, product, &(0..product.terms()), Start::Zero, out) }
}

/// Gives every output the sum of these terms, of which there are some; from the sums that are there it goes on with the
/// terms of one block.
///
/// # Safety
///
/// There are sums where it starts from them.
pub(super) unsafe fn multiply_terms<T: Real, O: Real<Wide = T::Wide>>(
    isa: Isa,
    product: &Product<'_, T>,
    terms: &Range<usize>,
    start: Start,
    out: &Outputs<'_, O>,
) {
    assert_eq!(out.len(), product.outputs());
    debug_assert!(start == Start::Zero || terms.len() <= BLOCK);
    let extent = Extent {
        batch: product.lhs.batch.len(),
        free: [product.lhs.free.len(), product.rhs.free.len()],
        terms: terms.len(),
        packing: PACKING,
        least: LEAST,
        grain: [8, widest::<T::Wide>(isa)],
    };
    parts::run(extent.parts(), |part| part_of(isa, product, (terms, start), &part, out));
}

/// The outputs of a part.
fn part_of<T: Real, O: Real<Wide = T::Wide>>(
    isa: Isa,
    product: &Product<'_, T>,
    (terms, start): (&Range<usize>, Start),
    part: &Part,
    out: &Outputs<'_, O>,
) {
    let Product { lhs, rhs, places, .. } = product;
    let (lhs, rhs) = ((lhs, &part.lhs, &places.lhs), (rhs, &part.rhs, &places.rhs));
    // A product commutes, so either side can be the one that fills vectors.
    let (rows, columns) = match product.columns(widest::<T::Wide>(isa)) {
        Side::Lhs => (rhs, lhs),
        Side::Rhs => (lhs, rhs),
    };
    let mut workspace = Workspace::<T>::new(isa, rows.1.len(), columns.1.len(), terms.len());
    workspace.across.fill(columns.2, columns.1);
    workspace.down.fill(rows.2, rows.1);
    for batch in part.batch.clone() {
        workspace.multiply(
            batch,
            (rows.0, rows.1),
            (columns.0, columns.1),
            (terms, start),
            (out, places.batch.offset(batch)),
        );
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

    /// Packs these free and contracting positions of a side at one batch position, so many of them to a panel; the last panel
    /// is as wide as `last` says for what is left. The kernel packs the first `direct` panels itself.
    fn fill<T: Real<Wide = S>>(
        &mut self,
        side: &Operand<'_, T>,
        batch: usize,
        free: &Range<usize>,
        terms: &Range<usize>,
        (width, last, direct): (usize, impl Fn(usize) -> usize, usize),
        isa: Isa,
    ) {
        let size = terms.len() * width;
        let (whole, left) = (free.len() / width, free.len() % width);
        self.len = size * whole + if left == 0 { 0 } else { terms.len() * last(left) };
        let factors = self.factors.any(self.len);
        let rest = free.start + direct * width..free.end;
        if rest.is_empty() {
            return;
        }
        side.free.offsets(&rest, &mut self.free);
        side.contracting.offsets(terms, &mut self.terms);
        let first = side.first.wrapping_offset(side.batch.offset(batch));
        let groups = factors[direct * size..].chunks_mut(size * TOGETHER);
        for (free, panels) in self.free.chunks(width * TOGETHER).zip(groups) {
            let (together, free) = free.split_at(PackTogether::<T>::rows(free, width));
            let (panels_together, panels) = panels.split_at_mut(together.len() * terms.len());
            if !together.is_empty() {
                // SAFETY: an operand's pointer and offsets of its three walks together are an element of its view.
                isa.run(unsafe { PackTogether::new(first, together, &self.terms, width, panels_together) });
            }
            for (free, panel) in free.chunks(width).zip(panels.chunks_mut(size)) {
                // SAFETY: as above.
                let pack = unsafe { Pack::new(isa, first, free, &self.terms, panel.len() / terms.len(), panel) };
                isa.run(pack);
            }
        }
    }

    /// The panels, each of `size` factors but for the last.
    fn chunks(&self, size: usize) -> impl Iterator<Item = &[S]> {
        self.factors[..self.len].chunks(size)
    }
}

/// Rows that are read where they are: the first ones of a strip, in tiles that have no other rows.
#[derive(Clone, Copy)]
struct InPlace<S> {
    rows: Rows<S>,
    len: usize,
}

impl<S: Accumulator> InPlace<S> {
    /// The rows of a strip that the kernel can read without a panel: neighbouring terms of the type that is summed.
    fn of<T: Real<Wide = S>>(
        side: &Operand<'_, T>,
        batch: usize,
        strip: &Range<usize>,
        terms: &Range<usize>,
        tile: &Tile<S>,
    ) -> Option<Self> {
        // Rows that lie so far apart that all of them take the same place of the first cache.
        const ALIAS: usize = 4096;
        let (row, term) = (side.free.stride()?, side.contracting.stride()?);
        if term != 1 || (row.unsigned_abs() * size_of::<T>()).is_multiple_of(ALIAS) {
            return None;
        }
        let first = side.batch.offset(batch) + side.free.offset(strip.start) + side.contracting.offset(terms.start);
        let first = T::as_wide(side.first.wrapping_offset(first))?;
        let left = strip.len() % tile.rows;
        let len = if left == 0 || tile.kernel(left).rows == left { strip.len() } else { strip.len() - left };
        Some(Self { rows: Rows { first, row, term }, len })
    }
}

/// Columns that are read where they are, and packed by the kernel that reads them first: the first panels of a block.
struct Direct<'a, T: Real> {
    side: &'a Operand<'a, T>,
    batch: usize,
    panels: usize,
    /// The first term, and from a term to the next.
    terms: [isize; 2],
}

impl<'a, T: Real> Direct<'a, T> {
    /// The panels whose columns are neighbours of the type that is summed, and whose terms have one stride.
    fn of(
        side: &'a Operand<'a, T>,
        batch: usize,
        columns: &Range<usize>,
        terms: &Range<usize>,
        width: usize,
    ) -> Option<Self> {
        let term = side.contracting.stride()?;
        T::as_wide(side.first)?;
        let together = side.free.together();
        let whole =
            together == side.free.len() || (together.is_multiple_of(width) && columns.start.is_multiple_of(width));
        let panels = if whole { columns.len() / width } else { 0 };
        (panels > 0).then(|| Self { side, batch, panels, terms: [side.contracting.offset(terms.start), term] })
    }

    /// The columns from this one on.
    fn at(&self, column: usize) -> Option<Columns<T::Wide>> {
        let Self { side, batch, terms: [first, term], .. } = self;
        let first = side.batch.offset(*batch) + side.free.offset(column) + first;
        Some(Columns { first: T::as_wide(side.first.wrapping_offset(first))?, term: *term })
    }
}

/// For each size of tree, its sums in the tiles of the open rows and columns.
struct Trees<S: Accumulator> {
    sums: Scratch<S>,
    sizes: usize,
    /// Sums of each size.
    len: usize,
}

/// What a product writes while it is made, reused over the batch.
struct Workspace<T: Real> {
    isa: Isa,
    tile: Tile<T::Wide>,
    rows: Panels<T::Wide>,
    columns: Panels<T::Wide>,
    trees: Trees<T::Wide>,
    sums: Scratch<T::Wide>,
    down: Lying,
    across: Lying,
    pace: Pace,
}

impl<T: Real> Workspace<T> {
    fn new(isa: Isa, m: usize, n: usize, k: usize) -> Self {
        let tile = Tile::choose(isa, m, n);
        let size = tile.rows * tile.columns;
        let tiles = m.min(ROWS_OPEN).div_ceil(tile.rows) * n.min(COLUMNS_OPEN).div_ceil(tile.columns);
        let sizes = (usize::BITS - (k.div_ceil(BLOCK) - 1).leading_zeros()) as usize;
        // What is made last is given back last, so that the next product finds memory of the same size.
        let sums = Scratch::new();
        let trees = Trees { sums: Scratch::new(), sizes, len: tiles * size };
        let columns = Panels::new();
        let (down, across) = (Lying::new(), Lying::new());
        Self { isa, tile, rows: Panels::new(), columns, trees, sums, down, across, pace: Pace::new() }
    }

    /// Writes the products of these rows and columns; no other thread writes them.
    fn multiply<O: Real<Wide = T::Wide>>(
        &mut self,
        batch: usize,
        (rows, down): (&Operand<'_, T>, &Range<usize>),
        (columns, across): (&Operand<'_, T>, &Range<usize>),
        (all_terms, start): (&Range<usize>, Start),
        out: (&Outputs<'_, O>, isize),
    ) {
        let (height, width) = (self.tile.rows, self.tile.columns);
        // Whole tiles, so that only the last ones of a side are cut.
        let packed = ROWS_PACKED / height * height;
        // Without trees to keep, nothing is open, and columns are packed once for all rows.
        let open_rows = if self.trees.sizes == 0 { usize::MAX } else { ROWS_OPEN / packed * packed };
        let open_columns = COLUMNS_OPEN / width * width;
        for left in cuts(across, open_columns) {
            for top in cuts(down, open_rows) {
                for (block, terms) in cuts(all_terms, BLOCK).enumerate() {
                    let last = terms.end == all_terms.end;
                    let place = Place { block, last, terms: terms.len(), start, alone: false };
                    let direct = Direct::of(columns, batch, &left, &terms, width);
                    let panels = direct.as_ref().map_or(0, |direct| direct.panels);
                    self.columns.fill(columns, batch, &left, &terms, (width, |_| width, panels), self.isa);
                    for strip in cuts(&top, packed) {
                        let in_place = Some(&strip).filter(|_| left.len() <= IN_PLACE * width);
                        let in_place = in_place.and_then(|strip| InPlace::of(rows, batch, strip, &terms, &self.tile));
                        let rest = strip.start + in_place.map_or(0, |rows| rows.len)..strip.end;
                        let short = |rows| self.tile.kernel(rows).rows;
                        self.rows.fill(rows, batch, &rest, &terms, (height, short, 0), self.isa);
                        let above = (strip.start - top.start) / height;
                        let direct = direct.as_ref().filter(|_| above == 0);
                        // A panel that is read once needs not be written.
                        let place = Place { alone: top.len() <= height, ..place };
                        // SAFETY: the rows are of this strip and have these terms, and so have the columns; the outputs are
                        // this thread's.
                        unsafe { self.tiles(&place, (in_place, direct), above, [&strip, &left], out) };
                    }
                }
            }
        }
    }

    /// Runs the kernel on all rows in place, all packed ones after them and all columns, and writes outputs after the last
    /// block; `above` open tiles come before these. The first tile of rows packs the columns that are read directly.
    ///
    /// # Safety
    ///
    /// The rows in place have the block's terms, and no other thread writes the outputs of these rows and columns, which have
    /// been written before where it starts from them.
    unsafe fn tiles<O: Real<Wide = T::Wide>>(
        &mut self,
        place: &Place,
        (in_place, direct): (Option<InPlace<T::Wide>>, Option<&Direct<'_, T>>),
        above: usize,
        [down, across]: [&Range<usize>; 2],
        (out, first): (&Outputs<'_, O>, isize),
    ) {
        let (height, width) = (self.tile.rows, self.tile.columns);
        let tiles_across = across.len().div_ceil(width);
        let merged = if place.last { self.trees.sizes } else { place.block.trailing_ones() as usize };
        let in_place = in_place.into_iter().flat_map(|InPlace { rows, len }| {
            cuts(&(0..len), height).map(move |tile| {
                let first = rows.first.wrapping_offset(tile.start as isize * rows.row);
                (Rows { first, ..rows }, tile.len())
            })
        });
        let packed = self.rows.chunks(place.terms * height).map(|panel| {
            let height = panel.len() / place.terms;
            (Rows::packed(panel, height), height)
        });
        let tile = self.tile;
        let rows: SmallVec<[_; 16]> =
            in_place.chain(packed).map(|(rows, height)| (rows, tile.kernel(height))).collect();
        let panels = self.columns.factors.as_mut_ptr();
        let mut earlier: SmallVec<[*const T::Wide; 8]> = SmallVec::new();
        for j in 0..tiles_across {
            let column = across.start + j * width;
            let columns = column..across.end.min(column + width);
            // SAFETY: there are as many panels.
            let panel = unsafe { panels.add(j * place.terms * width) };
            self.pace.did(down.len() * columns.len() * place.terms);
            let mut unpacked = direct.filter(|direct| j < direct.panels).and_then(|direct| direct.at(column));
            for (i, &(panel_rows, kernel)) in rows.iter().enumerate() {
                let row = down.start + i * height;
                let rows = row..down.end.min(row + height);
                let at = ((above + i) * tiles_across + j) * height * width;
                let at = at..at + height * width;
                // Filled in place: a list that is handed over would be waited for until all outputs before it are written.
                earlier.clear();
                let Trees { sums: trees, sizes, len } = &mut self.trees;
                let (merging, open) = trees.any(*sizes * *len).split_at_mut(merged * *len);
                for size in (0..merged).filter(|size| place.block >> size & 1 == 1) {
                    earlier.push(merging[size * *len..][at.clone()].as_ptr());
                }
                let is_whole = place.last && (rows.len(), columns.len()) == (kernel.rows, width);
                let (rows, columns) = (self.down.of(&rows), self.across.of(&columns));
                let in_place = if is_whole { outputs_in_place(out, first, rows, columns) } else { None };
                let sums = match in_place {
                    Some(sums) => sums,
                    None if !place.last => (open[at].as_mut_ptr(), width),
                    _ => {
                        let sums = self.sums.any(height * width);
                        if place.start == Start::There {
                            // SAFETY: as the caller says.
                            unsafe { read(out, first, rows, columns, sums, width) };
                        }
                        (sums.as_mut_ptr(), width)
                    }
                };
                let before = (place.start, earlier.as_slice());
                let packed = Columns { first: panel.cast_const(), term: width as isize };
                // SAFETY: panels have this many terms of a tile's rows and columns, and so have rows and columns in a matrix, as
                // the caller says; other sums are a tile.
                unsafe {
                    match unpacked.take() {
                        Some(columns) if place.alone => kernel.run(place.terms, panel_rows, columns, before, sums),
                        Some(columns) => {
                            let columns = Unpacked { columns, panel };
                            kernel.run_and_pack(place.terms, panel_rows, columns, before, sums);
                        }
                        None => kernel.run(place.terms, panel_rows, packed, before, sums),
                    }
                }
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
    /// What its chains start from.
    start: Start,
    /// Whether there is one tile of rows only.
    alone: bool,
}
