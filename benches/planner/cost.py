"""What a path costs, in exact integers, by code that no planner shares.

In come a problem and a path in ids that are never reused: operands are 0..n-1, results follow in the order in which
they are made. Out go its multiplications, the elements of its largest result, those of all results, and the most that
are there at a time: all operands, the output, and of other results those that were made and not yet used, with the one
that is being made.

Labels that one operand alone has, and the output not, are summed in it first; so are its diagonals taken. That is
free. A step costs the product of the sizes of all labels that its two sides have, and sums the labels that nobody
else needs. A step of more than two sides goes from left to right, one of a single side renames it. What a path leaves
unjoined is joined in the order of the ids. With sliced labels the path runs once for every value of them.
"""

import math
from dataclasses import dataclass


class BadPath(Exception):
    """A path that does not contract the problem, and why."""


@dataclass(frozen=True)
class Cost:
    multiplications: int
    largest: int
    written: int
    peak: int


def evaluate(problem, path, sliced=()):
    sizes = {**problem.sizes, **dict.fromkeys(sliced, 1)}
    contraction = Contraction(problem, sizes)
    for sides in path:
        contraction.step(list(sides))
    while len(contraction.values) > 1:
        contraction.step(sorted(contraction.values)[:2])
    slices = math.prod(problem.sizes[label] for label in set(sliced))
    operands = sum(math.prod(problem.sizes[label] for label in labels) for labels in problem.inputs)
    output = math.prod(problem.sizes[label] for label in problem.output)
    return Cost(
        slices * contraction.multiplications,
        contraction.largest,
        slices * contraction.written,
        operands + output + contraction.peak,
    )


class Contraction:
    """The values that there are at a time: the labels of each, and how many values (and the output) have a label."""

    def __init__(self, problem, sizes):
        self.sizes = sizes
        self.holders = dict.fromkeys(sizes, 0)
        for labels in (*problem.inputs, problem.output):
            for label in set(labels):
                self.holders[label] += 1
        self.values = {number: self.needed(set(labels)) for number, labels in enumerate(problem.inputs)}
        self.next = len(self.values)
        self.operands = len(self.values)
        self.multiplications = self.largest = self.written = 0
        # Elements of results that are there, and the most that were.
        self.live = self.peak = 0

    def needed(self, labels):
        return {label for label in labels if self.holders[label] > 1}

    def elements(self, labels):
        return math.prod(self.sizes[label] for label in labels)

    def step(self, sides):
        if not sides or len(set(sides)) < len(sides):
            raise BadPath(f"a step has the sides {sides}")
        for side in sides:
            if side not in self.values:
                raise BadPath(f"a step takes {side}, which is not there")
        result = self.values.pop(sides[0])
        used = self.elements(result) if sides[0] >= self.operands else 0
        for side in sides[1:]:
            other = self.values.pop(side)
            used += self.elements(other) if side >= self.operands else 0
            result = self.join(result, other)
            made = self.elements(result) if self.values else 0
            self.peak = max(self.peak, self.live + made)
            self.live += made - used
            used = made
        self.values[self.next] = result
        self.next += 1

    def join(self, left, right):
        self.multiplications += self.elements(left | right)
        for label in left & right:
            self.holders[label] -= 1
        result = self.needed(left | right)
        elements = self.elements(result)
        self.written += elements
        self.largest = max(self.largest, elements)
        return result


def unshrunk(path, operands):
    """The path in ids, from one of positions in a list that loses the sides of each step and gains its result."""
    alive = list(range(operands))
    ids = []
    for number, positions in enumerate(path):
        try:
            ids.append([alive[position] for position in positions])
        except IndexError:
            raise BadPath(f"step {number} takes a position that its list does not have") from None
        for position in sorted(positions, reverse=True):
            del alive[position]
        alive.append(operands + number)
    return ids


def ratio(cost, other):
    """One cost by another, which may be beyond what a float holds."""
    if cost == other:
        return 1.0
    if not other or not cost:
        return math.inf if cost else 0.0
    exponent = math.log(cost) - math.log(other)
    return math.exp(exponent) if exponent < 700 else math.inf


def geometric_mean(ratios):
    return math.exp(math.fsum(math.log(ratio) for ratio in ratios) / len(ratios))
