"""Outcomes as text, as a table for Markdown, and as data."""

import itertools

from contestants import Kind

INTEGER_KINDS = (Kind.QUANTIZED, Kind.FROZEN, Kind.INTEGER)


def text(outcome):
    workload, peaks = outcome.workload, outcome.peaks
    lines = [
        f"{workload.name}: {workload.equation}, {outcome.gop:.4g} GOP; "
        f"peaks: int8 {peaks['int8']:.0f}, f32 {peaks['f32']:.0f} GOP/s"
    ]
    lines.append(f"  {'':<26} {'kind':<12} {'median ms':>10} {'min ms':>10} {'GOP/s':>8} {'% of peak':>9} {'× f32':>7}")
    best = outcome.best(Kind.FLOAT)
    for entry in sorted(outcome.timed, key=lambda entry: entry.median):
        contestant = entry.contestant
        rate, share = "–", "–"
        if outcome.gop:
            peak = peaks["int8" if contestant.kind in INTEGER_KINDS else "f32"]
            rate, share = f"{outcome.gop / entry.median:.4g}", f"{100 * outcome.gop / entry.median / peak:.1f}"
        gain = f"{best.median / entry.median:.2f}" if best else ""
        lines.append(
            f"  {contestant.name:<26} {contestant.kind.value:<12} {1e3 * entry.median:>10.4g} "
            f"{1e3 * entry.minimum:>10.4g} {rate:>8} {share:>9} {gain:>7}"
        )
    for reason, entries in itertools.groupby(sorted(left_out(outcome), key=reason_of), key=reason_of):
        lines.append(f"  {reason}: {', '.join(entry.contestant.name for entry in entries)}")
    return "\n".join(lines) + "\n"


def left_out(outcome):
    return (entry for entry in outcome.entries if entry.reason)


def reason_of(entry):
    return entry.reason if entry.wrong else f"not run, {entry.reason}"


def markdown(outcomes):
    """Medians in milliseconds, a row for each workload."""
    names = list(dict.fromkeys(entry.contestant.name for outcome in outcomes for entry in outcome.timed))
    head = ["workload", *names, "int8 peak", "f32 peak"]
    rows = [head, ["---"] + ["---:"] * (len(head) - 1)]
    for outcome in outcomes:
        entries = (outcome.entry(name) for name in names)
        times = [f"{1e3 * entry.median:.3g}" if entry else "–" for entry in entries]
        rows.append([outcome.workload.name, *times, *(f"{outcome.peaks[name]:.0f}" for name in ("int8", "f32"))])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def data(outcomes, summary, about):
    return {
        **about,
        "workloads": [
            {
                "name": outcome.workload.name,
                "equation": outcome.workload.equation,
                "gop": outcome.gop,
                "peaks_gops": outcome.peaks,
                "contestants": [
                    {
                        "name": entry.contestant.name,
                        "peer": entry.contestant.peer,
                        "kind": entry.contestant.kind.value,
                        "milliseconds": [1e3 * sample for sample in entry.samples],
                        "reason": entry.reason,
                    }
                    for entry in outcome.entries
                ],
            }
            for outcome in outcomes
        ],
        "summary": summary,
    }
