"""Figures with intervals from rows made by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from boxray.core.metrics import paired_difference
from boxray.localization.compare.asking import DETECTOR
from boxray.localization.compare.summary import (
    CORRELATED,
    FEWEST_IMAGES,
    MEASURES,
    disagreements,
    figures_of,
    summarize,
)

METHODS = (DETECTOR, "grad_cam")


def a_row(
    image, method, *, finding="fluid", hit=True, iou=0.5, patient=None, n_boxes=1, found=0, reported=0, cover=0.1
):
    """One row; whatever is not said does not matter."""
    found_at = {f"found_at_{limit:g}": found for limit in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)}
    return {
        "image_id": str(image),
        "patient": str(image if patient is None else patient),
        "finding": finding,
        "method": method,
        "n_boxes": n_boxes,
        "readers_cover": cover,
        "pointing_hit": hit,
        "centre_hit": hit,
        "iou": iou,
        "energy_inside": iou,
        "best_covers": 0.2,
        "n_reported": reported,
        **found_at,
    }


def made(seed, n=24, finding="fluid"):
    """Rows of both methods on n images of n / 2 patients."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        [
            a_row(
                f"{finding}{image}",
                method,
                finding=finding,
                hit=bool(rng.random() < (0.7 if method == DETECTOR else 0.4)),
                iou=float(rng.integers(0, 11) / 10),
                patient=image // 2,
                n_boxes=2,
                found=int(rng.integers(0, 3)),
                reported=int(rng.integers(2, 5)),
                cover=float(rng.random()),
            )
            for image in range(n)
            for method in METHODS
        ]
    )


def test_each_figure_is_the_mean_over_images_or_over_boxes():
    rows = pd.DataFrame(
        [
            a_row(1, DETECTOR, hit=True, iou=0.3, n_boxes=3, found=2, reported=4),
            a_row(2, DETECTOR, hit=False, iou=0.0, n_boxes=1, found=0, reported=0),
        ]
    )

    summary = summarize(rows, ["fluid"], [DETECTOR], rounds=5)

    value = {what: figures_of(summary)["fluid", DETECTOR, what][0].value for what in MEASURES}
    assert (value["pointing_hit"], value["iou"]) == (0.5, 0.15)
    assert (value["localized_at_0.3"], value["localized_at_0.4"]) == (0.5, 0.0)  # an overlap of exactly T counts
    assert value["found_at_0.3"] == 2 / 4  # of all readers' boxes
    assert value["false_per_image_at_0.3"] == (4 - 2) / 2
    (row, *_) = summary.to_dict("records")
    assert (row["n_images"], row["n_boxes"]) == (2, 4)


def test_a_paired_difference_is_the_metrics_own():
    rows = made(seed=3)
    summary = summarize(rows, ["fluid"], METHODS, rounds=60)

    def mean_of(method, column):
        values = rows[rows["method"] == method][column].to_numpy(float)
        return lambda weights: np.array([weights @ values / weights.sum()])

    patients = rows[rows["method"] == DETECTOR]["patient"].tolist()
    for measure in ("pointing_hit", "iou"):
        (expected,) = paired_difference(*(mean_of(method, measure) for method in METHODS), patients, rounds=60)
        ours = figures_of(summary)["fluid", "grad_cam", measure][1]
        assert (ours.value, ours.low, ours.high) == pytest.approx((expected.value, expected.low, expected.high))
    assert np.isnan(figures_of(summary)["fluid", DETECTOR, "iou"][1].value)


def test_the_mean_is_over_findings_with_enough_images_whatever_their_number_of_images():
    few = made(seed=2, n=FEWEST_IMAGES - 1, finding="few")
    rows = pd.concat([made(seed=0, n=30), made(seed=1, n=6, finding="heart"), few])

    summary = summarize(rows, ["fluid", "heart", "few"], METHODS, rounds=20)

    each = [figures_of(summary)[finding, DETECTOR, "iou"][0].value for finding in ("fluid", "heart")]
    assert figures_of(summary)["mean", DETECTOR, "iou"][0].value == pytest.approx(np.mean(each))
    assert figures_of(summary)["few", DETECTOR, "iou"][0].value >= 0
    (size,) = {(row.n_images, row.n_boxes) for row in summary[summary["finding"] == "mean"].itertuples()}
    assert size == (36, 72)


def test_patients_are_resampled_with_all_their_images_and_findings():
    """One patient alone: every resample is the same, so that no interval has a width."""
    rows = pd.concat([made(seed=4), made(seed=5, finding="heart")]).assign(patient="one")

    summary = summarize(rows, ["fluid", "heart"], METHODS, rounds=10)

    wide = summary[summary["measure"].isin(MEASURES)]
    assert wide["low"].to_numpy() == pytest.approx(wide["high"].to_numpy())


def test_correlations_are_scipys():
    rows = made(seed=6)
    summary = summarize(rows.assign(n_boxes=rows["readers_cover"].round(1) * 10), ["fluid"], METHODS, rounds=5)

    part = rows[rows["method"] == "grad_cam"]
    for name, (one, other) in CORRELATED.items():
        other_column = part["readers_cover"].round(1) * 10 if other == "n_boxes" else part[other]
        expected = spearmanr(part[one], other_column).statistic
        assert figures_of(summary)["fluid", "grad_cam", name][0].value == pytest.approx(expected)


def test_disagreements_are_counted_by_pointing_and_by_overlap():
    cases = [
        ((True, 0.6), (True, 0.1)),
        ((True, 0.3), (False, 0.3)),
        ((False, 0.0), (True, 0.9)),
        ((False, 0), (False, 0)),
    ]
    rows = pd.DataFrame(
        [
            a_row(image, method, hit=hit, iou=iou)
            for image, case in enumerate(cases)
            for method, (hit, iou) in zip(METHODS, case, strict=True)
        ]
    )

    counted = disagreements(rows, ["fluid"], ["grad_cam"]).set_index("measure")

    assert counted.loc["pointing_hit", ["both", "detector_only", "map_only", "neither"]].tolist() == [1, 1, 1, 1]
    assert counted.loc["localized_at_0.3", ["both", "detector_only", "map_only", "neither"]].tolist() == [1, 1, 1, 1]


def test_what_was_not_measured_has_no_figure():
    assert ("lung", DETECTOR, "iou") not in figures_of(summarize(made(0), ["fluid"], METHODS, rounds=2))
    assert summarize(pd.DataFrame(columns=made(0).columns), [], METHODS).empty
