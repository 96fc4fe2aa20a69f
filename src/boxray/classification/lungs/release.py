"""From a finished run of the lungs to released weights: the classifier's graph with one more output."""

from __future__ import annotations

import json
from dataclasses import replace
from math import isnan
from pathlib import Path
from typing import Final

from boxray.classification.calibrate import calibrate
from boxray.classification.classify import CamClassifier
from boxray.classification.load import LUNG_TENSORS
from boxray.classification.lung_decoder import OUTPUTS, Hybrid, WithLungs, build_hybrid
from boxray.classification.lungs.evaluate import evaluate_lungs, evaluate_masks
from boxray.classification.lungs.recipe import LungRecipe
from boxray.classification.lungs.train import TRAINED, TRAINED_FINDINGS, WEIGHTS, its_recipe, untrained
from boxray.classification.release import require_parity
from boxray.core.errors import ModelError
from boxray.data.manifest import Manifest
from boxray.data.split import Split
from boxray.engines import JUDGING
from boxray.runs.recipe import load_recipe
from boxray.tensors import read_tensors, write_graph, write_tensors
from boxray.weights import Provenance, load_card, save_card

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
    path = save_card(card, out)
    require_parity(CamClassifier.load(path, JUDGING), with_lungs, OUTPUTS)
    threshold = best_threshold(path, Manifest.load(recipe.data).part(Split.VAL), recipe.masks)
    card = card.model_copy(update={"lungs_from": threshold})
    if not recipe.joint:
        return save_card(card, out)
    assert recipe.findings is not None, "the recipe asks for it"
    manifest = Manifest.load(recipe.findings)
    of_findings = Provenance.model_validate(json.loads((run / TRAINED_FINDINGS).read_text(encoding="utf-8")))
    calibration, points = calibrate(CamClassifier.load(path, JUDGING), manifest.part(Split.VAL))
    anew = {"trained_on": of_findings, "calibration": calibration, "operating_points": points}
    return save_card(card.model_copy(update=anew), out)


def best_threshold(weights: Path, manifest: Manifest, masks: Path | None) -> float:
    """The one of `THRESHOLDS` that fits best what was learned from; without any of it, one half.

    That is the mean Dice with the masks; or, where no masks taught, the median IoU with the readers' boxes of either
    lung: those are drawn with a margin, and their outside is penalized from their very edge on, so one half is too
    strict.
    """
    classifier = CamClassifier.load(weights, JUDGING)

    def fit(threshold: float) -> float:
        asked = replace(classifier, card=classifier.card.model_copy(update={"lungs_from": threshold}))
        if masks is not None:
            return evaluate_masks(asked, manifest, masks, rounds=0).dice.value
        return sum(score.median_iou.value for score in evaluate_lungs(asked, manifest, rounds=0))

    fits = {threshold: fit(threshold) for threshold in THRESHOLDS}
    return max(THRESHOLDS, key=fits.__getitem__) if not any(map(isnan, fits.values())) else 0.5


def _write_rounded(network: Hybrid, out: Path, name: str) -> None:
    """Both parts as released, and back into the network, so that the graph answers as the files do."""
    for part, path in (
        (network.classifier, out / f"{name}.safetensors"),
        (network.decoder, out / f"{name}{LUNG_TENSORS}"),
    ):
        write_tensors(part.state_dict(), path, half=True)
        part.load_state_dict(read_tensors(path))
