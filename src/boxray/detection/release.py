"""From a finished run to released weights: graph, tensors, calibration, operating points, card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from boxray.core.arrays import FloatArray
from boxray.core.errors import ModelError
from boxray.core.findings import LabelSpace
from boxray.data.manifest import Manifest
from boxray.detection.calibrate import calibrated_card
from boxray.detection.detect import YoloDetector
from boxray.detection.recipe import DetectionRecipe
from boxray.detection.train import WEIGHTS
from boxray.detection.ultralytics_engine import build_network, tame_ultralytics
from boxray.engines import Session, require_finite
from boxray.tensors import read_tensors, write_graph, write_tensors
from boxray.weights import ModelCard, Provenance, load_card, save_card, write_card

if TYPE_CHECKING:
    import torch

FEWEST_TRAINING_BOXES = 20
"""A finding trained with fewer boxes is not assessed: a handful teaches a film, not a finding."""


class TorchSession(Session):
    """The network itself as a session: what the exported graph must equal, and how training tensors are judged."""

    lanes = 1

    def __init__(self, network: torch.nn.Module, device: str = "cpu") -> None:
        self._network = network.to(device)
        self._device = device

    def run(self, inputs: FloatArray) -> Mapping[str, FloatArray]:
        """One output, of shape ``(B, 4 + F, A)``."""
        import torch

        with torch.inference_mode():
            output = self._network(torch.from_numpy(inputs).to(self._device)).cpu().numpy()
        return {"output": require_finite("output", output)}


def load_torch_detector(weights: Path, state: Path, device: str = "cpu") -> YoloDetector:
    """A detector that runs the released `.safetensors` in torch.

    Args:
        weights: The tensors, with their card beside them.
        state: Folder for ultralytics' settings.
        device: As torch names it; ``cuda`` for a GPU.

    Raises:
        ModelError: If a GPU is asked for and there is none.
    """
    card, tensors = load_card(weights, check=".safetensors")
    tame_ultralytics(state)
    network = build_network(card.architecture, len(card.space), read_tensors(tensors))
    return YoloDetector(card, TorchSession(network, _require_device(device)), card.space)


def _require_device(device: str) -> str:
    import torch

    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ModelError(f"torch finds no GPU for {device!r} on this machine; take cpu")
    return device


def release(run: Path, name: str, version: str, out: Path, *, fewest_boxes: int = FEWEST_TRAINING_BOXES) -> Path:
    """Write `<name>.onnx`, `<name>.safetensors` (float16) and `<name>.json` into `out`.

    Scores are calibrated and operating points chosen on the validation part of the run's data: the score at which
    F1 over boxes is best.

    Args:
        run: A finished run's folder.
        name: Of the weights.
        version: Of the weights.
        out: Folder to write into.
        fewest_boxes: A finding trained with fewer is not assessed.

    Returns:
        The card's path.

    Raises:
        ModelError: If the run is not finished, or the graph does not answer as the network does.
    """
    if not (run / WEIGHTS).is_file():
        raise ModelError(f"run {run.name} has no {WEIGHTS}: it is not finished; go on with it by --resume")
    recipe = DetectionRecipe.model_validate(yaml.safe_load((run / "recipe.yaml").read_text(encoding="utf-8")))
    trained = json.loads((run / "trained.json").read_text(encoding="utf-8"))
    space = LabelSpace.from_mapping(trained["label_space"])
    side_px = recipe.stages[-1].side_px
    out.mkdir(parents=True, exist_ok=True)
    tame_ultralytics(run / "ultralytics")
    write_tensors(read_tensors(run / WEIGHTS), out / f"{name}.safetensors", half=True)
    # The graph is made from the rounded tensors, so that both files answer alike.
    network = build_network(recipe.architecture, len(space), read_tensors(out / f"{name}.safetensors"))
    write_graph(network, side_px, ["output"], out / f"{name}.onnx")
    card = ModelCard(
        name=name,
        version=version,
        job="detection",
        architecture=recipe.architecture,
        licence="AGPL-3.0-or-later; trained on non-commercial data sets: for non-commercial use only",
        intended_use="Research on chest radiographs. Not a medical device.",
        label_space=trained["label_space"],
        assessed=assessed_findings(trained, fewest_boxes),
        side_px=side_px,
        clahe=recipe.clahe,
        operating_points={},
        trained_on=Provenance(
            sources=tuple(trained["sources"]),
            images=trained["images"],
            positives=trained["boxes"],
            fingerprint=trained["fingerprint"],
            recipe=recipe.model_dump(mode="json", exclude={"data", "start"}),
        ),
        sha256={},
    )
    detector = YoloDetector.load(save_card(card, out))
    _require_parity(detector, TorchSession(network), side_px)
    return write_card(calibrated_card(detector, Manifest.load(recipe.data)), out)


def assessed_findings(trained: Mapping[str, Any], fewest_boxes: int) -> tuple[str, ...]:
    """Of `trained.json`, the findings with enough boxes to be asked about, in the label space's order."""
    return tuple(key for key in trained["boxed_findings"] if trained["boxes"][key] >= fewest_boxes)


def _require_parity(detector: YoloDetector, network: Session, side_px: int) -> None:
    noise = np.random.default_rng(0).random((1, 3, side_px, side_px), dtype=np.float32)
    (ours,), (theirs,) = detector.session.run(noise).values(), network.run(noise).values()
    if ours.shape != theirs.shape or not np.allclose(ours[:, 4:], theirs[:, 4:], atol=0.01):
        raise ModelError("the exported graph does not answer as the network does; do not release it")
