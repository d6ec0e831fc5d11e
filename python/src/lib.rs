//! The compiled half of the Python package `qeinsum`: classes over the library's types.
//!
//! Arrays enter as NumPy's and are read where they lie; the interpreter's lock is given back while anything is searched
//! or computed. What is convenience stands in Python, in `qeinsum/`.

#![allow(clippy::needless_pass_by_value, reason = "what Python hands over is made for the call")]
#![allow(clippy::doc_markdown, reason = "these are texts of Python's")]

mod config;
mod error;
mod expression;
mod frozen;
mod interrupt;
mod key;
mod operands;
mod options;
mod plan;
mod pullback;

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

/// What the package is made of.
#[pymodule(gil_used = true)]
fn _qeinsum(module: &Bound<'_, PyModule>) -> PyResult<()> {
    // Freed arrays are given back to the system otherwise, and paging them in anew takes as long as small products.
    qeinsum::keep_freed_memory();
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("PLANNER_VERSION", qeinsum::PLANNER_VERSION)?;
    module.add_class::<config::Config>()?;
    module.add_class::<expression::Expression>()?;
    module.add_class::<expression::Bound>()?;
    module.add_class::<frozen::Frozen>()?;
    module.add_class::<key::Key>()?;
    module.add_class::<options::Search>()?;
    module.add_class::<plan::Plan>()?;
    module.add_class::<pullback::Pullback>()?;
    module.add_function(wrap_pyfunction!(plan::contraction_path, module)?)?;
    module.add_function(wrap_pyfunction!(set_threads, module)?)?;
    error::add(module)
}

/// Computes on so many threads from now on; only before anything was computed. No bit of a result depends on it.
#[pyfunction]
fn set_threads(threads: usize) -> PyResult<()> {
    if threads == 0 {
        return Err(PyValueError::new_err("at least one thread computes"));
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    pool.build_global().map_err(|error| PyRuntimeError::new_err(format!("{threads} threads cannot run: {error}")))
}
