"""What a notebook shows of a plan."""

from __future__ import annotations

from typing import Any

from ._qeinsum import Plan

# In a picture of more operands nobody makes anything out, and each notebook that shows it keeps all of it.
_DRAWN = 200


def bundle(plan: Plan, include: Any = None, exclude: Any = None) -> dict[str, str]:
    """The text, and the picture of a plan that is not too large for one, by their media types."""
    wanted = {"text/plain", "image/svg+xml"}
    wanted = (wanted if include is None else wanted & set(include)) - set(exclude or ())
    data = {}
    if "text/plain" in wanted:
        data["text/plain"] = str(plan)
    if "image/svg+xml" in wanted and len(plan.shapes) <= _DRAWN:
        data["image/svg+xml"] = plan.to_svg()
    return data
