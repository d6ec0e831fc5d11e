#![allow(unsafe_code, reason = "reads through the offsets of a walk")]
//! Copies a strided side into the panels that the kernel reads.

use super::lanes::Accumulator;

/// Terms that are copied before the next row: one cache line of the widest type's reads stays useful.
const STRIP: usize = 16;

/// Fills `panel` with each term of all rows in turn, rows beyond `free` with zeros.
///
/// # Safety
///
/// `first` plus any of `free` plus any of `terms` must be readable.
pub(super) unsafe fn pack<T: Copy, S: Accumulator>(
    first: *const T,
    free: &[isize],
    terms: &[isize],
    widen: impl Fn(T) -> S,
    width: usize,
    panel: &mut [S],
) {
    assert_eq!(panel.len(), terms.len() * width);
    assert!(free.len() <= width);
    if free.len() < width {
        panel.fill(S::default());
    }
    let at = |row: usize, term: usize| term * width + row;
    if is_run(free) {
        for (term, &offset) in terms.iter().enumerate() {
            // SAFETY: the caller vouches for the address.
            let source = unsafe { std::slice::from_raw_parts(first.offset(offset + free[0]), free.len()) };
            for (factor, &value) in panel[at(0, term)..].iter_mut().zip(source) {
                *factor = widen(value);
            }
        }
        return;
    }
    for (strip, terms) in terms.chunks(STRIP).enumerate() {
        for (row, &offset) in free.iter().enumerate() {
            for (term, &term_offset) in terms.iter().enumerate() {
                // SAFETY: the caller vouches for the address.
                panel[at(row, strip * STRIP + term)] = widen(unsafe { *first.offset(offset + term_offset) });
            }
        }
    }
}

/// Whether the offsets are of neighbours in memory, in rising order.
fn is_run(offsets: &[isize]) -> bool {
    !offsets.is_empty() && offsets.windows(2).all(|pair| pair[1] == pair[0] + 1)
}
