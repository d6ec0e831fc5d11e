"""Problems: networks with a name, which are generated or read from files, and chosen by name or group."""

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

SIZES = ("small", "medium", "large", "huge")


@dataclass(frozen=True)
class Problem:
    name: str
    family: str
    inputs: list
    output: list
    sizes: dict
    # The logarithm to base 2 of the elements that a result may have, where the problem is to slice the network.
    limit: int | None = None

    @property
    def operands(self):
        return len(self.inputs)

    @property
    def group(self):
        if self.limit is not None:
            return "sliced"
        return SIZES[sum(self.operands > most for most in (20, 60, 9_999))]

    @cached_property
    def degree(self):
        """The most other operands that one has labels in common with."""
        holders = {}
        for number, labels in enumerate(self.inputs):
            for label in labels:
                holders.setdefault(label, set()).add(number)
        return max(len(set().union(*(holders[label] for label in labels)) - {number})
                   for number, labels in enumerate(self.inputs))

    @property
    def network(self):
        """As it is written to files."""
        return {"name": self.name, "inputs": self.inputs, "output": self.output, "sizes": self.sizes}

    @cached_property
    def digest(self):
        text = json.dumps([self.inputs, self.output, self.sizes, self.limit], separators=(",", ":"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def within(self, limit):
        return Problem(f"{self.name}_in_{limit}", self.family, self.inputs, self.output, self.sizes, limit)


def read(folder):
    """The networks in the files under a folder. The family is the first word of a name, after the class it may have."""
    problems = []
    for file in sorted(Path(folder).rglob("*.json"), key=lambda file: file.name):
        network = json.loads(file.read_text())
        name = network.get("name", file.stem)
        family = re.sub(r"^[sml]_", "", name).split("_")[0]
        problems.append(Problem(name, family, network["inputs"], network["output"], network["sizes"]))
    if not problems:
        raise SystemExit(f"no network is under {folder}")
    return problems


def select(problems, names):
    """The problems of these names, families or groups, in the order of the list."""
    known = {word for problem in problems for word in words(problem)}
    for name in names:
        if name not in known:
            raise SystemExit(f"no problem, family or group is named {name}: {', '.join(sorted(known))}")
    return [problem for problem in problems if not names or not words(problem).isdisjoint(names)]


def words(problem):
    return {problem.name, problem.family, problem.group}
