//! Operands that were quantized once.

use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use qeinsum::FrozenValues;

use crate::config::public;
use crate::error::OrRaise as _;
use crate::expression::bytes;
use crate::operands::{name, returned};
use crate::plan::Plan;

/// An operand that was quantized once and stands in its place from then on.
#[pyclass(frozen, module = "qeinsum")]
pub(crate) struct Frozen(pub(crate) qeinsum::Frozen);

#[pymethods]
impl Frozen {
    /// Reads a file that `save` or the command line wrote.
    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        // Where there is no such file that is Python's own error.
        std::fs::metadata(&path)?;
        py.detach(|| qeinsum::Frozen::load(path)).map(Self).or_raise(py)
    }

    /// Writes a `.safetensors` file, whole or not at all.
    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        py.detach(|| self.0.save(path)).or_raise(py)
    }

    /// Of the bytes of such a file.
    #[staticmethod]
    fn from_bytes(py: Python<'_>, content: &[u8]) -> PyResult<Self> {
        qeinsum::Frozen::from_bytes(content).map(Self).or_raise(py)
    }

    /// The bytes of such a file.
    fn to_bytes(&self, py: Python<'_>) -> PyResult<Py<PyBytes>> {
        Ok(bytes(py, &self.0.to_bytes().or_raise(py)?))
    }

    /// The equation that it was frozen for.
    #[getter]
    fn equation(&self) -> &str {
        self.0.equation()
    }

    /// Which operand of the equation it stands for.
    #[getter]
    fn operand(&self) -> usize {
        self.0.operand()
    }

    /// The shape of the array that it was made from.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, pyo3::types::PyTuple>> {
        pyo3::types::PyTuple::new(py, self.0.shape())
    }

    /// What NumPy calls the type of the array that it was made from.
    #[getter]
    fn dtype(&self) -> &'static str {
        name(self.0.dtype())
    }

    /// The configuration that it was frozen by.
    #[getter]
    fn config<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        public(py, self.0.config())
    }

    /// The plan that it was frozen for.
    #[getter]
    fn plan(&self) -> Plan {
        Plan::new(self.0.plan().clone(), Some(self.0.config()))
    }

    /// The quantized values: int8, or float32 for more than eight bits.
    #[getter]
    fn values(&self, py: Python<'_>) -> Py<PyAny> {
        match self.0.values() {
            FrozenValues::Int8(values) => numpy::PyArray::from_array(py, values).into_any().unbind(),
            FrozenValues::Float(values) => numpy::PyArray::from_array(py, values).into_any().unbind(),
        }
    }

    /// The inverse scales, in the layout of the call's result.
    #[getter]
    fn inverse_scale(&self, py: Python<'_>) -> Py<PyAny> {
        returned(py, self.0.inverse_scale())
    }

    fn __reduce__(&self, py: Python<'_>) -> PyResult<(Py<PyAny>, (Py<PyBytes>,))> {
        let make = py.get_type::<Self>().getattr("from_bytes")?.unbind();
        Ok((make, (self.to_bytes(py)?,)))
    }

    fn __repr__(&self) -> String {
        let (operand, equation, shape) = (self.0.operand(), self.0.equation(), self.0.shape());
        format!("<qeinsum.Frozen operand {operand} of {equation}, shape {shape:?}>")
    }
}
