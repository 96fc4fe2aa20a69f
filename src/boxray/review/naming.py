"""The names of data sets in FiftyOne."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path


def name_start(folder: Path) -> str:
    """How the names of all data sets of a built set begin: one folder, one name, whatever it holds today."""
    whole = folder.resolve()
    mark = hashlib.blake2b(str(whole).encode(), digest_size=4).hexdigest()
    return f"boxray-{_plain(whole.name) or 'set'}-{mark}-"


def dataset_name(folder: Path, reviewer: str) -> str:
    """The data set of a built set and a reviewer: each reviewer edits in one of his own."""
    return name_start(folder) + _plain(reviewer)


def _plain(word: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", word.lower()).strip("-")
