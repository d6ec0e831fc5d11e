//! `QDotGeneral`: one quantized call, by its dimension numbers.

use ndarray::ArrayD;

use crate::error::Result;
use crate::exec::{CallRecord, Computed, check_call, run_call};
use crate::kernel::Element;
use crate::lower::DimensionNumbers;
use crate::operands::Operand;
use crate::quant::DotGeneralConfig;
use crate::rng::Key;

/// A quantized `dot_general`: what a layer that is no einsum calls.
///
/// Sides are those of the call: nothing is swapped, and a key is used as it is.
///
/// ```
/// use ndarray::array;
/// use qeinsum::{DimensionNumbers, DotGeneralConfig, QDotGeneral};
/// let dot = QDotGeneral::new(DimensionNumbers::new([], [(1, 0)])?, DotGeneralConfig::v4().build()?);
/// let a = array![[1.0_f32, -2.5, 0.75, 3.0]];
/// let b = array![[1.0_f32], [-1.0], [0.25], [2.0]];
/// let c = dot.run(&a, &b)?;
/// assert!((c[[0, 0]] - 9.6875).abs() < 0.1);
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Debug)]
#[doc(alias("make_dot_general", "dot_general"))]
pub struct QDotGeneral {
    dims: DimensionNumbers,
    config: DotGeneralConfig,
}

impl QDotGeneral {
    /// A call with these dimension numbers, quantized like this.
    pub fn new(dims: DimensionNumbers, config: DotGeneralConfig) -> Self {
        Self { dims, config }
    }

    /// Computes the call. The result has the batch axes, then the free axes of the lhs, then those of the rhs.
    ///
    /// An error where axes do not fit, the configuration contradicts itself or the operands, or it adds noise.
    pub fn run<'a, T: Element>(&self, lhs: impl Operand<'a, T>, rhs: impl Operand<'a, T>) -> Result<ArrayD<T>> {
        self.execute(lhs, rhs, None, |computed| T::from_floats(computed.output))
    }

    /// The same with a key for the noise of stochastic rounding.
    pub fn run_with_key<'a, T: Element>(
        &self,
        lhs: impl Operand<'a, T>,
        rhs: impl Operand<'a, T>,
        key: Key,
    ) -> Result<ArrayD<T>> {
        self.execute(lhs, rhs, Some(key), |computed| T::from_floats(computed.output))
    }

    /// Computes the call and keeps everything on the way: scales, noise, integers, sums.
    #[expect(clippy::redundant_closure_for_method_calls, reason = "the method alone is not general over lifetimes")]
    pub fn record<'a, T: Element>(
        &self,
        lhs: impl Operand<'a, T>,
        rhs: impl Operand<'a, T>,
        key: Option<Key>,
    ) -> Result<CallRecord> {
        self.execute(lhs, rhs, key, |computed| computed.into_record())
    }

    fn execute<'a, T: Element, R>(
        &self,
        lhs: impl Operand<'a, T>,
        rhs: impl Operand<'a, T>,
        key: Option<Key>,
        finish: impl FnOnce(Computed<'_>) -> R,
    ) -> Result<R> {
        let (lhs, rhs) = (lhs.into_view(), rhs.into_view());
        check_call(&self.config, T::DTYPE, key)?;
        let shape = self.dims.output_shape(lhs.shape(), rhs.shape())?;
        crate::sizes::check_elements(&shape, "the output")?;
        run_call(&lhs, &rhs, &self.dims, &self.config, key, finish)
    }
}
