"""The most confident errors of a classifier as pictures: the film, and the map of the finding beside it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from boxray.classification.evaluate import Known
from boxray.core.arrays import ByteArray, FloatArray
from boxray.core.boxes import Box
from boxray.core.findings import Presence
from boxray.core.protocols import Classified, Classifier
from boxray.core.reading import DISCLAIMER
from boxray.data.groups import first_of_each
from boxray.data.manifest import Manifest
from boxray.data.presence import absence_words
from boxray.imaging.draw import (
    PAPER,
    QUIET,
    WARNING,
    Film,
    Mark,
    Panel,
    compose,
    film_of,
    map_picture,
    marks_picture,
    plain_picture,
    words_px,
)

MOST_EACH = 4
"""Errors of each kind per finding; of one patient only the worst."""

SHOWN_SIDE_PX = 640


class ErrorKind(StrEnum):
    """What went wrong."""

    FALSE_ALARM = "false alarm"
    MISS = "miss"


@dataclass(frozen=True, slots=True)
class Fault:
    """One image in which a finding is said and absent, or there and not said."""

    kind: ErrorKind
    finding: str
    image_id: str
    source: str
    patient: str
    picture: str
    score: float
    why: str
    """In words, for the caption."""


@dataclass(frozen=True, slots=True)
class Faults:
    """The worst errors of one finding, and how many there are."""

    worst: tuple[Fault, ...]
    n_of: dict[ErrorKind, int]
    """All errors of each kind, shown or not."""


def worst_faults(
    manifest: Manifest, scores: FloatArray, said: FloatArray, finding: str, most: int = MOST_EACH
) -> Faults:
    """The false alarms of the highest score, then the misses of the lowest.

    An absence that is only assumed makes no false alarm.

    Args:
        manifest: The images.
        scores: Shape ``(N, F)``, of `boxray.classification.score.score_all`.
        said: Shape ``(N, F)``, of `boxray.classification.evaluate.said_of`.
        finding: Of the label space.
        most: Of each kind.
    """
    known = Known.of(manifest)
    index = manifest.label_space.index(finding)
    counted, there = known.counted[:, index], known.there[:, index]
    false = np.flatnonzero(counted & ~there & (said[:, index] == 1))
    missed = np.flatnonzero(counted & there & (said[:, index] == 0))
    worst: list[Fault] = []
    for kind, places, sign in ((ErrorKind.FALSE_ALARM, false, -1), (ErrorKind.MISS, missed, 1)):
        falling = places[np.argsort(sign * scores[places, index], kind="stable")]
        faults = (_fault(manifest, kind, finding, place, float(scores[place, index])) for place in falling.tolist())
        worst += first_of_each(faults, lambda fault: fault.patient, most)
    return Faults(tuple(worst), {ErrorKind.FALSE_ALARM: len(false), ErrorKind.MISS: len(missed)})


def _fault(manifest: Manifest, kind: ErrorKind, finding: str, place: int, score: float) -> Fault:
    row = manifest.images.iloc[place]
    rule = str(row[f"rule_{finding}"])
    boxed = row[f"presence_{finding}"] == Presence.BOXED.value
    there = "there, boxed by a reader" if boxed else "there, without a box"
    why = f"absent ({absence_words(rule)})" if kind is ErrorKind.FALSE_ALARM else there
    return Fault(
        kind,
        finding,
        str(row["image_id"]),
        str(row["source"]),
        str(row["patient"]),
        str(row["picture"]),
        score,
        f"{why}{_class_of(manifest, finding, place)}",
    )


def _class_of(manifest: Manifest, finding: str, place: int) -> str:
    """What an image is instead, where findings exclude each other."""
    if not manifest.label_space.exclusive:
        return ""
    known = Known.of(manifest)
    others = [key for key, there in zip(manifest.label_space.keys, known.there[place], strict=True) if there]
    return "".join(f", it is {manifest.label_space[key].display}" for key in others if key != finding)


def fault_picture(fault: Fault, manifest: Manifest, classifier: Classifier) -> ByteArray:
    """The film with readers' boxes of the finding in broken lines, and beside it the film under the finding's map.

    Full colour is the strongest value of all the radiograph's maps, so that a weak map looks weak.

    Returns:
        RGB, uint8, shape ``(H, W, 3)``; the disclaimer stands on it.
    """
    rad = manifest.radiograph(fault.picture)
    film = film_of(rad.pixels, SHOWN_SIDE_PX)
    answer = classifier.classify(rad)
    finding = manifest.label_space[fault.finding].display
    drawn = manifest.boxes_of(fault.finding).get(fault.image_id, np.empty((0, 4)))
    heading = Panel(f"{finding}: {fault.kind.value}", (fault.why, fault.image_id), *_film_picture(film, drawn))
    panels = [heading, _map_panel(fault, film, answer, manifest)]
    lines = [
        ("A map shows where a score came from. It is neither an outline nor a probability.", QUIET),
        (DISCLAIMER, WARNING),
    ]
    if len(drawn):
        lines.insert(0, ("Broken line: reader.", QUIET))
    return compose(panels, lines)


def _film_picture(film: Film, drawn: FloatArray) -> tuple[ByteArray, int]:
    """The film, and where it begins in its picture."""
    if not len(drawn):
        return plain_picture(film), 0
    marks = [Mark(Box(*map(float, corners)), PAPER, ("Reader", ""), 1.0, dashed=True) for corners in drawn]
    margin = words_px(film, ["Reader"])
    return marks_picture(film, marks, margin), margin


def _map_panel(fault: Fault, film: Film, answer: Classified, manifest: Manifest) -> Panel:
    values = next(saliency.values for saliency in answer.maps if saliency.finding == fault.finding)
    strongest = max(float(saliency.values.max()) for saliency in answer.maps)
    note = film.caption if values.any() else "Nothing in the map speaks for it."
    picture = map_picture(film, values, strongest, manifest.label_space)
    return Panel(f"Grad-CAM, score {fault.score:.2f}", (note,), picture)
