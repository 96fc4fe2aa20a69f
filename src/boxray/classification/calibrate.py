"""From logits to probabilities and thresholds, on the validation part."""

from __future__ import annotations

import numpy as np

from boxray.classification.classify import CamClassifier
from boxray.classification.targets import targets_and_weights
from boxray.core.ahead import in_order
from boxray.core.arrays import BoolArray, FloatArray
from boxray.core.calibration import FEW, cut_down, fit_scale, fit_temperature, logit
from boxray.data.manifest import Manifest
from boxray.weights import NOT_CHOSEN, OperatingPoint

FEWEST_POSITIVES = 8
"""With fewer positives in the validation part nothing is calibrated on them."""

Calibration = dict[str, tuple[float, float]]
"""Finding -> slope and offset of its logit."""


def calibrate(classifier: CamClassifier, manifest: Manifest) -> tuple[Calibration, dict[str, OperatingPoint]]:
    """Slope, offset and threshold per assessed finding, from images where the finding is known.

    Findings side by side have a slope and an offset each (Platt, 1999); classes that exclude each other share one
    slope (temperature). An absence that a card only assumes counts here: without it, tuberculosis would have no
    negative. Findings with too few examples keep the network's own score, and their card says so.
    """
    logits = logits_of(classifier, manifest)
    targets, weights = targets_and_weights(manifest, 1.0)
    there, known = targets == 1, weights > 0
    fit = _one_slope if manifest.label_space.exclusive else _slopes_and_offsets
    calibration = fit(logits, there, known, classifier.assessed, manifest.label_space.keys)
    fitted = CamClassifier(
        classifier.card.model_copy(update={"calibration": calibration}), classifier.session, classifier.label_space
    )
    scores = fitted.probabilities(logits)
    points = {}
    for finding in classifier.assessed:
        index = manifest.label_space.index(finding)
        counted = known[:, index]
        points[finding] = _point(scores[counted, index], there[counted, index])
    return calibration, points


def logits_of(classifier: CamClassifier, manifest: Manifest) -> FloatArray:
    """What the network says of each image before calibration, shape ``(N, K)``."""

    def raw(picture: str) -> FloatArray:
        return classifier.raw(manifest.radiograph(picture))[0]

    threads = classifier.session.lanes + 1
    said = list(in_order(raw, manifest.images["picture"], threads=threads))
    return np.array(said).reshape(-1, len(manifest.label_space))


def _slopes_and_offsets(
    logits: FloatArray, there: BoolArray, known: BoolArray, assessed: tuple[str, ...], keys: tuple[str, ...]
) -> Calibration:
    calibration = {}
    for finding in assessed:
        index = keys.index(finding)
        counted = known[:, index]
        values, truth = logits[counted, index].astype(np.float64), there[counted, index]
        if not _enough(truth):
            calibration[finding] = (1.0, 0.0)
            continue
        fitted = fit_scale(values, truth)
        calibration[finding] = (round(fitted.slope, 4), round(fitted.offset, 4))
    return calibration


def _one_slope(
    logits: FloatArray, there: BoolArray, known: BoolArray, assessed: tuple[str, ...], keys: tuple[str, ...]
) -> Calibration:
    """Of every class of the label space, as one softmax goes over all of them."""
    one = (there & known).sum(axis=1) == 1
    slope = round(fit_temperature(logits[one], there[one].argmax(axis=1)), 4) if one.any() and assessed else 1.0
    return dict.fromkeys(keys, (slope, 0.0))


def _point(scores: FloatArray, there: BoolArray) -> OperatingPoint:
    seen = f"{int(there.sum())} positives and {int((~there).sum())} negatives of the validation part"
    if not _enough(there):
        return OperatingPoint(threshold=0.5, chosen=f"{NOT_CHOSEN}{seen} are too few")
    if min(there.sum(), (~there).sum()) < FEW:
        chosen = f"Youden's index of the curve fitted to {seen}"
        return OperatingPoint(threshold=cut_down(fitted_youden_threshold(scores, there)), chosen=chosen)
    return OperatingPoint(threshold=cut_down(youden_threshold(scores, there)), chosen=f"Youden's index on {seen}")


def _enough(there: BoolArray) -> bool:
    return bool(min(there.sum(), (~there).sum()) >= FEWEST_POSITIVES)


def youden_threshold(scores: FloatArray, there: BoolArray) -> float:
    """The score from which on sensitivity plus specificity is largest (Youden, 1950).

    Half-way between the scores on either side of the cut; NaN unless both classes are there.
    """
    if there.all() or not there.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    gain = np.cumsum(there[order]) / there.sum() - np.cumsum(~there[order]) / (~there).sum()
    last_of_tie = np.append(np.diff(scores[order]) != 0, True)
    cut = int(np.where(last_of_tie, gain, -np.inf).argmax())
    here = scores[order][cut]
    below = scores[order][cut + 1] if cut + 1 < len(order) else here
    return float((here + below) / 2)


def fitted_youden_threshold(scores: FloatArray, there: BoolArray) -> float:
    """The score from which on sensitivity plus specificity is largest, if a logistic curve says how scores lie.

    They are largest where a score is as frequent among positives as among negatives, which is where the probability
    of the finding is what it is on the mean of the images. The curve is fitted here and not taken from the calibration:
    classes that exclude each other share one slope there.

    Args:
        scores: Shape ``(N,)``, in [0, 1].
        there: Shape ``(N,)``.

    Returns:
        In [0, 1]; NaN unless both classes are there.
    """
    if there.all() or not there.any():
        return float("nan")
    scale = fit_scale(logit(scores), there)
    return scale.score_of(float(scale.of_scores(scores).mean()))
