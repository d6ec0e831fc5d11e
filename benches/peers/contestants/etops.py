"""etops (einsum_ir): contractions of two operands, compiled for their sizes."""

import numpy as np

from contestants import Contestant, Kind, Local
from server import Refused


def strides(term, labels, sizes):
    """How far apart elements are along each label, 0 along those that the term lacks."""
    steps, step = {}, 1
    for label in reversed(term):
        steps[label] = step
        step *= sizes[label]
    return tuple(steps.get(label, 0) for label in labels)


def operation(workload, terms, threads):
    import etops

    left, right = terms
    labels = list(dict.fromkeys(workload.output + left + right))

    def role(label):
        if label not in workload.output:
            return etops.dim.k
        if label in left and label in right:
            return etops.dim.c
        return etops.dim.m if label in left else etops.dim.n

    config = etops.TensorOperationConfig(
        backend="tpp",
        data_type=etops.float32,
        prim_first=etops.prim.zero,
        prim_main=etops.prim.gemm,
        prim_last=etops.prim.none,
        dim_types=tuple(role(label) for label in labels),
        exec_types=tuple(etops.exec.seq for _ in labels),
        dim_sizes=tuple(workload.sizes[label] for label in labels),
        strides=(tuple(strides(term, labels, workload.sizes) for term in (left, right, workload.output)),),
    )
    settings = {**etops.backend.tpp.get_default_optimization_config(), "num_threads": threads}
    return etops.TensorOperation(etops.optimize(config, settings))


class InPlace(Local):
    """Writes into an array that is there already."""

    def __init__(self, execute, operands, shape):
        self.out = np.empty(shape, np.float32)
        super().__init__(lambda: execute(*operands, self.out))

    def result(self):
        self.run()
        return self.out


def contraction(task):
    """The faster of the two orders of the operands, of which it prefers one by the layout of the result."""
    workload = task.workload
    if len(task.operands) != 2:
        raise Refused("its operations have two operands")
    shape = workload.shape(workload.output)
    orders = []
    for step in (1, -1):
        try:
            built = operation(workload, workload.terms[::step], task.threads)
        except RuntimeError as error:
            refusal = Refused(str(error))
            continue
        run = InPlace(built.execute, task.operands[::step], shape)
        run.time(1)
        orders.append((run.time(1), len(orders), run))
    if not orders:
        raise refusal
    return min(orders)[2]


CONTESTANTS = [Contestant("etops", "etops", Kind.FLOAT, contraction)]
