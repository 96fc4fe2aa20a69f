"""Figures of images by their score, against scikit-learn and torchmetrics; where the latter differs, it is said."""

import numpy as np
import pytest
import sklearn.metrics as reference
import torch
import torchmetrics.classification as torchmetrics
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from boxed import seeds
from boxray.core.metrics import (
    auroc,
    auroc_measure,
    binary_confusion_measure,
    brier_measure,
    calibration_measure,
    class_confusion_measure,
    confusion_figures,
    image_precision_curve,
    image_precision_measure,
    image_score_bins,
    macro_and_weighted,
    one_against_rest,
    precision_at_measure,
    roc_curve,
    sensitivity_measure,
    thinned,
)

MAKERS = (auroc_measure, image_precision_measure)


def classified(seed, most=40):
    """Scores (many equal), which are positive, whole weights, and a stratum of each."""
    rng = np.random.default_rng(seed)
    n = rng.integers(2, most)
    scores, there, weights = rng.integers(0, 6, n) / 5, rng.random(n) < 0.5, rng.choice([0.0, 1.0, 2.0, 5.0], n)
    assume(weights[there].sum() > 0)
    assume(weights[~there].sum() > 0)
    return scores, there, weights, rng.choice(["a", "b", "c"], n)


@given(seeds)
@settings(max_examples=30)
def test_both_areas_are_those_of_scikit_learn_whatever_the_weights(seed):
    scores, there, weights, _ = classified(seed)

    area, precision = (make(scores, there)(weights)[0] for make in MAKERS)

    assert area == pytest.approx(reference.roc_auc_score(there, scores, sample_weight=weights))
    assert area == pytest.approx(auroc(scores, there, weights))
    assert precision == pytest.approx(reference.average_precision_score(there, scores, sample_weight=weights))


@given(seeds)
@settings(max_examples=30)
def test_within_strata_only_pairs_of_one_stratum_are_counted(seed):
    scores, there, weights, strata = classified(seed)

    ours = auroc_measure(scores, there, strata.tolist())(weights)[0]

    right = pairs = 0.0
    for one in np.flatnonzero(there):
        for other in np.flatnonzero(~there & (strata == strata[one])):
            weight = weights[one] * weights[other]
            pairs += weight
            right += weight * (np.sign(scores[one] - scores[other]) + 1) / 2
    assert ours == pytest.approx(right / pairs if pairs else np.nan, nan_ok=True)


@given(seeds)
@settings(max_examples=30)
def test_within_strata_the_figure_is_the_strata_weighted_by_pairs_or_by_positives(seed):
    scores, there, weights, strata = classified(seed)

    def of_strata(theirs, weigh):
        figures, shares = [], []
        for name in np.unique(strata):
            part = strata == name
            n_there, n_not = weights[part & there].sum(), weights[part & ~there].sum()
            if n_there and n_not:
                figures.append(theirs(there[part], scores[part], sample_weight=weights[part]))
                shares.append(weigh(n_there, n_not))
        return np.average(figures, weights=shares) if figures else np.nan

    area, precision = (make(scores, there, strata.tolist())(weights)[0] for make in MAKERS)

    assert area == pytest.approx(of_strata(reference.roc_auc_score, lambda a, b: a * b), nan_ok=True)
    assert precision == pytest.approx(of_strata(reference.average_precision_score, lambda a, _: a), nan_ok=True)


def test_who_tells_the_strata_apart_and_nothing_else_earns_nothing_within_them():
    strata = ["sick"] * 10 + ["well"] * 10
    there = np.array([True] * 9 + [False] + [True] + [False] * 9)
    scores = np.array([0.9] * 10 + [0.1] * 10)

    assert auroc_measure(scores, there)(np.ones(20))[0] == pytest.approx(0.9)
    assert auroc_measure(scores, there, strata)(np.ones(20))[0] == 0.5


@pytest.mark.parametrize("there", [[], [True, True], [False]])
@pytest.mark.parametrize("make", MAKERS)
def test_without_both_kinds_an_area_is_nothing_and_never_0(make, there):
    measure = make(np.zeros(len(there)), np.array(there, dtype=bool))

    assert np.isnan(measure(np.ones(len(there)))).all()


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("weights", [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
def test_a_resample_without_one_of_the_kinds_measures_nothing(make, weights):
    assert np.isnan(make(np.array([0.2, 0.8]), np.array([False, True]))(np.array(weights))).all()


@given(seeds)
@settings(max_examples=20)
def test_an_image_of_weight_k_counts_as_k_copies_of_it_in_every_figure(seed):
    scores, there, weights, strata = classified(seed)
    copies = np.repeat(np.arange(len(scores)), weights.astype(int))

    def figures(scores, there, strata, weights):
        measures = [
            *(make(scores, there, strata.tolist()) for make in MAKERS),
            sensitivity_measure(scores, there, (0.0, 0.25, 0.6, 1.0)),
            precision_at_measure(scores, there, (0.0, 0.3, 0.7, 1.0)),
            brier_measure(scores, there),
            calibration_measure(scores, there),
            binary_confusion_measure(scores >= 0.5, there),
        ]
        return np.concatenate([measure(weights) for measure in measures])

    by_weight = figures(scores, there, strata, weights)

    alone = figures(scores[copies], there[copies], strata[copies], np.ones(len(copies)))
    assert by_weight == pytest.approx(alone, nan_ok=True)


@given(seeds)
@settings(max_examples=20)
def test_the_curves_are_those_of_scikit_learn(seed):
    scores, there, _, _ = classified(seed)
    assume(there.any() and not there.all())

    false_rate, sensitivity = roc_curve(scores, there)
    recall, precision = image_precision_curve(scores, there)

    x, y, _ = reference.roc_curve(there, scores, drop_intermediate=False)
    assert (false_rate, sensitivity) == (pytest.approx(x), pytest.approx(y))
    theirs, at, _ = reference.precision_recall_curve(there, scores)
    points = {(round(r, 9), round(p, 9)) for r, p in zip(at, theirs, strict=True)}
    assert all((round(r, 9), round(p, 9)) in points for r, p in zip(recall, precision, strict=True))
    assert recall[-1] == 1
    assert precision @ np.diff(recall, prepend=0) == pytest.approx(reference.average_precision_score(there, scores))


@given(seeds)
@settings(max_examples=20)
def test_points_on_the_curves_lie_on_them(seed):
    scores, there, _, _ = classified(seed)
    assume(there.any() and not there.all())
    once = np.ones(len(scores))

    x, y, _ = reference.roc_curve(there, scores, drop_intermediate=False)
    at = sensitivity_measure(scores, there, (0.05, 0.3, 0.55))(once)
    recall, precision = image_precision_curve(scores, there)
    reached = precision_at_measure(scores, there, recall.tolist())(once)

    # Between two thresholds on a straight line; a rate that is one of a threshold is none of these.
    on_line = ~np.isin([0.05, 0.3, 0.55], x)
    assert at[on_line] == pytest.approx(np.interp([0.05, 0.3, 0.55], x, y)[on_line])
    assert reached == pytest.approx(precision)


def test_without_a_false_positive_the_best_sensitivity_of_such_a_threshold_stands_there():
    scores, there = np.array([0.9, 0.8, 0.5, 0.1]), np.array([True, True, False, False])

    assert sensitivity_measure(scores, there, (0.0,))(np.ones(4)).tolist() == [1.0]


def test_curves_of_one_kind_alone_are_empty():
    for curve in (roc_curve, image_precision_curve):
        assert [len(part) for part in curve(np.array([0.3]), np.array([True]))] == [0, 0]
    for make in (sensitivity_measure, precision_at_measure):
        assert np.isnan(make(np.array([0.3]), np.array([True]), (0.1, 0.5))(np.ones(1))).all()


def test_a_curve_that_is_drawn_keeps_its_ends():
    x = np.linspace(0, 1, 5000)

    curve = thinned(x, 1 - x)

    assert len(curve.x) == 300
    assert (curve.x[0], curve.x[-1], curve.y[-1]) == (0.0, 1.0, 0.0)


@given(seeds)
@settings(max_examples=30)
def test_counts_and_their_shares_are_those_of_scikit_learn(seed):
    scores, there, weights, _ = classified(seed)
    said = scores >= 0.6

    counts = binary_confusion_measure(said, there)(weights)
    accuracy, precision, recall, specificity, f1 = confusion_figures(counts)

    theirs = reference.confusion_matrix(there, said, labels=[False, True], sample_weight=weights)
    assert counts.tolist() == theirs.ravel().tolist()
    assert accuracy == pytest.approx(reference.accuracy_score(there, said, sample_weight=weights))
    options = {"sample_weight": weights, "zero_division": np.nan}
    assert precision == pytest.approx(reference.precision_score(there, said, **options), nan_ok=True)
    assert recall == pytest.approx(reference.recall_score(there, said, **options))
    assert f1 == pytest.approx(reference.f1_score(there, said, **options), nan_ok=True)
    assert specificity == pytest.approx(reference.recall_score(~there, ~said, **options))


@given(st.integers(2, 6), seeds)
@settings(max_examples=30)
def test_classes_and_their_means_are_those_of_scikit_learn(n_classes, seed):
    rng = np.random.default_rng(seed)
    n = rng.integers(1, 40)
    classes, said = rng.integers(0, n_classes, (2, n))
    weights = rng.choice([0.0, 1.0, 3.0], n)
    assume(weights.sum() > 0)

    table = class_confusion_measure(said, classes, n_classes)(weights).reshape(n_classes, n_classes)
    figures = confusion_figures(one_against_rest(table))
    macro, weighted = macro_and_weighted(figures, table.sum(axis=1))

    labels = list(range(n_classes))
    theirs = reference.confusion_matrix(classes, said, labels=labels, sample_weight=weights)
    assert table.tolist() == theirs.tolist()
    options = {"labels": labels, "sample_weight": weights, "zero_division": np.nan}
    per_class = reference.precision_recall_fscore_support(classes, said, **options)[:3]
    assert pytest.approx(np.array(per_class), nan_ok=True) == figures[:, [1, 2, 4]].T
    for average, ours in (("macro", macro), ("weighted", weighted)):
        of_all = reference.precision_recall_fscore_support(classes, said, average=average, **options)[:3]
        # scikit-learn weighs by what is there too, and leaves out what is undefined; a mean of weight 0 it calls 0.
        of_nothing = np.isnan(ours[[1, 2, 4]])
        assert ours[[1, 2, 4]][~of_nothing] == pytest.approx(np.array(of_all)[~of_nothing])
        assert all(np.isnan(theirs) or theirs == 0 for theirs in np.array(of_all)[of_nothing])


def test_a_share_of_nothing_is_nothing_where_torchmetrics_says_0():
    never_said = confusion_figures(np.array([7.0, 0.0, 3.0, 0.0]))
    never_there = confusion_figures(np.array([7.0, 3.0, 0.0, 0.0]))
    neither = confusion_figures(np.array([10.0, 0.0, 0.0, 0.0]))
    no_image = confusion_figures(np.zeros(4))

    assert never_said.tolist() == pytest.approx([0.7, np.nan, 0.0, 1.0, 0.0], nan_ok=True)
    assert never_there.tolist() == pytest.approx([0.7, 0.0, np.nan, 0.7, 0.0], nan_ok=True)
    assert neither.tolist() == pytest.approx([1.0, np.nan, np.nan, 1.0, np.nan], nan_ok=True)
    assert np.isnan(no_image).all()


def test_a_mean_over_classes_leaves_out_what_is_nothing_and_is_nothing_over_nothing():
    figures = np.array([[0.5, np.nan], [np.nan, np.nan], [1.0, np.nan]])

    macro, weighted = macro_and_weighted(figures, np.array([3.0, 9.0, 1.0]))

    assert macro == pytest.approx([0.75, np.nan], nan_ok=True)
    assert weighted == pytest.approx([0.625, np.nan], nan_ok=True)


@given(seeds)
@settings(max_examples=20)
def test_the_brier_score_is_that_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    scores, there, weights = rng.random(20), rng.random(20) < 0.5, rng.integers(0, 3, 20).astype(float)
    assume(weights.sum() > 0)

    ours = brier_measure(scores, there)(weights)[0]

    theirs = reference.brier_score_loss(there, scores, sample_weight=weights, labels=[False, True])
    assert ours == pytest.approx(theirs)


@given(seeds)
@settings(max_examples=20)
def test_the_calibration_error_is_the_sum_over_bins_written_out(seed):
    """As torchmetrics and Guo et al. (2017) define it; torchmetrics takes 15 bins unless told otherwise."""
    rng = np.random.default_rng(seed)
    scores, there = rng.random(60).round(2), rng.random(60) < 0.4
    n_bins = int(rng.choice([5, 10, 15]))

    ece, *shares = calibration_measure(scores, there, n_bins)(np.ones(60))
    made, mean_score = image_score_bins(scores, n_bins)

    expected = 0.0
    for place in range(n_bins):
        part = np.minimum((scores * n_bins).astype(int), n_bins - 1) == place
        assert made[place] == part.sum()
        if part.any():
            expected += part.mean() * abs(there[part].mean() - scores[part].mean())
            assert (shares[place], mean_score[place]) == pytest.approx((there[part].mean(), scores[part].mean()))
        else:
            assert np.isnan([shares[place], mean_score[place]]).all()
    assert ece == pytest.approx(expected)


@given(seeds)
@settings(max_examples=40)
def test_scores_are_judged_as_torchmetrics_judges_them(seed):
    rng = np.random.default_rng(seed)
    scores, there = rng.random(60).astype(np.float32), rng.random(60) < 0.4
    assume(there.any())
    assume(not there.all())
    said, truth = torch.from_numpy(scores), torch.from_numpy(there.astype(int))
    everyone, n_bins = np.ones(60), int(rng.choice([5, 10, 15]))

    theirs = torchmetrics.BinaryCalibrationError(n_bins, norm="l1")(said, truth)
    assert calibration_measure(scores, there, n_bins)(everyone)[0] == pytest.approx(theirs.item(), abs=1e-6)
    theirs = torchmetrics.BinaryAUROC()(said, truth)
    assert auroc(scores, there) == pytest.approx(theirs.item(), abs=1e-6)
    theirs = torchmetrics.BinaryAveragePrecision()(said, truth)
    assert image_precision_measure(scores, there)(everyone)[0] == pytest.approx(theirs.item(), abs=1e-6)


def test_of_no_image_there_is_neither_error_nor_score():
    nothing, none = np.empty(0), np.empty(0, dtype=bool)

    assert np.isnan(brier_measure(nothing, none)(nothing)).all()
    assert np.isnan(calibration_measure(nothing, none)(nothing)).all()
