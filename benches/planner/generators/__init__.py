"""The problems that are generated, by size. The same seed gives the same problems on every machine."""

from problems import Problem
from splitmix import SplitMix

from . import algebra, circuits, graphs, lattices, models

FAMILIES = {
    "term": algebra.term,
    "chain": algebra.chain,
    "layers": algebra.layers,
    "regular": graphs.regular,
    "tree": graphs.tree,
    "hyper": graphs.hypergraph,
    "clauses": graphs.clauses,
    "grid": lattices.lattice,
    "cubic": lattices.lattice,
    "peps": lattices.peps,
    "mps": lattices.mps,
    "mera": lattices.mera,
    "circuit": circuits.random_circuit,
    "qaoa": circuits.qaoa,
    "qft": circuits.qft,
    "potts": models.potts,
    "evidence": models.evidence,
}

# The name of each is its family and what its generator is told, in this order.
SMALL = [
    *(("term", name) for name in algebra.TERMS),
    ("chain", 10), ("chain", 20), ("tree", 12), ("tree", 20), ("regular", 10, 3), ("regular", 12, 4, 2, 5),
    ("regular", 18, 3, 2, 5), ("regular", 20, 4), ("regular", 20, 5, 2, 4),
    ("hyper", 8, 3), ("hyper", 12, 3), ("hyper", 18, 3),
    ("grid", 3, 4), ("grid", 4, 5), ("cubic", 2, 2, 3), ("peps", 3, 3), ("mera", 4), ("qft", 4), ("evidence", 2, 4, 30),
]  # fmt: skip
MEDIUM = [
    ("regular", 30, 3, 2, 4), ("regular", 40, 3), ("regular", 50, 4), ("hyper", 30, 3), ("hyper", 50, 3),
    ("grid", 6, 6), ("cubic", 3, 3, 4), ("peps", 4, 4), ("mera", 8), ("mera", 16), ("mps", 15),
    ("circuit", 3, 3, 12), ("qaoa", 10, 1), ("qft", 7), ("potts", 4, 4), ("evidence", 4, 4, 20), ("clauses", 20, 40),
    ("layers", 8), ("chain", 50), ("tree", 60),
]  # fmt: skip
LARGE = [
    ("regular", 100, 3), ("regular", 200, 3), ("regular", 120, 4), ("regular", 300, 3, 2, 4),
    ("hyper", 100, 3), ("hyper", 300, 3), ("clauses", 80, 160), ("clauses", 300, 700),
    ("grid", 12, 12), ("grid", 24, 24), ("cubic", 4, 4, 4), ("cubic", 6, 6, 6), ("peps", 7, 7), ("mps", 100),
    ("mera", 32), ("circuit", 5, 6, 12), ("circuit", 7, 7, 16), ("qaoa", 30, 2), ("qft", 24),
    ("potts", 8, 8), ("potts", 12, 12), ("evidence", 12, 12, 20), ("evidence", 30, 30, 30),
    ("layers", 60), ("chain", 100), ("chain", 1000), ("tree", 200), ("tree", 3000),
]  # fmt: skip
HUGE = [("regular", 10_000, 3), ("grid", 100, 100), ("chain", 10_000), ("tree", 10_000)]

# What the largest result may have, as a logarithm to base 2, when these are sliced.
SLICED = {"circuit_7_7_16": 30, "regular_200_3": 18, "cubic_6_6_6": 28, "peps_7_7": 18}

# One of each kind, of those that are done in no time.
QUICK = ["attention_scores", "ccsd_quartic", "chain_20", "regular_20_4", "hyper_12_3", "peps_3_3", "grid_6_6", "mera_8",
         "clauses_20_40", "regular_100_3", "grid_12_12", "qft_24", "potts_8_8", "tree_200"]  # fmt: skip


def generate(seed=0):
    return [problem(seed, *entry) for entry in SMALL + MEDIUM + LARGE + HUGE]


def problem(seed, family, *told):
    words = told if family == "term" else (family, *told)
    name = "_".join(str(word) for word in words) + (f"~{seed}" if seed else "")
    network = FAMILIES[family](SplitMix(name), *told)
    return Problem(name, words[0].split("_")[0], network.inputs, network.output, network.sizes)
