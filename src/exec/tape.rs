//! Forward runs that keep what their gradients will need.

use ndarray::ArrayD;

use crate::error::Result;
use crate::kernel::Element;
use crate::quant::Format;

use super::call::{Keep, Rescaled};
use super::gradient::{Kept, KeptSide};
use super::quantized::QuantizedCalls;
use super::run::{Call, Calls, Held, Unquantized};

/// Calls that keep their sides, quantized or not.
pub(crate) struct TapedCalls<'a, 'c, T> {
    quantized: Option<&'c QuantizedCalls>,
    tape: Vec<Kept<'a, T>>,
}

impl<'a, 'c, T: Element> TapedCalls<'a, 'c, T> {
    pub(crate) fn new(quantized: Option<&'c QuantizedCalls>) -> Self {
        Self { quantized, tape: Vec::new() }
    }

    /// What the calls kept, in order.
    pub(crate) fn into_tape(self) -> Vec<Kept<'a, T>> {
        self.tape
    }
}

impl<'a, T: Element> Calls<'a, T> for TapedCalls<'a, '_, T> {
    fn call(&mut self, step: usize, call: Call<'a, '_, T>) -> Result<ArrayD<T>> {
        let (output, scales) = match self.quantized.filter(|_| Format::of(T::DTYPE).is_some()) {
            None => (Unquantized::product(&call)?, [None, None]),
            Some(quantized) => {
                let Rescaled { output, scales, .. } = quantized.prepare(step, &call)?.rescale(Keep::Scales)?;
                (T::from_floats(output), scales)
            }
        };
        let (Held::Value(lhs), Held::Value(rhs)) = (call.lhs, call.rhs) else {
            unreachable!("a taped run takes no frozen operands")
        };
        let [left, right] = scales;
        self.tape
            .push(Kept { lhs: KeptSide { value: lhs, scales: left }, rhs: KeptSide { value: rhs, scales: right } });
        Ok(output)
    }
}
