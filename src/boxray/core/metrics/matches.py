"""Which detections hit a reader's box, at one overlap or at several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from boxray.core.arrays import BoolArray, FloatArray, IntArray
from boxray.core.boxes import box_iou

OneImage = tuple[FloatArray, FloatArray, FloatArray]
"""Of one finding: the model's boxes ``(D, 4)``, their scores ``(D,)``, the readers' boxes ``(T, 4)``, in one frame."""


@dataclass(frozen=True, slots=True)
class Matches:
    """Detections of one finding over many images, each a hit or a miss; and the boxes there were to find."""

    scores: FloatArray
    """Shape ``(D,)``."""
    hits: BoolArray
    """Shape ``(D,)``: the detection is the best unmatched one on a reader's box."""
    image: IntArray
    """Shape ``(D,)``: index into `n_boxes`."""
    n_boxes: IntArray
    """Shape ``(I,)``: readers' boxes per image, 0 in images where the finding is absent."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """Detections of one finding over many images by falling score, and what each hits at several overlaps.

    Made once; every resample is then a change of weights. Equal scores keep the order of the images.
    """

    scores: FloatArray
    """Shape ``(D,)``, falling."""
    image: IntArray
    """Shape ``(D,)``: index into `n_boxes`."""
    hits: BoolArray
    """Shape ``(L, D)``: the detection hits a box at overlap ``l``. Each overlap is matched for itself."""
    iou_limits: FloatArray
    """Shape ``(L,)``, in (0, 1]."""
    n_boxes: IntArray
    """Shape ``(I,)``: readers' boxes per image, 0 in images where the finding is absent."""

    def hits_at(self, iou_limit: float) -> BoolArray:
        """Shape ``(D,)``: the hits at one of the overlaps.

        Raises:
            ValueError: If nothing was matched at that overlap.
        """
        (places,) = np.nonzero(np.isclose(self.iou_limits, iou_limit))
        if not len(places):
            raise ValueError(f"matched at overlaps {self.iou_limits.round(3).tolist()}, not at {iou_limit}")
        hits: BoolArray = self.hits[places[0]]
        return hits

    def at(self, *iou_limits: float) -> Ranked:
        """The same with some of the overlaps only, in the order asked for."""
        hits = np.stack([self.hits_at(limit) for limit in iou_limits])
        return Ranked(self.scores, self.image, hits, np.array(iou_limits), self.n_boxes)

    def only(self, images: BoolArray) -> Ranked:
        """The same on some of the images; `images` has shape ``(I,)``."""
        kept = images[self.image]
        place = np.cumsum(images) - 1
        return Ranked(
            self.scores[kept], place[self.image[kept]], self.hits[:, kept], self.iou_limits, self.n_boxes[images]
        )

    def matches(self, iou_limit: float) -> Matches:
        """The hits and misses at one overlap."""
        return Matches(self.scores, self.hits_at(iou_limit), self.image, self.n_boxes)


def match_image(
    boxes_xyxy: FloatArray, scores: FloatArray, truth_xyxy: FloatArray, iou_limit: float = 0.5
) -> BoolArray:
    """Which detections of one image and finding hit a reader's box.

    By falling score each detection takes the free box that it overlaps most, if by at least `iou_limit`; of
    boxes that it overlaps equally, the last.

    Args:
        boxes_xyxy: Shape ``(D, 4)``.
        scores: Shape ``(D,)``.
        truth_xyxy: Shape ``(T, 4)``, in the same frame. None makes every detection a miss.
        iou_limit: Overlap from which a detection counts.

    Returns:
        Shape ``(D,)``, in the order given.

    Source: Lin et al., 2014 (COCO), as pycocotools does it.
    """
    (hits,) = _match(boxes_xyxy, scores, truth_xyxy, np.array([iou_limit]))
    return np.asarray(hits)


def rank(images: Sequence[OneImage], iou_limits: Sequence[float] | FloatArray) -> Ranked:
    """Match every image at every overlap and put all detections in order, once for all that is measured.

    Args:
        images: Those that take part; without readers' boxes the finding is absent there.
        iou_limits: Overlaps from which a detection counts. Matching begins anew for each, as in `match_image`.
    """
    limits = np.asarray(iou_limits, dtype=np.float64)
    scores = np.concatenate([np.empty(0), *(scores for _, scores, _ in images)])
    image = np.repeat(np.arange(len(images)), [len(scores) for _, scores, _ in images])
    hits = np.concatenate([np.empty((len(limits), 0), dtype=bool), *(_match(*case, limits) for case in images)], axis=1)
    order = np.argsort(-scores, kind="stable")
    n_boxes = np.array([len(truth) for *_, truth in images], dtype=np.intp)
    return Ranked(scores[order], image[order], hits[:, order], limits, n_boxes)


def last_of_equals(scores: FloatArray) -> IntArray:
    """Places at which a threshold can stand: it takes all detections of equal score or none.

    Args:
        scores: Shape ``(D,)``, falling.

    Returns:
        The last place of each group of equal scores, rising; none gives none.
    """
    return np.flatnonzero(np.append(scores[1:] != scores[:-1], [True] * min(len(scores), 1)))


def _match(boxes_xyxy: FloatArray, scores: FloatArray, truth_xyxy: FloatArray, limits: FloatArray) -> BoolArray:
    """Shape ``(L, D)``: `match_image` at several overlaps."""
    hits = np.zeros((len(limits), len(scores)), dtype=bool)
    overlaps = box_iou(boxes_xyxy, truth_xyxy)
    free = np.ones((len(limits), len(truth_xyxy)), dtype=bool)
    # Most detections overlap nothing: only the others can take a box.
    near = overlaps.max(axis=1, initial=0) >= limits.min(initial=1)
    for index in np.argsort(-scores, kind="stable"):
        if not near[index]:
            continue
        candidates = np.where(free, overlaps[index], -1.0)[:, ::-1]
        best = candidates.argmax(axis=1)
        (taken,) = np.nonzero(candidates[np.arange(len(limits)), best] >= limits)
        free[taken, len(truth_xyxy) - 1 - best[taken]] = False
        hits[taken, index] = True
    return hits
