#![allow(unsafe_code, reason = "reads through the offsets of a walk")]
//! Copies a strided side into the panels that the kernel reads.

use super::element::Real;
use super::isa::{Isa, Vectorized};

/// Fills a panel with each term of all rows in turn; rows beyond those that there are become zeros.
pub(super) struct Pack<'a, T: Real> {
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "other targets exchange no vectors"))]
    isa: Isa,
    first: *const T,
    free: &'a [isize],
    terms: &'a [isize],
    width: usize,
    panel: &'a mut [T::Wide],
}

impl<'a, T: Real> Pack<'a, T> {
    /// A panel of `width` rows, of which there are as many as `free` has offsets.
    ///
    /// # Safety
    ///
    /// `first` plus any of `free` plus any of `terms` is readable for `'a`; `isa` was detected.
    pub(super) unsafe fn new(
        isa: Isa,
        first: *const T,
        free: &'a [isize],
        terms: &'a [isize],
        width: usize,
        panel: &'a mut [T::Wide],
    ) -> Self {
        assert_eq!(panel.len(), terms.len() * width);
        assert!(free.len() <= width);
        Self { isa, first, free, terms, width, panel }
    }

    /// Packs rows whose terms lie together as vectors that are exchanged with those of other rows. Says whether it could.
    #[cfg_attr(not(target_arch = "x86_64"), allow(clippy::unused_self, reason = "other targets exchange no vectors"))]
    #[inline(always)]
    fn exchange(&mut self) -> bool {
        #[cfg(target_arch = "x86_64")]
        if let (Isa::Avx512 | Isa::Vnni, Some(first)) = (self.isa, T::as_wide(self.first))
            && size_of::<T::Wide>() == size_of::<f32>()
            && is_run(self.terms)
        {
            let first = first.cast::<f32>().wrapping_offset(self.terms[0]);
            for (at, rows) in self.free.chunks(16).enumerate() {
                let to = self.panel[16 * at..].as_mut_ptr().cast::<f32>();
                let mut sources = [first.wrapping_offset(rows[0]); 16];
                for (source, &offset) in sources.iter_mut().zip(rows) {
                    *source = first.wrapping_offset(offset);
                }
                // SAFETY: the instruction set was detected; `new` was promised that these terms of these rows can be read, and
                // the panel has room for them behind every `width` others. Sums of four bytes are `f32`.
                unsafe { super::x86::interleave(&sources, rows.len(), self.terms.len(), to, self.width) };
            }
            return true;
        }
        false
    }
}

impl<T: Real> Vectorized for Pack<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        if self.free.len() < self.width {
            self.panel.fill(T::Wide::default());
        }
        if !is_run(self.free) && self.exchange() {
            return;
        }
        let Self { first, free, terms, width, panel, .. } = self;
        let widen = T::widen;
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
            (true, 14) => side_by_side::<T, 14>(first, free, terms, panel),
            (true, 12) => side_by_side::<T, 12>(first, free, terms, panel),
            (true, 8) => side_by_side::<T, 8>(first, free, terms, panel),
            (true, 6) => side_by_side::<T, 6>(first, free, terms, panel),
            (true, 16) => side_by_side::<T, 16>(first, free, terms, panel),
            (true, 32) => side_by_side::<T, 32>(first, free, terms, panel),
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

/// Fills several panels of as many rows each, which lie side by side in memory: each term of all of them is read as one run, of
/// whole lines of the cache, which panel by panel would be fetched again for every few rows.
pub(super) struct PackTogether<'a, T: Real> {
    first: *const T,
    rows: usize,
    terms: &'a [isize],
    width: usize,
    panels: &'a mut [T::Wide],
}

/// Panels that are filled together: as many writes at a time as a first cache keeps apart.
pub(super) const TOGETHER: usize = 8;

impl<'a, T: Real> PackTogether<'a, T> {
    /// How many of these rows fill several panels of `width` rows together: all but the last ones, or none.
    pub(super) fn rows(rows: &[isize], width: usize) -> usize {
        let whole = rows.len() / width * width;
        // Of a width that is known, without a loop over the rows of a panel.
        let is_known = matches!(width, 4 | 6 | 8 | 10 | 12 | 14 | 16 | 32);
        if whole > width && is_known && is_run(&rows[..whole]) { whole } else { 0 }
    }

    /// The panels of some rows, for which [`rows`](Self::rows) gives their number.
    ///
    /// # Safety
    ///
    /// `first` plus any of `rows` plus any of `terms` is readable for `'a`.
    pub(super) unsafe fn new(
        first: *const T,
        rows: &'a [isize],
        terms: &'a [isize],
        width: usize,
        panels: &'a mut [T::Wide],
    ) -> Self {
        assert!(Self::rows(rows, width) == rows.len() && panels.len() == rows.len() * terms.len());
        Self { first: first.wrapping_offset(rows[0]), rows: rows.len(), terms, width, panels }
    }

    #[inline(always)]
    fn fill<const WIDTH: usize>(self) {
        let Self { first, rows, terms, panels, .. } = self;
        let size = terms.len() * WIDTH;
        for (at, &term) in terms.iter().enumerate() {
            // SAFETY: `new` was promised that these can be read, which lie side by side.
            let source = unsafe { std::slice::from_raw_parts(first.offset(term), rows) };
            for (run, panel) in source.as_chunks::<WIDTH>().0.iter().zip(panels.chunks_exact_mut(size)) {
                let to = &mut panel[at * WIDTH..][..WIDTH];
                for (factor, value) in to.iter_mut().zip(run) {
                    *factor = value.widen();
                }
            }
        }
    }
}

impl<T: Real> Vectorized for PackTogether<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        match self.width {
            4 => self.fill::<4>(),
            6 => self.fill::<6>(),
            8 => self.fill::<8>(),
            10 => self.fill::<10>(),
            12 => self.fill::<12>(),
            14 => self.fill::<14>(),
            16 => self.fill::<16>(),
            _ => self.fill::<32>(),
        }
    }
}

#[inline(always)]
fn side_by_side<T: Real, const WIDTH: usize>(first: *const T, free: &[isize], terms: &[isize], panel: &mut [T::Wide]) {
    // SAFETY: `Pack::new` was promised that all of these can be read; the terms are neighbours.
    let rows: [&[T]; WIDTH] = std::array::from_fn(|row| unsafe {
        std::slice::from_raw_parts(first.offset(free[row] + terms[0]), terms.len())
    });
    for (term, to) in panel.as_chunks_mut::<WIDTH>().0.iter_mut().enumerate().take(terms.len()) {
        for row in 0..WIDTH {
            to[row] = rows[row][term].widen();
        }
    }
}

/// Whether the offsets are of neighbours in memory, in rising order.
fn is_run(offsets: &[isize]) -> bool {
    !offsets.is_empty() && offsets.windows(2).all(|pair| pair[1] == pair[0] + 1)
}
