"""Corrections in words: what stood there, and what the reviewer holds instead."""

from __future__ import annotations

from boxray.data.corrections import Correction, Kind, Opinion
from boxray.data.record import Corners


def edit_in_words(made: Correction) -> str:
    """One edit as before → after."""
    before, after = made.box_before_xyxy, made.box_after_xyxy
    if made.kind is Kind.PRESENCE:
        was = made.presence_before.value if made.presence_before else "…"
        return f"{was} → {made.presence_after.value if made.presence_after else '…'}"
    if made.kind is Kind.MARKED:
        return "for a second opinion"
    if made.kind is Kind.KEPT:
        return f"{_box(before)} is right"
    return f"{_box(before)} → {_box(after)}"


def opinion_in_words(opinion: Opinion) -> str:
    """What a reviewer holds of a finding."""
    n_boxes = len(opinion.boxes_xyxy)
    return f"{n_boxes} box{'es' if n_boxes > 1 else ''}" if n_boxes else opinion.presence.value


def _box(corners: Corners | None) -> str:
    if corners is None:
        return "none"
    x1, y1, x2, y2 = corners
    return f"[{x1:.0f} {y1:.0f} {x2:.0f} {y2:.0f}]"
