import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from boxray.classification.gate.fit import KINDS, GateRecipe, fit_gate, fitted
from boxray.classification.gate.gate import load_gate, save_gate
from boxray.core.errors import DataError
from built import build_tiny_set

FEW = GateRecipe(per_kind=10, per_kind_measured=10, ridge=1.0)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return build_tiny_set(tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="module")
def fit(tiny):
    return fit_gate(tiny, FEW, "0")


def test_logistic_regression_is_scikit_learns():
    rng = np.random.default_rng(0)
    rows, there = rng.standard_normal((300, 5)), rng.random(300) < 0.2
    rows[there] += 1
    share = np.where(there, 150 / there.sum(), 150 / (~there).sum())

    weights, offset = fitted(rows, there, ridge=3.0)

    reference = LogisticRegression(C=1 / 3.0, tol=1e-9, max_iter=1000).fit(rows, there, sample_weight=share)
    assert weights == pytest.approx(reference.coef_[0], abs=1e-4)
    assert offset == pytest.approx(float(reference.intercept_[0]), abs=1e-4)


def test_drawn_films_are_told_from_what_is_none(fit):
    card, _ = fit

    films = [count for count in card.real if "moved" not in count.what]
    # 0 is the lowest of six films of the validation part, so one film in seven is expected to lie below.
    assert sum(count.wrong for count in films) <= 0.3 * sum(count.n for count in films)
    assert sum(count.wrong for count in card.made) < 0.1 * sum(count.n for count in card.made)


def test_the_card_counts_every_film_and_every_kind(tiny, fit):
    card, _ = fit

    films = [count for count in card.real if "moved" not in count.what]
    assert sum(count.n for count in films) == len(tiny.images)
    assert [count.what for count in card.made] == list(KINDS)
    assert all(count.named is not None and count.named + count.wrong <= count.n for count in card.made)
    assert (card.films, card.fingerprint) == (6, tiny.fingerprint)


@pytest.mark.slow
def test_the_same_set_and_seed_give_the_same_gate_and_another_seed_another(tiny, fit):
    _, gate = fit

    again = fit_gate(tiny, FEW, "0")[1]
    other = fit_gate(tiny, FEW.model_copy(update={"seed": 1}), "0")[1]

    assert gate.weights == pytest.approx(again.weights, abs=1e-5)
    assert np.abs(gate.weights - other.weights).max() > 1e-3


def test_a_part_without_a_film_is_an_error(tiny):
    with pytest.raises(DataError, match="the val part of this set holds no film"):
        fit_gate(tiny.only(tiny.images["split"] != "val"), FEW, "0")


def test_what_is_saved_is_what_was_fitted(fit, tmp_path):
    card, gate = fit

    kept, same = load_gate(save_gate(gate, card, tmp_path))

    assert kept.model_copy(update={"sha256": ""}) == card
    assert (same.weights == gate.weights).all()
    assert same.offset == gate.offset
