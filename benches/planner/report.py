"""Outcomes as text, as tables for Markdown, and as data."""

import itertools
import json
import math
from dataclasses import asdict

from cost import geometric_mean
from problems import SIZES

GROUPS = (*SIZES, "sliced")


def text(outcome):
    problem = outcome.problem
    lines = [f"{problem.name}: {problem.group}, {problem.operands} operands, {len(problem.sizes)} labels"]
    if outcome.best is not None:
        lines[0] += f"; best known 10^{log10(outcome.best)} ({outcome.best_by})"
    lines.append(f"  {'':<26} {'log10 cost':>10} {'× best':>10} {'search ms':>10} {'cpu ms':>10} {'wall ms':>10}")
    for entry in sorted(outcome.answered, key=lambda entry: (entry.cost, entry.seconds)):
        note = "".join(f"  {word}" for word in (entry.certificate, "reused" if entry.reused else None) if word)
        lines.append(
            f"  {entry.contestant:<26} {log10(entry.cost):>10} {factor(outcome.ratio(entry.contestant)):>10} "
            f"{milliseconds(entry.seconds):>10} {milliseconds(entry.cpu):>10} {milliseconds(entry.wall):>10}{note}"
        )
    silent = sorted((entry for entry in outcome.entries if entry.reason), key=lambda entry: entry.reason)
    for reason, entries in itertools.groupby(silent, key=lambda entry: entry.reason):
        lines.append(f"  {reason}: {', '.join(entry.contestant for entry in entries)}")
    return "\n".join(lines) + "\n"


def log10(cost):
    return f"{math.log10(cost):.3f}" if cost else "–"


def factor(ratio):
    if ratio is None:
        return "–"
    if ratio != 1 and abs(ratio - 1) < 5e-4:
        # Not the same, and not to be read as if it were.
        return f"1{ratio - 1:+.0e}"
    return f"{ratio:.4g}" if ratio < 1e4 else f"{ratio:.1e}" if ratio < math.inf else "> 1e300"


def milliseconds(seconds):
    return "–" if seconds is None else f"{1e3 * seconds:.4g}"


def classes(outcomes):
    """For every group and contestant: how many were answered, mean and worst ratio to the best known, mean seconds."""
    rows = []
    for group in GROUPS:
        inside = [outcome for outcome in outcomes if outcome.problem.group == group]
        for name in contestants(inside):
            ratios = [ratio for outcome in inside if (ratio := outcome.ratio(name)) not in (None, 0, math.inf)]
            seconds = [max(entry.seconds, 1e-9) for outcome in inside if (entry := outcome.entry(name))]
            asked = sum(entry.contestant == name for outcome in inside for entry in outcome.entries)
            if not ratios:
                rows.append([group, name, f"0 of {asked}", "–", "–", "–"])
                continue
            means = [factor(geometric_mean(ratios)), factor(max(ratios)), milliseconds(geometric_mean(seconds))]
            rows.append([group, name, f"{len(seconds)} of {asked}", *means])
    return rows


CLASSES_HEAD = ["group", "contestant", "answered", "mean × best", "worst × best", "mean search ms"]


def contestants(outcomes):
    return list(dict.fromkeys(entry.contestant for outcome in outcomes for entry in outcome.entries))


def classes_text(outcomes):
    lines = ["Groups: costs by the best known, geometric means over what each answered"]
    for group, name, *numbers in [CLASSES_HEAD, *classes(outcomes)]:
        lines.append(f"  {group:<8} {name:<26} " + " ".join(f"{number:>14}" for number in numbers))
    return "\n".join(lines) + "\n"


def markdown(outcomes):
    """The groups, and the ratio of every problem's costs to the best known."""
    names = contestants(outcomes)
    rows = []
    for outcome in outcomes:
        ratios = [factor(outcome.ratio(name)) for name in names]
        rows.append([outcome.problem.name, str(outcome.problem.operands), log10(outcome.best), *ratios])
    head = ["problem", "operands", "log10 best", *names]
    return table(CLASSES_HEAD, 2, classes(outcomes)) + "\n" + table(head, 1, rows)


def table(head, left, rows):
    rule = ["---"] * left + ["---:"] * (len(head) - left)
    return "".join("| " + " | ".join(row) + " |\n" for row in (head, rule, *rows))


def save(file, outcomes, lines, about):
    """One entry a line; costs are exact integers."""
    problems = []
    for outcome in outcomes:
        head = {
            "name": outcome.problem.name,
            "digest": outcome.problem.digest,
            "group": outcome.problem.group,
            "operands": outcome.problem.operands,
            "best": outcome.best,
            "best_by": outcome.best_by,
        }
        entries = ",\n".join("   " + json.dumps(asdict(entry)) for entry in outcome.entries)
        problems.append(f'  {json.dumps(head)[:-1]}, "entries": [\n{entries}\n  ]}}')
    summary = json.dumps([asdict(line) for line in lines], indent=1)
    body = ",\n".join(problems)
    file.write_text(f'{{"about": {json.dumps(about)},\n"problems": [\n{body}\n],\n"lines": {summary}}}\n')


