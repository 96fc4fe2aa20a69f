"""Boxes against the heat map, for one finding: which of the two speaks, and how far they agree."""

from __future__ import annotations

import numpy as np

from boxray.core.arrays import BoolArray
from boxray.core.boxes import Box
from boxray.core.reading import Agreement, Case, SaliencyMap
from boxray.localization.peak import highest_pixel

HALF = 0.5
"""The map's region is where it reaches this share of its maximum."""


def agree(finding: str, boxes: list[Box], saliency: SaliencyMap, *, map_speaks: bool) -> Agreement:
    """Compare the boxes of a finding with its map.

    Args:
        finding: Of both.
        boxes: The detector's, at or above its operating point, in the radiograph's frame. None means
            that the detector is silent.
        saliency: In the same frame.
        map_speaks: The classifier's score reaches its operating point.

    Returns:
        The case; and, where both speak, three measures. A map that is zero everywhere has no highest
        point and no energy: then the pointing game is missed and the shares are 0.

    Sources: pointing game, Zhang et al., 2018, IJCV 126; energy, Wang et al., 2020, Score-CAM.
    """
    if not (boxes and map_speaks):
        case = Case.BOX_ONLY if boxes else Case.MAP_ONLY if map_speaks else Case.NEITHER
        return Agreement(finding, case)
    values = saliency.values
    inside = painted(boxes, values.shape)
    highest = highest_pixel(values)
    if highest is None:
        return Agreement(finding, Case.BOTH, pointing_hit=False, iou=0.0, energy_inside=0.0)
    region = values >= HALF * values.max()
    covered = (region | inside).sum()
    return Agreement(
        finding,
        Case.BOTH,
        pointing_hit=bool(inside[highest]),
        iou=float((region & inside).sum() / covered) if covered else 0.0,
        energy_inside=float(values[inside].sum() / values.sum()),
    )


def agree_by_boxes(finding: str, boxes: list[Box], saliency: SaliencyMap, *, map_speaks: bool) -> list[Agreement]:
    """`agree` for every threshold at once: ``[n]`` compares the first `n` boxes with the map.

    Each box only adds the pixels that no box before it had, so that all of it costs little more than one comparison.

    Args:
        finding: Of all.
        boxes: By falling score; any threshold keeps the first so many of them.
        saliency: As for `agree`.
        map_speaks: As for `agree`.

    Returns:
        One more than there are boxes.
    """
    none = Agreement(finding, Case.MAP_ONLY if map_speaks else Case.NEITHER)
    if not map_speaks:
        return [none, *(Agreement(finding, Case.BOX_ONLY) for _ in boxes)]
    values = saliency.values
    highest = highest_pixel(values)
    if highest is None:
        return [none, *(Agreement(finding, Case.BOTH, pointing_hit=False, iou=0.0, energy_inside=0.0) for _ in boxes)]
    region, total = values >= HALF * values.max(), float(values.sum(dtype=np.float64))
    n_region = int(region.sum())
    inside = np.zeros(values.shape, dtype=bool)
    energy, n_shared, n_inside = 0.0, 0, 0
    rows = [none]
    for box in boxes:
        part = _pixels(box)
        new = ~inside[part]
        energy += float(values[part][new].sum(dtype=np.float64))
        n_shared += int((region[part] & new).sum())
        n_inside += int(new.sum())
        inside[part] = True
        rows.append(
            Agreement(
                finding,
                Case.BOTH,
                pointing_hit=bool(inside[highest]),
                iou=n_shared / (n_region + n_inside - n_shared),
                energy_inside=min(1.0, energy / total),
            )
        )
    return rows


def painted(boxes: list[Box], shape_hw: tuple[int, ...]) -> BoolArray:
    """The union of boxes as pixels of shape ``(H, W)``: a pixel belongs to a box if its centre does."""
    canvas = np.zeros(shape_hw, dtype=bool)
    for box in boxes:
        canvas[_pixels(box)] = True
    return canvas


def _pixels(box: Box) -> tuple[slice, slice]:
    x1, y1, x2, y2 = (max(0, int(np.ceil(edge - 0.5))) for edge in box.xyxy)
    return slice(y1, y2), slice(x1, x2)
