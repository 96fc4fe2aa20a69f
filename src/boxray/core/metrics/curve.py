"""Points of a curve, for those who draw it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of a curve, by falling threshold, thinned out for drawing."""

    x: tuple[float, ...]
    y: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        return {"x": [round(value, 4) for value in self.x], "y": [round(value, 4) for value in self.y]}
