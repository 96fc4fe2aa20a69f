"""A pull that is killed at any moment: no correction lost, no half-written batch, and pulling again ends the work."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest

from boxray.data.correction_log import CorrectionLog
from boxray.data.manifest import Manifest
from boxray.review.edits import VERDICTS, read_verdicts
from boxray.review.pull import pull
from built import build_tiny_set

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
BOX = [20.0, 30.0, 80.0, 90.0]

MOMENTS = {
    "before it is written": 0,
    "half written": 0,
    "before it is on the disk": 0,
    "before it has its name": 0,
    "once it has its name": 9,
}
"""When a pull is killed, and how many corrections are there then."""

PULLS = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from boxray.data.manifest import Manifest
from boxray.review.edits import read_verdicts
from boxray.review.pull import pull

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

opened, link = Path.open, os.link

class Half:
    def __init__(self, file):
        self.file = file
    def __enter__(self):
        return self
    def __exit__(self, *_):
        self.file.close()
    def write(self, content):
        self.file.write(content[: len(content) // 2])
        self.file.flush()
        die()

def halves(path, *mode):
    return Half(opened(path, *mode)) if path.name.endswith(".part") else opened(path, *mode)

points = {
    "before it is written": lambda: setattr(Path, "mkdir", die),
    "half written": lambda: setattr(Path, "open", halves),
    "before it is on the disk": lambda: setattr(os, "fsync", die),
    "before it has its name": lambda: setattr(os, "link", die),
    "once it has its name": lambda: setattr(os, "link", lambda *pair: (link(*pair), die())),
    "never": lambda: None,
}
manifest, edits = Manifest.load(Path(sys.argv[1])), read_verdicts(Path(sys.argv[2]))
children = {}
for place, moment in enumerate(sys.argv[4:]):
    child = os.fork()
    if not child:
        points[moment]()
        log = Path(sys.argv[3]) / moment
        pull(edits, manifest, log, datetime.now(UTC))
        os._exit(0)
    children[place] = child
print(*[os.waitpid(child, 0)[1] for child in children.values()])
"""
"""Loads once and forks: each child pulls, and is killed at its moment. Prints what each has left with."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    build_tiny_set(folder, per_split=3)
    return folder


@pytest.fixture(scope="module")
def verdicts(data, tmp_path_factory):
    """A file of verdicts on every film."""
    images = Manifest.load(data).images
    rows = [
        {
            "image_id": row.image_id,
            "sha256": row.sha256,
            "finding": "fluid",
            "kind": "box_added",
            "box_after_xyxy": BOX,
            "made_at": f"2026-11-20T10:{place:02d}:00Z",
        }
        for place, row in enumerate(images.itertuples())
    ]
    path = tmp_path_factory.mktemp("verdicts") / "verdicts.json"
    path.write_text(json.dumps({"schema": VERDICTS, "base": "b", "reviewer": "alice", "verdicts": rows}))
    return path


def require_all_is_well(data, verdicts, log):
    """What is there is whole; pulled again, every edit is there once."""
    before = CorrectionLog.read(log)
    assert len(before.corrections) in {0, 9}

    pull(read_verdicts(verdicts), Manifest.load(data), log, NOON)

    after = CorrectionLog.read(log)
    assert sorted(made.image_id for made in after.corrections) == sorted(f"made:{number}" for number in range(9))
    assert len(after.batches) == 1


def pulls(data, verdicts, folder, *moments):
    """Pulls that are killed at these moments, into logs of their names; the statuses that they left with."""
    arguments = [sys.executable, "-c", PULLS, str(data), str(verdicts), str(folder), *moments]
    done = subprocess.run(arguments, check=True, stdout=subprocess.PIPE)
    return [os.waitstatus_to_exitcode(int(status)) for status in done.stdout.split()]


def test_a_pull_that_is_killed_leaves_all_or_nothing(data, verdicts, tmp_path):
    left_with = pulls(data, verdicts, tmp_path, *MOMENTS)

    assert left_with == [-signal.SIGKILL] * len(MOMENTS)
    for moment, n_there in MOMENTS.items():
        assert len(CorrectionLog.read(tmp_path / moment).corrections) == n_there, moment
        require_all_is_well(data, verdicts, tmp_path / moment)


def test_pulls_at_the_same_moment_write_every_edit_once(data, verdicts, tmp_path):
    assert pulls(data, verdicts, tmp_path, "never", "never", "never") == [0, 0, 0]
    require_all_is_well(data, verdicts, tmp_path / "never")


@pytest.mark.slow
def test_the_command_killed_at_times_that_are_drawn_leaves_all_or_nothing(data, verdicts, tmp_path):
    arguments = [sys.executable, "-m", "boxray.cli.main", "review", "pull"]
    started = time.monotonic()
    subprocess.run([*arguments, *places(data, verdicts, tmp_path / "whole")], check=True, stdout=subprocess.DEVNULL)
    takes_s = time.monotonic() - started

    for tenth in range(1, 11):
        log = tmp_path / str(tenth)
        running = subprocess.Popen([*arguments, *places(data, verdicts, log)], stdout=subprocess.DEVNULL)
        time.sleep(takes_s * tenth / 10)
        running.send_signal(signal.SIGKILL)
        running.wait()

        require_all_is_well(data, verdicts, log)


def places(data, verdicts, log):
    return ["--data", str(data), "--verdicts", str(verdicts), "--corrections", str(log)]
