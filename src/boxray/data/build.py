"""BUILD: sources to one manifest. Nothing is invented, nothing is lost without a reason."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from boxray.core.arrays import IntArray
from boxray.core.bench import bench_folder
from boxray.core.errors import DataError
from boxray.core.findings import LabelSpace, Presence, members
from boxray.data.audit import Audit, audit_of
from boxray.data.audit_page import write_audit
from boxray.data.books import Books
from boxray.data.card import Card, load_card, load_label_space
from boxray.data.consensus import fuse_table
from boxray.data.corrected import correct
from boxray.data.correction_log import CorrectionLog
from boxray.data.datasets_file import DatasetsFile, SourceEntry, require_roots
from boxray.data.gather import Gathered, Gatherer, Progress, together
from boxray.data.likeness import SIDE_PX, near_copies
from boxray.data.manifest import BOX_COLUMNS, CORNERS, IMAGE_COLUMNS, RULED_BY, Manifest, forget
from boxray.data.merge import Merged, merge_copies, who_looked
from boxray.data.pictures import Shelf
from boxray.data.presence import Cells, Rule
from boxray.data.room import require_room
from boxray.data.sources import Download, importer_of
from boxray.data.split import PARTS, Deal, Split, deal
from boxray.data.yolo_files import write_yolo_files


@dataclass(frozen=True, slots=True)
class Built:
    """What a build leaves behind."""

    manifest: Manifest
    audit: Audit
    books: dict[str, Books]
    """Of each source, closed."""


def build(
    datasets: DatasetsFile,
    out: Path,
    *,
    cards: Path | None = None,
    progress: Progress = lambda _what, _n: None,
) -> Built:
    """Build every source of `datasets` into the folder `out`.

    Pictures of an earlier build there are used again if neither their file nor the decoder has changed. Corrections
    are laid over what the sources say once patients are dealt: they move nobody from one part to another.

    Args:
        datasets: What to build, with absolute roots.
        out: Folder of the built set.
        cards: Folder of cards; None means the bench's.
        progress: Called with what is being done and the number of images finished since the last call.

    Returns:
        The manifest and its audit, both saved, and each source's books.

    Raises:
        DataError: If a source is not where the file says, or contradicts its card; if something else is in the way in
            `out`, or it is or holds or lies in the folder of a source; if the file's `names` are not the label space,
            or a card uses a word that no label space knows; if the log of corrections is damaged.
    """
    label_space = load_label_space(datasets.label_space)
    _require_names(datasets, label_space)
    deck = {name: load_card(entry.card, cards) for name, entry in datasets.sources.items()}
    for card in deck.values():
        _require_known_words(card, label_space)
    log = CorrectionLog.read(datasets.corrections) if datasets.corrections else CorrectionLog()
    require_roots(datasets)
    require_room(out, datasets.sources.values())
    out.mkdir(parents=True, exist_ok=True)
    shelf = Shelf(out)
    shelf.begin()  # before the old manifest goes: from now on the folder is known as a build's, wherever this one ends
    forget(out)
    audits = {name: Books(card) for name, card in deck.items()}
    gathered = together(
        _gather(name, entry, deck[name], label_space, datasets.split.key, shelf, audits[name], progress)
        for name, entry in datasets.sources.items()
    )
    merged = merge_copies(gathered, _groups(gathered, progress), label_space, audits)
    dealt = _deal(datasets, merged, gathered)
    exhaustive = {name: card.exhaustive_in(label_space) for name, card in deck.items()}
    looked = who_looked(merged.images, merged.boxes, exhaustive)
    corrected = correct(log, merged, looked, gathered.images, label_space, audits)
    merged, looked = corrected.merged, corrected.looked
    images, boxes = _image_table(merged, dealt, label_space), _consensus(merged.boxes, looked)
    manifest = Manifest(out, label_space, images, boxes)
    manifest.require_splits_apart()
    for name, books in audits.items():
        books.images_built = int((merged.images["source"] == name).sum())
        books.boxes_built = int(merged.boxes["reader"].str.startswith(f"{name}/").sum())
        books.close()
    progress("writing labels and audit", 0)
    shelf.keep(merged.images["picture"])
    write_yolo_files(manifest)
    audit = audit_of(manifest, audits, merged, looked, dealt, corrected.counts, decoded=shelf.decoded)
    write_audit(audit, manifest, merged.copies, corrected.edits, deck)
    manifest.save({"split": datasets.split.model_dump(), "audit": audit.to_json()}, merged.boxes)
    return Built(Manifest.load(out), audit, audits)


def _gather(
    name: str,
    entry: SourceEntry,
    card: Card,
    label_space: LabelSpace,
    key: str,
    shelf: Shelf,
    audit: Books,
    progress: Progress,
) -> Gathered:
    gatherer = Gatherer(name, entry.patients_of or name, card, label_space, key, shelf, audit)
    folders = [] if entry.pictures else [entry.root]
    gathered = gatherer.run(importer_of(card.layout)(Download(entry.root, entry.pictures)), folders, progress)
    shelf.save()  # a build that is cut off does not decode this source again
    return gathered


def _groups(gathered: Gathered, progress: Progress) -> IntArray:
    """Copies: the same pixels, or pictures so alike that they are the same film."""
    progress("looking for copies", 0)
    pixels = pd.factorize(gathered.images["sha256"])[0]
    thumbnails = np.array(gathered.thumbnails, dtype=np.uint8).reshape(-1, SIDE_PX, SIDE_PX)
    alike = near_copies(gathered.images["hash"].to_numpy(dtype=np.uint64), thumbnails)
    return _joined_groups(pixels, alike)


def _joined_groups(one: IntArray, other: IntArray) -> IntArray:
    """Groups of what is together in one grouping or the other, numbered by their first member."""
    group = np.arange(len(one))
    while True:
        before = group
        for grouping in (one, other):
            smallest = pd.Series(group).groupby(grouping).transform("min").to_numpy()
            group = np.minimum(group, smallest)
        if np.array_equal(group, before):
            return group


def _deal(datasets: DatasetsFile, merged: Merged, gathered: Gathered) -> Deal:
    images = gathered.images
    published: dict[str, Split] = {}
    for patient, part in images.loc[images["published"] != "", ["patient", "published"]].itertuples(index=False):
        published[patient] = max(Split(part), published.get(patient, Split.TRAIN), key=PARTS.index)
    dealt = merged.images.loc[merged.images["aside"] == "", ["image_id", "patient"]]
    ill = merged.boxes.merge(dealt, on="image_id")
    return deal(
        images["patient"].unique(),
        datasets.split.val,
        datasets.split.test,
        published=published,
        linked=merged.linked,
        boxed={str(finding): part["patient"].unique() for finding, part in ill.groupby("finding")},
    )


def _image_table(merged: Merged, dealt: Deal, label_space: LabelSpace) -> pd.DataFrame:
    images = merged.images
    split = images["patient"].map(dict(dealt.split_of)).where(images["aside"] == "", Split.ASIDE).astype(str)
    table = images.assign(split=pd.Categorical(split), source=pd.Categorical(images["source"]))
    cells = _cell_columns(merged.cells, label_space)
    return table[IMAGE_COLUMNS].assign(**cells, **_ruled_by_columns(merged, label_space))


def _ruled_by_columns(merged: Merged, label_space: LabelSpace) -> dict[str, pd.Categorical]:
    own = merged.images["source"].astype(str).to_numpy()
    names = sorted({*own, *(source for who in merged.ruled_by.values() for source in who)})
    place = {name: index for index, name in enumerate(names)}
    codes = np.array([place[source] for source in own], dtype=np.int64)
    columns = {}
    for position, key in enumerate(label_space.keys):
        ruled = codes.copy()
        for row, who in merged.ruled_by.items():
            ruled[row] = place[who[position]]
        columns[f"{RULED_BY}{key}"] = pd.Categorical.from_codes(ruled, names)
    return columns


def _cell_columns(cells: list[Cells], label_space: LabelSpace) -> dict[str, pd.Categorical]:
    """Two columns per finding, as codes: images that say the same share their tuple, so each is spelt out once."""
    kinds = {id(row): row for row in cells}
    place = {mark: index for index, mark in enumerate(kinds)}
    which = np.array([place[id(row)] for row in cells], dtype=np.int64)
    presences, rules = [p.value for p in Presence], [r.value for r in Rule]
    columns = {}
    for position, key in enumerate(label_space.keys):
        presence = np.array([presences.index(row[position].presence) for row in kinds.values()], dtype=np.int64)
        rule = np.array([rules.index(row[position].rule) for row in kinds.values()], dtype=np.int64)
        columns[f"presence_{key}"] = pd.Categorical.from_codes(presence[which], presences)
        columns[f"rule_{key}"] = pd.Categorical.from_codes(rule[which], rules)
    return columns


def _consensus(boxes: pd.DataFrame, looked: pd.DataFrame) -> pd.DataFrame:
    parts = [pd.DataFrame(columns=BOX_COLUMNS)]
    for finding, part in boxes.groupby("finding"):
        parts.append(fuse_table(part, looked[looked["finding"] == finding].groupby("image_id").size()))
    fused = pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)
    assert fused["votes"].sum() == len(boxes), "every reader's box is in exactly one box of the consensus"
    numbers = dict.fromkeys(CORNERS, "float64") | {"votes": "int64", "n_readers": "int64"}
    return fused[BOX_COLUMNS].astype(numbers | {"finding": "category"})


def _require_names(datasets: DatasetsFile, label_space: LabelSpace) -> None:
    """`names` is what ultralytics calls the classes of the label files; by position, so a slip renames findings."""
    if datasets.names is not None and datasets.names != dict(enumerate(label_space.keys)):
        raise DataError(
            f"the names {list(datasets.names.values())} are not the findings of {label_space.name!r} in their order: "
            f"{', '.join(label_space.keys)}"
        )


def _require_known_words(card: Card, label_space: LabelSpace) -> None:
    """A word that no label space has is a slip of the pen: its boxes would be left out as if nobody asked for them."""
    spaces = [label_space, *(load_label_space(path.stem) for path in bench_folder("data/label_spaces").glob("*.yaml"))]
    known = {word for space in spaces for finding in space for word in members(finding)}
    for word in sorted(card.words - known):
        near = difflib.get_close_matches(word, sorted(known), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise DataError(f"card {card.key!r} speaks of {word!r}, which is a finding of no label space{hint}")
