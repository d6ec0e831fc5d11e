"""qeinsum and other crates, which the server runs."""

import os
from dataclasses import asdict

import numpy as np

from contestants import Contestant, Kind
from workloads import PRODUCTS


class Remote:
    """A contestant that was set up in the server."""

    def __init__(self, task, name):
        matrices = task.workload.matrices and asdict(task.workload.matrices)
        self.task = task
        self.handle = task.server.ask("setup", contestant=name, equation=task.workload.equation, matrices=matrices)

    def result(self):
        file = os.path.join(self.task.folder, "result")
        written = self.task.server.ask("result", handle=self.handle, file=file)
        shape = written["shape"] or self.task.workload.shape(self.task.workload.output)
        return np.fromfile(file, written["dtype"]).reshape(shape)

    def time(self, repeats):
        return self.task.server.ask("time", handle=self.handle, repeats=repeats)


def crate(name, peer, kind, contestant, groups):
    return Contestant(name, peer, kind, lambda task: Remote(task, contestant), groups)


def everywhere(group):
    return True


def overhead(group):
    return group == "overhead"


def einsums(group):
    return group not in PRODUCTS


CONTESTANTS = [
    crate("qeinsum", "qeinsum", Kind.FLOAT, "qeinsum-f32", everywhere),
    crate("qeinsum int8", "qeinsum", Kind.QUANTIZED, "qeinsum-quantized", everywhere),
    crate("qeinsum int8 frozen", "qeinsum", Kind.FROZEN, "qeinsum-frozen", everywhere),
    crate("qeinsum from text", "qeinsum", Kind.FLOAT, "qeinsum-from-text", overhead),
    crate("gemm", "gemm", Kind.FLOAT, "gemm", everywhere),
    crate("faer", "faer", Kind.FLOAT, "faer", everywhere),
    crate("rten-gemm", "rten-gemm", Kind.FLOAT, "rten", everywhere),
    crate("rten-gemm int8", "rten-gemm", Kind.INTEGER, "rten-integers", everywhere),
    crate("cpueinsum", "cpueinsum", Kind.FLOAT, "cpueinsum", einsums),
]
