"""Saved views that answer questions: which films a reviewer should look at first, and why."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import fiftyone as fo
import numpy as np
import pandas as pd
import pymongo

from boxray.core.arrays import FloatArray
from boxray.data.manifest import Manifest
from boxray.review import fields as names
from boxray.review.alike import near_copies_of_others
from boxray.review.questions import (
    ASK,
    DISAGREE,
    DOUBT,
    DRAW,
    FALSE,
    MAP,
    MISSED,
    MOST_ASKED,
    answers,
    features_of,
)
from boxray.review.readings import Readings
from boxray.review.standing import answer_marks, images_in

NOW: Final = "opened now"
"""The view of the images that were asked for, where they are not all."""
_FEWEST: Final = 3
"""Images below which neither neighbours nor a plot say anything."""
_NEIGHBOURS: Final = 3
_ODD: Final = 200
_BLUE, _RED, _GREEN, _GREY = "#4477AA", "#EE6677", "#228833", "#BBBBBB"


def answer_all(dataset: Any, manifest: Manifest, said: Readings, cache: Path, *, anew: bool = False) -> bool:
    """Answer every question for the images of a manifest and keep the answers beside them.

    Args:
        dataset: Of FiftyOne; holds all these images.
        manifest: The images.
        said: Their readings.
        cache: File of fingerprints, made if need be.
        anew: Whatever was answered before; else only what is made from something else than the last time.

    Returns:
        False where nothing has changed since the last time, and nothing was done.
    """
    before, marks = dataset.info.get("answers"), answer_marks(manifest, said)
    known = before if isinstance(before, dict) else {}
    changed = {kind for kind, mark in marks.items() if anew or known.get(kind) != mark}
    if not changed:
        return False
    collection = dataset._sample_collection  # noqa: SLF001 - as in `boxray.review.dataset`
    ids = {image: found.id for image, found in images_in(collection).items()}
    said = said.only(manifest.images["image_id"])
    if "questions" in changed:
        _keep(collection, answers(manifest, said).set_index("image_id"), ids)
    if "alike" in changed:
        _keep(collection, _alike(manifest, cache), ids)
    if "odd" in changed:
        with_features = [image for image in manifest.images["image_id"] if image in said]
        with_features = [image for image in with_features if said[image].features is not None]
        features = features_of(with_features, said)
        odd = pd.DataFrame({names.UNIQUENESS: np.nan}, index=manifest.images["image_id"])
        if features is not None and len(features) > _FEWEST:
            odd.loc[with_features, names.UNIQUENESS] = uniqueness(features)
            _plot(dataset, [str(ids[image]) for image in with_features], features)
        _keep(collection, odd, ids)
    dataset.info["answers"] = marks
    dataset.save()
    return True


def _alike(manifest: Manifest, cache: Path) -> pd.DataFrame:
    found = near_copies_of_others(manifest, cache).set_index("image_id")
    table = pd.DataFrame(index=manifest.images["image_id"])
    table[names.NEAR_COPY] = found["alike"].reindex(table.index).astype(float)
    table[names.NEAR_COPY_OF] = found["other"].reindex(table.index).astype(object)
    return table


def _keep(collection: Any, table: pd.DataFrame, ids: Mapping[str, Any]) -> None:
    """Write the answers that are others than those that stand there; an image is written anew with all its maps."""
    wanted = dict.fromkeys([names.IMAGE_ID, *table.columns], 1)
    there = {doc["_id"]: doc for doc in collection.find({}, wanted)}
    rows = table.astype(object).where(table.notna(), None).to_dict("index")
    changed = [
        pymongo.UpdateOne({"_id": ids[image]}, {"$set": row})
        for image, row in rows.items()
        if any(name not in there[ids[image]] or there[ids[image]][name] != value for name, value in row.items())
    ]
    if changed:
        collection.bulk_write(changed, ordered=False)


def uniqueness(features: FloatArray) -> FloatArray:
    """Shape ``(N,)`` in [0, 1]: mean distance to the three nearest others, as a share of the greatest.

    Args:
        features: Shape ``(N, C)``, rows of length 1; more than three.
    """
    far = np.empty(len(features))
    for start in range(0, len(features), 1024):
        alike = features[start : start + 1024] @ features.T
        alike[np.arange(len(alike)), np.arange(start, start + len(alike))] = -np.inf
        nearest = np.partition(alike, -_NEIGHBOURS, axis=1)[:, -_NEIGHBOURS:]
        far[start : start + 1024] = 1 - nearest.mean(axis=1)
    share: FloatArray = np.clip(far, 0, None) / max(float(far.max()), 1e-12)
    return share


def plane(features: FloatArray) -> FloatArray:
    """Shape ``(N, 2)``: the features on a plane, by UMAP where it is installed, else by their two main directions."""
    try:
        from umap import UMAP
    except ImportError:
        centred = features - features.mean(axis=0)
        _, vectors = np.linalg.eigh(centred.T @ centred)
        points: FloatArray = centred @ vectors[:, -2:][:, ::-1]
        return points
    return np.asarray(UMAP(random_state=0).fit_transform(features))


def _plot(dataset: Any, ids: list[str], features: FloatArray) -> None:
    import fiftyone.brain as fob

    if names.PLOT in dataset.list_brain_runs():
        dataset.delete_brain_run(names.PLOT)
    points = dict(zip(ids, plane(features), strict=True))
    fob.compute_visualization(dataset.select(ids), points=points, brain_key=names.PLOT, progress=False)


def save_views(dataset: Any, manifest: Manifest, opened: pd.Series | None = None) -> list[str]:
    """Save every view that has something to show; those of an earlier opening are brought up to date.

    Args:
        dataset: Of FiftyOne.
        manifest: For the findings' names and the sources.
        opened: Image ids that were asked for, where these are not all.

    Returns:
        The names of the views, in the order of the App's list.
    """
    at = fo.ViewField
    space = manifest.label_space
    views: list[tuple[str, Any, str, str]] = []
    if opened is not None:
        views.append((NOW, dataset.match(at(names.IMAGE_ID).is_in(opened.tolist())), "The images asked for.", _BLUE))
    for name, field, words in (
        ("probable label errors", DOUBT, "Boxes that look like spoiled ones to the detector, or places that lack one."),
        ("missed boxes", MISSED, "Readers' boxes that the detector does not find at its operating points."),
        ("confident false positives", FALSE, "The detector's surest boxes that no reader drew, where readers looked."),
        ("readers disagree", DISAGREE, "Several readers; 1 - F1 of their boxes at IoU 0.4."),
        ("box against map", MAP, "Detector and classifier contradict each other."),
        ("present without box", DRAW, "Somebody says it is there and nobody drew it: draw, or accept the detector's."),
    ):
        there = at(field) > 0 if field != DRAW else at(field).exists()
        views.append((name, dataset.match(there).sort_by(field, reverse=True), words, _RED))
    for finding in space:
        field = f"{ASK}{finding.key}"
        words = f"Unknown: the {MOST_ASKED} films from whose answer most is learned (uncertainty x diversity)."
        views.append((f"ask: {finding.display}", dataset.match(at(field).exists()).sort_by(field), words, _GREEN))
    near = dataset.match(at(names.NEAR_COPY).exists()).sort_by(names.NEAR_COPY, reverse=True)
    views.append(("near-copies across patients", near, "Films of two patients that look like one.", _GREY))
    odd = dataset.match(at(names.UNIQUENESS).exists()).sort_by(names.UNIQUENESS, reverse=True).limit(_ODD)
    views.append(("odd images", odd, "Unlike all others, by the detector's features.", _GREY))
    flagged = dataset.match(at(names.QUALITY).length() > 0)
    views.append(("quality flags", flagged, "Set aside by the build, or refused by the scope gate.", _GREY))
    marks = [f"{names.PRESENCE}{key}.{names.SECOND}" for key in space.keys]
    second = dataset.match(fo.ViewExpression.any([at(mark) == True for mark in marks]))  # noqa: E712 - FiftyOne's words
    views.append(("second opinion", second, "Marked by the reviewer for somebody else.", _BLUE))
    views += [
        (f"source: {source}", dataset.match(at("source") == source), "All images of a source.", _GREY)
        for source in sorted(set(manifest.images["source"]))
    ]
    always = {"second opinion"}
    there_now = set(dataset.list_saved_views())
    saved = []
    for name, view, words, colour in views:
        if name in always or view.limit(1).count():
            dataset.save_view(name, view, description=words, color=colour, overwrite=True)
            saved.append(name)
        elif name in there_now:
            dataset.delete_saved_view(name)
    return saved
