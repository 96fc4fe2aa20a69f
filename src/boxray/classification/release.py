"""From a finished run to released weights: graph with maps, tensors, calibration, operating points, card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from boxray.classification.backbones import GraphOutputs, WithMaps, build_classifier
from boxray.classification.calibrate import calibrate
from boxray.classification.cells import cells_of
from boxray.classification.classify import CamClassifier
from boxray.classification.layers import LAST_FEATURES
from boxray.classification.load import WEIGHTS, card_of, read_run
from boxray.core.errors import ModelError
from boxray.data.manifest import Manifest
from boxray.data.split import Split
from boxray.engines import JUDGING
from boxray.tensors import read_tensors, write_graph, write_tensors
from boxray.weights import save_card


def release(run: Path, name: str, version: str, out: Path, *, default: bool = False) -> Path:
    """Write `<name>.onnx`, `<name>.safetensors` (float16) and `<name>.json` into `out`.

    Calibration (Platt) and operating points (Youden) are made on the validation part of the run's data. Maps are those
    of the last features, whatever `cam_layer` the run had.

    Args:
        run: The run's folder.
        name: Of the three files.
        version: Stands on the card.
        out: Folder, made if need be.
        default: Whether the card says that these are the weights to read with.

    Returns:
        The card's path.

    Raises:
        ModelError: If the run is not finished, or the graph does not answer as the network does.
    """
    recipe, trained = read_run(run)
    recipe = recipe.model_copy(update={"cam_layer": None})
    card = card_of(recipe, trained, name, version).model_copy(update={"default": default})
    out.mkdir(parents=True, exist_ok=True)
    write_tensors(read_tensors(run / WEIGHTS), out / f"{name}.safetensors", half=True)
    network = build_classifier(recipe.architecture, len(card.space), shades=recipe.shades)
    # The graph is made from the rounded tensors, so that both files answer alike.
    network.load_state_dict(read_tensors(out / f"{name}.safetensors"))
    with_maps = WithMaps(network).eval()
    write_graph(with_maps, recipe.side_px, GraphOutputs._fields, out / f"{name}.onnx")
    card = card.model_copy(update={"map_cells": cells_of(network, LAST_FEATURES)})
    classifier = CamClassifier.load(save_card(card, out), JUDGING)
    require_parity(classifier, with_maps, GraphOutputs._fields)
    calibration, points = calibrate(classifier, Manifest.load(recipe.data).part(Split.VAL))
    return save_card(card.model_copy(update={"calibration": calibration, "operating_points": points}), out)


def require_parity(classifier: CamClassifier, network: nn.Module, outputs: Sequence[str]) -> None:
    """The graph answers as the network it was made of, to a thousandth of the largest value of each output or 0.01.

    Args:
        classifier: Asks the graph, in float32.
        network: In evaluation mode.
        outputs: Names of what both give, in order.

    Raises:
        ModelError: If it does not.
    """
    side = classifier.card.side_px
    noise = np.random.default_rng(0).uniform(-1, 1, (1, 3, side, side)).astype(np.float32)
    ours = classifier.session.run(noise)
    with torch.inference_mode():
        theirs = network(torch.from_numpy(noise))
    for name, values in zip(outputs, theirs, strict=True):
        largest = float(values.abs().max())
        if not np.allclose(ours[name], values.numpy(), rtol=0, atol=min(0.01, 1e-3 * largest) + 1e-7):
            raise ModelError(f"the exported graph does not answer as the network does in {name!r}; do not release it")
