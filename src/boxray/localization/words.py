"""The English words of a reading's tables, by key; a door that speaks another language hands in its own."""

from collections.abc import Mapping
from typing import Final

Texts = Mapping[str, str]
"""Key -> text with placeholders in braces; has at least the keys of `ENGLISH`."""

ENGLISH: Final[Texts] = {
    "table.findings": "Findings",
    "table.boxes": "Boxes",
    "table.finding": "Finding",
    "table.detector": "Detector",
    "table.best": "Best box score",
    "table.score": "Classifier score",
    "table.score_and_threshold": "Classifier score and threshold",
    "table.agreement": "Box against map",
    "table.box": "Box",
    "table.box_score": "Score",
    "table.place": "Place (x1, y1, x2, y2; px)",
    "table.boxed": "boxed ({n})",
    "table.no_box": "no box",
    "table.not_assessed": "not assessed",
    "table.none": "none",
    "table.below": "{score}, below {threshold}",
    "table.empty": "No box reaches its threshold. This is not a statement of absence.",
    "table.silence": "Not assessed by the {model}, so its silence means nothing: {findings}.",
    "refused.title": "Not read",
    "refused.failed": "Reading failed",
    "refused.silence": "Nothing is said about any finding, neither present nor absent.",
    "role.detector": "detector",
    "role.classifier": "classifier",
    "agreement.both": "Box and map",
    "agreement.box_only": "Box only",
    "agreement.map_only": "Map only",
    "agreement.neither": "Neither box nor map",
    "agreement.inside": "peak inside the box",
    "agreement.outside": "peak outside the box",
    "agreement.energy": "{share} of the map inside",
    "agreement.none": "Not compared",
    "agreement.silent": "Not compared: not assessed by the {models}",
    "agreement.and": " and the ",
}
