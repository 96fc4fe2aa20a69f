"""Calibrating released weights anew: the card changes, the weights do not."""

from pathlib import Path

import pytest

from boxray.core.errors import DataError, ModelError
from boxray.data.manifest import Manifest
from boxray.data.split import Split
from boxray.detection.load import int8_card
from boxray.detection.recalibrate import recalibrate
from boxray.engines import EngineName, GraphSession, open_session
from boxray.weights import ModelCard, Quantized, load_card, save_card
from built import build_tiny_set
from making import label_space
from tiny_detector import tiny_graph, tiny_weights


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return build_tiny_set(tmp_path_factory.mktemp("built"), per_split=2)


def read(card: Path) -> ModelCard:
    return load_card(card, check=".onnx")[0]


def int8_of(weights: Path, of: str) -> Path:
    """A card of an int8 graph beside the weights; the graph is any."""
    path = int8_card(weights)
    path.parent.mkdir()
    tiny_graph(path.with_suffix(".onnx"), seed=1)
    quantized = Quantized(of=of, calibrated_on=1, fingerprint="")
    return save_card(read(weights).model_copy(update={"name": path.stem, "quantized": quantized}), path.parent)


def test_the_card_says_on_what_it_was_calibrated_and_the_weights_stay_the_same(tmp_path: Path, built: Manifest) -> None:
    weights = tiny_weights(tmp_path / "weights")
    before = read(weights)
    seen = []

    path = recalibrate(weights.with_suffix(".onnx"), built, lambda: seen.append(1))

    card = read(path)
    assert path == weights
    assert len(seen) == 2
    assert card.calibrated_on is not None
    assert card.calibrated_on.fingerprint == built.fingerprint
    assert card.calibrated_on.findings == {
        "fluid": "not calibrated: 1 boxes in the validation part are too few",
    }
    assert card.operating_points["fluid"].chosen.startswith("not chosen")
    assert card.sha256 == before.sha256
    assert card.trained_on == before.trained_on
    assert sorted(file.name for file in path.parent.iterdir()) == ["tiny.json", "tiny.onnx"]


def test_a_card_is_made_in_float32_whatever_units_the_cpu_has(
    tmp_path: Path, built: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines = []

    def noting(graph: Path, engine: EngineName = "openvino", *, many: bool = False) -> GraphSession:
        engines.append(engine)
        return open_session(graph, engine, many=many)

    monkeypatch.setattr("boxray.detection.detect.open_session", noting)

    recalibrate(tiny_weights(tmp_path / "weights"), built)

    assert engines == ["openvino-f32"]


def test_int8_of_the_same_weights_follows_and_of_others_does_not(tmp_path: Path, built: Manifest) -> None:
    ours, theirs = tiny_weights(tmp_path / "ours"), tiny_weights(tmp_path / "theirs")
    followed, left = int8_of(ours, read(ours).identity().sha256), int8_of(theirs, "0" * 64)

    for weights in (ours, theirs):
        recalibrate(weights, built, version="2")

    assert read(followed).calibrated_on == read(ours).calibrated_on is not None
    assert read(followed).thresholds == read(ours).thresholds
    assert read(followed).version == read(ours).version == "2"
    assert read(followed).name == "tiny-int8"
    assert read(left).calibrated_on is None


def test_an_int8_graph_is_not_calibrated_for_itself(tmp_path: Path, built: Manifest) -> None:
    small = int8_of(tiny_weights(tmp_path / "weights"), "0" * 64)

    with pytest.raises(ModelError, match="tiny-int8 is quantized; calibrate the float32 weights"):
        recalibrate(small, built)


def test_without_a_validation_part_the_card_stays_as_it_was(tmp_path: Path, built: Manifest) -> None:
    weights = tiny_weights(tmp_path / "weights")
    before = weights.read_bytes()

    with pytest.raises(DataError, match="no validation part"):
        recalibrate(weights, built.part(Split.TRAIN))

    assert weights.read_bytes() == before


def test_a_data_set_of_other_findings_is_refused(tmp_path: Path, built: Manifest) -> None:
    other = Manifest(built.folder, label_space("fluid", "lung"), built.images, built.boxes)

    with pytest.raises(ModelError):
        recalibrate(tiny_weights(tmp_path / "weights"), other)
