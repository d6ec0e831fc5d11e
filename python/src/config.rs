//! Configurations, made and kept as the JSON of the library's schema.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use qeinsum::QuantConfig;

use crate::error::OrRaise as _;

/// How an equation is quantized. Made by `Config.v4(...)` and its like, or read from TOML or JSON.
#[pyclass(frozen, eq, module = "qeinsum", subclass)]
#[derive(Clone, PartialEq)]
pub(crate) struct Config(pub(crate) QuantConfig);

#[pymethods]
impl Config {
    /// The configuration of a JSON text in the schema of the command line's `--config`.
    #[staticmethod]
    fn from_json(py: Python<'_>, text: &str) -> PyResult<Self> {
        QuantConfig::from_json(text).map(Self).or_raise(py)
    }

    /// The configuration of a TOML text in the schema of the command line's `--config`.
    #[staticmethod]
    fn from_toml(py: Python<'_>, text: &str) -> PyResult<Self> {
        QuantConfig::from_toml(text).map(Self).or_raise(py)
    }

    /// The JSON that `from_json` reads.
    fn to_json(&self, py: Python<'_>) -> PyResult<String> {
        self.0.to_json().or_raise(py)
    }

    /// The TOML that `from_toml` and the command line read.
    fn to_toml(&self, py: Python<'_>) -> PyResult<String> {
        self.0.to_toml().or_raise(py)
    }

    fn __reduce__(&self, py: Python<'_>) -> PyResult<(Py<PyAny>, (String,))> {
        let make = py.get_type::<Self>().getattr("from_json")?.unbind();
        Ok((make, (self.to_json(py)?,)))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let text = self.to_json(py)?;
        let words: Vec<&str> = text.split_whitespace().collect();
        Ok(format!("Config.from_json('{}')", words.join(" ")))
    }
}

/// A configuration as the package's own class.
pub(crate) fn public<'py>(py: Python<'py>, config: &QuantConfig) -> PyResult<Bound<'py, PyAny>> {
    let text = config.to_json().or_raise(py)?;
    py.import("qeinsum")?.getattr("Config")?.call_method1("from_json", (text,))
}

/// The configuration in one of Python's, or in ours.
pub(crate) fn given<'py>(config: Option<&Bound<'py, PyAny>>) -> PyResult<Option<PyRef<'py, Config>>> {
    let Some(config) = config.filter(|config| !config.is_none()) else { return Ok(None) };
    if let Ok(own) = config.cast::<Config>() {
        return Ok(Some(own.borrow()));
    }
    let native = config.getattr("_native").map_err(|_| PyTypeError::new_err("config is a qeinsum.Config"))?;
    Ok(Some(native.cast::<Config>()?.borrow()))
}
