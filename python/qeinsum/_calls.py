"""The functions that `numpy` and `opt_einsum` have: `einsum`, `contract_path`, `contract_expression`, and `plan`."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from . import _arrays, _config
from ._info import PathInfo
from ._layer import QEinsum, key_of
from ._notebook import bundle
from ._qeinsum import Frozen, Plan
from ._search import SETTINGS, Options, without_theirs

# Equations that are kept parsed, with their plans.
_KEPT = 256
_known: OrderedDict[Any, QEinsum] = OrderedDict()
_lock = threading.Lock()


def einsum(
    *operands: Any,
    out: Any = None,
    dtype: Any = None,
    optimize: Any = "auto",
    config: Any = None,
    bits: int | None = None,
    key: Any = None,
    named: bool = False,
    **search: Any,
) -> npt.NDArray[Any]:
    """The einsum of arrays, as `numpy.einsum`, for any number of operands in the best order, quantized where asked for.

    >>> import numpy as np
    >>> a = np.arange(6, dtype=np.float32).reshape(2, 3)
    >>> einsum("ij->i", a)
    array([ 3., 12.], dtype=float32)
    >>> einsum(a, [0, 1], a, [2, 1], [0, 2])
    array([[ 5., 14.],
           [14., 50.]], dtype=float32)
    >>> einsum("row col, other col -> row other", a, a, named=True, bits=8).round(1)
    array([[ 5. , 13.9],
           [13.9, 49.7]], dtype=float32)

    Operands are arrays of one type (float32, float64, float16, bfloat16, complex64, complex128), read where they lie; arrays
    of other libraries are taken through DLPack; `qeinsum.Frozen` operands may stand in their places. `optimize` and search
    settings are those of `QEinsum`; `config` or `bits` quantizes; `key` (a `Key`, a seed, a key of JAX's) is where noise
    comes from. Equations and plans are kept, so that a call in a loop plans once. What else NumPy and `opt_einsum` take
    (`casting`, `order`, `backend`, `use_blas`) is taken where it asks for what is done anyway.
    """
    layer, arrays = _layer(operands, optimize, config, bits, named, search, dtype)
    return layer(*arrays, key=key, out=out, dtype=dtype)


def contract_path(
    *operands: Any,
    shapes: bool = False,
    optimize: Any = "auto",
    config: Any = None,
    bits: int | None = None,
    named: bool = False,
    dtype: Any = None,
    **search: Any,
) -> tuple[list[tuple[int, ...]], PathInfo]:
    """The order of contraction, as `opt_einsum.contract_path`: a path and what is known of it.

    >>> path, info = contract_path("ab,bc,cd->ad", (2, 30), (30, 4), (4, 50), shapes=True)
    >>> path, info.opt_cost, info.optimal
    ([(0, 1), (0, 1)], 640, True)

    With `shapes=True` shapes stand in the places of operands. `print(info)` shows the plan.
    """
    layer, arrays = _layer(operands, optimize, config, bits, named, search, dtype)
    # A list of numbers is an array here, or a shape where it is said to be one.
    given = [tuple(each) if shapes else each if hasattr(each, "dtype") else _arrays.array(each) for each in arrays]
    plan = layer.plan(*given, dtype=dtype)
    return plan.path, PathInfo(plan)


def contract_expression(
    equation: Any,
    *shapes: Any,
    constants: Iterable[int] | None = (),
    optimize: Any = "auto",
    config: Any = None,
    bits: int | None = None,
    key: Any = None,
    named: bool = False,
    dtype: Any = None,
    **search: Any,
) -> ContractExpression:
    """Plans once for operands of these shapes, to be called often.

    >>> import numpy as np
    >>> expression = contract_expression("ij,jk->ik", (2, 3), np.eye(3, dtype=np.float32), constants=[1])
    >>> expression(np.ones((2, 3), np.float32))
    array([[1., 1., 1.],
           [1., 1., 1.]], dtype=float32)

    Operands named in `constants` are given here, as arrays, and not when it is called; where calls are quantized, they are
    quantized once, by `key` if that takes noise.
    """
    equation, given = _split((equation, *shapes))
    search = without_theirs(search, dtype)
    layer = QEinsum(equation, _config.of(config, bits), named=named, optimize=optimize, **search)
    held: dict[int, Any] = {}
    for place in constants or ():
        if not 0 <= place < len(given):
            raise ValueError(f"constants names operand {place}, but there are {len(given)}, counted from 0")
        if isinstance(given[place], tuple):
            raise TypeError(f"operand {place} is a constant: give its array, not its shape")
        held[place] = _arrays.array(given[place], dtype)
    known = [_arrays.described(held.get(place, shape)) for place, shape in enumerate(given)]
    all_shapes = [_arrays.shape(operand) for operand in known]
    plan = layer.plan(*known, dtype=dtype)
    if layer.config is not None:
        for place, array in held.items():
            if isinstance(array, Frozen):
                continue
            held[place] = layer.freeze(place, array, *all_shapes, key=key)
    return ContractExpression(layer, plan, held)


class ContractExpression:
    """An einsum bound to shapes, with some of its operands."""

    __slots__ = ("plan", "_layer", "_held", "_shapes")

    def __init__(self, layer: QEinsum, plan: Plan, held: dict[int, Any]) -> None:
        self._layer, self.plan, self._held = layer, plan, held
        self._shapes: list[tuple[int, ...]] = plan.shapes

    def __call__(self, *operands: Any, key: Any = None, out: Any = None, backend: Any = "auto") -> npt.NDArray[Any]:
        """The result for the operands that are no constants, in order."""
        if backend != "auto":
            without_theirs({"backend": backend})
        shapes, held = self._shapes, self._held
        if len(operands) + len(held) != len(shapes):
            raise TypeError(f"the expression takes {len(shapes) - len(held)} operands, but {len(operands)} were given")
        full = _arrays.arrays(operands)
        if held:
            rest = iter(full)
            full = [held[place] if place in held else next(rest) for place in range(len(shapes))]
        for place, shape in enumerate(shapes):
            found = full[place].shape
            if found != shape:
                raise ValueError(f"operand {place} has shape {found}, but the plan is bound to {shape}")
        return self._layer(*full, key=key, out=out)

    def __str__(self) -> str:
        return str(self.plan)

    def __repr__(self) -> str:
        return f"<ContractExpression {self.plan.equation}: {self.plan.order}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return bundle(self.plan, include, exclude)


def plan(
    equation: Any,
    *operands: Any,
    optimize: Any = "auto",
    config: Any = None,
    bits: int | None = None,
    named: bool = False,
    dtype: Any = None,
    search: dict[str, Any] | None = None,
    **sizes: Any,
) -> Plan:
    """The plan of an equation for operands, for shapes, or for labels of these sizes; `print` shows it as the command line does.

    >>> print(plan("ij,jk->ki", (2, 3), (3, 4)))
    einsum ij,jk->ki
    sizes i=2 j=3 k=4
    path (0,1)
    %0: [i,j]
    %1: [j,k]
    %2: [k,i] = dot_general %1, %0 contract [0]x[1] swapped
    return %2
    ; 1 call, 1 swapped, 24 mul
    <BLANKLINE>
    >>> plan("ij,jk->ki", i=2, j=3, k=4).multiplications
    24

    Further search settings are keyword arguments, such as `memory_limit=2**30`, or, where labels are words that may be called
    so, stand in `search={"memory_limit": 2**30}`. A plan keeps its configuration, for what it is explained, drawn and exported
    with; `dtype` is that of the operands, or float32.
    """
    equation, given = _split((equation, *operands))
    # Where labels are letters, no word is one.
    words = [name for name in sizes if (name in SETTINGS and search is None if named else len(name) > 1)]
    search = {**(search or {}), **{name: sizes.pop(name) for name in words}}
    layer = QEinsum(equation, _config.of(config, bits), named=named, optimize=optimize, **search)
    return layer.plan(*given, dtype=dtype, **sizes)


def _layer(
    operands: tuple[Any, ...],
    optimize: Any,
    config: Any,
    bits: int | None,
    named: bool,
    search: dict[str, Any],
    dtype: Any,
) -> tuple[QEinsum, Sequence[Any]]:
    """The equation, kept if it is known, and its operands."""
    equation, arrays = _split(operands)
    if search:
        search = without_theirs(search, dtype)
    quick = (equation, named, bits, optimize if isinstance(optimize, str) else None)
    if config is None and isinstance(optimize, str) and not search:
        # The usual call: what it is kept by is at hand.
        found = _known.get(quick)
        if found is None:
            found = _kept(quick, equation, None, bits, named, optimize, search)
        return found, arrays
    made = _config.of(config, bits)
    if any(name not in SETTINGS for name in search):
        return QEinsum(equation, made, named=named, optimize=optimize, **search), arrays  # says which
    tag = Options(optimize, **search).key()
    if tag is None:
        return QEinsum(equation, made, named=named, optimize=optimize, **search), arrays
    full = (equation, named, made, tag)
    found = _known.get(full)
    return found or _kept(full, equation, made, None, named, optimize, search), arrays


def _split(operands: tuple[Any, ...]) -> tuple[Any, Sequence[Any]]:
    """The equation, or the lists of labels that stand between operands, and the operands."""
    if not operands:
        raise TypeError("an einsum needs an equation and its operands")
    if isinstance(operands[0], str):
        return operands[0], operands[1:]
    lists = [_list(labels) for labels in operands[1::2]]
    count = len(operands) // 2
    output = _list(operands[-1]) if len(operands) % 2 else None
    named = {item for labels in (*lists, output or ()) for item in labels if item is not Ellipsis}
    if not all(isinstance(item, (int, np.integer)) for item in named):
        # As opt_einsum has it, labels of any kind that has an order.
        numbers = {item: number for number, item in enumerate(sorted(named))}
        lists = [_numbered(labels, numbers) for labels in lists]
        output = None if output is None else _numbered(output, numbers)
    return (tuple(map(_labels, lists)), None if output is None else _labels(output)), operands[: 2 * count : 2]


def _list(labels: Any) -> list[Any]:
    if isinstance(labels, (str, np.ndarray)) and getattr(labels, "ndim", 0) != 1 or not hasattr(labels, "__iter__"):
        raise TypeError("operands are followed by lists of their labels, or stand after an equation")
    return list(labels)


def _numbered(labels: list[Any], numbers: dict[Any, int]) -> list[Any]:
    return [item if item is Ellipsis else numbers[item] for item in labels]


def _labels(labels: list[Any]) -> tuple[int | None, ...]:
    """A sublist: numbers that stand for labels, and `...`."""
    items = tuple(None if item is Ellipsis else int(item) for item in labels)
    if any(item is not None and not 0 <= item < 2**32 for item in items):
        raise ValueError("labels are numbers from 0 to 2**32 - 1, or `...`")
    return items


def _kept(
    tag: Any, equation: Any, config: Any, bits: int | None, named: bool, optimize: Any, search: dict[str, Any]
) -> QEinsum:
    layer = QEinsum(equation, config, bits=bits, named=named, optimize=optimize, **search)
    with _lock:
        _known[tag] = layer
        if len(_known) > _KEPT:
            _known.popitem(last=False)
    return layer


__all__ = ["ContractExpression", "PathInfo", "contract_expression", "contract_path", "einsum", "key_of", "plan"]
