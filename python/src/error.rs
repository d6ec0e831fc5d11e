//! The exceptions: one for each kind of error, all of them `qeinsum.Error`, which is a `ValueError`.

use pyo3::exceptions::{PyMemoryError, PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::{create_exception, intern};
use qeinsum::ErrorKind;

create_exception!(qeinsum, Error, PyValueError, "What was asked is wrong; the message shows the place.");
create_exception!(qeinsum, EquationError, Error, "The equation does not follow the grammar.");
create_exception!(qeinsum, ShapeError, Error, "Operands do not fit the equation: their number, rank or sizes.");
create_exception!(qeinsum, PathError, Error, "A contraction path does not fit the equation.");
create_exception!(qeinsum, PlanError, Error, "A loaded plan is wrong, or slices are asked for that cannot be.");
create_exception!(qeinsum, ConfigError, Error, "A configuration contradicts itself or does not fit the operands.");
create_exception!(qeinsum, FrozenError, Error, "A frozen operand does not fit where it was passed.");
create_exception!(qeinsum, LimitError, Error, "More memory or work than was allowed.");

/// Adds the exceptions.
pub(crate) fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("Error", py.get_type::<Error>())?;
    module.add("EquationError", py.get_type::<EquationError>())?;
    module.add("ShapeError", py.get_type::<ShapeError>())?;
    module.add("PathError", py.get_type::<PathError>())?;
    module.add("PlanError", py.get_type::<PlanError>())?;
    module.add("ConfigError", py.get_type::<ConfigError>())?;
    module.add("FrozenError", py.get_type::<FrozenError>())?;
    module.add("LimitError", py.get_type::<LimitError>())
}

/// An error of the library as an exception: its text with carets, its `kind`, its message alone, and its `spans`.
pub(crate) fn raised(py: Python<'_>, error: &qeinsum::Error) -> PyErr {
    let text = error.to_string();
    let (kind, exception) = match error.kind() {
        ErrorKind::Syntax => ("syntax", EquationError::new_err(text)),
        ErrorKind::Shape => ("shape", ShapeError::new_err(text)),
        ErrorKind::Path => ("path", PathError::new_err(text)),
        ErrorKind::Plan => ("plan", PlanError::new_err(text)),
        ErrorKind::Slice => ("slice", PlanError::new_err(text)),
        ErrorKind::Config => ("config", ConfigError::new_err(text)),
        ErrorKind::Freeze => ("freeze", FrozenError::new_err(text)),
        ErrorKind::Export => ("export", Error::new_err(text)),
        ErrorKind::Limit => ("limit", LimitError::new_err(text)),
        ErrorKind::Memory => return PyMemoryError::new_err(text),
        ErrorKind::Machine => return PyOSError::new_err(text),
        _ => ("value", Error::new_err(text)),
    };
    let value = exception.value(py);
    let spans: Vec<(usize, usize)> = error.spans().iter().map(|span| (span.start, span.end)).collect();
    // Attributes of a fresh exception can be set; where not, its text says it all.
    let _ = value.setattr(intern!(py, "kind"), kind);
    let _ = value.setattr(intern!(py, "message"), error.message());
    let _ = value.setattr(intern!(py, "spans"), spans);
    exception
}

/// Results of the library as those of Python.
pub(crate) trait OrRaise<T> {
    /// The value, or the exception.
    fn or_raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> OrRaise<T> for qeinsum::Result<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| raised(py, &error))
    }
}
