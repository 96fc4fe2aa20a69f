"""int8: made from a tiny detector on a made set, with what it lost beside it."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from boxray.core.errors import DataError, ModelError
from boxray.data.manifest import Manifest
from boxray.data.split import Split
from boxray.detection.detect import YoloDetector
from boxray.detection.load import int8_card, load_detector
from boxray.detection.quantize import quantize, with_accuracy
from built import build_tiny_set
from tiny_detector import SIDE, tiny_weights


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return build_tiny_set(tmp_path_factory.mktemp("built"), per_split=4)


def test_the_int8_graph_answers_nearly_as_the_float32_one_under_a_card_of_its_own(
    tmp_path: Path, built: Manifest
) -> None:
    weights = tiny_weights(tmp_path / "weights")
    seen = []

    card = quantize(weights, built, images=3, progress=lambda: seen.append(1))

    assert card == int8_card(weights)
    assert len(seen) == 3
    plain = YoloDetector.load(weights, "openvino-f32")
    for engine in ("openvino-int8", "onnxruntime-int8"):
        small = load_detector(weights, engine, tmp_path)  # type: ignore[arg-type]
        assert small.identity.name == "tiny-int8"
        assert small.identity.sha256 != plain.identity.sha256
        assert small.identity.thresholds == plain.identity.thresholds
        pixels = np.random.default_rng(0).random((1, 3, SIDE, SIDE), dtype=np.float32)
        (ours,), (theirs,) = small.session.run(pixels).values(), plain.session.run(pixels).values()
        assert np.allclose(ours, theirs, atol=0.05)
        assert not np.array_equal(ours, theirs)
    quantized = small.card.quantized
    assert quantized is not None
    assert quantized.calibrated_on == 3
    assert quantized.of == plain.identity.sha256


def test_only_the_convolution_of_the_edges_distribution_stays_float(tmp_path: Path, built: Manifest) -> None:
    graph = onnx.load(quantize(tiny_weights(tmp_path / "w"), built, images=1).with_suffix(".onnx")).graph

    made_by = {output: node.op_type for node in graph.node for output in node.output}
    weights_from = {node.name: made_by.get(node.input[1]) for node in graph.node if node.op_type == "Conv"}
    assert weights_from == {"/model.0/Conv": "DequantizeLinear", "/model.22/dfl/conv/Conv": None}


def test_what_int8_lost_stands_in_its_card_for_each_assessed_finding(tmp_path: Path, built: Manifest) -> None:
    weights = tiny_weights(tmp_path / "weights")
    seen = []

    card = with_accuracy(
        quantize(weights, built, images=2), weights, built, Split.TEST, progress=lambda: seen.append(1)
    )

    quantized = YoloDetector.load(card).card.quantized
    assert quantized is not None
    assert quantized.measured_on == "test"
    assert list(quantized.ap50) == ["fluid"]
    assert all(0 <= value <= 1 for value in quantized.ap50["fluid"])
    assert len(seen) == 8


def test_what_int8_lost_is_not_measured_on_the_films_that_set_its_ranges(tmp_path: Path, built: Manifest) -> None:
    weights = tiny_weights(tmp_path / "weights")
    card = quantize(weights, built, images=2)

    with pytest.raises(DataError, match="validation part sets the ranges"):
        with_accuracy(card, weights, built, Split.VAL)


def test_int8_of_other_weights_is_refused_and_so_is_none_at_all(tmp_path: Path, built: Manifest) -> None:
    weights = tiny_weights(tmp_path / "weights")
    with pytest.raises(ModelError, match=r"no int8 graph of tiny\.json; make it with: boxray detection quantize"):
        load_detector(weights, "openvino-int8", tmp_path)

    quantize(weights, built, images=1)
    tiny_weights(weights.parent, seed=1)

    with pytest.raises(ModelError, match=r"tiny-int8 was made from other weights than tiny\.json"):
        load_detector(weights, "openvino-int8", tmp_path)


def test_int8_is_not_made_of_int8(tmp_path: Path, built: Manifest) -> None:
    card = quantize(tiny_weights(tmp_path / "weights"), built, images=1)

    with pytest.raises(ModelError, match="tiny-int8 is quantized already"):
        quantize(card, built, images=1)


def test_without_a_validation_part_no_ranges_are_set(tmp_path: Path, built: Manifest) -> None:
    with pytest.raises(DataError, match="no validation part"):
        quantize(tiny_weights(tmp_path / "weights"), built.part(Split.TRAIN), images=1)
