"""Names of the fields of a data set in FiftyOne, in one place: the App, the plugin and the way back read the same."""

from __future__ import annotations

import re
from typing import Final

ANNOTATION: Final = "annotation"
"""The boxes that may be edited: the reviewer's own where he has spoken, else the consensus of the set."""
DETECTOR: Final = "detector"
"""Boxes at or above the operating points."""
DETECTOR_ALL: Final = "detector_all"
"""All boxes of the reading, for evaluation; hidden at first."""
DETECTOR_COLOUR: Final = "#E600E6"
"""Of every box of these two: no finding's, bright on a film, dark enough for the white words on it."""
PRESENCE: Final = "presence_"
SCORE: Final = "score_"
MAP: Final = "map_"
AGREEMENT: Final = "agreement_"
READER: Final = "reader_"
IMAGE_ID: Final = "image_id"
SHA256: Final = "sha256"
SHOWN: Final = "boxray_shown"
"""`Shown` as text: what stood there when the image was opened, or pulled."""
DIGEST: Final = "boxray_digest"
"""Of all that was written, so that what has not changed need not be written again."""
STAMPS: Final = "boxray_stamps"
"""Edits that were seen once, with their times: the same edit has the same time in every pull."""
WIDTH: Final = "width"
HEIGHT: Final = "height"
QUALITY: Final = "quality"
NEAR_COPY: Final = "near_copy"
NEAR_COPY_OF: Final = "near_copy_of"
UNIQUENESS: Final = "uniqueness"
PLOT: Final = "detector_features"
"""Key of the plot of the detector's features."""
REVIEWER: Final = "reviewer"
REASON: Final = "reason"
SECOND: Final = "second_opinion"
CHECKED: Final = "checked"
"""On a box: looked at, and right as it is."""


def reader_field(reader: str) -> str:
    """A reader's name, such as ``nih/published``, as a field."""
    return READER + re.sub(r"\W+", "_", reader).strip("_").lower()
