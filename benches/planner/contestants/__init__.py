"""Who is measured beside qeinsum. Each module brings the contestants of a library as a list, `CONTESTANTS`.

A contestant is started on a problem, which gives two functions: `run`, which searches and is timed, and `finish`, which
turns what `run` gave into an answer.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Callable

EVERYWHERE = ("small", "medium", "large", "huge")
UP_TO_LARGE = ("small", "medium", "large")

# Modules, by the peer that is in them.
MODULES = {
    "opt_einsum": "opt_einsums",
    "cotengrust": "cotengrusts",
    "omeco": "omecos",
    "cgreedy": "cgreedys",
    "cotengra": "cotengras",
}


@dataclass(frozen=True)
class Answer:
    """A path in ids that are never reused, and the labels that are sliced."""

    path: list
    sliced: tuple = ()


@dataclass(frozen=True)
class Contestant:
    name: str
    start: Callable
    groups: tuple
    # Takes so long that it has to be asked for.
    long: bool = False


def of(peer):
    """The contestants of a library, which is loaded."""
    return import_module(f"contestants.{MODULES[peer]}").CONTESTANTS


def letters(problem):
    """The network with a letter for every label, as some libraries want it; surrogates are no letters."""
    letter = {label: chr(192 + place + (2048 if place >= 54_000 else 0)) for place, label in enumerate(problem.sizes)}
    inputs = [[letter[label] for label in labels] for labels in problem.inputs]
    return inputs, [letter[label] for label in problem.output], {letter[it]: size for it, size in problem.sizes.items()}
