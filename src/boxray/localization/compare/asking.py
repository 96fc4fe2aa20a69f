"""Both models asked image by image: rows of figures come out, no map is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np

from boxray.core.ahead import in_order
from boxray.core.arrays import FloatArray
from boxray.core.boxes import box_iou
from boxray.core.errors import ModelError
from boxray.core.findings import Presence
from boxray.core.protocols import Detector, Explained, Explainer
from boxray.core.radiograph import Radiograph
from boxray.core.reading import SaliencyMap
from boxray.data.manifest import Manifest
from boxray.detection.detect import EVERYTHING
from boxray.localization.compare.measures import Said, covered, measured, said_by_detector, said_by_map
from boxray.localization.compare.regions import region_boxes

R = TypeVar("R")

DETECTOR: Final = "detector"
"""Stands as a method beside those of the explainer."""

SHARES: Final = tuple(round(0.1 * step, 1) for step in range(1, 10))
"""Of a map's maximum: the grid from which its threshold is chosen."""

DEFAULT_SHARE: Final = 0.5
FEWEST_TO_CHOOSE: Final = 10
"""Boxed images of the validation part; with fewer, `DEFAULT_SHARE` is taken."""

UNSTATED_THRESHOLD: Final = 0.5
"""The classifier's, for a finding of which its card states none (as `boxray.localization.reader`)."""


@dataclass(frozen=True, slots=True)
class BoxedImage:
    """An image, and the findings that readers boxed in it."""

    image_id: str
    patient: str
    source: str
    picture: str
    truth: Mapping[str, FloatArray]
    """Finding -> the readers' boxes, ``(T, 4)`` with T >= 1, in pixels of the picture."""


@dataclass(frozen=True, slots=True)
class ChosenShare:
    """The threshold of one finding's maps by one method, as a share of each map's maximum."""

    finding: str
    method: str
    share: float
    n_images: int
    """Boxed images of the validation part."""
    mean_iou: float
    """There, at `share`; NaN where there is no image."""

    @property
    def how(self) -> str:
        """In words."""
        if self.n_images < FEWEST_TO_CHOOSE:
            return f"default: {self.n_images} validation images are fewer than {FEWEST_TO_CHOOSE}"
        return f"best mean IoU on {self.n_images} validation images"


def boxed_images(manifest: Manifest, findings: Sequence[str]) -> list[BoxedImage]:
    """The images in which a reader boxed at least one of the findings, in the manifest's order.

    A finding that is there without a box, absent or unknown has no part in it.
    """
    boxes = {finding: manifest.boxes_of(finding) for finding in findings}
    presence = {finding: manifest.presence(finding) for finding in findings}
    images = []
    for place, row in enumerate(manifest.images[["image_id", "patient", "source", "picture"]].itertuples(index=False)):
        truth = {
            finding: boxes[finding][row.image_id]
            for finding in findings
            if presence[finding][place] == Presence.BOXED and row.image_id in boxes[finding]
        }
        if truth:
            images.append(BoxedImage(row.image_id, row.patient, str(row.source), row.picture, truth))
    return images


def choose_shares(
    explainer: Explainer,
    manifest: Manifest,
    findings: Sequence[str],
    methods: Sequence[str],
    *,
    lanes: int = 1,
    progress: Callable[[], None] = lambda: None,
) -> list[ChosenShare]:
    """For each finding and method the share of `SHARES` at which the highest region's box has the best mean IoU.

    Args:
        explainer: Whose maps.
        manifest: The validation part.
        findings: Which.
        methods: Which.
        lanes: As for `rows_of`.
        progress: Called after every image.

    Returns:
        One for each finding and method; of shares that are equally good the lowest.
    """
    ious: dict[tuple[str, str], list[list[float]]] = {
        (finding, method): [] for finding in findings for method in methods
    }

    def ask(image: BoxedImage) -> list[tuple[str, str, list[float]]]:
        _, maps = _maps_of(explainer, manifest.radiograph(image.picture), methods, list(image.truth))
        return [
            (finding, method, _iou_by_share(saliency, image.truth[finding]))
            for (finding, method), saliency in maps.items()
        ]

    for asked in _in_threads(ask, boxed_images(manifest, findings), lanes):
        for finding, method, by_share in asked:
            ious[finding, method].append(by_share)
        progress()
    return [_chosen(finding, method, by_image) for (finding, method), by_image in ious.items()]


def _iou_by_share(saliency: SaliencyMap, truth_xyxy: FloatArray) -> list[float]:
    boxes = (region_boxes(saliency.values, share)[0][:1] for share in SHARES)
    return [float(box_iou(box, truth_xyxy).max(initial=0)) for box in boxes]


def _chosen(finding: str, method: str, by_image: list[list[float]]) -> ChosenShare:
    means = np.array(by_image).reshape(-1, len(SHARES)).mean(axis=0) if by_image else np.full(len(SHARES), np.nan)
    place = SHARES.index(DEFAULT_SHARE) if len(by_image) < FEWEST_TO_CHOOSE else int(means.argmax())
    return ChosenShare(finding, method, SHARES[place], len(by_image), float(means[place]))


def rows_of(
    detector: Detector,
    explainer: Explainer,
    manifest: Manifest,
    shares: Mapping[tuple[str, str], float],
    *,
    lanes: int = 1,
    progress: Callable[[], None] = lambda: None,
) -> Iterator[dict[str, Any]]:
    """A row for each image × finding × method, the detector as the first method.

    Of each radiograph in work only its own maps are held, and never more radiographs are in work than `lanes`.

    Args:
        detector: Asked for everything that it would say at any score.
        explainer: Asked for the methods of `shares`.
        manifest: The part that is compared.
        shares: Finding and method -> share of the map's maximum.
        lanes: Radiographs in work at once, each in a thread of its own.
        progress: Called after every image.

    Raises:
        ModelError: If a map is not of the radiograph's size, or a model fails.
    """
    findings, methods = (list(dict.fromkeys(key[place] for key in shares)) for place in (0, 1))

    def ask(image: BoxedImage) -> list[dict[str, Any]]:
        rad = manifest.radiograph(image.picture)
        return _rows_of_image(image, rad.size_wh, said_of(detector, explainer, rad, image.truth, methods, shares))

    for rows in _in_threads(ask, boxed_images(manifest, findings), lanes):
        yield from rows
        progress()


def _in_threads(ask: Callable[[BoxedImage], R], images: Sequence[BoxedImage], lanes: int) -> Iterator[R]:
    """`in_order`, the first image alone: OpenVINO's binding locks up where two threads make its first call at once."""
    if images:
        yield ask(images[0])
    yield from in_order(ask, images[1:], threads=lanes)


def said_of(
    detector: Detector,
    explainer: Explainer,
    rad: Radiograph,
    truth: Mapping[str, FloatArray],
    methods: Sequence[str],
    shares: Mapping[tuple[str, str], float],
) -> dict[tuple[str, str], Said]:
    """What the detector and each method say of the findings of `truth`; finding and method -> said."""
    detections = detector.detect(rad, EVERYTHING)
    said = {
        (finding, DETECTOR): said_by_detector(
            detections, finding, detector.identity.thresholds.get(finding, EVERYTHING), boxes, rad.size_wh
        )
        for finding, boxes in truth.items()
    }
    explained, maps = _maps_of(explainer, rad, methods, list(truth))
    from_score = explainer.identity.thresholds
    for (finding, method), saliency in maps.items():
        threshold = from_score.get(finding, UNSTATED_THRESHOLD)
        said[finding, method] = said_by_map(
            saliency, shares[finding, method], explained.scores[finding], threshold, truth[finding]
        )
    return said


def map_of(explainer: Explainer, rad: Radiograph, finding: str, method: str) -> SaliencyMap:
    """One map alone, for a picture."""
    return _maps_of(explainer, rad, [method], [finding])[1][finding, method]


def _maps_of(
    explainer: Explainer, rad: Radiograph, methods: Sequence[str], findings: Sequence[str]
) -> tuple[Explained, dict[tuple[str, str], SaliencyMap]]:
    explained = explainer.explain(rad, methods)
    by_finding = {(saliency.finding, method): saliency for method in methods for saliency in explained.maps[method]}
    maps = {(finding, method): by_finding[finding, method] for finding in findings for method in methods}
    for (finding, method), saliency in maps.items():
        if saliency.values.shape != rad.pixels.shape:
            raise ModelError(
                f"the {method} map of {finding} has shape {saliency.values.shape}, the radiograph {rad.pixels.shape}; "
                "a map is compared in the radiograph's frame"
            )
    return explained, maps


def _rows_of_image(
    image: BoxedImage, size_wh: tuple[int, int], said: Mapping[tuple[str, str], Said]
) -> list[dict[str, Any]]:
    return [
        row_of(image, finding, method, each, image.truth[finding], size_wh) for (finding, method), each in said.items()
    ]


def row_of(
    image: BoxedImage, finding: str, method: str, said: Said, truth_xyxy: FloatArray, size_wh: tuple[int, int]
) -> dict[str, Any]:
    """One row of the table of rows."""
    return {
        "image_id": image.image_id,
        "patient": image.patient,
        "source": image.source,
        "finding": finding,
        "method": method,
        "n_boxes": len(truth_xyxy),
        "readers_cover": covered(truth_xyxy, size_wh),
        **measured(said, truth_xyxy, size_wh),
    }
