#![allow(unsafe_code, reason = "the kernel runs on vector registers and through pointers into packed panels")]
//! The register-blocked kernel of float products, compiled for every instruction set.

#[cfg(target_arch = "aarch64")]
use super::aarch64::Two;
use super::isa::Isa;
use super::lanes::{Accumulator, Lanes};
use super::stream::fetch;

/// Outputs in the widest tile's row.
pub(super) fn widest<S: Accumulator>(isa: Isa) -> usize {
    VECTORS
        * match isa {
            Isa::Portable => S::Portable::LANES,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 | Isa::AvxVnni => S::Avx2::LANES,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 | Isa::Vnni => S::Avx512::LANES,
            #[cfg(target_arch = "aarch64")]
            Isa::Neon | Isa::DotProd => Two::<S::Neon>::LANES,
        }
}

/// Terms that columns of a matrix are asked for before they are read: about as long as memory takes.
const AHEAD: isize = 16;

/// Vectors in the widest tile's row.
const VECTORS: usize = 2;

/// Computes tiles of up to `rows` times `columns` outputs.
///
/// A kernel starts from zero, or from the tile that is there, adds the tiles `earlier` to the result, each on the left and
/// one after the other, and writes the tile to `sums`, each row `stride` behind the one before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile<S: Accumulator> {
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Of rising heights; the last one is as high as the tile.
    kernels: &'static [Kernel<S>],
}

/// The kernel for a height, by where it takes its columns from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kernel<S> {
    pub(super) rows: usize,
    read: Run<S, Columns<S>>,
    pack: Run<S, Unpacked<S>>,
}

type Run<S, C> = unsafe fn(usize, Rows<S>, C, Start, &[*const S], *mut S, usize);

/// What the chains of a product start from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Start {
    /// Positive zero.
    Zero,
    /// The sums that are where the kernel writes its own: those of the terms before.
    There,
}

/// Where a tile's rows are: in a panel, or in a matrix that needs none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows<S> {
    pub(super) first: *const S,
    /// From a row to the next, in elements.
    pub(super) row: isize,
    /// From a term to the next.
    pub(super) term: isize,
}

impl<S> Rows<S> {
    /// Those of a panel: for each term, that of each of `height` rows.
    pub(super) fn packed(panel: &[S], height: usize) -> Self {
        Self { first: panel.as_ptr(), row: 1, term: height as isize }
    }
}

/// Where a tile's columns are: in a panel, or in a matrix; those of a term are neighbours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Columns<S> {
    pub(super) first: *const S,
    /// From a term to the next.
    pub(super) term: isize,
}

/// Columns that are in a matrix and belong in a panel too, which is written as they are read: a pass of its own over them
/// would take longer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unpacked<S> {
    pub(super) columns: Columns<S>,
    pub(super) panel: *mut S,
}

/// Gives the columns of one term after the other.
trait Feed<S: Accumulator> {
    /// # Safety
    ///
    /// The processor has the instruction set, and there is one more term.
    unsafe fn next<V: Lanes<Sum = S>, const VECTORS: usize>(&mut self) -> [V::Factors; VECTORS];
}

impl<S: Accumulator> Feed<S> for Columns<S> {
    #[inline(always)]
    unsafe fn next<V: Lanes<Sum = S>, const VECTORS: usize>(&mut self) -> [V::Factors; VECTORS] {
        let here = self.first;
        self.first = here.wrapping_offset(self.term);
        // SAFETY: the caller's promise, passed on.
        std::array::from_fn(|vector| unsafe { V::factors(here.add(vector * V::LANES)) })
    }
}

impl<S: Accumulator> Feed<S> for Unpacked<S> {
    #[inline(always)]
    unsafe fn next<V: Lanes<Sum = S>, const VECTORS: usize>(&mut self) -> [V::Factors; VECTORS] {
        let (here, panel) = (self.columns.first, self.panel);
        self.panel = panel.wrapping_add(VECTORS * V::LANES);
        for vector in 0..VECTORS {
            // SAFETY: the caller's promise, passed on.
            unsafe { V::load(here.add(vector * V::LANES)).store(panel.add(vector * V::LANES)) };
            // No processor foresees lines that lie pages apart.
            fetch(here.wrapping_offset(AHEAD * self.columns.term).wrapping_add(vector * V::LANES));
        }
        // SAFETY: as above.
        unsafe { self.columns.next::<V, VECTORS>() }
    }
}

impl<S: Accumulator> Tile<S> {
    /// The tile of an instruction set that wastes the least on `rows` times `columns` outputs.
    ///
    /// `isa` must come from [`Isa::detect`].
    pub(super) fn choose(isa: Isa, rows: usize, columns: usize) -> Self {
        macro_rules! choose {
            ($kernel:ident, $lanes:ty, $most:literal, [$($height:literal)*]) => {{
                // Equal panels: 15 rows are 8 and 7, not 14 and 1.
                let height = rows.div_ceil(rows.div_ceil($most).max(1));
                let lanes = <$lanes as Lanes>::LANES;
                let (columns, all): (usize, &'static [Kernel<S>]) = if columns <= lanes {
                    (lanes, &[$(Kernel {
                        rows: $height,
                        read: $kernel::<$lanes, Columns<S>, $height, 1>,
                        pack: $kernel::<$lanes, Unpacked<S>, $height, 1>,
                    }),*])
                } else {
                    (VECTORS * lanes, &[$(Kernel {
                        rows: $height,
                        read: $kernel::<$lanes, Columns<S>, $height, VECTORS>,
                        pack: $kernel::<$lanes, Unpacked<S>, $height, VECTORS>,
                    }),*])
                };
                let highest = all.iter().position(|kernel| kernel.rows >= height).expect("panels are not higher");
                Self { rows: all[highest].rows, columns, kernels: &all[..=highest] }
            }};
        }
        match isa {
            Isa::Portable => choose!(portable, S::Portable, 4, [1 2 4]),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 | Isa::AvxVnni => choose!(avx2, S::Avx2, 6, [1 2 4 6]),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 | Isa::Vnni => choose!(avx512, S::Avx512, 14, [1 2 4 6 8 10 12 14]),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon | Isa::DotProd => choose!(neon, Two<S::Neon>, 6, [1 2 4 6]),
        }
    }

    /// The kernel for so many rows, at most those of the tile; it may be for some more.
    pub(super) fn kernel(&self, rows: usize) -> Kernel<S> {
        *self.kernels.iter().find(|kernel| kernel.rows >= rows).expect("there is one for all rows of the tile")
    }
}

impl<S: Accumulator> Kernel<S> {
    /// Runs on `terms` terms, then adds the tiles `earlier`, each on the left.
    ///
    /// # Safety
    ///
    /// So many terms of each row and of all columns of the tile can be read, and its rows written, each `stride` behind the one
    /// before; tiles behind pointers are whole, and so is that of the sums where it starts from them.
    pub(super) unsafe fn run(
        self,
        terms: usize,
        rows: Rows<S>,
        columns: Columns<S>,
        (start, earlier): (Start, &[*const S]),
        (sums, stride): (*mut S, usize),
    ) {
        // SAFETY: the caller's promise; `choose` was given an instruction set that was detected.
        unsafe { (self.read)(terms, rows, columns, start, earlier, sums, stride) }
    }

    /// The same, and writes the columns to a panel.
    ///
    /// # Safety
    ///
    /// As for `run`; the panel has room for them.
    pub(super) unsafe fn run_and_pack(
        self,
        terms: usize,
        rows: Rows<S>,
        columns: Unpacked<S>,
        (start, earlier): (Start, &[*const S]),
        (sums, stride): (*mut S, usize),
    ) {
        // SAFETY: as above.
        unsafe { (self.pack)(terms, rows, columns, start, earlier, sums, stride) }
    }
}

/// The kernel itself; inlined, so that it is compiled with the features of each function below.
#[inline(always)]
unsafe fn tile<V: Lanes, C: Feed<V::Sum>, const ROWS: usize, const VECTORS: usize>(
    terms: usize,
    rows: Rows<V::Sum>,
    mut columns: C,
    start: Start,
    earlier: &[*const V::Sum],
    into: *mut V::Sum,
    stride: usize,
) {
    // SAFETY: the caller vouches for the instruction set, for `terms` terms of all rows and columns and for whole tiles
    // behind the other pointers. Pointers beyond the last term are made but not read.
    unsafe {
        let mut sums = [[V::zero(); VECTORS]; ROWS];
        if start == Start::There {
            for (row, sums) in sums.iter_mut().enumerate() {
                for (vector, sum) in sums.iter_mut().enumerate() {
                    *sum = V::load(into.add(row * stride + vector * V::LANES));
                }
            }
        }
        if (rows.row, rows.term) == (1, ROWS as isize) {
            // A panel's rows are at places that the compiler knows: to find them takes no units that multiply.
            let mut first = rows.first;
            for _ in 0..terms {
                let across = columns.next::<V, VECTORS>();
                for (row, sums) in sums.iter_mut().enumerate() {
                    let left = V::splat(first.add(row));
                    for (sum, right) in sums.iter_mut().zip(across) {
                        *sum = sum.mul_add(left, right);
                    }
                }
                fetch(first.wrapping_add(8 * ROWS));
                first = first.wrapping_add(ROWS);
            }
        } else {
            // Two pointers, since the compiler finds each row from the one before it: in one chain that would take as long as
            // the multiplications.
            let middle = ROWS / 2;
            let (mut upper, mut lower) = (rows.first, rows.first.wrapping_offset(middle as isize * rows.row));
            for _ in 0..terms {
                let across = columns.next::<V, VECTORS>();
                for (row, sums) in sums.iter_mut().enumerate() {
                    let (first, row) = if row < middle { (upper, row) } else { (lower, row - middle) };
                    let left = V::splat(first.offset(row as isize * rows.row));
                    for (sum, right) in sums.iter_mut().zip(across) {
                        *sum = sum.mul_add(left, right);
                    }
                }
                upper = upper.wrapping_offset(rows.term);
                lower = lower.wrapping_offset(rows.term);
            }
        }
        for &tile in earlier {
            for (at, sum) in sums.as_flattened_mut().iter_mut().enumerate() {
                *sum = V::load(tile.add(at * V::LANES)).plus(*sum);
            }
        }
        for (row, sums) in sums.iter().enumerate() {
            for (vector, sum) in sums.iter().enumerate() {
                sum.store(into.add(row * stride + vector * V::LANES));
            }
        }
    }
}

macro_rules! compiled {
    ($($name:ident $(on $arch:literal with $features:literal)?),*) => {$(
        /// # Safety
        ///
        /// As for [`tile`].
        $(#[cfg(target_arch = $arch)] #[target_feature(enable = $features)])?
        unsafe fn $name<V: Lanes, C: Feed<V::Sum>, const ROWS: usize, const VECTORS: usize>(
            terms: usize,
            rows: Rows<V::Sum>,
            columns: C,
            start: Start,
            earlier: &[*const V::Sum],
            into: *mut V::Sum,
            stride: usize,
        ) {
            // SAFETY: the caller's promise, passed on.
            unsafe { tile::<V, C, ROWS, VECTORS>(terms, rows, columns, start, earlier, into, stride) }
        }
    )*};
}

compiled!(
    portable,
    avx2 on "x86_64" with "avx2,fma",
    avx512 on "x86_64" with "avx512f,avx512bw",
    neon on "aarch64" with "neon"
);
