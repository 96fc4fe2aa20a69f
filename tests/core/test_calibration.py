"""Against scikit-learn, which has Platt's method for its own calibrated classifiers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import _SigmoidCalibration
from sklearn.metrics import log_loss

from boxray.core.calibration import SMALLEST_SLOPE, Scale, fit_scale, fit_temperature, logit, sigmoid


def scores(seed: int, n: int = 60, share: float = 0.4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    there = rng.random(n) < share
    there[:2] = [True, False]
    return rng.normal(size=n) + there, there


@pytest.mark.parametrize(
    ("seed", "n", "share", "shift"),
    [
        *((seed, 60, 0.4, 0.0) for seed in range(5)),
        (5, 5000, 0.002, -6.0),  # a detector: thousands of faint boxes and a handful of hits
        (6, 5000, 0.002, 6.0),
    ],
)
def test_slope_and_offset_are_those_of_scikit_learn(seed: int, n: int, share: float, shift: float) -> None:
    logits, there = scores(seed, n, share)
    reference = _SigmoidCalibration().fit(logits + shift, there)

    fitted = fit_scale(logits + shift, there)

    assert (fitted.slope, fitted.offset) == pytest.approx((-reference.a_, -reference.b_), abs=2e-3, rel=2e-3)


def test_a_scale_gives_back_what_the_scores_were_made_from() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(-2, 2, 200_000)
    there = rng.random(len(logits)) < sigmoid(0.7 * logits - 1.5)

    fitted = fit_scale(logits, there)

    assert (fitted.slope, fitted.offset) == pytest.approx((0.7, -1.5), abs=0.03)


def test_the_order_of_scores_never_turns_even_where_they_mislead() -> None:
    logits, there = scores(0, 400)

    fitted = fit_scale(-logits, there)

    assert fitted.slope == SMALLEST_SLOPE
    assert fitted.of_logits(-logits) == pytest.approx(np.full(400, there.mean()), abs=0.01)


def test_a_few_examples_that_are_told_apart_do_not_drive_probabilities_to_nought_and_one() -> None:
    fitted = fit_scale(np.array([-3.0, -2.5, -2.0, 1.0, 2.0]), np.array([False, False, False, True, True]))

    low, high = fitted.of_logits(np.array([-2.5, 1.5]))
    assert low == pytest.approx(1 / 5, abs=0.05)  # Platt's targets: 1 / (3 + 2) and (2 + 1) / (2 + 2)
    assert high == pytest.approx(3 / 4, abs=0.05)


def test_a_score_of_exactly_one_or_nought_does_not_break_a_fit() -> None:
    there = np.array([True, False, True, False])

    fitted = fit_scale(logit(np.array([1.0, 0.0, 0.6, 0.5])), there)

    assert 0 < fitted.slope < 10


@pytest.mark.parametrize("there", [[], [True, True], [False]])
def test_a_fit_needs_both_kinds(there: list[bool]) -> None:
    with pytest.raises(ValueError, match="both kinds"):
        fit_scale(np.zeros(len(there)), np.array(there, dtype=bool))


@pytest.mark.parametrize(("slope", "offset"), [(0.0, 0.0), (-1.0, 0.0), (float("nan"), 0.0), (1.0, float("inf"))])
def test_a_scale_that_would_turn_or_lose_the_order_is_refused(slope: float, offset: float) -> None:
    with pytest.raises(ValueError, match="slope > 0"):
        Scale(slope, offset)


scales = st.builds(Scale, st.floats(0.05, 4), st.floats(-8, 4))


@given(scales, st.lists(st.floats(0, 1, width=32), min_size=1, max_size=30))
@settings(max_examples=50)
def test_probabilities_lie_between_nought_and_one_and_never_change_places(scale: Scale, raw: list[float]) -> None:
    probabilities = scale.of_scores(np.sort(raw))

    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    assert (np.diff(probabilities) >= 0).all()


@given(scales, st.floats(0.001, 0.999))
@settings(max_examples=50)
def test_the_way_back_leads_to_the_score(scale: Scale, score: float) -> None:
    (probability,) = scale.of_scores(np.array([score]))

    assert scale.score_of(float(probability)) == pytest.approx(score, rel=1e-6)


@pytest.mark.parametrize("end", [0.0, 1.0])
def test_the_ends_stay_where_they_are_both_ways(end: float) -> None:
    scale = Scale(0.5, -3)

    assert scale.of_scores(np.array([end])) == [end]
    assert scale.score_of(end) == end


def test_the_scale_as_made_changes_no_digit() -> None:
    raw = np.random.default_rng(0).random(100)

    np.testing.assert_array_equal(Scale().of_scores(raw), raw)
    assert Scale().score_of(0.1) == 0.1


@settings(max_examples=30)
@given(st.integers(0, 1000), st.floats(0.2, 5))
def test_no_temperature_near_it_makes_the_classes_likelier(seed: int, overconfident: float) -> None:
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 4, 60)
    logits = overconfident * (rng.normal(size=(60, 4)) + 1.5 * np.eye(4)[classes])

    def loss(slope: float) -> float:
        shares = np.exp(slope * logits)
        return log_loss(classes, shares / shares.sum(axis=1, keepdims=True), labels=range(4))

    slope = fit_temperature(logits, classes)

    assert loss(slope) <= min(loss(slope * 0.97), loss(slope * 1.03), loss(1.0)) + 1e-12


def test_a_temperature_needs_an_image() -> None:
    with pytest.raises(ValueError, match="at least one"):
        fit_temperature(np.zeros((0, 3)), np.zeros(0, dtype=int))
