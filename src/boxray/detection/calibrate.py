"""On the validation part: from the detector's scores to probabilities, and from which of them on a box is reported.

A calibrated score is the probability that a box of that score hits a reader's box at IoU 0.5, among images like
those of the validation part. See docs/decisions/0011.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from boxray.core.calibration import FEW, Scale, cut_down, fit_scale, logit
from boxray.core.metrics import Matches, best_f1_threshold, expected_f1_threshold
from boxray.data.manifest import Manifest
from boxray.data.split import Split
from boxray.detection.detect import YoloDetector
from boxray.detection.evaluate import detect_all, match_finding
from boxray.weights import NOT_CHOSEN, Calibrated, ModelCard, OperatingPoint

FEWEST_BOXES = 5
"""With fewer boxes in the validation part neither a threshold nor a scale is made from them."""

FALLBACK_THRESHOLD = 0.25

LOWEST_THRESHOLD = 0.05
"""Of the network's own score: the best F1 of a weak finding lies among scores that every film has. It is no floor of
the probability, where 0.02 may be all that a box of a weak finding deserves."""


def calibrated_card(
    detector: YoloDetector, manifest: Manifest, progress: Callable[[], None] = lambda: None
) -> ModelCard:
    """The detector's card with operating points and calibration made on the validation part.

    What an earlier calibration says is forgotten first. Images in which a card only assumes that a finding is absent
    count here, other than in the evaluation: without them tuberculosis would have no image to be silent on, and its
    threshold would be far too low.

    Args:
        detector: Any.
        manifest: The whole built set.
        progress: Called after each image.
    """
    part = manifest.part(Split.VAL)
    raw = replace(detector, card=detector.card.model_copy(update={"calibration": {}}))
    detections = list(detect_all(raw, part, progress))
    scales: dict[str, Scale] = {}
    points, said = {}, {}
    for finding in detector.assessed:
        matches, _ = match_finding(part, detections, finding, with_assumed=True)
        scales[finding], said[finding] = calibrate(matches)
        points[finding] = operating_point(matches, scales[finding])
    calibration = {finding: (scale.slope, scale.offset) for finding, scale in scales.items()}
    made_on = Calibrated(fingerprint=manifest.fingerprint, images=len(part.images), findings=said)
    changes = {"operating_points": points, "calibration": calibration, "calibrated_on": made_on}
    return detector.card.model_copy(update=changes)


def calibrate(matches: Matches) -> tuple[Scale, str]:
    """The scale of one finding, and in words how it was made.

    Args:
        matches: Detections with the network's own scores; a hit is one at IoU 0.5.

    Returns:
        The scale that changes nothing, and why, where there are too few boxes, or no hit, or nothing but hits.
    """
    lacking = _lacking(matches)
    if lacking is None and matches.hits.all():
        lacking = f"every one of its {len(matches.hits)} detections is a hit"
    if lacking is not None:
        return Scale(), f"not calibrated: {lacking}"
    fitted = fit_scale(logit(matches.scores), matches.hits)
    said = (
        f"Platt scaling on {len(matches.hits)} detections of the validation part, {int(matches.hits.sum())} of them "
        f"hits at IoU 0.5, {int(matches.n_boxes.sum())} boxes"
    )
    return Scale(round(fitted.slope, 4), round(fitted.offset, 4)), said


def operating_point(matches: Matches, scale: Scale) -> OperatingPoint:
    """Best F1 over boxes at IoU 0.5, chosen by the network's scores and stored as a probability.

    Chosen so, the same boxes are reported whatever the scale, and the floor keeps its sense. Of few boxes it is the
    best F1 that the scale, fitted to them, lets expect.
    """
    lacking = _lacking(matches)
    if lacking is not None:
        return OperatingPoint(threshold=FALLBACK_THRESHOLD, chosen=NOT_CHOSEN + lacking)
    best, said = _best_f1(matches, scale)
    floored = cut_down(max(best, LOWEST_THRESHOLD))
    where = f"where the network itself scores {floored:g}"
    below = f"{where}, the floor: {said} lies below, at {best:.2g}"
    return OperatingPoint(
        threshold=floored if scale == Scale() else cut_down(float(scale.of_scores(np.array(floored)))),
        chosen=f"{said}, {where}" if best >= LOWEST_THRESHOLD else below,
    )


def _best_f1(matches: Matches, scale: Scale) -> tuple[float, str]:
    """The network's own score from which on F1 is best, and in words how it was found."""
    n_boxes = int(matches.n_boxes.sum())
    if scale == Scale() or n_boxes >= FEW:
        return best_f1_threshold(matches), f"best F1 at IoU 0.5 on {n_boxes} boxes of the validation part"
    said = f"best F1 at IoU 0.5 to be expected by the calibration on {n_boxes} boxes of the validation part"
    return fitted_f1_threshold(matches, scale), said


def fitted_f1_threshold(matches: Matches, scale: Scale) -> float:
    """The network's own score from which on F1 is best, if the scale says how likely each detection hits.

    NaN if there is no box or no detection; see `boxray.core.metrics.expected_f1_threshold`.
    """
    expected = expected_f1_threshold(scale.of_scores(matches.scores), int(matches.n_boxes.sum()))
    return scale.score_of(expected)


def _lacking(matches: Matches) -> str | None:
    n_boxes = int(matches.n_boxes.sum())
    if n_boxes < FEWEST_BOXES:
        return f"{n_boxes} boxes in the validation part are too few"
    return None if matches.hits.any() else f"none of the {n_boxes} boxes of the validation part is found"
