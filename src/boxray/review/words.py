"""Corrections in words: what stood there, and what the reviewer holds instead."""

from __future__ import annotations

from boxray.data.corrections import Correction, Kind, Opinion


def edit_in_words(made: Correction) -> str:
    """One edit as before → after."""
    before, after = made.sides
    if made.kind is Kind.MARKED:
        return after
    return f"{before} is right" if made.kind is Kind.KEPT else f"{before} → {after}"


def opinion_in_words(opinion: Opinion) -> str:
    """What a reviewer holds of a finding."""
    n_boxes = len(opinion.boxes_xyxy)
    return f"{n_boxes} box{'es' if n_boxes > 1 else ''}" if n_boxes else opinion.presence.value
