"""From what a source says to what is known: one presence per finding, with the rule that decided."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from boxray.core.errors import DataError
from boxray.core.findings import LabelSpace, Presence, members
from boxray.data.card import Card


class Rule(StrEnum):
    """Which rule decided; the strongest first: of several readings of one image the stronger holds."""

    BOX = "box"
    LOST = "lost"
    """A box was drawn that could not be built: nobody may call the finding absent for want of a box."""
    LABEL = "label"
    EXHAUSTIVE = "exhaustive"
    EXCLUSIVE = "exclusive"
    """The source gives each image one class, and another one is there."""
    NO_LABEL = "no_label"
    REASON = "reason"
    ASSUMPTION = "assumption"
    DISPUTED = "disputed"
    """One reading has it and another has not, and neither drew a box."""
    NONE = "none"


def absence_words(rule: str) -> str:
    """How it is known that a finding is absent, for people."""
    return {
        Rule.LABEL.value: "somebody said so",
        Rule.EXHAUSTIVE.value: "its readers box every occurrence",
        Rule.EXCLUSIVE.value: "the image is of another class",
        Rule.NO_LABEL.value: "not among the image's labels",
        Rule.REASON.value: "for a reason its card states",
    }.get(rule, rule)


STRENGTH: Final = MappingProxyType({rule: place for place, rule in enumerate(Rule)})
"""Place in the order of `Rule`: 0 is the strongest."""

SPOKEN: Final = frozenset({Rule.LABEL, Rule.EXHAUSTIVE, Rule.EXCLUSIVE})
"""Somebody spoke of this very image. The weaker rules speak of the source."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One image × one finding."""

    presence: Presence
    rule: Rule


THERE: Final = frozenset({Presence.BOXED, Presence.PRESENT})

Cells = tuple[Cell, ...]
"""One image: a cell for each finding of the label space, in its order."""


class PresenceRules:
    """What a card's rules say of an image, in a label space.

    Images of a source repeat each other, so what was worked out once is looked up: a million images cost
    a million look-ups, and images that say the same share one tuple of cells.
    """

    def __init__(self, card: Card, label_space: LabelSpace) -> None:
        self._card = card
        self._space = label_space
        self._known: dict[tuple[frozenset[str], tuple[str, ...] | None, frozenset[str]], Cells] = {}

    def cells(self, boxed: Collection[str], labels: tuple[str, ...] | None, lost: Collection[str] = ()) -> Cells:
        """What is known of each finding in one image.

        Args:
            boxed: Words of the card with at least one box in this image.
            labels: The image's raw labels. None: it has no row of labels, which is not the same as a row without any.
            lost: Words with a box here that could not be built: nobody may call them absent for want of a box.

        Returns:
            A cell for each finding, in the label space's order.

        Raises:
            DataError: If a raw label is not in the card, or two labels contradict each other.
        """
        key = frozenset(boxed), labels, frozenset(lost)
        if key not in self._known:
            self._known[key] = self._worked_out(*key)
        return self._known[key]

    def _worked_out(self, boxed: frozenset[str], labels: tuple[str, ...] | None, lost: frozenset[str]) -> Cells:
        stated = _stated(self._card, labels or ())
        cells = []
        for finding in self._space:
            parts = [
                _cell(self._card, word, boxed, stated, looked=labels is not None, lost=word in lost)
                for word in members(finding)
            ]
            cells.append(_joined(parts))
        return _ruled_out(cells) if self._space.exclusive and self._card.one_class else tuple(cells)


def together(readings: Sequence[Cells], *, exclusive: bool) -> Cells:
    """What several readings of one image say together.

    A box holds against everything. Where one reading has a finding and another has not, both in so many words, it
    is UNKNOWN (disputed). Otherwise what is known by the strongest rule holds, whatever the order of the readings.

    Args:
        readings: At least one.
        exclusive: Whether only one of the findings can be there: of two, those without a box are disputed.
    """
    cells = [_agreed(cells) for cells in zip(*readings, strict=True)]
    there = [cell for cell in cells if cell.presence in THERE]
    if exclusive and len(there) > 1:
        cells = [Cell(Presence.UNKNOWN, Rule.DISPUTED) if cell.presence is Presence.PRESENT else cell for cell in cells]
    return tuple(cells)


def contradicted(readings: Sequence[Cells]) -> list[int]:
    """Positions of the findings that one reading has and another has not, both by more than an assumption."""
    found = []
    for position, cells in enumerate(zip(*readings, strict=True)):
        said = {cell.presence for cell in cells if cell.rule is not Rule.ASSUMPTION}
        if Presence.ABSENT in said and said & THERE:
            found.append(position)
    return found


def _agreed(cells: Sequence[Cell]) -> Cell:
    best = min(cells, key=_weakness)
    spoken = {cell.presence for cell in cells if cell.rule in SPOKEN}
    if best.rule is not Rule.BOX and {Presence.PRESENT, Presence.ABSENT} <= spoken:
        return Cell(Presence.UNKNOWN, Rule.DISPUTED)
    return best


def _weakness(cell: Cell) -> tuple[bool, int, bool]:
    says_nothing = cell.presence is Presence.UNKNOWN and cell.rule is not Rule.LOST
    return says_nothing, STRENGTH[cell.rule], cell.presence is not Presence.BOXED


def _joined(parts: Sequence[Cell]) -> Cell:
    """One cell of the words that a finding stands for: there if one is, absent if all are, else unknown."""
    if len(parts) == 1:
        return parts[0]
    for presence in (Presence.BOXED, Presence.PRESENT):
        for part in parts:
            if part.presence is presence:
                return part
    if any(part.rule is Rule.LOST for part in parts):
        return Cell(Presence.UNKNOWN, Rule.LOST)
    if all(part.presence is Presence.ABSENT for part in parts):
        return max(parts, key=lambda part: STRENGTH[part.rule])
    return Cell(Presence.UNKNOWN, Rule.NONE)


def _ruled_out(cells: Sequence[Cell]) -> Cells:
    """Of a source that gives each image one class: with that class there, what nobody said is absent."""
    if sum(cell.presence in THERE for cell in cells) != 1:
        return tuple(cells)
    return tuple(Cell(Presence.ABSENT, Rule.EXCLUSIVE) if cell.rule is Rule.NONE else cell for cell in cells)


def _stated(card: Card, labels: Collection[str]) -> dict[str, Presence]:
    stated: dict[str, Presence] = {}
    for label in labels:
        if label not in card.labels:
            raise DataError(f"{card.key}: raw image label {label!r} is not in the source card under 'labels'")
        for finding, presence in card.labels[label].items():
            if presence is Presence.UNKNOWN and finding in stated:
                continue
            if stated.get(finding) is Presence.UNKNOWN:
                stated[finding] = presence
            if stated.setdefault(finding, presence) is not presence:
                raise DataError(f"{card.key}: the labels {sorted(labels)} contradict each other on {finding!r}")
    return stated


def _cell(
    card: Card, finding: str, boxed: Collection[str], stated: Mapping[str, Presence], *, looked: bool, lost: bool
) -> Cell:
    if finding in boxed:
        return Cell(Presence.BOXED, Rule.BOX)
    if lost and stated.get(finding) is not Presence.PRESENT:
        return Cell(Presence.UNKNOWN, Rule.LOST)
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
