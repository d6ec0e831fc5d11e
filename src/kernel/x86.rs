#![allow(unsafe_code, reason = "vector instructions and their loads and stores")]
#![allow(clippy::wildcard_imports, reason = "a list of forty intrinsics says nothing")]
#![allow(clippy::cast_ptr_alignment, reason = "every load and store used is an unaligned one")]
//! The vectors of x86-64: AVX2 with FMA, and AVX-512.

use std::arch::x86_64::*;

use super::lanes::Lanes;

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
    let rows = vectors;
    // Pairs of rows, then pairs of pairs: each quarter is then four elements of a column of four rows.
    let pairs: [__m512; 16] = std::array::from_fn(|at| {
        let (even, odd) = (rows[at / 2 * 2], rows[at / 2 * 2 + 1]);
        if at % 2 == 0 { _mm512_unpacklo_ps(even, odd) } else { _mm512_unpackhi_ps(even, odd) }
    });
    let fours: [__m512d; 16] = std::array::from_fn(|at| {
        let (first, second) = (pairs[at / 4 * 4 + at % 4 / 2], pairs[at / 4 * 4 + at % 4 / 2 + 2]);
        let (first, second) = (_mm512_castps_pd(first), _mm512_castps_pd(second));
        if at % 2 == 0 { _mm512_unpacklo_pd(first, second) } else { _mm512_unpackhi_pd(first, second) }
    });
    // Quarters of the four groups of rows.
    for column in 0..4 {
        let [a, b, c, d] = [0, 4, 8, 12].map(|group| _mm512_castpd_ps(fours[group + column]));
        let (low, high) = (_mm512_shuffle_f32x4::<0b10_00_10_00>(a, b), _mm512_shuffle_f32x4::<0b11_01_11_01>(a, b));
        let (lower, higher) =
            (_mm512_shuffle_f32x4::<0b10_00_10_00>(c, d), _mm512_shuffle_f32x4::<0b11_01_11_01>(c, d));
        let made = [
            _mm512_shuffle_f32x4::<0b10_00_10_00>(low, lower),
            _mm512_shuffle_f32x4::<0b10_00_10_00>(high, higher),
            _mm512_shuffle_f32x4::<0b11_01_11_01>(low, lower),
            _mm512_shuffle_f32x4::<0b11_01_11_01>(high, higher),
        ];
        for (quarter, made) in made.into_iter().enumerate() {
            // SAFETY: as above.
            unsafe { _mm512_storeu_ps(columns(4 * quarter + column), made) };
        }
    }
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
