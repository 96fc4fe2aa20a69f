"""How far two readers agree, or a reader and the detector: boxes, and whether a finding is there at all.

Only where both looked. A reader who draws some examples has not denied the others; one who was never asked has denied
nothing; and the detector says nothing of a finding that it was not trained to box.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from boxray.core.arrays import BoolArray, FloatArray
from boxray.core.errors import DataError
from boxray.core.findings import Presence
from boxray.core.metrics.interval import Interval, bootstrap_all
from boxray.core.plain import rounded
from boxray.data.card import load_card
from boxray.data.correction_log import CorrectionLog
from boxray.data.corrections import SOURCE
from boxray.data.manifest import CORNERS, Manifest
from boxray.data.merge import who_looked
from boxray.data.reader_agreement import one_to_one
from boxray.data.reader_boxes import overlapping_pairs
from boxray.review.readings import Said

CONSENSUS: Final = "consensus"
"""The name under which the boxes of the built set itself are compared."""

MODEL: Final = "model"

BOX_COLUMNS: Final = ["image_id", "finding", *CORNERS]

FIGURES: Final = ("f1", "mean_iou", "kappa", "pabak")


@dataclass(frozen=True, slots=True)
class Looks:
    """What one reader, or a model, says of a set."""

    name: str
    boxes: pd.DataFrame
    """With the columns of `BOX_COLUMNS`, in pixels of the built set's pictures."""
    boxed: pd.DataFrame
    """`image_id` and `finding` where he looked for boxes, those where he found none included."""
    there: pd.DataFrame
    """`image_id`, `finding` and `there`: where he says in so many words whether it is there."""


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """Two of them on one finding."""

    finding: str
    readers: tuple[str, str]
    images: int
    """Which both have searched for boxes."""
    boxes: tuple[int, int]
    """Of the one and of the other, on these images."""
    matches: int
    """Pairs of boxes that overlap enough, one to one, the greatest overlap first."""
    f1: Interval
    """2 x matches over all boxes, in [0, 1]."""
    mean_iou: Interval
    """Of the matched boxes."""
    presence: tuple[int, int, int, int]
    """Images by what both say of the presence: there/there, there/not, not/there, not/not."""
    kappa: Interval
    """Cohen's, in [-1, 1]: agreement on presence beyond chance. NaN where both say the same of all images."""
    pabak: Interval
    """2 x observed agreement - 1 (Byrt, Bishop and Carlin, 1993): kappa as if half of the images had the finding."""

    def to_json(self) -> dict[str, Any]:
        """Plain data; the sums are exact, the figures have four digits and null where there is nothing to measure."""
        counts = dict(zip(("both", "first_only", "second_only", "neither"), self.presence, strict=True))
        figures = {name: getattr(self, name).to_json() for name in FIGURES}
        said = {"finding": self.finding, "readers": list(self.readers), "images": self.images}
        return said | {"boxes": list(self.boxes), "matches": self.matches, "presence": counts} | figures

    def to_row(self) -> dict[str, Any]:
        """One flat row, for a table."""
        row: dict[str, Any] = {"finding": self.finding, "first": self.readers[0], "second": self.readers[1]}
        row |= {"images": self.images, "boxes_first": self.boxes[0], "boxes_second": self.boxes[1]}
        row |= {"matches": self.matches, "images_presence": sum(self.presence)}
        for name in FIGURES:
            interval: Interval = getattr(self, name)
            row |= {name: rounded(interval.value), f"{name}_low": rounded(interval.low)}
            row[f"{name}_high"] = rounded(interval.high)
        return row


def readers_of(manifest: Manifest, log: CorrectionLog | None = None, cards: Path | None = None) -> dict[str, Looks]:
    """Everybody who has read the set: its readers by name, its reviewers, and the consensus of all.

    A published reader has looked for a finding where he drew it, and wherever he read the image if his source's card
    says that its readers box every occurrence; what reviewers have decided since is no longer his. A reviewer has
    looked where he holds something.

    Args:
        manifest: The set, or a part of it.
        log: The corrections; None leaves reviewers out.
        cards: Folder of cards; None means the bench's.
    """
    ids = set(manifest.images["image_id"])
    own = manifest.reader_boxes()
    own = own[own["image_id"].isin(ids)]
    published = own[~own["reader"].str.startswith(f"{SOURCE}/")]
    looked = who_looked(manifest.images, published, _exhaustive(manifest, cards))
    looked = pd.concat([looked, _silent(manifest, cards)]).drop_duplicates()
    looked = looked[~_corrected(manifest, looked)]
    found = {}
    for name, boxed in looked[looked["image_id"].isin(ids)].groupby("reader"):
        boxes = published.loc[published["reader"] == name, BOX_COLUMNS]
        found[str(name)] = _from_boxes(str(name), boxes, boxed[["image_id", "finding"]])
    if log is not None:
        found |= _reviewers(manifest, log)
    return found | {CONSENSUS: _consensus(manifest)}


def model_of(manifest: Manifest, said: Mapping[str, Said], score: float | None = None) -> Looks:
    """The detector as a reader.

    Args:
        manifest: The set, or a part of it.
        said: What it says, by image id.
        score: From which a detection counts; None means its operating points.

    Raises:
        DataError: If it has read none of the images.
    """
    drawn, boxed = [], []
    for image_id in manifest.images["image_id"]:
        each = said.get(image_id)
        if each is None or each.code is not None:
            continue
        assessed = [key for key in manifest.label_space.keys if key not in each.not_assessed]
        boxed += [(image_id, key) for key in assessed]
        found = each.speaking() if score is None else tuple(det for det in each.detections if det.score >= score)
        drawn += [(image_id, det.finding, *det.box.xyxy) for det in found if det.finding in assessed]
    if not boxed:
        raise DataError("the detector has read none of these images; read the set first (boxray review open --read)")
    boxes = pd.DataFrame(drawn, columns=BOX_COLUMNS)
    return _from_boxes(MODEL, boxes, pd.DataFrame(boxed, columns=["image_id", "finding"]))


def agreement(
    one: Looks, other: Looks, manifest: Manifest, iou: float, *, rounds: int = 1000, seed: int = 0
) -> list[PairAgreement]:
    """How far two agree, finding by finding in the label space's order; findings that not both have seen are left out.

    Args:
        one: The first.
        other: The second.
        manifest: The set, for whose patients are whose.
        iou: Overlap from which two boxes are one, in (0, 1].
        rounds: Resamples of patients for the intervals.
        seed: Makes them repeatable.

    Raises:
        DataError: If the overlap lies elsewhere, or the two are one and the same.

    Source of kappa: Cohen, 1960; of the intervals: Efron and Tibshirani, 1993, ch. 13.
    """
    if not 0 < iou <= 1:
        raise DataError(f"iou must lie above 0 and not above 1, got {iou}")
    if one.name == other.name:
        raise DataError(f"{one.name} cannot be compared with himself; name two readers")
    patients = manifest.images.set_index("image_id")["patient"]
    rows = []
    for key in manifest.label_space.keys:
        sums = _sums(key, one, other, iou)
        if len(sums):
            whose = patients.loc[sums.index].tolist()
            rows.append(_figured(key, (one.name, other.name), sums, whose, rounds, seed))
    return rows


_SUMS: Final = ["looked", "first", "second", "matches", "iou", "both", "first_only", "second_only", "neither"]


def _sums(key: str, one: Looks, other: Looks, iou: float) -> pd.DataFrame:
    """What is counted of one finding, a row per image that both have seen."""
    searched = _both(one.boxed, other.boxed, key)
    said = _both(one.there, other.there, key)
    images = sorted({*searched["image_id"], *said["image_id"]})
    sums = pd.DataFrame(0.0, index=pd.Index(images, name="image_id"), columns=_SUMS)
    sums.loc[searched["image_id"], "looked"] = 1
    boxes = pd.concat(
        [_of(each, key, searched["image_id"]).assign(reader=place) for place, each in enumerate((one, other))]
    ).sort_values(["image_id", "reader", *CORNERS], ignore_index=True)
    for place, column in ((0, "first"), (1, "second")):
        counts = boxes.loc[boxes["reader"] == place, "image_id"].value_counts()
        sums.loc[counts.index, column] = counts
    matched = pd.DataFrame(_matched(boxes, iou), columns=["image_id", "iou"]).astype({"iou": np.float64})
    of_image = matched.groupby("image_id")["iou"].agg(["count", "sum"])
    sums.loc[of_image.index, ["matches", "iou"]] = of_image.to_numpy(dtype=np.float64)
    first, second = said["there_x"].to_numpy(dtype=bool), said["there_y"].to_numpy(dtype=bool)
    cells = (first & second, first & ~second, ~first & second, ~first & ~second)
    for column, cell in zip(_SUMS[5:], cells, strict=True):
        sums.loc[said["image_id"], column] = cell.astype(float)
    return sums


def _both(one: pd.DataFrame, other: pd.DataFrame, key: str) -> pd.DataFrame:
    """The images of one finding in both tables; `there` of each as `there_x` and `there_y`."""
    mine, yours = (table[table["finding"] == key].drop(columns="finding") for table in (one, other))
    return mine.merge(yours, on="image_id")


def _of(looks: Looks, key: str, images: pd.Series) -> pd.DataFrame:
    boxes = looks.boxes
    return boxes.loc[(boxes["finding"] == key) & boxes["image_id"].isin(images), ["image_id", *CORNERS]]


def _matched(boxes: pd.DataFrame, iou: float) -> list[tuple[str, float]]:
    """Image and overlap of every pair of boxes that are one."""
    if boxes.empty:
        return []
    group, images = pd.factorize(boxes["image_id"], sort=True)
    reader = boxes["reader"].to_numpy(dtype=np.int64)
    corners = boxes[CORNERS].to_numpy(dtype=np.float64)
    one, other, overlap = overlapping_pairs(corners, group.astype(np.int64), reader, iou)
    taken = one_to_one(one, other, overlap, reader)
    return list(zip(images[group[one[taken]]], overlap[taken].tolist(), strict=True))


def _figured(
    key: str, names: tuple[str, str], sums: pd.DataFrame, patients: list[str], rounds: int, seed: int
) -> PairAgreement:
    table = sums.to_numpy(dtype=np.float64)
    figures = bootstrap_all(lambda weights: figures_of(weights @ table), patients, rounds=rounds, seed=seed)
    total = sums.sum()
    counts = [int(total[name]) for name in _SUMS if name != "iou"]
    images, first, second, matches, *presence = counts
    together = dict(zip(FIGURES, figures, strict=True))
    cells = (presence[0], presence[1], presence[2], presence[3])
    return PairAgreement(key, names, images, (first, second), matches, presence=cells, **together)


def figures_of(total: FloatArray) -> FloatArray:
    """The `FIGURES` of sums over images, in the order of their columns; NaN where there is nothing to measure."""
    _, first, second, matches, iou, both, first_only, second_only, neither = total
    n = both + first_only + second_only + neither
    with np.errstate(invalid="ignore", divide="ignore"):
        observed = (both + neither) / n
        one, other = (both + first_only) / n, (both + second_only) / n
        chance = one * other + (1 - one) * (1 - other)
        kappa = np.where(chance < 1, (observed - chance) / (1 - chance), np.nan)
        f1, mean_iou = 2 * matches / (first + second), iou / matches
    return np.array([f1, mean_iou, kappa, 2 * observed - 1], dtype=np.float64)


def _from_boxes(name: str, boxes: pd.DataFrame, boxed: pd.DataFrame) -> Looks:
    """Of somebody whose boxes are all that he says."""
    boxed = boxed.drop_duplicates().reset_index(drop=True)
    drew = pd.MultiIndex.from_frame(boxes[["image_id", "finding"]])
    there = boxed.assign(there=pd.MultiIndex.from_frame(boxed).isin(drew))
    return Looks(name, boxes.reset_index(drop=True), boxed, there)


def _exhaustive(manifest: Manifest, cards: Path | None) -> dict[str, list[str]]:
    """Source -> findings of which its readers box every occurrence, as its card says."""
    books = manifest.audit().get("sources", {})
    return {name: load_card(book["source"], cards).exhaustive_in(manifest.label_space) for name, book in books.items()}


def _corrected(manifest: Manifest, looked: pd.DataFrame) -> BoolArray:
    """Which rows speak of a finding whose published boxes gave way to reviewers'."""
    among = np.zeros(len(looked), dtype=bool)
    for key in manifest.label_space.keys:
        ruled = manifest.images.loc[(manifest.ruled_by(key) == SOURCE).to_numpy(), "image_id"]
        among |= ((looked["finding"] == key) & looked["image_id"].isin(ruled)).to_numpy(dtype=bool)
    return among


def _silent(manifest: Manifest, cards: Path | None) -> pd.DataFrame:
    """Who looked for a finding and drew nothing, also where nobody else drew it."""
    parts = [pd.DataFrame(columns=["image_id", "finding", "reader"])]
    who = manifest.images[["image_id"]].assign(reader=manifest.images["readers"].str.split()).explode("reader").dropna()
    source = who["reader"].str.replace("/.*", "", regex=True)
    for name, findings in _exhaustive(manifest, cards).items():
        parts += [who[source == name].assign(finding=finding) for finding in findings]
    return pd.concat(parts, ignore_index=True)


def _reviewers(manifest: Manifest, log: CorrectionLog) -> dict[str, Looks]:
    """By name as in the tables: what each reviewer holds of pictures that are still the same."""
    shas = dict(zip(manifest.images["image_id"], manifest.images["sha256"], strict=True))
    held = [opinion for opinion in log.opinions.values() if shas.get(opinion.image_id) == opinion.sha256]
    found = {}
    for reviewer in sorted({opinion.reviewer for opinion in held}):
        mine = [opinion for opinion in held if opinion.reviewer == reviewer]
        name = f"{SOURCE}/{reviewer}"
        drawn = [(each.image_id, each.finding, *box) for each in mine for box in each.boxes_xyxy]
        searched = [each for each in mine if each.presence in {Presence.BOXED, Presence.ABSENT}]
        said = [each for each in mine if each.presence is not Presence.UNKNOWN]
        found[name] = Looks(
            name,
            pd.DataFrame(drawn, columns=BOX_COLUMNS),
            pd.DataFrame([(each.image_id, each.finding) for each in searched], columns=["image_id", "finding"]),
            pd.DataFrame(
                [(each.image_id, each.finding, each.presence is not Presence.ABSENT) for each in said],
                columns=["image_id", "finding", "there"],
            ),
        )
    return found


def _consensus(manifest: Manifest) -> Looks:
    """The set itself: boxed and absent were searched; present without a box says only that it is there."""
    boxed, there = [], []
    for key in manifest.label_space.keys:
        presence = manifest.images[f"presence_{key}"].astype(str)
        images = manifest.images["image_id"]
        searched = presence.isin([Presence.BOXED.value, Presence.ABSENT.value])
        known = presence != Presence.UNKNOWN.value
        boxed.append(pd.DataFrame({"image_id": images[searched], "finding": key}))
        there.append(pd.DataFrame({"image_id": images[known], "finding": key, "there": presence[known] != "absent"}))
    boxes = manifest.boxes[BOX_COLUMNS].astype({"finding": str}).reset_index(drop=True)
    return Looks(CONSENSUS, boxes, pd.concat(boxed, ignore_index=True), pd.concat(there, ignore_index=True))
