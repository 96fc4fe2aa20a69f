"""The books of one source: what its tables name is built, or dropped for a reason."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from boxray.core.errors import DataError
from boxray.data.card import Card


@dataclass(slots=True)
class Books:
    """Images and boxes are drawn up apart; both must close."""

    card: Card
    images_named: int = 0
    boxes_named: int = 0
    images_built: int = 0
    boxes_built: int = 0
    images_dropped: Counter[str] = field(default_factory=Counter)
    boxes_dropped: Counter[str] = field(default_factory=Counter)
    remarks: Counter[str] = field(default_factory=Counter)
    """What was changed but kept (a clipped box), or seen beside the tables (a picture without a row)."""

    def drop_image(self, reason: str, n_boxes: int) -> None:
        """Leave out an image and the boxes on it."""
        self.images_dropped[reason] += 1
        if n_boxes:
            self.boxes_dropped[f"on an image left out: {reason}"] += n_boxes

    def close(self) -> None:
        """Check that nothing is lost.

        Raises:
            DataError: If named differs from built plus dropped.
        """
        for what, named, built, dropped in (
            ("images", self.images_named, self.images_built, self.images_dropped),
            ("boxes", self.boxes_named, self.boxes_built, self.boxes_dropped),
        ):
            if named != built + dropped.total():
                raise DataError(
                    f"{self.card.key}: {named} {what} named, {built} built and {dropped.total()} dropped: "
                    "the importer loses some without a reason; this is a fault of the importer"
                )

    def to_json(self) -> dict[str, Any]:
        """Counts beside the card's, and a word where they differ."""
        expected = self.card.expected
        return {
            "source": self.card.key,
            "licence": self.card.licence,
            "images": self._side(expected.images, self.images_named, self.images_built, self.images_dropped),
            "boxes": self._side(expected.boxes, self.boxes_named, self.boxes_built, self.boxes_dropped),
            "remarks": dict(self.remarks.most_common()),
        }

    @staticmethod
    def _side(expected: int | None, named: int, built: int, dropped: Counter[str]) -> dict[str, Any]:
        return {
            "expected": expected,
            "named": named,
            "as_expected": expected is None or expected == named,
            "built": built,
            "dropped": dict(dropped.most_common()),
        }
