"""From a finished run to released weights: graph with maps, tensors, calibration, operating points, card."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
import yaml

from boxray.classification.backbones import GraphOutputs, WithMaps, build_classifier
from boxray.classification.calibrate import calibrate
from boxray.classification.classify import CamClassifier
from boxray.classification.recipe import ClassificationRecipe
from boxray.classification.train import WEIGHTS
from boxray.core.errors import ModelError
from boxray.data.manifest import Manifest
from boxray.data.split import Split
from boxray.tensors import read_tensors, write_graph, write_tensors
from boxray.weights import ModelCard, Provenance, save_card


def release(run: Path, name: str, version: str, out: Path) -> Path:
    """Write `<name>.onnx`, `<name>.safetensors` (float16) and `<name>.json` into `out`.

    Calibration (Platt) and operating points (Youden) are made on the validation part of the run's data.

    Returns:
        The card's path.

    Raises:
        ModelError: If the run is not finished, or the graph does not answer as the network does.
    """
    if not (run / WEIGHTS).is_file():
        raise ModelError(f"run {run.name} has no {WEIGHTS}: it is not finished; go on with it by --resume")
    recipe = ClassificationRecipe.model_validate(yaml.safe_load((run / "recipe.yaml").read_text(encoding="utf-8")))
    trained = json.loads((run / "trained.json").read_text(encoding="utf-8"))
    n_findings = len(trained["label_space"]["findings"])
    out.mkdir(parents=True, exist_ok=True)
    write_tensors(read_tensors(run / WEIGHTS), out / f"{name}.safetensors", half=True)
    network = build_classifier(recipe.architecture, n_findings, shades=recipe.shades)
    # The graph is made from the rounded tensors, so that both files answer alike.
    network.load_state_dict(read_tensors(out / f"{name}.safetensors"))
    with_maps = WithMaps(network).eval()
    write_graph(with_maps, recipe.side_px, GraphOutputs._fields, out / f"{name}.onnx")
    card = ModelCard(
        name=name,
        version=version,
        job="classification",
        architecture=recipe.architecture,
        licence="AGPL-3.0-or-later; trained on non-commercial data sets: for non-commercial use only",
        intended_use="Research on chest radiographs. Not a medical device.",
        label_space=trained["label_space"],
        assessed=tuple(trained["findings"]),
        side_px=recipe.side_px,
        clahe=recipe.clahe,
        operating_points={},
        trained_on=Provenance(
            sources=tuple(trained["sources"]),
            images=trained["images"],
            positives=trained["positives"],
            fingerprint=trained["fingerprint"],
            recipe=recipe.model_dump(mode="json", exclude={"data", "start"}),
        ),
        sha256={},
    )
    classifier = CamClassifier.load(save_card(card, out))
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
