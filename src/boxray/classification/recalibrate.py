"""Calibration, operating points and the place of the maps of released weights, without training anew."""

from __future__ import annotations

from pathlib import Path

from boxray.classification.calibrate import calibrate
from boxray.classification.cells import cells_of
from boxray.classification.classify import CamClassifier
from boxray.classification.layers import LAST_FEATURES
from boxray.classification.load import trained_network
from boxray.data.manifest import Manifest
from boxray.engines import JUDGING
from boxray.weights import write_card


def recalibrate(weights: Path, manifest: Manifest, *, version: str | None = None) -> Path:
    """Make what `release` measures anew and write it into the card; the weights stay as they are.

    Args:
        weights: The card or a file beside it.
        manifest: A built set; its validation part is read.
        version: Of the weights with the new card; None: as it was.

    Returns:
        The card, which is written whole or not at all.

    Raises:
        DataError: If the validation part is empty.
        ModelError: If the weights are of another label space, or not what their card says.
    """
    classifier = CamClassifier.load(weights, JUDGING, many=True)
    classifier.label_space.require_same(manifest.label_space)
    part = manifest.validation("to calibrate on")
    _, network = trained_network(weights)
    calibration, points = calibrate(classifier, part)
    cells = cells_of(network.classifier, LAST_FEATURES)
    made = {
        "calibration": calibration,
        "operating_points": points,
        "map_cells": cells,
        "version": classifier.card.version if version is None else version,
    }
    return write_card(classifier.card.model_copy(update=made), weights.parent)
