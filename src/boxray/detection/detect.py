"""One radiograph in, boxes out: letterbox, network, back into the radiograph's frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from boxray.core.ahead import in_order
from boxray.core.arrays import FloatArray
from boxray.core.boxes import Box, box_iou, clip_boxes, cxcywh_to_xyxy, suppress
from boxray.core.calibration import Scale
from boxray.core.errors import ModelError
from boxray.core.findings import LabelSpace
from boxray.core.frames import Letterbox, ScaleShift
from boxray.core.radiograph import Radiograph
from boxray.core.reading import Detection, ModelIdentity
from boxray.detection.square import detector_square
from boxray.engines import EngineName, Session, open_session
from boxray.imaging.shrink import shrink
from boxray.weights import ModelCard, load_card

SAME_PLACE_IOU = 0.4
"""Two boxes of one finding that overlap more are one: readers draw one where stock YOLO's 0.7 leaves two."""

VOTE_IOU = 0.5
"""Candidates that overlap a kept box as much have a say in where it lies (docs/decisions/0007)."""

MOST_BOXES = 100
"""Per radiograph and finding, as COCO counts; a film has a handful."""

LOWEST_SCORE = 0.001
"""Of the network itself, before calibration: a candidate below is never a box, and has no vote either."""

EVERYTHING = 0.0
"""As `min_score`: all that reaches `LOWEST_SCORE`, for evaluation, where the whole precision-recall curve is wanted."""


@dataclass(frozen=True, slots=True)
class YoloDetector:
    """A `boxray.core.protocols.Detector` over any engine that runs the network."""

    card: ModelCard
    session: Session
    label_space: LabelSpace

    @classmethod
    def load(cls, weights: Path, engine: EngineName = "openvino", *, many: bool = False) -> YoloDetector:
        """From a card or a weight file beside it; the graph's hash is checked.

        Args:
            weights: The card or the file.
            engine: What runs the graph.
            many: For `detect_many` or several threads, as `boxray.engines.open_session` says.

        Raises:
            ModelError: If the card is not a detector's, or the graph is not what it says.
        """
        card, graph = load_card(weights, check=".onnx")
        require_detector(card)
        return cls(card, open_session(graph, engine, many=many), card.space)

    @property
    def assessed(self) -> tuple[str, ...]:
        """The findings it was trained with boxes for."""
        return self.card.assessed

    @property
    def identity(self) -> ModelIdentity:
        """Which weights speak."""
        return self.card.identity()

    def detect(self, rad: Radiograph, min_score: float | None = None) -> tuple[Detection, ...]:
        """Boxes in the radiograph's frame by falling score.

        Args:
            rad: Any size.
            min_score: Of the calibrated score, the same for all findings; None means the stored operating points.

        Raises:
            ModelError: If no operating point is stored for a finding and `min_score` is None.
        """
        limits = {finding: self._limit(finding, min_score) for finding in self.assessed}
        batch, to_radiograph = prepare(rad, self.card)
        (output,) = self.session.run(batch).values()
        detections = []
        for finding, limit in limits.items():
            boxes, scores = calibrated(output[0], self.label_space.index(finding), limit, self.card.scale(finding))
            if not len(scores):
                continue
            corners = clip_boxes(to_radiograph.apply(boxes), rad.size_wh).tolist()
            detections += [
                Detection(finding, score, Box(*box)) for box, score in zip(corners, scores.tolist(), strict=True)
            ]
        return tuple(sorted(detections, key=lambda det: -det.score))

    def _limit(self, finding: str, min_score: float | None) -> float:
        limit = self.card.thresholds.get(finding) if min_score is None else min_score
        if limit is None:
            raise ModelError(
                f"{self.card.name} has no operating point for {finding}: it is not released; release it, or give a "
                "score that boxes have to reach"
            )
        return limit

    def detect_many(
        self, radiographs: Iterable[Radiograph], min_score: float | None = None
    ) -> Iterator[tuple[Detection, ...]]:
        """`detect` for one after the other, in order, by as many threads as the session has lanes.

        Each thread prepares, runs and decodes a radiograph of its own, so that none waits for another. Only a
        few radiographs are held at a time, however many there are.

        Args:
            radiographs: May be endless; taken, and so decoded if need be, in the caller's thread.
            min_score: As for `detect`.

        Raises:
            ModelError: At the place of the radiograph whose output is not finite.
        """
        return in_order(lambda rad: self.detect(rad, min_score), radiographs, threads=self.session.lanes)


def require_detector(card: ModelCard) -> None:
    """Refuse weights that answer something else.

    Raises:
        ModelError: If the card is not a detector's.
    """
    if card.job != "detection":
        raise ModelError(f"{card.name} is of {card.job}, a detector is wanted; see detection/weights")


def prepare(rad: Radiograph, card: ModelCard) -> tuple[FloatArray, ScaleShift]:
    """What the network sees, and the way from its square back into the radiograph's frame.

    Args:
        rad: Any size.
        card: Says how large the square is, and whether films are equalized.

    Returns:
        Float32 of shape ``(1, 3, S, S)`` in [0, 1] with three equal channels, and the map.
    """
    picture = shrink(rad.pixels)
    picture_wh = picture.shape[1], picture.shape[0]
    letterbox = Letterbox.fit(picture_wh, card.side_px)
    clahe = None if card.clahe is None else (card.clahe.clip, card.clahe.tiles)
    batch = np.empty((1, 3, card.side_px, card.side_px), dtype=np.float32)
    batch[:] = detector_square(picture, letterbox, clahe, rad.padded)
    return batch, letterbox.to_square.invert().then(ScaleShift.between(picture_wh, rad.size_wh))


def calibrated(output: FloatArray, index: int, min_score: float, scale: Scale) -> tuple[FloatArray, FloatArray]:
    """`one_finding` with probabilities for scores: where a box lies, and which of two is kept, the network says.

    Args:
        output: As there.
        index: Of the finding.
        min_score: Of the probability. What the network itself scores below `LOWEST_SCORE` is left out all the same.
        scale: Of the finding.

    Returns:
        Boxes of shape ``(N, 4)`` and probabilities of shape ``(N,)``, by falling probability.
    """
    # A millionth lower, so that rounding on the way back loses no box: what is asked for is asked of the probability.
    lowest = max(scale.score_of(min_score) * (1 - 1e-6), LOWEST_SCORE)
    boxes, scores = one_finding(output, index, lowest)
    probabilities = scale.of_scores(scores)
    reached = probabilities >= min_score
    return boxes[reached], probabilities[reached]


def one_finding(output: FloatArray, index: int, min_score: float) -> tuple[FloatArray, FloatArray]:
    """The boxes of one finding out of the network's output, each place once.

    A box lies where its candidates vote, weighted by their scores (Gidaris & Komodakis, ICCV 2015, section 4):
    the edge of an opacity is soft, and the mean of many guesses at it is better than the loudest one.

    Args:
        output: Shape ``(4 + F, A)``: centre x, centre y, width, height in pixels of the square, then
            a score in [0, 1] per finding, the network's own.
        index: Of the finding.
        min_score: Boxes below are left out; where the others lie does not depend on it.

    Returns:
        Boxes of shape ``(N, 4)`` as x1, y1, x2, y2 and scores of shape ``(N,)``, by falling score.
    """
    scores = output[4 + index]
    if not (scores >= min_score).any():  # at the operating points, most findings of most radiographs
        return np.empty((0, 4)), np.empty(0)
    candidates = np.flatnonzero(scores >= min(min_score, LOWEST_SCORE))
    scores = scores[candidates].astype(np.float64)
    boxes = cxcywh_to_xyxy(output[:4, candidates].T.astype(np.float64))
    asked = np.flatnonzero(scores >= min_score)
    kept = asked[suppress(boxes[asked], scores[asked], SAME_PLACE_IOU, MOST_BOXES)]
    return _voted(boxes[kept], boxes, scores), scores[kept]


def _voted(kept: FloatArray, candidates: FloatArray, scores: FloatArray) -> FloatArray:
    votes = (box_iou(kept, candidates) >= VOTE_IOU) * scores
    # A box without width or height overlaps nothing, not even itself: it stays where it is.
    cast = votes.sum(axis=1, keepdims=True)
    return np.where(cast > 0, votes @ candidates / np.where(cast > 0, cast, 1), kept)
