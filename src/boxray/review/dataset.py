"""A built set as a data set in FiftyOne: made once, brought up to date after, never at the cost of an edit."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import fiftyone as fo
import fiftyone.core.odm as foo
import pymongo

from boxray.core.findings import LabelSpace, Presence
from boxray.data.manifest import Manifest
from boxray.review import fields as names
from boxray.review.documents import Writer, is_edited, renewed_document
from boxray.review.naming import dataset_name
from boxray.review.questions import ASK, QUESTIONS
from boxray.review.shown import reader_boxes
from boxray.review.standing import images_in, mark_of, require_index, wanted_fields

AT_ONCE: Final = 250
"""Samples written together: some megabytes with their maps."""
Progress = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Opened:
    """What opening did."""

    dataset: Any
    mark: str
    """To be noted in its `info` once all else is done."""
    before: Mapping[str, Any]
    """Its `info` as the last opening has left it."""
    added: int
    renewed: int
    unchanged: int
    kept_edits: int
    """Findings of images that have changed below, whose edit was kept as it is."""
    gone: tuple[str, ...] = field(default=())
    """Images that the set has no more and that were edited: they are kept and have the tag ``gone``."""


def open_dataset(
    manifest: Manifest,
    whole: Manifest,
    writer: Writer,
    digests: Mapping[str, str],
    reviewer: str,
    progress: Progress = lambda: None,
) -> Opened:
    """Make or bring up to date the data set of a built set.

    Args:
        manifest: The images to be shown; those that were opened before and are not among them stay.
        whole: The whole set; what is in neither is gone.
        writer: Of these images.
        digests: What the writer says of them, by image id.
        reviewer: Whose data set.
        progress: Called after each image.
    """
    name = dataset_name(manifest.folder, reviewer)
    dataset = fo.load_dataset(name) if fo.dataset_exists(name) else fo.Dataset(name, persistent=True)
    require_index(dataset._sample_collection)  # noqa: SLF001 - a hundred times as quick as a document each
    mark = mark_of(manifest, whole, writer.said, reviewer)
    before = dict(dataset.info)
    dataset.info.pop("opened", None)  # cut off from here on, the next opening looks at everything again
    dataset.save()
    readers = {reader: names.reader_field(reader) for reader in reader_boxes(whole)}
    if dataset.info.get("mark") != mark or not wanted_fields(manifest.label_space) <= set(dataset.get_field_schema()):
        _make_schema(dataset, manifest.label_space, readers)
        dataset.info = {
            **dataset.info,
            "fingerprint": whole.fingerprint,
            "folder": str(manifest.folder.resolve()),
            "reviewer": reviewer,
            "label_space": manifest.label_space.to_mapping(),
            "readers": readers,
            "pictures": "decoded and rendered by boxray when the set was built; no tag of a DICOM file is kept",
            "model": writer.said.model,
        }
        dataset.save()
    counted = _write(dataset, manifest, writer, digests, progress)
    gone = _drop_gone(dataset, set(whole.images["image_id"]), manifest.label_space.keys)
    return Opened(dataset, mark, before, *counted, gone)


def _write(
    dataset: Any, manifest: Manifest, writer: Writer, digests: Mapping[str, str], progress: Progress
) -> tuple[int, int, int, int]:
    collection = dataset._sample_collection  # noqa: SLF001
    known = images_in(collection)
    fresh: list[dict[str, Any]] = []
    stale: dict[Any, dict[str, Any]] = {}
    added = renewed = unchanged = kept = 0
    for row in manifest.images.itertuples():
        digest = digests[row.image_id]
        at = known.get(row.image_id)
        if at is None:
            fresh.append(writer.document(row, digest) | _of_dataset(dataset))
            added += 1
        elif at.digest == digest:
            unchanged += 1
        else:
            stale[at.id] = writer.document(row, digest)
            renewed += 1
        if len(fresh) == AT_ONCE:
            collection.insert_many(fresh)
            fresh = []
        if len(stale) == AT_ONCE:
            kept += _renew(collection, stale, writer.label_space.keys)
            stale = {}
        progress()
    if fresh:
        collection.insert_many(fresh)
    kept += _renew(collection, stale, writer.label_space.keys)
    return added, renewed, unchanged, kept


def _of_dataset(dataset: Any) -> dict[str, Any]:
    """What FiftyOne itself writes beside the fields of a sample."""
    now = datetime.now(UTC)
    return {
        "_media_type": "image",
        "_rand": random.random(),  # noqa: S311 - FiftyOne draws by it
        "_dataset_id": dataset._doc.id,  # noqa: SLF001
        "created_at": now,
        "last_modified_at": now,
    }


def _renew(collection: Any, stale: Mapping[Any, dict[str, Any]], keys: Sequence[str]) -> int:
    """Write images anew that have changed below, all but the findings that were edited since they were shown."""
    if not stale:
        return 0
    kept, changes = 0, []
    for doc in collection.find({"_id": {"$in": list(stale)}}):
        fresh, stayed = renewed_document(doc, stale[doc["_id"]], keys)
        kept += stayed
        # Only if nobody has edited it in between: then it is brought up to date by the next opening.
        same = {"_id": doc["_id"], "last_modified_at": doc["last_modified_at"]}
        changes.append(pymongo.UpdateOne(same, {"$set": fresh}))
    collection.bulk_write(changes, ordered=False)
    return kept


def _drop_gone(dataset: Any, there: set[str], keys: Sequence[str]) -> tuple[str, ...]:
    """Images that the set has no more leave the data set, unless they were edited."""
    collection = dataset._sample_collection  # noqa: SLF001
    gone = [found.id for image, found in images_in(collection).items() if image not in there]
    kept, dropped = [], []
    for doc in collection.find({"_id": {"$in": gone}}):
        if is_edited(doc, keys):
            kept.append(doc[names.IMAGE_ID])
            collection.update_one({"_id": doc["_id"]}, {"$addToSet": {"tags": "gone"}})
        else:
            dropped.append(str(doc["_id"]))
    if dropped:
        dataset.delete_samples(dropped)
    return tuple(kept)


def _make_schema(dataset: Any, space: LabelSpace, readers: Mapping[str, str]) -> None:
    """Every field and attribute by name, so that an empty set has them too and nothing is guessed from values."""
    if dataset.media_type != fo.core.media.IMAGE:
        # Samples come here beside FiftyOne's own way, which would set it; without it the App lets nobody annotate.
        dataset._set_media_type(fo.core.media.IMAGE)  # noqa: SLF001
    known = set(dataset.get_field_schema(flat=True))

    def add(name: str, kind: Any, **more: Any) -> None:
        if name not in known:
            dataset.add_sample_field(name, kind, **more)

    for name in (names.IMAGE_ID, names.SHA256, "source", "split", "view", "patient", names.NEAR_COPY_OF):
        add(name, fo.StringField)
    for name in (names.SHOWN, names.DIGEST, names.STAMPS):
        add(name, fo.StringField)
    for name in (names.WIDTH, names.HEIGHT, "n_copies"):
        add(name, fo.IntField)
    for name in ("readers", names.QUALITY):
        add(name, fo.ListField, subfield=fo.StringField)
    for name in (*QUESTIONS, names.NEAR_COPY, names.UNIQUENESS):
        add(name, fo.FloatField)
    label = {"embedded_doc_type": fo.Detections}
    for name in (names.ANNOTATION, names.DETECTOR, names.DETECTOR_ALL, *readers.values()):
        add(name, fo.EmbeddedDocumentField, **label)
    for name in ("drawn_by", "raw_label", names.REVIEWER, names.REASON):
        add(f"{names.ANNOTATION}.detections.{name}", fo.StringField)
    for name in ("votes", "n_readers"):
        add(f"{names.ANNOTATION}.detections.{name}", fo.IntField)
    add(f"{names.ANNOTATION}.detections.{names.CHECKED}", fo.BooleanField)
    for name in readers.values():
        add(f"{name}.detections.raw_label", fo.StringField)
    for key in space.keys:
        presence = f"{names.PRESENCE}{key}"
        add(presence, fo.EmbeddedDocumentField, embedded_doc_type=fo.Classification)
        for name in ("rule", "ruled_by", names.REVIEWER, names.REASON):
            add(f"{presence}.{name}", fo.StringField)
        add(f"{presence}.{names.SECOND}", fo.BooleanField)
        add(f"{names.SCORE}{key}", fo.FloatField)
        add(f"{ASK}{key}", fo.FloatField)
        add(f"{names.MAP}{key}", fo.EmbeddedDocumentField, embedded_doc_type=fo.Heatmap)
        add(f"{names.MAP}{key}.peak", fo.FloatField)
        agreement = f"{names.AGREEMENT}{key}"
        add(agreement, fo.EmbeddedDocumentField, embedded_doc_type=fo.Classification)
        add(f"{agreement}.pointing_hit", fo.BooleanField)
        for name in ("iou", "energy_inside"):
            add(f"{agreement}.{name}", fo.FloatField)
    _make_indexes(dataset, space)
    _make_app(dataset, space, readers)


def _make_indexes(dataset: Any, space: LabelSpace) -> None:
    there = set(dataset.list_indexes())
    for name in (names.IMAGE_ID, "source", "split", *QUESTIONS, names.UNIQUENESS):
        if name not in there:
            dataset.create_index(name)
    for key in space.keys:
        if f"{names.PRESENCE}{key}.label" not in there:
            dataset.create_index(f"{names.PRESENCE}{key}.label")


def _make_app(dataset: Any, space: LabelSpace, readers: Mapping[str, str]) -> None:
    """What the App shows at first, in which order and colours, and what may be edited in it."""
    keys = space.keys
    groups = {
        "labels to edit": [names.ANNOTATION, *(f"{names.PRESENCE}{key}" for key in keys)],
        "readers": ["readers", *readers.values()],
        "detector": [names.DETECTOR, names.DETECTOR_ALL],
        "classifier": [*(f"{names.SCORE}{key}" for key in keys), *(f"{names.MAP}{key}" for key in keys)],
        "box and map": [f"{names.AGREEMENT}{key}" for key in keys],
        "image": ["source", "split", "view", "patient", names.QUALITY, "n_copies", names.IMAGE_ID],
        "why look": [
            *QUESTIONS,
            names.UNIQUENESS,
            names.NEAR_COPY,
            names.NEAR_COPY_OF,
            *(f"{ASK}{key}" for key in keys),
        ],
        "kept by boxray": [names.SHA256, names.WIDTH, names.HEIGHT, names.SHOWN, names.DIGEST, names.STAMPS],
    }
    open_at_first = {"labels to edit", "detector", "image"}
    rest = ["id", "filepath", "metadata.size_bytes", "metadata.mime_type", "metadata.width", "metadata.height"]
    rest += ["metadata.num_channels", "created_at", "last_modified_at"]
    sidebar = [foo.SidebarGroupDocument(name="tags", paths=[], expanded=False)]
    sidebar += [
        foo.SidebarGroupDocument(name=name, paths=paths, expanded=name in open_at_first)
        for name, paths in groups.items()
    ]
    sidebar.append(foo.SidebarGroupDocument(name="metadata", paths=rest, expanded=False))
    sidebar.append(foo.SidebarGroupDocument(name="other", paths=[], expanded=False))
    dataset.app_config.sidebar_groups = sidebar
    dataset.app_config.active_fields = foo.ActiveFields(paths=[names.ANNOTATION, names.DETECTOR])
    dataset.app_config.color_scheme = fo.ColorScheme(
        color_by="value",
        color_pool=[finding.colour for finding in space],
        fields=_field_colours(space, readers),
    )
    dataset.save()
    schemas = {names.ANNOTATION: _box_schema(keys)} | {f"{names.PRESENCE}{key}": _presence_schema() for key in keys}
    dataset.set_label_schemas(schemas)
    dataset.active_label_schemas = list(schemas)


def _field_colours(space: LabelSpace, readers: Mapping[str, str]) -> list[dict[str, Any]]:
    """Whose box it is shows at a glance: readers' in the finding's colour, the detector's all in one of its own."""
    ours = [(name, None) for name in (names.ANNOTATION, *readers.values())]
    theirs = [(name, names.DETECTOR_COLOUR) for name in (names.DETECTOR, names.DETECTOR_ALL)]
    return [
        {
            "path": name,
            "fieldColor": one,  # of the field in the side bar; boxes are coloured by value
            "colorByAttribute": "label",
            "valueColors": [{"value": finding.key, "color": one or finding.colour} for finding in space],
        }
        for name, one in (*ours, *theirs)
    ]


def _box_schema(keys: Sequence[str]) -> dict[str, Any]:
    text = {"type": "str", "component": "text"}
    return {
        "type": "detections",
        "component": "dropdown" if len(keys) > 5 else "radio",
        "classes": list(keys),
        "attributes": [
            {"name": names.REASON, **text},
            {"name": names.REVIEWER, **text},
            {"name": names.CHECKED, "type": "bool", "component": "checkbox"},
            {"name": "drawn_by", **text, "read_only": True},
            {"name": "raw_label", **text, "read_only": True},
        ],
    }


def _presence_schema() -> dict[str, Any]:
    text = {"type": "str", "component": "text"}
    return {
        "type": "classification",
        "component": "radio",
        "classes": [presence.value for presence in Presence],
        "attributes": [
            {"name": names.REASON, **text},
            {"name": names.REVIEWER, **text},
            {"name": names.SECOND, "type": "bool", "component": "checkbox"},
        ],
    }
