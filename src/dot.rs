//! `QDotGeneral`: one quantized call, by its dimension numbers.

use ndarray::ArrayD;

use crate::error::Result;
use crate::exec::{
    CallRecord, Input, Keep, Kept, KeptSide, QuantizedCall, Rescaled, Value, check_call, check_gradient_calls, prepare,
};
use crate::gradients::DotPullback;
use crate::kernel::Element;
use crate::lower::{DimensionNumbers, Orientation};
use crate::operands::Operand;
use crate::quant::DotGeneralConfig;
use crate::rng::Key;

/// A quantized `dot_general`: what a layer that is no einsum calls.
///
/// Sides are those of the call: nothing is swapped, and a key is used as it is.
///
/// ```
/// use ndarray::array;
/// use qeinsum::{DimensionNumbers, DotGeneralConfig, Key, QDotGeneral};
/// let dot = QDotGeneral::new(DimensionNumbers::new([], [(1, 0)])?, DotGeneralConfig::v4().build()?);
/// let a = array![[1.0_f32, -2.5, 0.75, 3.0]];
/// let b = array![[1.0_f32], [-1.0], [0.25], [2.0]];
/// let c = dot.run(&a, &b)?;
/// assert!((c[[0, 0]] - 9.6875).abs() < 0.1);
/// // The integers on the way, and the gradients of both sides, which are calls of their own.
/// assert_eq!(dot.record(&a, &b, None)?.output, c);
/// let (same, grads) = dot.vjp(&a, &b, Key::new(0))?;
/// assert_eq!(same, c);
/// let [of_a, of_b] = grads.pull(&array![[1.0_f32]])?;
/// assert_eq!((of_a.shape(), of_b.shape()), (a.shape(), b.shape()));
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
        Ok(T::from_floats(self.prepare(lhs, rhs, None)?.rescale(Keep::Output)?.output))
    }

    /// The same with a key for the noise of stochastic rounding.
    ///
    /// ```
    /// use ndarray::array;
    /// use qeinsum::quant::{IntNumerics, Noise, Numerics};
    /// use qeinsum::{DimensionNumbers, DotGeneralConfig, Key, QDotGeneral};
    /// let noisy = IntNumerics { noise: Some(Noise::JaxUniform), ..IntNumerics::new(8)? };
    /// let config = DotGeneralConfig::v4().build()?.with_forward_numerics(Numerics::Int(noisy));
    /// let dot = QDotGeneral::new(DimensionNumbers::new([], [(0, 0)])?, config);
    /// let x = array![0.3_f32, 0.7];
    /// assert!(dot.run(&x, &x).is_err()); // noise asks for a key
    /// assert_eq!(dot.run_with_key(&x, &x, Key::new(7))?, dot.run_with_key(&x, &x, Key::new(7))?);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn run_with_key<'a, T: Element>(
        &self,
        lhs: impl Operand<'a, T>,
        rhs: impl Operand<'a, T>,
        key: Key,
    ) -> Result<ArrayD<T>> {
        Ok(T::from_floats(self.prepare(lhs, rhs, Some(key))?.rescale(Keep::Output)?.output))
    }

    /// Computes the call and keeps everything on the way: scales, noise, integers, sums.
    pub fn record<'a, T: Element>(
        &self,
        lhs: impl Operand<'a, T>,
        rhs: impl Operand<'a, T>,
        key: Option<Key>,
    ) -> Result<CallRecord> {
        Ok(self.prepare(lhs, rhs, key)?.compute()?.into_record())
    }

    /// Computes the call and keeps what its gradients need.
    ///
    /// An error, beside those of [`run`](Self::run), where residuals do not fit the forward call, a gradient's call adds
    /// noise and there is no key, or shards do not divide.
    pub fn vjp<'a, T: Element>(
        &self,
        lhs: impl Operand<'a, T>,
        rhs: impl Operand<'a, T>,
        key: impl Into<Option<Key>>,
    ) -> Result<(ArrayD<T>, DotPullback<'a, T>)> {
        let key = key.into();
        let lhs = lhs.into_operand().into_array("a gradient")?;
        let rhs = rhs.into_operand().into_array("a gradient")?;
        let shapes = [lhs.shape(), rhs.shape()];
        // Before gradients are checked, which look at the axes.
        let output_shape = self.dims.output_shape(shapes[0], shapes[1])?;
        check_gradient_calls(&self.config, Orientation::AsWritten, &self.dims, shapes, T::DTYPE, key)?;
        let Rescaled { output, scales: [lhs_scales, rhs_scales], .. } =
            self.prepare(lhs.view(), rhs.view(), key)?.rescale(Keep::Scales)?;
        let kept = Kept {
            lhs: KeptSide { value: Value::Borrowed(lhs), scales: lhs_scales },
            rhs: KeptSide { value: Value::Borrowed(rhs), scales: rhs_scales },
        };
        let (dims, config) = (self.dims.clone(), self.config.clone());
        Ok((T::from_floats(output), DotPullback { dims, config, key, kept, output_shape }))
    }

    fn prepare<'c, 'a: 'c, T: Element>(
        &'c self,
        lhs: impl Operand<'a, T>,
        rhs: impl Operand<'a, T>,
        key: Option<Key>,
    ) -> Result<QuantizedCall<'c>> {
        let lhs = lhs.into_operand().into_array("a bare call")?;
        let rhs = rhs.into_operand().into_array("a bare call")?;
        check_call(&self.config, T::DTYPE, key)?;
        let shape = self.dims.output_shape(lhs.shape(), rhs.shape())?;
        crate::sizes::check_elements(&shape, "the output")?;
        let (lhs, rhs) = (Input::Array(T::floats(lhs)), Input::Array(T::floats(rhs)));
        prepare(lhs, rhs, &self.dims, T::DTYPE, self.config.forward, key)
    }
}
