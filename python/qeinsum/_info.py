"""What is known of a path, under the names that `opt_einsum` has."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any, Iterator, NamedTuple

from ._notebook import bundle
from ._qeinsum import Plan

# As `opt_einsum`, which says what remains only where that is short.
_SHOWN = 20


class _Step(NamedTuple):
    """A step of a path, before it is lowered."""

    positions: tuple[int, ...]
    removed: frozenset[str]
    labels: frozenset[str]
    inputs: list[list[str]]
    result: list[str]
    remaining: list[list[str]] | None


class PathInfo:
    """What is known of a path, under the names that `opt_einsum` has; costs are scalar multiplications, never doubled.

    Lists of steps are of the path as it stands, before it is sliced and lowered: `print` shows what is done.
    """

    __slots__ = ("plan",)

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    @property
    def path(self) -> list[tuple[int, ...]]:
        """The path."""
        return self.plan.path

    @property
    def eq(self) -> str:
        """The equation."""
        return self.plan.equation

    @property
    def input_subscripts(self) -> str:
        """The equation before its arrow."""
        return self.eq.split("->")[0].strip()

    @property
    def output_subscript(self) -> str:
        """The equation after its arrow."""
        return self.eq.split("->")[1].strip()

    @property
    def indices(self) -> frozenset[str]:
        """All labels."""
        return frozenset(self.size_dict)

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """The shapes of the operands, with an extent of 1 where one is broadcast."""
        return self.plan.shapes

    @property
    def size_dict(self) -> dict[str, int]:
        """The size of every label."""
        return self.plan.sizes

    @property
    def opt_cost(self) -> int:
        """Scalar multiplications of all steps, exactly."""
        return self.plan.multiplications

    @property
    def naive_cost(self) -> int:
        """Iterations of one loop over all labels."""
        return self.plan.naive_cost

    @property
    def speedup(self) -> float:
        """The one over the other."""
        return self.naive_cost / max(self.opt_cost, 1)

    @property
    def largest_intermediate(self) -> int:
        """Elements of the largest result of a step."""
        return self.plan.largest_intermediate

    @property
    def optimal(self) -> bool:
        """Whether the path is proved to be the best of all."""
        return self.plan.optimal

    @property
    def contraction_list(self) -> list[tuple[tuple[int, ...], frozenset[str], str, tuple[str, ...] | None, bool]]:
        """Each step: positions, the last first; labels that are summed away; its equation; the terms after it, where they are
        few; and whether BLAS computes it, which is never so."""
        name = self._name
        comma, arrow = (", ", " -> ") if " " in self.eq else (",", "->")
        return [
            (
                step.positions,
                step.removed,
                f"{comma.join(map(name, step.inputs))}{arrow}{name(step.result)}",
                None if step.remaining is None else tuple(map(name, step.remaining)),
                False,
            )
            for step in self._steps()
        ]

    @property
    def scale_list(self) -> list[int]:
        """How many labels each step loops over."""
        return [len(step.labels) for step in self._steps()]

    @property
    def size_list(self) -> list[int]:
        """Elements of the result of each step."""
        sizes = self.size_dict
        return [math.prod(sizes[label] for label in step.result) for step in self._steps()]

    def _name(self, labels: list[str]) -> str:
        """A term as the equation writes it: names stand apart."""
        return (" " if " " in self.eq else "").join(labels)

    def _steps(self) -> Iterator[_Step]:
        """The steps, each result with its labels in the order of its operands, as `opt_einsum` has them."""
        terms, output, _ = self.plan.terms
        path = self.plan.path
        # In how many terms a label is, of those that are there and the output.
        places = Counter(label for term in (*terms, output) for label in set(term))
        for number, step in enumerate(path):
            positions = tuple(sorted(step, reverse=True))
            inputs = [terms.pop(position) for position in positions]
            labels = dict.fromkeys(label for term in inputs for label in term)
            places.subtract(label for term in inputs for label in set(term))
            removed = frozenset(label for label in labels if places[label] == 0)
            result = output if number == len(path) - 1 else [label for label in labels if label not in removed]
            places.update(result)
            terms.append(result)
            yield _Step(positions, removed, frozenset(labels), inputs, result, terms[:] if len(terms) <= _SHOWN else None)

    def __str__(self) -> str:
        return str(self.plan)

    def __repr__(self) -> str:
        return str(self.plan)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return bundle(self.plan, include, exclude)
