"""The service behind every door: bytes in, a radiograph and its reading out.

Doors differ in what they show; what is read, how, and what is written to the log is decided here, once.
"""

import hashlib
import hmac
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Lock
from time import perf_counter
from typing import Final, Protocol

from boxray.core.errors import InputError, ModelError, Outcome
from boxray.core.findings import LabelSpace
from boxray.core.protocols import Classified, FixedDetector
from boxray.core.radiograph import Radiograph
from boxray.core.reading import ModelIdentity, Reading
from boxray.imaging.read import read_radiograph
from boxray.localization.reader import Reader

_LOG: Final = logging.getLogger("boxray.serve")


class ReadsRadiographs(Protocol):
    """What the service needs of `boxray.localization.reader.Reader`."""

    @property
    def label_space(self) -> LabelSpace: ...
    def read_radiograph(self, rad: Radiograph, name: str, *, min_score: float | None = None) -> Reading: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request gets. The radiograph is None where the bytes could not be decoded."""

    radiograph: Radiograph | None
    reading: Reading


class Service:
    """One reader for all doors. May be called from several threads; the models work on one request at a time.

    Args:
        reader: The two models.
        decode: Bytes to radiograph; raises `InputError`.
        log_key: Of the opaque ids in the log; by default a new one per process, so that nobody who sees two
            logs can tell that the same file was read twice.
    """

    def __init__(
        self,
        reader: ReadsRadiographs,
        *,
        decode: Callable[[bytes], Radiograph] = read_radiograph,
        log_key: bytes | None = None,
    ) -> None:
        self._reader = reader
        self._decode = decode
        self._log_key = secrets.token_bytes(32) if log_key is None else log_key
        self._models_lock = Lock()

    @property
    def label_space(self) -> LabelSpace:
        """Of the reader."""
        return self._reader.label_space

    def read(self, data: bytes, name: str, min_score: float | None = None) -> Answer:
        """Decode and read; never raises for what is in the bytes.

        Args:
            data: A DICOM file, or a PNG or JPEG picture, told apart by content.
            name: As the caller calls it. It stands in the reading and nowhere else: not in the log.
            min_score: One threshold for all boxes; None: the stored operating points.
        """
        started = perf_counter()
        answer = self._read(data, name, min_score)
        reading = answer.reading
        _LOG.info(
            "read id=%s bytes=%d status=%s code=%s boxes=%d seconds=%.2f",
            self.opaque_id(data),
            len(data),
            reading.status.value,
            reading.code,
            len(reading.detections),
            perf_counter() - started,
        )
        return answer

    def rethreshold(self, answer: Answer, min_score: float | None) -> Answer:
        """The same answer with fewer boxes; no model runs.

        Args:
            answer: A result that was read with a `min_score` below all that will be asked for here.
            min_score: What a box has to reach now; None: the stored operating point of its finding, and
                any score where none is stored.

        Returns:
            Boxes that reach it, and the agreement of these boxes with the maps, found by the very code
            that finds it in a first reading: fakes repeat what the models have said.
        """
        rad, reading = answer.radiograph, answer.reading
        if rad is None or reading.status is not Outcome.RESULT:
            return answer
        detector, classifier = None, None
        if "detector" in reading.models:
            detector = _repeated_detector(reading, self.label_space, min_score)
        if "classifier" in reading.models:
            classifier = _RepeatedClassifier(self.label_space, reading)
        again = Reader(detector, classifier).read_radiograph(rad, reading.file)
        return replace(answer, reading=replace(again, notes=reading.notes))  # whether the scope was checked stays said

    def opaque_id(self, data: bytes) -> str:
        """What the log calls a file: the same for the same bytes, of no use without the key."""
        return hmac.new(self._log_key, data, hashlib.sha256).hexdigest()[:16]

    def _read(self, data: bytes, name: str, min_score: float | None) -> Answer:
        rad = None
        try:
            rad = self._decode(data)
            with self._models_lock:
                return Answer(rad, self._reader.read_radiograph(rad, name, min_score=min_score))
        except (InputError, ModelError) as error:
            return Answer(rad, Reading.not_answered(name, error))
        except Exception as error:  # noqa: BLE001 - the doors must stay open; what happened is logged
            self._log_fault(data, error)
            return Answer(rad, Reading.not_answered(name, ModelError("a fault of ours; the log has it")))

    def _log_fault(self, data: bytes, error: Exception) -> None:
        """Type and place only: the message of a foreign exception may quote the file."""
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        where = "?" if place is None else f"{place.tb_frame.f_globals.get('__name__')}:{place.tb_lineno}"
        _LOG.error("fault id=%s type=%s at=%s", self.opaque_id(data), type(error).__name__, where)


def _repeated_detector(reading: Reading, label_space: LabelSpace, min_score: float | None) -> FixedDetector:
    identity = reading.models["detector"]
    if min_score is not None:
        identity = replace(identity, thresholds=dict.fromkeys(label_space.keys, min_score))
    kept = tuple(det for det in reading.detections if det.score >= identity.thresholds.get(det.finding, 0.0))
    return FixedDetector(label_space, kept, _assessed(reading, "detector", label_space), identity)


@dataclass(frozen=True, slots=True)
class _RepeatedClassifier:
    """Says of any radiograph what was said in one reading."""

    label_space: LabelSpace
    reading: Reading

    @property
    def assessed(self) -> tuple[str, ...]:
        return _assessed(self.reading, "classifier", self.label_space)

    @property
    def identity(self) -> ModelIdentity:
        return self.reading.models["classifier"]

    def classify(self, rad: Radiograph) -> Classified:  # noqa: ARG002 - the protocol's signature
        return Classified(self.reading.scores, self.reading.maps, self.reading.lungs)


def _assessed(reading: Reading, role: str, label_space: LabelSpace) -> tuple[str, ...]:
    silent = reading.not_assessed.get(role, ())
    return tuple(key for key in label_space.keys if key not in silent)
