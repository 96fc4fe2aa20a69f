"""The way back from FiftyOne: whatever differs in the database from what was shown, as corrections.

It does not matter how an edit was made: drawn in the App, by an operator of ours, or by FiftyOne's API. The database
is asked itself: FiftyOne need not be imported for it, which would take longer than all the rest.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from boxray.core.errors import DataError
from boxray.core.findings import LabelSpace, Presence
from boxray.data.corrections import Correction, Kind, same_box, utc_time
from boxray.data.manifest import Manifest
from boxray.data.record import Corners
from boxray.review import fields as names
from boxray.review.database import database_name
from boxray.review.documents import Document, boxes_now, is_edited, shown_now
from boxray.review.edits import Edits, Unread
from boxray.review.naming import name_start
from boxray.review.shown import Shown


@dataclass(slots=True)
class FiftyOneEdits:
    """The edits of every reviewer's data set of a built set; call it as an `EditSource`."""

    uri: str
    """Of the database."""
    database: str = field(default_factory=database_name)
    _read: list[tuple[str, Document, list[Correction]]] = field(default_factory=list)

    def __call__(self, manifest: Manifest) -> Edits:
        """All that was edited since it was opened or pulled.

        The time of an edit is written down when it is first seen here, so that it is the same in every pull.
        """
        self._read = []
        made: list[Correction] = []
        unread: list[Unread] = []
        with _client(self.uri) as client:
            at = client[self.database]
            for about in datasets(at, manifest.folder):
                collection = at[about["sample_collection_name"]]
                keys = LabelSpace.from_mapping(about["info"]["label_space"]).keys
                for doc in collection.find({}, _projection(keys)):
                    if not is_edited(doc, keys):
                        continue
                    stamps = json.loads(doc.get(names.STAMPS) or "{}")
                    stamped = dict(stamps)
                    found, bad = corrections_of(doc, keys, about["info"], stamped)
                    if stamped != stamps:
                        collection.update_one({"_id": doc["_id"]}, {"$set": {names.STAMPS: json.dumps(stamped)}})
                    made += found
                    unread += bad
                    self._read.append((about["sample_collection_name"], doc, found))
        return Edits(tuple(made), tuple(unread))

    def settle(self, safe: set[str]) -> None:
        """Take what is now in the log of corrections as what was shown: it is no edit any more.

        Args:
            safe: Ids of the corrections that were written, or were there already. An image that was edited again
                meanwhile stays as it is, and so does a finding of which one edit was refused.
        """
        with _client(self.uri) as client:
            at = client[self.database]
            for name, doc, found in self._read:
                unsafe = {made.finding for made in found if made.id not in safe}
                done = {made.finding for made in found} - unsafe
                if not done:
                    continue
                keys = sorted(done)
                now = shown_now(doc, keys)
                shown = Shown.from_json(doc[names.SHOWN])
                for key in keys:
                    shown = shown.with_finding(key, now)
                same = {"_id": doc["_id"], "last_modified_at": doc["last_modified_at"]}
                at[name].update_one(same, {"$set": {names.SHOWN: shown.to_json()}})


def datasets(at: Any, folder: Path) -> list[dict[str, Any]]:
    """FiftyOne's notes on the data sets of a built set, all reviewers', in the order of their names."""
    start = name_start(folder)
    wanted = {"name": {"$regex": f"^{start}"}}
    found = at["datasets"].find(wanted, {"name": 1, "sample_collection_name": 1, "info": 1})
    return sorted((about for about in found if "label_space" in about.get("info", {})), key=lambda about: about["name"])


def _client(uri: str) -> Any:
    from pymongo import MongoClient

    return MongoClient(uri, serverSelectionTimeoutMS=5000)


def _projection(keys: Sequence[str]) -> dict[str, int]:
    wanted = (names.IMAGE_ID, names.SHA256, names.WIDTH, names.HEIGHT, names.SHOWN, names.STAMPS, names.ANNOTATION)
    return dict.fromkeys([*wanted, "last_modified_at", *(f"{names.PRESENCE}{key}" for key in keys)], 1)


def corrections_of(
    doc: Document, keys: Sequence[str], info: Mapping[str, Any], stamps: dict[str, Any]
) -> tuple[list[Correction], list[Unread]]:
    """What one image's document says that it was not shown with.

    Args:
        doc: Of the database.
        keys: Of the label space.
        info: Of the data set: `fingerprint` and `reviewer`.
        stamps: Edits that were seen before; new ones are added.
    """
    made: list[Correction] = []
    unread: list[Unread] = []
    for edit in _edits(doc, keys):
        mark = json.dumps(edit, sort_keys=True)
        moment = stamps.setdefault(mark, [_moment(doc).isoformat(), info["fingerprint"]])
        try:
            made.append(
                Correction(
                    image_id=doc[names.IMAGE_ID],
                    sha256=doc[names.SHA256],
                    finding=edit["finding"],
                    kind=Kind(edit["kind"]),
                    reviewer=edit["reviewer"] or info["reviewer"],
                    made_at=utc_time(moment[0]),
                    base=moment[1],
                    box_before_xyxy=edit.get("before"),
                    box_after_xyxy=edit.get("after"),
                    presence_before=edit.get("presence_before"),
                    presence_after=edit.get("presence_after"),
                    reason=edit["reason"],
                    second_opinion=edit["kind"] == Kind.MARKED.value,
                )
            )
        except DataError as error:
            unread.append(Unread(f"{doc[names.IMAGE_ID]} {edit['finding']}", str(error)))
    strange = {str(box.get("label")) for box in boxes_now(doc) if box.get("label") not in keys}
    unread += [
        Unread(doc[names.IMAGE_ID], f"a box of {label!r}, which is none of the set's findings: {', '.join(keys)}")
        for label in sorted(strange)
    ]
    return made, unread


def _moment(doc: Document) -> datetime:
    last: datetime = doc["last_modified_at"]
    return last.replace(tzinfo=UTC, microsecond=0)


def _edits(doc: Document, keys: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Every edit as plain data: what `Correction` needs, without time and picture."""
    shown, now = Shown.from_json(doc[names.SHOWN]), shown_now(doc, keys)
    boxes = {str(box["_id"]): box for box in boxes_now(doc)}
    for key in keys:
        presence = doc.get(f"{names.PRESENCE}{key}") or {}
        said = {"finding": key, "reviewer": _word(presence, names.REVIEWER), "reason": _word(presence, names.REASON)}
        before, after = shown.presence.get(key), now.presence[key]
        drawn = list(_box_edits(key, shown, now, boxes, said))
        # Who draws a box and leaves the word as it was has said that it is there; so has who draws after the word.
        drew = any(edit["kind"] in {Kind.ADDED.value, Kind.CHANGED.value} for edit in drawn)
        if after not in {before, Presence.BOXED.value} and not drew:
            yield said | {"kind": Kind.PRESENCE.value, "presence_before": before, "presence_after": after}
        else:
            yield from drawn
        if presence.get(names.SECOND):
            yield said | {"kind": Kind.MARKED.value}


def _box_edits(
    key: str, shown: Shown, now: Shown, boxes: Mapping[str, Document], said: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    stood, stands = shown.boxes.get(key, {}), now.boxes.get(key, {})
    for name, xyxy in stood.items():
        if name not in stands:
            yield {**said, "kind": Kind.REMOVED.value, "before": _rounded(xyxy)}
    for name, xyxy in stands.items():
        own = {
            **said,
            "reviewer": _word(boxes[name], names.REVIEWER) or said["reviewer"],
            "reason": _word(boxes[name], names.REASON) or said["reason"],
        }
        if name not in stood:
            yield {**own, "kind": Kind.ADDED.value, "after": _rounded(xyxy)}
        elif not same_box(stood[name], xyxy):
            yield {**own, "kind": Kind.CHANGED.value, "before": _rounded(stood[name]), "after": _rounded(xyxy)}
        elif boxes[name].get(names.CHECKED):
            yield {**own, "kind": Kind.KEPT.value, "before": _rounded(stood[name])}


def _rounded(xyxy: Corners) -> list[float]:
    """A thousandth of a pixel: finer is nothing that a hand does, and the last digits differ between two ways back."""
    return [round(value, 3) for value in xyxy]


def _word(label: Mapping[str, Any], name: str) -> str:
    return str(label.get(name) or "").strip()
