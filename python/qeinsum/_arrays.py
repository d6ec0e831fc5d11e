"""Operands: whatever holds numbers, as NumPy's arrays."""

from __future__ import annotations

from typing import Any, Sequence

import numpy as np

from ._qeinsum import Frozen

# By name, for the type of bfloat16 exists only where a package has registered it.
KNOWN = ("float32", "float64", "float16", "bfloat16", "complex64", "complex128")


def array(operand: Any, dtype: Any = None) -> Any:
    """An operand as an array that can be read where it lies; a frozen one as it is."""
    if type(operand) is np.ndarray:
        result = operand
    elif isinstance(operand, Frozen):
        return operand
    elif isinstance(operand, np.ndarray) or np.isscalar(operand) or isinstance(operand, (list, tuple)):
        result = np.asarray(operand)
    elif hasattr(operand, "__array__"):
        result = np.asarray(operand)
    elif hasattr(operand, "__dlpack__"):
        try:
            result = np.from_dlpack(operand)
        except (RuntimeError, BufferError) as error:
            raise TypeError(f"an operand cannot be read through DLPack, which NumPy says so of: {error}") from error
    else:
        raise TypeError(f"an operand is an array, not {type(operand).__name__}")
    if dtype is not None:
        return np.asarray(result, dtype=dtype)
    if not result.flags.aligned or not result.dtype.isnative:
        # What the machine cannot read as it lies is copied.
        return result.astype(result.dtype.newbyteorder("="), copy=True)
    return result


def arrays(operands: Sequence[Any], dtype: Any = None) -> list[Any]:
    """All operands."""
    return [array(operand, dtype) for operand in operands]


def described(operand: Any) -> Any:
    """What has a shape and a type: an operand that says none of itself is read, once; a shape stays as it is."""
    if hasattr(operand, "dtype"):
        return operand
    listed = isinstance(operand, list) and not all(isinstance(size, (int, np.integer)) for size in operand)
    if listed or isinstance(operand, (float, complex)) or hasattr(operand, "__array__") or hasattr(operand, "__dlpack__"):
        return array(operand)
    return operand


def shape(operand: Any) -> tuple[int, ...]:
    """The shape of an operand, or the shape that stands in its place."""
    if type(operand) is np.ndarray:
        own: tuple[int, ...] = operand.shape
        return own
    if isinstance(operand, tuple) and any(size is None or isinstance(size, float) for size in operand):
        raise TypeError(f"a shape is made of whole numbers, but this is {operand}")
    if isinstance(operand, (tuple, list)) and all(isinstance(size, (int, np.integer)) for size in operand):
        if any(size < 0 for size in operand):
            raise ValueError(f"a shape has no negative sizes, but this is {tuple(operand)}")
        return tuple(int(size) for size in operand)
    said = getattr(described(operand), "shape", None)
    return tuple(int(size) for size in (np.shape(operand) if said is None else said))


def dtype_of(operands: Sequence[Any]) -> str:
    """The type of the first operand that is an array of one that there are plans for, by name; else float32."""
    for operand in operands:
        dtype = getattr(operand, "dtype", None)
        if dtype is None:
            continue
        name = dtype if isinstance(dtype, str) else getattr(dtype, "name", None) or str(dtype).rpartition(".")[2]
        if name in KNOWN:
            return str(name)
    return "float32"


def dtype_name(dtype: Any) -> str:
    """What the library calls a type."""
    name = dtype if isinstance(dtype, str) else np.dtype(dtype).name
    short = {"f32": "float32", "f64": "float64", "f16": "float16", "bf16": "bfloat16", "c32": "complex64", "c64": "complex128"}
    name = short.get(name, name)
    if name not in KNOWN:
        name = np.dtype(name).name
    return name
