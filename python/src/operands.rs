//! Operands as NumPy has them: read where they lie, whatever their strides.

use half::{bf16, f16};
use ndarray::ArrayD;
use num_complex::Complex;
use numpy::{
    Element as NumpyElement, PyArrayDescrMethods as _, PyArrayDyn, PyReadonlyArrayDyn, PyReadwriteArrayDyn,
    PyUntypedArray,
};
use numpy::{IntoPyArray as _, PyArrayMethods as _, PyUntypedArrayMethods as _};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use qeinsum::{Dtype, Element, OperandView};

use crate::frozen::Frozen;

/// An operand of a call: an array of NumPy, or one that was quantized before.
pub(crate) enum Given<'py> {
    Array(Bound<'py, PyUntypedArray>),
    Frozen(PyRef<'py, Frozen>),
}

impl<'py> Given<'py> {
    /// Of a list that Python has made sure of.
    pub(crate) fn list(operands: &[Bound<'py, PyAny>]) -> PyResult<Vec<Self>> {
        operands
            .iter()
            .map(|operand| match operand.cast::<Frozen>() {
                Ok(frozen) => Ok(Self::Frozen(frozen.borrow())),
                Err(_) => Ok(Self::Array(operand.cast::<PyUntypedArray>()?.clone())),
            })
            .collect()
    }
}

/// The element type that all arrays have; an exception names two that differ.
pub(crate) fn dtype_of(operands: &[Given<'_>]) -> PyResult<Dtype> {
    let mut known: Option<(usize, Dtype)> = None;
    for (number, operand) in operands.iter().enumerate() {
        let own = match operand {
            Given::Array(array) => dtype(array)?,
            Given::Frozen(frozen) => frozen.0.dtype(),
        };
        match known {
            None => known = Some((number, own)),
            Some((first, dtype)) if dtype != own => {
                return Err(PyTypeError::new_err(format!(
                    "operand {first} is {}, but operand {number} is {}; convert one, or give `dtype=`",
                    name(dtype),
                    name(own)
                )));
            }
            Some(_) => {}
        }
    }
    known.map(|(_, dtype)| dtype).ok_or_else(|| PyTypeError::new_err("an einsum needs an operand"))
}

/// The element type of an array.
pub(crate) fn dtype(array: &Bound<'_, PyUntypedArray>) -> PyResult<Dtype> {
    let py = array.py();
    let descr = array.dtype();
    let is = |other: Bound<'_, numpy::PyArrayDescr>| descr.is_equiv_to(&other);
    let known = [
        (Dtype::F32, numpy::dtype::<f32>(py)),
        (Dtype::F64, numpy::dtype::<f64>(py)),
        (Dtype::F16, numpy::dtype::<f16>(py)),
        (Dtype::C32, numpy::dtype::<Complex<f32>>(py)),
        (Dtype::C64, numpy::dtype::<Complex<f64>>(py)),
    ];
    if let Some((dtype, _)) = known.into_iter().find(|(_, other)| is(other.clone())) {
        return Ok(dtype);
    }
    let named: String = descr.str()?.extract()?;
    // Registered by `ml_dtypes`, which has made this array.
    if named == "bfloat16" {
        return Ok(Dtype::Bf16);
    }
    Err(PyTypeError::new_err(format!(
        "arrays of {named} have no einsum here: convert them to float32, float64, float16, bfloat16, complex64 or \
         complex128"
    )))
}

/// What NumPy calls a type.
pub(crate) fn name(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::F32 => "float32",
        Dtype::F64 => "float64",
        Dtype::F16 => "float16",
        Dtype::Bf16 => "bfloat16",
        Dtype::C32 => "complex64",
        Dtype::C64 => "complex128",
    }
}

/// An element type that both sides know.
pub(crate) trait Shared: Element + NumpyElement {}

impl Shared for f32 {}
impl Shared for f64 {}
impl Shared for f16 {}
impl Shared for bf16 {}
impl Shared for Complex<f32> {}
impl Shared for Complex<f64> {}

/// Calls a generic function with the type that a [`Dtype`] names.
macro_rules! with_element {
    ($dtype:expr, $function:ident $arguments:tt) => {
        match $dtype {
            qeinsum::Dtype::F32 => $function::<f32>$arguments,
            qeinsum::Dtype::F64 => $function::<f64>$arguments,
            qeinsum::Dtype::F16 => $function::<half::f16>$arguments,
            qeinsum::Dtype::Bf16 => $function::<half::bf16>$arguments,
            qeinsum::Dtype::C32 => $function::<num_complex::Complex<f32>>$arguments,
            qeinsum::Dtype::C64 => $function::<num_complex::Complex<f64>>$arguments,
        }
    };
}
pub(crate) use with_element;

/// Operands of one type, borrowed from Python for reading: nobody may write to them through this package meanwhile.
pub(crate) enum Borrowed<'py, T: Shared> {
    Array(PyReadonlyArrayDyn<'py, T>),
    Frozen(PyRef<'py, Frozen>),
}

impl<'py, T: Shared> Borrowed<'py, T> {
    /// Borrows arrays that are of this type.
    pub(crate) fn list(operands: Vec<Given<'py>>) -> PyResult<Vec<Self>> {
        operands
            .into_iter()
            .map(|operand| match operand {
                Given::Array(array) => Ok(Self::Array(array.cast::<PyArrayDyn<T>>()?.try_readonly()?)),
                Given::Frozen(frozen) => Ok(Self::Frozen(frozen)),
            })
            .collect()
    }

    /// What the library takes.
    pub(crate) fn view(&self) -> OperandView<'_, T> {
        match self {
            Self::Array(array) => OperandView::Array(array.as_array()),
            Self::Frozen(frozen) => OperandView::Frozen(&frozen.0),
        }
    }
}

/// An array of Python's as a view, where it has to be of this type.
pub(crate) fn borrowed<'py, T: Shared>(array: &Bound<'py, PyAny>) -> PyResult<PyReadonlyArrayDyn<'py, T>> {
    Ok(array.cast::<PyArrayDyn<T>>()?.try_readonly()?)
}

/// An array of the library's as one of NumPy's, without a copy.
pub(crate) fn returned<T: Shared>(py: Python<'_>, array: ArrayD<T>) -> Py<PyAny> {
    array.into_pyarray(py).into_any().unbind()
}

/// The shapes as the library takes them.
pub(crate) fn slices(shapes: &[Vec<usize>]) -> Vec<&[usize]> {
    shapes.iter().map(Vec::as_slice).collect()
}

/// An array of Python's to write to, where it has to be of this type.
pub(crate) fn writable<'py, T: Shared>(array: &Bound<'py, PyAny>) -> PyResult<PyReadwriteArrayDyn<'py, T>> {
    Ok(array.cast::<PyArrayDyn<T>>()?.try_readwrite()?)
}
