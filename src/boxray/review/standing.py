"""What stands in FiftyOne's database of a reviewer's data set, asked of the database itself.

FiftyOne need not be imported for it, which takes longer than all else where nothing has changed since the last opening.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from boxray.core.findings import LabelSpace
from boxray.data.manifest import Manifest
from boxray.review import fields as names
from boxray.review.database import database_name
from boxray.review.questions import ASK, QUESTIONS
from boxray.review.readings import Readings
from boxray.review.shown import digest_of

INDEX: Final = "boxray_standing"
"""Holds all that `images_in` asks for, so that the database need not touch images, boxes and maps."""
VERSION: Final = "3"
"""Of the schema and of what the App shows at first; another one has both written anew."""
ANSWERS: Final = "2"
"""Of how the questions are answered; another one has them answered anew."""
_KEYS: Final = (names.IMAGE_ID, names.DIGEST, "_id")


@dataclass(frozen=True, slots=True)
class Image:
    """An image that lies in the data set."""

    id: Any
    digest: str | None


@dataclass(frozen=True, slots=True)
class Standing:
    """A data set as it was left by the last opening and by whoever has edited it since."""

    info: Mapping[str, Any]
    """What `boxray.review.dataset` has noted beside it."""
    fields: frozenset[str]
    """Names of the fields of a sample."""
    views: tuple[str, ...]
    """Names of the saved views, in the App's order."""
    images: Mapping[str, Image]
    """By image id."""

    def holds(self, digests: Mapping[str, str], there: Collection[str]) -> bool:
        """Whether every image lies there as it would be written now, and none that the set has no more.

        Args:
            digests: Of the images that are opened, by id.
            there: Ids of all images of the set.
        """
        images = self.images
        same = all(image in images and images[image].digest == digest for image, digest in digests.items())
        return same and images.keys() <= set(there)


def mark_of(manifest: Manifest, whole: Manifest, said: Readings, reviewer: str) -> str:
    """Of all that is written of the data set itself: schema, what the App shows at first, what is noted beside it."""
    about = [whole.fingerprint, str(manifest.folder.resolve()), reviewer, manifest.label_space.to_mapping(), said.model]
    return digest_of(VERSION, about, sorted(whole.reader_boxes()["reader"].unique()))


def wanted_fields(space: LabelSpace) -> frozenset[str]:
    """Names of the fields without which nothing can be shown or taken back."""
    each = (names.PRESENCE, names.SCORE, names.MAP, names.AGREEMENT, ASK)
    fixed = {names.IMAGE_ID, names.SHOWN, names.DIGEST, names.STAMPS, names.ANNOTATION, names.DETECTOR_ALL, *QUESTIONS}
    return frozenset(fixed | {f"{begins}{key}" for begins in each for key in space.keys})


def answer_marks(manifest: Manifest, said: Readings) -> dict[str, str]:
    """Of what each kind of answer is made from: where one is the same as the last time, so is the answer."""
    images = manifest.images
    seen = [(image, said.digest(image)) for image in images["image_id"]]
    pictures = [images[name].tolist() for name in ("image_id", "sha256", "patient")]
    return {
        "questions": digest_of(ANSWERS, manifest.fingerprint, seen),
        "alike": digest_of(ANSWERS, pictures),
        "odd": digest_of(ANSWERS, [(image, said.features_digest(image)) for image in images["image_id"]]),
    }


def standing(uri: str, name: str) -> Standing | None:
    """What stands under a name; None where there is no such data set, or an older boxray has made it.

    Args:
        uri: Of the database.
        name: Of the data set.
    """
    from pymongo import MongoClient
    from pymongo.errors import OperationFailure

    client: Any
    with MongoClient(uri, serverSelectionTimeoutMS=5000) as client:
        at = client[database_name()]
        about = at["datasets"].find_one({"name": name})
        if about is None:
            return None
        try:
            images = images_in(at[about["sample_collection_name"]])
        except OperationFailure:  # there is no such index
            return None
        of_id = {view["_id"]: view["name"] for view in at["views"].find({"_id": {"$in": about.get("saved_views", [])}})}
        views = tuple(of_id[each] for each in about.get("saved_views", []) if each in of_id)
        fields = frozenset(field["name"] for field in about.get("sample_fields", []))
        return Standing(about.get("info") or {}, fields, views, images)


def images_in(collection: Any) -> dict[str, Image]:
    """The images of a collection of samples by their ids; samples that boxray did not put there are left out.

    Raises:
        pymongo.errors.OperationFailure: If the collection has no `INDEX`.
    """
    wanted = collection.find({}, dict.fromkeys(_KEYS, 1)).hint(INDEX)
    return {doc[names.IMAGE_ID]: Image(doc["_id"], doc.get(names.DIGEST)) for doc in wanted if doc.get(names.IMAGE_ID)}


def require_index(collection: Any) -> None:
    """Make the `INDEX` of a collection where it has none."""
    if INDEX not in collection.index_information():
        collection.create_index([(key, 1) for key in _KEYS], name=INDEX)
