#![allow(unsafe_code, reason = "the kernel runs on vector registers and through pointers into packed panels")]
//! The register-blocked kernel of integer products.

use super::lanes::{Lanes, Words};
use crate::kernel::isa::Isa;

/// Computes a tile of sums: `run(words, rows, columns, stride, from, sums)`.
///
/// `rows` is a panel: for each word of terms, that word of as many rows as the largest tile has, of which the first are
/// taken. `columns` are vectors of columns, one panel after
/// the other, `stride` words apart, laid out alike. The tile's sums begin at those in `sums`, row after row, where `from`
/// says so, and are written there.
///
/// # Safety
///
/// The processor has the instruction set; panels and tile are as long as this reads and writes.
pub(super) type Run = unsafe fn(usize, *const i32, *const i32, usize, From, *mut i32);

/// Vectors of the widest tile of one row: as many sums as hide how long a multiplication takes.
const SINGLE_ROW: usize = 6;

/// Where a tile's sums begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum From {
    Zero,
    Sums,
}

#[inline(always)]
unsafe fn tile<V: Lanes, const ROWS: usize, const VECTORS: usize>(
    words: usize,
    height: usize,
    rows: *const i32,
    columns: *const i32,
    stride: usize,
    from: From,
    into: *mut i32,
) {
    // SAFETY: the caller vouches for the instruction set, for `words` words in all panels and for a whole tile.
    unsafe {
        let mut sums = [[V::zero(); VECTORS]; ROWS];
        if from == From::Sums {
            for (at, sum) in sums.as_flattened_mut().iter_mut().enumerate() {
                *sum = V::load(into.add(at * V::LANES));
            }
        }
        let (mut rows, mut columns) = (rows, columns);
        for _ in 0..words {
            let across: [V; VECTORS] = std::array::from_fn(|vector| V::load(columns.add(vector * stride)));
            for (row, sums) in sums.iter_mut().enumerate() {
                let word = V::splat(rows.add(row));
                for (sum, column) in sums.iter_mut().zip(across) {
                    *sum = sum.mul_add(word, column);
                }
            }
            rows = rows.add(height);
            columns = columns.add(V::LANES);
        }
        for (at, sum) in sums.as_flattened().iter().enumerate() {
            sum.store(into.add(at * V::LANES));
        }
    }
}

/// The kernel of an instruction set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kernel {
    pub(super) words: Words,
    /// Sums in a vector.
    pub(super) lanes: usize,
    /// Rows and vectors of the largest tile.
    pub(super) most_rows: usize,
    pub(super) most_vectors: usize,
    choose: fn(usize, usize) -> Run,
}

impl Kernel {
    /// That of an instruction set.
    pub(super) fn of(isa: Isa) -> Self {
        match isa {
            Isa::Portable => Self::new::<super::lanes::Portable>(portable),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => Self::new::<super::x86::Avx2>(avx2),
            #[cfg(target_arch = "x86_64")]
            Isa::AvxVnni => Self::new::<super::x86::AvxVnni>(avx_vnni),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => Self::new::<super::x86::Avx512>(avx512),
            #[cfg(target_arch = "x86_64")]
            Isa::Vnni => Self::new::<super::x86::Vnni>(vnni),
        }
    }

    fn new<V: Lanes>(choose: fn(usize, usize) -> Run) -> Self {
        let (most_rows, most_vectors) = V::MOST;
        Self { words: V::WORDS, lanes: V::LANES, most_rows, most_vectors, choose }
    }

    /// Vectors of the widest tile of so many rows.
    pub(super) fn vectors(&self, rows: usize) -> usize {
        if rows == 1 { SINGLE_ROW } else { self.most_vectors }
    }

    /// The function for tiles of so many rows and vectors; neither is 0 or more than the most.
    pub(super) fn run(&self, rows: usize, vectors: usize) -> Run {
        (self.choose)(rows, vectors)
    }
}

macro_rules! compiled {
    ($($name:ident = $lanes:ty $(, with $features:literal)?: [$($rows:literal)*];)*) => {$(
        /// The kernel for tiles of this many rows and vectors, compiled for this instruction set.
        fn $name(rows: usize, vectors: usize) -> Run {
            $(#[target_feature(enable = $features)])?
            unsafe fn run<const ROWS: usize, const VECTORS: usize>(
                words: usize,
                rows: *const i32,
                columns: *const i32,
                stride: usize,
                from: From,
                sums: *mut i32,
            ) {
                // SAFETY: the caller's promise, passed on.
                unsafe { tile::<$lanes, ROWS, VECTORS>(words, <$lanes>::MOST.0, rows, columns, stride, from, sums) }
            }
            match (rows, vectors) {
                (1, 4) => run::<1, 4>,
                (1, 5) => run::<1, 5>,
                (1, 6) => run::<1, 6>,
                $(($rows, 1) => run::<$rows, 1>, ($rows, 2) => run::<$rows, 2>, ($rows, 3) => run::<$rows, 3>,)*
                _ => unreachable!("tiles have few rows and vectors"),
            }
        }
    )*};
}

compiled! {
    portable = super::lanes::Portable: [1 2 3 4];
}

#[cfg(target_arch = "x86_64")]
compiled! {
    avx2 = super::x86::Avx2, with "avx2": [1 2 3 4];
    avx_vnni = super::x86::AvxVnni, with "avx2,avxvnni": [1 2 3 4];
    avx512 = super::x86::Avx512, with "avx512f,avx512bw": [1 2 3 4 5 6 7 8];
    vnni = super::x86::Vnni, with "avx512f,avx512bw,avx512vnni": [1 2 3 4 5 6 7 8];
}
