"""Arrays of the tests: small, of either sign, the same every time."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import pytest


@pytest.fixture
def make() -> Callable[..., Any]:
    """Makes an array of a shape, a type and a seed."""

    def array(*shape: int, dtype: Any = np.float32, seed: int = 0) -> Any:
        random = np.random.default_rng(seed)
        values = random.standard_normal(shape)
        if np.issubdtype(np.dtype(dtype), np.complexfloating):
            values = values + 1j * random.standard_normal(shape)
        return values.astype(dtype)

    return array
