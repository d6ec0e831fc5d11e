"""Who is measured. Each module brings the contestants of a library as a list, `CONTESTANTS`."""

import time
from dataclasses import dataclass
from enum import Enum
from typing import Callable

from server import Refused, Server
from workloads import PRODUCTS, Workload


class Kind(Enum):
    """What a contestant computes from what."""

    FLOAT = "f32"
    QUANTIZED = "int8"  # from floats to floats
    FROZEN = "int8 frozen"  # the same, the last operand quantized before
    INTEGER = "int8 given"  # from integers to integers


@dataclass(frozen=True)
class Task:
    """A workload with its operands, which all contestants share."""

    workload: Workload
    operands: list
    integers: list
    threads: int
    server: Server
    folder: str

    def matrices(self):
        if self.workload.matrices is None:
            raise Refused("not a product of matrices as they lie in memory")
        return self.workload.matrices


@dataclass(frozen=True)
class Contestant:
    name: str
    peer: str
    kind: Kind
    prepare: Callable
    groups: Callable = lambda group: group not in PRODUCTS


class Local:
    """A function of this process, ready to be called."""

    def __init__(self, run):
        self.run = run

    def result(self):
        return self.run()

    def time(self, repeats):
        run = self.run
        start = time.perf_counter()
        for _ in range(repeats):
            run()
        return time.perf_counter() - start


def all_contestants():
    # They load the libraries, which must not happen before the process is confined.
    from contestants import aqt, crates, einsums, etops, jax_numpy, onnx_runtime

    modules = (crates, einsums, jax_numpy, aqt, onnx_runtime, etops)
    return [contestant for module in modules for contestant in module.CONTESTANTS]
