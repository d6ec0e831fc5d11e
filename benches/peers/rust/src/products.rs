//! Crates that multiply matrices: gemm, faer and rten-gemm, on matrices that lie in memory one after another.
//!
//! They write into memory that is there already, where qeinsum allocates its result.

use std::hint::black_box;
use std::mem::MaybeUninit;
use std::sync::Arc;

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use gemm::Parallelism;
use ndarray::ArrayD;
use rten_gemm::{GemmExecutor, GemmInT, GemmInputA, GemmInputB, GemmOutT, GemmUninitOptions};
use rten_tensor::NdTensorView;

use crate::Fault;
use crate::contestant::{Contestant, Output};
use crate::operands::Operands;
use crate::protocol::Matrices;

pub fn gemm(operands: &Operands, sizes: Matrices, threads: usize) -> Result<Box<dyn Contestant>, Fault> {
    let parallelism = if threads == 1 { Parallelism::None } else { Parallelism::Rayon(threads) };
    Ok(Box::new(Floats::new(operands, sizes, move |out, a, b, Matrices { m, k, n, .. }| {
        let (m_stride, k_stride) = (k.cast_signed(), n.cast_signed());
        // SAFETY: the slices have m·n, m·k and k·n elements, and the strides are those of row-major matrices.
        unsafe {
            gemm::gemm(
                m,
                n,
                k,
                out.as_mut_ptr(),
                1,
                n.cast_signed(),
                false,
                a.as_ptr(),
                1,
                m_stride,
                b.as_ptr(),
                1,
                k_stride,
                0.0,
                1.0,
                false,
                false,
                false,
                parallelism,
            );
        }
    })?))
}

pub fn faer(operands: &Operands, sizes: Matrices, threads: usize) -> Result<Box<dyn Contestant>, Fault> {
    let par = if threads == 1 { Par::Seq } else { Par::rayon(threads) };
    Ok(Box::new(Floats::new(operands, sizes, move |out, a, b, Matrices { m, k, n, .. }| {
        matmul(
            MatMut::from_row_major_slice_mut(out, m, n),
            Accum::Replace,
            MatRef::from_row_major_slice(a, m, k),
            MatRef::from_row_major_slice(b, k, n),
            1.0,
            par,
        );
    })?))
}

pub fn rten(operands: &Operands, sizes: Matrices) -> Result<Box<dyn Contestant>, Fault> {
    let (left, right) = sides(operands)?;
    let executor = Executor { kernel: GemmExecutor::<f32>::new(), sizes };
    Ok(Box::new(RtenFloats { executor, operands: (left, right), out: vec![MaybeUninit::uninit(); sizes.outputs()] }))
}

/// Unsigned by signed bytes, whose sums of products are the result.
pub fn rten_integers(operands: &Operands, sizes: Matrices) -> Result<Box<dyn Contestant>, Fault> {
    let integers = operands.integers.clone().ok_or("the workload has no integers")?;
    let kernel = GemmExecutor::<u8, i8, i32>::new();
    if kernel.may_saturate() {
        return Err("its kernel for this processor may saturate".into());
    }
    let executor = Executor { kernel, sizes };
    let out = vec![MaybeUninit::uninit(); sizes.outputs()];
    Ok(Box::new(RtenIntegers { executor, operands: (integers.left, integers.right), out }))
}

impl Matrices {
    fn outputs(self) -> usize {
        self.batch * self.m * self.n
    }
}

/// The left and the right side of a product.
type Sides = (Arc<[f32]>, Arc<[f32]>);

fn sides(operands: &Operands) -> Result<Sides, Fault> {
    let [left, right] = &*operands.floats else { return Err("not a product of two operands".into()) };
    let elements = |array: &ArrayD<f32>| array.iter().copied().collect();
    Ok((elements(left), elements(right)))
}

/// A product of two row-major matrices in f32, done for each of a batch.
struct Floats<F> {
    left: Arc<[f32]>,
    right: Arc<[f32]>,
    out: Vec<f32>,
    sizes: Matrices,
    product: F,
}

impl<F: Fn(&mut [f32], &[f32], &[f32], Matrices)> Floats<F> {
    fn new(operands: &Operands, sizes: Matrices, product: F) -> Result<Self, Fault> {
        let (left, right) = sides(operands)?;
        Ok(Self { left, right, out: vec![0.0; sizes.outputs()], sizes, product })
    }
}

impl<F: Fn(&mut [f32], &[f32], &[f32], Matrices)> Contestant for Floats<F> {
    fn run(&mut self) -> Result<(), Fault> {
        let Matrices { m, k, n, .. } = self.sizes;
        let sides = self.left.chunks_exact(m * k).zip(self.right.chunks_exact(k * n));
        for (out, (a, b)) in self.out.chunks_exact_mut(m * n).zip(sides) {
            (self.product)(out, black_box(a), black_box(b), self.sizes);
        }
        black_box(&self.out);
        Ok(())
    }

    fn output(&mut self) -> Result<Output, Fault> {
        self.run()?;
        Ok(Output::Floats(self.out.clone()))
    }
}

struct Executor<L: GemmInT, R: GemmInT, O: GemmOutT> {
    kernel: GemmExecutor<L, R, O>,
    sizes: Matrices,
}

impl<L: GemmInT, R: GemmInT, O: GemmOutT> Executor<L, R, O> {
    fn run<'a>(&self, left: &[L], right: &[R], out: &'a mut [MaybeUninit<O>]) -> Result<&'a mut [O], Fault> {
        let Matrices { m, k, n, .. } = self.sizes;
        let lefts: Vec<_> =
            left.chunks_exact(m * k).map(|a| GemmInputA::Unpacked(NdTensorView::from_data([m, k], a))).collect();
        let rights: Vec<_> =
            right.chunks_exact(k * n).map(|b| GemmInputB::Unpacked(NdTensorView::from_data([k, n], b))).collect();
        let options = GemmUninitOptions::default();
        self.kernel.batched_gemm_uninit(out, &lefts, &rights, options).map_err(|error| format!("{error:?}").into())
    }
}

struct RtenFloats {
    executor: Executor<f32, f32, f32>,
    operands: Sides,
    out: Vec<MaybeUninit<f32>>,
}

impl Contestant for RtenFloats {
    fn run(&mut self) -> Result<(), Fault> {
        let (left, right) = black_box(&self.operands);
        black_box(self.executor.run(left, right, &mut self.out)?);
        Ok(())
    }

    fn output(&mut self) -> Result<Output, Fault> {
        let (left, right) = &self.operands;
        Ok(Output::Floats(self.executor.run(left, right, &mut self.out)?.to_vec()))
    }
}

struct RtenIntegers {
    executor: Executor<u8, i8, i32>,
    operands: (Arc<[u8]>, Arc<[i8]>),
    out: Vec<MaybeUninit<i32>>,
}

impl Contestant for RtenIntegers {
    fn run(&mut self) -> Result<(), Fault> {
        let (left, right) = black_box(&self.operands);
        black_box(self.executor.run(left, right, &mut self.out)?);
        Ok(())
    }

    fn output(&mut self) -> Result<Output, Fault> {
        let (left, right) = &self.operands;
        Ok(Output::Integers(self.executor.run(left, right, &mut self.out)?.to_vec()))
    }
}
