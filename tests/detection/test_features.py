"""Pooled features of the network itself."""

from pathlib import Path
from shutil import copy

import numpy as np
import pytest

pytest.importorskip("ultralytics", reason="features need the extra [train]")

from boxray.data.split import Split
from boxray.detection.detect import prepare
from boxray.detection.features import pooled_features
from boxray.detection.release import trained_network
from boxray.detection.ultralytics_engine import tame_ultralytics
from boxray.runs.recipe import Clahe
from boxray.tensors import write_tensors
from boxray.weights import ModelCard, Provenance, load_card, save_card
from built import TWO, build_tiny_set


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained network of two findings with its card."""
    folder = tmp_path_factory.mktemp("weights")
    tame_ultralytics(folder / "state")
    import torch
    from ultralytics.nn.tasks import DetectionModel

    torch.manual_seed(0)
    write_tensors(DetectionModel("yolov8n.yaml", nc=2, verbose=False).state_dict(), folder / "made.safetensors")
    card = ModelCard(
        name="made",
        version="0",
        job="detection",
        architecture="yolov8n",
        licence="none needed",
        intended_use="a test",
        label_space=TWO.to_mapping(),
        assessed=("fluid",),
        side_px=64,
        operating_points={},
        trained_on=Provenance(sources=(), images=0, positives={}, fingerprint="", recipe={}),
        sha256={},
    )
    return save_card(card, folder)


def test_an_image_has_one_vector_of_the_backbones_last_channels(weights: Path, tmp_path: Path) -> None:
    manifest = build_tiny_set(tmp_path).part(Split.TEST)
    steps: list[None] = []

    features = pooled_features(weights, manifest, tmp_path / "state", lambda: steps.append(None))

    assert features.shape == (6, 256)  # a quarter of 1024: the width of yolov8n
    assert len(steps) == 6
    assert np.isfinite(features).all()
    assert np.abs(features[0] - features[1]).max() > 0  # another film, another vector


def test_the_vector_is_the_mean_of_what_the_layer_gives_in_a_whole_pass(weights: Path, tmp_path: Path) -> None:
    import torch

    manifest = build_tiny_set(tmp_path).part(Split.TEST)
    card, network = trained_network(weights, tmp_path / "state")
    given: list[torch.Tensor] = []
    pooling = network.model[9]  # YOLOv8's backbone ends in SPPF
    pooling.register_forward_hook(lambda _layer, _inputs, output: given.append(output))
    pixels, _ = prepare(manifest.radiograph(manifest.images["picture"].iloc[0]), card)
    with torch.inference_mode():
        network(torch.from_numpy(pixels))

    features = pooled_features(weights, manifest, tmp_path / "state")

    np.testing.assert_allclose(features[0], given[0].mean(dim=(0, 2, 3)).numpy(), rtol=1e-3, atol=1e-6)


def test_the_network_is_fed_what_it_is_fed_when_it_reads(weights: Path, tmp_path: Path) -> None:
    card = load_card(weights, check=".safetensors")[0].model_copy(update={"clahe": Clahe(clip=3.0)})
    equalizing = tmp_path / "weights"
    equalizing.mkdir()
    copy(weights.with_suffix(".safetensors"), equalizing)
    manifest = build_tiny_set(tmp_path).part(Split.TEST)

    plain = pooled_features(weights, manifest, tmp_path / "state")
    equalized = pooled_features(save_card(card, equalizing), manifest, tmp_path / "state")

    assert np.abs(plain - equalized).max() > 1e-4 * np.abs(plain).max()


def test_no_images_give_no_vectors(weights: Path, tmp_path: Path) -> None:
    manifest = build_tiny_set(tmp_path)
    nothing = manifest.only(manifest.images["split"] == "nowhere")

    assert len(pooled_features(weights, nothing, tmp_path / "state")) == 0
