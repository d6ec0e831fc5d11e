#![allow(unsafe_code, reason = "packing reads through the offsets of a walk, and parts write their own outputs")]
//! A product cut into blocks of terms and tiles of outputs.
//!
//! Blocks are those of the definition, so their sums can be kept aside and added as its tree says. The block with
//! number `t` is added to the sums of as many trees of rising size as `t` ends in one bits, and to all that are left
//! when it is the last; that is the pairwise tree, without its recursion.

use std::mem::MaybeUninit;
use std::ops::Range;

use smallvec::SmallVec;

use super::BLOCK;
use super::element::Element;
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

/// Gives every output the sum of all terms, finished; there are terms.
pub(super) fn multiply<T: Element, O: Copy + Send>(
    isa: Isa,
    product: &Product<'_, T>,
    finish: impl Fn(T::Wide) -> O + Copy + Sync,
    out: &Outputs<'_, O>,
) {
    assert_eq!(out.len(), product.outputs());
    let extent = Extent {
        batch: product.lhs.batch.len(),
        free: [product.lhs.free.len(), product.rhs.free.len()],
        terms: product.terms(),
        packing: PACKING,
        least: LEAST,
        grain: [8, widest::<T::Wide>(isa)],
    };
    parts::run(extent.parts(), |part| part_of(isa, product, &part, finish, out));
}

/// The outputs of a part.
fn part_of<T: Element, O: Copy>(
    isa: Isa,
    product: &Product<'_, T>,
    part: &Part,
    finish: impl Fn(T::Wide) -> O + Copy,
    out: &Outputs<'_, O>,
) {
    let (m, n) = (product.lhs.free.len(), product.rhs.free.len());
    let (lhs, rhs) = ((&product.lhs, &part.lhs), (&product.rhs, &part.rhs));
    // A product commutes, so the side with more outputs can be the one that fills vectors.
    let exchanged = rhs.1.len() < lhs.1.len() && rhs.1.len() < widest::<T::Wide>(isa);
    let (rows, columns, [down, across]) = if exchanged { (rhs, lhs, [1, n]) } else { (lhs, rhs, [n, 1]) };
    let mut workspace = Workspace::<T::Wide>::new(isa, rows.1.len(), columns.1.len(), product.terms());
    for batch in part.batch.clone() {
        workspace.multiply(batch, rows, columns, product.terms(), |row, column, sums| {
            let first = batch * m * n + row * down + column * across;
            // SAFETY: outputs of the part's own positions, each of them once; no other part has them.
            unsafe {
                if across == 1 {
                    let out = out.range(first..first + sums.len());
                    out.iter_mut().zip(sums).for_each(|(out, &sum)| *out = MaybeUninit::new(finish(sum)));
                } else {
                    sums.iter().enumerate().for_each(|(at, &sum)| out.write(first + at * across, finish(sum)));
                }
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
    fn new() -> Self {
        Self { factors: Scratch::new(), free: Scratch::new(), terms: Scratch::new() }
    }

    /// Packs these free and contracting positions of a side at one batch position.
    fn fill<T: Element<Wide = S>>(
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
        self.factors.resize(size * self.free.len().div_ceil(width), S::default());
        let first = side.first.wrapping_offset(side.batch.offset(batch));
        for (free, panel) in self.free.chunks(width).zip(self.factors.chunks_mut(size)) {
            // SAFETY: an operand's pointer and offsets of its three walks together are an element of its view.
            let pack = unsafe { Pack::new(first, free, &self.terms, T::widen, width, panel) };
            isa.run(pack);
        }
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
    fn of<T: Element<Wide = S>>(
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
struct Workspace<S: Accumulator> {
    isa: Isa,
    tile: Tile<S>,
    rows: Panels<S>,
    columns: Panels<S>,
    /// For each size of tree, its sums in the tiles of the open rows and columns.
    trees: Vec<Vec<S>>,
    sums: Scratch<S>,
}

impl<S: Accumulator> Workspace<S> {
    fn new(isa: Isa, m: usize, n: usize, k: usize) -> Self {
        let tile = Tile::<S>::choose(isa, m, n);
        let size = tile.rows * tile.columns;
        let tiles = m.min(ROWS_OPEN).div_ceil(tile.rows) * n.min(COLUMNS_OPEN).div_ceil(tile.columns);
        let trees = usize::BITS - (k.div_ceil(BLOCK) - 1).leading_zeros();
        let mut sums = Scratch::new();
        sums.resize(size, S::default());
        let trees = vec![vec![S::default(); tiles * size]; trees as usize];
        Self { isa, tile, rows: Panels::new(), columns: Panels::new(), trees, sums }
    }

    /// Calls `write(row, column, sums)` with runs of finished sums along the columns.
    fn multiply<T: Element<Wide = S>>(
        &mut self,
        batch: usize,
        (rows, down): (&Operand<'_, T>, &Range<usize>),
        (columns, across): (&Operand<'_, T>, &Range<usize>),
        all_terms: usize,
        mut write: impl FnMut(usize, usize, &[S]),
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
                        // SAFETY: the rows are of this strip and have these terms.
                        unsafe {
                            self.tiles(&place, in_place, above, |i, j, sums| {
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
    }

    /// Runs the kernel on all rows in place, all packed ones after them and all packed columns, and calls
    /// `finished(tile down, tile across, sums)` after the last block; `above` open tiles come before these.
    ///
    /// # Safety
    ///
    /// The rows in place have the block's terms.
    unsafe fn tiles(
        &mut self,
        place: &Place,
        in_place: Option<InPlace<S>>,
        above: usize,
        mut finished: impl FnMut(usize, usize, &[S]),
    ) {
        let (height, width) = (self.tile.rows, self.tile.columns);
        let across = self.columns.free.len().div_ceil(width);
        let merged = if place.last { usize::BITS } else { place.block.trailing_ones() };
        let in_place = in_place.into_iter().flat_map(|InPlace { rows, tiles }| {
            (0..tiles).map(move |tile| {
                let first = rows.first.wrapping_offset((tile * height) as isize * rows.row);
                Rows { first, ..rows }
            })
        });
        let packed = self.rows.factors.chunks(place.terms * height).map(|panel| Rows::packed(panel, height));
        let rows: SmallVec<[Rows<S>; 16]> = in_place.chain(packed).collect();
        for (j, columns) in self.columns.factors.chunks(place.terms * width).enumerate() {
            for (i, &rows) in rows.iter().enumerate() {
                let at = ((above + i) * across + j) * height * width;
                let at = at..at + height * width;
                let earlier = self.trees.iter().enumerate().take(merged as usize);
                let earlier =
                    earlier.filter(|(size, _)| place.block >> size & 1 == 1).map(|(_, tree)| &tree[at.clone()]);
                // SAFETY: packed panels have this many terms of a tile's rows, and the caller vouches for the others.
                unsafe { self.tile.run(place.terms, rows, columns, earlier, &mut self.sums) };
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
