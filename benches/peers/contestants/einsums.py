"""Einsums on arrays of NumPy: NumPy's own, opt_einsum's and that of TBLIS."""

import math

import numpy as np
import opt_einsum

from contestants import Contestant, Kind, Local
from server import Refused

# Places of a loop that is over in seconds.
LONGEST_LOOP = 1e9


def refuse_long_loops(task):
    """NumPy's order keeps results small, and leaves what would not be to one loop over all operands that are left."""
    order = np.einsum_path(task.workload.equation, *task.operands, optimize=True)[0][1:]
    if any(len(step) > 2 for step in order) and math.prod(task.workload.sizes.values()) > LONGEST_LOOP:
        raise Refused("its order ends in one long loop over many operands, which takes minutes")


def numpy_einsum(task):
    refuse_long_loops(task)
    equation, operands = task.workload.equation, task.operands
    return Local(lambda: np.einsum(equation, *operands, optimize=True))


def expression(task):
    contract = opt_einsum.contract_expression(task.workload.equation, *task.workload.shapes)
    operands = task.operands
    return Local(lambda: contract(*operands))


def tblis(task):
    import pytblis

    # Its order is NumPy's.
    refuse_long_loops(task)
    pytblis.set_num_threads(task.threads)
    equation, operands = task.workload.equation, task.operands
    return Local(lambda: pytblis.einsum(equation, *operands))


CONTESTANTS = [
    Contestant("numpy", "numpy", Kind.FLOAT, numpy_einsum),
    Contestant("opt_einsum", "opt_einsum", Kind.FLOAT, expression),
    Contestant("pytblis", "pytblis", Kind.FLOAT, tblis),
]
