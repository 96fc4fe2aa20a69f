"""What was read, for as long as somebody may ask for it: in memory, bounded, under ids that nobody can guess."""

import logging
import secrets
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from threading import Lock
from time import monotonic
from typing import Final

import cv2
import numpy as np

from boxray.core.errors import ModelError, Outcome
from boxray.core.reading import Reading, SaliencyMap
from boxray.imaging.draw import Film, film_of
from boxray.localization.overlay import strongest
from boxray.serve.faults import place_of
from boxray.serve.service import Answer, Service

_LOG: Final = logging.getLogger("boxray.serve")
_MAP_SIDE_PX: Final = 256
"""Longer side of a kept map. A classifier's own grid has some 20 cells a side; between them is interpolation."""
_ID_BYTES: Final = 16  # 128 bits: not to be guessed


@dataclass(frozen=True, slots=True)
class Kept:
    """A reading and what its pictures need; the radiograph itself is let go."""

    reading: Reading
    film: Film | None
    """None where there is no result."""
    full: float
    """The raw map value of full colour."""

    @classmethod
    def of(cls, answer: Answer) -> "Kept":
        """Film as large as pictures show it, maps smaller."""
        rad, reading = answer.radiograph, answer.reading
        if rad is None or reading.status is not Outcome.RESULT:
            return cls(reading, None, 0.0)
        small = tuple(smaller(saliency) for saliency in reading.maps)
        return cls(replace(reading, maps=small, lungs=None), film_of(rad.pixels), strongest(reading))

    @property
    def n_bytes(self) -> int:
        """Of its pixels."""
        maps = sum(saliency.values.nbytes for saliency in self.reading.maps)
        return maps + (0 if self.film is None else self.film.grey.nbytes)


@dataclass(slots=True)
class _Entry:
    future: Future[Answer] | None
    kept: Kept | None
    ends_at: float


class Readings:
    """Readings by id, the oldest first. May be used from several threads.

    Who knows an id may see its reading, and nobody can list them: that is how users are kept apart.

    Args:
        service: Reads.
        keep_s: How long a reading stays after it was made.
        most: How many stay; the oldest goes first.
        most_bytes: How many bytes their pixels may hold.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        service: Service,
        *,
        keep_s: float = 900.0,
        most: int = 512,
        most_bytes: int = 256 * 2**20,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._service = service
        self._keep_s = keep_s
        self._most = most
        self._most_bytes = most_bytes
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._lock = Lock()

    @property
    def gauges(self) -> dict[str, float]:
        """How much is kept now, for `Metrics.text`."""
        with self._lock:
            kept = [entry.kept for entry in self._entries.values() if entry.kept is not None]
        return {"boxray_kept": len(kept), "boxray_kept_bytes": sum(each.n_bytes for each in kept)}

    def begin(self, data: bytes, name: str, min_score: float | None) -> tuple[str, Future[Reading]]:
        """Have something read: its id, and what the reading will come through; `drop` is the way to cancel it.

        The reading that comes is the kept one: of a form with many files no radiograph waits for the last.

        Raises:
            ModelError: ``service.busy`` or ``service.draining``.
        """
        future = self._service.submit(data, name, min_score)
        reading_id = secrets.token_urlsafe(_ID_BYTES)
        with self._lock:
            # It may wait as long as a request has, and is then kept.
            ends_at = self._clock() + self._service.deadline_s + self._keep_s
            self._entries[reading_id] = _Entry(future, None, ends_at)
        told: Future[Reading] = Future()
        future.add_done_callback(partial(self._settle, reading_id, told))
        return reading_id, told

    def find(self, reading_id: str) -> Kept | None:
        """What is kept under the id; None while it is being read.

        Raises:
            KeyError: If there is nothing, or not any more.
        """
        self.forget_the_old()
        with self._lock:
            return self._entries[reading_id].kept

    def drop(self, reading_id: str) -> None:
        """Forget it; if it waits, it is not read.

        Raises:
            KeyError: If there is nothing, or not any more.
        """
        with self._lock:
            entry = self._entries.pop(reading_id)
        if entry.future is not None:
            entry.future.cancel()

    def forget_the_old(self) -> None:
        """Drop what has expired; to be called now and then, as nobody may ask for a long time."""
        now = self._clock()
        with self._lock:
            old = [reading_id for reading_id, entry in self._entries.items() if entry.ends_at <= now]
            for reading_id in old:
                del self._entries[reading_id]

    def _settle(self, reading_id: str, told: Future[Reading], future: Future[Answer]) -> None:
        if future.cancelled():
            told.cancel()
            return
        kept = _kept(future)
        with self._lock:
            if self._entries.pop(reading_id, None) is not None:  # else it was dropped meanwhile
                self._entries[reading_id] = _Entry(None, kept, self._clock() + self._keep_s)  # now it is the newest
                self._make_room(reading_id)
        if told.set_running_or_notify_cancel():
            told.set_result(kept.reading)

    def _make_room(self, newest: str) -> None:
        settled = {key: entry.kept for key, entry in self._entries.items() if entry.kept is not None}
        n_bytes = sum(kept.n_bytes for kept in settled.values())
        for n_more, (key, kept) in zip(range(len(settled), 0, -1), settled.items(), strict=True):
            if key == newest or (n_more <= self._most and n_bytes <= self._most_bytes):
                return
            n_bytes -= kept.n_bytes
            del self._entries[key]


def _kept(future: Future[Answer]) -> Kept:
    try:
        return Kept.of(future.result())
    except Exception as error:  # noqa: BLE001 - such as MemoryError: whoever asks later has to be told something
        _LOG.error("fault type=%s at=%s", type(error).__name__, place_of(error))
        fault = ModelError("a fault of ours; the log has it")
        return Kept(Reading.not_answered("", fault), None, 0.0)


def smaller(saliency: SaliencyMap) -> SaliencyMap:
    """The map on a smaller grid, its peak as high as before: what a picture says of it stays true."""
    values = saliency.values
    ratio = _MAP_SIDE_PX / max(values.shape)
    if ratio >= 1:
        return saliency
    height, width = values.shape
    size_wh = max(1, round(width * ratio)), max(1, round(height * ratio))
    # Between the cells lies interpolation already, so points of it will do: an area's mean takes 30 times as long.
    small = np.asarray(cv2.resize(values, size_wh, interpolation=cv2.INTER_LINEAR), dtype=np.float32)
    peak = float(small.max())
    return SaliencyMap(saliency.finding, small * np.float32(values.max() / peak) if peak > 0 else small)
