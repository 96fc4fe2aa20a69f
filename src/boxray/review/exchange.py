"""Out to CVAT (XML 1.1, for images) and Label Studio (JSON), and back, without losing ids, negatives or scores.

Every image goes out, one without a box too: what is left out cannot be told from what was found empty. A box keeps its
id as an attribute, so that a box that comes back moved is known for the one that went out. What comes back is compared
with what the set shows, and gives corrections as FiftyOne's edits do.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree as ET

from boxray.core.errors import DataError
from boxray.core.findings import Presence
from boxray.data.manifest import Manifest
from boxray.data.record import Corners
from boxray.review import fields as names
from boxray.review.documents import Document, detections
from boxray.review.edits import Edits, EditSource, Unread
from boxray.review.from_fiftyone import corrections_of
from boxray.review.readings import Said
from boxray.review.shown import Opinions, Shown, ShownFinding, shown_images, to_fractions

_ID, _SCORE, _SHA, _PRESENCE = "box_id", "score", "sha256", "presence"
_PICTURE: Final = "boxray"
"""Tag of an image that holds the hash of its pixels."""
_BOXES: Final = "boxes"


@dataclass(frozen=True, slots=True)
class OutBox:
    """A box on its way."""

    finding: str
    xyxy: Corners
    """In pixels of the picture."""
    id: str = ""
    """Empty for one that was drawn elsewhere."""
    score: float | None = None
    """Of a detection; None for an annotation."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class OutImage:
    """An image on its way, all its boxes with it."""

    image_id: str
    picture: str
    """Relative to the built set."""
    sha256: str
    size_wh: tuple[int, int]
    presence: Mapping[str, str]
    boxes: tuple[OutBox, ...] = ()
    detections: tuple[OutBox, ...] = field(default=())
    """For Label Studio's predictions; CVAT gets them as boxes with a score where asked for."""


def out_images(manifest: Manifest, said: Mapping[str, Said], opinions: Opinions, reviewer: str) -> list[OutImage]:
    """The images of a set as they go out, in its order: boxes and presence as the reviewer sees them."""
    shown = shown_images(manifest, opinions, reviewer)
    made = []
    for row in manifest.images.itertuples():
        findings = shown[row.image_id]
        each = said.get(row.image_id)
        made.append(
            OutImage(
                row.image_id,
                row.picture,
                row.sha256,
                (int(row.width), int(row.height)),
                {key: state.presence.value for key, state in findings.items()},
                tuple(OutBox(key, box.xyxy, box.id) for key, state in findings.items() for box in state.boxes),
                tuple(OutBox(det.finding, det.box.xyxy, "", det.score) for det in (each.speaking() if each else ())),
            )
        )
    return made


# -- CVAT --------------------------------------------------------------------------------------------------


def write_cvat(images: Iterable[OutImage], path: Path) -> None:
    """XML 1.1 for images. Detections go out as boxes with a score: clear the score of those that are right."""
    root = ET.Element("annotations")
    ET.SubElement(root, "version").text = "1.1"
    for number, image in enumerate(images):
        width, height = image.size_wh
        at = ET.SubElement(root, "image", id=str(number), name=image.picture, width=str(width), height=str(height))
        for key, presence in image.presence.items():
            _attributes(ET.SubElement(at, "tag", label=key, source="manual"), {_PRESENCE: presence})
        _attributes(ET.SubElement(at, "tag", label=_PICTURE, source="manual"), {_SHA: image.sha256})
        for box in (*image.boxes, *image.detections):
            x1, y1, x2, y2 = (repr(float(value)) for value in box.xyxy)
            made = ET.SubElement(
                at,
                "box",
                label=box.finding,
                source="manual" if box.score is None else "auto",
                occluded="0",
                xtl=x1,
                ytl=y1,
                xbr=x2,
                ybr=y2,
                z_order="0",
            )
            score = "" if box.score is None else repr(box.score)
            _attributes(made, {_ID: box.id, _SCORE: score, names.REASON: box.reason})
    ET.indent(root)
    ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _attributes(at: ET.Element, values: Mapping[str, str]) -> None:
    for name, value in values.items():
        ET.SubElement(at, "attribute", name=name).text = value


def read_cvat(path: Path) -> list[OutImage]:
    """What CVAT has exported ("CVAT for images 1.1"), or `write_cvat` has written.

    Raises:
        DataError: If it is no such file.
    """
    try:
        text = path.read_bytes()
        if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
            raise DataError(f"{path.name} declares entities, which no export of CVAT does")
        root = ET.fromstring(text)  # noqa: S314 - without entities there is nothing that it could expand
        return [_cvat_image(at) for at in root.iter("image")]
    except (OSError, ET.ParseError, KeyError, ValueError) as error:
        raise DataError(
            f'{path.name} is no export of CVAT; choose the format "CVAT for images 1.1" ({type(error).__name__})'
        ) from error


def _cvat_image(at: ET.Element) -> OutImage:
    presence, sha256 = {}, ""
    for tag in at.iter("tag"):
        values = _values(tag)
        if tag.attrib["label"] == _PICTURE:
            sha256 = values.get(_SHA, "")
        elif values.get(_PRESENCE):
            presence[tag.attrib["label"]] = values[_PRESENCE]
    boxes: list[OutBox] = []
    found: list[OutBox] = []
    for box in at.iter("box"):
        values = _values(box)
        score = float(values[_SCORE]) if values.get(_SCORE) else None
        x1, y1, x2, y2 = (float(box.attrib[name]) for name in ("xtl", "ytl", "xbr", "ybr"))
        made = OutBox(box.attrib["label"], (x1, y1, x2, y2), values.get(_ID, ""), score, values.get(names.REASON, ""))
        (boxes if score is None else found).append(made)
    size_wh = int(at.attrib["width"]), int(at.attrib["height"])
    return OutImage("", at.attrib["name"], sha256, size_wh, presence, tuple(boxes), tuple(found))


def _values(at: ET.Element) -> dict[str, str]:
    return {each.attrib["name"]: each.text or "" for each in at.iter("attribute")}


# -- Label Studio ------------------------------------------------------------------------------------------


def label_config(keys: Sequence[str]) -> str:
    """The labelling configuration of a Label Studio project that takes and gives what `write_label_studio` writes."""
    labels = "".join(f'<Label value="{key}"/>' for key in keys)
    choices = "".join(
        f'<Header value="{key}"/><Choices name="presence_{key}" toName="image" choice="single" showInline="true">'
        + "".join(f'<Choice value="{presence.value}"/>' for presence in Presence)
        + "</Choices>"
        for key in keys
    )
    boxes = f'<RectangleLabels name="{_BOXES}" toName="image">{labels}</RectangleLabels>'
    return f'<View><Image name="image" value="$image" zoom="true"/>{boxes}{choices}</View>'


def write_label_studio(images: Iterable[OutImage], path: Path, start: str = "/data/local-files/?d=") -> None:
    """Tasks as JSON: annotations are the set's, an empty one where there is no box; predictions are the detector's.

    Args:
        images: Of a set.
        path: The file.
        start: What stands before a picture's path where Label Studio finds it.
    """
    tasks = []
    for number, image in enumerate(images, start=1):
        chosen = [
            {
                "id": f"{_PRESENCE}_{key}",
                "type": "choices",
                "from_name": f"presence_{key}",
                "to_name": "image",
                "value": {"choices": [presence]},
            }
            for key, presence in image.presence.items()
        ]
        task: dict[str, Any] = {
            "id": number,
            "data": {"image": start + image.picture, "image_id": image.image_id, _SHA: image.sha256},
            "annotations": [{"result": [_ls_box(box, image) for box in image.boxes] + chosen}],
        }
        if image.detections:
            result = [_ls_box(box, image, f"d{place}") for place, box in enumerate(image.detections, start=1)]
            task["predictions"] = [{"model_version": "boxray", "result": result}]
        tasks.append(task)
    path.write_text(json.dumps(tasks), encoding="utf-8")


def _ls_box(box: OutBox, image: OutImage, name: str = "") -> dict[str, Any]:
    left, top, wide, high = (100 * value for value in to_fractions(box.xyxy, image.size_wh))
    made: dict[str, Any] = {
        "id": box.id or name,
        "type": "rectanglelabels",
        "from_name": _BOXES,
        "to_name": "image",
        "original_width": image.size_wh[0],
        "original_height": image.size_wh[1],
        "image_rotation": 0,
        "value": {
            "x": left,
            "y": top,
            "width": wide,
            "height": high,
            "rotation": 0,
            "rectanglelabels": [box.finding],
        },
    }
    if box.score is not None:
        made["score"] = box.score
    if box.reason:
        made["meta"] = {"text": [box.reason]}
    return made


def read_label_studio(path: Path) -> list[OutImage]:
    """What Label Studio has exported ("JSON"), or `write_label_studio` has written; of several annotations the last.

    A task without any annotation was not looked at and is left out; one with an empty annotation is a negative.

    Raises:
        DataError: If it is no such file, or a box was turned, which no box of ours is.
    """
    try:
        tasks = json.loads(path.read_text(encoding="utf-8"))
        return [_ls_image(task) for task in tasks if _last(task) is not None]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise DataError(f'{path.name} is no export of Label Studio; choose "JSON" ({type(error).__name__})') from error


def _last(task: Mapping[str, Any]) -> Any:
    held = [each for each in task.get("annotations", ()) if not each.get("was_cancelled")]
    return held[-1] if held else None


def _ls_image(task: Mapping[str, Any]) -> OutImage:
    data = task["data"]
    boxes, presence, size_wh = [], {}, (0, 0)
    for each in _last(task)["result"]:
        value = each["value"]
        if each["type"] == "choices":
            presence[str(each["from_name"]).removeprefix("presence_")] = str(value["choices"][0])
        elif each["type"] == "rectanglelabels":
            if value.get("rotation"):
                raise DataError("a box was turned in Label Studio; boxes here are upright: turn it back")
            size_wh = int(each["original_width"]), int(each["original_height"])
            boxes.append(_ls_out_box(each, value, size_wh))
    found = tuple(
        _ls_out_box(each, each["value"], (int(each["original_width"]), int(each["original_height"])))
        for guess in task.get("predictions", ())[:1]
        for each in guess["result"]
    )
    picture = str(data["image"]).rpartition("?d=")[2]
    sha256, image_id = str(data.get(_SHA, "")), str(data.get("image_id", ""))
    return OutImage(image_id, picture, sha256, size_wh, presence, tuple(boxes), found)


def _ls_out_box(each: Mapping[str, Any], value: Mapping[str, Any], size_wh: tuple[int, int]) -> OutBox:
    left, top, wide, high = (float(value[name]) / 100 for name in ("x", "y", "width", "height"))
    width, height = size_wh
    xyxy = left * width, top * height, (left + wide) * width, (top + high) * height
    reason = " ".join((each.get("meta") or {}).get("text") or ())
    score = each.get("score")
    return OutBox(value["rectanglelabels"][0], xyxy, str(each.get("id", "")), score, reason)


# -- what came back, as corrections ------------------------------------------------------------------------


def edits_from(path: Path, reviewer: str, opinions: Opinions) -> EditSource:
    """The edits in a file of CVAT (.xml) or Label Studio (.json), as a source for a pull.

    Args:
        path: The file. Its time is that of the edits: the same file gives the same edits in every pull.
        reviewer: Who has worked there.
        opinions: In force when the file was written out.
    """

    def read(manifest: Manifest) -> Edits:
        images = read_cvat(path) if path.suffix.lower() == ".xml" else read_label_studio(path)
        moment = datetime.fromtimestamp(int(path.stat().st_mtime), UTC)
        return _compared(images, manifest, reviewer, opinions, moment, path.name)

    return read


def _compared(
    images: Sequence[OutImage], manifest: Manifest, reviewer: str, opinions: Opinions, moment: datetime, file: str
) -> Edits:
    rows = {row.picture: row for row in manifest.images.itertuples()}
    by_id = {row.image_id: row for row in rows.values()}
    wanted = {row.image_id for image in images if (row := by_id.get(image.image_id) or rows.get(image.picture))}
    shown = shown_images(manifest.only(manifest.images["image_id"].isin(wanted)), opinions, reviewer)
    keys = manifest.label_space.keys
    info = {"fingerprint": manifest.fingerprint, "reviewer": reviewer}
    made, unread = [], []
    for image in images:
        row = by_id.get(image.image_id) or rows.get(image.picture)
        if row is None:
            unread.append(Unread(f"{file}, {image.picture}", "the image is not in this set"))
            continue
        doc = _document(image, row, shown[row.image_id], keys, moment)
        found, bad = corrections_of(doc, keys, info, {})
        made += found
        unread += bad
    return Edits(tuple(made), tuple(unread))


def _document(
    image: OutImage, row: Any, findings: Mapping[str, ShownFinding], keys: Sequence[str], moment: datetime
) -> Document:
    size_wh = int(row.width), int(row.height)
    boxes = [
        {
            "_id": box.id or f"drawn-{place}",
            "label": box.finding,
            "bounding_box": to_fractions(box.xyxy, size_wh),
            names.REASON: box.reason,
        }
        for place, box in enumerate(image.boxes)
    ]
    shown = Shown.of(findings)
    return {
        names.IMAGE_ID: row.image_id,
        names.SHA256: image.sha256 or row.sha256,
        names.WIDTH: size_wh[0],
        names.HEIGHT: size_wh[1],
        names.SHOWN: shown.to_json(),
        names.ANNOTATION: detections(boxes),
        "last_modified_at": moment,
        **{
            f"{names.PRESENCE}{key}": {"label": image.presence.get(key, shown.presence.get(key, "unknown"))}
            for key in keys
        },
    }
