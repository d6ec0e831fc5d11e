"""What a notebook shows of a plan."""

from __future__ import annotations

from typing import Any

from ._qeinsum import Plan


def bundle(plan: Plan, include: Any = None, exclude: Any = None) -> dict[str, str]:
    """The text, and the picture of a plan that is not too large for one, by their media types."""
    wanted = {"text/plain", "image/svg+xml"}
    wanted = (wanted if include is None else wanted & set(include)) - set(exclude or ())
    data = {}
    if "text/plain" in wanted:
        data["text/plain"] = str(plan)
    picture = plan._repr_svg_() if "image/svg+xml" in wanted else None
    if picture is not None:
        data["image/svg+xml"] = picture
    return data
