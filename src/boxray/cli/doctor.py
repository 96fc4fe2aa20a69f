"""`boxray doctor`: is this installation whole?"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from types import MappingProxyType
from typing import Final

from boxray.cli.exits import Exit
from boxray.core.errors import BoxrayError
from boxray.weights import load_card, released_card, released_cards

Finding = tuple[bool, str, str]

EXTRAS: Final = MappingProxyType(
    {
        "train": ("torch", "torchvision", "ultralytics", "onnx"),
        "review": ("fiftyone",),
        "pacs": ("highdicom", "dicomweb_client"),
        "xrv": ("torchxrayvision",),
    }
)
"""What one installs besides -> what it brings to be imported."""


def doctor() -> int:
    """Check this installation: versions, decoders, engines, released weights. Exit code 1: something is wrong."""
    sound = True
    for ok, what, said in examine():
        sound = sound and ok
        print(f"{'ok  ' if ok else 'BAD '} {what}: {said}")
    return Exit.DONE if sound else Exit.ERROR


def examine() -> Iterator[Finding]:
    """One line per thing looked at: whether it is as it should be, what it is, what was found."""
    yield _python()
    for check in (_opencv, _pillow, _decoders, _engines, _weights, _reading):
        yield from _guarded(check)
    for extra, modules in EXTRAS.items():
        missing = not all(map(find_spec, modules))
        yield True, f"extra [{extra}]", f'not installed: pip install "boxray[{extra}]"' if missing else "installed"


def _guarded(check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from check()
    except (BoxrayError, ImportError, OSError, RuntimeError) as error:
        yield False, check.__name__.strip("_"), str(error)


def _python() -> Finding:
    found = platform.python_version_tuple()
    ok = (3, 11) <= (int(found[0]), int(found[1])) < (3, 14)
    return ok, "Python", platform.python_version() + ("" if ok else ": 3.11, 3.12 or 3.13 is needed")


def _opencv() -> Iterator[Finding]:
    import cv2

    full, headless = _version("opencv-python"), _version("opencv-python-headless")
    same = headless is None or headless == full
    # Both unpack into one folder: with different versions, the last one installed has overwritten half the other.
    yield same, "OpenCV", f"{cv2.__version__}" + ("" if same else f", but opencv-python-headless is {headless}")


def _pillow() -> Iterator[Finding]:
    found = _version("pillow") or "0"
    major, minor = map(int, found.split(".")[:2])
    ok = (12, 3) <= (major, minor) < (13, 0)
    yield ok, "Pillow", found + ("" if ok else ": 12.3 up to below 13 is needed")


def _decoders() -> Iterator[Finding]:
    from boxray.imaging.dicom_pixels import installed_decoders

    for what, ok in installed_decoders():
        yield ok, f"decoder {what}", "installed" if ok else "missing: install boxray again"


def _engines() -> Iterator[Finding]:
    for name in ("openvino", "onnxruntime"):
        yield _version(name) is not None, f"engine {name}", _version(name) or "missing: install boxray again"


def _weights() -> Iterator[Finding]:
    from boxray.classification.gate.gate import load_gate, released_gate_card

    for job in ("detection", "classification"):
        default = released_card(job)
        for path in released_cards(job):
            card, _ = load_card(path, check=".onnx")
            which = ", the default" if path == default else ""
            yield True, f"weights {job}", f"{card.name} {card.version}{which}, hash as the card says"
    gate, _ = load_gate(released_gate_card())
    yield True, "scope gate", f"{gate.name} {gate.version}, hash as the card says"


def _reading() -> Iterator[Finding]:
    import numpy as np

    from boxray.core.radiograph import Radiograph
    from boxray.localization.reader import released_reader

    ramp = np.linspace(0, 1, 512 * 512, dtype=np.float32).reshape(512, 512)
    reading = released_reader(scope_check=False).read_radiograph(Radiograph(ramp), "a ramp of grey")
    yield reading.status.value == "RESULT", "reading", f"both models answer ({reading.status.value})"


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
