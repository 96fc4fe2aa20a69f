"""Two detectors on the same images, and one figure over several findings: patients are resampled once for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from boxray.core.arrays import FloatArray
from boxray.core.assessed import MEAN
from boxray.core.metrics import (
    Interval,
    Measure,
    Ranked,
    bootstrap_all,
    precision_measure,
    reliability_measure,
)
from boxray.data.manifest import Manifest
from boxray.detection.evaluate import IOU_LIMIT, JUDGED_FROM, Detections, rank_finding, scored_images

Figure = Literal["ap50", "ece"]

MEASURES: Final[Mapping[Figure, Callable[[Ranked], Measure]]] = {
    "ap50": precision_measure,
    "ece": lambda ranked: reliability_measure(ranked, IOU_LIMIT, JUDGED_FROM),
}
"""The first value of each is the figure. AP50 sees the scores' order alone, the calibration error what they say."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure of two detectors for one finding, or the mean over findings, and the paired difference of the two."""

    finding: str
    n_images: int
    """On which it was measured."""
    n_boxes: int
    """None of them: there is no figure."""
    ours: Interval
    theirs: Interval
    difference: Interval
    """Ours minus theirs."""

    def to_json(self) -> dict[str, Any]:
        return {
            "finding": self.finding,
            "images": self.n_images,
            "boxes": self.n_boxes,
            "ours": self.ours.to_json(),
            "theirs": self.theirs.to_json(),
            "difference": self.difference.to_json(),
        }


def compare_detections(
    manifest: Manifest,
    ours: Detections,
    theirs: Detections,
    findings: Sequence[str],
    figure: Figure = "ap50",
    *,
    with_assumed: bool = False,
    rounds: int = 1000,
) -> tuple[Compared, ...]:
    """A figure of both detectors and its difference, on the same resamples of patients.

    Args:
        manifest: The images.
        ours: Per image of the manifest.
        theirs: The other detector's.
        findings: Which both assess.
        figure: Which.
        with_assumed: Count images in which a finding is only assumed to be absent.
        rounds: Of the bootstrap.

    Returns:
        A row per finding, and last the mean over those that have a box here; a finding without has no figure, and where
        nothing was detected there is no calibration error.
    """
    counted = {finding: scored_images(manifest, finding, with_assumed=with_assumed) for finding in findings}
    boxes = {finding: sum(map(len, manifest.boxes_of(finding).values())) for finding in findings}
    measured = [finding for finding in findings if boxes[finding]]
    of_ours, of_theirs = (
        _figure_of(manifest, found, measured, figure, with_assumed=with_assumed) for found in (ours, theirs)
    )

    def measure(weights: FloatArray) -> FloatArray:
        left, right = of_ours(weights), of_theirs(weights)
        return np.concatenate([left, right, left - right])

    n = len(measured) + 1
    figures: Sequence[Interval] = [Interval.nothing()] * 3 * n
    if measured:
        figures = bootstrap_all(measure, manifest.images["patient"].tolist(), rounds=rounds)
    place = {name: index for index, name in enumerate([*measured, MEAN])}
    nowhere = np.zeros(len(manifest.images), dtype=bool)
    counted[MEAN] = np.any([nowhere, *(counted[finding] for finding in measured)], axis=0)
    boxes[MEAN] = sum(boxes.values())
    rows = []
    for name in (*findings, MEAN):
        three = figures[place[name] :: n] if name in place else [Interval.nothing()] * 3
        rows.append(Compared(name, int(counted[name].sum()), boxes[name], *three))
    return tuple(rows)


def mean_ap50(
    manifest: Manifest,
    detections: Detections,
    findings: Sequence[str],
    *,
    with_assumed: bool = False,
    rounds: int = 1000,
) -> Interval:
    """The mean of AP50 over findings, its interval by resampling the patients of all of them together."""
    measure = _figure_of(manifest, detections, findings, "ap50", with_assumed=with_assumed)
    patients = manifest.images["patient"].tolist()
    return bootstrap_all(lambda weights: measure(weights)[-1:], patients, rounds=rounds)[0]


def _figure_of(
    manifest: Manifest, detections: Detections, findings: Sequence[str], figure: Figure, *, with_assumed: bool
) -> Measure:
    """The figure of every finding and their mean, for weights of *all* images of the manifest."""
    measures = []
    for finding in findings:
        ranked, _ = rank_finding(manifest, detections, finding, with_assumed=with_assumed, iou_limits=(IOU_LIMIT,))
        counted = scored_images(manifest, finding, with_assumed=with_assumed)
        measures.append((MEASURES[figure](ranked), counted))

    def measure(weights: FloatArray) -> FloatArray:
        figures = np.array([of_finding(weights[counted])[0] for of_finding, counted in measures])
        return np.append(figures, figures.mean())

    return measure
