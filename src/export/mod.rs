//! Exports: plans as programs of other engines.
//!
//! In come a [`Plan`] and, if it is to be quantized, a [`QuantConfig`]; out goes the text of a `StableHLO` module, or an ONNX
//! model. Both are written from one list of array operations (`program.rs`), which `build.rs` and `call.rs` make of the
//! plan's steps by the arithmetic of the interpreter, rounding by rounding; the writers decide nothing about numbers.
//!
//! Absent are random numbers, gradients, and frozen operands. Nothing but the command line reads this room.

mod build;
mod call;
mod onnx;
mod powers;
mod program;
mod stablehlo;

use crate::error::{Error, ErrorKind, Result};
use crate::lower::Plan;
use crate::quant::QuantConfig;

impl Plan {
    /// The plan as a `StableHLO` module, whose function `main` takes the operands and returns the result.
    ///
    /// Its numbers are those of a run of the plan by the same configuration, operands being of the plan's
    /// [`dtype`](Self::dtype): bit for bit where all sums are sums of integers. Sums of floats are added in the order of the
    /// engine. A plan in slices is written as the whole that it has the bits of.
    ///
    /// An error where the configuration does not fit, or adds noise in a forward call.
    ///
    /// ```
    /// let plan = qeinsum::QEinsum::new("bij,bjk->bki")?.plan(&[&[2, 3, 4], &[2, 4, 5]])?;
    /// assert_eq!(plan.to_stablehlo(None)?, "\
    /// // einsum bij,bjk->bki
    /// module @qeinsum {
    ///   func.func public @main(%arg0: tensor<2x3x4xf32>, %arg1: tensor<2x4x5xf32>) -> tensor<2x5x3xf32> {
    ///     // %2: [b,k,i] = dot_general %1, %0 batch [0]x[0] contract [1]x[2] swapped
    ///     %0 = stablehlo.dot_general %arg1, %arg0, batching_dims = [0] x [0], contracting_dims = [1] x [2], \
    /// precision = [HIGHEST, HIGHEST] : (tensor<2x4x5xf32>, tensor<2x3x4xf32>) -> tensor<2x5x3xf32>
    ///     return %0 : tensor<2x5x3xf32>
    ///   }
    /// }
    /// ");
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn to_stablehlo(&self, config: Option<&QuantConfig>) -> Result<String> {
        Ok(stablehlo::write(&build::build(&self.whole()?, config)?))
    }

    /// The plan as an ONNX model in binary form, with inputs `operand_0`, `operand_1`, … and the output `result`.
    ///
    /// Calls of two sides of eight bits are `MatMulInteger`, others `MatMul`, between transposes and reshapes. Its numbers are
    /// those of [`to_stablehlo`](Self::to_stablehlo) for finite operands.
    ///
    /// An error where the configuration does not fit, or adds noise in a forward call, and for complex operands, which ONNX
    /// does not multiply.
    ///
    /// ```
    /// use qeinsum::{DotGeneralConfig, QEinsum};
    /// let plan = QEinsum::new("ij,jk->ki")?.plan(&[&[3, 4], &[4, 5]])?;
    /// let config = DotGeneralConfig::v4().build()?.into();
    /// let model = plan.to_onnx(Some(&config))?;
    /// assert!(model.windows(13).any(|bytes| bytes == b"MatMulInteger"));
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn to_onnx(&self, config: Option<&QuantConfig>) -> Result<Vec<u8>> {
        if self.dtype().is_complex() {
            let message = format!("ONNX multiplies no complex numbers, and the plan's are {}", self.dtype());
            return Err(Error::new(ErrorKind::Export, message));
        }
        Ok(onnx::write(&build::build(&self.whole()?, config)?))
    }

    /// The same plan without slices: they change no bit, and engines divide work in ways of their own.
    fn whole(&self) -> Result<Self> {
        if self.slices().is_empty() { Ok(self.clone()) } else { self.with_slices(&[""; 0]) }
    }
}
