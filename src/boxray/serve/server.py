"""The server round the doors: where it listens, who may come in, and how it ends.

On SIGTERM it drains: readiness goes off, new radiographs are answered with 503, those that joined the line are
answered, then it ends.
"""

import errno
import logging
import os
import signal
import socket
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final

import uvicorn

from boxray.core.errors import ModelError
from boxray.core.reading import DISCLAIMER
from boxray.engines import EngineName
from boxray.imaging.child import decoding_child
from boxray.serve.guard import LEAST_TOKEN_CHARS, Guard, is_loopback
from boxray.serve.service import Service, released_service

EXIT_CONFIGURATION: Final = 78
"""Exit code of a configuration that is refused, such as an address that others can reach."""

_EXIT_SIGNAL: Final = 128  # a shell adds the signal's number: 143 for SIGTERM
_LINGER_S: Final = 5  # for answers that are being sent, and pages that stay connected
_LOG: Final = logging.getLogger("boxray.serve")


def read_token(file: Path | None) -> str | None:
    """The token of a file, or of the environment's BOXRAY_TOKEN; None where there is neither.

    Raises:
        SystemExit: With code 78, and the reason on stderr, if it cannot be read, is no ASCII or too short.
    """
    token: str | None
    if file is None:
        token = os.environ.get("BOXRAY_TOKEN")
    else:
        try:
            token = file.read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            raise refused(f"the token file cannot be read ({type(error).__name__})") from None
    if token is not None and not (len(token) >= LEAST_TOKEN_CHARS and token.isascii() and token.isprintable()):
        raise refused(f"a token has at least {LEAST_TOKEN_CHARS} printable ASCII characters: openssl rand -hex 32")
    return token


def read_login(user: str | None, password_file: Path | None) -> tuple[str, str] | None:
    """User and password for an archive; the password from a file, or of the environment's BOXRAY_ARCHIVE_PASSWORD.

    Raises:
        SystemExit: With code 78, and the reason on stderr, if one comes without the other.
    """
    password = os.environ.get("BOXRAY_ARCHIVE_PASSWORD")
    if password_file is not None:
        try:
            password = password_file.read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise refused(f"the password file cannot be read ({type(error).__name__})") from None
    if user is None and not password:
        return None
    if user is None or not password:
        raise refused("--user needs a password and a password needs --user: --password-file FILE --user NAME")
    return user, password


@contextmanager
def ended_by_signal() -> Iterator[Event]:
    """An event that SIGTERM and Ctrl+C set; a second signal does not wait."""
    stop = Event()

    def note(number: int, _frame: object) -> None:
        if stop.is_set():
            sys.exit(_EXIT_SIGNAL + number)
        stop.set()

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def refused(reason: str) -> SystemExit:
    """Say why a configuration is refused; to be raised."""
    print(f"boxray: refused to serve: {reason}", file=sys.stderr)
    return SystemExit(EXIT_CONFIGURATION)


def require_safe(address: str, token: str | None) -> None:
    """Nothing if nobody but this machine can reach the address, or a token is asked for.

    Raises:
        SystemExit: With code 78, and the reason on stderr.
    """
    if is_loopback(address) or (token and address):
        return
    raise refused(
        f"on {address!r} without a token whoever reaches the address could read radiographs. Set BOXRAY_TOKEN or "
        "--token-file, and put TLS before it; or serve on 127.0.0.1 and let others in through an SSH tunnel: "
        "ssh -N -L 7860:127.0.0.1:7860 THIS_MACHINE"
    )


def released_or_refused(
    engine: EngineName = "openvino", detector: str | None = None, classifier: str | None = None
) -> Service:
    """The service of the released weights.

    Raises:
        SystemExit: With code 78, and the reason on stderr, if they cannot be trusted to answer: weights are missing or
            are not what their card says, or detector and classifier speak of different findings.
    """
    try:
        return released_service(engine, detector=detector, classifier=classifier)
    except ModelError as error:
        raise refused(error.reason) from None


def end_on_sigterm() -> None:
    """Until the server takes the signal over, it ends the program as a program ends: what is on disk goes too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_EXIT_SIGNAL + signal.SIGTERM))


def guarded(app: Any, address: str, *, token: str | None, hosts: Collection[str]) -> Guard:
    """The app behind its guard; the address itself is a name that is served."""
    return Guard(app, token=token, hosts={*hosts, address})


def serve(app: Any, service: Service, *, address: str, port: int, root_path: str = "", drain_s: float = 60.0) -> int:
    """Serve until SIGTERM or Ctrl+C.

    Args:
        app: The guarded doors.
        service: What they share; it is drained at the end.
        address: Where to listen; `require_safe` has been asked.
        port: 0: a free one.
        root_path: Under which a proxy shows it, such as ``/boxray``; the proxy takes it off.
        drain_s: How long running requests have at the end.

    Returns:
        The exit code that says which signal ended it: 143 for SIGTERM, 130 for Ctrl+C.

    Raises:
        SystemExit: With code 78, and the reason on stderr, if nobody can listen there.
    """
    decoding_child().start()  # so that the first radiograph need not wait for it
    with listening_on(address, port) as listening:
        said = f"[{address}]" if ":" in address else address
        url = f"http://{said}:{listening.getsockname()[1]}{root_path}/"
        server = DrainingServer(app, service, url=url, root_path=root_path, drain_s=drain_s)
        server.run([listening])
    return _EXIT_SIGNAL + server.ended_by


def listening_on(address: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        SystemExit: With code 78, and the reason on stderr: the port is taken, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        return socket.create_server((address, port), family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise refused(
                f"port {port} of {address} is taken, perhaps by another boxray; end that, or take another port: "
                "--port N (0: a free one)"
            ) from None
        why = (error.strerror or type(error).__name__).partition(" (while")[0]  # Python repeats the address there
        raise refused(
            f"cannot listen on {address!r}, port {port} ({why}); --address names an address of this machine, "
            "--port N a port that you may open, from 1024 on"
        ) from None


class DrainingServer(uvicorn.Server):
    """Uvicorn, but a signal drains the service before the server ends. A second signal does not wait."""

    def __init__(self, app: Any, service: Service, *, url: str = "", root_path: str = "", drain_s: float) -> None:
        config = uvicorn.Config(
            app,
            root_path=root_path,
            access_log=False,  # it would hold ids
            log_config=None,
            log_level=logging.WARNING,
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=_LINGER_S,
        )
        super().__init__(config)
        self._service = service
        self._url = url
        self._drain_s = drain_s
        self.ended_by: int = signal.SIGTERM

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Say where it is once it listens."""
        await super().startup(sockets)
        if self._url:
            print(f"boxray reads at {self._url}  ({DISCLAIMER})  Ctrl+C ends it.", file=sys.stderr, flush=True)

    def handle_exit(self, sig: int, frame: Any) -> None:  # noqa: ARG002 - uvicorn's signature
        """A signal came."""
        if self._service.draining:
            self.should_exit = self.force_exit = True
            return
        self.ended_by = sig
        self._service.drain()
        Thread(target=self._drain, name="boxray-drain", daemon=True).start()

    def _drain(self) -> None:
        if not self._service.wait_until_idle(self._drain_s):
            _LOG.warning("stopped while radiographs were being read: %g s were not enough", self._drain_s)
        self.should_exit = True
