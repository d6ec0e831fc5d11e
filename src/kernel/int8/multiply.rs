#![allow(unsafe_code, reason = "the kernel reads packed panels through pointers")]
//! An integer product cut into blocks, packed and given to the kernel.

use std::ops::Range;

use super::lanes::First;
use super::pack::Role;
use super::panels::{Panels, Ready};
use super::side::Side;
use super::tile::{From, Kernel, Rescaled};
use crate::cancel::Pace;
use crate::kernel::isa::Isa;
use crate::kernel::outputs::Outputs;
use crate::kernel::parts::{self, Extent, Part, cuts};
use crate::kernel::product::Places;
use crate::kernel::scratch::Scratch;
use crate::kernel::stream::Stores;
use crate::lower;

/// Multiplications that keep a thread busy for about a fifth of a millisecond.
const LEAST: usize = 1 << 25;
/// Multiplications that take as long as quantizing and packing an element.
const PACKING: usize = 64;
/// Terms that are packed at a time. Sums of more are kept beside the tiles.
pub(super) const TERMS: usize = 4096;
/// Bytes of packed rows that stay in a usual L2 with the columns of a tile.
const ROW_BYTES: usize = 256 << 10;
/// Bytes of packed columns.
const COLUMN_BYTES: usize = 4 << 20;
/// Rows whose sums are kept beside the tiles.
const ROWS_OPEN: usize = 512;

/// Whole sums of some rows and columns at a batch position.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile<'a> {
    /// Row after row, each of `width` sums, of which the first are of the columns.
    pub(super) sums: &'a [i32],
    pub(super) width: usize,
    /// What each row's sums are more than they should be.
    pub(super) offsets: &'a [i32],
    /// What the sums of a row and of a column are rescaled by.
    pub(super) rows: &'a [f32],
    pub(super) columns: &'a [f32],
    /// Where the first output of the batch position lies, and how far from it those of each row and of each column.
    pub(super) first: isize,
    pub(super) down: &'a [isize],
    pub(super) across: &'a [isize],
    /// No more than the magnitude of any product of a row's and a column's number that is not zero.
    pub(super) least: f32,
}

/// A product of two sides.
#[derive(Clone, Copy)]
pub(super) struct Multiplication<'a> {
    pub(super) isa: Isa,
    pub(super) lhs: &'a dyn Side,
    pub(super) rhs: &'a dyn Side,
    pub(super) places: &'a Places,
    /// The side whose positions fill vectors with columns; the other's are the rows.
    pub(super) columns: lower::Side,
    /// The outputs, if they are binary32 and the products of a sum and the numbers of the lhs and of the rhs.
    pub(super) products: Option<Products<'a>>,
    pub(super) stores: Stores,
}

/// Outputs that the kernel itself may write.
#[derive(Clone, Copy)]
pub(super) struct Products<'a> {
    pub(super) out: &'a Outputs<'a, f32>,
    /// The smallest product of numbers with which it may.
    pub(super) least: f32,
}

impl Multiplication<'_> {
    /// Gives the exact sums of these terms, of which there are few enough that none overflows, to `finished`, tile by tile;
    /// on several threads where there is enough to do. Each output is in one tile.
    pub(super) fn run(self, terms: &Range<usize>, finished: &(dyn Fn(Tile<'_>) + Sync)) {
        let [m, n] = [self.lhs, self.rhs].map(|side| side.free().len());
        let kernel = Kernel::of(self.isa);
        let [rows, columns] = [kernel.most_rows, kernel.lanes * kernel.most_vectors];
        let extent = Extent {
            batch: self.lhs.batch().len(),
            free: [m, n],
            terms: terms.len(),
            packing: PACKING,
            least: LEAST,
            // Whole panels, of which those packed before consist.
            grain: self.columns.of([columns, rows], [rows, columns]),
        };
        parts::run(extent.parts(), |part: Part| {
            let lhs = Cut { side: self.lhs, free: &part.lhs, outputs: &self.places.lhs };
            let rhs = Cut { side: self.rhs, free: &part.rhs, outputs: &self.places.rhs };
            let (rows, columns) = match self.columns {
                lower::Side::Lhs => (rhs, lhs),
                lower::Side::Rhs => (lhs, rhs),
            };
            if !rows.free.is_empty() && !columns.free.is_empty() {
                self.part(&part.batch, rows, columns, terms, finished);
                self.stores.finish();
            }
        });
    }

    /// Whose number comes first: that of the lhs.
    fn first(self) -> First {
        match self.columns {
            lower::Side::Rhs => First::Row,
            lower::Side::Lhs => First::Column,
        }
    }

    /// The tiles of some batch positions and of some free positions of each side.
    fn part(
        self,
        batch: &Range<usize>,
        rows: Cut<'_>,
        columns: Cut<'_>,
        all_terms: &Range<usize>,
        finished: &dyn Fn(Tile<'_>),
    ) {
        let kernel = Kernel::of(self.isa);
        let Kernel { words, lanes, most_rows: height, most_vectors, .. } = kernel;
        let is_cut = all_terms.len() > TERMS;
        let bytes = (4 * all_terms.len().min(TERMS).div_ceil(words.terms())).max(1);
        let rows_packed =
            if is_cut { ROWS_OPEN } else { ROW_BYTES / bytes }.max(2 * height) / (2 * height) * 2 * height;
        let columns_packed = (COLUMN_BYTES / bytes).max(1).next_multiple_of(lanes * most_vectors);
        let mut left = Panels::new(self.isa, rows.side, kernel.layout(Role::Rows));
        let mut right = Panels::new(self.isa, columns.side, kernel.layout(Role::Columns));
        let (mut down, mut across, mut offsets) = (Scratch::new(), Scratch::new(), Scratch::new());
        let mut tiles = Tiles { kernel, sums: Scratch::new(), pace: Pace::new() };
        for batch in batch.clone() {
            let first = self.places.batch.offset(batch);
            for column_cut in cuts(columns.free, columns_packed) {
                columns.outputs.offsets(&column_cut, &mut across);
                if is_cut {
                    right.move_to(batch, &column_cut);
                } else {
                    right.pack(batch, &column_cut, all_terms);
                }
                for row_cut in cuts(rows.free, rows_packed) {
                    rows.outputs.offsets(&row_cut, &mut down);
                    if is_cut {
                        left.move_to(batch, &row_cut);
                    } else {
                        left.pack(batch, &row_cut, all_terms);
                    }
                    // Of no terms there is one empty block, whose sums are zero.
                    let blocks = cuts(all_terms, TERMS).chain(all_terms.is_empty().then(|| all_terms.clone()));
                    for terms in blocks {
                        if is_cut {
                            right.fill(&terms);
                            left.fill(&terms);
                        }
                        let place = Place { first: terms.start == all_terms.start, last: terms.end == all_terms.end };
                        let (left, right) = (left.ready(), right.ready());
                        if place.last {
                            offsets.clear();
                            offsets.extend(left.sums.iter().map(|sum| sum.wrapping_mul(words.offset())));
                        }
                        let least = left.least.min(right.least).min(left.least * right.least);
                        let outputs = Finished { first, down: &down, across: &across, offsets: &offsets, least };
                        let products = self.products.filter(|products| least >= products.least);
                        let products = products.map(|products| (products, self.first(), self.stores));
                        tiles.run(left, right, terms.len(), place, outputs, products, finished);
                    }
                }
            }
        }
    }
}

/// Some free positions of a side.
#[derive(Clone, Copy)]
struct Cut<'a> {
    side: &'a dyn Side,
    free: &'a Range<usize>,
    outputs: &'a crate::kernel::walk::Walk,
}

/// A block of terms among those of a sum.
#[derive(Clone, Copy)]
struct Place {
    first: bool,
    last: bool,
}

/// What there is to know of outputs beside their sums.
#[derive(Clone, Copy)]
struct Finished<'a> {
    first: isize,
    down: &'a [isize],
    across: &'a [isize],
    /// What the sums of each row are more than they should be.
    offsets: &'a [i32],
    least: f32,
}

/// The kernel, and the sums of tiles that are not whole yet.
struct Tiles {
    kernel: Kernel,
    sums: Scratch<i32>,
    pace: Pace,
}

impl Tiles {
    /// Runs the kernel on all packed panels, and calls `finished` with each tile of whole sums that the kernel may not finish
    /// itself.
    #[allow(clippy::too_many_arguments, reason = "the innermost of the loops over blocks")]
    fn run(
        &mut self,
        left: Ready<'_>,
        right: Ready<'_>,
        terms: usize,
        place: Place,
        outputs: Finished<'_>,
        products: Option<(Products<'_>, First, Stores)>,
        finished: &dyn Fn(Tile<'_>),
    ) {
        let Kernel { words, lanes, most_rows: height, .. } = self.kernel;
        let words = terms.div_ceil(words.terms());
        let (row_panel, column_panel) = (words * height, words * lanes);
        let (down, across) = (left.positions.div_ceil(height), right.positions.div_ceil(lanes));
        // Of few rows more columns fit into registers.
        let most_vectors = self.kernel.vectors(left.positions.min(height));
        let wide = across.div_ceil(most_vectors);
        let whole = place.first && place.last;
        let open = if whole { most_vectors * lanes * height } else { down * across * lanes * height };
        let sums = self.sums.any(open);
        let from = if place.first { From::Zero } else { From::Sums };
        let mut at = 0;
        for wide_at in 0..wide {
            // Nearly equal widths: four vectors are two and two.
            let vectors = wide_at * across / wide..(wide_at + 1) * across / wide;
            let width = vectors.len() * lanes;
            let column_words = &right.words[vectors.start * column_panel..vectors.end * column_panel];
            let columns = vectors.start * lanes..right.positions.min(vectors.end * lanes);
            self.pace.did(left.positions * width * terms);
            let across = &outputs.across[columns.clone()];
            let products = products.filter(|_| whole && across.len() == width && across.chunks(lanes).all(is_run));
            for down_at in 0..down {
                let rows = down_at * height..left.positions.min((down_at + 1) * height);
                let panel = &left.words[down_at * row_panel..(down_at + 1) * row_panel];
                let down = &outputs.down[rows.clone()];
                if let Some((products, first, stores)) = products {
                    let run = self.kernel.run_rescaled(rows.len(), vectors.len());
                    let to = Rescaled {
                        out: products.out.pointer(0..products.out.len()).wrapping_offset(outputs.first),
                        down: down.as_ptr(),
                        across: across.as_ptr(),
                        offsets: outputs.offsets[rows.clone()].as_ptr(),
                        rows: left.inverses[rows].as_ptr(),
                        columns: right.inverses[columns.clone()].as_ptr(),
                        first,
                        stores,
                    };
                    // SAFETY: the panels have `words` words of `height` rows and of each vector, there is a number and a
                    // place for each row and column, those of a vector's columns are neighbours, the outputs are in no other
                    // tile, and the kernel is one of an instruction set that was detected.
                    unsafe { run(words, panel.as_ptr(), column_words.as_ptr(), column_panel, &to) };
                    continue;
                }
                let tile = &mut sums[at..at + width * rows.len()];
                let run = self.kernel.run(rows.len(), vectors.len());
                // SAFETY: the panels have `words` words of `height` rows and of each vector, the tile is a whole one, and
                // the kernel is one of an instruction set that was detected.
                unsafe { run(words, panel.as_ptr(), column_words.as_ptr(), column_panel, from, tile.as_mut_ptr()) };
                if place.last {
                    finished(Tile {
                        sums: tile,
                        width,
                        offsets: &outputs.offsets[rows.clone()],
                        rows: &left.inverses[rows],
                        columns: &right.inverses[columns.clone()],
                        first: outputs.first,
                        down,
                        across,
                        least: outputs.least,
                    });
                }
                if !whole {
                    at += width * height;
                }
            }
        }
    }
}

/// Whether places, which rise, are neighbours.
fn is_run(places: &[isize]) -> bool {
    places[places.len() - 1] - places[0] == places.len() as isize - 1
}
