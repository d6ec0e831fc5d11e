#![allow(unsafe_code, reason = "vector registers")]
//! What this processor can multiply and add at most: the measure of every speed.
//!
//! Rates are in GOP/s, where a multiplication and its addition are two operations. They are measured when asked for, for
//! about a fifth of a second, in windows of a millisecond. What counts is the rate that nine of ten windows stay below, so
//! that a machine that is shared shows what it can do and not what was left of it.
//!
//! ```
//! use std::num::NonZeroUsize;
//! assert!(qeinsum::peak::f32(NonZeroUsize::MIN) > 0.0);
//! ```

use std::hint::black_box;
use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use ndarray::{ArrayD, IxDyn};

#[cfg(target_arch = "aarch64")]
use super::aarch64::Two;
use super::int8::{Exact, INT32_TERMS, PackedSide, PeakPanels, Rescale, ScaledSide, dot_general_scaled};
use super::isa::{Isa, Vectorized};
use super::lanes::{Accumulator, Lanes};
use super::order::Order;
use super::outputs::Outputs;
use crate::DimensionNumbers;
use crate::lower::Side;

const WINDOW: Duration = Duration::from_millis(1);
const WINDOWS: usize = 200;

/// The instruction sets of this processor that there are kernels for, the narrowest first; the last is the one that is used.
///
/// ```
/// assert_eq!(qeinsum::peak::instruction_sets()[0], "portable");
/// ```
pub fn instruction_sets() -> Vec<&'static str> {
    Isa::available().into_iter().map(Isa::name).collect()
}

/// Products of eight-bit integers, as the kernel computes them on panels in the first cache, on so many threads at once.
///
/// ```
/// assert!(qeinsum::peak::int8(std::num::NonZeroUsize::MIN) > 0.0);
/// ```
pub fn int8(threads: NonZeroUsize) -> f64 {
    on_threads(threads, || {
        let mut panels = PeakPanels::new(Isa::detect());
        move || panels.multiply()
    })
}

/// Fused multiply-adds of `f32` in registers, on so many threads at once.
///
/// ```
/// // Two threads need not be twice as fast.
/// assert!(qeinsum::peak::f32(std::num::NonZeroUsize::MIN.saturating_add(1)) > 0.0);
/// ```
pub fn f32(threads: NonZeroUsize) -> f64 {
    on_threads(threads, || {
        let isa = Isa::detect();
        move || match isa {
            Isa::Portable => isa.run(Chains::<<f32 as Accumulator>::Portable>(PhantomData)),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 | Isa::AvxVnni => isa.run(Chains::<<f32 as Accumulator>::Avx2>(PhantomData)),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 | Isa::Vnni => isa.run(Chains::<<f32 as Accumulator>::Avx512>(PhantomData)),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon | Isa::DotProd => isa.run(Chains::<Two<<f32 as Accumulator>::Neon>>(PhantomData)),
        }
    })
}

/// Two matrices of eight-bit integers, of `m` rows and of `n` columns and `terms` terms, packed before, and their product in
/// binary32, on the threads of the pool that [`multiply`](Self::multiply) is called in.
///
/// It is what a quantized call does once both of its sides are packed.
///
/// ```
/// let product = qeinsum::peak::PackedMatrices::new(3, 5, 4);
/// assert_eq!(product.multiply().shape(), [3, 5]);
/// ```
#[derive(Debug)]
pub struct PackedMatrices {
    sides: [ArrayD<i8>; 2],
    inverses: [ArrayD<f32>; 2],
    packed: [Option<PackedSide>; 2],
    dims: DimensionNumbers,
    order: Order,
}

impl PackedMatrices {
    /// The longest contraction whose sums have 32 bits whatever the integers are.
    ///
    /// ```
    /// assert_eq!(qeinsum::peak::PackedMatrices::MOST_TERMS, 131_071);
    /// ```
    pub const MOST_TERMS: usize = INT32_TERMS;

    /// Packs matrices of any integers.
    #[allow(clippy::missing_panics_doc, reason = "each axis is named once")]
    pub fn new(m: usize, n: usize, terms: usize) -> Self {
        let dims = DimensionNumbers::new([], [(1, 0)]).expect("each axis is named once");
        let integers = |shape: [usize; 2]| {
            ArrayD::from_shape_fn(IxDyn(&shape), |at| ((at[0] * 89 + at[1] * 55) % 255) as u8 as i8)
        };
        let sides = [integers([m, terms]), integers([terms, n])];
        let inverses = [[m, 1], [1, n]].map(|shape| ArrayD::from_elem(IxDyn(&shape), 1.0));
        let order = Order::row_major(2);
        let packed = [(0, Side::Lhs), (1, Side::Rhs)].map(|(at, side)| {
            let other = sides[1 - at].shape();
            PackedSide::new(&sides[at].view(), &inverses[at].view(), side, other, &dims, &order)
        });
        Self { sides, inverses, packed, dims, order }
    }

    /// Multiplies them.
    ///
    /// # Panics
    ///
    /// With more terms than [`MOST_TERMS`](Self::MOST_TERMS).
    pub fn multiply(&self) -> ArrayD<f32> {
        let side = |at: usize| -> ScaledSide<'_, f32, Exact> {
            let (values, inverses) = (self.sides[at].view(), self.inverses[at].view());
            ScaledSide::Integers { values, inverses, packed: self.packed[at].as_ref() }
        };
        let (lhs, rhs) = (side(0), side(1));
        dot_general_scaled(Isa::detect(), lhs, rhs, &self.dims, &self.order, Products).expect("sums have 32 bits")
    }
}

/// Sums times the numbers of both positions.
#[derive(Clone, Copy)]
struct Products;

impl Rescale<f32> for Products {
    #[inline(always)]
    fn output(self, sum: f32, lhs: f32, rhs: f32) -> f32 {
        sum * lhs * rhs
    }

    #[inline(always)]
    fn output_of_any(self, sum: f32, lhs: f32, rhs: f32) -> f32 {
        sum * lhs * rhs
    }

    fn products<'o>(self, out: &'o Outputs<'o, f32>) -> Option<&'o Outputs<'o, f32>> {
        Some(out)
    }

    const LEAST: f32 = 0.0;
}

/// The rates of all threads together; each runs a loop that says how many multiplications it did.
fn on_threads<L: FnMut() -> usize>(threads: NonZeroUsize, make: impl Fn() -> L + Sync) -> f64 {
    let start = Barrier::new(threads.get());
    let measure = || {
        let mut run = make();
        run();
        start.wait();
        let mut rates: Vec<f64> = (0..WINDOWS).map(|_| rate(&mut run)).collect();
        rates.sort_by(f64::total_cmp);
        rates[WINDOWS * 9 / 10]
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.get()).map(|_| scope.spawn(measure)).collect();
        let own = measure();
        own + others.into_iter().map(|thread| thread.join().expect("these loops do not panic")).sum::<f64>()
    })
}

/// GOP/s in a window.
fn rate(run: &mut impl FnMut() -> usize) -> f64 {
    let (start, mut done) = (Instant::now(), 0);
    loop {
        done += run();
        let elapsed = start.elapsed();
        if elapsed >= WINDOW {
            return 2.0 * done as f64 / elapsed.as_secs_f64() / 1e9;
        }
    }
}

/// Chains of multiply-adds: so many that none waits for the one before it, and that all are in registers.
const CHAINS: usize = 12;
/// Multiply-adds of a chain.
const TURNS: usize = 1000;

/// Lanes of the widest vector.
const MOST_LANES: usize = 16;

/// Runs chains that start from different sums, so that no two are one to the compiler.
struct Chains<V>(PhantomData<V>);

impl<V: Lanes<Sum = f32>> Vectorized for Chains<V> {
    type Output = usize;

    #[inline(always)]
    fn run(self) -> usize {
        let starts: [f32; MOST_LANES + CHAINS] = black_box(std::array::from_fn(|at| at as f32));
        let factors = black_box([0.5_f32; MOST_LANES]);
        let mut ends = [0.0_f32; MOST_LANES];
        // SAFETY: this runs compiled for the instruction set of `V`, which was detected; arrays are at least as long as a
        // vector, behind each start too.
        unsafe {
            let (left, right) = (V::splat(factors.as_ptr()), V::factors(factors.as_ptr()));
            let mut sums: [V; CHAINS] = [V::zero(); CHAINS];
            for (chain, sum) in sums.iter_mut().enumerate() {
                *sum = V::load(starts.as_ptr().add(chain));
            }
            for _ in 0..TURNS {
                for sum in &mut sums {
                    *sum = sum.mul_add(left, right);
                }
            }
            for sum in sums {
                sum.store(ends.as_mut_ptr());
                black_box(&ends);
            }
        }
        CHAINS * TURNS * V::LANES
    }
}
