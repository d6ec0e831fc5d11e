#![allow(unsafe_code, reason = "the kernel runs on vector registers and through pointers into packed panels")]
//! The register-blocked kernel of integer products.

use super::lanes::{First, Lanes, Words};
use super::pack::{Layout, Role};
use crate::kernel::isa::Isa;
use crate::kernel::stream::Stores;

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

/// Computes a tile of outputs: `run(words, rows, columns, stride, to)`, its sums rescaled in registers.
///
/// # Safety
///
/// As for [`Run`]; the places are of outputs that are nobody else's.
pub(super) type RunRescaled = unsafe fn(usize, *const i32, *const i32, usize, &Rescaled);

/// Where the outputs of a tile go, and what its sums are rescaled by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rescaled {
    /// An output; how far from it those of each row lie, and those of each column, which are neighbours along a vector.
    pub(super) out: *mut f32,
    pub(super) down: *const isize,
    pub(super) across: *const isize,
    /// What each row's sums are more than they should be.
    pub(super) offsets: *const i32,
    /// The numbers of each row and of each column.
    pub(super) rows: *const f32,
    pub(super) columns: *const f32,
    pub(super) first: First,
    pub(super) stores: Stores,
}

/// The sums of a tile, which begin at these.
#[inline(always)]
unsafe fn sums<V: Lanes, const ROWS: usize, const VECTORS: usize>(
    words: usize,
    rows: *const i32,
    columns: *const i32,
    stride: usize,
    mut sums: [[V; VECTORS]; ROWS],
) -> [[V; VECTORS]; ROWS] {
    let (mut rows, mut columns) = (rows, columns);
    for _ in 0..words {
        // SAFETY: the caller vouches for the instruction set and for `words` words in all panels.
        unsafe {
            let across: [V::Columns; VECTORS] = std::array::from_fn(|vector| V::columns(columns.add(vector * stride)));
            for (row, sums) in sums.iter_mut().enumerate() {
                let word = V::row(rows.add(row));
                for (sum, columns) in sums.iter_mut().zip(across) {
                    *sum = sum.mul_add(word, columns);
                }
            }
            rows = rows.add(V::MOST.0);
            columns = columns.add(V::LANES);
        }
    }
    sums
}

#[inline(always)]
unsafe fn tile<V: Lanes, const ROWS: usize, const VECTORS: usize>(
    words: usize,
    rows: *const i32,
    columns: *const i32,
    stride: usize,
    from: From,
    into: *mut i32,
) {
    // SAFETY: the caller vouches for the instruction set, for `words` words in all panels and for a whole tile.
    unsafe {
        let mut begun = [[V::zero(); VECTORS]; ROWS];
        if from == From::Sums {
            for (at, sum) in begun.as_flattened_mut().iter_mut().enumerate() {
                *sum = V::load(into.add(at * V::LANES));
            }
        }
        let sums = sums::<V, ROWS, VECTORS>(words, rows, columns, stride, begun);
        for (at, sum) in sums.as_flattened().iter().enumerate() {
            sum.store(into.add(at * V::LANES));
        }
    }
}

#[inline(always)]
unsafe fn rescaled<V: Lanes, const ROWS: usize, const VECTORS: usize>(
    words: usize,
    rows: *const i32,
    columns: *const i32,
    stride: usize,
    to: &Rescaled,
) {
    // SAFETY: the caller vouches for the instruction set, for `words` words in all panels, and for a place and a number of
    // every row and column.
    unsafe {
        let sums = sums::<V, ROWS, VECTORS>(words, rows, columns, stride, [[V::zero(); VECTORS]; ROWS]);
        for (row, sums) in sums.into_iter().enumerate() {
            let (offset, number) = (*to.offsets.add(row), *to.rows.add(row));
            let line = to.out.offset(*to.down.add(row));
            for (vector, sum) in sums.into_iter().enumerate() {
                let (at, columns) = (*to.across.add(vector * V::LANES), to.columns.add(vector * V::LANES));
                sum.rescale(offset, number, columns, to.first, line.offset(at), to.stores);
            }
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
    choose: fn(usize, usize) -> (Run, RunRescaled),
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
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => Self::new::<super::aarch64::Neon>(neon),
            #[cfg(target_arch = "aarch64")]
            Isa::DotProd => Self::new::<super::aarch64::DotProd>(dot_prod),
        }
    }

    fn new<V: Lanes>(choose: fn(usize, usize) -> (Run, RunRescaled)) -> Self {
        let (most_rows, most_vectors) = V::MOST;
        Self { words: V::WORDS, lanes: V::LANES, most_rows, most_vectors, choose }
    }

    /// How panels of the side that fills vectors are laid out, and those of the other one.
    pub(super) fn layout(&self, role: Role) -> Layout {
        let width = match role {
            Role::Rows => self.most_rows,
            Role::Columns => self.lanes,
        };
        Layout { words: self.words, role, width }
    }

    /// Vectors of the widest tile of so many rows.
    pub(super) fn vectors(&self, rows: usize) -> usize {
        if rows == 1 { SINGLE_ROW } else { self.most_vectors }
    }

    /// The function for tiles of so many rows and vectors; neither is 0 or more than the most.
    pub(super) fn run(&self, rows: usize, vectors: usize) -> Run {
        (self.choose)(rows, vectors).0
    }

    /// The function for whole tiles that are rescaled at once.
    pub(super) fn run_rescaled(&self, rows: usize, vectors: usize) -> RunRescaled {
        (self.choose)(rows, vectors).1
    }
}

macro_rules! compiled {
    ($($name:ident = $lanes:ty $(, with $features:literal)?: [$($rows:literal)*];)*) => {$(
        /// The kernels for tiles of this many rows and vectors, compiled for this instruction set.
        fn $name(rows: usize, vectors: usize) -> (Run, RunRescaled) {
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
                unsafe { tile::<$lanes, ROWS, VECTORS>(words, rows, columns, stride, from, sums) }
            }

            $(#[target_feature(enable = $features)])?
            unsafe fn run_rescaled<const ROWS: usize, const VECTORS: usize>(
                words: usize,
                rows: *const i32,
                columns: *const i32,
                stride: usize,
                to: &Rescaled,
            ) {
                // SAFETY: the caller's promise, passed on.
                unsafe { rescaled::<$lanes, ROWS, VECTORS>(words, rows, columns, stride, to) }
            }
            match (rows, vectors) {
                (1, 4) => (run::<1, 4>, run_rescaled::<1, 4>),
                (1, 5) => (run::<1, 5>, run_rescaled::<1, 5>),
                (1, 6) => (run::<1, 6>, run_rescaled::<1, 6>),
                $(
                    ($rows, 1) => (run::<$rows, 1>, run_rescaled::<$rows, 1>),
                    ($rows, 2) => (run::<$rows, 2>, run_rescaled::<$rows, 2>),
                    ($rows, 3) => (run::<$rows, 3>, run_rescaled::<$rows, 3>),
                )*
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

#[cfg(target_arch = "aarch64")]
compiled! {
    neon = super::aarch64::Neon, with "neon": [1 2 3 4];
    dot_prod = super::aarch64::DotProd, with "neon,dotprod": [1 2 3 4];
}
