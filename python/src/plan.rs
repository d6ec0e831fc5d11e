//! Plans, to be read, kept and compared.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyInt, PyType};
use qeinsum::picture::Picture;
use qeinsum::{Dtype, Equation, Sizes, Syntax};

use crate::config::{Config, given, public};
use crate::error::OrRaise as _;
use crate::options::Search;

/// The most operands of a picture in a notebook: beyond, nobody makes anything out, and each notebook that shows it keeps all of it.
const SHOWN: usize = 200;

/// A lowered plan: the order of contraction and the array operations that it becomes. `str()` is its text.
///
/// It keeps the configuration that it was made for, which its explanation, pictures and exports then have.
#[pyclass(frozen, eq, module = "qeinsum")]
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) plan: qeinsum::Plan,
    config: Option<Config>,
}

/// Plans are equal that do the same to labels; how their calls are quantized is no part of them.
impl PartialEq for Plan {
    fn eq(&self, other: &Self) -> bool {
        self.plan == other.plan
    }
}

#[pymethods]
impl Plan {
    /// Loads and verifies a plan that `to_json` or the command line wrote, to be explained, drawn and exported with a
    /// configuration.
    #[staticmethod]
    #[pyo3(signature = (text, config = None))]
    fn from_json(py: Python<'_>, text: &str, config: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let config = given(config)?.map(|config| config.clone());
        qeinsum::Plan::from_json(text).map(|plan| Self { plan, config }).or_raise(py)
    }

    /// The plan as JSON, as `qeinsum plan --format json` prints it.
    fn to_json(&self) -> String {
        self.plan.to_json()
    }

    /// The contraction tree in Graphviz's language.
    fn to_dot(&self) -> String {
        self.plan.to_dot()
    }

    /// The text with what a configuration does at each call, why the plan is as it is, and where time goes.
    #[pyo3(signature = (config = None, *, search = None))]
    fn explain(&self, py: Python<'_>, config: Option<&Bound<'_, PyAny>>, search: Option<&Search>) -> PyResult<String> {
        let config = given(config)?;
        let own = config.as_deref().or(self.config.as_ref()).map(|config| &config.0);
        let options = search.map(|search| search.options.clone()).unwrap_or_default();
        let text = self.plan.explain(&own.cloned().unwrap_or_default());
        Ok(text + &py.detach(|| self.plan.explain_search(own, &options)).or_raise(py)?)
    }

    /// The order on one line, to be compared in tests.
    #[getter]
    fn order(&self) -> String {
        self.plan.order()
    }

    /// The path as `opt_einsum` has it: positions in the shrinking list of operands, results appended.
    #[getter]
    fn path(&self, py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
        tuples(py, self.plan.path().to_lists())
    }

    /// The path by ids that are never used again, as cotengra's `ssa_path`.
    #[getter]
    fn ssa_path(&self, py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
        tuples(py, self.plan.path().to_ssa_lists())
    }

    /// The equation, with an explicit output and no ellipsis.
    #[getter]
    fn equation(&self) -> String {
        self.plan.equation().to_string()
    }

    /// The size of every label.
    #[getter]
    fn sizes(&self) -> BTreeMap<String, usize> {
        let (equation, sizes) = (self.plan.equation(), self.plan.sizes());
        equation.labels().map(|label| (equation.name(label).to_owned(), sizes.extent(label))).collect()
    }

    /// The labels of each operand and of the output, and the size of each label in the order in which they first occur.
    #[getter]
    #[expect(clippy::type_complexity, reason = "a tuple of Python's")]
    fn terms<'py>(&self, py: Python<'py>) -> PyResult<(Vec<Vec<String>>, Vec<String>, Bound<'py, PyDict>)> {
        let equation = self.plan.equation();
        let names = |term: &qeinsum::Subscript| -> Vec<String> {
            term.iter().map(|&label| equation.name(label).to_owned()).collect()
        };
        let sizes = PyDict::new(py);
        for label in equation.labels() {
            sizes.set_item(equation.name(label), self.plan.sizes().extent(label))?;
        }
        Ok((equation.operands().iter().map(names).collect(), names(equation.output()), sizes))
    }

    /// The shapes of the operands that the plan is bound to.
    #[getter]
    fn shapes(&self, py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
        tuples(py, self.plan.sizes().shapes().iter().map(|shape| shape.to_vec()).collect())
    }

    /// Scalar multiplications of all calls, exactly.
    #[getter]
    fn multiplications<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        integer(py, &self.plan.multiplications().to_string())
    }

    /// Elements of the largest intermediate result, exactly.
    #[getter]
    fn largest_intermediate<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        integer(py, &self.plan.cost().largest.to_string())
    }

    /// The iterations of one loop over all labels.
    #[getter]
    fn naive_cost<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let all = py.get_type::<PyInt>().call1((1,))?;
        self.sizes().into_values().try_fold(all, |all, size| all.mul(size))
    }

    /// The most bytes that are there at a time, operands and output included; none beyond 64 bits.
    #[getter]
    fn peak_bytes(&self) -> Option<u64> {
        self.plan.peak_bytes()
    }

    /// Whether the order is proved to be the best of all, for what it was searched by.
    #[getter]
    fn optimal(&self) -> bool {
        self.plan.certificate().is_optimal()
    }

    /// How good the order is known to be, in words.
    #[getter]
    fn certificate(&self) -> String {
        self.plan.certificate().to_string()
    }

    /// The labels that the plan runs over one index at a time, and their sizes.
    #[getter]
    fn slices(&self) -> Vec<(String, usize)> {
        let equation = self.plan.equation();
        self.plan.slices().iter().map(|slice| (equation.name(slice.label).to_owned(), slice.size)).collect()
    }

    fn __str__(&self) -> String {
        self.plan.to_string()
    }

    /// The contraction tree as a picture: SVG in one file, light or dark as its reader is.
    #[pyo3(signature = (config = None))]
    fn to_svg(&self, config: Option<&Bound<'_, PyAny>>) -> PyResult<String> {
        Ok(self.picture(given(config)?.as_deref().or(self.config.as_ref())).to_svg())
    }

    /// A page of its own that shows what each step is about, for a browser.
    #[pyo3(signature = (config = None))]
    fn to_html(&self, config: Option<&Bound<'_, PyAny>>) -> PyResult<String> {
        Ok(self.picture(given(config)?.as_deref().or(self.config.as_ref())).to_html())
    }

    /// The plan as a StableHLO module, with the quantization of a configuration.
    #[pyo3(signature = (config = None))]
    fn to_stablehlo(&self, py: Python<'_>, config: Option<&Bound<'_, PyAny>>) -> PyResult<String> {
        let config = given(config)?;
        let config = config.as_deref().or(self.config.as_ref());
        self.plan.to_stablehlo(config.map(|config| &config.0)).or_raise(py)
    }

    /// The plan as an ONNX model, with the quantization of a configuration.
    #[pyo3(signature = (config = None))]
    fn to_onnx(&self, py: Python<'_>, config: Option<&Bound<'_, PyAny>>) -> PyResult<Py<PyBytes>> {
        let config = given(config)?;
        let config = config.as_deref().or(self.config.as_ref());
        let model = self.plan.to_onnx(config.map(|config| &config.0)).or_raise(py)?;
        Ok(PyBytes::new(py, &model).unbind())
    }

    /// What a notebook shows: the picture, where it is not too large for one.
    fn _repr_svg_(&self) -> Option<String> {
        (self.plan.path().operands() <= SHOWN).then(|| self.picture(self.config.as_ref()).to_svg())
    }

    fn __repr__(&self) -> String {
        format!("<qeinsum.Plan {}: {}, {} mul>", self.plan.equation(), self.plan.order(), self.plan.multiplications())
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.plan.hash(&mut hasher);
        hasher.finish()
    }

    #[expect(clippy::type_complexity, reason = "a tuple of Python's")]
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Py<PyAny>, (String, Option<Bound<'py, PyAny>>))> {
        let config = self.config.as_ref().map(|config| public(py, &config.0)).transpose()?;
        Ok((PyType::new::<Self>(py).getattr("from_json")?.unbind(), (self.to_json(), config)))
    }
}

impl Plan {
    pub(crate) fn new(plan: qeinsum::Plan, config: Option<&qeinsum::QuantConfig>) -> Self {
        Self { plan, config: config.cloned().map(Config) }
    }

    fn picture<'p>(&'p self, config: Option<&'p Config>) -> Picture<'p> {
        let picture = self.plan.picture();
        match config {
            Some(config) => picture.quantized(&config.0),
            None => picture,
        }
    }
}

/// The plan of a network by names of labels, for programs that bring their own.
#[pyfunction]
pub(crate) fn contraction_path(
    py: Python<'_>,
    inputs: Vec<Vec<String>>,
    output: Vec<String>,
    shapes: Vec<Vec<usize>>,
    search: &Search,
) -> PyResult<Plan> {
    let equation = Equation::new(Syntax::Named, &inputs, &output).or_raise(py)?;
    let sizes = Sizes::new(&equation, &shapes).or_raise(py)?;
    let found = search.run(py, inputs.len(), |stop| {
        let path = search.path.clone();
        qeinsum::Plan::search(&equation, &sizes, &search.options, path, Dtype::F32, None, stop)
    })?;
    Ok(Plan::new(found.or_raise(py)?, None))
}

/// An element type by NumPy's name for it.
pub(crate) fn dtype_named(text: &str) -> PyResult<Dtype> {
    let all = [Dtype::F32, Dtype::F64, Dtype::F16, Dtype::Bf16, Dtype::C32, Dtype::C64];
    let known = all.into_iter().find(|&dtype| crate::operands::name(dtype) == text);
    known.ok_or_else(|| PyValueError::new_err(format!("no arrays of {text} are planned for")))
}

fn tuples(py: Python<'_>, lists: Vec<Vec<usize>>) -> PyResult<Vec<Py<PyAny>>> {
    lists.into_iter().map(|list| Ok(pyo3::types::PyTuple::new(py, list)?.into_any().unbind())).collect()
}

/// An integer of any length.
fn integer<'py>(py: Python<'py>, digits: &str) -> PyResult<Bound<'py, PyAny>> {
    py.get_type::<PyInt>().call1((digits,))
}
