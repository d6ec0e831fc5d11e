#![allow(unsafe_code, reason = "the kernel reads packed panels through pointers")]
//! An integer product cut into blocks, packed and given to the kernel.

use std::ops::Range;

use super::pack::{Layout, Packed, Role};
use super::side::{Request, Side};
use super::tile::{From, Kernel};
use crate::kernel::isa::Isa;
use crate::kernel::parts::{self, Extent, Part};
use crate::kernel::scratch::Scratch;

/// Multiplications that keep a thread busy for about a fifth of a millisecond.
const LEAST: usize = 1 << 25;
/// Multiplications that take as long as quantizing and packing an element.
const PACKING: usize = 64;
/// Terms that are packed at a time. Sums of more are kept beside the tiles.
const TERMS: usize = 4096;
/// Bytes of packed rows that stay in a usual L2 with the columns of a tile.
const ROW_BYTES: usize = 256 << 10;
/// Bytes of packed columns.
const COLUMN_BYTES: usize = 4 << 20;
/// Rows whose sums are kept beside the tiles.
const ROWS_OPEN: usize = 512;

/// A number for each batch and free position of a side, the free one fastest.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scales<'a> {
    /// The same for all.
    Shared(f32),
    Each(&'a [f32]),
}

impl Scales<'_> {
    /// The numbers of these positions.
    pub(super) fn of(self, positions: Range<usize>, into: &mut Vec<f32>) {
        into.clear();
        match self {
            Self::Shared(scale) => into.resize(positions.len(), scale),
            Self::Each(scales) => into.extend_from_slice(&scales[positions]),
        }
    }
}

/// Which side of a product gives the rows of its tiles; the other fills vectors with columns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rows {
    Lhs,
    Rhs,
}

/// Whole sums of some rows and columns at a batch position.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile<'a> {
    pub(super) batch: usize,
    pub(super) rows: &'a Range<usize>,
    pub(super) columns: &'a Range<usize>,
    /// Row after row, each of `width` sums, of which the first are of the columns.
    sums: &'a [i32],
    width: usize,
    /// What each row's sums are more than they should be.
    offsets: &'a [i32],
    /// Outputs from a row to the next, from a column to the next, and from a batch position to the next.
    strides: [usize; 3],
}

/// A row of a tile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    pub(super) sums: &'a [i32],
    /// What each sum is more than it should be.
    pub(super) offset: i32,
    /// The first sum's output, and how far the next one's is.
    pub(super) start: usize,
    pub(super) step: usize,
}

impl<'a> Tile<'a> {
    /// The rows.
    #[inline(always)]
    pub(super) fn lines(&self) -> impl Iterator<Item = Line<'a>> + use<'a> {
        let Self { batch, sums, width, offsets, strides: [down, across, beyond], .. } = *self;
        let first = batch * beyond + self.columns.start * across;
        let count = self.columns.len();
        let rows = self.rows.clone().zip(offsets).zip(sums.chunks(width));
        rows.map(move |((row, &offset), sums)| Line {
            sums: &sums[..count],
            offset,
            start: first + row * down,
            step: across,
        })
    }
}

/// Which side gives the rows where the lhs has `m` free positions and the rhs `n`.
pub(super) fn rows_of(isa: Isa, m: usize, n: usize) -> Rows {
    // The side with more positions fills vectors where the other does not.
    if n < m && n < Kernel::of(isa).lanes { Rows::Rhs } else { Rows::Lhs }
}

/// Gives the exact sums of these terms, of which there are few enough that none overflows, to `finished`, tile by tile; on
/// several threads where there is enough to do. Each output is in one tile.
pub(super) fn multiply(
    isa: Isa,
    [lhs, rhs]: [(&dyn Side, Scales<'_>); 2],
    terms: &Range<usize>,
    finished: &(dyn Fn(Tile<'_>) + Sync),
) {
    let [m, n] = [lhs, rhs].map(|(side, _)| side.free().len());
    let kernel = Kernel::of(isa);
    let extent = Extent {
        batch: lhs.0.batch().len(),
        free: [m, n],
        terms: terms.len(),
        packing: PACKING,
        least: LEAST,
        grain: [kernel.most_rows, kernel.lanes * kernel.most_vectors],
    };
    parts::run(extent.parts(), |part: Part| {
        let (lhs, rhs) = (Cut { side: lhs, free: &part.lhs }, Cut { side: rhs, free: &part.rhs });
        let (rows, columns, strides) = match rows_of(isa, m, n) {
            Rows::Lhs => (lhs, rhs, [n, 1, m * n]),
            Rows::Rhs => (rhs, lhs, [1, n, m * n]),
        };
        part_of(isa, &part.batch, [rows, columns], strides, terms, finished);
    });
}

/// Some free positions of a side.
#[derive(Clone, Copy)]
struct Cut<'a> {
    side: (&'a dyn Side, Scales<'a>),
    free: &'a Range<usize>,
}

/// The tiles of some batch positions and of some free positions of each side.
fn part_of(
    isa: Isa,
    batch: &Range<usize>,
    [Cut { side: rows, free: down_all }, Cut { side: columns, free: across_all }]: [Cut<'_>; 2],
    strides: [usize; 3],
    all_terms: &Range<usize>,
    finished: &dyn Fn(Tile<'_>),
) {
    let (m, n) = (down_all.len(), across_all.len());
    if m == 0 || n == 0 {
        return;
    }
    let kernel = Kernel::of(isa);
    let Kernel { words, lanes, most_rows, most_vectors, .. } = kernel;
    let terms = all_terms.len().min(TERMS);
    let is_cut = all_terms.len() > TERMS;
    // Equal panels: 9 rows are 5 and 4, not 8 and 1.
    let height = m.div_ceil(m.div_ceil(most_rows));
    let bytes = (4 * terms.div_ceil(words.terms())).max(1);
    let rows_packed = if is_cut { ROWS_OPEN } else { ROW_BYTES / bytes }.max(height) / height * height;
    let columns_packed = (COLUMN_BYTES / bytes).max(1).next_multiple_of(lanes * most_vectors);
    let mut left = Panels::new(Layout { words, role: Role::Rows, width: height });
    let mut right = Panels::new(Layout { words, role: Role::Columns, width: lanes });
    let (mut sums, mut offsets) = (Scratch::new(), Scratch::new());
    for batch in batch.clone() {
        for across in cuts(across_all, columns_packed) {
            right.move_to(columns, batch, &across);
            for down in cuts(down_all, rows_packed) {
                left.move_to(rows, batch, &down);
                // Of no terms there is one empty block, whose sums are zero.
                let blocks = cuts(all_terms, TERMS).chain(all_terms.is_empty().then(|| all_terms.clone()));
                for terms in blocks {
                    if is_cut || down.start == down_all.start {
                        right.fill(isa, columns.0, batch, &terms);
                    }
                    left.fill(isa, rows.0, batch, &terms);
                    let place = Place { first: terms.start == all_terms.start, last: terms.end == all_terms.end };
                    if place.last {
                        offsets.clear();
                        offsets.extend(left.sums.iter().map(|sum| sum.wrapping_mul(words.offset())));
                    }
                    tiles(
                        &kernel,
                        &left,
                        &right,
                        terms.len(),
                        place,
                        &mut sums,
                        &mut |Whole { row, column, sums, width }| {
                            let rows = down.start + row..down.end.min(down.start + row + height);
                            let columns = across.start + column..across.end.min(across.start + column + width);
                            let offsets = &offsets[row..row + rows.len()];
                            finished(Tile { batch, rows: &rows, columns: &columns, sums, width, offsets, strides });
                        },
                    );
                }
            }
        }
    }
}

/// What one side is packed into, reused over the batch.
struct Panels {
    layout: Layout,
    words: Scratch<i32>,
    free: Scratch<isize>,
    terms: Scratch<isize>,
    scales: Scratch<f32>,
    /// The sum of each position's integers.
    sums: Scratch<i32>,
    lines: Scratch<i8>,
}

impl Panels {
    fn new(layout: Layout) -> Self {
        Self {
            layout,
            words: Scratch::new(),
            free: Scratch::new(),
            terms: Scratch::new(),
            scales: Scratch::new(),
            sums: Scratch::new(),
            lines: Scratch::new(),
        }
    }

    /// Goes to other positions.
    fn move_to(&mut self, (side, scales): (&dyn Side, Scales<'_>), batch: usize, free: &Range<usize>) {
        side.free().offsets(free, &mut self.free);
        let start = batch * side.free().len();
        scales.of(start + free.start..start + free.end, &mut self.scales);
        self.sums.clear();
        self.sums.resize(free.len(), 0);
    }

    /// Packs these terms of the positions.
    fn fill(&mut self, isa: Isa, side: &dyn Side, batch: usize, terms: &Range<usize>) {
        side.contracting().offsets(terms, &mut self.terms);
        self.words.resize(self.layout.size(self.free.len(), self.terms.len()), 0);
        let request = Request { batch, free: &self.free, terms: &self.terms, scales: &self.scales };
        let packed = Packed { panels: &mut self.words, sums: &mut self.sums, lines: &mut self.lines };
        side.pack(isa, self.layout, request, packed);
    }
}

/// A block of terms among those of a sum.
#[derive(Clone, Copy)]
struct Place {
    first: bool,
    last: bool,
}

/// A tile of whole sums, by its place in the packed panels.
struct Whole<'a> {
    row: usize,
    column: usize,
    sums: &'a [i32],
    width: usize,
}

/// Runs the kernel on all packed panels, and calls `finished` with each tile of whole sums.
fn tiles(
    kernel: &Kernel,
    left: &Panels,
    right: &Panels,
    terms: usize,
    place: Place,
    sums: &mut Vec<i32>,
    finished: &mut dyn FnMut(Whole<'_>),
) {
    let (height, lanes) = (left.layout.width, kernel.lanes);
    let words = terms.div_ceil(kernel.words.terms());
    let (row_panel, column_panel) = (words * height, words * lanes);
    let (down, across) = (left.free.len().div_ceil(height), right.free.len().div_ceil(lanes));
    let wide = across.div_ceil(kernel.most_vectors);
    let whole = place.first && place.last;
    let open = if whole { kernel.most_vectors * lanes * height } else { down * across * lanes * height };
    sums.resize(open, 0);
    let from = if place.first { From::Zero } else { From::Sums };
    let mut at = 0;
    for wide_at in 0..wide {
        // Nearly equal widths: four vectors are two and two.
        let vectors = wide_at * across / wide..(wide_at + 1) * across / wide;
        let width = vectors.len() * lanes;
        let run = kernel.run(height, vectors.len());
        let columns = &right.words[vectors.start * column_panel..vectors.end * column_panel];
        for down_at in 0..down {
            let rows = &left.words[down_at * row_panel..(down_at + 1) * row_panel];
            let tile = &mut sums[at..at + width * height];
            // SAFETY: the panels have `words` words of `height` rows and of each vector, the tile is a whole one, and
            // the kernel is one of an instruction set that was detected.
            unsafe { run(words, rows.as_ptr(), columns.as_ptr(), column_panel, from, tile.as_mut_ptr()) };
            if place.last {
                finished(Whole { row: down_at * height, column: vectors.start * lanes, sums: tile, width });
            }
            if !whole {
                at += width * height;
            }
        }
    }
}

/// The range in pieces of `size`, the last one shorter.
fn cuts(range: &Range<usize>, size: usize) -> impl Iterator<Item = Range<usize>> + use<> {
    let Range { start, end } = *range;
    (start..end).step_by(size).map(move |start| start..end.min(start + size))
}
