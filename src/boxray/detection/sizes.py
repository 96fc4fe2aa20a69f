"""At which size a detector is best read.

A mosaic shows a network parts of films, larger and smaller than they are; the side it was trained at need not be the
one at which it finds most, and a smaller one is read faster.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from boxray.data.manifest import Manifest
from boxray.detection.compare import Compared, compare_detections
from boxray.detection.detect import YoloDetector
from boxray.detection.evaluate import Detections, detect_all


def judge_sizes(
    detector: YoloDetector,
    manifest: Manifest,
    sides_px: Sequence[int],
    progress: Callable[[], None] = lambda: None,
    *,
    rounds: int = 1000,
) -> dict[int, tuple[Compared, ...]]:
    """AP50 at several sizes beside the one of the card, on the validation part.

    Args:
        detector: Run by torch (`boxray.detection.release.load_torch_detector`): a released graph has one size alone.
        manifest: A built set; what its other parts hold has no say in the choice.
        sides_px: Sides of the square, multiples of 32.
        progress: Called after each image that is read; each size, and the card's own, reads all of them once.
        rounds: Of the bootstrap.

    Returns:
        Side -> a row per assessed finding and the mean: ``ours`` at this size, ``theirs`` at the card's.

    Raises:
        DataError: If the validation part is empty.
        ModelError: If the detector's label space is not the manifest's.
    """
    detector.label_space.require_same(manifest.label_space)
    part = manifest.validation("to choose a size on")

    def found_at(side_px: int) -> Detections:
        sized = replace(detector, card=detector.card.model_copy(update={"side_px": side_px}))
        return list(detect_all(sized, part, progress))

    found = {side: found_at(side) for side in dict.fromkeys((detector.card.side_px, *sides_px))}
    own = found[detector.card.side_px]
    return {
        side: compare_detections(part, found[side], own, detector.assessed, rounds=rounds)
        for side in dict.fromkeys(sides_px)
    }
