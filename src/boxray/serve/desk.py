"""The desk: what happens when somebody opens a radiograph, moves the threshold or picks a map.

Values of the page come in and values of the page go out, so what a control does can be read, and called, without
Gradio. A radiograph is read once; the controls only choose what of it is shown.
"""

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any, Final

from boxray.core.errors import Outcome
from boxray.core.findings import LabelSpace
from boxray.core.reading import Reading
from boxray.imaging.draw import Film, encode_png, film_of
from boxray.localization.overlay import leading_finding, overlay
from boxray.localization.page import boxes_table, findings_table, models_html, refusal_html, rows_of, silence_html
from boxray.serve.service import Answer, Service
from boxray.serve.viewer import data_uri, viewer_html

LOWEST_SCORE: Final = 0.01
"""To which the slider goes."""

EVERYTHING: Final = 0.0
"""With which every radiograph is read once: a stored operating point may lie lower than the slider goes. What came out
is then filtered."""

STORED: Final = "stored"
"""The control's value for the stored operating points, one per finding."""

ONE: Final = "one"
"""The control's value for one threshold for all, which the slider gives."""

WELCOME: Final = (
    '<p class="bx-file" aria-live="polite">Open a frontal chest radiograph, or take an example. '
    "It is read on this machine and sent nowhere.</p>"
)
"""The status while nothing is open."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The radiograph that one reader looks at: all boxes that the slider may show."""

    answer: Answer
    film: Film
    film_uri: str


@dataclass(frozen=True, slots=True)
class View:
    """What the controls say."""

    min_score: float | None
    finding: str | None

    @classmethod
    def of(cls, thresholds: str, min_score: float, finding: str | None = None) -> "View":
        """From the values of the controls, in the page's order."""
        return cls(None if thresholds == STORED else min_score, finding)


class Desk:
    """What happens when somebody touches a control: values of the page in, values of the page out.

    It remembers nothing; what is open is handed in and out as `Opened`. `shown` in the docstrings is:
    status, result, viewer, tables, picture, record.
    """

    def __init__(self, service: Service, update: Callable[..., Any]) -> None:
        self._service = service
        self._update = update

    def open_upload(self, path: str, thresholds: str, min_score: float) -> list[Any]:
        """Read what was uploaded and delete it: empty upload, opened, finding, *shown."""
        file = Path(path)
        data = file.read_bytes()
        file.unlink(missing_ok=True)
        return [None, *self._open(data, file.name, View.of(thresholds, min_score))]

    def open_example(self, path: Path, thresholds: str, min_score: float) -> list[Any]:
        """Read an example as if it had been uploaded: opened, finding, *shown."""
        return self._open(path.read_bytes(), path.name, View.of(thresholds, min_score))

    def show(self, opened: Opened | None, thresholds: str, min_score: float, finding: str | None) -> list[Any]:
        """Show what is open as the controls say: *shown."""
        return self._shown(opened, View.of(thresholds, min_score, finding))

    def move_slider(self, opened: Opened | None, min_score: float, finding: str | None) -> list[Any]:
        """Whoever moves the slider wants one threshold for all: thresholds, *shown."""
        return [ONE, *self._shown(opened, View(min_score, finding))]

    def show_map(self, *controls: Any) -> list[Any]:
        """Another finding's map changes nothing else: viewer, picture."""
        _, _, viewer, _, picture, _ = self.show(*controls)
        return [viewer, picture]

    def make_picture(self, opened: Opened | None, thresholds: str, min_score: float, finding: str | None) -> Any:
        """The overlay as a file for the download button."""
        if opened is None:
            return self._off()
        reading = self._reading(opened, View.of(thresholds, min_score))
        drawn = overlay(opened.answer.radiograph, reading, self._service.label_space, finding)
        return self._update(value=_file("boxray-overlay.png", encode_png(drawn)), interactive=True)

    def _open(self, data: bytes, name: str, view: View) -> list[Any]:
        answer = self._service.read(data, name, EVERYTHING)
        if answer.radiograph is None or answer.reading.status is not Outcome.RESULT:
            return [None, self._update(), *self._refused(answer.reading)]
        film = film_of(answer.radiograph.pixels)
        opened = Opened(answer, film, data_uri(film.grey))
        finding = leading_finding(self._reading(opened, view))
        return [opened, self._update(value=finding), *self._shown(opened, replace(view, finding=finding))]

    def _reading(self, opened: Opened, view: View) -> Reading:
        return self._service.rethreshold(opened.answer, view.min_score).reading

    def _shown(self, opened: Opened | None, view: View) -> list[Any]:
        if opened is None:
            return [WELCOME, self._update(visible=False), "", "", self._off(), self._off()]
        reading, label_space = self._reading(opened, view), self._service.label_space
        return [
            _status(reading, opened.film),
            self._update(visible=True),
            viewer_html(opened.film, reading, label_space, view.finding, film_id=id(opened), film_uri=opened.film_uri),
            _tables(opened, reading, label_space),
            self._update(interactive=False),  # until the new one is drawn
            self._update(value=_json_file(reading), interactive=True),
        ]

    def _refused(self, reading: Reading) -> list[Any]:
        record = self._update(value=_json_file(reading), interactive=True)
        said = _file_line(reading, "") + refusal_html(reading)
        return [said, self._update(visible=False), "", "", self._off(), record]

    def _off(self) -> Any:
        return self._update(value=None, interactive=False)


def _status(reading: Reading, film: Film) -> str:
    n_boxes = len(reading.detections)
    said = f"{n_boxes} box{'' if n_boxes == 1 else 'es'}"
    return _file_line(reading, f"{escape(film.caption)}, {said}")


def _file_line(reading: Reading, said: str) -> str:
    return f'<p class="bx-file" aria-live="polite"><b>{escape(reading.file)}</b> {said}</p>'


def _tables(opened: Opened, reading: Reading, label_space: LabelSpace) -> str:
    rows = rows_of(reading, label_space, opened.answer.reading)
    tables = findings_table(rows) + boxes_table(reading, label_space)
    return silence_html(reading, label_space) + tables + models_html(reading)


def _json_file(reading: Reading) -> str:
    return _file("boxray-reading.json", (json.dumps(reading.to_json(), indent=1) + "\n").encode())


def _file(name: str, data: bytes) -> str:
    """A file for one download, in a folder of its own that goes with Gradio's cache."""
    folder = Path(tempfile.mkdtemp(dir=os.environ.get("GRADIO_TEMP_DIR")))
    (folder / name).write_bytes(data)
    return str(folder / name)
