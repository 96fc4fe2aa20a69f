"""Intervals are of patients: every image shown twice, of the same patient, tells nothing that it did not tell once."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from boxray.classification.compare import compare_auroc
from boxray.classification.evaluate import judge
from boxray.core.arrays import FloatArray
from boxray.core.metrics import Interval
from boxray.data.manifest import Manifest
from scored import Judge, random_set


def twice(manifest: Manifest) -> Manifest:
    """Each image a second time under another name."""
    again = manifest.images.assign(image_id=manifest.images["image_id"] + "-again")
    images = pd.concat([manifest.images, again], ignore_index=True)
    return Manifest(manifest.folder, manifest.label_space, images, manifest.boxes)


def judged(manifest: Manifest, ours: FloatArray, _theirs: FloatArray) -> list[Interval]:
    result = judge(manifest, ours, Judge(), rounds=60)
    fluid = result.findings[0]
    assert fluid.at_threshold is not None
    assert fluid.calibration is not None
    of_groups = [
        figure
        for group in fluid.groups
        for figure in (group.within, group.pooled, group.recall, group.ece, group.excess)
    ]
    of_means = [figure for mean in result.means.values() for figure in (mean.macro, mean.weighted)]
    return [fluid.within.auroc, fluid.pooled.ap, fluid.calibration.ece, *of_groups, *of_means]


def compared(manifest: Manifest, ours: FloatArray, theirs: FloatArray) -> list[Interval]:
    return [row.difference for row in compare_auroc(manifest, ours, theirs, ("fluid", "heart"), rounds=60)]


@pytest.mark.parametrize("measure", [judged, compared])
def test_images_shown_twice_narrow_no_interval(measure: Callable[..., list[Interval]]) -> None:
    manifest, ours = random_set(3)
    theirs = random_set(4)[1]

    once = measure(manifest, ours, theirs)
    again = measure(twice(manifest), np.tile(ours, (2, 1)), np.tile(theirs, (2, 1)))

    assert any(interval.low < interval.value < interval.high for interval in once)
    for one, other in zip(once, again, strict=True):
        if not np.isnan(one.value):  # a group of too few images has twice as many now
            assert (other.value, other.low, other.high) == pytest.approx((one.value, one.low, one.high))
