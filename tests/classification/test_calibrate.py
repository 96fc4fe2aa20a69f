"""Against scikit-learn's ROC curve."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import roc_curve

from boxray.classification.calibrate import fitted_youden_threshold, youden_threshold
from boxray.core.arrays import BoolArray, FloatArray
from boxray.core.calibration import sigmoid


def scores(seed: int, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    there = rng.random(n) < 0.4
    there[:2] = [True, False]
    return rng.normal(size=n) + there, there


@settings(max_examples=50)
@given(st.integers(0, 1000), st.integers(2, 5))
def test_no_threshold_separates_better_than_youdens(seed: int, levels: int) -> None:
    values, there = scores(seed, 30)
    values = np.round(values * levels) / levels  # ties

    threshold = youden_threshold(values, there)

    false_alarms, sensitivity, _ = roc_curve(there, values)
    reached = (values >= threshold)[there].mean() - (values >= threshold)[~there].mean()
    assert reached == pytest.approx((sensitivity - false_alarms).max())


def test_one_class_alone_has_no_threshold() -> None:
    assert np.isnan(youden_threshold(np.array([0.1, 0.2]), np.array([True, True])))
    assert np.isnan(fitted_youden_threshold(np.array([0.1, 0.2]), np.array([True, True])))


def bells(rng: np.random.Generator, positives: int, negatives: int) -> tuple[FloatArray, BoolArray]:
    """Scores whose logits are normal, at 1 where the finding is and at -1 where not: the best cut is at logit 0."""
    there = np.arange(positives + negatives) < positives
    return sigmoid(rng.normal(np.where(there, 1.0, -1.0))), there


@pytest.mark.parametrize(("positives", "negatives"), [(50_000, 50_000), (5_000, 100_000)])
def test_the_fitted_threshold_lies_where_bells_cross_however_rare_the_finding(positives: int, negatives: int) -> None:
    values, there = bells(np.random.default_rng(0), positives, negatives)

    assert fitted_youden_threshold(values, there) == pytest.approx(0.5, abs=0.02)


def test_of_few_examples_the_fitted_threshold_is_nearer_to_the_best_than_the_samples_own() -> None:
    rng = np.random.default_rng(0)

    def index_of(threshold: float) -> float:
        """Youden's index among all that could be drawn."""
        cut = np.log(threshold / (1 - threshold))
        return float(norm.sf(cut - 1) - norm.sf(cut + 1))

    drawn = [bells(rng, 20, 60) for _ in range(200)]

    fitted = np.mean([index_of(fitted_youden_threshold(*sample)) for sample in drawn])
    own = np.mean([index_of(youden_threshold(*sample)) for sample in drawn])
    assert own < fitted <= index_of(0.5)


def test_scores_that_tell_nothing_still_have_a_fitted_threshold() -> None:
    there = np.arange(60) < 20

    threshold = fitted_youden_threshold(np.where(there, 0.3, 0.4), there)

    assert 0.3 <= threshold <= 0.4
