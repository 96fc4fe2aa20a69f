"""At which size a detector is best read.

A mosaic shows a network parts of films, larger and smaller than they are; the side it was trained at need not be the
one at which it finds most, and a smaller one is read faster.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from boxray.data.manifest import Manifest
from boxray.detection.compare import Compared, compare_detections
from boxray.detection.evaluate import detect_all
from boxray.detection.release import load_torch_detector


def judge_sizes(
    weights: Path,
    manifest: Manifest,
    sides_px: Sequence[int],
    state: Path,
    progress: Callable[[], None] = lambda: None,
    *,
    rounds: int = 1000,
) -> dict[int, tuple[Compared, ...]]:
    """AP50 at several sizes beside the one of the card, on the validation part, by torch in float32.

    Args:
        weights: The ``.safetensors`` or its card, or the folder of a finished run.
        manifest: A built set; what its other parts hold has no say in the choice.
        sides_px: Sides of the square, multiples of 32.
        state: Folder for ultralytics' settings.
        progress: Called after each image, of which every size has all and the card's own size has them too.
        rounds: Of the bootstrap.

    Returns:
        Side -> a row per assessed finding and the mean: ``ours`` at this size, ``theirs`` at the card's.

    Raises:
        DataError: If the validation part is empty.
        ModelError: If the weights are not what their card says, or of another label space.
    """
    detector = load_torch_detector(weights, state)
    detector.label_space.require_same(manifest.label_space)
    part = manifest.validation("to choose a size on")
    own = list(detect_all(detector, part, progress))
    judged = {}
    for side in sides_px:
        sized = replace(detector, card=detector.card.model_copy(update={"side_px": side}))
        found = list(detect_all(sized, part, progress))
        judged[side] = compare_detections(part, found, own, detector.assessed, rounds=rounds)
    return judged
