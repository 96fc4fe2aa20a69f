"""Two classifiers on the same images."""

import numpy as np
import pytest

from boxray.classification.compare import COMPARED, compare_auroc
from boxray.classification.evaluate import judge
from boxray.core.assessed import MEAN
from built import TWO
from scored import Judge, random_set


def by_place(rows):
    return {(row.finding, row.figure): row for row in rows}


def test_a_comparison_is_what_each_is_alone_on_the_same_resamples():
    manifest, ours = random_set(1)
    theirs = random_set(2)[1]

    rows = by_place(compare_auroc(manifest, ours, theirs, TWO.keys, rounds=30))

    assert list(rows) == [(name, figure) for figure in COMPARED for name in (*TWO.keys, MEAN)]
    for side, scores in (("ours", ours), ("theirs", theirs)):
        alone = judge(manifest, scores, Judge(), rounds=30)
        for result in alone.findings:
            assert getattr(rows[result.finding, "auroc_within"], side) == result.within.auroc
            assert getattr(rows[result.finding, "auroc_pooled"], side) == result.pooled.auroc
        for figure in COMPARED:
            assert getattr(rows[MEAN, figure], side).value == pytest.approx(alone.means[figure].macro.value)
            assert getattr(rows[MEAN, figure], side).low == pytest.approx(alone.means[figure].macro.low)
    for row in rows.values():
        assert row.difference.value == pytest.approx(row.ours.value - row.theirs.value)
        assert row.difference.low < row.difference.value < row.difference.high


def test_a_classifier_does_not_differ_from_itself():
    manifest, scores = random_set(1)

    rows = compare_auroc(manifest, scores, scores, TWO.keys, rounds=20)

    assert all((row.difference.value, row.difference.low, row.difference.high) == (0, 0, 0) for row in rows)


def test_what_is_hard_for_both_cancels_out():
    manifest, scores = random_set(1)
    slightly_better = np.where(scores == scores.max(axis=0), 1.0, scores) + 0

    rows = by_place(compare_auroc(manifest, slightly_better, scores, TWO.keys, rounds=100))

    mean = rows[MEAN, "auroc_pooled"]
    assert mean.difference.high - mean.difference.low < (mean.ours.high - mean.ours.low) / 2


def test_only_what_is_named_is_compared_and_counted():
    manifest, scores = random_set(1)

    heart, mean, *_ = compare_auroc(manifest, scores, scores, ("heart",), rounds=5)

    pooled = judge(manifest, scores, Judge(), rounds=5).findings[1].within.counts
    assert (heart.images_with, heart.images_without) == (pooled.images_with, pooled.images_without)
    assert (mean.images_with, mean.images_without) == (heart.images_with, heart.images_without)
    assert mean.ours == heart.ours


def test_a_finding_that_nobody_knows_of_has_no_figure_and_no_part_in_the_mean():
    manifest, scores = random_set(1)
    nothing = manifest.only(manifest.images["presence_heart"] == "unknown")
    there = scores[(manifest.images["presence_heart"] == "unknown").to_numpy()]

    rows = by_place(compare_auroc(nothing, there, there, TWO.keys, rounds=5))

    none = {"value": None, "low": None, "high": None}
    assert rows["heart", "auroc_pooled"].to_json()["difference"] == none
    assert rows["heart", "auroc_pooled"].images_with == 0
