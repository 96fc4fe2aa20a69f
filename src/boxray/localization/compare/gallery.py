"""Cases to look at: where both are right, one alone, or none; each as two films side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import pandas as pd

from boxray.core.arrays import ByteArray, FloatArray
from boxray.core.boxes import Box
from boxray.core.findings import LabelSpace
from boxray.core.protocols import Explainer
from boxray.core.reading import DISCLAIMER
from boxray.data.manifest import Manifest
from boxray.imaging.draw import (
    PAPER,
    QUIET,
    WARNING,
    Colour,
    Film,
    Mark,
    Panel,
    bare_picture,
    compose,
    film_of,
    on_film,
)
from boxray.localization.compare.asking import DETECTOR, map_of
from boxray.localization.compare.comparison import Comparison, method_title
from boxray.localization.compare.measures import BEST_BOX, POINT

SHOWN_SIDE_PX: Final = 540
"""Of each film, so that two stand side by side on a page."""

MOST_EACH: Final = 2
"""Cases of each kind and finding; of one patient only the first."""


class Kind(StrEnum):
    """Who points into a reader's box."""

    DETECTOR_ALONE = "the detector alone"
    MAP_ALONE = "the map alone"
    BOTH = "both"
    NEITHER = "neither"


ORDER: Final[Mapping[Kind, str]] = {
    Kind.DETECTOR_ALONE: "largest difference of IoU first",
    Kind.MAP_ALONE: "largest difference of IoU first",
    Kind.BOTH: "the detector's highest IoU first",
    Kind.NEITHER: "largest readers' boxes first",
}
"""Which of a kind are shown: extremes, no sample."""


@dataclass(frozen=True, slots=True)
class Case:
    """One image and finding, as both see it."""

    kind: Kind
    n_of_kind: int
    """How many images of the finding are of this kind."""
    finding: str
    image_id: str
    source: str
    ours: pd.Series
    """The detector's row."""
    theirs: pd.Series
    """The method's row."""


def cases_of(comparison: Comparison, finding: str, most: int = MOST_EACH) -> list[Case]:
    """The cases of one finding with the first method, kind by kind in the order of `ORDER`."""
    ours, theirs = (_side(comparison.rows, finding, method) for method in (DETECTOR, comparison.methods[0]))
    theirs = theirs.loc[ours.index]
    right, right_too = ours["pointing_hit"].astype(bool), theirs["pointing_hit"].astype(bool)
    ahead = ours["iou"] - theirs["iou"]
    kinds = {
        Kind.DETECTOR_ALONE: (right & ~right_too, ahead),
        Kind.MAP_ALONE: (~right & right_too, -ahead),
        Kind.BOTH: (right & right_too, ours["iou"]),
        Kind.NEITHER: (~right & ~right_too, ours["readers_cover"]),
    }
    cases = []
    for kind in ORDER:
        which, worth = kinds[kind]
        best = worth[which].sort_values(ascending=False, kind="stable").index
        one_each = ours.loc[best].drop_duplicates("patient").index[:most]
        cases += [
            Case(
                kind,
                int(which.sum()),
                finding,
                str(image),
                ours.loc[image, "source"],
                ours.loc[image],
                theirs.loc[image],
            )
            for image in one_each
        ]
    return cases


def _side(rows: pd.DataFrame, finding: str, method: str) -> pd.DataFrame:
    return rows[(rows["finding"] == finding) & (rows["method"] == method)].set_index("image_id")


def case_picture(case: Case, comparison: Comparison, manifest: Manifest, explainer: Explainer) -> ByteArray:
    """The film with the readers' boxes and the detector's beside the same film with the map and its box.

    Args:
        case: Which.
        comparison: For names and the method.
        manifest: Holds the picture and the readers' boxes.
        explainer: Asked once more for the map; none was kept.

    Returns:
        RGB, uint8, shape ``(H, W, 3)``; the disclaimer stands on it.
    """
    method = comparison.methods[0]
    (picture,) = manifest.images.loc[manifest.images["image_id"] == case.image_id, "picture"]
    rad = manifest.radiograph(picture)
    saliency = map_of(explainer, rad, case.finding, method)
    film = film_of(rad.pixels, SHOWN_SIDE_PX)
    finding = comparison.label_space[case.finding]
    truth = manifest.boxes_of(case.finding)[case.image_id]
    colour = on_film(finding.colour)
    panels = [
        _panel(f"Detector: {finding.display}", film, case.ours, truth, colour),
        _panel(f"{method_title(method)}: {finding.display}", film, case.theirs, truth, colour, saliency.values),
    ]
    legend = (
        "White broken line: reader. Full line: the one best box, of the detector or round the map's main region. "
        "Ring: where each points. Reported: the score reaches the operating point. The map's colour is full at its own "
        "maximum."
    )
    return compose(panels, [(legend, QUIET), (DISCLAIMER, WARNING)])


def _panel(
    title: str, film: Film, row: pd.Series, truth: FloatArray, colour: Colour, values: FloatArray | None = None
) -> Panel:
    marks = [Mark(Box(*box), PAPER, ("", ""), 2.0, dashed=True) for box in truth.tolist()]
    spots = []
    if not np.isnan(row[BEST_BOX[0]]):
        marks.append(Mark(Box(*(float(row[name]) for name in BEST_BOX)), colour, ("", ""), 1.0))
        spots.append(((float(row[POINT[0]]), float(row[POINT[1]])), colour))
    return Panel(title, (said_of_row(row), film.caption), bare_picture(film, marks, values=values, spots=spots))


def said_of_row(row: pd.Series) -> str:
    """One side of a case in words."""
    if np.isnan(row[BEST_BOX[0]]):
        return "no box at any score" if row["method"] == DETECTOR else "the map is zero everywhere"
    reported = "reported" if row["n_reported"] else "not reported"
    score = "" if np.isnan(row["score"]) else f"score {row['score']:.2f} ({reported}), "
    where = "inside" if row["pointing_hit"] else "outside"
    return f"{score}points {where} of the reader's box, IoU {row['iou']:.2f}"


def words_for(case: Case, label_space: LabelSpace) -> str:
    """What the picture shows, for those who cannot see it."""
    name = label_space[case.finding].display
    return f"{name}, {case.image_id}: detector {said_of_row(case.ours)}; map {said_of_row(case.theirs)}"
