#![allow(unsafe_code, reason = "parts write and read their own outputs")]
//! Where the outputs of a tile lie, and how they get there.

use std::ops::Range;

use super::element::Real;
use super::outputs::Outputs;
use super::scratch::Scratch;
use super::walk::Walk;

/// Where the outputs of some positions of a side lie.
pub(super) struct Lying {
    from: usize,
    places: Scratch<isize>,
}

impl Lying {
    pub(super) fn new() -> Self {
        Self { from: 0, places: Scratch::new() }
    }

    pub(super) fn fill(&mut self, walk: &Walk, positions: &Range<usize>) {
        self.from = positions.start;
        walk.offsets(positions, &mut self.places);
    }

    pub(super) fn of(&self, positions: &Range<usize>) -> &[isize] {
        &self.places[positions.start - self.from..positions.end - self.from]
    }
}

/// Where the kernel may write the outputs of these rows and columns itself, and how far rows are apart.
pub(super) fn outputs_in_place<O: Real>(
    out: &Outputs<'_, O>,
    first: isize,
    rows: &[isize],
    columns: &[isize],
) -> Option<(*mut O::Wide, usize)> {
    let apart = rows.get(1).map_or(0, |second| second - rows[0]);
    let together = columns[columns.len() - 1] - columns[0] == columns.len() as isize - 1;
    // Places rise, so that columns as far apart as they are many lie together.
    if !together || apart < 0 || rows.windows(2).any(|pair| pair[1] - pair[0] != apart) {
        return None;
    }
    let start = (first + rows[0] + columns[0]) as usize;
    let end = (first + rows[rows.len() - 1] + columns[columns.len() - 1]) as usize + 1;
    Some((O::as_wide_mut(out.pointer(start..end))?, apart as usize))
}

/// Writes the sums of these rows and columns, which are rows of `width`.
///
/// # Safety
///
/// No other thread writes these outputs.
pub(super) unsafe fn write<O: Real>(
    out: &Outputs<'_, O>,
    first: isize,
    rows: &[isize],
    columns: &[isize],
    sums: &[O::Wide],
    width: usize,
) {
    for (row, sums) in rows.iter().zip(sums.chunks(width)) {
        for (column, &sum) in columns.iter().zip(sums) {
            // SAFETY: the caller vouches for it.
            unsafe { out.write((first + row + column) as usize, O::narrow(sum)) };
        }
    }
}

/// Reads the outputs of these rows and columns into rows of `width`.
///
/// # Safety
///
/// They were written, and no other thread writes them.
pub(super) unsafe fn read<O: Real>(
    out: &Outputs<'_, O>,
    first: isize,
    rows: &[isize],
    columns: &[isize],
    sums: &mut [O::Wide],
    width: usize,
) {
    for (row, sums) in rows.iter().zip(sums.chunks_mut(width)) {
        for (column, sum) in columns.iter().zip(sums) {
            // SAFETY: the caller vouches for it.
            *sum = unsafe { out.read((first + row + column) as usize) }.widen();
        }
    }
}
