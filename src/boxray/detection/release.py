"""From a finished run to released weights: graph, tensors, calibration, operating points, card."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from boxray.core.errors import ModelError
from boxray.data.manifest import Manifest
from boxray.detection.calibrate import calibrated_card
from boxray.detection.detect import YoloDetector, require_detector
from boxray.detection.recipe import DetectionRecipe
from boxray.detection.train import WEIGHTS
from boxray.detection.ultralytics_engine import build_network, tame_ultralytics
from boxray.engines import JUDGING, Session
from boxray.runs.recipe import load_recipe
from boxray.tensors import TorchSession, read_tensors, write_graph, write_tensors
from boxray.weights import INTENDED_USE, LICENCE, ModelCard, Provenance, load_card, save_card, write_card

if TYPE_CHECKING:
    import torch

FEWEST_TRAINING_BOXES = 20
"""A finding trained with fewer boxes is not assessed: a handful teaches a film, not a finding."""


def load_torch_detector(weights: Path, state: Path, device: str = "cpu") -> YoloDetector:
    """A detector that runs the released `.safetensors`, or those of a finished run, in torch.

    Args:
        weights: The tensors, with their card beside them; or a run's folder: it has no operating points yet, so
            only what is given a `min_score` is answered.
        state: Folder for ultralytics' settings.
        device: As torch names it; ``cuda`` for a GPU.

    Raises:
        ModelError: If a GPU is asked for and there is none, or the run is not finished.
    """
    card, network = trained_network(weights, state)
    return YoloDetector(card, TorchSession(network, ("output",), device), card.space)


def trained_network(weights: Path, state: Path) -> tuple[ModelCard, torch.nn.Module]:
    """Card and network of released weights, or of a run that is finished and not released.

    Args:
        weights: A card or a file beside it; or the folder of a run.
        state: Folder for ultralytics' settings.

    Raises:
        MissingExtra: If torch or ultralytics is not installed.
        ModelError: If the weights are not what their card says or not a detector's, or the run is not finished.
    """
    if weights.is_dir():
        card, tensors = _card_of_run(weights), weights / WEIGHTS
    else:
        card, tensors = load_card(weights, check=".safetensors")
    require_detector(card)
    tame_ultralytics(state)
    return card, build_network(card.architecture, len(card.space), read_tensors(tensors))


def _card_of_run(run: Path) -> ModelCard:
    """A card in memory. There is no graph yet: what speaks is named by the hash of its tensors."""
    card = _card_of(*_read_run(run), "unreleased", run.resolve().name, FEWEST_TRAINING_BOXES)
    with (run / WEIGHTS).open("rb") as file:
        spoken = hashlib.file_digest(file, "sha256").hexdigest()
    return card.model_copy(update={"sha256": {f"{card.name}.onnx": spoken}})


def release(
    run: Path,
    name: str,
    version: str,
    out: Path,
    *,
    fewest_boxes: int = FEWEST_TRAINING_BOXES,
    side_px: int | None = None,
    default: bool = False,
) -> Path:
    """Write `<name>.onnx`, `<name>.safetensors` (float16) and `<name>.json` into `out`.

    Scores are calibrated and operating points chosen on the validation part of the run's data: the score at which
    F1 over boxes is best.

    Args:
        run: A finished run's folder.
        name: Of the weights.
        version: Of the weights.
        out: Folder to write into.
        fewest_boxes: A finding trained with fewer is not assessed.
        side_px: Of the square that is read, see `boxray.detection.sizes`; None: that of the last stage.
        default: Whether the card says that these are the weights to read with.

    Returns:
        The card's path.

    Raises:
        ModelError: If the run is not finished, or the graph does not answer as the network does.
    """
    recipe, trained = _read_run(run)
    card = _card_of(recipe, trained, name, version, fewest_boxes).model_copy(update={"default": default})
    tame_ultralytics(run / "ultralytics")
    out.mkdir(parents=True, exist_ok=True)
    write_tensors(read_tensors(run / WEIGHTS), out / f"{name}.safetensors", half=True)
    return _finished(card, side_px or card.side_px, out, Manifest.load(recipe.data))


def resize(
    weights: Path,
    side_px: int,
    version: str,
    manifest: Manifest,
    out: Path,
    state: Path,
    progress: Callable[[], None] = lambda: None,
) -> Path:
    """Released weights for reading at another size: the tensors stay, graph, calibration and thresholds are made anew.

    Args:
        weights: The card or a file beside it, of the float32 weights, tensors and all.
        side_px: Of the square that is read, a multiple of 32; `boxray.detection.sizes` tells which is best.
        version: Of what comes out.
        manifest: A built set; its validation part is read.
        out: Folder to write into; it may be the one the weights lie in.
        state: Folder for ultralytics' settings.
        progress: Called after each image of the validation part.

    Returns:
        The card's path. An int8 graph made of the former one is refused from then on.

    Raises:
        DataError: If the validation part is empty.
        ModelError: If the weights are quantized, of another label space, not what their card says, or the graph does
            not answer as the network does.
    """
    card, tensors = load_card(weights, check=".safetensors")
    require_detector(card)
    card.space.require_same(manifest.label_space)
    manifest.validation("to calibrate on")
    tame_ultralytics(state)
    out.mkdir(parents=True, exist_ok=True)
    kept = out / tensors.name
    if not (kept.exists() and kept.samefile(tensors)):
        shutil.copyfile(tensors, kept)
    unknown: dict[str, Any] = {"version": version, "operating_points": {}, "calibration": {}, "calibrated_on": None}
    return _finished(card.model_copy(update=unknown), side_px, out, manifest, progress)


def _finished(
    card: ModelCard, side_px: int, out: Path, manifest: Manifest, progress: Callable[[], None] = lambda: None
) -> Path:
    """Make the graph from the rounded tensors that lie in `out`, so that both files answer alike; and the card."""
    card = card.model_copy(update={"side_px": side_px})
    network = build_network(card.architecture, len(card.space), read_tensors(out / f"{card.name}.safetensors"))
    write_graph(network, side_px, ["output"], out / f"{card.name}.onnx")
    detector = YoloDetector.load(save_card(card, out), JUDGING, many=True)
    _require_parity(detector, TorchSession(network, ("output",)), side_px)
    return write_card(calibrated_card(detector, manifest, progress), out)


def _read_run(run: Path) -> tuple[DetectionRecipe, dict[str, Any]]:
    """Recipe of a finished run, and what it was trained on."""
    if not (run / "recipe.yaml").is_file():
        raise ModelError(
            f"the folder {run.name} has no recipe.yaml, so it is none of a run; name one of runs/detection, or weights"
        )
    if not (run / WEIGHTS).is_file() or not (run / "trained.json").is_file():
        raise ModelError(f"run {run.name} has no {WEIGHTS}: it is not finished; go on with it by --resume")
    recipe = load_recipe(DetectionRecipe, run / "recipe.yaml")
    trained: dict[str, Any] = json.loads((run / "trained.json").read_text(encoding="utf-8"))
    return recipe, trained


def _card_of(
    recipe: DetectionRecipe, trained: Mapping[str, Any], name: str, version: str, fewest_boxes: int
) -> ModelCard:
    """What is known of a run's weights before they are judged: no operating points and no hashes."""
    return ModelCard(
        name=name,
        version=version,
        job="detection",
        architecture=recipe.architecture,
        licence=LICENCE,
        intended_use=INTENDED_USE,
        label_space=trained["label_space"],
        assessed=assessed_findings(trained, fewest_boxes),
        side_px=recipe.stages[-1].side_px,
        clahe=recipe.clahe,
        operating_points={},
        trained_on=Provenance.of_run(trained, trained["boxes"], recipe),
        sha256={},
    )


def assessed_findings(trained: Mapping[str, Any], fewest_boxes: int) -> tuple[str, ...]:
    """Of `trained.json`, the findings with enough boxes to be asked about, in the label space's order."""
    return tuple(key for key in trained["boxed_findings"] if trained["boxes"][key] >= fewest_boxes)


def _require_parity(detector: YoloDetector, network: Session, side_px: int) -> None:
    noise = np.random.default_rng(0).random((1, 3, side_px, side_px), dtype=np.float32)
    (ours,), (theirs,) = detector.session.run(noise).values(), network.run(noise).values()
    if ours.shape != theirs.shape or not np.allclose(ours[:, 4:], theirs[:, 4:], atol=0.01):
        raise ModelError("the exported graph does not answer as the network does; do not release it")
