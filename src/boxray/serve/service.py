"""The service behind every door: bytes in, a radiograph and its reading out.

Doors differ in what they show; what is read, how, who waits for it and what is written to the log is decided here,
once. There is one waiting line and one reader for all of them:

door ──bytes──> line ──thread──> decode (in a child process) ──lane──> models ──> answer
                full: busy        the next one is decoded while the models work on this one

Who comes alone has all cores; while others wait, each core works on a radiograph of its own (docs/decisions/0014).
"""

import hashlib
import hmac
import logging
import secrets
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from threading import BoundedSemaphore
from time import monotonic
from typing import Final, Protocol

from boxray.core.errors import InputError, ModelError, Outcome
from boxray.core.findings import LabelSpace
from boxray.core.radiograph import Radiograph
from boxray.core.reading import ModelIdentity, Reading
from boxray.engines import EngineName
from boxray.imaging.children import decoding_children
from boxray.imaging.read import read_radiograph
from boxray.localization.reader import released_reader
from boxray.serve.faults import place_of
from boxray.serve.line import Line
from boxray.serve.metrics import Metrics

_LOG: Final = logging.getLogger("boxray.serve")
_FAULTS_IN_A_ROW: Final = 3
"""From so many on the service calls itself not ready: something other than the files is broken."""


Admitted = Callable[[Radiograph], None]
"""Told of a radiograph that may be read, before the models see it."""


class ReadsRadiographs(Protocol):
    """What the service needs of `boxray.localization.reader.Reader`."""

    @property
    def label_space(self) -> LabelSpace: ...
    @property
    def lanes(self) -> int: ...
    @property
    def models(self) -> Mapping[str, ModelIdentity]: ...
    @property
    def not_assessed(self) -> Mapping[str, tuple[str, ...]]: ...
    def read_radiograph(
        self, rad: Radiograph, name: str, *, min_score: float | None = None, admitted: Admitted | None = None
    ) -> Reading: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request gets. The radiograph is None where the bytes could not be decoded."""

    radiograph: Radiograph | None
    reading: Reading


@dataclass(frozen=True, slots=True)
class Capacity:
    """How much may be asked for at one time."""

    places: int = 32
    """Radiographs that wait beside those in work."""
    waiting_bytes: int = 512 * 2**20
    deadline_s: float = 60.0
    """From joining the line to the answer."""


@dataclass(frozen=True, slots=True)
class _Request:
    data: bytes
    name: str
    min_score: float | None
    admitted: Admitted | None = None
    asked_at: float = field(default_factory=monotonic)


class Service:
    """One reader for all doors. May be called from several threads; each lane works on one request at a time.

    Args:
        reader: The two models.
        rush: The same models, made for many radiographs at once: they read whenever more than one is in the house.
            None: `reader` reads them all.
        decode: Bytes to radiograph; raises `InputError`. None: `read_radiograph`, one child process for each lane.
        log_key: Of the opaque ids in the log; by default a new one per process, so that nobody who sees two
            logs can tell that the same file was read twice.
        capacity: How much may wait, and how long.
    """

    def __init__(
        self,
        reader: ReadsRadiographs,
        *,
        rush: ReadsRadiographs | None = None,
        decode: Callable[[bytes], Radiograph] | None = None,
        log_key: bytes | None = None,
        capacity: Capacity = Capacity(),
    ) -> None:
        self._reader = reader
        self._rush = rush or reader
        lanes = self._rush.lanes
        self._decode = decode or _decoder(lanes)
        self._log_key = secrets.token_bytes(32) if log_key is None else log_key
        self._capacity = capacity
        self._lanes = BoundedSemaphore(lanes)
        # One thread more than lanes: it decodes the next radiograph while the models work.
        self._line: Line[Answer] = Line(threads=lanes + 1, places=capacity.places, n_bytes=capacity.waiting_bytes)
        self._n_faults = 0
        self.metrics = Metrics()

    @property
    def label_space(self) -> LabelSpace:
        """Of the reader."""
        return self._reader.label_space

    @property
    def models(self) -> Mapping[str, ModelIdentity]:
        """Of the reader: role -> who speaks."""
        return self._reader.models

    @property
    def not_assessed(self) -> Mapping[str, tuple[str, ...]]:
        """Of the reader: role -> findings that its model was never trained to answer."""
        return self._reader.not_assessed

    @property
    def deadline_s(self) -> float:
        """How long a request has."""
        return self._capacity.deadline_s

    @property
    def retry_after_s(self) -> int:
        """When somebody who was told that the service is busy should ask again."""
        return self._line.advice_s

    @property
    def ready(self) -> bool:
        """Whether requests should be sent here: it is not being stopped, and the last ones did not all fail."""
        return not self._line.closed and self._n_faults < _FAULTS_IN_A_ROW

    @property
    def draining(self) -> bool:
        """Whether it takes nothing new."""
        return self._line.closed

    @property
    def gauges(self) -> dict[str, float]:
        """How full it is now, for `Metrics.text`."""
        return {
            "boxray_waiting": self._line.n_waiting,
            "boxray_at_work": self._line.n_at_work,
            "boxray_ready": self.ready,
        }

    def require_room(self) -> None:
        """Nothing if one more could join; asked before a body is received.

        Raises:
            ModelError: ``service.busy`` or ``service.draining``.
        """
        with self._turning_away():
            self._line.require_room()

    def submit(
        self, data: bytes, name: str, min_score: float | None = None, *, admitted: Admitted | None = None
    ) -> Future[Answer]:
        """Join the line. The answer says what went wrong; the future raises nothing but its cancellation.

        Cancel the future when nobody waits any more: then the models never see the radiograph, unless they do already.

        Args:
            data: A DICOM file, or a PNG or JPEG picture, told apart by content.
            name: As the caller calls it. It stands in the reading and nowhere else: not in the log.
            min_score: One threshold for all boxes; None: the stored operating points.
            admitted: Called with the radiograph as soon as it is decoded and the scope gate has let it through, and
                before the answer; never for what is refused. The models wait for it, so it should only pass it on.

        Raises:
            ModelError: ``service.busy`` or ``service.draining``; nothing was taken.
        """
        with self._turning_away():
            return self._line.join(partial(self._answer, _Request(data, name, min_score, admitted)), len(data))

    def read(self, data: bytes, name: str, min_score: float | None = None) -> Answer:
        """Join the line and wait for the answer; never raises, also where there is no room.

        Args:
            data: As for `submit`.
            name: As for `submit`.
            min_score: As for `submit`.
        """
        try:
            future = self.submit(data, name, min_score)
        except ModelError as error:
            return Answer(None, Reading.not_answered(name, error))
        try:
            return future.result(self.deadline_s)
        except TimeoutError:
            future.cancel()
            return Answer(None, Reading.not_answered(name, self.too_late()))

    def too_late(self) -> ModelError:
        """What to say when the deadline has passed."""
        return ModelError(f"not read within {self.deadline_s:g} s; send it again later", "service.deadline")

    def drain(self) -> None:
        """Take nothing new; what has joined is still answered."""
        self._line.close()

    def wait_until_idle(self, timeout_s: float) -> bool:
        """Whether all that had joined was answered within that time."""
        return self._line.wait_until_empty(timeout_s)

    def opaque_id(self, data: bytes) -> str:
        """What the log calls a file: the same for the same bytes, of no use without the key."""
        return hmac.new(self._log_key, data, hashlib.sha256).hexdigest()[:16]

    @contextmanager
    def _turning_away(self) -> Iterator[None]:
        try:
            yield
        except ModelError as error:
            self.metrics.count("boxray_readings_total", status=error.code.outcome.value, code=error.code.name)
            raise

    def _answer(self, request: _Request, future: Future[Answer]) -> Answer:
        answer = self._read(request, future)
        if future.cancelled():
            self.metrics.count("boxray_dropped_total")
            return answer
        seconds, reading = monotonic() - request.asked_at, answer.reading
        self.metrics.count("boxray_readings_total", status=reading.status.value, code=reading.code or "")
        self.metrics.took(seconds)
        if reading.status is not Outcome.FAILED:
            self._n_faults = 0
        elif reading.code != "service.deadline":  # a rush is no fault
            self._n_faults += 1
        _LOG.info(
            "read id=%s bytes=%d status=%s code=%s boxes=%d seconds=%.2f",
            self.opaque_id(request.data),
            len(request.data),
            reading.status.value,
            reading.code,
            len(reading.detections),
            seconds,
        )
        return answer

    def _read(self, request: _Request, future: Future[Answer]) -> Answer:
        rad = None
        try:
            self._require_time(request)
            rad = self._decode(request.data)
            with self._lanes:
                self._require_time(request)
                if not future.set_running_or_notify_cancel():  # from here on it cannot be cancelled
                    return Answer(rad, Reading.not_answered(request.name, ModelError("nobody waits any more")))
                reader = self._rush if self._line.n_in_the_house > 1 else self._reader
                reading = reader.read_radiograph(
                    rad, request.name, min_score=request.min_score, admitted=request.admitted
                )
                return Answer(rad, reading)
        except (InputError, ModelError) as error:
            return Answer(rad, Reading.not_answered(request.name, error))
        except MemoryError as error:
            self._log_fault(request.data, error)
            full = ModelError("this machine ran out of memory; send it again later", "service.out_of_memory")
            return Answer(None, Reading.not_answered(request.name, full))
        except Exception as error:  # noqa: BLE001 - the doors must stay open; what happened is logged
            self._log_fault(request.data, error)
            fault = ModelError("a fault of ours; the log has it")
            return Answer(rad, Reading.not_answered(request.name, fault))

    def _require_time(self, request: _Request) -> None:
        if monotonic() - request.asked_at > self.deadline_s:
            raise self.too_late()

    def _log_fault(self, data: bytes, error: BaseException) -> None:
        _LOG.error("fault id=%s type=%s at=%s", self.opaque_id(data), type(error).__name__, place_of(error))


def released_service(
    engine: EngineName = "openvino", *, detector: str | None = None, classifier: str | None = None
) -> Service:
    """A service of the weights that the project releases; the arguments are those of `released_reader`."""
    alone, rush = (
        released_reader(engine, many=many, detector=detector, classifier=classifier) for many in (False, True)
    )
    return Service(alone, rush=rush)


def _decoder(lanes: int) -> Callable[[bytes], Radiograph]:
    return read_radiograph if lanes == 1 else partial(read_radiograph, children=decoding_children())
