"""Several processes that train together: each is told its rank, and one that fails ends all.

ultralytics starts such processes by a script that it writes into the user's folder; that script would not know
our data, and knows GPUs only.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from boxray.core.errors import BoxrayError, ModelError


def run_together(
    world_size: int, work: Callable[..., None], asked: tuple[Any, ...], tell: Callable[[Any], None]
) -> None:
    """Run ``work(*asked, tell)`` in so many fresh processes, with the environment that `torch.distributed` reads.

    Args:
        world_size: How many.
        work: A function of a module; what it writes and tells is all that comes back.
        asked: What can be pickled.
        tell: Called here with whatever a process tells there.

    Raises:
        BoxrayError: What the first process that failed raised, if it is one of ours.
        ModelError: If it failed in another way; its own words went to stderr.
    """
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    port = _free_port()
    at_work: dict[Connection, BaseProcess] = {}
    try:
        for rank in range(world_size):
            ours, theirs = context.Pipe(duplex=False)
            told = (rank, world_size, port, theirs, work, asked)
            process = context.Process(target=_rank_main, args=told)
            process.start()
            theirs.close()
            at_work[ours] = process
        _hear_out(dict(at_work), tell)
    finally:
        for child in at_work.values():
            child.kill()
            child.join()


def _hear_out(at_work: dict[Connection, BaseProcess], tell: Callable[[Any], None]) -> None:
    """Tell what comes, until every process has ended.

    Raises:
        BoxrayError: That a process sent.
        ModelError: If one ended without a word.
    """
    while at_work:
        for pipe in wait(list(at_work)):
            assert isinstance(pipe, Connection), "only pipes are waited for"
            try:
                said = pipe.recv()
            except EOFError:
                process = at_work.pop(pipe)
                process.join()
                if process.exitcode != 0:
                    raise ModelError(
                        f"a training process ended with exit code {process.exitcode}; what it said stands above"
                    ) from None
                continue
            if isinstance(said, BoxrayError):
                raise said
            tell(said)


def _rank_main(
    rank: int, world_size: int, port: int, pipe: Connection, work: Callable[..., None], asked: tuple[Any, ...]
) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(world_size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    try:
        work(*asked, pipe.send)
    except BoxrayError as error:
        pipe.send(error)
        sys.exit(1)


def _end_with_parent() -> None:
    """A training that was killed must not go on in its children."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "this is a child"
    parent.join()
    os._exit(1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
