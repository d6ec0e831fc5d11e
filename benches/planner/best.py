"""The best paths known, in a file: `{name: {"cost": …, "ssa": [[…], …], "sliced": […]}}`; `ssa` may be missing.

A cost with a path is computed anew, so that what is not true of the problem is not believed.
"""

import json
import sys
from dataclasses import dataclass

from cost import BadPath, evaluate


@dataclass(frozen=True)
class Known:
    cost: int
    path: list | None
    sliced: list


def load(file):
    return json.loads(file.read_text()) if file else {}


def known(entries, problem):
    entry = entries.get(problem.name)
    if entry is None:
        return None
    path, sliced = entry.get("ssa"), entry.get("sliced", [])
    if path is None:
        return Known(int(entry["cost"]), None, [])
    try:
        cost = evaluate(problem, path, sliced)
    except (BadPath, KeyError) as error:
        print(f"the best path known of {problem.name} is of another problem: {error}", file=sys.stderr)
        return None
    return Known(cost.multiplications, path, sliced)


def save(file, entries, outcomes):
    """The entries with what these outcomes add, one a line."""
    for outcome in outcomes:
        if outcome.best_by in (None, "known before"):
            continue
        entry = outcome.entry(outcome.best_by)
        found = {"cost": entry.cost, "ssa": entry.path}
        entries[outcome.problem.name] = found | ({"sliced": entry.sliced} if entry.sliced else {})
    lines = (f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in sorted(entries.items()))
    file.write_text("{\n" + ",\n".join(lines) + "\n}\n")
