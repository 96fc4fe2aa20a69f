"""Evaluate a detector where somebody looked: figures per finding with intervals by patient.

An image counts for a finding if the finding is boxed in it or absent from it. Where it is unknown, or there
without a box, a detection is neither right nor wrong and the image is left out. An absence that a card only
assumes is left out too, unless asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd

from boxray.core.arrays import BoolArray, FloatArray
from boxray.core.boxes import as_xyxy
from boxray.core.findings import Presence
from boxray.core.metrics import (
    LUNA16_RATES,
    Interval,
    Matches,
    Ranked,
    bootstrap_all,
    froc_curve,
    froc_measure,
    localization_measure,
    operating_measure,
    precision_curve,
    precision_measure,
    rank,
    reliability_measure,
    score_bins,
    thinned,
)
from boxray.core.protocols import Detector
from boxray.core.reading import Detection
from boxray.data.groups import groups
from boxray.data.manifest import Manifest
from boxray.data.presence import Rule
from boxray.detection.detect import EVERYTHING
from boxray.detection.results import (
    AtThreshold,
    Counts,
    FindingResult,
    GroupResult,
    LocalizedAt,
    Reliability,
    ScoreBin,
)

IOU_LIMIT = 0.5
READER_IOU = 0.4
"""At which readers are compared with each other (`boxray.data.audit.AGREE_IOU`)."""

COCO_LIMITS = tuple(np.linspace(0.5, 0.95, 10).tolist())
LOCALIZATION_LIMITS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
ALL_LIMITS = (*LOCALIZATION_LIMITS[:4], *COCO_LIMITS)

FEWEST_BOXES = 5
"""A group with fewer has counts and no figure: one box more or less would turn it round."""

JUDGED_FROM = 0.01
"""Scores from which on reliability is judged: of those below there are most, and nobody looks at them."""

Detections = Sequence[tuple[Detection, ...]]
"""Per image, in the manifest's order and in the frame of the picture."""


def detect_all(
    detector: Detector, manifest: Manifest, progress: Callable[[], None] = lambda: None
) -> Iterator[tuple[Detection, ...]]:
    """Every detection that the network scores 0.001 or more, image by image in the manifest's order.

    A detector that was opened for many works on several images at once, and the next ones are decoded meanwhile;
    only a few are held at a time.
    """
    radiographs = (manifest.radiograph(picture) for picture in manifest.images["picture"])
    for detections in detector.detect_many(radiographs, EVERYTHING):
        yield detections
        progress()


def scored_images(manifest: Manifest, finding: str, *, with_assumed: bool = False) -> BoolArray:
    """Shape ``(N,)``: the images that count for a finding."""
    presence = manifest.presence(finding)
    known: BoolArray = (presence == Presence.BOXED) | (presence == Presence.ABSENT)
    assumed = (manifest.images[f"rule_{finding}"] == Rule.ASSUMPTION.value).to_numpy()
    return known if with_assumed else known & ~assumed


def rank_finding(
    manifest: Manifest,
    detections: Detections,
    finding: str,
    *,
    with_assumed: bool = False,
    iou_limits: Sequence[float] = ALL_LIMITS,
) -> tuple[Ranked, pd.DataFrame]:
    """Detections of one finding by falling score with what they hit, and the images they are counted on.

    Args:
        manifest: The images.
        detections: Per image of the manifest.
        finding: Of the manifest's label space.
        with_assumed: Count images in which the finding is only assumed to be absent.
        iou_limits: Overlaps at which to match.
    """
    counted = scored_images(manifest, finding, with_assumed=with_assumed)
    truth_of = manifest.boxes_of(finding)
    ids = manifest.images["image_id"].to_numpy()
    none = np.empty((0, 4))
    cases = []
    for index in np.flatnonzero(counted).tolist():
        found = [det for det in detections[index] if det.finding == finding]
        scores = np.array([det.score for det in found], dtype=np.float64)
        cases.append((as_xyxy([det.box for det in found]), scores, truth_of.get(ids[index], none)))
    return rank(cases, iou_limits), manifest.images[counted]


def match_finding(
    manifest: Manifest, detections: Detections, finding: str, *, with_assumed: bool = False
) -> tuple[Matches, pd.DataFrame]:
    """Hits and misses of one finding at IoU 0.5, and the images they are counted on; see `rank_finding`."""
    ranked, images = rank_finding(manifest, detections, finding, with_assumed=with_assumed, iou_limits=(IOU_LIMIT,))
    return ranked.matches(IOU_LIMIT), images


def evaluate(
    detector: Detector,
    manifest: Manifest,
    *,
    with_assumed: bool = False,
    rounds: int = 1000,
    progress: Callable[[], None] = lambda: None,
) -> list[FindingResult]:
    """Read every image and judge every finding of the label space.

    Raises:
        ModelError: If the detector's label space is not the manifest's.
    """
    detector.label_space.require_same(manifest.label_space)
    detections = list(detect_all(detector, manifest, progress))
    return judge_all(manifest, detections, detector, with_assumed=with_assumed, rounds=rounds)


def judge_all(
    manifest: Manifest,
    detections: Detections,
    detector: Detector,
    *,
    with_assumed: bool = False,
    rounds: int = 1000,
    progress: Callable[[], None] = lambda: None,
) -> list[FindingResult]:
    """`judge` for every finding of the label space, at the thresholds that the detector's card stores."""
    results = []
    for finding in manifest.label_space.keys:
        threshold = detector.identity.thresholds.get(finding)
        assessed = finding in detector.assessed
        results.append(
            judge(
                manifest,
                detections,
                finding,
                assessed=assessed,
                threshold=threshold,
                with_assumed=with_assumed,
                rounds=rounds,
            )
        )
        progress()
    return results


def judge(
    manifest: Manifest,
    detections: Detections,
    finding: str,
    *,
    assessed: bool,
    threshold: float | None,
    with_assumed: bool = False,
    rounds: int = 1000,
) -> FindingResult:
    """All figures of one finding.

    Args:
        manifest: The images.
        detections: Per image of the manifest.
        finding: Of the manifest's label space.
        assessed: Whether the detector was trained to box it; if not, there are counts alone.
        threshold: Its operating point; None: figures at a threshold are left out.
        with_assumed: Count images in which the finding is only assumed to be absent.
        rounds: Of the bootstrap.
    """
    ranked, images = rank_finding(manifest, detections, finding, with_assumed=with_assumed)
    patients = images["patient"].tolist()
    precision, froc = precision_measure(ranked.at(READER_IOU, *COCO_LIMITS)), froc_measure(ranked, IOU_LIMIT)

    def measure(weights: FloatArray) -> FloatArray:
        figures = precision(weights)
        return np.concatenate([figures[:2], [figures[1:].mean()], froc(weights)])

    n_figures = 3 + len(LUNA16_RATES) + 1
    figures: Sequence[Interval] = [Interval.nothing()] * n_figures
    if assessed:
        figures = bootstrap_all(measure, patients, rounds=rounds)
    ap40, ap50, ap50_95, *sensitivities, froc_mean = figures
    at_threshold = None
    localization: tuple[LocalizedAt, ...] = ()
    if assessed and threshold is not None:
        at_threshold = _at_threshold(ranked, threshold, patients, rounds)
        localization = _localization(ranked, threshold, patients, rounds)
    return FindingResult(
        finding=finding,
        assessed=assessed,
        counts=_counts(ranked, images),
        ap50=ap50,
        ap40=ap40,
        ap50_95=ap50_95,
        sensitivity_at=dict(zip(LUNA16_RATES, sensitivities, strict=True)) if assessed else {},
        froc_mean=froc_mean,
        localization=localization,
        at_threshold=at_threshold,
        reliability=_reliability(ranked, patients, rounds) if assessed else None,
        groups=tuple(_groups(ranked, images, threshold, rounds)) if assessed else (),
        precision_recall=thinned(*precision_curve(ranked, IOU_LIMIT)),
        froc=thinned(*froc_curve(ranked, IOU_LIMIT)),
    )


def _at_threshold(ranked: Ranked, threshold: float, patients: list[str], rounds: int) -> AtThreshold:
    strict, lenient = (operating_measure(ranked, limit, threshold) for limit in (IOU_LIMIT, READER_IOU))

    def measure(weights: FloatArray) -> FloatArray:
        return np.append(strict(weights)[:2], lenient(weights)[2])

    sensitivity, false_per_image, f1_at_40 = bootstrap_all(measure, patients, rounds=rounds)
    return AtThreshold(threshold, sensitivity, false_per_image, f1_at_40)


def _localization(ranked: Ranked, threshold: float, patients: list[str], rounds: int) -> tuple[LocalizedAt, ...]:
    figures = bootstrap_all(localization_measure(ranked.at(*LOCALIZATION_LIMITS), threshold), patients, rounds=rounds)
    n_limits = len(LOCALIZATION_LIMITS)
    return tuple(map(LocalizedAt, LOCALIZATION_LIMITS, figures[:n_limits], figures[n_limits:]))


def _reliability(ranked: Ranked, patients: list[str], rounds: int) -> Reliability:
    ece, *shares = bootstrap_all(reliability_measure(ranked, IOU_LIMIT, JUDGED_FROM), patients, rounds=rounds)
    made, mean_score = score_bins(ranked, JUDGED_FROM)
    bins = tuple(
        ScoreBin(place / len(made), (place + 1) / len(made), int(made[place]), float(mean_score[place]), share)
        for place, share in enumerate(shares)
        if made[place]
    )
    n_hits = int(ranked.hits_at(IOU_LIMIT)[ranked.scores >= JUDGED_FROM].sum())
    return Reliability(JUDGED_FROM, int(made.sum()), n_hits, ece, bins)


def _groups(ranked: Ranked, images: pd.DataFrame, threshold: float | None, rounds: int) -> Iterator[GroupResult]:
    strict = ranked.at(IOU_LIMIT)
    for attribute, group, members in groups(images):
        part, of_part = strict.only(members), images[members]
        counts = _counts(part, of_part)
        figures: Sequence[Interval] = [Interval.nothing()] * 3
        if counts.boxes >= FEWEST_BOXES:
            figures = bootstrap_all(_group_measure(part, threshold), of_part["patient"].tolist(), rounds=rounds)
        yield GroupResult(attribute, group, counts, *figures)


def _group_measure(ranked: Ranked, threshold: float | None) -> Callable[[FloatArray], FloatArray]:
    """AP50, sensitivity and false positives per image; the last two NaN without a threshold."""
    precision = precision_measure(ranked)
    operating = operating_measure(ranked, IOU_LIMIT, np.nan if threshold is None else threshold)
    known = np.nan if threshold is None else 1.0
    return lambda weights: np.append(precision(weights), known * operating(weights)[:2])


def _counts(ranked: Ranked, images: pd.DataFrame) -> Counts:
    n_with = int((ranked.n_boxes > 0).sum())
    return Counts(n_with, len(ranked.n_boxes) - n_with, int(ranked.n_boxes.sum()), images["patient"].nunique())
