"""What `release` measures, made anew for released weights: the card changes, the weights do not."""

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [train]")

from boxray.classification.recalibrate import recalibrate  # noqa: E402
from boxray.classification.recipe import ClassificationRecipe  # noqa: E402
from boxray.classification.release import release  # noqa: E402
from boxray.classification.train import train  # noqa: E402
from boxray.core.errors import DataError  # noqa: E402
from boxray.data.manifest import Manifest  # noqa: E402
from boxray.data.split import Split  # noqa: E402
from built import build_tiny_set  # noqa: E402


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return build_tiny_set(tmp_path_factory.mktemp("tiny"), per_split=16)


@pytest.fixture(scope="module")
def card(tiny: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("released")
    recipe = ClassificationRecipe(data=tiny.folder, side_px=64, head_epochs=1, epochs=0, batch=4)
    return release(train(recipe, "tiny", runs=folder).folder, "tiny", "0.0.1", folder / "weights")


def test_an_older_card_becomes_what_a_release_would_write_today(tiny: Manifest, card: Path) -> None:
    released = card.read_text()
    older = {**json.loads(released), "calibration": {}, "operating_points": {}, "map_cells": None}
    card.write_text(json.dumps(older))

    assert recalibrate(card.with_suffix(".onnx"), tiny) == card

    assert json.loads(released)["map_cells"] == [0.5, 32.0]
    assert json.loads(card.read_text()) == json.loads(released)


def test_a_card_whose_thresholds_may_have_moved_can_be_given_a_version(tiny: Manifest, card: Path) -> None:
    released = json.loads(card.read_text())

    recalibrate(card, tiny, version="0.0.2")

    assert json.loads(card.read_text()) == {**released, "version": "0.0.2"}


def test_without_a_validation_part_the_card_stays_as_it_is(tiny: Manifest, card: Path) -> None:
    before = card.read_text()

    with pytest.raises(DataError, match="no validation part"):
        recalibrate(card, tiny.part(Split.TEST))

    assert card.read_text() == before
