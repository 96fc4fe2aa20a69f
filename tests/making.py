"""Made data that several rooms' tests share. Nothing here comes from a film."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from boxray.core.findings import Finding, LabelSpace
from boxray.data.card import Card
from boxray.runs.recipe import Clahe
from boxray.weights import ModelCard, OperatingPoint, Provenance

SIX = ("a", "b", "c", "d", "e", "f")


def a_finding(key: str, **changes: Any) -> Finding:
    """A finding of which only the key matters."""
    return Finding(key, key.title(), "the place", "#4477AA", **changes)


def label_space(*keys: str) -> LabelSpace:
    """A label space of these findings, named and coloured somehow."""
    return LabelSpace("made", tuple(a_finding(key) for key in keys))


def a_card(**changes: Any) -> Card:
    """A card that says nothing at all, but for the changes."""
    return Card.model_validate(a_card_mapping(**changes))


def a_card_mapping(**changes: Any) -> dict[str, Any]:
    nothing: dict[str, Any] = {
        "key": "made",
        "name": "Made for a test",
        "layout": "yolo",
        "licence": "none needed",
        "commercial_use": True,
        "citation": "none",
        "get": "this file",
        "patient": "the image",
        "boxes": {},
        "dropped_boxes": {},
        "exhaustive": [],
        "labels": {},
        "absent_without_label": [],
        "absent_because": {},
        "absent_by_assumption": {},
    }
    frame = {"kind": "relative" if changes.get("layout", "yolo") in {"yolo", "image_folder"} else "per_image"}
    return nothing | {"frame": frame} | changes


def chest(size_wh: tuple[int, int] = (256, 256), seed: int = 0) -> np.ndarray:
    """A drawn frontal chest, uint8 of shape ``(H, W)``: bright spine and abdomen, dark lungs and corners.

    Another seed gives another film: soft shades of its own, and noise. The same seed at another size is a copy.
    """
    width, height = size_wh
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    shade = np.where(np.hypot((x - 0.5) / 0.5, (y - 0.6) / 0.62) < 1, 0.5, 0.05)
    for centre in (0.3, 0.7):
        shade[np.hypot((x - centre) / 0.13, (y - 0.42) / 0.28) < 1] = 0.15
    shade[(y > 0.72) & (np.abs(x - 0.5) < 0.38)] = 0.85
    shade[np.abs(x - 0.5) < 0.06] = 0.9
    rng = np.random.default_rng(seed)
    tissue = cv2.resize(rng.random((12, 12)), size_wh, interpolation=cv2.INTER_CUBIC).clip(0, 1)
    noise = rng.integers(0, 8, shade.shape)
    return (shade * 200 + 40 * tissue + noise).astype(np.uint8)


def write_chest(path: Path, size_wh: tuple[int, int] = (256, 256), seed: int = 0) -> Path:
    """A drawn chest as a file; the suffix says of which kind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), chest(size_wh, seed))
    return path


def write_text(path: Path, *lines: str) -> Path:
    """Lines as a file, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def write_card(folder: Path, key: str, **changes: Any) -> Path:
    """A card file that says nothing, but for the changes."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{key}.yaml"
    path.write_text(yaml.safe_dump(a_card_mapping(key=key, **changes)), encoding="utf-8")
    return path


def write_coco(
    root: Path,
    categories: Sequence[str],
    images: Sequence[tuple[str, int, int]],
    boxes: Iterable[tuple[int, str | None, Sequence[float]]],
) -> Path:
    """`annotations.json` of a COCO source; ids are counted from 1.

    Args:
        root: Of the source.
        categories: Their names.
        images: File name, width and height of each.
        boxes: Place of the image in `images`, name of the category or None, and x, y, width, height.
    """
    number = {name: place for place, name in enumerate(categories, start=1)}
    content = {
        "categories": [{"id": number[name], "name": name} for name in categories],
        "images": [
            {"id": place, "file_name": name, "width": width, "height": height}
            for place, (name, width, height) in enumerate(images, start=1)
        ],
        "annotations": [
            {"id": place, "image_id": image + 1, "bbox": list(xywh), "iscrowd": 0}
            | ({} if name is None else {"category_id": number[name]})
            for place, (image, name, xywh) in enumerate(boxes, start=1)
        ],
    }
    return write_text(root / "annotations.json", json.dumps(content))


def detector_card(space, assessed, side_px, thresholds, *, name="made", sha256=None) -> ModelCard:
    """Of a detector that nobody trained."""
    return ModelCard(
        name=name,
        version="0",
        job="detection",
        architecture="yolov8n",
        licence="none",
        intended_use="a test",
        label_space=space.to_mapping(),
        assessed=assessed,
        side_px=side_px,
        operating_points={key: OperatingPoint(threshold=value, chosen="by hand") for key, value in thresholds.items()},
        trained_on=Provenance(sources=(), images=0, positives={}, fingerprint="", recipe={}),
        sha256={f"{name}.onnx": "0"} if sha256 is None else sha256,
    )


def classifier_card(space, assessed, side_px, thresholds) -> ModelCard:
    """Of a classifier that nobody trained."""
    card = detector_card(space, assessed, side_px, thresholds)
    return card.model_copy(
        update={"job": "classification", "architecture": "mobilenet_v2", "clahe": Clahe(), "calibration": {}}
    )


def untrained_detector(architecture: str, n_findings: int, seed: int) -> Any:
    """ultralytics' network of random weights, in evaluation mode; its normalizations are not the identity."""
    import torch
    from ultralytics.nn.tasks import DetectionModel

    torch.manual_seed(seed)
    network = DetectionModel(f"{architecture}.yaml", nc=n_findings, verbose=False)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    return network.eval()
