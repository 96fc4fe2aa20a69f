"""Against scikit-learn's ROC curve."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from boxray.classification.calibrate import youden_threshold


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
