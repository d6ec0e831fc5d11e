"""A workload's contest: who can do it, whether it is done right, and how long it takes."""

import gc
import math
import os
import statistics
import time
from dataclasses import dataclass, field

import numpy as np

from contestants import Contestant, Kind, Task

# A sample is so many runs that they take at least this long together, in seconds.
SAMPLE = 0.02

# Seconds after which the threads of a library that spin while they wait for more work have gone to sleep. On one thread
# there are none.
REST = 0.05

# What a result may be off: the norm of the difference by that of a result of such operands.
FLOAT_ERROR = 1e-4
# As a ratio of signal to noise, in dB.
QUANTIZED_SQNR = 25


@dataclass
class Entry:
    """A contestant's part in a workload: its samples, in seconds a run, or why there are none."""

    contestant: Contestant
    samples: list = field(default_factory=list)
    reason: str | None = None
    wrong: bool = False

    @property
    def median(self):
        return statistics.median(self.samples)

    @property
    def minimum(self):
        return min(self.samples)


@dataclass
class Outcome:
    """What a workload's rounds gave; peaks are in GOP/s."""

    workload: object
    gop: float
    peaks: dict
    entries: list

    @property
    def timed(self):
        return [entry for entry in self.entries if entry.samples]

    def entry(self, name):
        return next((entry for entry in self.timed if entry.contestant.name == name), None)

    def best(self, kind, peers=None):
        """The fastest that is not ours, of these peers if some are named."""
        rivals = [
            entry
            for entry in self.timed
            if entry.contestant.kind is kind
            and entry.contestant.peer != "qeinsum"
            and (peers is None or entry.contestant.peer in peers)
        ]
        return min(rivals, key=lambda entry: entry.median, default=None)


def hold(workload, contestants, server, folder, threads, rounds):
    operands, integers = workload.operands(), workload.integers()
    server.ask("load", floats=saved(operands, folder, "f"), integers=saved(integers, folder, "i"))
    gop = 2e-9 * server.ask("describe", equation=workload.equation)["multiplications"]
    task = Task(workload, operands, integers, threads, server, folder)
    entries = [Entry(contestant) for contestant in contestants if contestant.groups(workload.group)]
    ready = []
    exact = {Kind.FLOAT: workload.exact(operands)}
    if integers:
        exact[Kind.INTEGER] = workload.exact(integers)
    for entry in entries:
        try:
            prepared = entry.contestant.prepare(task)
            entry.reason = fault(entry.contestant.kind, prepared.result(), exact, workload.norm)
            entry.wrong = entry.reason is not None
            if not entry.wrong:
                ready.append((entry, prepared, repeats(prepared)))
        # Whatever a library raises is its reason.
        except Exception as error:
            entry.reason = first_line(error)
    del exact
    peaks = compete(ready, server, rounds, rest=REST if threads > 1 else 0)
    return Outcome(workload, gop, peaks, entries)


def saved(arrays, folder, prefix):
    files = []
    for number, array in enumerate(arrays):
        path = os.path.join(folder, f"{prefix}{number}")
        array.tofile(path)
        files.append({"path": path, "shape": array.shape})
    return files


def fault(kind, result, exact, norm):
    """What is wrong with a result, or None."""
    result = np.asarray(result)
    wanted = exact[Kind.INTEGER if kind is Kind.INTEGER else Kind.FLOAT]
    if result.shape != wanted.shape:
        return f"wrong: shape {result.shape}, not {wanted.shape}"
    if kind is Kind.INTEGER:
        return None if np.array_equal(result, wanted) else "wrong: not the exact integers"
    error = float(np.linalg.norm((result - wanted).ravel())) / norm
    if kind is Kind.FLOAT:
        return None if error < FLOAT_ERROR else f"wrong: off by {error:.1e}"
    sqnr = -20 * math.log10(error) if error > 0 else math.inf
    return None if sqnr > QUANTIZED_SQNR else f"wrong: sqnr {sqnr:.1f} dB"


def repeats(prepared):
    """How many runs a sample has; the runs that this takes to find out warm up what wants to be warm."""
    count = 1
    while (seconds := prepared.time(count)) < SAMPLE:
        count = min(count * 100, math.ceil(count * 1.2 * SAMPLE / max(seconds, 1e-9)))
    return count


def compete(ready, server, rounds, rest):
    """Rounds in which each is timed once, so that what disturbs one disturbs the others; the peaks, measured between."""
    peaks = server.ask("peaks")
    gc.collect()
    gc.disable()
    for number in range(rounds):
        # Each starts in turn, so that none has always the same one before it.
        start = number % max(len(ready), 1)
        for entry, prepared, count in ready[start:] + ready[:start]:
            time.sleep(rest)
            entry.samples.append(prepared.time(count) / count)
    gc.enable()
    return {name: max(rate, peaks[name]) for name, rate in server.ask("peaks").items()}


def first_line(error):
    lines = str(error).strip().splitlines()
    return lines[0][:160] if lines else type(error).__name__
