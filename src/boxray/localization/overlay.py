"""A reading as a picture: the film, the detector's boxes, and the classifier's map of one finding."""

from boxray.core.arrays import ByteArray
from boxray.core.errors import CODES, Outcome
from boxray.core.findings import LabelSpace
from boxray.core.radiograph import Radiograph
from boxray.core.reading import DISCLAIMER, Agreement, ModelIdentity, Reading, SaliencyMap
from boxray.imaging.draw import (
    PAPER,
    QUIET,
    WARNING,
    Colour,
    Film,
    Panel,
    boxes_picture,
    card,
    compose,
    film_of,
    map_picture,
    margin_px,
    plain_picture,
)
from boxray.localization.words import ENGLISH, Texts


def overlay(
    rad: Radiograph | None,
    reading: Reading,
    label_space: LabelSpace,
    finding: str | None = None,
    *,
    reference: float | None = None,
) -> ByteArray:
    """Film, boxes and one finding's map side by side, RGB uint8 of shape ``(H, W, 3)``.

    Args:
        rad: What was read; None only where it could not be decoded.
        reading: What is shown. Refused or failed, it becomes a card with code and reason.
        label_space: Names and colours of the findings.
        finding: Whose map; None takes `leading_finding`. A finding without a map gets no panel.
        reference: Raw map value of full colour, for pictures that are to be compared; None takes the
            strongest of this reading's maps, so that a weak map looks weak beside a strong one.

    Raises:
        ValueError: If a result comes without its radiograph.
    """
    if reading.status is not Outcome.RESULT:
        return refusal_card(reading)
    if rad is None:
        raise ValueError("a reading that gives a result is drawn on its radiograph, got None")
    return overlay_on_film(film_of(rad.pixels), reading, label_space, finding, reference=reference)


def overlay_on_film(
    film: Film, reading: Reading, label_space: LabelSpace, finding: str | None = None, *, reference: float | None = None
) -> ByteArray:
    """`overlay` of a result whose film was made already; its maps may lie on any grid that spans the film."""
    panels = [film_panel(film), boxes_panel(film, reading, label_space)]
    shown = finding or leading_finding(reading)
    if shown is not None and map_of(reading, shown) is not None:
        panels.append(map_panel(film, reading, label_space, shown, reference=reference))
    return with_footer(panels, reading, label_space)


def film_panel(film: Film) -> Panel:
    """The film alone."""
    return Panel("Film", (film.caption,), plain_picture(film))


def boxes_panel(film: Film, reading: Reading, label_space: LabelSpace) -> Panel:
    """The film with all boxes of the reading."""
    n_boxes = len(reading.detections)
    title = "Detector: no box" if n_boxes == 0 else f"Detector: {n_boxes} box{'es' if n_boxes > 1 else ''}"
    note = "No box reached its threshold; this is not a statement of absence." if n_boxes == 0 else film.caption
    picture = boxes_picture(film, reading.detections, label_space)
    return Panel(title, (note,), picture, film_x=margin_px(film, label_space))


def map_panel(
    film: Film, reading: Reading, label_space: LabelSpace, finding: str, *, reference: float | None = None
) -> Panel:
    """The film under the map of one finding, with the finding's boxes as broken lines.

    Raises:
        ValueError: If the reading has no map of the finding.
    """
    saliency = map_of(reading, finding)
    if saliency is None:
        raise ValueError(f"the reading has no map of {finding!r}, only of {[each.finding for each in reading.maps]}")
    full = strongest(reading) if reference is None else reference
    boxes = [det for det in reading.detections if det.finding == finding]
    score = reading.scores.get(finding)
    said = "" if score is None else f", score {score:.2f}"
    blank = not saliency.values.any()
    notes = ("Nothing in the map speaks for it.",) if blank else (agreement_words(reading, finding),)
    picture = map_picture(film, saliency.values, full, label_space, boxes)
    return Panel(f"Classifier's map: {label_space[finding].display}{said}", notes, picture)


def with_footer(panels: list[Panel], reading: Reading, label_space: LabelSpace) -> ByteArray:
    """Panels side by side above what must not be parted from them: disclaimer, silence, models."""
    return compose(panels, footer_lines(reading, label_space))


def refusal_card(reading: Reading) -> ByteArray:
    """Code and reason in place of a picture, and no word on any finding."""
    code = reading.code or "internal.error"
    meaning = CODES[code].meaning if code in CODES else ""
    lines: list[tuple[str, Colour]] = [
        (f"{reading.status.value}  {code}", PAPER),
        (reading.reason or meaning, PAPER),
        (f"Meaning of the code: {meaning}." if meaning and meaning != reading.reason else "", QUIET),
        ("Nothing is said about any finding, neither present nor absent.", PAPER),
        (DISCLAIMER, WARNING),
    ]
    title = "Not read" if reading.status is Outcome.REFUSED else "Reading failed"
    return card(title, [line for line in lines if line[0]])


def leading_finding(reading: Reading) -> str | None:
    """The finding that a reader would look at first: the best box's, else the best score's that has a map."""
    if reading.detections:
        return max(reading.detections, key=lambda det: det.score).finding
    mapped = [saliency.finding for saliency in reading.maps]
    return max(mapped, key=lambda key: reading.scores.get(key, 0.0), default=None)


def map_of(reading: Reading, finding: str) -> SaliencyMap | None:
    """The reading's map of a finding, or None."""
    return next((saliency for saliency in reading.maps if saliency.finding == finding), None)


def strongest(reading: Reading) -> float:
    """The highest raw value of all the reading's maps; 0 without maps."""
    return max((float(saliency.values.max()) for saliency in reading.maps), default=0.0)


def comparable(reading: Reading, finding: str) -> Agreement | None:
    """The reading's agreement on a finding; None unless both models assess it."""
    if any(finding in silent for silent in reading.not_assessed.values()):
        return None
    return next((agreement for agreement in reading.agreement if agreement.finding == finding), None)


def agreement_words(reading: Reading, finding: str, words: Texts = ENGLISH) -> str:
    """How far the two models agree on one finding, in words and numbers."""
    agreement = comparable(reading, finding)
    if agreement is None:
        silent = [words.get(f"role.{role}", role) for role, keys in reading.not_assessed.items() if finding in keys]
        if not silent:
            return words["agreement.none"]
        return words["agreement.silent"].format(models=words["agreement.and"].join(silent))
    numbers = []
    if agreement.iou is not None:
        numbers.append(f"IoU {agreement.iou:.2f}")
    if agreement.pointing_hit is not None:
        numbers.append(words["agreement.inside" if agreement.pointing_hit else "agreement.outside"])
    if agreement.energy_inside is not None:
        numbers.append(words["agreement.energy"].format(share=f"{agreement.energy_inside:.0%}"))
    return words[f"agreement.{agreement.case.value}"] + (f": {', '.join(numbers)}" if numbers else "")


def footer_lines(reading: Reading, label_space: LabelSpace) -> list[tuple[str, Colour]]:
    """The lines under every picture of a result."""
    lines: list[tuple[str, Colour]] = [(DISCLAIMER, WARNING)]
    for role, silent in reading.not_assessed.items():
        if silent:
            names = ", ".join(label_space[key].display for key in silent if key in label_space)
            lines.append((f"Not assessed by the {role} (its silence means nothing): {names}.", PAPER))
    if reading.min_score is not None:
        lines.append((f"Boxes from a score of {reading.min_score:.4g} on, as asked for.", PAPER))
    if reading.maps:
        lines.append(("A map shows where a score came from. It is neither an outline nor a probability.", QUIET))
    models = "; ".join(_identity(role, model) for role, model in reading.models.items())
    if models:
        lines.append((models, QUIET))
    return lines


def _identity(role: str, model: ModelIdentity) -> str:
    return f"{role.capitalize()}: {model.name} {model.version} ({model.sha256[:12]})"
