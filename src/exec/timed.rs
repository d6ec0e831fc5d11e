//! Calls with a clock.

use std::time::{Duration, Instant};

use ndarray::ArrayD;

use crate::error::Result;
use crate::kernel::Element;

use super::run::{Call, Calls};

/// Calls that show an observer how long each takes; in slices each pass of a call is shown.
pub(crate) struct TimedCalls<C, F> {
    calls: C,
    observe: F,
}

impl<C, F: FnMut(usize, Duration)> TimedCalls<C, F> {
    pub(crate) fn new(calls: C, observe: F) -> Self {
        Self { calls, observe }
    }
}

impl<'a, T: Element, C: Calls<'a, T>, F: FnMut(usize, Duration)> Calls<'a, T> for TimedCalls<C, F> {
    fn call(&mut self, step: usize, call: Call<'a, '_, T>) -> Result<ArrayD<T>> {
        let start = Instant::now();
        let output = self.calls.call(step, call)?;
        (self.observe)(step, start.elapsed());
        Ok(output)
    }
}
