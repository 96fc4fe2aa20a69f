"""Decoding in a child process, because parsers and codecs are untrusted code.

program ──file──> keeper ──fork──> worker: limits, decode, pixels into shared memory, end
        <─pixels─        <─exit──

The *keeper* is a fresh Python that imports the codecs once (about a second) and never parses a byte
itself. For every file it forks a *worker*, which costs milliseconds: that one has limits on memory and
time, no way out but a piece of shared memory, and ends with its file. A worker may crash, hang or eat
memory: the keeper sees how it ended and says so, and the next file has a fresh one. Nothing leaks from
one file to the next. The keeper has a single thread, so the fork is sound.

What comes back is a line of JSON and raw pixels, never a pickle, and is checked as if a stranger had
written it. POSIX only.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import mmap
import os
import resource
import select
import signal
import struct
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any, Final, NoReturn

import numpy as np

from boxray.core.errors import InputError
from boxray.core.radiograph import Radiograph
from boxray.imaging.limits import MAX_PIXELS

_REQUEST: Final = struct.Struct("<IQ")
"""Bytes of the options (JSON), bytes of the file; both follow."""
_REPLY: Final = struct.Struct("<IQ")
"""Bytes of the head (JSON), bytes of the pixels and of the padding; both follow."""

_HEAD_BYTES: Final = 2**16
_BODY_AT: Final = mmap.PAGESIZE * -(-(_REPLY.size + _HEAD_BYTES) // mmap.PAGESIZE)
_BODY_BYTES: Final = MAX_PIXELS * 5
"""Room for the largest picture: four bytes a pixel and one for its padding. Taken only when written to."""

_READY: Final = b"+"
"""What a keeper says once its libraries are there."""
_NONSENSE: Final = "the decoding process answered nonsense"

_KEPT_VARIABLES: Final = ("PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""Of the program's environment: what Python and its libraries need to be found. Nothing else is handed on."""

_SET_VARIABLES: Final = {
    "OPENBLAS_NUM_THREADS": "1",  # the keeper forks, so it must not have a second thread
    "OMP_NUM_THREADS": "1",
    "OPENCV_FOR_THREADS_NUM": "1",
    "OPENCV_IO_MAX_IMAGE_PIXELS": str(MAX_PIXELS),  # a second lock behind our own look at the header
    "OPENCV_LOG_LEVEL": "OFF",
}

_NOT_IN_THE_CHILD: Final = ("PIL", "requests")
"""Pillow never sees a byte from outside, and nothing here needs a network."""

_GRACE_S: Final = 5.0
"""How long the program waits beyond the worker's wall clock before it gives the keeper up too."""
_START_S: Final = 60.0
"""How long a keeper may take to import its libraries, on a machine that is busy."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may cost."""

    memory_bytes: int = 1_500_000_000
    """Address space beyond what the libraries have taken before the file is seen."""
    cpu_s: int = 10
    wall_s: float = 15.0


class DecodingChild:
    """A keeper and its workers. Lives until `close`, the end of the program, or its own death.

    May be used from several threads; files are decoded one at a time. After a fork of the program
    make a new one: two programs must not share the pipes.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        entry: str = "boxray.imaging.read:decode",
        path: Path | None = None,
    ) -> None:
        """Nothing is started yet.

        Args:
            limits: Of one file.
            entry: ``module:function`` that the worker calls with the bytes and the options.
            path: Folder in which `entry` is looked for besides the installed packages.
        """
        self._limits = limits or Limits()
        self._entry = entry
        self._path = path
        self._lock = threading.Lock()
        self._keeper: subprocess.Popen[bytes] | None = None
        self._end: weakref.finalize[..., DecodingChild] | None = None
        self._ready = False

    @property
    def pid(self) -> int | None:
        """Of the keeper, or None while there is none."""
        return None if self._keeper is None else self._keeper.pid

    def start(self) -> None:
        """Start the keeper if there is none, so that the first file need not wait. Returns at once."""
        with self._lock:
            self._running()

    def close(self) -> None:
        """End the keeper, and a worker with it. The next file starts a new one."""
        with self._lock:
            self._drop()

    def decode(self, data: bytes, **options: Any) -> Radiograph:
        """Have the bytes decoded.

        Raises:
            InputError: What the decoder refused, ``decode.crashed`` or ``decode.too_expensive``; or
                ``decode.unavailable`` if there is no child to decode anything.
        """
        with self._lock:
            head, body = self._ask(json.dumps(options).encode(), data)
        return _radiograph(head, body)

    def _ask(self, options: bytes, data: bytes) -> tuple[memoryview, memoryview]:
        """Send one file, wait for its reply; a keeper that does not answer as agreed is dropped."""
        try:
            return self._exchange(options, data)
        except BaseException:
            self._drop()  # whatever happened, also KeyboardInterrupt: half a reply may stand in the pipe
            raise

    def _exchange(self, options: bytes, data: bytes) -> tuple[memoryview, memoryview]:
        reply = self._send(options, data)
        deadline = time.monotonic() + self._limits.wall_s + _GRACE_S
        head_bytes, body_bytes = _REPLY.unpack(_receive(reply, _REPLY.size, deadline))
        if head_bytes > _HEAD_BYTES or body_bytes > _BODY_BYTES:
            raise InputError("decode.crashed", _NONSENSE)
        return _receive(reply, head_bytes, deadline), _receive(reply, body_bytes, deadline)

    def _send(self, options: bytes, data: bytes) -> int:
        """Write the file into the keeper's pipe. A keeper that died while idle is replaced, once.

        Returns:
            The file descriptor that the reply will come through.
        """
        for _ in range(2):
            request, reply = self._ready_pipes()
            try:
                request.write(_REQUEST.pack(len(options), len(data)) + options)
                request.write(data)
                request.flush()
            except BrokenPipeError:
                self._drop()
            else:
                return reply.fileno()
        raise InputError("decode.unavailable", "the decoding process ends before it has a file")

    def _ready_pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        """Into and out of a keeper that waits for a file.

        Raises:
            InputError: ``decode.unavailable`` if it cannot be started, or ends or hangs while its libraries load.
        """
        try:
            keeper = self._running()
            assert keeper.stdin is not None
            assert keeper.stdout is not None
            if not self._ready:
                _receive(keeper.stdout.fileno(), len(_READY), time.monotonic() + _START_S)
                self._ready = True
        except (OSError, InputError) as error:
            raise InputError("decode.unavailable", f"the decoding process does not start ({error})") from error
        return keeper.stdin, keeper.stdout

    def _running(self) -> subprocess.Popen[bytes]:
        if self._keeper is not None and self._keeper.poll() is not None:
            self._drop()
        if self._keeper is None:
            self._keeper = _start_keeper(self._limits, self._entry, self._path)
            self._ready = False
            self._end = weakref.finalize(self, _end_keeper, self._keeper, os.getpid())
        return self._keeper

    def _drop(self) -> None:
        if self._end is not None:
            self._end()
        self._keeper = self._end = None


def decoding_child() -> DecodingChild:
    """The program's own child, made on first use; a forked program makes its own."""
    return _child_of(os.getpid())


@cache
def _child_of(pid: int) -> DecodingChild:  # noqa: ARG001 - the key of the cache
    return DecodingChild()


def _start_keeper(limits: Limits, entry: str, path: Path | None) -> subprocess.Popen[bytes]:
    """A Python with nothing of ours but the import path; no secret of the environment goes with it."""
    packages = str(Path(__file__).parents[2])
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    search = [packages, *([str(path)] if path else []), *filter(None, [kept.pop("PYTHONPATH", "")])]
    arguments = json.dumps([entry, limits.memory_bytes, limits.cpu_s, limits.wall_s])
    return subprocess.Popen(  # noqa: S603 - our own interpreter and our own code
        [sys.executable, "-P", "-c", "from boxray.imaging.child import keep; keep()", arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**kept, **_SET_VARIABLES, "PYTHONPATH": os.pathsep.join(search)},
        start_new_session=True,  # a Ctrl-C in the terminal is the program's, and one signal ends all workers
    )


def _end_keeper(keeper: subprocess.Popen[bytes], owner_pid: int) -> None:
    """Kill the keeper and its worker, unless this is a fork of the program that owns them."""
    if os.getpid() != owner_pid:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(keeper.pid, signal.SIGKILL)
    for pipe in (keeper.stdin, keeper.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    keeper.wait()


def _receive(pipe: int, n_bytes: int, deadline: float) -> memoryview:
    """Exactly so many bytes from a pipe, before a moment of the monotonic clock.

    Raises:
        InputError: ``decode.crashed`` if the pipe ends, ``decode.too_expensive`` if the moment passes.
    """
    view = np.empty(n_bytes, np.uint8).data
    ready = select.poll()
    ready.register(pipe, select.POLLIN)
    filled = 0
    while filled < n_bytes:
        left_s = deadline - time.monotonic()
        if left_s <= 0 or not ready.poll(left_s * 1000):
            raise InputError("decode.too_expensive", "decoding takes too long")
        n_read = os.readv(pipe, [view[filled:]])
        if n_read == 0:
            raise InputError("decode.crashed", "the decoding process ended")
        filled += n_read
    return view


def _radiograph(line: memoryview, body: memoryview) -> Radiograph:
    """The reply as a radiograph or as the refusal it stands for; checked: a codec may have written it."""
    try:
        head = json.loads(bytes(line))
        if "code" in head:
            raise InputError(head["code"], str(head["reason"]))
        height, width = head["shape_hw"]
        n_pixels = height * width
        pixels = np.frombuffer(body, np.float32, n_pixels).reshape(height, width)
        padded = None
        if head["padded"]:
            padded = np.frombuffer(body, np.uint8, n_pixels, 4 * n_pixels).reshape(height, width) != 0
        spacing = head["spacing_mm"]
        return Radiograph(
            pixels,
            None if spacing is None else (float(spacing[0]), float(spacing[1])),
            None if head["view"] is None else str(head["view"]),
            padded,
            tuple(str(note) for note in head["notes"]),
        )
    except (LookupError, TypeError, ValueError, OverflowError, RecursionError):  # no JSON, or none of ours
        raise InputError("decode.crashed", _NONSENSE) from None


# --- the keeper's side: the functions below run in the child only ---------------------------------------


def keep() -> None:
    """Serve files until the program closes the pipe. The keeper's whole life."""
    entry, memory_bytes, cpu_s, wall_s = json.loads(sys.argv[1])
    limits = Limits(memory_bytes, cpu_s, wall_s)
    requests, replies = os.fdopen(os.dup(0), "rb"), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)  # what a library prints must not stand in the replies
    decode = _imported(entry)
    gc.collect()
    gc.freeze()  # a worker's collector would touch, and so copy, every page
    with contextlib.suppress(BrokenPipeError):  # the program was ended while this worked for it: nobody waits
        os.write(replies, _READY)
        while (request := _next_request(requests)) is not None:
            options, data = request
            with mmap.mmap(-1, _BODY_AT + _BODY_BYTES) as shared:
                worker = os.fork()
                if worker == 0:
                    requests.close()
                    os.close(replies)
                    os.dup2(nowhere, 2)
                    _work(decode, data, options, shared, limits)
                del request, data
                _reply(replies, shared, os.waitpid(worker, 0)[1])


def _next_request(requests: IO[bytes]) -> tuple[dict[str, Any], bytes] | None:
    """Options and bytes of a file; None where the program closed the pipe, or ended half-way through a file."""
    sizes = requests.read(_REQUEST.size)
    if len(sizes) < _REQUEST.size:
        return None
    n_options, n_data = _REQUEST.unpack(sizes)
    options, data = requests.read(n_options), requests.read(n_data)
    return (json.loads(options), data) if len(options) + len(data) == n_options + n_data else None


def _imported(entry: str) -> Callable[..., Radiograph]:
    """The function ``module:name``, with all that a file may need imported, Pillow out of reach."""
    for name in _NOT_IN_THE_CHILD:
        sys.modules[name] = None  # type: ignore[assignment]  # Python's way to say: cannot be imported
    module, _, name = entry.partition(":")
    function: Callable[..., Radiograph] = getattr(importlib.import_module(module), name)
    return function


def _work(
    decode: Callable[..., Radiograph],
    data: bytes,
    options: dict[str, Any],
    shared: mmap.mmap,
    limits: Limits,
) -> NoReturn:
    """Decode one file under limits, leave the result in shared memory, end."""
    try:
        _limit(limits)
        try:
            rad = decode(data, **options)
        except InputError as error:
            _leave(shared, {"code": error.code.name, "reason": error.reason})
        except MemoryError:
            _leave(shared, {"code": "decode.too_expensive", "reason": "decoding takes too much memory"})
        except Exception as error:  # noqa: BLE001 - a fault of ours or of a library: no traceback may leave
            _leave(shared, {"code": "decode.crashed", "reason": f"the decoder failed ({type(error).__name__})"})
        else:
            _leave_radiograph(shared, rad)
    finally:
        os._exit(0)  # no clean-up of what belongs to the keeper


def _limit(limits: Limits) -> None:
    """Hold this process to its limits; the kernel ends it where it exceeds one."""
    taken = _address_space_bytes()
    _lower(resource.RLIMIT_CPU, limits.cpu_s)
    _lower(resource.RLIMIT_FSIZE, 0)  # a decoder writes no files
    _lower(resource.RLIMIT_CORE, 0)  # a core dump would hold the patient's picture
    if taken is not None:
        _lower(resource.RLIMIT_AS, taken + limits.memory_bytes)
    signal.setitimer(signal.ITIMER_REAL, limits.wall_s)  # SIGALRM has no handler here: it kills, also in C code


def _lower(which: int, limit: int) -> None:
    hard = resource.getrlimit(which)[1]
    soft = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(which, (soft, hard if which == resource.RLIMIT_CPU else soft))


def _address_space_bytes() -> int | None:
    """What this process has mapped, or None where the kernel does not say (then RLIMIT_AS is not set)."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return None


def _leave(shared: mmap.mmap, head: dict[str, Any], n_body: int = 0) -> None:
    line = json.dumps(head).encode()
    shared[_REPLY.size : _REPLY.size + len(line)] = line
    shared[: _REPLY.size] = _REPLY.pack(len(line), n_body)


def _leave_radiograph(shared: mmap.mmap, rad: Radiograph) -> None:
    n_pixels = rad.pixels.size
    np.frombuffer(shared, np.float32, n_pixels, _BODY_AT)[:] = rad.pixels.ravel()
    if rad.padded is not None:
        np.frombuffer(shared, np.uint8, n_pixels, _BODY_AT + 4 * n_pixels)[:] = rad.padded.ravel()
    head = {
        "shape_hw": rad.pixels.shape,
        "spacing_mm": rad.spacing_mm,
        "view": rad.view,
        "padded": rad.padded is not None,
        "notes": rad.notes,
    }
    _leave(shared, head, n_pixels * (4 if rad.padded is None else 5))


def _reply(replies: int, shared: mmap.mmap, status: int) -> None:
    """Pass on what the worker left, or say how it ended."""
    if os.WIFSIGNALED(status) or os.WEXITSTATUS(status):
        _leave(shared, _how_it_ended(status))
    n_head, n_body = _REPLY.unpack(shared[: _REPLY.size])
    with memoryview(shared) as view:
        for part in (view[: _REPLY.size + n_head], view[_BODY_AT : _BODY_AT + n_body]):
            with part:
                _send_all(replies, part)


def _send_all(pipe: int, part: memoryview) -> None:
    sent = 0
    while sent < len(part):
        sent += os.write(pipe, part[sent:])


def _how_it_ended(status: int) -> dict[str, Any]:
    signal_number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    if signal_number in (signal.SIGALRM, signal.SIGXCPU):
        return {"code": "decode.too_expensive", "reason": "decoding takes too long"}
    name = signal.Signals(signal_number).name if signal_number else f"exit {os.WEXITSTATUS(status)}"
    return {"code": "decode.crashed", "reason": f"the decoder died on this file ({name})"}
