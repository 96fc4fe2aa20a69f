"""From what a source says to what is known: one presence per finding, with the rule that decided."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from boxray.core.errors import DataError
from boxray.core.findings import LabelSpace, Presence
from boxray.data.card import Card


class Rule(StrEnum):
    """Which rule of the card decided."""

    BOX = "box"
    LABEL = "label"
    EXHAUSTIVE = "exhaustive"
    NO_LABEL = "no_label"
    REASON = "reason"
    ASSUMPTION = "assumption"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Cell:
    """One image × one finding."""

    presence: Presence
    rule: Rule


def presence_of(
    card: Card,
    label_space: LabelSpace,
    boxed: Collection[str],
    labels: Collection[str] | None,
    lost: Collection[str] = (),
) -> Mapping[str, Cell]:
    """What is known of each finding in one image.

    Args:
        card: Of the image's source.
        label_space: The findings asked for.
        boxed: Findings with at least one box in this image.
        labels: The image's raw labels. None: it has no row of labels, which is not the same as a row without any.
        lost: Findings with a box here that could not be built: nobody may call them absent for want of a box.

    Returns:
        A cell for each finding, in the label space's order.

    Raises:
        DataError: If a raw label is not in the card, or two labels contradict each other.
    """
    stated = _stated(card, labels or ())
    looked = labels is not None
    return {
        finding.key: _cell(card, finding.key, boxed, stated, looked=looked, lost=finding.key in lost)
        for finding in label_space
    }


def _stated(card: Card, labels: Collection[str]) -> dict[str, Presence]:
    stated: dict[str, Presence] = {}
    for label in labels:
        if label not in card.labels:
            raise DataError(f"{card.key}: raw image label {label!r} is not in the source card under 'labels'")
        for finding, presence in card.labels[label].items():
            if stated.setdefault(finding, presence) is not presence:
                raise DataError(f"{card.key}: the labels {sorted(labels)} contradict each other on {finding!r}")
    return stated


def _cell(
    card: Card, finding: str, boxed: Collection[str], stated: Mapping[str, Presence], *, looked: bool, lost: bool
) -> Cell:
    if finding in boxed:
        return Cell(Presence.BOXED, Rule.BOX)
    if lost and stated.get(finding) is not Presence.PRESENT:
        return Cell(Presence.UNKNOWN, Rule.NONE)
    if finding in stated:
        return Cell(stated[finding], Rule.LABEL)
    if finding in card.exhaustive:
        return Cell(Presence.ABSENT, Rule.EXHAUSTIVE)
    if finding in card.absent_without_label and looked:
        return Cell(Presence.ABSENT, Rule.NO_LABEL)
    if finding in card.absent_because:
        return Cell(Presence.ABSENT, Rule.REASON)
    if finding in card.absent_by_assumption:
        return Cell(Presence.ABSENT, Rule.ASSUMPTION)
    return Cell(Presence.UNKNOWN, Rule.NONE)
