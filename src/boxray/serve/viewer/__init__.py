"""The viewer: a radiograph on a canvas in the browser, and the page round it.

It is plain JavaScript in small files that read from top to bottom; this module joins them, in the order of `FILES`,
into one function that Gradio runs when the page is there. No tool is needed to build it, nothing is asked of a host
outside, and all texts come from `boxray.serve.words`.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final

import cv2
import numpy as np

from boxray.core.findings import LabelSpace
from boxray.imaging.draw import COLOUR_FLOOR, on_film

FILES: Final = (
    "words.js",
    "pixels.js",
    "view.js",
    "boxes.js",
    "annotations.js",
    "paint.js",
    "film.js",
    "tables.js",
    "door.js",
    "worklist.js",
    "toolbar.js",
    "room.js",
)
"""Each uses only names of those before it while it is loaded."""

NAMES: Final = (
    *("openRoom", "Words", "Annotations", "unpackedPixels", "shades", "mapPicture", "OVERLAY_OPACITY"),
    *("boxesAt", "rowsAt", "apartWords", "reshaped", "zoomedAt", "toFilm"),
)
"""What the joined code gives out: the page, and what tests look at."""

PREFIXES: Final = (
    *("viewer.", "table.", "agreement.", "refused.", "refusal.", "role.", "finding."),
    *("disclaimer", "banner.caution"),
)
"""Of the keys of the catalogue that the viewer says."""

_DASHES: Final = ((), (12, 5), (3, 4), (12, 4, 3, 4), (20, 6), (6, 4), (12, 4, 3, 4, 3, 4), (2, 7))
"""Stretches of line and gap, in pixels of the page, one pattern per finding; beyond eight they come again, the letters
do not."""


@cache
def viewer_code() -> str:
    """All files as one expression, whose value is an object with their names."""
    parts = [files(__package__).joinpath(name).read_text("utf-8") for name in FILES]
    names = ", ".join(NAMES)
    return f"(() => {{\n'use strict';\n{''.join(parts)}\nreturn {{{names}}};\n}})()"


@cache
def viewer_style() -> str:
    """Its style sheet; every class begins with ``bx-``."""
    return files(__package__).joinpath("style.css").read_text("utf-8")


def viewer_script(
    label_space: LabelSpace,
    words: Mapping[str, Mapping[str, str]],
    *,
    lowest: float,
    examples: Sequence[str] = (),
    downloads: Sequence[str] = (),
) -> str:
    """What Gradio runs once in the page, with ``element`` the viewer's own.

    Args:
        label_space: The findings.
        words: Language -> catalogue.
        lowest: To which score the threshold goes.
        examples: Names of the files that are offered.
        downloads: Kinds of files that can be saved, a button each; ``table`` is about the whole worklist.
    """
    setup = {
        "findings": looks(label_space),
        "colours": colours(),
        "lowest": lowest,
        "examples": list(examples),
        "downloads": list(downloads),
        "words": {
            language: {key: text for key, text in texts.items() if key.startswith(PREFIXES)}
            for language, texts in words.items()
        },
    }
    said = json.dumps(setup).replace("</", "<\\/")
    return f"const boxray = {viewer_code()};\nelement.boxray = boxray.openRoom(element, {said});"


def looks(label_space: LabelSpace) -> list[dict[str, Any]]:
    """How the boxes of each finding look: colour, letter and dashes, so that none is told by its colour alone."""
    return [
        {
            "key": finding.key,
            "display": finding.display,
            "colour": "#{:02x}{:02x}{:02x}".format(*on_film(finding.colour)),
            "letter": letter,
            "dash": list(_DASHES[number % len(_DASHES)]),
        }
        for number, (finding, letter) in enumerate(zip(label_space, letters(label_space), strict=True))
    ]


def letters(label_space: LabelSpace) -> list[str]:
    """One sign per finding: the first letter of its name that no finding before it has, else a number.

    >>> from boxray.core.findings import Finding
    >>> letters(LabelSpace("two", tuple(Finding(key, key, "it", "#000000") for key in ("edema", "emphysema"))))
    ['E', 'M']
    """
    taken: list[str] = []
    for number, finding in enumerate(label_space, start=1):
        own = (letter.upper() for letter in finding.display if letter.isalpha())
        taken.append(next((letter for letter in own if letter not in taken), str(number)))
    return taken


def colours() -> list[str]:
    """Of a map from weak to strong, 256 of them: those of the pictures that are saved."""
    level = np.linspace(0, 1, 256)
    steps = np.round((COLOUR_FLOOR + (1 - COLOUR_FLOOR) * level) * 255).astype(np.uint8)
    painted = cv2.applyColorMap(steps[:, None], cv2.COLORMAP_PLASMA)[:, 0]
    return [f"#{red:02x}{green:02x}{blue:02x}" for blue, green, red in painted]
