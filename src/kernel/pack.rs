#![allow(unsafe_code, reason = "reads through the offsets of a walk")]
//! Copies a strided side into the panels that the kernel reads.

use super::isa::Vectorized;
use super::lanes::Accumulator;

/// Fills a panel with each term of all rows in turn; rows beyond those that there are become zeros.
pub(super) struct Pack<'a, T, S, W> {
    first: *const T,
    free: &'a [isize],
    terms: &'a [isize],
    widen: W,
    width: usize,
    panel: &'a mut [S],
}

impl<'a, T, S: Accumulator, W: Fn(T) -> S + Copy> Pack<'a, T, S, W> {
    /// A panel of `width` rows, of which there are as many as `free` has offsets.
    ///
    /// # Safety
    ///
    /// `first` plus any of `free` plus any of `terms` is readable for `'a`.
    pub(super) unsafe fn new(
        first: *const T,
        free: &'a [isize],
        terms: &'a [isize],
        widen: W,
        width: usize,
        panel: &'a mut [S],
    ) -> Self {
        assert_eq!(panel.len(), terms.len() * width);
        assert!(free.len() <= width);
        Self { first, free, terms, widen, width, panel }
    }
}

impl<T: Copy, S: Accumulator, W: Fn(T) -> S + Copy> Vectorized for Pack<'_, T, S, W> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { first, free, terms, widen, width, panel } = self;
        if free.len() < width {
            panel.fill(S::default());
        }
        if is_run(free) {
            for (to, &offset) in panel.chunks_mut(width).zip(terms) {
                // SAFETY: `new` was promised that these can be read.
                let source = unsafe { std::slice::from_raw_parts(first.offset(offset + free[0]), free.len()) };
                for (factor, &value) in to.iter_mut().zip(source) {
                    *factor = widen(value);
                }
            }
            return;
        }
        // Where terms lie together, the rows are read side by side; of a width that is known, without a loop over them.
        let whole = free.len() == width && is_run(terms);
        match (whole, width) {
            (true, 14) => side_by_side::<T, S, 14>(first, free, terms, widen, panel),
            (true, 12) => side_by_side::<T, S, 12>(first, free, terms, widen, panel),
            (true, 8) => side_by_side::<T, S, 8>(first, free, terms, widen, panel),
            (true, 6) => side_by_side::<T, S, 6>(first, free, terms, widen, panel),
            (true, 16) => side_by_side::<T, S, 16>(first, free, terms, widen, panel),
            (true, 32) => side_by_side::<T, S, 32>(first, free, terms, widen, panel),
            _ => {
                for (to, &term) in panel.chunks_mut(width).zip(terms) {
                    for (factor, &offset) in to.iter_mut().zip(free) {
                        // SAFETY: `new` was promised that this can be read.
                        *factor = widen(unsafe { *first.offset(offset + term) });
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn side_by_side<T: Copy, S: Accumulator, const WIDTH: usize>(
    first: *const T,
    free: &[isize],
    terms: &[isize],
    widen: impl Fn(T) -> S + Copy,
    panel: &mut [S],
) {
    // SAFETY: `Pack::new` was promised that all of these can be read; the terms are neighbours.
    let rows: [&[T]; WIDTH] = std::array::from_fn(|row| unsafe {
        std::slice::from_raw_parts(first.offset(free[row] + terms[0]), terms.len())
    });
    for (term, to) in panel.as_chunks_mut::<WIDTH>().0.iter_mut().enumerate().take(terms.len()) {
        for row in 0..WIDTH {
            to[row] = widen(rows[row][term]);
        }
    }
}

/// Whether the offsets are of neighbours in memory, in rising order.
fn is_run(offsets: &[isize]) -> bool {
    !offsets.is_empty() && offsets.windows(2).all(|pair| pair[1] == pair[0] + 1)
}
