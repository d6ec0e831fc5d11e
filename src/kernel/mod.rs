#![allow(clippy::needless_pass_by_value, reason = "a view is passed as what it is, a reference")]
#![allow(
    clippy::inline_always,
    reason = "code is compiled for an instruction set only inside the function that enables it"
)]
//! The numerics on arrays: products of two sides and sums over axes, each with its one right answer.
//!
//! In come strided views, [`DimensionNumbers`](crate::DimensionNumbers) that fit them and an [`Order`]; out come new arrays
//! whose axes lie in that order in memory. Labels are unknown here, and so is quantization: how elements become integers and
//! how sums become outputs is what [`Quantize`] and [`Rescale`] say, and integers arrive as plain `i8`.
//!
//! **What is computed.** Contracting axes are flattened in the order in which the dimension numbers list them, last
//! fastest. Each block of 1,024 terms is a chain of fused multiply-adds from +0, with the value of the lhs as first
//! factor; the block sums are added as a pairwise tree that is split at the largest power of two below their count.
//! No terms sum to +0. `f16` and `bf16` are widened to `f32` first and rounded once at the end. `reference` says so
//! in code. Integer sums are exact. Which NaN comes out is not defined, all else is, subnormals and signs of zeros
//! included: no instruction set, blocking or layout changes a bit.
//!
//! A complex product is a real one over interleaved parts: of each pair of elements `a` and `b`, in the order of the
//! contraction, the sum of the real part has the two terms `a.re * b.re` and `a.im * (-b.im)`, that of the imaginary part
//! `a.re * b.im` and `a.im * b.re`. These terms make blocks, of 512 pairs, chains and trees as any others do. The parts of
//! a complex sum are summed apart.
//!
//! **How.** [`Isa`] names the instruction sets that a path is compiled for and is asked once per call. `blocked` cuts
//! a float product into tiles and packs both sides into panels; `tile` is the register-blocked kernel over the vectors that
//! `lanes`, `x86` and `aarch64` define, and fills them with outputs, so a wider vector changes only which outputs are computed
//! side by side. `slim` takes the float products that have nothing to reuse, and packs nothing; `small` takes batches of
//! small matrices, a batch position in each lane; `tiny` what is settled when an equation is compiled. A sum over axes is a product with ones. `complex` turns complex products
//! and sums into real ones. `partial` adds up products whose terms come slice by slice. `int8` has its own panels and kernels, since two or four of its factors share a word; it
//! calibrates and quantizes floats while it packs them, and rescales sums in the registers that they are made in; a side that
//! is multiplied often is packed once ([`PackedSide`]). `halves` turns 16-bit floats into binary32 and back. The tests
//! run every way on every instruction set that the processor has.
//!
//! **Memory.** Free and batch positions are counted in the order in which their outputs lie ([`Order`]), and the side whose
//! outputs are neighbours fills vectors, so that a result is written where its reader wants it, whatever its axes are called.
//! What is larger than the caches passes them (`stream`) and is given large pages (`pages`).
//!
//! **Threads.** `parts` cuts a product by its outputs for the threads of the pool that it runs in, if there is enough work;
//! what one of them computes is what one alone would, and so are the bits.
//!
//! **For the rooms above.** `quant` and `rng` have loops of their own over elements: [`vectorized`] compiles them as those
//! of this room, [`RowMajor`] reads the views that they go over, and `parts` divides them among threads.
//!
//! **Unsafe.** Only this room has it: for vector instructions, which need the processor that [`Isa`] found, for
//! reads through the offsets of a [`Walk`](walk::Walk) or a [`RowMajor`], which the shapes and strides of a view bound, for
//! writes to outputs of which each thread has its own, and to take complex numbers for the pairs of reals that they are.

use ndarray::{ArrayD, ArrayViewD};

use crate::DimensionNumbers;

#[cfg(target_arch = "aarch64")]
mod aarch64;
mod blocked;
mod bytes;
#[cfg(test)]
pub(crate) mod cases;
mod complex;
mod copy;
mod element;
mod float;
mod halves;
mod int8;
mod isa;
mod lanes;
mod lying;
mod magnitude;
mod order;
mod outputs;
mod pack;
mod pages;
mod partial;
pub(crate) mod parts;
pub mod peak;
mod product;
#[cfg(test)]
mod reference;
mod row_major;
mod scratch;
mod slim;
mod small;
mod stream;
mod sum;
mod tile;
mod tiny;
mod walk;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use bytes::{bytes, bytes_mut};
pub(crate) use element::Wide;
pub use element::{Element, Real};
pub(crate) use int8::{Factor, INT32_TERMS, IntSums, PackedSide, Quantize, Rescale, ScaledSide, Scales};
use isa::Isa;
pub(crate) use isa::Vectorized;
pub(crate) use order::Order;
pub(crate) use outputs::Outputs;
pub(crate) use pages::advise;
pub use pages::keep_freed_memory;
pub(crate) use partial::{Forest, PartialBytes, PartialSums, Tree};
pub(crate) use row_major::RowMajor;
pub(crate) use scratch::{LentArray, lent_floats};
pub(crate) use tiny::TinyProduct;

/// Terms of a sum in one chain; the chains are added as a tree.
const BLOCK: usize = 1024;

/// The product of two sides that fit `dims`, its axes in memory in this order.
pub(crate) fn dot_general<T: Element>(
    lhs: ArrayViewD<'_, T>,
    rhs: ArrayViewD<'_, T>,
    dims: &DimensionNumbers,
    order: &Order,
) -> ArrayD<T> {
    T::dot_general(&lhs, &rhs, dims, order)
}

/// The exact product of two int8 sides that fit `dims`.
pub(crate) fn dot_general_int8(lhs: ArrayViewD<'_, i8>, rhs: ArrayViewD<'_, i8>, dims: &DimensionNumbers) -> IntSums {
    int8::dot_general(Isa::detect(), &lhs, &rhs, dims)
}

/// The exact product of two sides of eight-bit integers, or of elements that become such, each sum rescaled with the numbers
/// of its two positions, and with axes in memory in this order. None where a sum could have more than 32 bits.
pub(crate) fn dot_general_scaled<T: Factor, O: Copy + Default + Send + Sync>(
    lhs: ScaledSide<'_, T, impl Quantize>,
    rhs: ScaledSide<'_, T, impl Quantize>,
    dims: &DimensionNumbers,
    order: &Order,
    rescale: impl Rescale<O>,
) -> Option<ArrayD<O>> {
    int8::dot_general_scaled(Isa::detect(), lhs, rhs, dims, order, rescale)
}

/// The bits of the largest magnitude over `axes`, which keep extent 1; those of a NaN where one is, and of zero where there
/// is nothing.
pub(crate) fn largest_magnitudes(x: &ArrayViewD<'_, f32>, axes: &[usize]) -> ArrayD<u32> {
    magnitude::largest(Isa::detect(), x, axes)
}

/// Runs a loop of another room, compiled for the instruction set of this processor.
pub(crate) fn vectorized<L: Vectorized>(run: L) -> L::Output {
    Isa::detect().run(run)
}

/// What a loop gives on every instruction set of this processor.
#[cfg(test)]
pub(crate) fn vectorized_everywhere<L: Vectorized>(mut make: impl FnMut() -> L) -> Vec<L::Output> {
    Isa::available().into_iter().map(|isa| isa.run(make())).collect()
}

/// A new array of the elements of a view, in row-major order.
pub(crate) fn row_major<T: Element>(view: ArrayViewD<'_, T>) -> ArrayD<T> {
    copy::row_major(Isa::detect(), &view)
}

/// The sums over `axes`, flattened in the order listed, last fastest; the other axes keep their order.
pub(crate) fn sum_axes<T: Element>(view: ArrayViewD<'_, T>, axes: &[usize]) -> ArrayD<T> {
    T::sum_axes(&view, axes)
}
