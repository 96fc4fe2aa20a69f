"""From rows to figures with intervals: per finding and method, their mean over findings, detector − method."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from boxray.core.arrays import FloatArray, IntArray
from boxray.core.metrics import Interval, Measure, bootstrap_all, spearman_measure
from boxray.detection.compare import MEAN
from boxray.detection.evaluate import LOCALIZATION_LIMITS
from boxray.localization.compare.asking import DETECTOR
from boxray.localization.compare.measures import FOUND

LOCALIZED: Final = tuple(f"localized_at_{limit:g}" for limit in LOCALIZATION_LIMITS)
"""Share of images in which the one best box overlaps a reader's box by T(IoU)."""
FALSE: Final = tuple(f"false_per_image_at_{limit:g}" for limit in LOCALIZATION_LIMITS)
"""Of all that is reported: boxes per image that hit no reader's box of their own at T(IoU)."""

MEASURES: Final = (
    *("pointing_hit", "centre_hit", "iou"),
    *LOCALIZED,
    *FOUND,
    *FALSE,
    *("reported", "energy_inside", "readers_cover", "best_covers"),
)
CORRELATED: Final = {
    "iou_with_size": ("iou", "readers_cover"),
    "iou_with_number": ("iou", "n_boxes"),
    "pointing_with_size": ("pointing_hit", "readers_cover"),
    "pointing_with_number": ("pointing_hit", "n_boxes"),
}
"""Measure -> the two columns of rows whose Spearman correlation it is."""

HEADLINE_LIMIT: Final = 0.3
POINTING: Final = "pointing_hit"
LOCALIZATION: Final = f"localized_at_{HEADLINE_LIMIT:g}"
FEWEST_IMAGES: Final = 5
"""A finding with fewer boxed images has figures, and no part in the mean."""

SUMMARY_COLUMNS: Final = [
    *("finding", "method", "measure", "n_images", "n_boxes", "value", "low", "high"),
    *("difference", "difference_low", "difference_high"),
]
DISAGREEMENT_COLUMNS: Final = ["finding", "method", "measure", "both", "detector_only", "map_only", "neither"]


@dataclass(frozen=True, slots=True)
class _Finding:
    """One finding's figures as ratios of two sums over images."""

    above: FloatArray
    """Shape ``(n, M, K)``: images × methods × measures."""
    below: FloatArray
    """The same."""
    place: IntArray
    """Shape ``(n,)``: of these images among all that are compared."""

    def figures(self, weights: FloatArray) -> FloatArray:
        """Shape ``(M, K)``; NaN where no image has weight."""
        weight = weights[self.place]
        above, below = np.tensordot(weight, self.above, 1), np.tensordot(weight, self.below, 1)
        return np.asarray(np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0))


def summarize(
    rows: pd.DataFrame, findings: Sequence[str], methods: Sequence[str], *, rounds: int = 1000
) -> pd.DataFrame:
    """Every figure with its 95 % interval, and the paired difference of detector − method.

    Patients are resampled once for all findings and methods together, so that a difference is of the same images
    and the mean over findings of the same patients.

    Args:
        rows: Of `asking.rows_of`, one for each image × finding × method.
        findings: In the order of the table.
        methods: The detector first.
        rounds: Of the bootstrap.

    Returns:
        `SUMMARY_COLUMNS`: a row for each finding (and "mean", over those with at least `FEWEST_IMAGES` boxed images),
        method and measure of `MEASURES` and, without a mean or a difference, `CORRELATED`. Differences are NaN for the
        detector itself.
    """
    images = rows[["image_id", "patient"]].drop_duplicates("image_id").reset_index(drop=True)
    patients = images["patient"].tolist()
    parts = {finding: _finding(rows[rows["finding"] == finding], images["image_id"], methods) for finding in findings}
    averaged = [finding for finding in findings if len(parts[finding].place) >= FEWEST_IMAGES]
    names = [*findings, *([MEAN] if averaged else [])]

    def measure(weights: FloatArray) -> FloatArray:
        by_finding = {finding: part.figures(weights) for finding, part in parts.items()}
        if averaged:
            by_finding[MEAN] = np.mean([by_finding[finding] for finding in averaged], axis=0)
        figures = np.stack([by_finding[name] for name in names])  # (F, M, K)
        return np.concatenate([figures, figures[:, :1] - figures]).ravel()

    if not names or not len(rows):
        return pd.DataFrame(columns=SUMMARY_COLUMNS)
    intervals = iter(bootstrap_all(measure, patients, rounds=rounds))
    cells = [(name, method, what) for name in names for method in methods for what in MEASURES]
    values = [next(intervals) for _ in cells]
    differences = [
        Interval.nothing() if method == methods[0] or what == "readers_cover" else interval
        for (_, method, what), interval in zip(cells, intervals, strict=True)
    ]
    size = _sizes(rows, findings, averaged)
    table = [
        _row(*cell, size[cell[0]], value, difference)
        for cell, value, difference in zip(cells, values, differences, strict=True)
    ]
    return pd.DataFrame([*table, *_correlations(rows, findings, methods, size, rounds)], columns=SUMMARY_COLUMNS)


def _finding(rows: pd.DataFrame, image_ids: pd.Series, methods: Sequence[str]) -> _Finding:
    """Rows of one finding as arrays; every image has a row of every method."""
    of_method = [rows[rows["method"] == method].set_index("image_id") for method in methods]
    ids = of_method[0].index
    above = np.stack([_above(part.loc[ids]) for part in of_method], axis=1)
    n_boxes = of_method[0]["n_boxes"].to_numpy(np.float64)
    below = np.ones(above.shape)
    below[:, :, [MEASURES.index(name) for name in FOUND]] = n_boxes[:, None, None]
    return _Finding(above, below, pd.Index(image_ids).get_indexer(ids))


def _above(rows: pd.DataFrame) -> FloatArray:
    """Shape ``(n, K)``: what is summed for each of `MEASURES`."""
    columns = {name: rows[name] for name in MEASURES if name in rows}
    columns |= {name: rows["iou"] >= limit for name, limit in zip(LOCALIZED, LOCALIZATION_LIMITS, strict=True)}
    columns["reported"] = rows["n_reported"] > 0
    columns |= {name: rows["n_reported"] - rows[found] for name, found in zip(FALSE, FOUND, strict=True)}
    return np.column_stack([columns[name].to_numpy(np.float64) for name in MEASURES])


def _sizes(rows: pd.DataFrame, findings: Sequence[str], averaged: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Finding -> images and readers' boxes; of the mean, images in any of the averaged findings."""
    one_each = rows.drop_duplicates(["image_id", "finding"])
    parts = {finding: one_each[one_each["finding"] == finding] for finding in findings}
    parts[MEAN] = one_each[one_each["finding"].isin(averaged)]
    return {name: (part["image_id"].nunique(), int(part["n_boxes"].sum())) for name, part in parts.items()}


def _correlations(
    rows: pd.DataFrame,
    findings: Sequence[str],
    methods: Sequence[str],
    size: dict[str, tuple[int, int]],
    rounds: int,
) -> list[dict[str, Any]]:
    table = []
    for finding in findings:
        for method in methods:
            part = rows[(rows["finding"] == finding) & (rows["method"] == method)]
            measures = [
                spearman_measure(*(part[name].to_numpy(np.float64) for name in pair)) for pair in CORRELATED.values()
            ]
            intervals = bootstrap_all(_together(measures), part["patient"].tolist(), rounds=rounds)
            table += [
                _row(finding, method, name, size[finding], interval, Interval.nothing())
                for name, interval in zip(CORRELATED, intervals, strict=True)
            ]
    return table


def _together(measures: Sequence[Measure]) -> Callable[[FloatArray], FloatArray]:
    return lambda weights: np.concatenate([measure(weights) for measure in measures])


def _row(
    finding: str, method: str, measure: str, size: tuple[int, int], value: Interval, difference: Interval
) -> dict[str, Any]:
    three = (value.value, value.low, value.high, difference.value, difference.low, difference.high)
    return dict(zip(SUMMARY_COLUMNS, (finding, method, measure, *size, *three), strict=True))


def disagreements(rows: pd.DataFrame, findings: Sequence[str], methods: Sequence[str]) -> pd.DataFrame:
    """How often both, one or none of detector and method is right, by pointing and by T(IoU) = 0.3 of the one best box.

    Args:
        rows: As for `summarize`.
        findings: In the order of the table.
        methods: Those that the detector is held against.

    Returns:
        `DISAGREEMENT_COLUMNS`; the last four add up to the finding's images.
    """
    table = []
    for finding in findings:
        part = rows[rows["finding"] == finding]
        right = {
            name: part[part["method"] == name].set_index("image_id")[["pointing_hit", "iou"]]
            for name in (DETECTOR, *methods)
        }
        for method in methods:
            other = right[method].loc[right[DETECTOR].index]
            for measure in (POINTING, LOCALIZATION):
                ours, theirs = (_right(side, measure) for side in (right[DETECTOR], other))
                counts = (ours & theirs, ours & ~theirs, ~ours & theirs, ~ours & ~theirs)
                table.append((finding, method, measure, *(int(each.sum()) for each in counts)))
    return pd.DataFrame(table, columns=DISAGREEMENT_COLUMNS)


def _right(rows: pd.DataFrame, measure: str) -> pd.Series:
    return rows["pointing_hit"].astype(bool) if measure == POINTING else rows["iou"] >= HEADLINE_LIMIT


Figures = dict[tuple[str, str, str], tuple[Interval, Interval]]
"""Finding, method, measure -> the figure, and detector − method."""


def figures_of(summary: pd.DataFrame) -> Figures:
    """The summary's figures, to be looked up by the hundred."""
    numbers = summary[SUMMARY_COLUMNS[5:]].to_numpy(np.float64).tolist()
    names = summary[["finding", "method", "measure"]].itertuples(index=False, name=None)
    return {name: (Interval(*six[:3]), Interval(*six[3:])) for name, six in zip(names, numbers, strict=True)}
