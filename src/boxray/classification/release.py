"""From a finished run to released weights: graph with maps, tensors, calibration, operating points, card."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from boxray.classification.backbones import WithMaps, build_classifier
from boxray.classification.calibrate import youden_threshold
from boxray.classification.classify import CamClassifier
from boxray.classification.load import WEIGHTS, card_of, read_run
from boxray.classification.targets import targets_and_weights
from boxray.core.calibration import Scale, fit_scale
from boxray.core.errors import ModelError
from boxray.data.manifest import Manifest
from boxray.data.split import Split
from boxray.tensors import read_tensors, write_graph, write_tensors
from boxray.weights import OperatingPoint, save_card

FEWEST_POSITIVES = 8
"""With fewer positives in the validation part nothing is calibrated on them."""


def release(run: Path, name: str, version: str, out: Path) -> Path:
    """Write `<name>.onnx`, `<name>.safetensors` (float16) and `<name>.json` into `out`.

    Calibration (Platt) and operating points (Youden) are made on the validation part of the run's data.

    Returns:
        The card's path.

    Raises:
        ModelError: If the run is not finished, or the graph does not answer as the network does.
    """
    recipe, trained = read_run(run)
    card = card_of(recipe, trained, name, version)
    out.mkdir(parents=True, exist_ok=True)
    write_tensors(read_tensors(run / WEIGHTS), out / f"{name}.safetensors", half=True)
    network = build_classifier(recipe.architecture, len(card.space))
    # The graph is made from the rounded tensors, so that both files answer alike.
    network.load_state_dict(read_tensors(out / f"{name}.safetensors"))
    with_maps = WithMaps(network).eval()
    write_graph(with_maps, recipe.side_px, ["logits", "maps"], out / f"{name}.onnx")
    classifier = CamClassifier.load(save_card(card, out))
    _require_parity(classifier, with_maps)
    calibration, points = calibrate(classifier, Manifest.load(recipe.data).part(Split.VAL))
    return save_card(card.model_copy(update={"calibration": calibration, "operating_points": points}), out)


def calibrate(
    classifier: CamClassifier, manifest: Manifest
) -> tuple[dict[str, tuple[float, float]], dict[str, OperatingPoint]]:
    """Slope, offset and threshold per assessed finding, from images where the finding is known.

    An absence that a card only assumes counts here: without it, tuberculosis would have no negative.
    """
    logits = np.stack([classifier.raw(manifest.radiograph(p))[0] for p in manifest.images["picture"]])
    targets, weights = targets_and_weights(manifest, 1.0)
    calibration, points = {}, {}
    for finding in classifier.assessed:
        index = manifest.label_space.index(finding)
        known = weights[:, index] > 0
        values, there = logits[known, index].astype(np.float64), targets[known, index] == 1
        if there.sum() < FEWEST_POSITIVES or (~there).sum() < FEWEST_POSITIVES:
            calibration[finding] = (1.0, 0.0)
            chosen = f"not chosen: {int(there.sum())} positives in the validation part are too few"
            points[finding] = OperatingPoint(threshold=0.5, chosen=chosen)
            continue
        fitted = fit_scale(values, there)
        calibration[finding] = (round(fitted.slope, 4), round(fitted.offset, 4))
        probabilities = Scale(*calibration[finding]).of_logits(values)
        points[finding] = OperatingPoint(
            threshold=round(youden_threshold(probabilities, there), 4),
            chosen=f"Youden's index on {int(there.sum())} positives and {int((~there).sum())} negatives "
            "of the validation part",
        )
    return calibration, points


def _require_parity(classifier: CamClassifier, network: WithMaps) -> None:
    side = classifier.card.side_px
    noise = np.random.default_rng(0).uniform(-1, 1, (1, 3, side, side)).astype(np.float32)
    ours = classifier.session.run(noise)
    with torch.inference_mode():
        logits, maps = network(torch.from_numpy(noise))
    if not (np.allclose(ours["logits"], logits, atol=0.01) and np.allclose(ours["maps"], maps, atol=0.01)):
        raise ModelError("the exported graph does not answer as the network does; do not release it")
