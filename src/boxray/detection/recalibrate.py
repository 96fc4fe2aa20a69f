"""Calibration and operating points of weights that are released already, without training anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from boxray.core.errors import ModelError
from boxray.data.manifest import Manifest
from boxray.detection.calibrate import calibrated_card
from boxray.detection.detect import YoloDetector
from boxray.detection.load import int8_card
from boxray.engines import JUDGING
from boxray.weights import load_card, write_card


def recalibrate(
    weights: Path, manifest: Manifest, progress: Callable[[], None] = lambda: None, *, version: str | None = None
) -> Path:
    """Make operating points and calibration of released weights anew and write them into their card.

    The int8 graph made from these weights, if one lies beside them, has the same from then on. The weights stay as
    they are, and a card is written whole or not at all.

    Args:
        weights: The card or a file beside it, of the float32 weights.
        manifest: A built set; its validation part is read.
        progress: Called after each image.
        version: Of the weights with the new card; None: as it was.

    Returns:
        The card.

    Raises:
        DataError: If the validation part is empty.
        ModelError: If the weights are quantized, of another label space, or not what their card says.
    """
    detector = YoloDetector.load(weights, JUDGING)
    if detector.card.quantized is not None:
        raise ModelError(
            f"{detector.card.name} is quantized; calibrate the float32 weights, and it has the same from them"
        )
    detector.label_space.require_same(manifest.label_space)
    manifest.validation("to calibrate on")
    card = calibrated_card(detector, manifest, progress)
    card = card.model_copy(update={"version": card.version if version is None else version})
    small = int8_card(weights)
    if small.is_file():
        int8, _ = load_card(small, check=".onnx")
        if int8.quantized is not None and int8.quantized.of == card.identity().sha256:
            same = ("operating_points", "calibration", "calibrated_on", "version")
            write_card(int8.model_copy(update={name: getattr(card, name) for name in same}), small.parent)
    return write_card(card, weights.parent)
