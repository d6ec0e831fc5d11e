#![allow(unsafe_code, reason = "vector instructions and their loads and stores")]
#![allow(clippy::wildcard_imports, reason = "a list of forty intrinsics says nothing")]
#![allow(clippy::cast_ptr_alignment, reason = "every load and store used is an unaligned one")]
//! The vectors of x86-64: AVX2 with FMA, and AVX-512.

use std::arch::x86_64::*;

use super::lanes::Lanes;
use super::stream::Stores;

macro_rules! lanes {
    (
        $vector:ident of $lanes:literal $sum:ident:
        $zero:ident, $load:ident($load_from:ty), $store:ident($store_to:ty), $plus:ident,
        splat $splat:expr, mul_add $mul_add:expr
    ) => {
        impl Lanes for $vector {
            type Sum = $sum;
            type Factors = Self;
            const LANES: usize = $lanes;

            #[inline(always)]
            unsafe fn zero() -> Self {
                // SAFETY: the caller vouches for the instruction set.
                unsafe { $zero() }
            }

            #[inline(always)]
            unsafe fn load(from: *const $sum) -> Self {
                // SAFETY: the caller vouches for the instruction set and for a vector's length behind the pointer.
                unsafe { $load(from.cast::<$load_from>()) }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut $sum) {
                // SAFETY: as for `load`.
                unsafe { $store(to.cast::<$store_to>(), self) }
            }

            #[inline(always)]
            unsafe fn factors(from: *const $sum) -> Self {
                // SAFETY: as for `load`.
                unsafe { $load(from.cast::<$load_from>()) }
            }

            #[inline(always)]
            unsafe fn splat(from: *const $sum) -> Self {
                // SAFETY: the caller vouches for the instruction set and for a factor behind the pointer.
                unsafe { $splat(from) }
            }

            #[inline(always)]
            unsafe fn mul_add(self, left: Self, right: Self) -> Self {
                // SAFETY: the caller vouches for the instruction set.
                unsafe { $mul_add(left, right, self) }
            }

            #[inline(always)]
            unsafe fn plus(self, other: Self) -> Self {
                // SAFETY: the caller vouches for the instruction set.
                unsafe { $plus(self, other) }
            }
        }
    };
}

lanes! {
    __m256 of 8 f32: _mm256_setzero_ps, _mm256_loadu_ps(f32), _mm256_storeu_ps(f32), _mm256_add_ps,
    splat |from: *const f32| _mm256_set1_ps(*from), mul_add _mm256_fmadd_ps
}

lanes! {
    __m256d of 4 f64: _mm256_setzero_pd, _mm256_loadu_pd(f64), _mm256_storeu_pd(f64), _mm256_add_pd,
    splat |from: *const f64| _mm256_set1_pd(*from), mul_add _mm256_fmadd_pd
}

lanes! {
    __m512 of 16 f32: _mm512_setzero_ps, _mm512_loadu_ps(f32), _mm512_storeu_ps(f32), _mm512_add_ps,
    splat |from: *const f32| _mm512_set1_ps(*from), mul_add _mm512_fmadd_ps
}

lanes! {
    __m512d of 8 f64: _mm512_setzero_pd, _mm512_loadu_pd(f64), _mm512_storeu_pd(f64), _mm512_add_pd,
    splat |from: *const f64| _mm512_set1_pd(*from), mul_add _mm512_fmadd_pd
}

/// Writes the columns of sixteen rows of sixteen elements.
///
/// # Safety
///
/// The processor has the instruction set; behind the pointers to each row and column are sixteen elements.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) unsafe fn transpose(rows: impl Fn(usize) -> *const f32, columns: impl Fn(usize) -> *mut f32) {
    let mut vectors = [_mm512_setzero_ps(); 16];
    for (row, vector) in vectors.iter_mut().enumerate() {
        // SAFETY: the caller vouches for a vector's length.
        *vector = unsafe { _mm512_loadu_ps(rows(row)) };
    }
    for (at, column) in transposed(vectors).into_iter().enumerate() {
        // SAFETY: as above.
        unsafe { _mm512_storeu_ps(columns(at), column) };
    }
}

/// Writes vectors, so far apart, as the columns of rows that are so far apart; past the caches where they are to be, if every
/// row is a whole line of them.
///
/// # Safety
///
/// The processor has the instruction set; all vectors can be read, and all rows written by this thread alone.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn transpose_lines(from: *const f32, step: isize, to: *mut f32, apart: usize, stores: Stores) {
    let mut rows = [_mm512_setzero_ps(); 16];
    for (at, row) in rows.iter_mut().enumerate() {
        // SAFETY: as the caller says.
        *row = unsafe { _mm512_loadu_ps(from.offset(at as isize * step)) };
    }
    let columns = transposed(rows);
    if stores == Stores::Streamed && to.addr().is_multiple_of(64) && apart.is_multiple_of(16) {
        for (at, column) in columns.into_iter().enumerate() {
            // SAFETY: as the caller says, and it begins with a line.
            unsafe { _mm512_stream_ps(to.add(at * apart), column) };
        }
    } else {
        for (at, column) in columns.into_iter().enumerate() {
            // SAFETY: as the caller says.
            unsafe { _mm512_storeu_ps(to.add(at * apart), column) };
        }
    }
}

/// Writes the first `terms` elements of the first `count` rows, term by term, each `width` behind the one before.
///
/// # Safety
///
/// The processor has the instruction set; the elements can be read and their places written.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn interleave(rows: &[*const f32; 16], count: usize, terms: usize, to: *mut f32, width: usize) {
    let lanes = u16::MAX >> (16 - count);
    let whole = terms / 16 * 16;
    for term in (0..whole).step_by(16) {
        // SAFETY: sixteen elements of each row, the first of them where there are none, and places for the rows' own.
        unsafe {
            for (at, column) in columns(rows, term).into_iter().enumerate() {
                _mm512_mask_storeu_ps(to.add((term + at) * width), lanes, column);
            }
        }
    }
    for term in whole..terms {
        for (lane, row) in rows.iter().enumerate().take(count) {
            // SAFETY: as the caller says.
            unsafe { *to.add(term * width + lane) = *row.add(term) };
        }
    }
}

/// What sixteen chains of multiplications have on their other side.
pub(super) enum Factors<'a> {
    /// One more row each.
    Rows(&'a [*const f32; 16]),
    /// The same for all terms.
    Same([f32; 16]),
}

/// The sums of sixteen rows times the other factors: in each lane a chain of fused multiply-adds from zero.
///
/// # Safety
///
/// The processor has the instruction set, and all rows have so many terms.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn chains(rows: &[*const f32; 16], factors: Factors<'_>, terms: usize) -> [f32; 16] {
    /// Terms that one side is kept of while the other is read: rows that take the same places of the first cache take turns.
    const KEPT: usize = 64;
    let mut kept = [0.0_f32; 16 * KEPT];
    let mut sums = _mm512_setzero_ps();
    let mut start = 0;
    while start < terms {
        let here = KEPT.min(terms - start);
        let whole = here / 16 * 16;
        // SAFETY: these are terms of all rows, and `kept` has room for them; what is read of it was written, or is not there.
        unsafe {
            if let Factors::Rows(others) = &factors {
                let mut ahead = **others;
                for row in &mut ahead {
                    *row = row.add(start);
                }
                interleave(&ahead, 16, here, kept.as_mut_ptr(), 16);
            }
            let same = match &factors {
                Factors::Same(factors) => Some(_mm512_loadu_ps(factors.as_ptr())),
                Factors::Rows(_) => None,
            };
            for term in (0..whole).step_by(16) {
                for (at, column) in columns(rows, start + term).into_iter().enumerate() {
                    let factor = same.unwrap_or(_mm512_loadu_ps(kept.as_ptr().add(16 * (term + at))));
                    sums = _mm512_fmadd_ps(column, factor, sums);
                }
            }
            for term in whole..here {
                let mut column = [0.0; 16];
                for (lane, row) in column.iter_mut().zip(rows) {
                    *lane = *row.add(start + term);
                }
                let factor = same.unwrap_or(_mm512_loadu_ps(kept.as_ptr().add(16 * term)));
                sums = _mm512_fmadd_ps(_mm512_loadu_ps(column.as_ptr()), factor, sums);
            }
        }
        start += here;
    }
    let mut made = [0.0; 16];
    // SAFETY: as long as a vector.
    unsafe { _mm512_storeu_ps(made.as_mut_ptr(), sums) };
    made
}

/// The columns of sixteen rows from this one on.
///
/// # Safety
///
/// Every row has sixteen more elements.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn columns(rows: &[*const f32; 16], first: usize) -> [__m512; 16] {
    let mut vectors = [_mm512_setzero_ps(); 16];
    for (vector, row) in vectors.iter_mut().zip(rows) {
        // SAFETY: as the caller says.
        *vector = unsafe { _mm512_loadu_ps(row.add(first)) };
    }
    transposed(vectors)
}

/// The columns of these rows.
// Loops and no closures: those would be functions of their own, without the instruction set.
#[allow(clippy::large_types_passed_by_value, reason = "vectors are in registers")]
#[target_feature(enable = "avx512f")]
#[inline]
fn transposed(rows: [__m512; 16]) -> [__m512; 16] {
    let zero = _mm512_setzero_ps();
    // Pairs of rows, then pairs of pairs: each quarter is then four elements of a column of four rows.
    let (mut pairs, mut fours, mut columns) = ([zero; 16], [zero; 16], [zero; 16]);
    for at in (0..16).step_by(2) {
        pairs[at] = _mm512_unpacklo_ps(rows[at], rows[at + 1]);
        pairs[at + 1] = _mm512_unpackhi_ps(rows[at], rows[at + 1]);
    }
    for at in (0..16).step_by(4) {
        for half in 0..2 {
            let (first, second) = (_mm512_castps_pd(pairs[at + half]), _mm512_castps_pd(pairs[at + half + 2]));
            fours[at + 2 * half] = _mm512_castpd_ps(_mm512_unpacklo_pd(first, second));
            fours[at + 2 * half + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(first, second));
        }
    }
    // Quarters of the four groups of rows.
    for column in 0..4 {
        let (a, b, c, d) = (fours[column], fours[4 + column], fours[8 + column], fours[12 + column]);
        let (low, high) = (_mm512_shuffle_f32x4::<0b10_00_10_00>(a, b), _mm512_shuffle_f32x4::<0b11_01_11_01>(a, b));
        let (lower, higher) =
            (_mm512_shuffle_f32x4::<0b10_00_10_00>(c, d), _mm512_shuffle_f32x4::<0b11_01_11_01>(c, d));
        columns[column] = _mm512_shuffle_f32x4::<0b10_00_10_00>(low, lower);
        columns[4 + column] = _mm512_shuffle_f32x4::<0b10_00_10_00>(high, higher);
        columns[8 + column] = _mm512_shuffle_f32x4::<0b11_01_11_01>(low, lower);
        columns[12 + column] = _mm512_shuffle_f32x4::<0b11_01_11_01>(high, higher);
    }
    columns
}

#[cfg(test)]
mod tests {
    #[test]
    fn rows_become_columns() {
        if !is_x86_feature_detected!("avx512f") {
            return;
        }
        let block: [[f32; 16]; 16] =
            std::array::from_fn(|row| std::array::from_fn(|column| (100 * row + column) as f32));
        let mut turned = [[0.0_f32; 16]; 16];
        let to = turned.as_flattened_mut().as_mut_ptr();
        // SAFETY: just detected.
        unsafe { super::transpose(|row| block[row].as_ptr(), |column| to.wrapping_add(16 * column)) };
        for (column, line) in turned.iter().enumerate() {
            for (row, &element) in line.iter().enumerate() {
                assert_eq!(element, (100 * row + column) as f32, "{row} {column}");
            }
        }
    }
}
