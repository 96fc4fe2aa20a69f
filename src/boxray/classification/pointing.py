"""Where a finding is boxed, its map is told to point into the boxes.

A classifier learns from films that *have* a finding, and its map shows what it answered by, be that a corner of the
film. With boxes beside the labels the map itself can be taught, too (Li et al., CVPR 2018, teach both at once). What
is taught here is the place alone: the cells of one film and finding compete with each other, so that the loss does not
see what is added to all of them, and leaves to the labels how sure the classifier is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from boxray.classification.backbones import PooledClassifier
from boxray.classification.cells import cells_of
from boxray.classification.layers import LAST_FEATURES
from boxray.core.arrays import FloatArray, IntArray
from boxray.core.boxes import move_boxes
from boxray.core.frames import Cells, Letterbox
from boxray.data.manifest import Manifest


@dataclass(frozen=True, slots=True)
class SquareBoxes:
    """The boxes of one film, in pixels of its square."""

    boxes_xyxy: FloatArray
    """Shape ``(n, 4)``."""
    findings: IntArray
    """Shape ``(n,)``: the places of their findings in the label space."""

    def moved(self, to_changed: FloatArray) -> SquareBoxes:
        """Under an affine map of the square, ``(2, 3)``."""
        return SquareBoxes(move_boxes(self.boxes_xyxy, to_changed), self.findings)


@dataclass(frozen=True, slots=True)
class TaughtPlaces:
    """What a map is taught by: the boxes of every film, and where the map's cells look."""

    films: list[SquareBoxes]
    cells: Cells

    @classmethod
    def of(cls, manifest: Manifest, side_px: int, classifier: PooledClassifier) -> TaughtPlaces:
        """Of every image in the manifest's order, for the classifier's last features."""
        return cls(boxes_in_squares(manifest, side_px), cells_of(classifier, LAST_FEATURES))

    def loss(self, by_cell: torch.Tensor, chosen: IntArray, moves: Sequence[FloatArray]) -> torch.Tensor:
        """`pointing_loss` of some films, each moved as its square was.

        Args:
            by_cell: What each cell says of each finding, ``(B, F, h, h)``.
            chosen: Shape ``(B,)``: which films they are.
            moves: Of each, the affine map of `boxray.classification.change.Change.moves`.
        """
        moved = [self.films[index].moved(to_changed) for index, to_changed in zip(chosen, moves, strict=True)]
        inside = inside_boxes(moved, by_cell.shape[1], by_cell.shape[2], self.cells)
        return pointing_loss(by_cell, torch.from_numpy(inside).to(by_cell.device))


def boxes_in_squares(manifest: Manifest, side_px: int) -> list[SquareBoxes]:
    """Of every image in the manifest's order; one without boxes has none of them."""
    sizes_wh = manifest.images[["width", "height"]].itertuples(index=False, name=None)
    to_squares = (Letterbox.fit(size_wh, side_px).to_square for size_wh in sizes_wh)
    return [
        SquareBoxes(to_square.apply(boxes), findings)
        for to_square, (boxes, findings) in zip(to_squares, manifest.boxes_by_image(), strict=True)
    ]


def inside_boxes(films: Sequence[SquareBoxes], n_findings: int, n_cells: int, cells: Cells) -> FloatArray:
    """Which share of what a cell looks at lies in a box of a finding.

    Args:
        films: ``B`` of them.
        n_findings: ``F``.
        n_cells: Of a map, along either axis.
        cells: Where they look on the square.

    Returns:
        Shape ``(B, F, n_cells, n_cells)`` in [0, 1], float32; of several boxes the one that covers most. All 0 where
        there is no box, or where it lies outside of the square.
    """
    middles = cells.first_px + cells.step_px * np.arange(n_cells)
    low, high = middles - cells.step_px / 2, middles + cells.step_px / 2
    inside = np.zeros((len(films), n_findings, n_cells, n_cells), dtype=np.float32)
    for of_film, film in zip(inside, films, strict=True):
        for (x1, y1, x2, y2), finding in zip(film.boxes_xyxy, film.findings, strict=True):
            on_x = (np.minimum(high, x2) - np.maximum(low, x1)).clip(0) / cells.step_px
            on_y = (np.minimum(high, y2) - np.maximum(low, y1)).clip(0) / cells.step_px
            of_film[finding] = np.maximum(of_film[finding], on_y[:, None] * on_x)
    return inside


def pointing_loss(cell_logits: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """Minus the logarithm of the share of a map, as a softmax over its cells, that lies in the boxes.

    Args:
        cell_logits: What each cell says of each finding, ``(B, F, h, w)``.
        inside: Of `inside_boxes`, the same shape.

    Returns:
        Mean over the films of a finding that has boxes, then over such findings; 0 where there is no box.
    """
    boxed = inside.flatten(2).amax(dim=2) > 0  # (B, F)
    logs = torch.log_softmax(cell_logits.flatten(2), dim=2)[boxed] + inside.flatten(2)[boxed].log()  # (boxed, h w)
    losses = cell_logits.new_zeros(boxed.shape)
    losses[boxed] = -torch.logsumexp(logs, dim=1)  # in logarithms, so that a map wholly elsewhere has a gradient too
    per_finding = losses.sum(dim=0) / boxed.sum(dim=0).clamp(min=1)
    return per_finding.sum() / boxed.any(dim=0).sum().clamp(min=1)
