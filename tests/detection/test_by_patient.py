"""Intervals are of patients: every image shown twice, of the same patient, tells nothing that it did not tell once."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from boxray.core.boxes import Box
from boxray.core.findings import Presence
from boxray.core.metrics import Interval
from boxray.core.reading import Detection
from boxray.data.manifest import Manifest
from boxray.data.presence import Rule
from boxray.detection.compare import compare_detections, mean_ap50
from boxray.detection.evaluate import Detections, judge
from boxray.detection.shift import false_alarms
from built import SQUARE_XYXY, box_row, image_row, manifest_of

ELSEWHERE = Box(1, 1, 20, 20)


def thirty_patients() -> tuple[Manifest, list[tuple[Detection, ...]], list[tuple[Detection, ...]]]:
    """Half with a box, of two sources and sexes; two detectors that are right in some and wrong in others."""
    rng = np.random.default_rng(0)
    boxed, absent = (Presence.BOXED.value, Rule.BOX.value), (Presence.ABSENT.value, Rule.LABEL.value)
    images, boxes = [], []
    for number in range(30):
        cells = {"fluid": boxed if number % 2 else absent, "heart": (Presence.UNKNOWN.value, Rule.NONE.value)}
        row = image_row(number, "test", cells, source="one" if number % 3 else "two")
        images.append(row | {"sex": "F" if number % 5 else "M"})
        if number % 2:
            boxes.append(box_row(row["image_id"], "fluid", SQUARE_XYXY))
    found = [
        [
            tuple(
                Detection("fluid", float(score), Box(*SQUARE_XYXY) if rng.random() < 0.6 else ELSEWHERE)
                for score in rng.random(rng.integers(0, 3))
            )
            for _ in images
        ]
        for _ in range(2)
    ]
    return manifest_of(Path(), images, boxes), found[0], found[1]


def twice(manifest: Manifest) -> Manifest:
    """Each image a second time under another name."""
    again = manifest.images.assign(image_id=manifest.images["image_id"] + "-again")
    boxes = manifest.boxes.assign(image_id=manifest.boxes["image_id"] + "-again")
    return Manifest(
        manifest.folder,
        manifest.label_space,
        pd.concat([manifest.images, again], ignore_index=True),
        pd.concat([manifest.boxes, boxes], ignore_index=True),
    )


def judged(manifest: Manifest, ours: Detections, _theirs: Detections) -> list[Interval]:
    result = judge(manifest, ours, "fluid", assessed=True, threshold=0.4, rounds=60)
    assert result.at_threshold is not None
    groups = [group.ap50 for group in result.groups if group.ap50 is not None]
    assert len(groups) > 2
    return [result.ap50, result.ap40, result.ap50_95, result.froc_mean, result.at_threshold.f1_at_40, *groups]


def compared(manifest: Manifest, ours: Detections, theirs: Detections) -> list[Interval]:
    (row, mean) = compare_detections(manifest, ours, theirs, ("fluid",), rounds=60)
    return [row.ours, row.difference, mean.difference]


def averaged(manifest: Manifest, ours: Detections, _theirs: Detections) -> list[Interval]:
    return [mean_ap50(manifest, ours, ("fluid",), rounds=60)]


def alarmed(manifest: Manifest, ours: Detections, _theirs: Detections) -> list[Interval]:
    return [alarm.share_of_images for alarm in false_alarms(manifest, ours, {"fluid": 0.4}, rounds=60)]


@pytest.mark.parametrize("measure", [judged, compared, averaged, alarmed])
def test_images_shown_twice_narrow_no_interval(measure: Callable[..., list[Interval]]) -> None:
    manifest, ours, theirs = thirty_patients()

    once = measure(manifest, ours, theirs)
    again = measure(twice(manifest), ours * 2, theirs * 2)

    assert any(interval.low < interval.value < interval.high for interval in once)
    for one, other in zip(once, again, strict=True):
        if not np.isnan(one.value):  # a group of fewer than five boxes has twice as many now
            assert (other.value, other.low, other.high) == pytest.approx((one.value, one.low, one.high))
