#![allow(unsafe_code, reason = "vector loads and stores go through pointers")]
//! Vectors of 32-bit sums of int8 products, and their portable form.
//!
//! A lane is one output's sum. It takes a *group* of terms at once: a 32-bit word with two 16-bit or four 8-bit factors,
//! whichever the instruction set multiplies and adds in one instruction.

use crate::kernel::stream::Stores;

/// The factors that a word holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Words {
    /// Two signed 16-bit factors on both sides.
    Pairs,
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "only x86-64 has an instruction for these"))]
    /// Four 8-bit factors: signed ones in a row, and in a column unsigned ones, which are 128 more than they stand for.
    Quads,
    #[cfg_attr(not(target_arch = "aarch64"), allow(dead_code, reason = "only aarch64 has an instruction for these"))]
    /// Four signed 8-bit factors on both sides.
    SignedQuads,
}

impl Words {
    /// Terms in a word.
    pub(super) const fn terms(self) -> usize {
        match self {
            Self::Pairs => 2,
            Self::Quads | Self::SignedQuads => 4,
        }
    }

    /// Bits of a factor.
    pub(super) const fn bits(self) -> u32 {
        32 / self.terms() as u32
    }

    /// What a column's factor is more than the integer that it stands for.
    pub(super) const fn offset(self) -> i32 {
        match self {
            Self::Quads => 128,
            Self::Pairs | Self::SignedQuads => 0,
        }
    }
}

/// Whose number a sum is multiplied by first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum First {
    Row,
    Column,
}

/// A vector of sums.
///
/// # Safety
///
/// Every function may only run on a processor with the instruction set of the type. Pointers are to `LANES` words or
/// sums (one word for `row`), aligned for their element type only.
#[allow(clippy::missing_safety_doc, reason = "the trait says it once for all its functions")]
pub(super) trait Lanes: Copy {
    /// How factors are laid out in words.
    const WORDS: Words;

    /// Sums in the vector.
    const LANES: usize;

    /// Rows and vectors of the largest tile whose sums stay in registers.
    const MOST: (usize, usize);

    /// A row's word, for all lanes.
    type Row: Copy;

    /// A column's word for every lane.
    type Columns: Copy;

    /// Zero in every lane.
    unsafe fn zero() -> Self;

    /// The sums at `from`.
    unsafe fn load(from: *const i32) -> Self;

    /// The word of a row.
    unsafe fn row(from: *const i32) -> Self::Row;

    /// The words of as many columns as there are lanes.
    unsafe fn columns(from: *const i32) -> Self::Columns;

    /// Writes the sums.
    unsafe fn store(self, to: *mut i32);

    /// Converts the sums, less `offset`, to binary32, multiplies them by the numbers of their row and of their columns, and
    /// writes them.
    unsafe fn rescale(self, offset: i32, row: f32, columns: *const f32, first: First, to: *mut f32, stores: Stores);

    /// `self` and the products of a row's word with each lane's, added.
    unsafe fn mul_add(self, row: Self::Row, columns: Self::Columns) -> Self;
}

/// Sums in an array, for whatever vectors the compiler may use without being asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Portable([i32; 8]);

impl Lanes for Portable {
    const WORDS: Words = Words::Pairs;
    const LANES: usize = 8;
    const MOST: (usize, usize) = (4, 2);

    type Row = i32;
    type Columns = [i32; 8];

    #[inline(always)]
    unsafe fn zero() -> Self {
        Self([0; 8])
    }

    #[inline(always)]
    unsafe fn load(from: *const i32) -> Self {
        // SAFETY: the caller gives a pointer to this many sums.
        Self(unsafe { from.cast::<[i32; 8]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn row(from: *const i32) -> i32 {
        // SAFETY: the caller gives a pointer to a word.
        unsafe { from.read() }
    }

    #[inline(always)]
    unsafe fn columns(from: *const i32) -> [i32; 8] {
        // SAFETY: the caller gives a pointer to this many words.
        unsafe { from.cast::<[i32; 8]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut i32) {
        // SAFETY: the caller gives a pointer to this many sums.
        unsafe { to.cast::<[i32; 8]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn rescale(self, offset: i32, row: f32, columns: *const f32, first: First, to: *mut f32, _: Stores) {
        for (lane, sum) in self.0.into_iter().enumerate() {
            // SAFETY: the caller gives pointers to this many numbers and outputs.
            unsafe {
                let (sum, column) = (sum.wrapping_sub(offset) as f32, *columns.add(lane));
                *to.add(lane) = match first {
                    First::Row => sum * row * column,
                    First::Column => sum * column * row,
                };
            }
        }
    }

    #[inline(always)]
    unsafe fn mul_add(mut self, row: i32, columns: [i32; 8]) -> Self {
        for (sum, column) in self.0.iter_mut().zip(columns) {
            let low = i32::from(row as i16) * i32::from(column as i16);
            let high = (row >> 16) * (column >> 16);
            *sum = sum.wrapping_add(low + high);
        }
        self
    }
}
