#![allow(unsafe_code, reason = "vector loads and stores go through pointers")]
//! The few vector operations that the kernels are made of, and their portable form.
//!
//! A lane is one output's sum.

use super::scratch::Pooled;

/// A type that sums are kept in, with its vectors on every instruction set.
pub trait Accumulator: Pooled + Copy + Default + Send + Sync {
    /// Vectors that every processor has.
    type Portable: Lanes<Sum = Self>;

    /// Vectors of 32 bytes with fused multiply-adds.
    #[cfg(target_arch = "x86_64")]
    type Avx2: Lanes<Sum = Self>;

    /// Vectors of 64 bytes.
    #[cfg(target_arch = "x86_64")]
    type Avx512: Lanes<Sum = Self>;

    /// Vectors of 16 bytes with fused multiply-adds, in twice as many registers.
    #[cfg(target_arch = "aarch64")]
    type Neon: Lanes<Sum = Self>;
}

/// A vector of sums.
///
/// # Safety
///
/// Every function may only run on a processor with the instruction set of the type. Pointers are to
/// `LANES` sums or factors (one factor for `splat`), aligned for their element type only.
#[allow(clippy::missing_safety_doc, reason = "the trait says it once for all its functions")]
pub trait Lanes: Copy {
    /// The type of a lane.
    type Sum: Accumulator;

    /// A factor for every lane.
    type Factors: Copy;

    /// Sums in the vector.
    const LANES: usize;

    /// Positive zero in every lane.
    unsafe fn zero() -> Self;

    /// The sums at `from`.
    unsafe fn load(from: *const Self::Sum) -> Self;

    /// Writes the sums.
    unsafe fn store(self, to: *mut Self::Sum);

    /// A factor for every lane.
    unsafe fn factors(from: *const Self::Sum) -> Self::Factors;

    /// The same factor for every lane.
    unsafe fn splat(from: *const Self::Sum) -> Self::Factors;

    /// `self + left * right`, rounded once.
    unsafe fn mul_add(self, left: Self::Factors, right: Self::Factors) -> Self;

    /// `self + other`.
    unsafe fn plus(self, other: Self) -> Self;
}

/// Sums in an array, for whatever vectors the compiler may use without being asked.
#[derive(Clone, Copy, Debug)]
pub struct Portable<S>([S; PORTABLE_LANES]);

const PORTABLE_LANES: usize = 8;

macro_rules! portable_float {
    ($type:ident, $avx2:ident, $avx512:ident, $neon:ident) => {
        impl Accumulator for $type {
            type Portable = Portable<Self>;
            #[cfg(target_arch = "x86_64")]
            type Avx2 = std::arch::x86_64::$avx2;
            #[cfg(target_arch = "x86_64")]
            type Avx512 = std::arch::x86_64::$avx512;
            #[cfg(target_arch = "aarch64")]
            type Neon = std::arch::aarch64::$neon;
        }

        impl Lanes for Portable<$type> {
            type Sum = $type;
            type Factors = [$type; PORTABLE_LANES];
            const LANES: usize = PORTABLE_LANES;

            #[inline(always)]
            unsafe fn zero() -> Self {
                Self([0.0; PORTABLE_LANES])
            }

            #[inline(always)]
            unsafe fn load(from: *const $type) -> Self {
                // SAFETY: the caller gives a pointer to this many sums.
                Self(unsafe { from.cast::<[$type; PORTABLE_LANES]>().read_unaligned() })
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut $type) {
                // SAFETY: as above.
                unsafe { to.cast::<[$type; PORTABLE_LANES]>().write_unaligned(self.0) }
            }

            #[inline(always)]
            unsafe fn factors(from: *const $type) -> Self::Factors {
                // SAFETY: as above.
                unsafe { from.cast::<Self::Factors>().read_unaligned() }
            }

            #[inline(always)]
            unsafe fn splat(from: *const $type) -> Self::Factors {
                // SAFETY: the caller gives a pointer to a factor.
                [unsafe { from.read() }; PORTABLE_LANES]
            }

            #[inline(always)]
            unsafe fn mul_add(mut self, left: Self::Factors, right: Self::Factors) -> Self {
                for lane in 0..PORTABLE_LANES {
                    self.0[lane] = left[lane].mul_add(right[lane], self.0[lane]);
                }
                self
            }

            #[inline(always)]
            unsafe fn plus(mut self, other: Self) -> Self {
                for lane in 0..PORTABLE_LANES {
                    self.0[lane] += other.0[lane];
                }
                self
            }
        }
    };
}

portable_float!(f32, __m256, __m512, float32x4_t);
portable_float!(f64, __m256d, __m512d, float64x2_t);
