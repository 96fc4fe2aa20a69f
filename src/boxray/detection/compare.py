"""Two detectors on the same images, and one figure over several findings: patients are resampled once for all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from boxray.core.arrays import FloatArray
from boxray.core.metrics import Interval, Measure, bootstrap_all, paired_difference, precision_measure
from boxray.data.manifest import Manifest
from boxray.detection.evaluate import IOU_LIMIT, Detections, rank_finding, scored_images


def mean_ap50(
    manifest: Manifest,
    detections: Detections,
    findings: Sequence[str],
    *,
    with_assumed: bool = False,
    rounds: int = 1000,
) -> Interval:
    """The mean of AP50 over findings, its interval by resampling the patients of all of them together."""
    measure = _ap50_of(manifest, detections, findings, with_assumed=with_assumed)
    patients = manifest.images["patient"].tolist()
    return bootstrap_all(lambda weights: measure(weights)[-1:], patients, rounds=rounds)[0]


def ap50_difference(
    manifest: Manifest,
    ours: Detections,
    theirs: Detections,
    findings: Sequence[str],
    *,
    with_assumed: bool = False,
    rounds: int = 1000,
) -> dict[str, Interval]:
    """How much higher the AP50 of one detector is than another's on the same images, with paired intervals.

    Args:
        manifest: The images.
        ours: Per image of the manifest.
        theirs: The other detector's.
        findings: Which both assess.
        with_assumed: Count images in which a finding is only assumed to be absent.
        rounds: Of the bootstrap.

    Returns:
        Finding -> ours minus theirs; ``mean`` -> the mean over the findings.
    """
    differences = paired_difference(
        _ap50_of(manifest, ours, findings, with_assumed=with_assumed),
        _ap50_of(manifest, theirs, findings, with_assumed=with_assumed),
        manifest.images["patient"].tolist(),
        rounds=rounds,
    )
    return dict(zip([*findings, "mean"], differences, strict=True))


def _ap50_of(manifest: Manifest, detections: Detections, findings: Sequence[str], *, with_assumed: bool) -> Measure:
    """AP50 of every finding and their mean, for weights of *all* images of the manifest."""
    measures = []
    for finding in findings:
        ranked, _ = rank_finding(manifest, detections, finding, with_assumed=with_assumed, iou_limits=(IOU_LIMIT,))
        counted = scored_images(manifest, finding, with_assumed=with_assumed)
        measures.append((precision_measure(ranked), counted))

    def measure(weights: FloatArray) -> FloatArray:
        figures = np.array([precision(weights[counted])[0] for precision, counted in measures])
        return np.append(figures, figures.mean())

    return measure
