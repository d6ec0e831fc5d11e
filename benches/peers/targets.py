"""What the outcomes say about the targets: how often ours fits into the time of another, alone and as a mean.

A ratio is the median of theirs by the median of ours, so that above 1 ours is the faster; beside it stands the ratio of the
minima. A mean is geometric.
"""

import math
from dataclasses import asdict, dataclass

from contestants import Kind
from workloads import PRODUCTS

QUANTIZED = ("bmm_16x256", "attn_qk", "attn_av", "ffn_up", "qkv_proj")
PERMUTED = ("tc_permK", "tc_aebf", "tc_ccsd", "tc_mode5")
BATCHED_PRODUCT = "bmm_16x256"


@dataclass
class Ratio:
    workload: str
    ours: str
    theirs: str
    median: float
    minimum: float


@dataclass
class Section:
    title: str
    ratios: list

    @property
    def mean(self):
        return math.exp(math.fsum(math.log(ratio.median) for ratio in self.ratios) / len(self.ratios))

    @property
    def worst(self):
        return min(self.ratios, key=lambda ratio: ratio.median)


def summarize(outcomes):
    sections = [
        against(outcomes, "int8 against the best f32 peer", QUANTIZED, "qeinsum int8", best_float),
        against(outcomes, "int8 against AQT", QUANTIZED, "qeinsum int8", named("AQT")),
        against(outcomes, "int8, permuted, against the best f32 peer", PERMUTED, "qeinsum int8", best_float),
        against(outcomes, "int8, many small, against the best f32 peer", ["small_8x8_10k"], "qeinsum int8", best_float),
        against(outcomes, "f32, many small, against the best f32 peer", ["small_8x8_10k"], "qeinsum", best_float),
        against(outcomes, "frozen decode against the best f32 peer", ["ffn_decode"], "qeinsum int8 frozen", best_float),
        against(
            outcomes,
            "frozen decode against ONNX Runtime's",
            ["ffn_decode"],
            "qeinsum int8 frozen",
            named("ORT DynamicQuantizeMatMul"),
        ),
        against(
            outcomes,
            "f32 products against the better of gemm and faer",
            [name for name in names(outcomes) if is_product(outcomes, name)],
            "qeinsum",
            best_of("gemm", "faer"),
        ),
        against(
            outcomes,
            "f32 against the better of numpy and jnp",
            [name for name in names(outcomes) if not is_product(outcomes, name)],
            "qeinsum",
            best_of("numpy", "jnp"),
        ),
    ]
    return [section for section in sections if section.ratios]


def names(outcomes):
    return [outcome.workload.name for outcome in outcomes]


def is_product(outcomes, name):
    group = next(outcome.workload.group for outcome in outcomes if outcome.workload.name == name)
    return group in PRODUCTS or name == BATCHED_PRODUCT


def best_float(outcome):
    return outcome.best(Kind.FLOAT)


def best_of(*peers):
    return lambda outcome: outcome.best(Kind.FLOAT, peers)


def named(name):
    return lambda outcome: outcome.entry(name)


def against(outcomes, title, workloads, ours, rival):
    ratios = []
    for outcome in outcomes:
        if outcome.workload.name not in workloads:
            continue
        mine, theirs = outcome.entry(ours), rival(outcome)
        if mine and theirs:
            median, minimum = theirs.median / mine.median, theirs.minimum / mine.minimum
            ratios.append(Ratio(outcome.workload.name, ours, theirs.contestant.name, median, minimum))
    return Section(title, ratios)


def text(outcomes, sections):
    lines = ["Summary: theirs by ours, medians (minima); above 1 ours is the faster"]
    for section in sections:
        lines.append(f"  {section.title}")
        for ratio in section.ratios:
            lines.append(f"    {ratio.workload:<16} {ratio.median:>7.2f} ({ratio.minimum:.2f})  {ratio.theirs}")
        if len(section.ratios) > 1:
            worst = section.worst
            lines.append(f"    geometric mean {section.mean:.2f}, worst {worst.median:.2f} ({worst.workload})")
    for outcome in outcomes:
        if outcome.workload.group == "overhead":
            lines.append(f"  a call, {outcome.workload.name}: median (minimum) in µs")
            for entry in sorted(outcome.timed, key=lambda entry: entry.median):
                name = entry.contestant.name
                lines.append(f"    {name:<26} {1e6 * entry.median:>9.3f} ({1e6 * entry.minimum:.3f})")
    return "\n".join(lines) + "\n"


def data(sections):
    return [{**asdict(section), "mean": section.mean} for section in sections]
