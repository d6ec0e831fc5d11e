//! Equations, and equations bound to shapes.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use qeinsum::parse::SublistItem;
use qeinsum::path::Speeds;
use qeinsum::{Compiled, OperandView, QEinsum, QuantizationError};

use crate::config::Config;
use crate::error::OrRaise as _;
use crate::frozen::Frozen;
use crate::interrupt::computed;
use crate::key::Key;
use crate::operands::{self, Borrowed, Given, Shared, borrowed, dtype_of, returned, slices, with_element};
use crate::options::Search;
use crate::plan::{self, Plan};
use crate::pullback::Pullback;

/// A parsed equation with what it is planned and quantized by.
#[pyclass(frozen, module = "qeinsum")]
pub(crate) struct Expression {
    equation: QEinsum,
    search: Search,
}

#[pymethods]
impl Expression {
    #[new]
    #[pyo3(signature = (equation, *, named, config, search))]
    fn new(py: Python<'_>, equation: &str, named: bool, config: Option<&Config>, search: &Search) -> PyResult<Self> {
        let equation = if named { QEinsum::named(equation) } else { QEinsum::new(equation) };
        Ok(Self::with(equation.or_raise(py)?, config, search))
    }

    /// Of operands whose axes are numbered; `None` stands for an ellipsis.
    #[staticmethod]
    #[pyo3(signature = (operands, output, *, config, search))]
    fn interleaved(
        py: Python<'_>,
        operands: Vec<Vec<Option<u32>>>,
        output: Option<Vec<Option<u32>>>,
        config: Option<&Config>,
        search: &Search,
    ) -> PyResult<Self> {
        let items = |list: &Vec<Option<u32>>| -> Vec<SublistItem> {
            list.iter().map(|item| item.map_or(SublistItem::Ellipsis, SublistItem::Label)).collect()
        };
        let lists: Vec<Vec<SublistItem>> = operands.iter().map(items).collect();
        let lists: Vec<&[SublistItem]> = lists.iter().map(Vec::as_slice).collect();
        let output = output.as_ref().map(items);
        let equation = QEinsum::interleaved(&lists, output.as_deref()).or_raise(py)?;
        Ok(Self::with(equation, config, search))
    }

    /// How many operands the equation has.
    #[getter]
    fn operands(&self) -> usize {
        self.equation.ast().operands().len()
    }

    /// The text of the plan without sizes.
    fn symbolic(&self, py: Python<'_>) -> PyResult<String> {
        let equation = self.planned();
        Ok(self.search.run(py, self.operands(), |_| equation.symbolic())?.or_raise(py)?.to_string())
    }

    /// The plan for operands of these shapes.
    fn plan(&self, py: Python<'_>, shapes: Vec<Vec<usize>>, dtype: &str) -> PyResult<Plan> {
        let (equation, sizes) = self.equation.bind(&slices(&shapes)).or_raise(py)?;
        let dtype = plan::dtype_named(dtype)?;
        let Search { options, path, .. } = &self.search;
        let config = self.equation.config();
        let found = self.search.run(py, shapes.len(), |stop| {
            qeinsum::Plan::search(&equation, &sizes, options, path.clone(), dtype, config, stop)
        })?;
        Ok(Plan::new(found.or_raise(py)?, config))
    }

    /// The shapes of operands whose labels have these sizes.
    fn shapes(&self, py: Python<'_>, sizes: std::collections::BTreeMap<String, usize>) -> PyResult<Vec<Vec<usize>>> {
        let (_, sizes) = self.equation.bind_by_sizes(&sizes).or_raise(py)?;
        Ok(sizes.shapes().iter().map(|shape| shape.to_vec()).collect())
    }

    /// The equation bound to a plan of it.
    fn bind(&self, py: Python<'_>, plan: &Plan) -> PyResult<Bound> {
        Ok(Bound(self.equation.compile_plan(plan.plan.clone()).or_raise(py)?))
    }
}

impl Expression {
    fn with(equation: QEinsum, config: Option<&Config>, search: &Search) -> Self {
        let equation = match config {
            Some(config) => equation.with_config(config.0.clone()),
            None => equation,
        };
        Self { equation, search: search.clone() }
    }

    fn planned(&self) -> QEinsum {
        let equation = self.equation.clone().with_search(self.search.options.clone());
        match &self.search.path {
            Some(path) => equation.with_path(path.clone()),
            None => equation,
        }
    }
}

/// An equation bound to the plan of some shapes.
#[pyclass(frozen, module = "qeinsum")]
pub(crate) struct Bound(Compiled);

#[pymethods]
impl Bound {
    /// The plan that runs.
    #[getter]
    fn plan(&self) -> Plan {
        Plan::new(self.0.plan().clone(), self.0.config())
    }

    /// The plan with what the configuration does at each call.
    fn explain(&self) -> String {
        self.0.plan().explain(&self.0.config().cloned().unwrap_or_default())
    }

    /// Runs on arrays of one type and on frozen operands.
    #[pyo3(signature = (operands, key = None, out = None))]
    fn run(
        &self,
        py: Python<'_>,
        operands: Vec<pyo3::Bound<'_, PyAny>>,
        key: Option<&Key>,
        out: Option<&pyo3::Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let given = Given::list(&operands)?;
        let dtype = dtype_of(&given)?;
        with_element!(dtype, run(py, &self.0, given, key, out))
    }

    /// Runs and keeps what gradients need.
    #[pyo3(signature = (operands, key = None))]
    fn vjp(
        &self,
        py: Python<'_>,
        operands: Vec<pyo3::Bound<'_, PyAny>>,
        key: Option<&Key>,
    ) -> PyResult<(Py<PyAny>, Pullback)> {
        let given = Given::list(&operands)?;
        let dtype = dtype_of(&given)?;
        with_element!(dtype, vjp(py, &self.0, given, key))
    }

    /// Bits for each call by these operands: the configuration, the ratio that the result then has, and all of it in words.
    fn choose_bits(
        &self,
        py: Python<'_>,
        operands: Vec<pyo3::Bound<'_, PyAny>>,
        min_sqnr: f64,
    ) -> PyResult<(Config, f64, String)> {
        let given = Given::list(&operands)?;
        let dtype = dtype_of(&given)?;
        with_element!(dtype, choose_bits(py, &self.0, given, min_sqnr))
    }

    /// What quantization costs on these operands, and where the time goes: the errors of each call and of the result, that of
    /// the result with each call left in floats, and the seconds of each call.
    #[pyo3(signature = (operands, key = None))]
    fn measure(&self, py: Python<'_>, operands: Vec<pyo3::Bound<'_, PyAny>>, key: Option<&Key>) -> PyResult<Measures> {
        let given = Given::list(&operands)?;
        let dtype = dtype_of(&given)?;
        with_element!(dtype, measure(py, &self.0, given, key))
    }

    /// Quantizes an operand once.
    #[pyo3(signature = (operand, array, key = None))]
    fn freeze(
        &self,
        py: Python<'_>,
        operand: usize,
        array: &pyo3::Bound<'_, PyAny>,
        key: Option<&Key>,
    ) -> PyResult<Frozen> {
        let dtype = dtype_of(&Given::list(std::slice::from_ref(array))?)?;
        with_element!(dtype, freeze(py, &self.0, operand, array, key))
    }
}

fn run<T: Shared>(
    py: Python<'_>,
    compiled: &Compiled,
    given: Vec<Given<'_>>,
    key: Option<&Key>,
    out: Option<&pyo3::Bound<'_, PyAny>>,
) -> PyResult<Py<PyAny>> {
    let borrowed = Borrowed::<T>::list(given)?;
    let views: Vec<OperandView<'_, T>> = borrowed.iter().map(Borrowed::view).collect();
    let key = key.map(|key| key.0);
    let result = computed(py, compiled, || match key {
        Some(key) => compiled.run_with_key(views, key),
        None => compiled.run(views),
    })?;
    // The result is made: it may go where an operand was.
    drop(borrowed);
    let Some(out) = out else { return Ok(returned(py, result)) };
    let mut into = operands::writable::<T>(out)?;
    if into.as_array().shape() != result.shape() {
        let (found, expected) = (into.as_array().shape().to_vec(), result.shape());
        return Err(PyValueError::new_err(format!("out has shape {found:?}, but the result has {expected:?}")));
    }
    into.as_array_mut().assign(&result);
    Ok(out.clone().unbind())
}

fn vjp<T: Shared>(
    py: Python<'_>,
    compiled: &Compiled,
    given: Vec<Given<'_>>,
    key: Option<&Key>,
) -> PyResult<(Py<PyAny>, Pullback)> {
    let borrowed = Borrowed::<T>::list(given)?;
    let views: Vec<OperandView<'_, T>> = borrowed.iter().map(Borrowed::view).collect();
    let key = key.map(|key| key.0);
    // The arrays are Python's, who may change them before the gradients are asked for.
    let (out, pullback) =
        computed(py, compiled, || compiled.vjp(views, key).map(|(out, pullback)| (out, pullback.into_owned())))?;
    Ok((returned(py, out), Pullback::new(pullback, compiled.clone())))
}

fn choose_bits<T: Shared>(
    py: Python<'_>,
    compiled: &Compiled,
    given: Vec<Given<'_>>,
    min_sqnr: f64,
) -> PyResult<(Config, f64, String)> {
    let borrowed = Borrowed::<T>::list(given)?;
    let views: Vec<OperandView<'_, T>> = borrowed.iter().map(Borrowed::view).collect();
    let chosen = computed(py, compiled, || compiled.plan().choose_bits(&views, min_sqnr, Speeds::shipped()))?;
    let words = chosen.to_string();
    Ok((Config(chosen.config), chosen.error.sqnr_db(), words))
}

/// A ratio in decibels, a largest error, and both in words.
type Measure = (f64, f64, String);

/// By call, of the result, of the result without each call, and the seconds of each call.
type Measures = (Vec<Measure>, Option<Measure>, Vec<Measure>, Vec<f64>);

fn measure<T: Shared>(
    py: Python<'_>,
    compiled: &Compiled,
    given: Vec<Given<'_>>,
    key: Option<&Key>,
) -> PyResult<Measures> {
    let borrowed = Borrowed::<T>::list(given)?;
    let views: Vec<OperandView<'_, T>> = borrowed.iter().map(Borrowed::view).collect();
    let (plan, config, key) = (compiled.plan(), compiled.config(), key.map(|key| key.0));
    let told = |error: &QuantizationError| (error.sqnr_db(), error.largest(), error.to_string());
    computed(py, compiled, || {
        let mut seconds = vec![0.0; plan.calls().count()];
        let result = plan.run_timed(views.clone(), config, key, |call, time| seconds[call] += time.as_secs_f64())?;
        let Some(config) = config else { return Ok((Vec::new(), None, Vec::new(), seconds)) };
        let mut calls = Vec::new();
        plan.run_measured(views.clone(), config, key, |_, error| calls.push(told(&error)))?;
        let error = QuantizationError::between(&plan.run(views.clone())?, &result);
        let without = plan.errors_without_call(&views, config, key)?;
        Ok((calls, Some(told(&error)), without.iter().map(told).collect(), seconds))
    })
}

fn freeze<T: Shared>(
    py: Python<'_>,
    compiled: &Compiled,
    operand: usize,
    array: &pyo3::Bound<'_, PyAny>,
    key: Option<&Key>,
) -> PyResult<Frozen> {
    let array = borrowed::<T>(array)?;
    let (view, key) = (array.as_array(), key.map(|key| key.0));
    Ok(Frozen(computed(py, compiled, || compiled.freeze(operand, view, key))?))
}

/// The bytes of Python's of a vector.
pub(crate) fn bytes(py: Python<'_>, bytes: &[u8]) -> Py<PyBytes> {
    PyBytes::new(py, bytes).unbind()
}
