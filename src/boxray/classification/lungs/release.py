"""From a finished run of the lungs to released weights: the classifier's graph with one more output."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import torch

from boxray.classification.backbones import GraphOutputs
from boxray.classification.calibrate import calibrate
from boxray.classification.classify import CamClassifier
from boxray.classification.load import LUNG_TENSORS
from boxray.classification.lung_field import LUNGS
from boxray.classification.lungs.decoder import Hybrid, WithLungs, build_hybrid
from boxray.classification.lungs.evaluate import evaluate_lungs
from boxray.classification.lungs.recipe import LungRecipe
from boxray.classification.lungs.train import TRAINED, WEIGHTS, its_recipe, untrained
from boxray.core.errors import ModelError
from boxray.data.manifest import Manifest
from boxray.data.split import Split
from boxray.engines import JUDGING
from boxray.runs.recipe import load_recipe
from boxray.tensors import read_tensors, write_graph, write_tensors
from boxray.weights import ModelCard, Provenance, load_card, save_card

OUTPUTS: Final = (*GraphOutputs._fields, LUNGS)
THRESHOLDS: Final = (0.5, 0.4, 0.3, 0.2, 0.15, 0.1)


def release_lungs(run: Path, name: str, version: str, out: Path) -> Path:
    """Write `<name>.onnx`, `<name>.safetensors`, `<name>.lungs.safetensors` (float16 both) and `<name>.json`.

    The graph gives what the classifier gives and `lungs`; from which probability on a place is lung is chosen on the
    validation part of the lungs' data. Where the backbone stayed as it was, calibration and operating points are those
    of the classifier that it began with; after joint training they are made anew.

    Returns:
        The card's path.

    Raises:
        ModelError: If the run is not finished, or the graph does not answer as the network does.
    """
    if not (run / WEIGHTS).is_file():
        raise ModelError(f"run {run.name} has no {WEIGHTS}: it is not finished; go on with it by --resume")
    recipe = load_recipe(LungRecipe, run / "recipe.yaml")
    trained_on = Provenance.model_validate(json.loads((run / TRAINED).read_text(encoding="utf-8")))
    before, _ = load_card(recipe.classifier, check=".safetensors")
    network = build_hybrid(untrained(before, its_recipe(before, recipe)), recipe.width, before.side_px)
    network.load_state_dict(read_tensors(run / WEIGHTS))
    out.mkdir(parents=True, exist_ok=True)
    _write_rounded(network, out, name)
    with_lungs = WithLungs(network).eval()
    write_graph(with_lungs, before.side_px, OUTPUTS, out / f"{name}.onnx")
    card = before.model_copy(update={"name": name, "version": version, "lungs": trained_on})
    path = _checked(save_card(card, out), with_lungs)
    card = card.model_copy(update={"lungs_from": best_threshold(path, Manifest.load(recipe.data).part(Split.VAL))})
    if not recipe.joint:
        return save_card(card, out)
    assert recipe.findings is not None, "the recipe asks for it"
    manifest = Manifest.load(recipe.findings)
    of_findings = before.trained_on.model_copy(update={"fingerprint": manifest.fingerprint})
    calibration, points = calibrate(CamClassifier.load(path, JUDGING), manifest.part(Split.VAL))
    anew = {"trained_on": of_findings, "calibration": calibration, "operating_points": points}
    return save_card(card.model_copy(update=anew), out)


def best_threshold(weights: Path, manifest: Manifest) -> float:
    """The one of `THRESHOLDS` that gives the highest median IoU with the readers' boxes, both lungs together.

    Boxes are drawn with a margin, and their outside is penalized from their very edge on: one half is too strict.
    Without any box it is one half.
    """
    if manifest.boxes.empty:
        return 0.5
    classifier = CamClassifier.load(weights, JUDGING)

    def fit(threshold: float) -> float:
        asked = replace(classifier, card=classifier.card.model_copy(update={"lungs_from": threshold}))
        return sum(score.median_iou.value for score in evaluate_lungs(asked, manifest, rounds=0))

    return max(THRESHOLDS, key=fit)


def _write_rounded(network: Hybrid, out: Path, name: str) -> None:
    """Both parts as released, and back into the network, so that the graph answers as the files do."""
    for part, path in (
        (network.classifier, out / f"{name}.safetensors"),
        (network.decoder, out / f"{name}{LUNG_TENSORS}"),
    ):
        write_tensors(part.state_dict(), path, half=True)
        part.load_state_dict(read_tensors(path))


def _checked(path: Path, network: WithLungs) -> Path:
    card, graph = load_card(path, check=".onnx")
    _require_parity(card, CamClassifier.load(graph, JUDGING), network)
    return path


def _require_parity(card: ModelCard, classifier: CamClassifier, network: WithLungs) -> None:
    shape = (1, 3, card.side_px, card.side_px)
    noise = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    ours = classifier.session.run(noise)
    with torch.inference_mode():
        theirs = network(torch.from_numpy(noise))
    for name, values in zip(OUTPUTS, theirs, strict=True):
        if not np.allclose(ours[name], values.numpy(), atol=0.02):
            raise ModelError(f"the exported graph does not answer as the network does in {name!r}; do not release it")
