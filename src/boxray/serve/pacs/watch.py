"""Look into an archive again and again, read what is new, and store what was found beside it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from threading import Event
from typing import Final

from boxray.core.errors import InputError, Outcome
from boxray.serve.dicom import header_of, presentation_state, structured_report
from boxray.serve.pacs.archive import MODALITIES, Archive, ArchiveError, Film
from boxray.serve.pacs.ledger import Ledger
from boxray.serve.service import Service

_LOG: Final = logging.getLogger("boxray.pacs")

LONGEST_PAUSE: Final = 256
"""In rounds: a film whose reading or storing fails is tried again after 1, 2, 4 … rounds, and never given up."""


@dataclass(frozen=True, slots=True)
class _Failing:
    pause: int
    next_round: int


@dataclass
class Watch:
    """A standing order: read each new radiograph once.

    A result is stored as a structured report and, if there is a box to show, a presentation state in the radiograph's
    own study. A refusal leaves nothing in the archive: what is no frontal chest radiograph is not ours to speak of.
    What failed is tried again, ever less often, for as long as its study is young enough.
    """

    archive: Archive
    service: Service
    ledger: Ledger
    days: int = 2
    """Back from today, by the study's date."""
    modalities: Sequence[str] = MODALITIES
    today: Callable[[], date] = date.today
    _round: int = field(default=0, init=False)
    _failing: dict[Film, _Failing] = field(default_factory=dict, init=False)

    def one_round(self, stop: Event | None = None) -> Counter[str]:
        """Deal with all that is new now.

        Args:
            stop: Once set, the film at hand is the last.

        Returns:
            How many of each outcome: ``RESULT``, ``REFUSED``, ``FAILED``; ``unwritable`` where a result could not be
            made an object.

        Raises:
            ArchiveError: If the archive cannot be searched. What it already gave was dealt with.
        """
        done: Counter[str] = Counter()
        there: set[Film] = set()
        self._round += 1
        for film in self.archive.films(self.today() - timedelta(days=self.days), self.modalities):
            if stop is not None and stop.is_set():
                return done
            there.add(film)
            if film not in self.ledger and self._is_due(film):
                done[self._deal_with(film)] += 1
        self._failing = {film: failing for film, failing in self._failing.items() if film in there}
        return done

    def go_on(self, every_s: float, stop: Event) -> None:
        """Rounds until `stop` is set; an archive that does not answer is asked again."""
        while not stop.is_set():
            try:
                done = self.one_round(stop)
            except ArchiveError as error:
                _LOG.warning("%s; asked again in %g s", error, every_s)
            else:
                if done:
                    _LOG.info("round: %s", ", ".join(f"{outcome} {n}" for outcome, n in sorted(done.items())))
            stop.wait(every_s)

    def _is_due(self, film: Film) -> bool:
        return film not in self._failing or self._round >= self._failing[film].next_round

    def _deal_with(self, film: Film) -> str:
        try:
            outcome = self._read_and_store(film)
        except ArchiveError as error:
            _LOG.warning("film=%s %s", self.ledger.key(film), error)
            outcome = Outcome.FAILED.value
        before = self._failing.pop(film, None)
        if outcome == Outcome.FAILED.value:
            pause = 1 if before is None else min(2 * before.pause, LONGEST_PAUSE)
            self._failing[film] = _Failing(pause, self._round + pause)
        else:
            self.ledger.add(film, outcome)
        return outcome

    def _read_and_store(self, film: Film) -> str:
        try:
            data = self.archive.fetch(film)
        except InputError:  # too large
            return Outcome.REFUSED.value
        reading = self.service.read(data, self.ledger.key(film)).reading
        if reading.status is not Outcome.RESULT:
            return reading.status.value
        header = header_of(data)
        if header is None or "detector" not in reading.models:
            return "unwritable"
        writers = (structured_report, presentation_state) if reading.detections else (structured_report,)
        try:
            objects = [write(header, reading, self.service.label_space) for write in writers]
        except InputError as error:
            _LOG.warning("film=%s %s", self.ledger.key(film), error.reason)
            return "unwritable"
        self.archive.store(objects)
        return reading.status.value
