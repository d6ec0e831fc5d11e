"""Our search as an optimizer of `opt_einsum`, `jax.numpy` and cotengra."""

from __future__ import annotations

from typing import Any, Iterable, Mapping

from ._qeinsum import Plan, contraction_path
from ._search import Options, check_settings

try:  # `opt_einsum` takes functions, and `jax.numpy` only what is of this class.
    from opt_einsum.paths import PathOptimizer as _Base
except ImportError:  # Then nobody asks.

    class _Base:  # type: ignore[no-redef]
        """Stands in for the base class where there is none."""


class Optimizer(_Base):  # type: ignore[misc]
    """Finds orders of contraction for other libraries: give it as their `optimize`.

    >>> import numpy as np, opt_einsum
    >>> a, b, c = np.ones((2, 30)), np.ones((30, 4)), np.ones((4, 50))
    >>> opt_einsum.contract_path("ab,bc,cd->ad", a, b, c, optimize=Optimizer())[0]
    [(0, 1), (0, 1)]

    The arguments are the search settings of `QEinsum`: `optimize`, `minimize`, `effort`, `seed`, `time_budget`. A memory limit
    of theirs counts elements of one result and is not heeded; `plan` is the plan that was found last.
    """

    def __init__(self, optimize: str = "auto", **search: Any) -> None:
        check_settings(search, ("optimize",))
        self._options = Options(optimize, **search)
        self._options.native()  # says what is no search
        self.plan: Plan | None = None

    def __call__(
        self,
        inputs: Iterable[Iterable[Any]],
        output: Iterable[Any],
        size_dict: Mapping[Any, int],
        memory_limit: Any = None,
    ) -> list[tuple[int, ...]]:
        """The path for operands with these labels, which may be of any kind; each step a pair of positions."""
        names: dict[Any, str] = {}
        terms = [[names.setdefault(label, str(len(names))) for label in _ordered(term)] for term in inputs]
        known = set(names)
        result = [names[label] for label in _ordered(output) if label in known]
        sizes = {name: int(size_dict[label]) for label, name in names.items()}
        shapes = [[sizes[name] for name in term] for term in terms]
        self.plan = contraction_path(terms, result, shapes, self._options.native())
        return self.plan.path

    def search(self, inputs: Any, output: Any, size_dict: Mapping[Any, int]) -> Any:
        """The contraction tree as cotengra has it."""
        import cotengra

        inputs = [tuple(term) for term in inputs]
        path = self(inputs, output, size_dict)
        return cotengra.ContractionTree.from_path(inputs, tuple(output), dict(size_dict), path=path)


def _ordered(labels: Iterable[Any]) -> list[Any]:
    """Labels in an order that does not depend on how a set is laid out."""
    if isinstance(labels, (set, frozenset)):
        return sorted(labels, key=lambda label: (str(type(label)), str(label)))
    return list(labels)
