"""What lies on the desks: files as they came, what was read in them, and what their readers said; all in memory.

A float picture of a film with its maps takes a hundred times what the file took. So the file is kept as it came, and of
the pictures only those that were opened last, packed; whatever is larger is made from the file again when it is asked
for.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from time import monotonic
from typing import Final

from boxray.core.edits import Edit
from boxray.core.reading import Agreement, Reading

_ID_BYTES: Final = 16  # 128 bits: not to be guessed


@dataclass(frozen=True, slots=True)
class Shown:
    """What the browser draws of one radiograph: packed, see `boxray.serve.packing`."""

    pixels: bytes
    maps: bytes
    map_findings: tuple[str, ...]
    map_wh: tuple[int, int]
    full: float
    """The raw map value of full colour."""

    @property
    def n_bytes(self) -> int:
        """Of both."""
        return len(self.pixels) + len(self.maps)


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read in one file: boxes down to the lowest threshold, without maps."""

    reading: Reading
    by_boxes: dict[str, list[Agreement]]
    """Finding -> agreement with its first n boxes, from n = 0."""
    suspicion: float | None = None
    """Where it stands in the worklist; None: it is no result."""
    leading: str | None = None
    """The finding whose map is shown first."""


@dataclass(slots=True)
class Case:
    """One file on a desk."""

    desk: str
    name: str
    data: bytes
    used_at: float
    seen: Seen | None = None
    """None until it was read."""
    shown: Shown | None = None
    """None where it was not opened lately."""
    edits: tuple[Edit, ...] = ()


class Cases:
    """Cases by id. Who knows an id may see its case, and nobody can list them. May be used from several threads.

    A desk is one browser page. One that brings more than a desk holds, or than all together hold, loses what it used
    longest ago: its page then sends that file again, or says that it is gone.

    Args:
        keep_s: How long a case stays after its last use.
        desk_bytes: Of the files of one desk.
        all_bytes: Of the files of all desks.
        desk_cases: How many files lie on one desk.
        shown_bytes: Of all packed pictures.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        *,
        keep_s: float = 1800.0,
        desk_bytes: int = 256 * 2**20,
        all_bytes: int = 1024 * 2**20,
        desk_cases: int = 1000,
        shown_bytes: int = 128 * 2**20,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._keep_s = keep_s
        self._desk_bytes = desk_bytes
        self._all_bytes = all_bytes
        self._desk_cases = desk_cases
        self._shown_bytes = shown_bytes
        self._clock = clock
        self._cases: dict[str, Case] = {}  # the one used longest ago first
        self._lock = Lock()

    @property
    def n_bytes(self) -> int:
        """Of all files and packed pictures."""
        with self._lock:
            return sum(len(case.data) + (case.shown.n_bytes if case.shown else 0) for case in self._cases.values())

    def __len__(self) -> int:
        return len(self._cases)

    def add(self, desk: str, name: str, data: bytes) -> str:
        """Put a file on a desk; its id."""
        case_id = secrets.token_urlsafe(_ID_BYTES)
        with self._lock:
            self._cases[case_id] = Case(desk, name, data, self._clock())
            own = {key: case for key, case in self._cases.items() if case.desk == desk}
            self._make_room(own, self._desk_bytes, self._desk_cases)
            self._make_room(dict(self._cases), self._all_bytes, len(self._cases))
        return case_id

    def find(self, case_id: str) -> Case:
        """The case; it is the one used last now.

        Raises:
            KeyError: If there is nothing, or not any more.
        """
        self.forget_the_old()
        with self._lock:
            case = self._cases.pop(case_id)
            case.used_at = self._clock()
            self._cases[case_id] = case
        return case

    def show(self, case: Case, shown: Shown) -> None:
        """Keep what is drawn of a case; of those used longest ago it is let go."""
        with self._lock:
            case.shown = shown
            held = [each for each in self._cases.values() if each.shown is not None]
            n_bytes = sum(each.shown.n_bytes for each in held if each.shown)
            for each in held:
                if n_bytes <= self._shown_bytes or each is case:
                    continue
                n_bytes -= each.shown.n_bytes if each.shown else 0
                each.shown = None

    def drop(self, case_id: str) -> None:
        """Forget it.

        Raises:
            KeyError: If there is nothing, or not any more.
        """
        with self._lock:
            del self._cases[case_id]

    def forget_the_old(self) -> None:
        """Drop what nobody used for long; to be called now and then."""
        now = self._clock()
        with self._lock:
            for case_id in [key for key, case in self._cases.items() if case.used_at + self._keep_s <= now]:
                del self._cases[case_id]

    def _make_room(self, cases: dict[str, Case], most_bytes: int, most: int) -> None:
        """Drop the oldest of these until they fit; the newest stays."""
        n_bytes = sum(len(case.data) for case in cases.values())
        for n_more, (case_id, case) in zip(range(len(cases), 1, -1), cases.items(), strict=False):
            if n_bytes <= most_bytes and n_more <= most:
                return
            n_bytes -= len(case.data)
            del self._cases[case_id]
