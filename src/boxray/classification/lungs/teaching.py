"""What the lungs are learned from: squares, boxes, and masks where somebody drew them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from boxray.classification.change import Change
from boxray.classification.lung_field import LEFT, RIGHT
from boxray.classification.lungs.masks import drawn_lungs
from boxray.classification.preprocess import equalized_square
from boxray.core.arrays import ByteArray, FloatArray
from boxray.core.boxes import move_boxes
from boxray.core.errors import DataError
from boxray.core.frames import Letterbox
from boxray.data.manifest import CORNERS, Manifest
from boxray.runs.recipe import Clahe

CHANNELS: Final = {"right_lung": RIGHT, "left_lung": LEFT}
"""Findings of the label space `lungs`."""


@dataclass(frozen=True, slots=True)
class LungExample:
    """One image as the network sees it."""

    square: ByteArray
    """Shape ``(S, S)``."""
    boxes: FloatArray
    """Shape ``(2, 4)``: x1, y1, x2, y2 of the right and the left lung in fractions of the square; NaN: not known."""
    masks: FloatArray | None = None
    """Shape ``(2, S, S)``, 1 inside; None where nobody drew both."""

    def changed(self, change: Change) -> LungExample:
        """The same under all of a change but its turn: no box says where the box of a turned lung ends."""
        upright = replace(change, degrees=0.0)
        side = self.square.shape[0]
        masks = self.masks
        if masks is not None:
            plain = replace(upright, gain=1.0, detail=1.0, grain=0.0)
            masks = np.stack([plain.apply((mask * 255).astype(np.uint8)) for mask in masks]) / np.float32(255)
        boxes = (move_boxes(self.boxes * side, upright.moves(side)) / side).clip(0, 1)
        return LungExample(upright.apply(self.square), boxes, masks)


def lung_examples(
    manifest: Manifest, side_px: int, clahe: Clahe | None, masks: Path | None = None
) -> list[LungExample]:
    """Every image of which the box of a lung is known, or both masks are.

    Args:
        manifest: In a label space with both lungs.
        side_px: Of the square.
        clahe: As the classifier's.
        masks: As `drawn_lungs` takes them.

    Raises:
        DataError: If the label space has no lungs, no image has any, or a mask is not what its table says.
    """
    boxes_of = lung_boxes(manifest)
    both_of = drawn_lungs(masks)
    examples = []
    for row in manifest.images.itertuples():
        both = both_of(row.image_id, row.copies)
        if row.image_id not in boxes_of and both is None:
            continue
        rad = manifest.radiograph(row.picture)
        letterbox = Letterbox.fit(rad.size_wh, side_px)
        boxes = letterbox.to_square.apply(boxes_of.get(row.image_id, np.full((2, 4), np.nan))) / side_px
        inside = None if both is None else np.stack([_in_square(mask, letterbox) for mask in both])
        examples.append(LungExample(equalized_square(rad, letterbox, clahe), boxes, inside))
    if not examples:
        raise DataError("no image of this part has the box of a lung; build the set with --label-space lungs")
    return examples


def lung_boxes(manifest: Manifest) -> dict[str, FloatArray]:
    """Image id -> boxes ``(2, 4)`` of the right and the left lung in pixels of the picture; NaN: not boxed.

    Raises:
        DataError: If the label space has no lungs.
    """
    if not set(CHANNELS) <= set(manifest.label_space.keys):
        has = ", ".join(manifest.label_space.keys)
        raise DataError(f"lungs are learned in a label space with {', '.join(CHANNELS)}; this one has {has}")
    found: dict[str, FloatArray] = {}
    for row in manifest.boxes.itertuples():
        if row.finding in CHANNELS:
            boxes = found.setdefault(row.image_id, np.full((2, 4), np.nan))
            boxes[CHANNELS[row.finding]] = [getattr(row, corner) for corner in CORNERS]
    return found


def _in_square(mask: ByteArray, letterbox: Letterbox) -> FloatArray:
    """A mask of the whole picture, whatever it measures, at the picture's place in the square: ``(S, S)``, [0, 1]."""
    width, height = letterbox.inner_wh
    square = np.zeros((letterbox.side_px, letterbox.side_px), dtype=np.float32)
    inner = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    square[letterbox.top : letterbox.top + height, letterbox.left : letterbox.left + width] = inner
    return square
