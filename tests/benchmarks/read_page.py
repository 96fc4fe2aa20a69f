"""How long somebody waits in the browser: from a file that is chosen to its film, its boxes and its map on the screen.

Run by `make bench BENCH=read_page`; the server is a process of its own (`boxray serve app`), the browser a chromium
without a window. The film is a bundled example, enlarged to 2,000 x 2,000 pixels of 12 bits, uncompressed, a little
different each time. It is no test. Fewer films: BENCH_FILMS=5.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from io import BytesIO
from statistics import median

import cv2
import numpy as np
import pydicom
from playwright.sync_api import sync_playwright
from pydicom.uid import ExplicitVRLittleEndian

from boxray.cli.demo import examples
from boxray.imaging.read import read_radiograph

FILMS = int(os.environ.get("BENCH_FILMS", "15"))
CHROMIUM = os.environ.get("BOXRAY_CHROMIUM") or shutil.which("chromium")
SWITCHES = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]

# Milliseconds until the film is painted, until it is with its boxes, and from there until its map is.
OPENED = """async (name) => {
  const room = document.querySelector('.bx-room').parentElement.boxray, {film} = room, {canvas} = film;
  const painted = () => new Promise((resolve) => {
    const before = canvas.dataset.painted;
    const look = () => (canvas.dataset.painted !== before ? resolve() : requestAnimationFrame(look));
    film.paintSoon();
    look();
  });
  const until = async (there) => { while (!there()) await new Promise((resolve) => setTimeout(resolve, 2)); };
  await until(() => room.row?.name === name && room.row.picture && film.picture);
  await painted();
  const seen = performance.now();
  await until(() => room.row.said && film.said === room.row.said);
  await painted();
  const there = performance.now();
  film.update({layout: 'map', finding: room.row.said.map_findings[0]});
  await painted();
  const mapped = performance.now();
  film.update({layout: 'boxes'});
  return [seen - window.chosenAt, there - window.chosenAt, mapped - there];
}"""


def a_large_film(number: int) -> bytes:
    """An uncompressed DICOM file of 8 MB."""
    path = next(path for path in examples() if path.stem == "effusion")
    pixels = cv2.resize(read_radiograph(path.read_bytes()).pixels, (2000, 2000), interpolation=cv2.INTER_CUBIC)
    noise = np.random.default_rng(number).normal(0, 0.002, pixels.shape)
    film = pydicom.dcmread(path)
    film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film.PixelData = np.round((pixels + noise).clip(0, 1) * 4095).astype("<u2").tobytes()
    film.Rows = film.Columns = 2000
    film.BitsAllocated, film.BitsStored, film.HighBit, film.PixelRepresentation = 16, 12, 11, 0
    film.PhotometricInterpretation = "MONOCHROME2"
    film.PresentationLUTShape = "IDENTITY"
    film.WindowCenter, film.WindowWidth = 2048, 4096
    film["PixelData"].is_undefined_length = False
    file = BytesIO()
    film.save_as(file, enforce_file_format=True)
    return file.getvalue()


def main() -> None:
    command = [sys.executable, "-m", "boxray.cli.main", "serve", "app", "--port", "0"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None, "it is a pipe"
        url = next(match for line in server.stderr if (match := re.search(r"reads at (\S+)", line)))[1]
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
            page = browser.new_page(viewport={"width": 1400, "height": 1000})
            page.set_default_timeout(120_000)
            page.goto(url)
            page.wait_for_selector(".bx-files", state="attached")
            page.evaluate(
                "document.querySelector('.bx-files')"
                ".addEventListener('change', () => { window.chosenAt = performance.now(); }, true)"
            )
            waits = []
            for number in range(FILMS + 2):
                name = f"{number}.dcm"
                film = {"name": name, "mimeType": "application/dicom", "buffer": a_large_film(number)}
                page.set_input_files(".bx-files", film)
                waits.append(page.evaluate(OPENED, name))
            browser.close()
    finally:
        server.terminate()
        server.wait(120)
    films, boxes, maps = zip(*waits[2:], strict=True)  # the first two warm up
    print(f"{FILMS} films of 2,000 x 2,000 pixels, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for said, of in (("film", films), ("film and boxes", boxes)):
        print(f"file chosen to {said} on the screen: median {median(of) / 1000:.2f} s, worst {max(of) / 1000:.2f} s")
    print(f"from there to the map: median {median(maps) / 1000:.3f} s, worst {max(maps) / 1000:.3f} s")


if __name__ == "__main__":
    main()
