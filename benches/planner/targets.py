"""What the outcomes say about the targets of the project.

A target is met, missed, or not measured: where the program does not have the flag that it takes, or nobody was asked.
Means are geometric. Problems that go past a target are named, the worst ones first.
"""

from dataclasses import dataclass, field

from cost import geometric_mean, ratio
from ours import BUDGET, DEFAULT, GREEDY, SLICED, in_memory_of
from report import factor, milliseconds, table

OPTIMAL = "cotengrust optimal"
ANNEALED = "omeco TreeSA.fast"
HYPER = "cotengra 10 s"
GREEDIES = ("opt_einsum greedy", "cotengrust greedy", GREEDY)
SLICERS = ("omeco TreeSASlicer", "cotengra 10 s, sliced")

# How many problems a line names.
NAMED = 6


@dataclass
class Line:
    title: str
    target: str
    value: str = "not measured"
    met: bool | None = None
    notes: list = field(default_factory=list)


def summarize(outcomes):
    return [
        proof(outcomes, "n ≤ 12, proof over all trees", 1e-3, lambda problem: problem.operands <= 12),
        proof(
            outcomes,
            "n ≤ 20 and degree ≤ 5, proof over all trees",
            0.1,
            lambda problem: problem.operands <= 20 and problem.degree <= 5,
        ),
        proof(outcomes, "lattice of 6 × 6, proof over all trees", 0.1, named("grid_6_6", "m_grid_6x6")),
        proof(
            outcomes,
            "lattice of 3 × 3 × 4, proof without outer products",
            1,
            named("cubic_3_3_4", "m_cubic_3x3x4"),
            ("optimal", "optimal_connected"),
        ),
        speed(outcomes),
        costs(outcomes, f"where {OPTIMAL} answers, cost by its", DEFAULT, OPTIMAL, worst=1),
        mean(outcomes, "21 to 60 operands, cost by the best known", "medium", DEFAULT, 1.02),
        mean(outcomes, "more than 60, cost by the best known", "large", DEFAULT, 1.5),
        costs(outcomes, f"more than 60, cost by {ANNEALED}", DEFAULT, ANNEALED, groups=("large",), average=1),
        mean(outcomes, "more than 60, in 10 s, cost by the best known", "large", BUDGET, 1),
        costs(outcomes, f"more than 60, in 10 s, cost by {HYPER}", BUDGET, HYPER, groups=("large",), worst=1.05),
        *(costs(outcomes, f"cost by {rival}", DEFAULT, rival, worst=1) for rival in GREEDIES),
        huge(outcomes),
        *(costs(outcomes, f"sliced, cost by {it}", SLICED, it, groups=("sliced",), average=1) for it in SLICERS),
        *(
            costs(outcomes, f"in the memory of {it}, cost by its", in_memory_of(it), it, groups=("sliced",), average=1)
            for it in SLICERS
        ),
    ]


def named(*names):
    return lambda problem: problem.name in names


def proof(outcomes, title, seconds, wanted, certificates=("optimal",)):
    """Whether the paths of these problems are proved, in so many seconds of searching."""
    line = Line(title, f"{milliseconds(seconds)} ms")
    entries = [(outcome.problem.name, outcome.entry(DEFAULT)) for outcome in outcomes if wanted(outcome.problem)]
    entries = [(name, entry) for name, entry in entries if entry is not None]
    if not entries:
        return line
    proved = [(name, entry) for name, entry in entries if entry.certificate in certificates]
    within = [entry for _, entry in proved if entry.seconds <= seconds]
    line.met = len(within) == len(entries)
    line.value = f"{len(within)} of {len(entries)}"
    if proved:
        line.value += f", slowest {milliseconds(max(entry.seconds for _, entry in proved))} ms"
    late = sorted(entries, key=lambda pair: (pair[1].certificate in certificates, -pair[1].seconds))
    for name, entry in late:
        if entry.certificate not in certificates or entry.seconds > seconds:
            line.notes.append(f"{name} {entry.certificate} {milliseconds(entry.seconds)} ms")
    return line


def speed(outcomes):
    line = Line(f"where {OPTIMAL} answers, its time by ours", "10")
    ratios = []
    for outcome in outcomes:
        mine, theirs = outcome.entry(DEFAULT), outcome.entry(OPTIMAL)
        # Of two operands there is nothing to search.
        if mine and theirs and outcome.problem.operands > 2:
            ratios.append((theirs.seconds / mine.seconds, outcome.problem.name))
    if ratios:
        average = geometric_mean([number for number, _ in ratios])
        line.met = average >= 10
        line.value = f"mean {average:.3g} of {len(ratios)}, worst {min(ratios)[0]:.3g}"
        line.notes = [f"{name} {number:.3g}" for number, name in sorted(ratios) if number < 10]
    return line


def costs(outcomes, title, ours, rival, groups=None, average=None, worst=None):
    """Our costs by those of a rival: their mean, or the worst of them, must not be above a number."""
    line = Line(title, f"all ≤ {worst}" if average is None else f"mean ≤ {average}")
    ratios = []
    for outcome in outcomes:
        mine, theirs = outcome.entry(ours), outcome.entry(rival)
        if mine and theirs and (groups is None or outcome.problem.group in groups):
            ratios.append((ratio(mine.cost, theirs.cost), outcome.problem.name))
    return judged(line, ratios, average, worst)


def mean(outcomes, title, group, ours, average):
    line = Line(title, f"mean ≤ {average}")
    inside = [outcome for outcome in outcomes if outcome.problem.group == group and outcome.entry(ours)]
    return judged(line, [(outcome.ratio(ours), outcome.problem.name) for outcome in inside], average)


def judged(line, ratios, average=None, worst=None):
    if not ratios:
        return line
    numbers = [number for number, _ in ratios]
    # What is beyond a float is as bad as a float can say, and what is nothing as good.
    middle = geometric_mean([min(max(number, 1e-300), 1e300) for number in numbers])
    line.met = (average is None or middle <= average + 1e-9) and (worst is None or max(numbers) <= worst)
    line.value = f"mean {factor(middle)} of {len(numbers)}, worst {factor(max(numbers))}"
    over = worst if worst is not None else max(average, 1)
    line.notes = [f"{name} {factor(number)}" for number, name in sorted(ratios, reverse=True) if number > over]
    return line


def huge(outcomes):
    line = Line("10,000 operands", "10 s, 1 GiB")
    entries = [
        (outcome.problem.name, entry)
        for outcome in outcomes
        if outcome.problem.group == "huge"
        for entry in outcome.entries
        if entry.contestant == DEFAULT
    ]
    if entries:
        fine = [entry.reason is None and entry.cpu <= 10 and entry.rss <= 1 << 30 for _, entry in entries]
        line.met = all(fine)
        line.value = f"{sum(fine)} of {len(fine)}"
        for name, entry in entries:
            used = f"{entry.cpu:.3g} s, {entry.rss / 2**20:.0f} MiB"
            line.notes.append(f"{name} {entry.reason or used}")
    return line


def text(lines, missing):
    """The lines; `missing` are the flags that the program does not have yet."""
    told = ["Targets"]
    for line in lines:
        verdict = {True: "met", False: "missed", None: "–"}[line.met]
        told.append(f"  {line.title:<58} {line.target:<12} {verdict:<7} {line.value}")
        if line.notes:
            more = len(line.notes) - NAMED
            told.append("      " + "; ".join(line.notes[:NAMED]) + (f"; and {more} more" if more > 0 else ""))
    if missing:
        told.append(f"  Not yet: the program has no {', '.join(missing)}.")
    return "\n".join(told) + "\n"


def markdown(lines):
    verdict = {True: "yes", False: "no", None: "–"}
    rows = [[line.title, line.target, line.value, verdict[line.met]] for line in lines]
    return table(["", "target", "now", "met"], 3, rows)
