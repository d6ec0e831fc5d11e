"""How a path is searched: what the keyword arguments of all functions come to."""

from __future__ import annotations

import difflib
import math
import operator
import os
import sys
from pathlib import Path
from typing import Any, Callable, Iterable, Sequence

import numpy as np

from ._errors import error_of
from ._qeinsum import LimitError, Plan, Search

# What may be said of a search beside `optimize`.
SETTINGS = ("minimize", "effort", "seed", "time_budget", "memory_limit", "speeds")
# What else an einsum of NumPy's or `opt_einsum`'s is told, what of it is done here anyway, and what to do where it is not.
_THEIRS: dict[str, tuple[tuple[Any, ...], str]] = {
    "backend": (("auto", "numpy", None), "products are computed here and results are NumPy's: convert the result"),
    "casting": (("equiv", "safe", "same_kind", "unsafe"), "operands have one type, and `dtype` converts all that are given"),
    "order": (("K", "C"), "results lie in C order: give an array of another order as `out`"),
    "use_blas": ((True, False), "products are computed here, by no BLAS: leave it out"),
}
# Names that others have for searches.
_NAMES = {
    None: "auto",
    True: "auto",
    False: "none",
    "auto-hq": "auto",
    "branch-1": "auto",
    "branch-2": "auto",
    "branch-all": "optimal",
    "dp": "optimal",
    "dynamic-programming": "optimal",
    "eager": "greedy",
    "opportunistic": "greedy",
    "random-greedy-128": "random-greedy",
}


class Options:
    """A search, or a path, or a function that finds one."""

    __slots__ = ("settings", "path", "find", "largest")

    def __init__(
        self,
        optimize: Any = "auto",
        *,
        minimize: str = "mul",
        effort: int = 1,
        seed: int = 0,
        time_budget: float | None = None,
        memory_limit: int | None = None,
        speeds: str | None = None,
    ) -> None:
        if isinstance(memory_limit, str) and memory_limit == "max_input":
            raise TypeError(
                "memory_limit='max_input' bounds one intermediate result, and here a limit is bytes of everything that is "
                "there at a time: give a number of them, or minimize='size' for small intermediate results"
            )
        if memory_limit == -1:
            memory_limit = None
        counts = {"effort": effort, "seed": seed, "memory_limit": memory_limit}
        effort, seed, memory_limit = (_count(name, value) for name, value in counts.items())
        self.settings: dict[str, Any] = {
            "optimizer": "auto",
            "minimize": {"flops": "mul"}.get(minimize, minimize),
            "effort": effort,
            "seed": seed,
            "time_budget": time_budget,
            "memory_limit": memory_limit,
            "speeds": _speeds(speeds),
        }
        self.path: list[list[int]] | None = None
        self.find: Callable[..., Any] | None = None
        # Elements of an intermediate result, as NumPy bounds them: `optimize=("greedy", 1000)`.
        self.largest: int | None = None
        optimize = _path_in(optimize)
        if _is_bounded(optimize):
            optimize, self.largest = optimize[0], _count("the bound beside a name in `optimize`", optimize[1])
        if optimize is None or isinstance(optimize, (str, bool)):
            self.settings["optimizer"] = _NAMES.get(optimize, optimize)
        elif isinstance(optimize, Sequence):
            self.path = path_of(optimize)
        elif callable(optimize):
            self.find = optimize
        elif hasattr(optimize, "search"):
            self.find = lambda inputs, output, sizes, memory_limit=None: optimize.search(inputs, output, sizes).get_path()
        else:
            raise TypeError(f"optimize is a name, a path or an optimizer, not {type(optimize).__name__}")

    def key(self) -> tuple[Any, ...] | None:
        """What tells this search from others; none where it is a function, which may find another path each time."""
        if self.find is not None:
            return None
        path = None if self.path is None else tuple(map(tuple, self.path))
        return (*self.settings.values(), path, self.largest)

    def native(self) -> Search:
        """The search as the library takes it."""
        return Search(**self.settings, path=self.path)

    def with_path(self, path: list[list[int]]) -> Options:
        """The same with a path that was found."""
        other = Options()
        other.settings, other.path, other.largest = self.settings, path, self.largest
        return other

    def check(self, plan: Plan) -> None:
        """An error where an intermediate result has more elements than NumPy's kind of bound allows."""
        if self.largest is None or plan.largest_intermediate <= self.largest:
            return
        _, output, sizes = plan.terms
        if plan.largest_intermediate > math.prod(sizes[label] for label in output):
            raise error_of(
                LimitError,
                "limit",
                f"an intermediate result has {plan.largest_intermediate} elements, but `optimize` allows {self.largest}: "
                "minimize='size' looks for small ones, and memory_limit, in bytes of everything that is there at a time, "
                "finds slices",
            )


def check_settings(names: Iterable[str], others: Iterable[str] = ("bits", "config", "optimize", "named", "dtype")) -> None:
    """An error that names the first keyword argument that is no search setting, and what may have been meant."""
    for name in names:
        if name in _THEIRS:
            raise TypeError(f"{name!r} is not taken: {_THEIRS[name][1]}")
        if name not in SETTINGS:
            close = difflib.get_close_matches(name, [*SETTINGS, *others], 1, 0.7)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise TypeError(f"{name!r} is no search setting: one of {', '.join(SETTINGS)}{hint}")


def without_theirs(arguments: dict[str, Any], dtype: Any = None) -> dict[str, Any]:
    """Without the keyword arguments of NumPy's and `opt_einsum`'s that ask for what is done anyway; others are named."""
    for name in (name for name in arguments if name in _THEIRS):
        done, advice = _THEIRS[name]
        if name == "casting" and dtype is not None:
            # What is converted is converted whatever is lost.
            done = ("unsafe",)
        if arguments[name] not in done:
            raise TypeError(f"{name}={arguments[name]!r} is not taken: {advice}")
    return {name: value for name, value in arguments.items() if name not in _THEIRS}


def _count(name: str, value: Any) -> Any:
    """A whole number, of floats too where they are one."""
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is a whole number, not {value!r}") from None
    if number < 0:
        raise ValueError(f"{name} is not negative, but {number} is")
    return number


def _speeds(speeds: Any) -> str | None:
    """The text of a table of speeds: of a file, of what `qeinsum bench --calibrate` measured on this machine, or as it is."""
    if speeds is None or speeds == "shipped":
        return None
    if speeds == "machine":
        home = Path.home()
        folder = {
            "win32": Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local")),
            "darwin": home / "Library" / "Caches",
        }.get(sys.platform, Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache"))
        speeds = folder / "qeinsum" / "speeds.json"
    if isinstance(speeds, str) and speeds.lstrip().startswith("{"):
        return speeds
    return Path(speeds).read_text(encoding="utf-8")


def _path_in(optimize: Any) -> Any:
    """The path of what has one: a plan, what is known of a path, a contraction tree of cotengra's."""
    if callable(optimize) or hasattr(optimize, "search"):
        return optimize
    if isinstance(getattr(optimize, "path", None), (list, tuple)):
        return optimize.path
    if hasattr(optimize, "get_path"):
        return optimize.get_path()
    return optimize


def _is_bounded(optimize: Any) -> bool:
    """Whether this is the name of a search beside a number, as `("greedy", 1000)`."""
    if not isinstance(optimize, (list, tuple)) or len(optimize) != 2 or not isinstance(optimize[0], str):
        return False
    return optimize[0] != "einsum_path" and np.isscalar(optimize[1])


def path_of(steps: Sequence[Any]) -> list[list[int]]:
    """A path as `opt_einsum` writes it, or as NumPy does, after the word `einsum_path`."""
    if not isinstance(steps, Sequence):
        raise TypeError(f"a path is a list of its steps, not {type(steps).__name__}")
    if len(steps) > 0 and isinstance(steps[0], str):
        if steps[0] != "einsum_path":
            raise TypeError(f"a path begins with its first step or with 'einsum_path', not with {steps[0]!r}")
        steps = steps[1:]
    return [[int(position) for position in np.atleast_1d(np.asarray(step))] for step in steps]
