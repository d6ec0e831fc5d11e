"""The list of workloads, and the operands and results that belong to one."""

import json
import math
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import opt_einsum

LIST = Path(__file__).with_name("workloads.json")

# Groups of plain products of matrices, in which crates for just that are measured and no einsum but ours.
PRODUCTS = ("cubes", "skinny", "batched")


@dataclass(frozen=True)
class Matrices:
    """Products of row-major matrices that lie in memory one after another."""

    batch: int
    m: int
    k: int
    n: int


@dataclass(frozen=True)
class Workload:
    name: str
    group: str
    equation: str
    sizes: dict

    @property
    def terms(self):
        return self.equation.split("->")[0].split(",")

    @property
    def output(self):
        return self.equation.split("->")[1]

    @property
    def shapes(self):
        return [self.shape(term) for term in self.terms]

    def shape(self, term):
        return tuple(self.sizes[label] for label in term)

    @cached_property
    def matrices(self):
        """The equation as products of matrices without moving an element, or None."""
        if len(self.terms) != 2:
            return None
        left, right = self.terms
        shared = [label for label in left if label in right]
        batch = "".join(label for label in shared if label in self.output)
        k = "".join(label for label in shared if label not in self.output)
        m = "".join(label for label in left if label not in shared)
        n = "".join(label for label in right if label not in shared)
        if not (m and k and n) or (left, right, self.output) != (batch + m + k, batch + k + n, batch + m + n):
            return None
        return Matrices(*(math.prod(self.shape(labels)) for labels in (batch, m, k, n)))

    def operands(self):
        """Floats between -1 and 1, the same ones in every run."""
        random = np.random.default_rng(zlib.crc32(self.name.encode()))
        return [random.uniform(-1, 1, shape).astype(np.float32) for shape in self.shapes]

    def integers(self):
        """Integers for products that are given some: the left ones are the same in signed and in unsigned bytes."""
        if self.matrices is None:
            return []
        random = np.random.default_rng(zlib.crc32(self.name.encode()))
        left, right = self.shapes
        return [random.integers(0, 128, left, dtype=np.int8), random.integers(-127, 128, right, dtype=np.int8)]

    @property
    def norm(self):
        """What the norm of the result of such operands is on average, which hardly depends on how much cancels out.

        Values between -1 and 1 have a variance of a third, and each place of the loop over all labels adds one product.
        """
        return math.sqrt(math.prod(self.sizes.values()) / 3 ** len(self.terms))

    def exact(self, operands):
        """The result in f64."""
        return opt_einsum.contract(self.equation, *(operand.astype(np.float64) for operand in operands))


def load():
    entries = json.loads(LIST.read_text())
    return [Workload(*(entry[field] for field in ("name", "group", "equation", "sizes"))) for entry in entries]


def select(workloads, names):
    """The workloads of these names or groups, in the order of the list."""
    known = {name for workload in workloads for name in (workload.name, workload.group)}
    for name in names:
        if name not in known:
            raise SystemExit(f"no workload or group is named {name}: {', '.join(sorted(known))}")
    return [workload for workload in workloads if not names or workload.name in names or workload.group in names]
