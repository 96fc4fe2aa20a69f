"""The whole evaluation against faster-coco-eval in its LVIS mode: what nobody verified takes no part there either."""

from pathlib import Path

import numpy as np
import pytest
from faster_coco_eval import COCO, COCOeval_faster
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from boxray.core.boxes import Box
from boxray.core.findings import Presence
from boxray.core.reading import Detection
from boxray.data.manifest import Manifest
from boxray.data.presence import Rule
from boxray.detection.evaluate import judge
from built import TWO, box_row, image_row, manifest_of

N_IMAGES = 12
STATES = [
    (Presence.BOXED, Rule.BOX),
    (Presence.ABSENT, Rule.LABEL),
    (Presence.UNKNOWN, Rule.NONE),
    (Presence.PRESENT, Rule.LABEL),
]


def some_box(rng: np.random.Generator) -> list[float]:
    """One of a few places, moved a little, so that some overlap by a half and some do not."""
    corner = rng.integers(0, 3, size=2) * 70 + rng.integers(0, 20, size=2)
    return [*corner.tolist(), *(corner + rng.integers(40, 60, size=2)).tolist()]


def some_set(rng: np.random.Generator) -> tuple[Manifest, list[tuple[Detection, ...]]]:
    """Every finding in any of the four states on every image, and detections everywhere."""
    images, boxes, detections = [], [], []
    for number in range(N_IMAGES):
        states = {key: STATES[rng.integers(len(STATES))] for key in TWO.keys}
        images.append(image_row(number, "test", {key: (p.value, r.value) for key, (p, r) in states.items()}))
        for key, (presence, _) in states.items():
            if presence is Presence.BOXED:
                boxes += [box_row(f"made:{number}", key, tuple(some_box(rng))) for _ in range(rng.integers(1, 4))]
        found = [
            Detection(TWO.keys[rng.integers(2)], float(rng.random()), Box(*some_box(rng)))
            for _ in range(rng.integers(0, 6))
        ]
        detections.append(tuple(sorted(found, key=lambda det: -det.score)))
    return manifest_of(Path(), images, boxes), detections


def xywh(box: list[float]) -> list[float]:
    x1, y1, x2, y2 = box
    return [x1, y1, x2 - x1, y2 - y1]


def lvis_ap50(manifest: Manifest, detections: list[tuple[Detection, ...]]) -> dict[str, float]:
    """AP50 by finding; images name what is verified to be absent, as LVIS' files do."""
    category = {key: place for place, key in enumerate(TWO.keys, start=1)}
    place_of = {image_id: place for place, image_id in enumerate(manifest.images["image_id"], start=1)}
    absent = {key: np.flatnonzero(manifest.presence(key) == Presence.ABSENT) + 1 for key in TWO.keys}
    truth = [
        {
            "id": number,
            "image_id": place_of[row.image_id],
            "category_id": category[row.finding],
            "bbox": xywh([row.x1, row.y1, row.x2, row.y2]),
            "area": (row.x2 - row.x1) * (row.y2 - row.y1),
            "iscrowd": 0,
        }
        for number, row in enumerate(manifest.boxes.itertuples(), start=1)
    ]
    images = [
        {
            "id": place,
            "width": 256,
            "height": 256,
            "neg_category_ids": [category[key] for key in TWO.keys if place in absent[key]],
            "not_exhaustive_category_ids": [],
        }
        for place in place_of.values()
    ]
    categories = [{"id": number, "name": key, "frequency": "f"} for key, number in category.items()]
    found = [
        {"image_id": place, "category_id": category[det.finding], "bbox": xywh(list(det.box.xyxy)), "score": det.score}
        for place, dets in enumerate(detections, start=1)
        for det in dets
    ]
    coco = COCO({"images": images, "categories": categories, "annotations": truth})
    judged = COCOeval_faster(coco, coco.loadRes(found), "bbox", lvis_style=True)
    judged.params.maxDets = [300]
    judged.params.iouThrs = np.array([0.5])
    judged.evaluate()
    judged.accumulate()
    precision = judged.eval["precision"]  # IoU, recall, category, area, most detections
    return {key: float(precision[0, :, place, 0, -1].mean()) for place, key in enumerate(TWO.keys)}


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_average_precision_where_much_is_unknown_is_that_of_lvis(seed: int) -> None:
    manifest, detections = some_set(np.random.default_rng(seed))
    assume(set(manifest.boxes["finding"]) == set(TWO.keys))
    assume(any(detections))

    theirs = lvis_ap50(manifest, detections)

    for key in TWO.keys:
        ours = judge(manifest, detections, key, assessed=True, threshold=None, rounds=2)
        assert ours.ap50.value == pytest.approx(theirs[key], abs=1e-9)
