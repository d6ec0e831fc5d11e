"""Einsum planned, inspected and run quantized: any number of operands, the same bits on every machine.

>>> import numpy as np, qeinsum
>>> a, b = np.ones((2, 3), np.float32), np.ones((3, 4), np.float32)
>>> qeinsum.einsum("ij,jk->ik", a, b).shape
(2, 4)
>>> qeinsum.einsum("ij,jk->ik", a, b, bits=8)[0, 0]
np.float32(2.976517)
>>> print(qeinsum.plan("ij,jk,kl->il", (2, 3), (3, 4), (4, 5)).order)
(0,1) (0,1)
"""

from ._qeinsum import (
    PLANNER_VERSION,
    ConfigError,
    EquationError,
    Error,
    Frozen,
    FrozenError,
    Key,
    LimitError,
    PathError,
    Plan,
    PlanError,
    ShapeError,
    __version__,
    set_threads,
)
from ._calls import ContractExpression, PathInfo, contract_expression, contract_path, einsum, plan
from ._config import Config
from ._layer import Analysis, QEinsum, QuantizationError
from ._optimizer import Optimizer

__all__ = [
    "PLANNER_VERSION",
    "Analysis",
    "Config",
    "ConfigError",
    "ContractExpression",
    "EquationError",
    "Error",
    "Frozen",
    "FrozenError",
    "Key",
    "LimitError",
    "Optimizer",
    "PathError",
    "PathInfo",
    "Plan",
    "PlanError",
    "QEinsum",
    "QuantizationError",
    "ShapeError",
    "__version__",
    "contract_expression",
    "contract_path",
    "einsum",
    "plan",
    "set_threads",
]


def _key_from_words(high: int, low: int, partitionable: bool) -> Key:
    """What a pickled key is made by."""
    return Key.from_words(high, low, partitionable=partitionable)
