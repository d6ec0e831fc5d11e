//! A product cut into parts, which threads compute side by side.
//!
//! Every output belongs to one part and is computed there as it would be anywhere, so that the number of threads does not
//! change a bit. Terms are never divided among threads.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use rayon::iter::{IndexedParallelIterator as _, IntoParallelIterator as _, ParallelIterator as _};

use crate::cancel;

/// Outputs that are made together: those of some batch positions and some free positions of each side.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Part {
    pub(super) batch: Range<usize>,
    pub(super) lhs: Range<usize>,
    pub(super) rhs: Range<usize>,
}

/// How large a product is, and how finely it may be cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    pub(super) batch: usize,
    /// Free positions of the lhs and of the rhs.
    pub(super) free: [usize; 2],
    pub(super) terms: usize,
    /// Multiplications that take as long as packing an element does.
    pub(super) packing: usize,
    /// Multiplications that keep a thread busy so long that waking it pays: about a tenth of a millisecond.
    pub(super) least: usize,
    /// Free positions of each side that are not to be divided: those of a tile.
    pub(super) grain: [usize; 2],
}

impl Extent {
    /// The parts, for the threads of the pool that this runs in.
    pub(super) fn parts(&self) -> Vec<Part> {
        let [m, n] = self.free;
        let work = m.saturating_mul(n).saturating_add(m.saturating_add(n).saturating_mul(self.packing));
        let threads = threads(work.saturating_mul(self.batch.saturating_mul(self.terms)), self.least);
        // Whole batch positions, a few for each thread so that a slow one leaves some to the others; where there are not
        // enough, each of them is cut so that all threads get the same.
        let (pieces, cut) = match self.batch {
            batch if batch >= 4 * threads => (4 * threads, 1),
            batch => (batch, threads / gcd(batch, threads)),
        };
        let [down, across] = self.grid(cut);
        let pieces = if threads == 1 { 1 } else { pieces };
        let mut parts = Vec::with_capacity(pieces * down * across);
        for batch in equal(self.batch, pieces, 1) {
            for lhs in equal(self.free[0], down, self.grain[0]) {
                parts.extend(equal(self.free[1], across, self.grain[1]).map(|rhs| Part {
                    batch: batch.clone(),
                    lhs: lhs.clone(),
                    rhs,
                }));
            }
        }
        parts
    }

    /// Pieces of the two sides, `cut` together or as many below as the grain allows; each of a part's positions is packed
    /// anew, so that parts are nearly square.
    fn grid(&self, cut: usize) -> [usize; 2] {
        let most = [0, 1].map(|side| self.free[side].div_ceil(self.grain[side]).max(1));
        let divided = |cut: usize| {
            let ways = (1..=cut).filter(move |down| cut.is_multiple_of(*down)).map(move |down| [down, cut / down]);
            ways.filter(|[down, across]| *down <= most[0] && *across <= most[1])
        };
        let packed = |[down, across]: [usize; 2]| self.free[0] / down + self.free[1] / across;
        (1..=cut).rev().find_map(|cut| divided(cut).min_by_key(|way| packed(*way))).unwrap_or([1, 1])
    }
}

/// Computes all parts: side by side where there are several, each for the run that all are of.
pub(crate) fn run<P: Send>(parts: Vec<P>, compute: impl Fn(P) + Sync) {
    // Called through a pointer, so that it is compiled once and not into every way that a pool has to run something.
    let compute: &(dyn Fn(P) + Sync) = &compute;
    if parts.len() == 1 {
        parts.into_iter().for_each(compute);
    } else {
        let parts: Vec<Mutex<Option<P>>> = parts.into_iter().map(|part| Mutex::new(Some(part))).collect();
        side_by_side(parts.len(), &|index| {
            if let Some(part) = parts[index].lock().unwrap_or_else(PoisonError::into_inner).take() {
                compute(part);
            }
        });
    }
}

/// Calls with every index below `count`, each once.
fn side_by_side(count: usize, compute: &(dyn Fn(usize) + Sync)) {
    cancel::aside(|token| {
        (0..count).into_par_iter().with_max_len(1).for_each(|index| cancel::on_behalf(token, || compute(index)));
    });
}

/// Threads for so much work, of which each is to get at least so much.
pub(crate) fn threads(work: usize, least: usize) -> usize {
    // Asked only where there is enough: the first question starts the threads.
    if work < 2 * least { 1 } else { rayon::current_num_threads().min(work / least) }
}

/// Nearly equal ranges of whole grains; fewer than asked for where there are not enough.
pub(crate) fn equal(len: usize, pieces: usize, grain: usize) -> impl Iterator<Item = Range<usize>> {
    let grains = len.div_ceil(grain);
    let pieces = pieces.min(grains).max(1);
    let end = move |piece: usize| (piece * grains / pieces * grain).min(len);
    (0..pieces).map(move |piece| end(piece)..end(piece + 1))
}

/// The range in pieces of `size`, the last one shorter.
pub(super) fn cuts(range: &Range<usize>, size: usize) -> impl Iterator<Item = Range<usize>> + use<> {
    let Range { start, end } = *range;
    (start..end).step_by(size).map(move |start| start..end.min(start.saturating_add(size)))
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(batch: usize, free: [usize; 2], terms: usize, threads: usize) -> Vec<Part> {
        let extent = Extent { batch, free, terms, packing: 0, least: 1000, grain: [8, 32] };
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| extent.parts())
    }

    #[test]
    fn every_output_is_in_one_part() {
        for (batch, free, threads) in
            [(1, [100, 100], 2), (3, [40, 70], 2), (16, [9, 5], 3), (1, [1, 4096], 8), (0, [4, 4], 2), (2, [0, 3], 2)]
        {
            let mut seen = vec![0; batch * free[0] * free[1]];
            for Part { batch, lhs, rhs } in parts(batch, free, 50, threads) {
                for b in batch {
                    for i in lhs.clone() {
                        rhs.clone().for_each(|j| seen[(b * free[0] + i) * free[1] + j] += 1);
                    }
                }
            }
            assert!(seen.iter().all(|&times| times == 1), "{batch} of {free:?} on {threads}");
        }
    }

    #[test]
    fn batches_are_cut_before_matrices_and_small_products_not_at_all() {
        assert_eq!(parts(1, [10, 10], 10, 8).len(), 1);
        assert_eq!(parts(64, [64, 64], 64, 2).len(), 8);
        assert!(parts(64, [64, 64], 64, 2).iter().all(|part| part.lhs == (0..64) && part.rhs == (0..64)));
        // A batch of three on two threads: each matrix in two.
        assert_eq!(parts(3, [64, 64], 64, 2).len(), 6);
        // Nearly square, and along the only side that can be cut.
        let square = parts(1, [1024, 1024], 1024, 4);
        assert!(square.len() == 4 && square.iter().all(|part| part.lhs.len() == 512 && part.rhs.len() == 512));
        assert!(parts(1, [4, 4096], 1024, 4).iter().all(|part| part.lhs.len() == 4 && part.rhs.len() == 1024));
    }
}
