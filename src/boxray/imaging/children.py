"""Several decoding children, for a batch that is read by several threads."""

from __future__ import annotations

import os
from functools import cache
from queue import LifoQueue
from types import TracebackType
from typing import Any, Self

from boxray.core.ahead import cores
from boxray.core.radiograph import Radiograph
from boxray.imaging.child import DecodingChild, decoding_child

_MOST = 8
"""Each keeps its libraries in memory, 73 MB when last looked at, on however many cores."""


class DecodingChildren:
    """As many `DecodingChild` as there are threads to serve; leave the `with` block to end them.

    One is started only when all that run are busy. The first is the program's own and outlives the block.
    """

    def __init__(self, most: int) -> None:
        """Nothing is started yet.

        Args:
            most: At least 1; beyond 8 there are 8. Each may take the memory that `Limits` allows a file.
        """
        if most < 1:
            raise ValueError(f"expected at least 1 child, got {most}")
        self._own = [DecodingChild() for _ in range(min(most, _MOST) - 1)]
        self._idle: LifoQueue[DecodingChild] = LifoQueue()  # last in, first out: what runs is taken again
        for child in (*self._own, decoding_child()):
            self._idle.put(child)

    @property
    def most(self) -> int:
        """How many files are decoded at one time."""
        return len(self._own) + 1

    def decode(self, data: bytes, **options: Any) -> Radiograph:
        """Have the bytes decoded by a child that is idle, or wait for one.

        Raises:
            InputError: As `DecodingChild.decode`.
        """
        child = self._idle.get()
        try:
            return child.decode(data, **options)
        finally:
            self._idle.put(child)

    def close(self) -> None:
        """End those that are not the program's own."""
        for child in self._own:
            child.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def decoding_children() -> DecodingChildren:
    """The program's own, one for each of its cores: they live until it ends. A forked program makes its own."""
    return _children_of(os.getpid())


@cache
def _children_of(pid: int) -> DecodingChildren:  # noqa: ARG001 - the key of the cache
    return DecodingChildren(cores())
