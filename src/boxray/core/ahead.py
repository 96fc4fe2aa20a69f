"""Work on many things by several threads at once, and get the results in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def cores() -> int:
    """Those that this process may use, which in a container are fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_order(
    work: Callable[[T], R], items: Iterable[T], *, threads: int, ahead: int | None = None
) -> Generator[R, None, None]:
    """`map`, but with several threads that work ahead of whoever takes the results.

    While one thing is computed the next ones are worked on, yet never more than `ahead` of them, so that
    memory is the same for a hundred and for a million. Items are taken in the caller's own thread.

    Args:
        work: Called from several threads at once.
        items: May be endless.
        threads: At least 1.
        ahead: How many may be begun or done and not yet taken; None means two for each thread.

    Returns:
        One result per item, in the items' order. What `work` raises is raised at its item's place, and
        what lies behind it is not begun any more.

    Raises:
        ValueError: If `threads` or `ahead` is below 1.

    >>> list(in_order(abs, [-3, 2, -1], threads=2))
    [3, 2, 1]
    """
    if threads < 1 or (ahead is not None and ahead < 1):
        raise ValueError(f"expected at least 1 thread and 1 item ahead, got {threads} and {ahead}")
    return _in_order(work, items, threads, ahead or 2 * threads)


def _in_order(work: Callable[[T], R], items: Iterable[T], threads: int, ahead: int) -> Generator[R, None, None]:
    begun: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                begun.append(pool.submit(work, item))
                if len(begun) >= ahead:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for future in begun:
                future.cancel()
