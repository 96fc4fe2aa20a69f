"""What two models both answer for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from boxray.core.errors import ModelError
from boxray.core.protocols import Model

MEAN: Final = "mean"
"""Stands in the place of a finding where a figure is the mean over findings."""


def findings_of_both(ours: Model, theirs: Model, named: Sequence[str] = ()) -> tuple[str, ...]:
    """The findings on which two models can be compared, in the label space's order.

    Args:
        ours: One model.
        theirs: The other.
        named: Only these; none means all that both assess.

    Raises:
        ModelError: If their label spaces differ, or one of them does not assess what is named, or they assess
            nothing in common.
    """
    ours.label_space.require_same(theirs.label_space)
    both = tuple(key for key in ours.label_space.keys if key in ours.assessed and key in theirs.assessed)
    surplus = [key for key in named if key not in both]
    if surplus or not both:
        asked = f"{', '.join(surplus)} cannot be compared" if surplus else "there is nothing to compare"
        assessed = {"ours": ours.assessed, "theirs": theirs.assessed, "both": both}
        said = "; ".join(f"by {who}: {', '.join(keys) or 'nothing'}" for who, keys in assessed.items())
        raise ModelError(f"{asked}; assessed {said}")
    return tuple(key for key in both if not named or key in named)
