"""The REST door as programs have it: a server on a free port, with fixed models and hands that ask it."""

import sys
import threading
import time
from contextlib import contextmanager

import httpx
import numpy as np
import uvicorn

from boxray.core.boxes import Box
from boxray.core.protocols import Classified, FixedDetector
from boxray.core.radiograph import Radiograph
from boxray.core.reading import Detection, ModelIdentity, SaliencyMap
from boxray.localization.reader import Reader
from boxray.serve.guard import Guard
from boxray.serve.rest.app import build_rest
from boxray.serve.rest.kept import Readings
from boxray.serve.service import Capacity, Service
from serve.reading_room import KEYS, SPACE

FILM = Radiograph(np.linspace(0, 1, 300 * 280, dtype=np.float32).reshape(300, 280))
FOUND = (Detection("effusion", 0.83, Box(30, 150, 100, 210)), Detection("cardiomegaly", 0.41, Box(90, 100, 190, 200)))
IDENTITY = ModelIdentity("fixed", "1", "ab" * 32, {"cardiomegaly": 0.3})
DICOM = {"content-type": "application/dicom"}


class BusyClassifier:
    """Takes as long as it is told to; notes what it saw."""

    label_space = SPACE
    assessed = tuple(key for key in KEYS if key != "covid")
    identity = IDENTITY

    def __init__(self):
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.begun = threading.Semaphore(0)
        self.n_seen = 0

    def classify(self, rad):
        self.n_seen += 1
        self.begun.release()
        assert self.may_go_on.wait(30)
        values = np.linspace(0, 4, rad.pixels.size, dtype=np.float32).reshape(rad.pixels.shape)
        return Classified(dict.fromkeys(self.assessed, 0.25), (SaliencyMap("effusion", values),))


class Room:
    """A service with fixed models, its door, and a client of it."""

    def __init__(self, decode=lambda data: FILM, *, capacity=None, token=None, hosts=(), **kept):
        self.classifier = BusyClassifier()
        detector = FixedDetector(SPACE, FOUND, tuple(key for key in KEYS if key != "edema"), IDENTITY)
        reader = Reader(detector, self.classifier)
        self.service = Service(reader, decode=decode, capacity=capacity or Capacity())
        self.readings = Readings(self.service, **kept)
        self.app = Guard(build_rest(self.service, self.readings, source="https://example.org/source"), token=token)

    @contextmanager
    def served(self, root_path=""):
        """The door on a free port, as `httpx.Client`."""
        config = uvicorn.Config(self.app, port=0, log_level="error", ws="none", root_path=root_path)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client:
                yield client
        finally:
            self.classifier.may_go_on.set()
            server.should_exit = True
            thread.join(30)


def posted(door, data=b"bytes", **options):
    """What the door answers to one file."""
    return door.post("/v1/readings", content=data, headers=DICOM, **options)


def asked_in_a_thread(ask, *arguments, **options):
    """The thread, and a list that will hold what came back."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(ask(*arguments, **options)))
    thread.start()
    return thread, answers


def eventually(is_so):
    """Wait until it is so; a test that waits too long fails."""
    for _ in range(1000):
        if is_so():
            return
        time.sleep(0.01)
    raise AssertionError("it never became so")


def serve_slowly():
    """What the process that is to be stopped does: a model that takes two seconds."""
    from boxray.serve.rest.launch import launch_rest

    room = Room()
    classify = room.classifier.classify

    def slow(rad):
        time.sleep(2)
        return classify(rad)

    room.classifier.classify = slow
    launch_rest(room.service, port=0, source="https://example.org/source")


if __name__ == "__main__":
    sys.exit(serve_slowly())
