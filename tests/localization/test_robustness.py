"""A model that answers by the look of a film is found out by films that look otherwise."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxray.core.findings import Presence
from boxray.core.protocols import FixedClassifier
from boxray.core.radiograph import Radiograph
from boxray.core.reading import ModelIdentity
from boxray.data.manifest import Manifest
from boxray.data.presence import Rule
from boxray.data.split import Split
from boxray.localization.robustness import AS_IS, CHANGES, MARGIN, Said, said_when_changed, scores_when_changed
from built import TWO, build_tiny_set

FILM = np.random.default_rng(0).random((200, 120), dtype=np.float32)


class BySharpness(FixedClassifier):
    """Says fluid of a film whose neighbouring pixels differ little: as a collection of small pictures looks."""

    __slots__ = ()

    def score_many(self, radiographs) -> Mapping[str, float]:
        for rad in radiographs:
            yield {"fluid": float(1 - np.abs(np.diff(rad.pixels, axis=1)).mean() * 20)}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return build_tiny_set(tmp_path_factory.mktemp("built"), per_split=12).part(Split.TEST)


def of(found: list[Said], *, there: bool) -> Said:
    (one,) = [one for one in found if one.finding == "fluid" and one.there == there]
    return one


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_film_is_a_radiograph_that_keeps_what_is_known_of_it(name: str) -> None:
    rad = Radiograph(FILM, (0.2, 0.2), "PA", np.zeros(FILM.shape, bool), ("window 1",))

    changed = CHANGES[name].apply(rad)

    assert (changed.spacing_mm, changed.view, changed.notes) == (rad.spacing_mm, "PA", ("window 1",))
    assert changed.padded is not None
    assert changed.padded.shape == changed.pixels.shape
    assert np.array_equal(rad.pixels, FILM)  # what was given is as it was
    assert not np.array_equal(changed.pixels, FILM)


def test_a_closer_film_has_lost_its_margin_and_a_farther_one_has_a_black_one() -> None:
    rad = Radiograph(FILM)
    top, left = round(MARGIN * 200), round(MARGIN * 120)

    assert np.array_equal(CHANGES["close"].apply(rad).pixels, FILM[top:-top, left:-left])
    farther = CHANGES["far"].apply(rad).pixels
    assert np.array_equal(farther[top:-top, left:-left], FILM)
    assert farther.sum() == pytest.approx(FILM.sum(), rel=1e-5)


def test_a_brighter_film_is_brighter_and_a_darker_one_takes_it_back() -> None:
    brighter = CHANGES["bright"].apply(Radiograph(FILM))

    assert (brighter.pixels >= FILM).all()
    np.testing.assert_allclose(CHANGES["dark"].apply(brighter).pixels, FILM, atol=1e-6)


@pytest.mark.parametrize("name", CHANGES)
@given(shade=st.sampled_from([0.0, 1.0]), sides=st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_the_smallest_films_and_the_ends_of_the_scale_are_changed_too(
    name: str, shade: float, sides: tuple[int, int]
) -> None:
    changed = CHANGES[name].apply(Radiograph(np.full(sides, shade, np.float32)))

    assert changed.pixels.size > 0


def test_who_answers_by_sharpness_says_more_of_softer_films_and_the_interval_tells(manifest: Manifest) -> None:
    scorer = BySharpness(TWO, {"fluid": 0.0}, ModelIdentity("made", "0", "0" * 64))
    steps: list[None] = []
    scores = scores_when_changed(scorer, manifest, lambda: steps.append(None))
    place = TWO.index("fluid")
    between = float(np.mean([scores[AS_IS][:, place].max(), scores["soft"][:, place].min()]))

    absent = of(said_when_changed(manifest, scores, {"fluid": between}), there=False)

    assert len(steps) == len(manifest.images) * 7
    assert absent.shares[AS_IS].value == 0
    assert absent.shares["soft"].value == absent.differences["soft"].value == 1
    assert absent.differences["soft"].excludes_zero
    assert absent.shares["noisy"].value == 0
    assert not absent.differences["noisy"].excludes_zero


def test_the_shares_are_counted_by_hand_where_something_is_known(manifest: Manifest) -> None:
    images = manifest.images.assign(
        source=["a", "b"] * (len(manifest.images) // 2),
        presence_fluid=[Presence.ABSENT.value, Presence.PRESENT.value, Presence.UNKNOWN.value, Presence.ABSENT.value]
        * (len(manifest.images) // 4),
        rule_fluid=[Rule.LABEL.value, Rule.LABEL.value, Rule.NONE.value, Rule.ASSUMPTION.value]
        * (len(manifest.images) // 4),
    )
    part = Manifest(manifest.folder, manifest.label_space, pd.DataFrame(images), manifest.boxes)
    scores = {AS_IS: np.zeros((len(images), 2)), "soft": np.zeros((len(images), 2))}
    scores["soft"][::4, TWO.index("fluid")] = [0.9, *[0.1] * (len(images) // 4 - 1)]

    found = said_when_changed(part, scores, {"fluid": 0.5})
    assumed = said_when_changed(part, scores, {"fluid": 0.5}, with_assumed=True)

    quarter = len(images) // 4
    assert [(one.source, one.there, one.images) for one in found] == [("a", False, quarter), ("b", True, quarter)]
    assert found[0].shares["soft"].value == pytest.approx(1 / quarter)
    assert ("b", False, quarter) in [(one.source, one.there, one.images) for one in assumed]
    assert set(found[0].to_json()["differences"]) == {"soft"}


def test_a_part_without_films_says_nothing(manifest: Manifest, tmp_path: Path) -> None:
    nothing = manifest.only(manifest.images["split"] == "nowhere")
    scores = {AS_IS: np.zeros((0, 2)), "soft": np.zeros((0, 2))}

    assert said_when_changed(nothing, scores, {"fluid": 0.5}) == []
