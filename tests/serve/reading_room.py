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
from boxray.core.protocols import Classified, FixedClassifier, FixedDetector
from boxray.core.reading import Detection, ModelIdentity, SaliencyMap
from boxray.localization.reader import Reader
from boxray.serve.app import launch
from boxray.serve.service import Service

KEYS = ("edema", "pneumonia", "tuberculosis", "cardiomegaly", "emphysema", "covid", "effusion", "atelectasis")
SPACE = LabelSpace("eight", tuple(Finding(key, key.capitalize(), "it", "#EE6677") for key in KEYS))


class MappedClassifier(FixedClassifier):
    """Its maps rise from the left to the right; that of effusion is four times as strong as the others."""

    def classify(self, rad):
        height, width = rad.pixels.shape
        rising = np.tile(np.linspace(0, 1, width, dtype=np.float32), (height, 1))
        maps = tuple(SaliencyMap(key, rising * (4 if key == "effusion" else 1)) for key in self.scores)
        return Classified(self.scores, maps, self.lungs)


def fixed_reader() -> Reader:
    """Two boxes in every radiograph, scores and maps of all findings but one."""
    found = (
        Detection("effusion", 0.83, Box(30, 150, 100, 210)),
        Detection("cardiomegaly", 0.41, Box(90, 100, 190, 200)),
    )
    identity = ModelIdentity("fixed", "1", "0" * 64, {"cardiomegaly": 0.3})
    detector = FixedDetector(SPACE, found, tuple(key for key in KEYS if key != "edema"), identity)
    scores = {key: 0.25 for key in KEYS if key != "covid"} | {"effusion": 0.75}
    return Reader(detector, MappedClassifier(SPACE, scores))


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
    where = {"source": "https://example.org/source", "root_path": root_path, "comparisons": example.parent / "compare"}
    launch(Service(fixed_reader()), [example], port=0, **where)


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
    bring(page, {name: data})


def bring(page, files: dict[str, bytes]) -> None:
    """Several files at once, as from a folder."""
    brought = [{"name": name, "mimeType": "text/plain", "buffer": data} for name, data in files.items()]
    page.set_input_files(".bx-files", brought)


def wait_until_done(page, n_files: int) -> None:
    listed = "document.querySelectorAll('.bx-rows li').length === n"
    page.wait_for_function(f"n => {listed} && !document.querySelector('.bx-progress progress')", arg=n_files)


def open_chest(page) -> None:
    upload(page, "chest.png", a_chest_png())
    page.wait_for_selector("table.bx-findings")
    page.wait_for_selector("canvas[data-painted]")


def box_rows(page) -> list[str]:
    return page.locator("table.bx-boxes tbody tr").all_inner_texts()


def set_threshold(page, value: float) -> None:
    page.fill("#threshold", str(value))


def state_of(page, name: str):
    """What the viewer's state says."""
    return page.evaluate(f"document.querySelector('.bx-room').parentElement.boxray.film.state.{name}")


def shade_at(page, x: float, y: float) -> list[int]:
    """Red, green, blue of the canvas at a place in shares of its sides, once all is drawn."""
    script = """([x, y]) => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => {
      const canvas = document.querySelector('.bx-canvas');
      const at = canvas.getContext('2d').getImageData(x * canvas.width, y * canvas.height, 1, 1);
      resolve([...at.data.slice(0, 3)]);
    })))"""
    return page.evaluate(script, [x, y])


def downloaded(page, button: str) -> bytes:
    page.wait_for_selector(f"{button}:not([disabled])")
    with page.expect_download() as download:
        page.click(button)
    return Path(download.value.path()).read_bytes()


if __name__ == "__main__":
    serve_fixed_models(Path(sys.argv[1]), *sys.argv[2:])
