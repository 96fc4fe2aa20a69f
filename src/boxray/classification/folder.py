"""A folder of pictures by class becomes a built data set, so that it is trained on like any other."""

from __future__ import annotations

from pathlib import Path

from boxray.classification.recipe import ImageFolder
from boxray.data.build import build
from boxray.data.datasets_file import DatasetsFile, SourceEntry
from boxray.data.manifest import Manifest


def build_from_folder(wanted: ImageFolder, out: Path) -> Manifest:
    """Build it; pictures of an earlier build are used again.

    A split that the card keeps stays; where it keeps none, pictures are dealt by hash.

    Raises:
        DataError: If the folder is none of pictures by class, or the card does not know a class.
    """
    source = SourceEntry(card=wanted.card, root=wanted.folder.resolve())
    return build(DatasetsFile(label_space=wanted.label_space, sources={wanted.card: source}), out).manifest
