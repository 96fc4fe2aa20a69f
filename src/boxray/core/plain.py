"""Plain data as JSON that every reader of JSON takes: Python's own writes a bare NaN, which is none."""

from __future__ import annotations

import json
import math
from typing import Any


def json_text(content: Any) -> str:
    """JSON with a line's end. NaN means *nothing to measure* here, and `null` says so.

    Args:
        content: Dicts with text as keys, lists, tuples, text, numbers, True, False and None.

    Raises:
        TypeError: If something else is in it.
        ValueError: If a number is infinite: that is a fault, and no word of JSON means it.

    >>> print(json_text({"ap50": float("nan")}), end="")
    {
      "ap50": null
    }
    """
    return json.dumps(_without_nan(content), indent=2, allow_nan=False) + "\n"


def rounded(value: float) -> float | None:
    """Four digits; None for NaN, *nothing to measure*."""
    return None if math.isnan(value) else round(value, 4)


def _without_nan(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_without_nan(value) for value in content]
    return None if isinstance(content, float) and math.isnan(content) else content
