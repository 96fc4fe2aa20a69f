"""A classifier that is to be judged: released weights, or a run that is finished and not released."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from boxray.classification.classify import CamClassifier
from boxray.classification.recipe import ClassificationRecipe
from boxray.core.errors import MissingExtra, ModelError
from boxray.engines import JUDGING
from boxray.runs.recipe import load_recipe
from boxray.tensors import TorchSession, read_tensors
from boxray.weights import INTENDED_USE, LICENCE, ModelCard, Provenance, load_card

if TYPE_CHECKING:
    from boxray.classification.backbones import WithMaps

WEIGHTS: Final = "classifier.safetensors"
"""In the folder of a finished run."""

LUNG_TENSORS: Final = ".lungs.safetensors"
"""Ends the name of the tensors that draw lungs: a part of the released weights of that name, under the same card."""


def open_classifier(weights: Path) -> CamClassifier:
    """What is to be judged, opened for many radiographs, in float32: figures must not depend on the CPU.

    Args:
        weights: An ``.onnx`` or its card; a ``.safetensors``, which torch runs; or the folder of a finished run,
            whose tensors torch runs: it is not calibrated and has no operating points.

    Raises:
        MissingExtra: If torch is needed and not installed.
        ModelError: If the weights are not what their card says or not a classifier's, or the run is not finished.
    """
    if not weights.is_dir() and weights.suffix != ".safetensors":
        return CamClassifier.load(weights, JUDGING, many=True)
    card, network = trained_network(weights)
    layer = card.trained_on.recipe.get("cam_layer")
    if weights.is_dir():
        from boxray.classification.cells import cells_of
        from boxray.classification.layers import LAST_FEATURES

        card = card.model_copy(update={"map_cells": cells_of(network.classifier, layer or LAST_FEATURES)})
    if layer is not None:
        from boxray.classification.layers import LayerSession

        return CamClassifier(card, LayerSession(network.classifier, layer), card.space)
    if card.lungs is not None:
        from boxray.classification.lung_decoder import OUTPUTS, with_lungs

        _, decoder = load_card(weights, check=LUNG_TENSORS)
        whole = with_lungs(network.classifier, read_tensors(decoder), card.lungs.recipe["width"], card.side_px)
        return CamClassifier(card, TorchSession(whole, OUTPUTS), card.space)
    from boxray.classification.backbones import GraphOutputs

    return CamClassifier(card, TorchSession(network, GraphOutputs._fields), card.space)


def trained_network(weights: Path) -> tuple[ModelCard, WithMaps]:
    """Card and network of released weights, or of a run that is finished and not released.

    Args:
        weights: A card or a file beside it; or the folder of a run.

    Raises:
        MissingExtra: If torch is not installed.
        ModelError: If the weights are not what their card says or not a classifier's, or the run is not finished.
    """
    if weights.is_dir():
        card, tensors = _card_of_run(weights), weights / WEIGHTS
    else:
        card, tensors = load_card(weights, check=".safetensors")
    if card.job != "classification":
        raise ModelError(f"{card.name} is made for {card.job}, not for classification")
    try:
        from boxray.classification.backbones import WithMaps, build_classifier
    except ImportError as error:
        raise MissingExtra("running tensors", "train") from error
    shades = card.trained_on.recipe.get("shades", "symmetric")  # older recipes had no choice
    network = build_classifier(card.architecture, len(card.space), shades=shades)
    network.load_state_dict(read_tensors(tensors))
    return card, WithMaps(network).eval()


def read_run(run: Path) -> tuple[ClassificationRecipe, dict[str, Any]]:
    """Recipe of a finished run, and what it was trained on.

    Raises:
        ModelError: If the folder is none of a run, or the run is not finished.
    """
    if not (run / "recipe.yaml").is_file():
        raise ModelError(
            f"the folder {run.name} has no recipe.yaml, so it is none of a run; "
            "name one of runs/classification, or weights"
        )
    if not (run / WEIGHTS).is_file() or not (run / "trained.json").is_file():
        raise ModelError(f"run {run.name} has no {WEIGHTS}: it is not finished; go on with it by --resume")
    recipe = load_recipe(ClassificationRecipe, run / "recipe.yaml")
    trained: dict[str, Any] = json.loads((run / "trained.json").read_text(encoding="utf-8"))
    return recipe, trained


def card_of(recipe: ClassificationRecipe, trained: dict[str, Any], name: str, version: str) -> ModelCard:
    """What is known of a run's weights before they are judged: no calibration, no operating points, no hashes."""
    return ModelCard(
        name=name,
        version=version,
        job="classification",
        architecture=recipe.architecture,
        licence=LICENCE,
        intended_use=INTENDED_USE,
        label_space=trained["label_space"],
        assessed=tuple(trained["findings"]),
        side_px=recipe.side_px,
        clahe=recipe.clahe,
        operating_points={},
        trained_on=Provenance.of_run(trained, trained["positives"], recipe),
        sha256={},
    )


def _card_of_run(run: Path) -> ModelCard:
    """A card in memory. There is no graph yet: what speaks is named by the hash of its tensors."""
    card = card_of(*read_run(run), run.resolve().name, "unreleased")
    with (run / WEIGHTS).open("rb") as file:
        spoken = hashlib.file_digest(file, "sha256").hexdigest()
    return card.model_copy(update={"sha256": {f"{card.name}.onnx": spoken}})
