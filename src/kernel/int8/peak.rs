#![allow(unsafe_code, reason = "the kernel reads packed panels through pointers")]
//! The kernel on panels that stay in the first cache: what it reaches where nothing is packed and little is read.

use super::tile::{From, Kernel};
use crate::kernel::isa::Isa;

/// Words of a panel: 16 KiB of the widest vectors.
const WORDS: usize = 256;

/// The panels of one tile, the largest of an instruction set.
pub(in crate::kernel) struct PeakPanels {
    kernel: Kernel,
    rows: Vec<i32>,
    columns: Vec<i32>,
    sums: Vec<i32>,
}

impl PeakPanels {
    pub(in crate::kernel) fn new(isa: Isa) -> Self {
        let kernel = Kernel::of(isa);
        let Kernel { lanes, most_rows, most_vectors, .. } = kernel;
        let rows = vec![0x0102_0304; WORDS * most_rows];
        Self {
            kernel,
            rows,
            columns: vec![0x0506_0708; WORDS * lanes],
            sums: vec![0; most_rows * most_vectors * lanes],
        }
    }

    /// Multiplies them, and says how many multiplications that was.
    pub(in crate::kernel) fn multiply(&mut self) -> usize {
        let Kernel { words, most_rows, most_vectors, .. } = self.kernel;
        let run = self.kernel.run(most_rows, most_vectors);
        // SAFETY: the panels have so many words of all rows and of a vector, which is each vector of the tile as they are
        // no words apart; the tile is a whole one, and the instruction set was detected.
        unsafe { run(WORDS, self.rows.as_ptr(), self.columns.as_ptr(), 0, From::Zero, self.sums.as_mut_ptr()) };
        WORDS * words.terms() * self.sums.len()
    }
}
