"""From a finished run to released weights: graph with maps, tensors, calibration, operating points, card."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from boxray.classification.backbones import GraphOutputs, WithMaps, build_classifier
from boxray.classification.calibrate import calibrate
from boxray.classification.classify import CamClassifier
from boxray.classification.load import WEIGHTS, card_of, read_run
from boxray.core.errors import ModelError
from boxray.data.manifest import Manifest
from boxray.data.split import Split
from boxray.engines import JUDGING
from boxray.tensors import read_tensors, write_graph, write_tensors
from boxray.weights import save_card


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
    network = build_classifier(recipe.architecture, len(card.space), shades=recipe.shades)
    # The graph is made from the rounded tensors, so that both files answer alike.
    network.load_state_dict(read_tensors(out / f"{name}.safetensors"))
    with_maps = WithMaps(network).eval()
    write_graph(with_maps, recipe.side_px, GraphOutputs._fields, out / f"{name}.onnx")
    classifier = CamClassifier.load(save_card(card, out), JUDGING)
    _require_parity(classifier, with_maps)
    calibration, points = calibrate(classifier, Manifest.load(recipe.data).part(Split.VAL))
    return save_card(card.model_copy(update={"calibration": calibration, "operating_points": points}), out)


def _require_parity(classifier: CamClassifier, network: WithMaps) -> None:
    side = classifier.card.side_px
    noise = np.random.default_rng(0).uniform(-1, 1, (1, 3, side, side)).astype(np.float32)
    ours = classifier.session.run(noise)
    with torch.inference_mode():
        logits, maps, *_ = network(torch.from_numpy(noise))
    if not (np.allclose(ours["logits"], logits, atol=0.01) and np.allclose(ours["maps"], maps, atol=0.01)):
        raise ModelError("the exported graph does not answer as the network does; do not release it")
