"""Calibration error against scikit-learn's calibration curve, whose bins are made by other code."""

import numpy as np
import pytest
from hypothesis import given, settings
from sklearn.calibration import calibration_curve

from boxed import seeds
from boxray.core.metrics import Ranked, reliability_measure, score_bins


def ranked_of(scores, hits, image=None, n_images=1):
    order = np.argsort(-np.asarray(scores), kind="stable")
    image = np.zeros(len(order), dtype=int) if image is None else np.asarray(image)
    hits = np.asarray(hits, dtype=bool)[order][None]
    return Ranked(np.asarray(scores)[order], image[order], hits, np.array([0.5]), np.ones(n_images, dtype=int))


def figures_of(ranked, weights=None, lowest=0.0, bins=10):
    weights = np.ones(len(ranked.n_boxes)) if weights is None else weights
    return reliability_measure(ranked, 0.5, lowest, bins)(weights)


@given(seeds)
@settings(max_examples=40)
def test_error_and_shares_are_those_of_scikit_learns_bins(seed):
    rng = np.random.default_rng(seed)
    scores = rng.random(rng.integers(2, 200)) ** 3  # most are faint
    hits = rng.random(len(scores)) < scores
    hits[:2] = [True, False]

    ece, *shares = figures_of(ranked_of(scores, hits))

    hit, said = calibration_curve(hits, scores, n_bins=10)
    made = np.histogram(scores, np.linspace(0, 1, 11))[0]
    assert ece == pytest.approx(np.abs(hit - said) @ made[made > 0] / len(scores))
    assert np.array(shares)[made > 0] == pytest.approx(hit)
    assert np.isnan(np.array(shares)[made == 0]).all()
    counted, mean_score = score_bins(ranked_of(scores, hits), 0.0)
    assert counted.tolist() == made.tolist()
    assert mean_score[made > 0] == pytest.approx(said)


@given(seeds)
@settings(max_examples=40)
def test_an_image_of_weight_k_counts_as_k_copies_of_it(seed):
    rng = np.random.default_rng(seed)
    scores, image = rng.random(30), rng.integers(0, 5, 30)
    hits, times = rng.random(30) < 0.4, rng.integers(0, 4, 5)
    copied = np.repeat(np.arange(30), times[image])

    by_weight = figures_of(ranked_of(scores, hits, image, 5), times.astype(float))

    assert by_weight == pytest.approx(figures_of(ranked_of(scores[copied], hits[copied])), nan_ok=True)


def test_scores_that_keep_their_word_have_no_error_and_boasts_have_theirs():
    rng = np.random.default_rng(0)
    scores = rng.random(200_000)
    hits = rng.random(len(scores)) < scores

    assert figures_of(ranked_of(scores, hits))[0] < 0.005
    assert figures_of(ranked_of((scores + 1) / 2, hits))[0] == pytest.approx(0.25, abs=0.005)  # (1 - score) / 2


def test_faint_detections_are_left_out():
    ranked = ranked_of([0.9, 0.01, 0.0099], [True, True, True])

    assert figures_of(ranked, lowest=0.01)[0] == pytest.approx((0.1 + 0.99) / 2)
    assert score_bins(ranked, 0.01)[0].sum() == 2


@pytest.mark.parametrize(("score", "place"), [(0.0, 0), (0.1, 1), (0.5, 5), (0.9999, 9), (1.0, 9)])
def test_a_bin_takes_in_its_lower_end_and_the_last_one_both(score, place):
    made, _ = score_bins(ranked_of([score], [True]), 0.0)

    assert made.tolist() == [int(bin_ == place) for bin_ in range(10)]


def test_without_detections_there_is_nothing_to_measure():
    assert np.isnan(figures_of(ranked_of([], []))).all()
    assert np.isnan(figures_of(ranked_of([0.5], [True]), np.zeros(1))).all()
