"""The files of a data set as they lie: what is a link, what leads out, which names are one elsewhere."""

from __future__ import annotations

import os
import posixpath
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from boxray.data.check.report import Fault

_SPLIT_FOLDER = re.compile(r"(train|val|valid|validation|test)(ing)?[0-9]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Tree:
    """The plain files of a folder; hidden ones, links that are not followed, pipes and devices are not in it."""

    root: Path
    """Resolved."""
    files: tuple[str, ...]
    """Relative to the root, with ``/``, sorted."""

    def path(self, name: str) -> Path:
        """Where a file lies."""
        return self.root / name

    def inside(self, written: str, base: str = "") -> str | None:
        r"""A path that somebody wrote into a file, relative to the root; None where it leads out.

        Args:
            written: Relative or absolute, with ``/`` or ``\``.
            base: The folder that relative paths start from, itself relative to the root.
        """
        text = written.replace("\\", "/")
        if "\0" in text or PureWindowsPath(written).drive:
            return None
        if text.startswith("/"):
            text, base = os.path.relpath(os.path.realpath(text), self.root), ""
        joined = posixpath.normpath(posixpath.join(base, text))
        return None if joined == ".." or joined.startswith("../") else joined


def walk(folder: Path, *, follow_links: bool) -> tuple[Tree, list[Fault]]:
    """The files of a folder and those below it, and what stands between them that is no plain file."""
    root = folder.resolve()
    files: list[str] = []
    faults: list[Fault] = []
    seen = {root}
    waiting = [""]
    while waiting:
        place = waiting.pop()
        try:
            entries = list(os.scandir(root / place))
        except OSError as error:
            faults.append(
                Fault(place or ".", None, "data.unreadable", f"the folder cannot be read ({type(error).__name__})")
            )
            continue
        for entry in entries:
            if entry.name.startswith(".") or entry.name == "__MACOSX":
                continue
            name = posixpath.join(place, entry.name)
            if entry.is_symlink() and not follow_links:
                faults.append(Fault(name, None, "data.link", _where_it_leads(Path(entry.path), root)))
            elif entry.is_dir():
                target = Path(entry.path).resolve()
                if target not in seen:  # a link may lead back to where we came from
                    seen.add(target)
                    waiting.append(name)
            elif entry.is_file():
                files.append(name)
            else:
                faults.append(Fault(name, None, "data.unreadable", "a broken link, a pipe or a device, and no file"))
    return Tree(root, tuple(sorted(files))), faults


def _where_it_leads(link: Path, root: Path) -> str:
    where = "inside the data set" if link.resolve().is_relative_to(root) else "out of the data set"
    return f"a link that leads {where}; it was not followed: put the files here, or allow links"


def shown(name: str) -> str:
    """A file's name on one line: what does not print, bytes that are no UTF-8 included, is escaped."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in name
    )


def split_of_folder(name: str) -> str | None:
    """The split that a folder on a file's way is called by, the innermost one; None where there is none."""
    for part in reversed(PurePosixPath(name).parts[:-1]):
        if _SPLIT_FOLDER.fullmatch(part):
            return split_word(part)
    return None


def split_word(text: str) -> str | None:
    """``train``, ``val`` or ``test`` where exactly one of them is a word of the text, as in `instances_train2017`."""
    words = {word.removesuffix("ing") for word in re.findall(r"[a-z]+", text.lower())}
    said = {"val" if word in {"valid", "validation"} else word for word in words} & {"train", "val", "test"}
    return said.pop() if len(said) == 1 else None
