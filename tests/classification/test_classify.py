"""Scores and maps of a radiograph by a graph, and what a graph without features still can."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [train]")

from torch import nn  # noqa: E402

from boxray.classification.backbones import GraphOutputs, PooledClassifier, WithMaps  # noqa: E402
from boxray.classification.classify import CamClassifier  # noqa: E402
from boxray.classification.explain import GRADIENT_METHODS, OCCLUSION, Occluder  # noqa: E402
from boxray.classification.layers import layer_maps  # noqa: E402
from boxray.classification.preprocess import equalized_square, network_input  # noqa: E402
from boxray.core.errors import ModelError  # noqa: E402
from boxray.core.frames import Letterbox  # noqa: E402
from boxray.core.protocols import Explainer  # noqa: E402
from boxray.core.radiograph import Radiograph  # noqa: E402
from boxray.imaging.letterbox import from_letterbox  # noqa: E402
from boxray.tensors import write_graph  # noqa: E402
from boxray.weights import save_card  # noqa: E402
from making import chest, detector_card, label_space  # noqa: E402

SIDE = 64
SPACE = label_space("fluid", "heart", "bone")
ASSESSED = ("fluid", "bone")
"""Not the first two, so that a finding's place and its number are not the same."""
SQUARE_SIZE_WH, WIDE_SIZE_WH = (100, 100), (120, 90)


class OnlyScoresAndMaps(nn.Module):
    """What was released before there were other methods."""

    def __init__(self, with_maps: WithMaps) -> None:
        super().__init__()
        self.with_maps = with_maps

    def forward(self, pixels: "torch.Tensor") -> tuple["torch.Tensor", "torch.Tensor"]:
        logits, maps, *_ = self.with_maps(pixels)
        return logits, maps


@pytest.fixture(scope="module")
def network() -> PooledClassifier:
    torch.manual_seed(1)
    features = nn.Sequential(
        nn.Conv2d(3, 8, 5, stride=4, padding=2), nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2), nn.ReLU()
    )
    made = PooledClassifier(features, 8, len(SPACE)).eval()
    nn.init.normal_(made.head.weight)
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, network: PooledClassifier) -> Path:
    """Two classifiers of the same weights, ``whole`` and ``old``."""
    folder = tmp_path_factory.mktemp("weights")
    with_maps = WithMaps(network).eval()
    write_graph(with_maps, SIDE, GraphOutputs._fields, folder / "whole.onnx")
    write_graph(OnlyScoresAndMaps(with_maps).eval(), SIDE, ["logits", "maps"], folder / "old.onnx")
    for name in ("whole", "old"):
        card = detector_card(SPACE, ASSESSED, SIDE, {}, name=name)
        save_card(card.model_copy(update={"job": "classification", "architecture": "made"}), folder)
    return folder


@pytest.fixture(scope="module", params=["openvino-f32", "onnxruntime"])
def classifier(request: pytest.FixtureRequest, folder: Path) -> CamClassifier:
    return CamClassifier.load(folder / "whole.onnx", request.param)


@pytest.fixture(scope="module")
def old(folder: Path) -> CamClassifier:
    return CamClassifier.load(folder / "old.onnx")


def radiograph(size_wh: tuple[int, int] = WIDE_SIZE_WH) -> Radiograph:
    return Radiograph(chest(size_wh, seed=4).astype(np.float32) / 255)


def test_maps_by_the_graph_are_those_of_the_network_in_the_radiographs_frame(
    classifier: CamClassifier, network: PooledClassifier
) -> None:
    rad = radiograph()
    letterbox = Letterbox.fit(rad.size_wh, SIDE)
    pixels = torch.from_numpy(network_input(equalized_square(rad, letterbox, None)[None]))
    expected = layer_maps(network, pixels)

    found = classifier.explain(rad, GRADIENT_METHODS)

    for method in GRADIENT_METHODS:
        assert [saliency.finding for saliency in found.maps[method]] == list(ASSESSED)
        for saliency in found.maps[method]:
            coarse = expected[method][0, SPACE.index(saliency.finding)]
            in_frame = from_letterbox(coarse, letterbox, rad.size_wh)
            np.testing.assert_allclose(saliency.values, in_frame, atol=1e-4 * max(in_frame.max(), 1e-6), err_msg=method)
    assert any(saliency.values.max() > 0 for saliency in found.maps["grad_cam"]), "zeros would prove nothing"


def test_an_explainer_says_what_the_classifier_says(classifier: CamClassifier) -> None:
    explainer: Explainer = classifier
    rad = radiograph()

    explained, classified = explainer.explain(rad, ["layer_cam", "grad_cam"]), explainer.classify(rad)

    assert explained.scores == pytest.approx(classified.scores)
    assert list(explained.maps) == ["layer_cam", "grad_cam"]
    for one, other in zip(explained.maps["grad_cam"], classified.maps, strict=True):
        np.testing.assert_allclose(one.values, other.values, rtol=1e-5)


def test_no_method_asked_for_means_scores_alone(classifier: CamClassifier) -> None:
    explained = classifier.explain(radiograph(), [])

    assert explained.maps == {}
    assert set(explained.scores) == set(ASSESSED)


def test_occlusion_is_the_fall_of_the_logit_that_torch_sees(
    classifier: CamClassifier, network: PooledClassifier
) -> None:
    """Patches of a quarter, side by side: each quarter of the map is one number."""
    rad = radiograph(SQUARE_SIZE_WH)
    square = equalized_square(rad, Letterbox.fit(rad.size_wh, SIDE), None)
    half = SIDE // 2
    expected = []
    with torch.inference_mode():
        whole = network(torch.from_numpy(network_input(square[None])))[0]
        for rows in (slice(0, half), slice(half, SIDE)):
            for columns in (slice(0, half), slice(half, SIDE)):
                covered = square.copy()
                covered[rows, columns] = 200
                expected.append((whole - network(torch.from_numpy(network_input(covered[None])))[0]).clamp(0).numpy())
    occluding = replace(classifier, occluder=Occluder(half, half, shade=200))

    found = occluding.explain(rad, [OCCLUSION]).maps[OCCLUSION]

    for saliency in found:
        corners = saliency.values[[10, 10, -10, -10], [10, -10, 10, -10]]
        quarters = [falls[SPACE.index(saliency.finding)] for falls in expected]
        np.testing.assert_allclose(corners, quarters, atol=1e-4)
    assert max(falls.max() for falls in expected) > 0


def test_several_lanes_cover_as_one_does(folder: Path) -> None:
    one, several = (CamClassifier.load(folder / "whole.onnx", "onnxruntime", many=many) for many in (False, True))

    ours, theirs = (classifier.explain(radiograph(), [OCCLUSION]).maps[OCCLUSION] for classifier in (one, several))

    for first, second in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(first.values, second.values, atol=1e-5)


def test_a_graph_without_features_knows_grad_cam_and_occlusion_and_says_so(old: CamClassifier) -> None:
    assert old.methods == ("grad_cam", "occlusion")
    assert set(old.explain(radiograph(), old.methods).maps) == {"grad_cam", "occlusion"}
    with pytest.raises(ModelError, match=r"'eigen_cam'.*it knows: grad_cam, occlusion.*release it again"):
        old.explain(radiograph(), ["grad_cam", "eigen_cam"])


def test_a_graph_with_features_knows_all_and_no_more(classifier: CamClassifier) -> None:
    assert classifier.methods == ("grad_cam", "grad_cam_plus_plus", "layer_cam", "eigen_cam", "occlusion")
    with pytest.raises(ModelError, match=r"'magic', it knows: .*occlusion$"):
        classifier.explain(radiograph(), ["magic"])


def test_reading_copies_no_features(classifier: CamClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Listening:
        lanes, outputs = 1, classifier.session.outputs

        def run(self, inputs: np.ndarray, only: tuple[str, ...] | None = None) -> dict[str, np.ndarray]:
            asked.append(only)
            return classifier.session.run(inputs, only)

    listening = replace(classifier, session=Listening())

    listening.classify(radiograph())
    listening.explain(radiograph(), ["grad_cam"])

    assert asked == [("logits", "maps"), ("logits", "maps")]
