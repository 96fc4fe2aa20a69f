"""The desk: what happens when somebody brings files, opens one, speaks of its boxes or saves what is seen.

No HTTP and no HTML here: `desk_door` gives this to the page, `viewer` shows it. Boxes down to `LOWEST_SCORE` go to the
browser once; moving the threshold there asks nobody.
"""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from boxray.core.boxes import Box
from boxray.core.edits import edits_from_json
from boxray.core.errors import DataError, InputError, ModelError, Outcome
from boxray.core.radiograph import Radiograph
from boxray.core.reading import Agreement, Detection, Reading
from boxray.data.archive import Limits, unpacked
from boxray.imaging.draw import film_of
from boxray.imaging.sniff import is_of_the_system
from boxray.localization.agreement import agree_by_boxes
from boxray.localization.overlay import leading_finding, map_of, strongest
from boxray.serve.cases import Case, Cases, Seen, Shown
from boxray.serve.dicom import can_write, header_of
from boxray.serve.downloads import (
    Download,
    map_file,
    overlay_file,
    presentation_file,
    reading_file,
    report_file,
    table_file,
)
from boxray.serve.packing import packed_maps, packed_pixels
from boxray.serve.problems import Problem
from boxray.serve.rest.kept import smaller
from boxray.serve.service import Answer, Service

LOWEST_SCORE: Final = 0.01
"""To which the slider goes."""

EVERYTHING: Final = 0.0
"""With which every radiograph is read once: a stored operating point may lie lower than the slider goes. What came out
is then filtered."""

ZIP_LIMITS: Final = Limits(members=2000, total_bytes=256 * 2**20)
"""Of an archive that is dropped on the page; as much as one desk holds."""

KINDS: Final = ("overlay", "map", "reading", "report", "presentation")
"""Files that somebody may take away of one case."""

_DICOM_FILES: Final = {"report": report_file, "presentation": presentation_file}
_ZIP: Final = b"PK\x03\x04"
_EMPTY_ZIP: Final = b"PK\x05\x06"


@dataclass(frozen=True, slots=True)
class Opening:
    """A case that is being read while somebody waits to see it: its film comes before what the models say."""

    film: Future[bytes | None]
    """The packed pixels once the scope gate has let it through; None where the answer is that there is no film. Who
    cancels it cancels the reading, unless the models have begun."""
    answer: Future[Answer]


class Desk:
    """What the page can ask for. May be used from several threads.

    Args:
        service: Reads radiographs, for this desk as for all doors.
        examples: Files that are offered.
        cases: Keeps what was brought; None makes one.
    """

    def __init__(self, service: Service, examples: Sequence[Path] = (), cases: Cases | None = None) -> None:
        self.service = service
        self.examples = tuple(examples)
        self.cases = cases or Cases()
        self._packing = ThreadPoolExecutor(1, "boxray-film")

    def take(self, desk: str, name: str, data: bytes) -> list[dict[str, Any]]:
        """Put a file on a desk, or every file of a zip file: id, name and size of each. Nothing is read yet.

        Raises:
            Problem: ``archive.unsafe``; nothing was taken.
        """
        if not data.startswith((_ZIP, _EMPTY_ZIP)):
            return [self._put(desk, name, data)]
        try:
            files = unpacked(data, ZIP_LIMITS)
        except DataError as error:
            raise Problem("archive.unsafe", str(error).removeprefix("archive.unsafe: ")) from None
        return [self._put(desk, path, content) for path, content in files if not is_of_the_system(path.split("/"))]

    def take_example(self, desk: str, number: int) -> list[dict[str, Any]]:
        """Put an example on a desk as if it had been brought.

        Raises:
            Problem: ``request.not_found``.
        """
        if not 0 <= number < len(self.examples):
            raise Problem("request.not_found")
        path = self.examples[number]
        return self.take(desk, path.name, path.read_bytes())

    def case(self, case_id: str) -> Case:
        """What lies under the id.

        Raises:
            Problem: ``request.not_found``.
        """
        try:
            return self.cases.find(case_id)
        except KeyError:
            raise Problem("request.not_found") from None

    def submit(self, case: Case) -> Future[Answer]:
        """Join the service's line; `keep` what comes.

        Raises:
            ModelError: ``service.busy`` or ``service.draining``.
        """
        return self.service.submit(case.data, case.name, EVERYTHING)

    def open(self, case: Case) -> Opening:
        """Join the service's line for somebody who looks at this very case; `keep` what comes.

        Raises:
            ModelError: ``service.busy`` or ``service.draining``.
        """
        film: Future[bytes | None] = Future()

        def pack(rad: Radiograph) -> None:
            if film.set_running_or_notify_cancel():  # from here on it is packed, whoever leaves
                self._packing.submit(_pack, film, rad)

        answer = self.service.submit(case.data, case.name, EVERYTHING, admitted=pack)
        film.add_done_callback(lambda done: done.cancelled() and answer.cancel())
        answer.add_done_callback(lambda _: _there_is_none(film))
        return Opening(film, answer)

    def keep(self, case: Case, answer: Answer, film: bytes | None = None) -> None:
        """Keep what was read, and what is drawn of it.

        Args:
            case: What was read.
            answer: What came.
            film: Its pixels where they are packed already.
        """
        reading = answer.reading
        if answer.radiograph is None or reading.status is not Outcome.RESULT:
            case.seen = Seen(reading, {})
            return
        thresholds = _thresholds(reading, "detector")
        boxes = tuple(
            det for det in reading.detections if det.score >= min(LOWEST_SCORE, thresholds.get(det.finding, 1.0))
        )
        kept = replace(reading, detections=boxes)
        leading = leading_finding(_stored(kept))
        case.seen = Seen(replace(kept, maps=(), lungs=None), _by_boxes(kept), suspicion(kept), leading)
        maps = tuple(smaller(each) for each in reading.maps)
        full = strongest(reading)
        self.cases.show(
            case,
            Shown(
                film or packed_pixels(answer.radiograph.pixels),
                packed_maps(maps, full),
                tuple(each.finding for each in maps),
                (maps[0].values.shape[1], maps[0].values.shape[0]) if maps else (0, 0),
                full,
            ),
        )

    def said(self, case: Case) -> dict[str, Any]:
        """What the page is told of a case that was read.

        Raises:
            Problem: ``request.not_ready``.
        """
        if case.seen is None:
            raise Problem("request.not_ready")
        seen, shown = case.seen, case.shown
        return {
            "reading": seen.reading.to_json(),
            # Not rounded: thresholds are compared with them.
            "scores": [float(det.score) for det in seen.reading.detections],
            "leading": seen.leading,
            "by_boxes": {key: [_measures(each) for each in rows] for key, rows in seen.by_boxes.items()},
            "suspicion": seen.suspicion,
            "map_findings": list(shown.map_findings) if shown else [],
            "map_wh": list(shown.map_wh) if shown else [0, 0],
            "full": shown.full if shown else 0.0,
            "kinds": _kinds(case),
            "annotations": [edit.to_json() for edit in case.edits],
        }

    def shown(self, case: Case) -> Shown:
        """What is drawn of a case; made again from the file where it was let go.

        Raises:
            Problem: If it is no result, or cannot be read now.
        """
        if case.shown is None:
            self.keep(case, self.answer(case, EVERYTHING))
        assert case.shown is not None, "a result was kept"
        return case.shown

    def annotate(self, case: Case, raw: Any) -> None:
        """Keep what a reader said of the boxes, in place of what was said before.

        Raises:
            Problem: ``request.malformed`` with the reason.
        """
        if case.seen is None or case.seen.reading.status is not Outcome.RESULT:
            raise Problem("request.not_ready", "only a radiograph that was read can be annotated")
        try:
            case.edits = edits_from_json(raw, case.seen.reading, self.service.label_space)
        except ValueError as error:
            raise Problem("request.malformed", str(error)) from None

    def file(self, case: Case, kind: str, min_score: float | None, finding: str | None) -> Download:
        """What somebody takes away of a case, as it is read at these thresholds.

        Args:
            case: A result, or for the kind ``reading`` also what gives none.
            kind: Of `KINDS`.
            min_score: One threshold for all boxes; None: the stored ones.
            finding: Whose map, for the pictures; None: the leading one's.

        Raises:
            Problem: If there is no such file of this case, or it cannot be read now.
        """
        if kind == "reading":
            return self._reading_file(case, min_score)
        answer, space = self.answer(case, min_score), self.service.label_space
        assert answer.radiograph is not None, "a result has its radiograph"
        reading, film = answer.reading, film_of(answer.radiograph.pixels)
        if kind == "overlay":
            return overlay_file(film, reading, space, finding)
        shown, header = finding or leading_finding(reading), header_of(case.data)
        if kind == "map" and shown is not None and map_of(reading, shown) is not None:
            return map_file(film, reading, space, shown)
        if kind not in _DICOM_FILES or header is None or not can_write():
            raise Problem("request.not_found", "there is no such file of this radiograph")
        try:
            return _DICOM_FILES[kind](header, reading, space)
        except (InputError, ModelError) as error:
            raise Problem(error.code.name, error.reason) from None

    def table(self, case_ids: Sequence[str], min_score: float | None) -> Download:
        """All these cases that were read as one table; nothing is read for it. What is gone is left out."""
        seen = []
        for case_id in case_ids:
            with suppress(KeyError):
                seen.append(self.cases.find(case_id).seen)
        return table_file([at_threshold(each, min_score) for each in seen if each], self.service.label_space)

    def answer(self, case: Case, min_score: float | None) -> Answer:
        """The case read again: then all that is saved comes from one reading, and nothing large has to be kept.

        Raises:
            Problem: If it is no result, or cannot be read now.
        """
        answer = self.service.read(case.data, case.name, min_score)
        if answer.reading.status is not Outcome.RESULT:
            raise Problem(answer.reading.code or "internal.error", answer.reading.reason)
        return answer

    def _reading_file(self, case: Case, min_score: float | None) -> Download:
        """The reading as `boxray read` would give it, with the reader's annotations; of a refused file, why."""
        reading = self.service.read(case.data, case.name, min_score).reading
        if reading.status is not Outcome.RESULT:
            return reading_file(reading)
        return reading_file(reading, annotations=[edit.to_json() for edit in case.edits])

    def _put(self, desk: str, name: str, data: bytes) -> dict[str, Any]:
        return {"id": self.cases.add(desk, name, data), "name": name, "bytes": len(data)}


def _pack(film: Future[bytes | None], rad: Radiograph) -> None:
    try:
        film.set_result(packed_pixels(rad.pixels))
    except BaseException as error:  # noqa: BLE001 - such as MemoryError; it is the asker's
        film.set_exception(error)


def _there_is_none(film: Future[bytes | None]) -> None:
    """The answer is there: a film that nobody packs does not come any more."""
    if not (film.running() or film.done()) and film.set_running_or_notify_cancel():
        film.set_result(None)


def at_threshold(seen: Seen, min_score: float | None) -> Reading:
    """What was read, with the boxes that reach a threshold, and their agreement with the maps; no model is asked.

    Args:
        seen: What was read, down to the lowest score.
        min_score: One threshold for all; None: the stored ones.
    """
    reading = seen.reading
    if "detector" not in reading.models:
        return reading
    asked = replace(reading, min_score=min_score)
    boxes = tuple(det for det in reading.detections if det.score >= (asked.box_threshold(det.finding) or 0.0))
    counts = Counter(det.finding for det in boxes)
    agreement = tuple(rows[counts[key]] for key, rows in seen.by_boxes.items())
    return replace(asked, detections=boxes, agreement=agreement)


def suspicion(reading: Reading) -> float | None:
    """Where a radiograph stands in the worklist: the highest score of a box over its finding's threshold.

    1 is a box that just reaches its threshold. Where no detector spoke, the classifier's scores over theirs; None where
    nothing was read.
    """
    if reading.status is not Outcome.RESULT:
        return None
    if "detector" in reading.models:
        least = _thresholds(reading, "detector")
        shares = (det.score / max(least.get(det.finding, 1.0), LOWEST_SCORE) for det in reading.detections)
    else:
        least = _thresholds(reading, "classifier")
        shares = (score / max(least.get(key, 0.5), LOWEST_SCORE) for key, score in reading.scores.items())
    return round(float(max(shares, default=0.0)), 4)


def _kinds(case: Case) -> list[str]:
    """Which files there are of a case."""
    if case.shown is None or case.seen is None:
        return ["reading"]
    archived = can_write() and "detector" in case.seen.reading.models and header_of(case.data) is not None
    return ["overlay", *(["map"] if case.shown.map_findings else []), "reading", *(_DICOM_FILES if archived else [])]


def _thresholds(reading: Reading, role: str) -> dict[str, float]:
    return dict(reading.models[role].thresholds) if role in reading.models else {}


def _stored(reading: Reading) -> Reading:
    """Only the boxes that reach their stored operating points; those without one all do."""
    least = _thresholds(reading, "detector")
    return replace(
        reading, detections=tuple(det for det in reading.detections if det.score >= least.get(det.finding, 0.0))
    )


def _by_boxes(reading: Reading) -> dict[str, list[Agreement]]:
    """For findings that both models assess: agreement with the first n boxes, which is that at any threshold."""
    map_from = _thresholds(reading, "classifier")
    there = {each.finding for each in reading.agreement}
    return {
        saliency.finding: agree_by_boxes(
            saliency.finding,
            _boxes(reading.detections, saliency.finding),
            saliency,
            map_speaks=reading.scores[saliency.finding] >= map_from.get(saliency.finding, 0.5),
        )
        for saliency in reading.maps
        if saliency.finding in there
    }


def _boxes(detections: Sequence[Detection], finding: str) -> list[Box]:
    own = [det for det in detections if det.finding == finding]
    return [det.box for det in sorted(own, key=lambda det: -det.score)]


def _measures(row: Agreement) -> dict[str, Any]:
    return {
        "case": row.case.value,
        "pointing_hit": row.pointing_hit,
        "iou": None if row.iou is None else round(row.iou, 4),
        "energy_inside": None if row.energy_inside is None else round(row.energy_inside, 4),
    }
