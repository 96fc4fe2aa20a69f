"""Where the bench lies: cards, recipes and weights, in the repository or inside an installed wheel."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def bench_folder(name: str) -> Path:
    """A folder of the bench such as ``detection/weights``.

    In a checkout it stands at the repository's top; a wheel carries a copy inside the package.

    Raises:
        FileNotFoundError: If neither is there.
    """
    package = Path(str(files("boxray")))
    for candidate in (package / "bench" / name, package.parent.parent / name):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"no folder {name!r} in the installed package or at the top of a checkout")
