//! How a path is searched.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use qeinsum::path::{Objective, Optimizer, Path, SearchOptions, Speeds};

use crate::error::OrRaise as _;
use crate::interrupt::interruptible;

/// Searches of more operands may take long enough for somebody to interrupt them.
const QUICK: usize = 12;

/// How a path is looked for, or the path: what the keyword arguments of the Python functions come to.
#[pyclass(frozen, module = "qeinsum")]
#[derive(Clone)]
pub(crate) struct Search {
    pub(crate) options: SearchOptions,
    pub(crate) path: Option<Path>,
    budgeted: bool,
}

#[pymethods]
impl Search {
    #[new]
    #[pyo3(signature = (
        *,
        optimizer = "auto",
        minimize = "mul",
        effort = 1,
        seed = 0,
        time_budget = None,
        memory_limit = None,
        speeds = None,
        path = None,
    ))]
    #[expect(clippy::too_many_arguments, reason = "they are the keyword arguments of Python's")]
    fn new(
        py: Python<'_>,
        optimizer: &str,
        minimize: &str,
        effort: u32,
        seed: u64,
        time_budget: Option<f64>,
        memory_limit: Option<u64>,
        speeds: Option<&str>,
        path: Option<Vec<Vec<usize>>>,
    ) -> PyResult<Self> {
        let optimizer: Optimizer = optimizer.parse().or_raise(py)?;
        let objective: Objective = minimize.parse().or_raise(py)?;
        if effort == 0 {
            return Err(PyValueError::new_err("effort is how many times the usual work a search may do: at least 1"));
        }
        let mut options = SearchOptions::new().optimizer(optimizer).objective(objective).effort(effort).seed(seed);
        if let Some(seconds) = time_budget {
            let budget = Duration::try_from_secs_f64(seconds).ok().filter(|budget| !budget.is_zero());
            options = options.time_budget(
                budget.ok_or_else(|| PyValueError::new_err("time_budget is a positive number of seconds"))?,
            );
        }
        if let Some(bytes) = memory_limit {
            options = options.memory_limit(bytes);
        }
        if let Some(text) = speeds {
            options = options.speeds(Arc::new(Speeds::from_json(text).or_raise(py)?));
        }
        let path = path.map(|steps| Path::from_lists(&steps)).transpose().or_raise(py)?;
        Ok(Self { options, path, budgeted: time_budget.is_some() })
    }
}

impl Search {
    /// Searches with the interpreter's lock given back; a search that may be long ends when the user interrupts it.
    pub(crate) fn run<R: Send>(
        &self,
        py: Python<'_>,
        operands: usize,
        search: impl FnOnce(&AtomicBool) -> R + Send,
    ) -> PyResult<R> {
        let stop = AtomicBool::new(false);
        if operands <= QUICK && !self.budgeted {
            return Ok(py.detach(|| search(&stop)));
        }
        interruptible(py, || search(&stop), || stop.store(true, Ordering::Relaxed))
    }
}
