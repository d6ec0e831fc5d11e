"""A problem's contest: who finds which path, in what time, and what the path costs by the evaluator."""

from dataclasses import dataclass, field

from cost import BadPath, evaluate, ratio
from ours import PEER as OURS

# Searches that take less, in seconds, were run again and again: the clock says more of them than the processor's time,
# which goes by ticks on some machines.
SHORT = 0.02


@dataclass
class Entry:
    """A contestant's part in a problem: a cost, or the reason why there is none. Times are in seconds."""

    contestant: str
    peer: str
    cost: int | None = None
    largest: int | None = None
    # Elements that are there at a time.
    peak: int | None = None
    path: list | None = None
    sliced: list = field(default_factory=list)
    cpu: float | None = None
    wall: float | None = None
    # What the program says that the search took; ours only.
    search: float | None = None
    certificate: str | None = None
    rss: int | None = None
    reason: str | None = None
    reused: bool = False

    @property
    def seconds(self):
        """Of the search, without the start of a process: the processor's, or of a short one the fastest run's."""
        if self.search is not None:
            return self.search if self.search < SHORT else min(self.cpu, self.search)
        return self.wall if self.peer != OURS and self.wall < SHORT else self.cpu


@dataclass
class Outcome:
    problem: object
    entries: list
    # The least cost known, and who found it.
    best: int | None = None
    best_by: str | None = None

    @property
    def answered(self):
        return [entry for entry in self.entries if entry.cost is not None]

    def entry(self, name):
        return next((entry for entry in self.answered if entry.contestant == name), None)

    def ratio(self, name):
        """The cost of a contestant's path by the least known."""
        entry = self.entry(name)
        return None if entry is None or self.best is None else ratio(entry.cost, self.best)

    def settle(self, known):
        """Finds the best of what was known before and what was found now."""
        found = min(self.answered, key=lambda entry: entry.cost, default=None)
        if known is not None and (found is None or known.cost <= found.cost):
            self.best, self.best_by = known.cost, "known before"
        elif found is not None:
            self.best, self.best_by = found.cost, found.contestant


def judge(problem, contestant, peer, answer, memory=None):
    """The entry that a search's answer makes; `memory` is what it was allowed in place of the problem's limit."""
    entry = Entry(contestant, peer, reason=answer.get("reason"))
    for key in ("cpu", "wall", "search", "certificate", "rss"):
        setattr(entry, key, answer.get(key))
    if entry.reason is None:
        entry.path, entry.sliced = answer["path"], answer["sliced"]
        weigh(problem, entry, answer.get("claimed"), memory)
    return entry


def weigh(problem, entry, claimed=None, memory=None):
    try:
        cost = evaluate(problem, entry.path, entry.sliced)
        whole = evaluate(problem, entry.path).multiplications
    except BadPath as error:
        entry.reason = f"wrong: {error}"
        return
    if memory is not None and cost.peak > memory:
        entry.reason = f"wrong: {cost.peak} elements at a time are over the limit"
    elif memory is None and problem.limit is not None and cost.largest > 2**problem.limit:
        entry.reason = f"wrong: a result of {cost.largest} elements is over the limit"
    elif claimed is not None and problem.limit is not None and not whole <= claimed <= cost.multiplications:
        entry.reason = f"wrong: costs {cost.multiplications} at most, and not {claimed} as it says"
    elif claimed is not None and problem.limit is None and claimed != cost.multiplications:
        entry.reason = f"wrong: costs {cost.multiplications}, and not {claimed} as it says"
    else:
        entry.cost, entry.largest, entry.peak = cost.multiplications, cost.largest, cost.peak
        if problem.limit is not None and claimed is not None:
            # Steps that a slice does not change are not run again for it.
            entry.cost = claimed
