"""Points of a curve, for those who draw it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from boxray.core.arrays import FloatArray

MOST_POINTS = 300
"""Of a curve that is drawn."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of a curve, by falling threshold, thinned out for drawing."""

    x: tuple[float, ...]
    y: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        return {"x": [round(value, 4) for value in self.x], "y": [round(value, 4) for value in self.y]}


def thinned(x: FloatArray, y: FloatArray, most: int = MOST_POINTS) -> Curve:
    """A curve of at most so many of the points, the first and the last among them, evenly by their number."""
    places = np.unique(np.linspace(0, len(x) - 1, min(len(x), most)).round().astype(int))
    return Curve(tuple(x[places].tolist()), tuple(y[places].tolist()))
