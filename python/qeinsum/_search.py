"""How a path is searched: what the keyword arguments of all functions come to."""

from __future__ import annotations

from typing import Any, Callable, Sequence

import numpy as np

from ._qeinsum import Search

# What has no search of ours.
_NAMES = {True: "auto", False: "none", "auto-hq": "auto", "dp": "optimal", "eager": "greedy", "opportunistic": "greedy"}


class Options:
    """A search, or a path, or a function that finds one."""

    __slots__ = ("settings", "path", "find")

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
        self.settings: dict[str, Any] = {
            "optimizer": "auto",
            "minimize": {"flops": "mul"}.get(minimize, minimize),
            "effort": effort,
            "seed": seed,
            "time_budget": time_budget,
            "memory_limit": memory_limit,
            "speeds": speeds,
        }
        self.path: list[list[int]] | None = None
        self.find: Callable[..., Any] | None = None
        if isinstance(optimize, (str, bool)):
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
        return (*self.settings.values(), path)

    def native(self) -> Search:
        """The search as the library takes it."""
        return Search(**self.settings, path=self.path)

    def with_path(self, path: list[list[int]]) -> Options:
        """The same with a path that was found."""
        other = Options()
        other.settings, other.path = self.settings, path
        return other


def path_of(steps: Sequence[Any]) -> list[list[int]]:
    """A path as `opt_einsum` writes it, or as NumPy does, after the word `einsum_path`."""
    if len(steps) > 0 and isinstance(steps[0], str):
        if steps[0] != "einsum_path":
            raise TypeError(f"a path begins with its first step or with 'einsum_path', not with {steps[0]!r}")
        steps = steps[1:]
    return [[int(position) for position in np.atleast_1d(np.asarray(step))] for step in steps]
