"""The app as its users have it: in a process of its own, with fixed models, and hands that touch its page."""

import logging
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from boxray.core.boxes import Box
from boxray.core.findings import Finding, LabelSpace
from boxray.core.protocols import FixedClassifier, FixedDetector
from boxray.core.reading import Detection, ModelIdentity
from boxray.localization.reader import Reader
from boxray.serve.app import launch
from boxray.serve.service import Service

KEYS = ("edema", "pneumonia", "tuberculosis", "cardiomegaly", "emphysema", "covid", "effusion", "atelectasis")
SPACE = LabelSpace("eight", tuple(Finding(key, key.capitalize(), "it", "#EE6677") for key in KEYS))


@dataclass(frozen=True)
class Served:
    """The app in a process of its own, as for its users."""

    url: str
    log: Path
    uploads: Path

    def n_reads(self) -> int:
        return self.log.read_text().count("read id=")


def serve_fixed_models(example: Path, root_path: str = "") -> None:
    """What the server's process does: fixed models, the real decoder, and a Pillow that opens nothing."""
    import PIL.Image

    def refuse(*_, **__):
        raise AssertionError("Pillow was asked to open a file")

    PIL.Image.open = refuse
    tell_who_is_asked()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    found = (
        Detection("effusion", 0.83, Box(30, 150, 100, 210)),
        Detection("cardiomegaly", 0.41, Box(90, 100, 190, 200)),
    )
    identity = ModelIdentity("fixed", "1", "0" * 64, {"cardiomegaly": 0.3})
    detector = FixedDetector(SPACE, found, tuple(key for key in KEYS if key != "edema"), identity)
    classifier = FixedClassifier(SPACE, {key: 0.25 for key in KEYS if key != "covid"})
    service = Service(Reader(detector, classifier))
    launch(service, [example], port=0, source="https://example.org/source", root_path=root_path)


OUTSIDE = "asked outside:"


def tell_who_is_asked() -> None:
    """From now on this process logs each host beside this machine that it looks up or connects to."""

    def tell(event, arguments):
        if event == "socket.getaddrinfo":
            host = arguments[0]
        elif event in {"socket.connect", "socket.sendto"} and isinstance(arguments[1], tuple):
            host = arguments[1][0]
        else:
            return
        if host not in {None, "", "localhost", "127.0.0.1", "::1"}:
            print(OUTSIDE, host, file=sys.stderr, flush=True)

    sys.addaudithook(tell)


def a_chest_png() -> bytes:
    """Two dark lungs in a bright body: enough to be taken for a radiograph."""
    y, x = np.mgrid[0:1:256j, 0:1:256j]
    shade = np.where(np.hypot((x - 0.5) / 0.5, (y - 0.6) / 0.62) < 1, 0.5, 0.05) + 0.05 * x
    for centre in (0.3, 0.7):
        shade[np.hypot((x - centre) / 0.13, (y - 0.42) / 0.28) < 1] = 0.15
    shade[(y > 0.72) & (np.abs(x - 0.5) < 0.38)] = 0.85
    shade[np.abs(x - 0.5) < 0.06] = 0.9
    return cv2.imencode(".png", np.round(shade * 255).astype(np.uint8))[1].tobytes()


def url_in(log: Path, server: subprocess.Popen) -> str:
    """Wait until the server says where it is."""
    for _ in range(2400):
        said = re.search(r"boxray reads at (\S+)", log.read_text())
        if said:
            return said[1]
        assert server.poll() is None, f"the server ended: {log.read_text()}"
        time.sleep(0.1)
    raise AssertionError(f"the server does not come up: {log.read_text()}")


# Hands on the page


def upload(page, name: str, data: bytes) -> None:
    page.set_input_files("#upload input[type=file]", {"name": name, "mimeType": "text/plain", "buffer": data})


def open_chest(page) -> None:
    upload(page, "chest.png", a_chest_png())
    page.wait_for_selector("table.bx-findings")


def box_rows(page) -> list[str]:
    return page.locator("table.bx-boxes tbody tr").all_inner_texts()


def wait_for_boxes(page, number: int) -> None:
    page.wait_for_function(f"document.querySelectorAll('table.bx-boxes tbody tr').length === {number}")


def downloaded(page, button: str) -> bytes:
    page.wait_for_selector(f"{button}:not([disabled])")
    with page.expect_download() as download:
        page.click(button)
    return Path(download.value.path()).read_bytes()


if __name__ == "__main__":
    serve_fixed_models(Path(sys.argv[1]), *sys.argv[2:])
