"""The waiting line: all doors put their radiographs here, and a few threads work them off in their order.

It is bounded, so that a rush is answered with "later" at once and not with a wait without end; who has gone
away gives his place free.
"""

import math
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Condition, Thread
from time import monotonic
from typing import Final, Generic, TypeVar

from boxray.core.errors import ModelError

T = TypeVar("T")

_LONGEST_ADVICE_S: Final = 60
_NEWEST_SHARE: Final = 0.2  # of the moving mean of seconds per piece of work


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting(Generic[T]):
    work: Callable[[Future[T]], T]
    future: Future[T]
    n_bytes: int


class Line(Generic[T]):
    """Work in the order in which it came, by at most so many threads.

    A thread lives while there is work. Whoever wants a piece no more cancels its future: its place is free at once,
    and work that has begun may look at its future and end early.

    Args:
        threads: How many work at once.
        places: How many pieces may wait beside those in work.
        n_bytes: How many bytes may wait in all.
    """

    def __init__(self, *, threads: int, places: int, n_bytes: int) -> None:
        self._most_threads = threads
        self._most_places = places
        self._most_bytes = n_bytes
        self._waiting: deque[_Waiting[T]] = deque()
        self._n_threads = 0
        self._n_at_work = 0
        self._closed = False
        self._mean_s = 1.0
        self._changed = Condition()

    @property
    def n_waiting(self) -> int:
        """How many wait."""
        with self._changed:
            self._forget_the_gone()
            return len(self._waiting)

    @property
    def n_at_work(self) -> int:
        """How many are being worked on."""
        return self._n_at_work

    @property
    def n_in_the_house(self) -> int:
        """How many wait or are being worked on."""
        with self._changed:
            return len(self._waiting) + self._n_at_work

    @property
    def closed(self) -> bool:
        """Whether nothing new is taken."""
        return self._closed

    @property
    def advice_s(self) -> int:
        """In how many seconds a place should be free, from 1 to 60."""
        seconds = len(self._waiting) * self._mean_s / self._most_threads
        return min(_LONGEST_ADVICE_S, max(1, math.ceil(seconds)))

    def require_room(self, n_bytes: int = 0) -> None:
        """Nothing if a piece of this size could join now.

        Raises:
            ModelError: ``service.busy`` or ``service.draining``.
        """
        with self._changed:
            self._require_room(n_bytes)

    def join(self, work: Callable[[Future[T]], T], n_bytes: int) -> Future[T]:
        """Put a piece of work at the end.

        Args:
            work: Called in a thread with its own future; what it returns is the future's result, and what it raises
                its exception. Before a costly part it should ask ``future.set_running_or_notify_cancel()`` whether
                it is still wanted, and return anything if it is not.
            n_bytes: What it holds while it waits.

        Raises:
            ModelError: ``service.busy`` or ``service.draining``.
        """
        with self._changed:
            self._require_room(n_bytes)
            waiting = _Waiting(work, Future(), n_bytes)
            self._waiting.append(waiting)
            if self._n_threads < self._most_threads:
                self._start_thread(waiting)
        return waiting.future

    def close(self) -> None:
        """Take nothing new; what waits is still worked off."""
        self._closed = True

    def wait_until_empty(self, timeout_s: float) -> bool:
        """Whether all work was done within that time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._n_threads == 0, timeout_s)

    def _require_room(self, n_bytes: int) -> None:
        if self._closed:
            raise ModelError("the service is being stopped; ask again when it is back", "service.draining")
        self._forget_the_gone()
        held = sum(each.n_bytes for each in self._waiting)
        # Something that alone is beyond the limit may join an empty line: how large a file may be is said elsewhere.
        if len(self._waiting) >= self._most_places or (self._waiting and held + n_bytes > self._most_bytes):
            raise ModelError(f"{len(self._waiting)} radiographs are waiting; send it again later", "service.busy")

    def _forget_the_gone(self) -> None:
        self._waiting = deque(each for each in self._waiting if not each.future.cancelled())

    def _start_thread(self, waiting: _Waiting[T]) -> None:
        self._n_threads += 1
        try:
            Thread(target=self._work_off, name="boxray-line", daemon=True).start()
        except (RuntimeError, MemoryError):  # the machine gives no more threads
            self._n_threads -= 1
            if self._n_threads == 0:
                self._waiting.remove(waiting)
                raise ModelError("this machine has no thread left; send it again later", "service.busy") from None

    def _work_off(self) -> None:
        while True:
            with self._changed:
                self._forget_the_gone()
                if not self._waiting:
                    self._n_threads -= 1
                    self._changed.notify_all()
                    return
                waiting = self._waiting.popleft()
                self._n_at_work += 1
            started = monotonic()
            try:
                _do(waiting)
            finally:
                del waiting  # it holds the file
                with self._changed:
                    self._n_at_work -= 1
                    self._mean_s += _NEWEST_SHARE * (monotonic() - started - self._mean_s)


def _do(waiting: _Waiting[T]) -> None:
    future = waiting.future
    try:
        result = waiting.work(future)
    except BaseException as error:  # noqa: BLE001 - it is the asker's, and the thread goes on
        if _wanted(future):
            future.set_exception(error)
    else:
        if _wanted(future):
            future.set_result(result)


def _wanted(future: Future[T]) -> bool:
    return future.running() or (not future.cancelled() and future.set_running_or_notify_cancel())
