//! Forward runs that can be pulled back.

use pyo3::prelude::*;
use qeinsum::Compiled;

use crate::interrupt::computed;
use crate::operands::{Shared, borrowed, returned};

/// What a forward run kept: called with a gradient of its result, it gives one for each operand.
#[pyclass(frozen, module = "qeinsum")]
pub(crate) struct Pullback {
    pull: Box<dyn Pull>,
    compiled: Compiled,
}

/// A pullback of some element type.
trait Pull: Send + Sync {
    fn pull(&self, py: Python<'_>, compiled: &Compiled, cotangent: &Bound<'_, PyAny>) -> PyResult<Vec<Py<PyAny>>>;
}

impl<T: Shared> Pull for qeinsum::Pullback<'static, T> {
    fn pull(&self, py: Python<'_>, compiled: &Compiled, cotangent: &Bound<'_, PyAny>) -> PyResult<Vec<Py<PyAny>>> {
        let cotangent = borrowed::<T>(cotangent)?;
        let view = cotangent.as_array();
        let gradients = computed(py, compiled, || Self::pull(self, view))?;
        Ok(gradients.into_iter().map(|gradient| returned(py, gradient)).collect())
    }
}

impl Pullback {
    pub(crate) fn new<T: Shared>(pullback: qeinsum::Pullback<'static, T>, compiled: Compiled) -> Self {
        Self { pull: Box::new(pullback), compiled }
    }
}

#[pymethods]
impl Pullback {
    /// The gradients of `sum(cotangent * result)`, one for each operand.
    fn __call__(&self, py: Python<'_>, cotangent: &Bound<'_, PyAny>) -> PyResult<Vec<Py<PyAny>>> {
        self.pull.pull(py, &self.compiled, cotangent)
    }
}
