"""`QEinsum`: parsed once, planned for each set of shapes, run as often as wanted."""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextlib import contextmanager
from typing import Any, Callable, Iterator, Mapping, NamedTuple, Sequence

import numpy as np
import numpy.typing as npt

from . import _arrays, _config
from ._config import Config
from ._errors import reworded
from ._qeinsum import Bound, ConfigError, Error, Expression, Frozen, Key, Plan
from ._search import Options, check_settings, path_of
from ._symbols import Spelling

# Plans that are kept of an equation.
_KEPT = 64


class QuantizationError(NamedTuple):
    """How far a quantized result is from the unquantized one."""

    sqnr_db: float
    """The ratio of signal and noise, in decibels."""
    max_error: float
    """The largest difference."""
    text: str
    """Both in words."""


class Analysis(NamedTuple):
    """What a run costs, in precision and in time."""

    explanation: str
    """The plan with what is done at each call."""
    calls: tuple[QuantizationError, ...]
    """The error of each call by itself; none where nothing is quantized."""
    result: QuantizationError | None
    """That of the result."""
    without_call: tuple[QuantizationError, ...]
    """That of the result, were a call left in floats; by call."""
    seconds: tuple[float, ...]
    """How long each call took."""

    def __str__(self) -> str:
        text = self.explanation
        for number, seconds in enumerate(self.seconds):
            text += f"call {number}: measured {1e3 * seconds:.3f} ms"
            if self.result is None:
                text += "\n"
                continue
            gain = self.without_call[number].sqnr_db - self.result.sqnr_db
            text += f", {self.calls[number].text}\n"
            text += f"  in floats: the result would have sqnr {self.without_call[number].sqnr_db:.2f} dB, {gain:+.2f}\n"
        return text + ("" if self.result is None else f"result: {self.result.text}\n")


class QEinsum:
    """An einsum, quantized or not, of any number of operands.

    One value serves many threads and many shapes, and can be pickled.

    >>> import numpy as np
    >>> dense = QEinsum("bi,io->bo", bits=8)
    >>> x, w = np.ones((2, 3), np.float32), np.ones((3, 4), np.float32)
    >>> dense(x, w).shape
    (2, 4)
    >>> y, pull = dense.vjp(x, w, key=0)
    >>> [gradient.shape for gradient in pull(y)]
    [(2, 3), (3, 4)]
    >>> bool((dense(x, dense.freeze(1, w, x.shape, w.shape)) == dense(x, w)).all())
    True
    """

    def __init__(
        self,
        equation: str | tuple[Sequence[Sequence[Any]], Sequence[Any] | None],
        config: Config | Mapping[str, Any] | str | None = None,
        *,
        bits: int | None = None,
        named: bool = False,
        optimize: Any = "auto",
        **search: Any,
    ) -> None:
        """Parses an equation.

        `config` is a `Config`, a mapping of settings or TOML text; `bits` is short for `Config.bits(bits)`; without either
        nothing is quantized. Labels are letters, or symbols that `opt_einsum.get_symbol` gives, in whose places plans have
        other letters; with `named=True` they are words: `"batch time, time out -> batch out"`. `optimize` is `"auto"`,
        `"optimal"`, `"greedy"`, `"random-greedy"`, `"anneal"`, `"reference"` or `"none"`, a path, or an optimizer of
        `opt_einsum` or cotengra; further search settings are `minimize`, `effort`, `seed`, `time_budget` (seconds),
        `memory_limit` (bytes, for everything that is there at a time; slices are found where they are needed; -1 is none)
        and `speeds` (for `minimize="time"`: `"shipped"`, `"machine"` for what `qeinsum bench --calibrate` measured here, or
        a file).
        """
        check_settings(search)
        self._arguments = (equation, named)
        self._spelling = Spelling(equation) if isinstance(equation, str) and not named else None
        self._config = _config.of(config, bits)
        self._options = Options(optimize, **search)
        self._native = self._expression(self._options)
        self._bound: OrderedDict[Any, Bound] = OrderedDict()
        self._lock = threading.Lock()

    def _expression(self, options: Options) -> Expression:
        equation, named = self._arguments
        config = None if self._config is None else self._config._native
        if self._spelling is not None:
            with self._in_its_words():
                return Expression(self._spelling.text, named=False, config=config, search=options.native())
        if isinstance(equation, str):
            return Expression(equation, named=named, config=config, search=options.native())
        operands, output = equation
        return Expression.interleaved(operands, output, config=config, search=options.native())

    @contextmanager
    def _in_its_words(self) -> Iterator[None]:
        """Errors name the labels that the equation was given with."""
        try:
            yield
        except Error as error:
            raise (error if self._spelling is None else self._spelling.in_its_words(error)) from None

    @property
    def config(self) -> Config | None:
        """How calls are quantized; none where they are not."""
        return self._config

    def plan(self, *operands: Any, dtype: Any = None, **sizes: int) -> Plan:
        """The plan for operands or shapes, or for labels of these sizes: `plan((2, 3), (3, 4))`, `plan(i=2, j=3, k=4)`.

        `dtype` is what memory is counted in, and the type of what is exported: that of the operands, or float32.
        """
        if sizes:
            if operands:
                raise TypeError("give shapes or sizes, not both")
            if self._spelling is not None:
                sizes = {label.translate(self._spelling.there): size for label, size in sizes.items()}
            with self._in_its_words():
                shapes = [tuple(shape) for shape in self._native.shapes(sizes)]
        else:
            operands = tuple(map(_arrays.described, operands))
            shapes = [_arrays.shape(operand) for operand in operands]
        name = _arrays.dtype_of(operands) if dtype is None else _arrays.dtype_name(dtype)
        if name not in _arrays.KNOWN:
            raise TypeError(f"plans are made for {', '.join(_arrays.KNOWN)}, not for {name}")
        return self._bind(tuple(shapes), name).plan

    def symbolic(self) -> str:
        """The text of the plan without sizes: optimal where all sizes are equal, costs as polynomials."""
        return self._native.symbolic()

    def explain(self, *operands: Any, dtype: Any = None, **sizes: int) -> str:
        """The plan with what is quantized how, why it is as it is, and where time goes."""
        plan = self.plan(*operands, dtype=dtype, **sizes)
        return plan.explain(None if self._config is None else self._config._native, search=self._options.native())

    def __call__(self, *operands: Any, key: Any = None, out: Any = None, dtype: Any = None) -> npt.NDArray[Any]:
        """The result for arrays of one type, and for frozen operands in the places of arrays.

        `key` is where noise comes from, or the seed of a key; `out` an array to write to; `dtype` what all operands are
        converted to first.
        """
        given = _arrays.arrays(operands, dtype)
        if out is not None:
            _check_out(out, given)
        return self._for(given).run(given, key_of(key), out)

    run = __call__

    def vjp(
        self, *operands: Any, key: Any = None, dtype: Any = None
    ) -> tuple[npt.NDArray[Any], Callable[[Any], tuple[npt.NDArray[Any], ...]]]:
        """The result, and a function from its gradient to those of the operands, each a quantized product of its own."""
        given = _arrays.arrays(operands, dtype)
        try:
            out, pullback = self._for(given).vjp(given, key_of(key))
        except ConfigError as error:
            if key is None and "no key was given" in str(error):
                text = f"{error}: give `key=`, a seed or a key; gradients are rounded stochastically"
                raise reworded(error, text) from None
            raise

        def pull(cotangent: Any) -> tuple[npt.NDArray[Any], ...]:
            """The gradients of `sum(cotangent * result)`, one for each operand."""
            return tuple(pullback(_arrays.array(cotangent, out.dtype)))

        return out, pull

    def analyze(self, *operands: Any, key: Any = None) -> Analysis:
        """What quantization costs on these operands, call by call, and where the time goes; the equation is run a few times.

        >>> x, w = np.ones((4, 64), np.float32), np.linspace(-1, 1, 64, dtype=np.float32).reshape(64, 1)
        >>> found = QEinsum("bi,io->bo", bits=8).analyze(x, w)
        >>> len(found.calls), found.result.max_error < 0.1
        (1, True)

        `print` shows it as the command line's `--analyze` does. On other data than bits were chosen by it says whether they hold.
        """
        given = _arrays.arrays(operands)
        bound = self._for(given)
        calls, result, without, seconds = bound.measure(given, key_of(key))
        return Analysis(
            bound.plan.explain(None if self._config is None else self._config._native, search=self._options.native()),
            tuple(map(QuantizationError._make, calls)),
            None if result is None else QuantizationError._make(result),
            tuple(map(QuantizationError._make, without)),
            tuple(seconds),
        )

    def choose_bits(self, *operands: Any, min_sqnr: float) -> Config:
        """A configuration with four bits, eight bits or floats for each call, of the least predicted time.

        The result of these operands keeps at least this signal-to-quantization-noise ratio, in decibels; others may not.
        """
        given = _arrays.arrays(operands)
        config, _, _ = self._for(given).choose_bits(given, min_sqnr)
        return Config.from_json(config.to_json())

    def freeze(self, operand: int, array: Any, *shapes: Any, key: Any = None) -> Frozen:
        """Quantizes an operand once, to stand in its place from then on.

        `shapes` are those of all operands, or the operands themselves.
        """
        given = _arrays.array(array)
        name = _arrays.dtype_name(given.dtype)
        bound = self._bind(tuple(_arrays.shape(shape) for shape in shapes), name)
        return bound.freeze(operand, given, key_of(key))

    def _for(self, operands: list[Any]) -> Bound:
        # Frozen operands have the shape of what they were made from, and a type.
        first = operands[0] if operands else None
        name = first.dtype if isinstance(first, Frozen) else first.dtype.name if first is not None else "float32"
        return self._bind(tuple([operand.shape for operand in operands]), name)

    def _bind(self, shapes: tuple[tuple[int, ...], ...], dtype: str) -> Bound:
        found = self._bound.get((shapes, dtype))
        if found is not None:
            return found
        native = self._native
        if self._options.find is not None:
            native = self._expression(self._options.with_path(self._found(shapes)))
        planned = dtype if dtype in _arrays.KNOWN else "float32"
        with self._in_its_words():
            plan = native.plan(list(shapes), planned)
        self._options.check(plan)
        bound = native.bind(plan)
        with self._lock:
            self._bound[(shapes, dtype)] = bound
            if len(self._bound) > _KEPT:
                self._bound.popitem(last=False)
        return bound

    def _found(self, shapes: tuple[tuple[int, ...], ...]) -> list[list[int]]:
        """The path that a function finds which was given as the optimizer."""
        with self._in_its_words():
            plan = self._expression(Options("greedy")).plan(list(shapes), "float32")
        inputs, output, sizes = plan.terms
        letters = {label: _letter(number) for number, label in enumerate(sizes)}
        limit = self._options.settings["memory_limit"]
        assert self._options.find is not None
        path = self._options.find(
            [frozenset(letters[label] for label in term) for term in inputs],
            frozenset(letters[label] for label in output),
            {letters[label]: size for label, size in sizes.items()},
            # Not all take a limit; those that do know it by this name.
            **({} if limit is None else {"memory_limit": limit}),
        )
        return path_of(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self._arguments, self._config, self._options)

    def __repr__(self) -> str:
        equation, named = self._arguments
        return f"QEinsum({equation!r}{', named=True' if named else ''}{'' if self._config is None else f', {self._config!r}'})"


def _restored(arguments: Any, config: Config | None, options: Options) -> QEinsum:
    equation, named = arguments
    layer = QEinsum(equation, config, named=named)
    layer._options = options
    layer._native = layer._expression(options)
    return layer


def _letter(number: int) -> str:
    """A label for every number, of one code point, as `opt_einsum` makes them."""
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return letters[number] if number < len(letters) else chr(number + 140 if number + 140 < 55296 else number + 2188)


def _check_out(out: Any, operands: Sequence[Any]) -> None:
    """An array of the operands' type."""
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out is an array of NumPy's, not {type(out).__name__}")
    known = _arrays.dtype_of(operands)
    if operands and out.dtype.name != known:
        raise TypeError(f"out is an array of {out.dtype.name}, but the result is of {known}")


def key_of(key: Any) -> Key | None:
    """A key, the key of a seed, or that of an array of JAX's, by which numbers are drawn as JAX draws them at the time."""
    if key is None or isinstance(key, Key):
        return key
    if isinstance(key, (int, np.integer)):
        return Key(int(key))
    data, partitionable = key, False
    if type(key).__module__.startswith("jax"):
        import jax

        if jax.dtypes.issubdtype(key.dtype, jax.dtypes.prng_key):
            data = jax.random.key_data(key)
        partitionable = bool(jax.config.jax_threefry_partitionable)
    words = np.asarray(data)
    if words.shape != (2,) or words.dtype != np.uint32:
        raise TypeError("a key is a qeinsum.Key, a seed, or a key of JAX's threefry generator")
    return Key.from_words(int(words[0]), int(words[1]), partitionable=partitionable)
