"""Open a built set: which images, with which readings, for whom; and the App that shows them."""

from __future__ import annotations

import getpass
import os
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from boxray.core.errors import DataError
from boxray.data.correction_log import CorrectionLog
from boxray.data.corrections import reader_name
from boxray.data.manifest import Manifest
from boxray.data.split import Split
from boxray.review.database import URI
from boxray.review.documents import Writer
from boxray.review.naming import dataset_name
from boxray.review.readings import Readings, Said
from boxray.review.shown import digest_of
from boxray.review.standing import Standing, answer_marks, mark_of, standing, wanted_fields

AT_MOST: Final = 20_000
"""Images that are opened without being asked twice: the App stays quick, and the database below a gigabyte."""
PORT: Final = 5151
"""FiftyOne's own."""
_APP_STARTS_WITHIN_S: Final = 300


@dataclass(frozen=True, slots=True)
class Review:
    """A built set that is open."""

    name: str
    """Of its data set in FiftyOne."""
    added: int
    renewed: int
    unchanged: int
    kept_edits: int
    gone: tuple[str, ...]
    views: tuple[str, ...]
    answered: bool

    @property
    def dataset(self) -> Any:
        """The data set itself: imports FiftyOne, where bringing it up to date has not done so."""
        import fiftyone as fo

        return fo.load_dataset(self.name)


def chosen(
    manifest: Manifest,
    *,
    split: Split | None = None,
    sources: Sequence[str] = (),
    sample: int | None = None,
    seed: int = 0,
) -> Manifest:
    """The images of a set that are to be opened.

    Args:
        manifest: The whole set.
        split: Only these; None means all.
        sources: Only these; none means all.
        sample: At most so many, drawn at random and the same ones each time.
        seed: Of the drawing.

    Raises:
        DataError: If there is no such source, or no image is left.
    """
    there = set(manifest.images["source"])
    unknown = sorted(set(sources) - there)
    if unknown:
        raise DataError(f"the set has no source {', '.join(unknown)}; it has: {', '.join(sorted(there))}")
    mask = np.ones(len(manifest.images), dtype=bool)
    if split is not None:
        mask &= (manifest.images["split"] == split.value).to_numpy()
    if sources:
        mask &= manifest.images["source"].isin(list(sources)).to_numpy()
    if sample is not None and mask.sum() > sample:
        drawn = np.random.default_rng(seed).choice(np.flatnonzero(mask), sample, replace=False)
        mask = np.isin(np.arange(len(mask)), drawn)
    part = manifest if mask.all() else manifest.only(mask)
    if not len(part.images):
        raise DataError("no image of the set is left; leave out --split, --source or --sample")
    return part


def reviewer_of(name: str | None) -> str:
    """The reviewer's name as it stands in tables: the one given, else that of the computer's user."""
    return reader_name(name if name is not None else getpass.getuser())


def site_key(state: Path) -> bytes:
    """The secret by which patients are hidden: made once, kept beside the database, never shown."""
    path = state / "site.key"
    if not path.is_file():
        state.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(secrets.token_bytes(32))
    return path.read_bytes()


def open_review(
    part: Manifest,
    whole: Manifest,
    said: Mapping[str, Said],
    corrections: Path,
    reviewer: str,
    state: Path,
    progress: Callable[[], None] = lambda: None,
) -> Review:
    """Make the data set of a built set in FiftyOne, or bring it up to date; call it within `database`.

    Where every image lies there as it would be written now, nothing is written and FiftyOne is not imported.

    Args:
        part: The images that are to be shown.
        whole: The set that they are of.
        said: Readings by image id.
        corrections: Folder of the log; his own opinions are what the reviewer sees.
        reviewer: Who.
        state: Folder of the review's state.
        progress: Called after each image.
    """
    said = Readings.of(said)
    opinions = CorrectionLog.read(corrections).opinions if corrections.is_dir() else {}
    name = dataset_name(whole.folder, reviewer)
    writer = Writer.of(part, said, opinions, reviewer, site_key(state))
    digests = {row.image_id: writer.digest(row) for row in part.images.itertuples()}
    there = set(whole.images["image_id"])
    stands = standing(os.environ[URI], name)
    if stands is not None and stands.holds(digests, there) and _nothing_changed(stands, part, whole, said, reviewer):
        for _ in digests:
            progress()
        return Review(name, 0, 0, len(digests), 0, (), stands.views, answered=False)
    return _brought_up_to_date(part, whole, writer, digests, reviewer, state, progress)


def _nothing_changed(stands: Standing, part: Manifest, whole: Manifest, said: Readings, reviewer: str) -> bool:
    """Whether all that is not written image by image is as it would be written now."""
    marks = {
        "mark": mark_of(part, whole, said, reviewer),
        "opened": _asked(part, whole),
        "answers": answer_marks(part, said),
    }
    same = all(stands.info.get(what) == mark for what, mark in marks.items())
    return same and bool(stands.views) and wanted_fields(whole.label_space) <= stands.fields


def _asked(part: Manifest, whole: Manifest) -> str:
    """Of the images that were asked for."""
    every = len(part.images) == len(whole.images)
    return "all" if every else digest_of(part.images["image_id"].tolist())


def _brought_up_to_date(
    part: Manifest,
    whole: Manifest,
    writer: Writer,
    digests: Mapping[str, str],
    reviewer: str,
    state: Path,
    progress: Callable[[], None],
) -> Review:
    from boxray.review.dataset import open_dataset
    from boxray.review.views import answer_all, save_views

    opened = open_dataset(part, whole, writer, digests, reviewer, progress)
    dataset = opened.dataset
    cache = state / "fingerprints" / f"{dataset_name(whole.folder, '')}.npz"
    answered = answer_all(dataset, part, writer.said, cache, anew=bool(opened.added))
    marks = {"mark": opened.mark, "opened": _asked(part, whole)}
    views = dataset.list_saved_views()
    counted = opened.added, opened.renewed, opened.unchanged, opened.kept_edits
    same = all(dataset.info.get(what) == mark for what, mark in marks.items())
    if not views or not same or answered or opened.gone or any((opened.added, opened.renewed)):
        views = save_views(dataset, whole, None if marks["opened"] == "all" else part.images["image_id"])
        dataset.info.update(marks)
        dataset.save()
    return Review(dataset.name, *counted, opened.gone, tuple(views), answered)


def show(review: Review, port: int, *, browser: bool, view: str | None = None) -> Any:
    """Start the App on this machine's own address and show the data set.

    Raises:
        DataError: If the port is taken.
    """
    import fiftyone as fo
    from fiftyone.core.service import Service

    # FiftyOne gives its server a minute to start; on a machine that is busy it takes two.
    Service._wait_for_child_port.__defaults__ = (None, _APP_STARTS_WITHIN_S)  # noqa: SLF001
    with socket.socket() as place:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            place.bind(("127.0.0.1", port))
        except OSError as error:
            raise DataError(
                f"port {port} is taken, perhaps by another App; name a free one: --port {port + 1}"
            ) from error
    shown = review.dataset.load_saved_view(view) if view else None
    return fo.launch_app(review.dataset, view=shown, port=port, address="127.0.0.1", remote=not browser, auto=False)
