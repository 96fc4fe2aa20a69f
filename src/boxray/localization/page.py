"""Readings as HTML: the table of findings, and one small page for a folder of pictures.

The page asks no other host for anything and runs no script. All that comes from outside, the names of files
above all, is escaped; pictures get names of our own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.metadata import metadata
from pathlib import Path
from string import Template
from typing import Final

from boxray.core.arrays import ByteArray
from boxray.core.errors import CODES, Outcome
from boxray.core.findings import Finding, LabelSpace
from boxray.core.reading import DISCLAIMER, Agreement, Reading
from boxray.imaging.draw import encode_png, on_film
from boxray.localization.overlay import agreement_words, comparable
from boxray.localization.words import ENGLISH, Texts

PAGE: Final = "index.html"

_MOST_DIGITS: Final = 6
"""Of a score beside its threshold; nobody reads more, and no score is worth more."""


@dataclass(frozen=True, slots=True)
class Item:
    """One radiograph of the page: what was said about it, and the picture from `overlay`."""

    reading: Reading
    picture: ByteArray


@dataclass(frozen=True, slots=True)
class Row:
    """What both models say of one finding, ready for a table."""

    finding: Finding
    state: str
    """The detector's: ``boxed``, ``no box`` or ``not assessed``."""
    n_boxes: int
    best: float | None
    """The best box's score; also that of a box below the threshold, where it is known."""
    threshold: float | None
    """Which a box had to reach, where one is stored."""
    score: float | None
    """The classifier's; None: not assessed."""
    score_threshold: float | None
    agreement: Agreement | None
    """None where one of the models does not assess the finding."""
    agreement_words: str


def rows_of(
    reading: Reading, label_space: LabelSpace, candidates: Reading | None = None, words: Texts = ENGLISH
) -> list[Row]:
    """One row per finding of the label space, in its order.

    Args:
        reading: A result.
        label_space: Which findings, and their names.
        candidates: The same radiograph read with a lower threshold: knows the best box that is not shown.
        words: In which language.
    """
    states = reading.states(label_space)
    known = (candidates or reading).detections
    judged = reading.models["classifier"].thresholds if "classifier" in reading.models else {}
    return [
        Row(
            finding=finding,
            state=states[finding.key],
            n_boxes=sum(det.finding == finding.key for det in reading.detections),
            best=max((det.score for det in known if det.finding == finding.key), default=None),
            threshold=reading.box_threshold(finding.key),
            score=reading.scores.get(finding.key),
            score_threshold=judged.get(finding.key),
            agreement=comparable(reading, finding.key),
            agreement_words=agreement_words(reading, finding.key, words),
        )
        for finding in label_space
    ]


def findings_table(rows: Sequence[Row], words: Texts = ENGLISH) -> str:
    """The table of all findings as HTML, to stand beside the picture and to say the same in words."""
    keys = ("finding", "detector", "best", "score_and_threshold", "agreement")
    body = "".join(_table_row(row, words) for row in rows)
    return (
        f'<table class="bx-findings"><caption>{escape(words["table.findings"])}</caption>'
        f"<thead><tr>{_heads(keys, words)}</tr></thead><tbody>{body}</tbody></table>"
    )


def boxes_table(reading: Reading, label_space: LabelSpace, words: Texts = ENGLISH) -> str:
    """Every box that is drawn, as a row of words and numbers; one sentence where there is none."""
    if not reading.detections:
        return f'<p class="bx-none">{escape(words["table.empty"])}</p>'
    body = "".join(
        f'<tr><td>d{number}</td><th scope="row">{_named(label_space[det.finding])}</th>'
        f"<td>{_score(det.score)}</td><td>{', '.join(f'{value:.0f}' for value in det.box.xyxy)}</td></tr>"
        for number, det in enumerate(reading.detections, start=1)
    )
    head = _heads(("box", "finding", "box_score", "place"), words)
    return (
        f'<table class="bx-boxes"><caption>{escape(words["table.boxes"])}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def refusal_html(reading: Reading, words: Texts = ENGLISH) -> str:
    """Code and reason of a reading that gives no result.

    The reason, with its numbers, is English. In another language the meaning of the code comes first.
    """
    code = reading.code or "internal.error"
    english = CODES[code].meaning if code in CODES else ""
    meaning = words.get(f"refusal.{code}", english)
    reason = reading.reason or english
    translated = meaning != english
    first, second = (meaning, reason) if translated else (reason, "" if meaning == reason else meaning)
    tongue = ' lang="en"' if translated else ""
    explained = f'<p class="bx-quiet"{tongue}>{escape(second)}</p>' if second else ""
    title = words["refused.title" if reading.status is Outcome.REFUSED else "refused.failed"]
    return (
        f'<div class="bx-refusal" role="alert"><p class="bx-title">{escape(title)}: <code>{escape(code)}</code></p>'
        f"<p>{escape(first)}</p>{explained}<p>{escape(words['refused.silence'])}</p></div>"
    )


def silence_html(reading: Reading, label_space: LabelSpace, words: Texts = ENGLISH) -> str:
    """Which findings a model was never trained to answer, as one line per model."""
    lines = [
        words["table.silence"].format(
            model=words.get(f"role.{role}", role),
            findings=", ".join(label_space[key].display for key in keys if key in label_space),
        )
        for role, keys in reading.not_assessed.items()
        if keys
    ]
    return "".join(f'<p class="bx-silence">{escape(line)}</p>' for line in lines)


def models_html(reading: Reading, words: Texts = ENGLISH) -> str:
    """Which weights spoke."""
    names = [
        f"{escape(words.get(f'role.{role}', role))} {escape(model.name)} {escape(model.version)} "
        f"(<code>{escape(model.sha256[:12])}</code>)"
        for role, model in reading.models.items()
    ]
    notes = [f'<span lang="en">{escape(note)}</span>' for note in reading.notes]
    return f'<p class="bx-quiet">{"; ".join([*names, *notes])}</p>' if names or notes else ""


def source_url() -> str:
    """Where the source code is, as the installed package's metadata says (AGPL-3.0, section 13)."""
    urls = dict(entry.split(", ", 1) for entry in metadata("boxray").get_all("Project-URL") or [])
    return str(urls.get("Source", ""))


def picture_name(number: int) -> str:
    """Of the file of an item's picture: ``001.png`` and so on."""
    return f"{number:03d}.png"


def write_page(
    folder: Path,
    items: Sequence[Item],
    label_space: LabelSpace,
    *,
    title: str = "boxray",
    source: str | None = None,
) -> Path:
    """Write ``index.html`` and one PNG per item into a folder.

    Args:
        folder: Made where it is not there yet; pictures are called as `picture_name` says.
        items: In the order of the page.
        label_space: The findings of all items.
        title: Of the page.
        source: Link to the source code; None: the installed package's.

    Returns:
        The path of ``index.html``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sections = []
    for number, item in enumerate(items, start=1):
        name = picture_name(number)
        (folder / name).write_bytes(encode_png(item.picture))
        sections.append(_section(number, name, item, label_space))
    n_results = sum(item.reading.status is Outcome.RESULT for item in items)
    page = folder / PAGE
    page.write_text(
        _PAGE.substitute(
            title=escape(title),
            style=STYLE,
            disclaimer=escape(DISCLAIMER),
            summary=f"{len(items)} in all: {n_results} read, {len(items) - n_results} refused or failed.",
            sections="\n".join(sections),
            source=escape(source_url() if source is None else source),
        ),
        encoding="utf-8",
    )
    return page


def _section(number: int, picture: str, item: Item, label_space: LabelSpace) -> str:
    reading = item.reading
    height, width = item.picture.shape[:2]
    image = (
        f'<a class="film" href="{picture}"><img src="{picture}" width="{width}" height="{height}" loading="lazy" '
        f'alt="Radiograph {number}: {_alt(reading, label_space)}"></a>'
    )
    heading = f"<h2>{number}. {escape(reading.file)}</h2>"
    if reading.status is not Outcome.RESULT:
        return f"<section>{heading}{refusal_html(reading)}</section>"
    tables = findings_table(rows_of(reading, label_space)) + boxes_table(reading, label_space)
    below = silence_html(reading, label_space) + models_html(reading)
    return f"<section>{heading}{image}{tables}{below}</section>"


def _alt(reading: Reading, label_space: LabelSpace) -> str:
    said = [f"{label_space[det.finding].display} {det.score:.2f}" for det in reading.detections]
    return escape(("boxes: " + ", ".join(said)) if said else "no box")


def _named(finding: Finding) -> str:
    red, green, blue = on_film(finding.colour)
    swatch = f'<span class="bx-swatch" style="background:rgb({red},{green},{blue})"></span>'
    return swatch + escape(finding.display)


def _heads(keys: Sequence[str], words: Texts) -> str:
    return "".join(f'<th scope="col">{escape(words[f"table.{key}"])}</th>' for key in keys)


def _table_row(row: Row, words: Texts) -> str:
    cells = (
        ("detector", ' class="bx-state"', _detector_cell(row, words)),
        ("best", "", _best_cell(row, words)),
        ("score", ' class="bx-quiet"' if row.score is None else "", _score_cell(row, words)),
        ("agreement", ' class="bx-quiet"' if row.agreement is None else "", escape(row.agreement_words)),
    )
    said = "".join(
        f'<td data-label="{escape(words[f"table.{key}"])}"{kind}>{content}</td>' for key, kind, content in cells
    )
    kind = row.state.replace(" ", "-")
    return f'<tr class="bx-{kind}"><th scope="row">{_named(row.finding)}</th>{said}</tr>'


def _detector_cell(row: Row, words: Texts) -> str:
    return escape(words[f"table.{row.state.replace(' ', '_')}"].format(n=row.n_boxes))


def _best_cell(row: Row, words: Texts) -> str:
    if row.state == "not assessed":
        said = words["table.not_assessed"]
    elif row.best is None:
        said = words["table.none"]
    elif row.state == "boxed" or row.threshold is None:
        return _score(row.best)
    else:
        score, threshold = told_apart(row.best, row.threshold)
        said = words["table.below"].format(score=score, threshold=threshold)
    return f'<span class="bx-quiet">{escape(said)}</span>'


def _score(value: float) -> str:
    """Two digits, three where two would say little: a weak finding is probable in a few boxes of a hundred."""
    return f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def told_apart(score: float, threshold: float) -> tuple[str, str]:
    """A score and its threshold as they are written side by side: with more digits where both would look the same.

    >>> told_apart(0.031, 0.033), told_apart(0.252, 0.25)
    (('0.031', '0.033'), ('0.252', '0.250'))
    """
    said = _score(score), _score(threshold)
    for digits in range(3, _MOST_DIGITS + 1):
        if score == threshold or float(said[0]) != float(said[1]):
            break
        said = f"{score:.{digits}f}", f"{threshold:.{digits}f}"
    return said


def _score_cell(row: Row, words: Texts) -> str:
    if row.score is None:
        return escape(words["table.not_assessed"])
    mark, said, score = "", "", _score(row.score)
    if row.score_threshold is not None:
        mark = f'<i style="left:{100 * row.score_threshold:.0f}%"></i>'
        side = "&ge;" if row.score >= row.score_threshold else "&lt;"
        score, threshold = told_apart(row.score, row.score_threshold)
        said = f'<span class="bx-quiet">{side} {threshold}</span>'
    bar = f'<span class="bx-bar" aria-hidden="true"><b style="width:{100 * row.score:.0f}%"></b>{mark}</span>'
    return f'<span class="bx-score">{score}</span>{bar}{said}'


STYLE: Final = """
.bx-findings, .bx-boxes { border-collapse: collapse; width: 100%; margin: 12px 0; font-size: 15px;
  color: #ececec; font-variant-numeric: tabular-nums; background: #161616; }
.bx-findings caption, .bx-boxes caption { text-align: left; font-weight: 600; padding: 6px 0;
  color: #ececec; }
.bx-findings th, .bx-findings td, .bx-boxes th, .bx-boxes td { text-align: left; padding: 7px 10px;
  vertical-align: top; border: 0; border-bottom: 1px solid #333; font-weight: 400; color: #ececec; }
.bx-findings thead th, .bx-boxes thead th { color: #b0b0b0; font-size: 13px; }
.bx-boxed .bx-state { font-weight: 700; }
.bx-no-box .bx-state { color: #cfcfcf; }
.bx-not-assessed .bx-state { color: #b0b0b0; font-style: italic; }
.bx-quiet, .bx-findings td.bx-quiet { color: #b0b0b0; }
.bx-swatch { display: inline-block; width: 11px; height: 11px; margin-right: 8px; border-radius: 2px; }
.bx-score { display: inline-block; min-width: 2.1em; margin-right: .5em; }
.bx-bar { display: inline-block; position: relative; width: 110px; height: 9px; margin-right: 9px;
  background: #303030; border-radius: 2px; }
.bx-bar b { display: block; height: 100%; background: #8fb7d9; border-radius: 2px; }
.bx-bar i { position: absolute; top: -3px; width: 2px; height: 15px; background: #fff; }
.bx-refusal { border-left: 6px solid #ffc400; background: #2a2410; padding: 12px 16px; margin: 12px 0;
  color: #ececec; }
.bx-refusal p { margin: 4px 0; color: #ececec; }
.bx-refusal .bx-title { font-size: 20px; font-weight: 700; color: #ffc400; }
.bx-refusal .bx-quiet { color: #b0b0b0; }
.bx-refusal code { color: inherit; background: none; font-size: inherit; }
.bx-silence, .bx-none { color: #ececec; margin: 8px 0; }
@media (max-width: 640px) {
  .bx-findings thead { position: absolute; left: -9999px; }
  .bx-findings tr { display: block; border-bottom: 1px solid #555; padding: 8px 0; }
  .bx-findings th, .bx-findings td { display: block; border: 0; padding: 2px 4px; }
  .bx-findings tbody th { font-weight: 600; font-size: 16px; }
  .bx-findings td::before { content: attr(data-label) ": "; color: #b0b0b0; }
  .bx-boxes { font-size: 13px; } .bx-boxes th, .bx-boxes td { padding: 6px 4px; }
}
"""
"""The look of the tables, for the page and the app alike; every class begins with ``bx-``."""

_PAGE: Final = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src 'self' file:; style-src 'unsafe-inline'; base-uri 'none';
 form-action 'none'">
<meta name="referrer" content="no-referrer">
<title>$title</title>
<style>
html { background: #111; color: #ececec; font: 16px/1.45 system-ui, sans-serif; }
body { max-width: 1500px; margin: 0 auto; padding: 0 16px 40px; }
h1 { font-size: 24px; } h2 { font-size: 19px; overflow-wrap: anywhere; }
img { max-width: 100%; height: auto; background: #111; }
.film { display: block; overflow-x: auto; }
@media (max-width: 640px) { .film img { max-width: none; width: 275vw; } }
section { border-top: 1px solid #333; padding-top: 6px; margin-top: 30px; }
a { color: #8fb7d9; }
.banner { position: sticky; top: 0; z-index: 1; margin: 0 -16px; padding: 9px 16px; background: #ffc400;
  color: #111; font-weight: 700; }
$style
</style>
</head>
<body>
<p class="banner" role="note">$disclaimer</p>
<main>
<h1>$title</h1>
<p>$summary Boxes are a detector's suggestions; the map shows where the classifier's score came from and is
neither an outline nor a probability. "Not assessed" is never "absent". Click a picture for its full size.</p>
$sections
</main>
<footer><p>$disclaimer Free software under AGPL-3.0-or-later:
<a href="$source" rel="noreferrer">source code</a>.</p></footer>
</body>
</html>
""")
