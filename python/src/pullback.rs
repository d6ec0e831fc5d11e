//! Forward runs that can be pulled back.

use pyo3::prelude::*;

use crate::error::OrRaise as _;
use crate::operands::{Shared, borrowed, returned};

/// What a forward run kept: called with a gradient of its result, it gives one for each operand.
#[pyclass(frozen, module = "qeinsum")]
pub(crate) struct Pullback(Box<dyn Pull>);

/// A pullback of some element type.
trait Pull: Send + Sync {
    fn pull(&self, py: Python<'_>, cotangent: &Bound<'_, PyAny>) -> PyResult<Vec<Py<PyAny>>>;
}

impl<T: Shared> Pull for qeinsum::Pullback<'static, T> {
    fn pull(&self, py: Python<'_>, cotangent: &Bound<'_, PyAny>) -> PyResult<Vec<Py<PyAny>>> {
        let cotangent = borrowed::<T>(cotangent)?;
        let view = cotangent.as_array();
        let gradients = py.detach(|| Self::pull(self, view)).or_raise(py)?;
        Ok(gradients.into_iter().map(|gradient| returned(py, gradient)).collect())
    }
}

impl Pullback {
    pub(crate) fn new<T: Shared>(pullback: qeinsum::Pullback<'static, T>) -> Self {
        Self(Box::new(pullback))
    }
}

#[pymethods]
impl Pullback {
    /// The gradients of `sum(cotangent * result)`, one for each operand.
    fn __call__(&self, py: Python<'_>, cotangent: &Bound<'_, PyAny>) -> PyResult<Vec<Py<PyAny>>> {
        self.0.pull(py, cotangent)
    }
}
