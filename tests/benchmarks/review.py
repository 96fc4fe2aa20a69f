"""How long a built set takes to open in FiftyOne, and how many spoiled boxes its views of probable errors find.

    make bench BENCH=review            # data/built/real, readings under runs/review (boxray review open --read)

Needs FiftyOne with mongod, a built set and readings of it. Times are those of this machine as it is; the share of
spoiled boxes that is found does not depend on it.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from boxray.core.findings import Presence
from boxray.data.manifest import CORNERS, Manifest
from boxray.data.split import Split
from boxray.review import fields as names
from boxray.review.database import database
from boxray.review.documents import Writer
from boxray.review.naming import name_start
from boxray.review.opening import open_review
from boxray.review.readings import Said, find_readings
from boxray.review.suspects import by_image, suspects

SHARE = 0.2
ROUNDS = 3


def main() -> None:
    """Print each figure beside what it is of."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--data", type=Path, default=Path("data/built/real"))
    asked.add_argument("--readings", type=Path)
    asked.add_argument("--only", choices=["errors", "mistakenness", "opening"])
    asked = asked.parse_args()
    whole = Manifest.load(asked.data)
    readings = asked.readings or Path("runs/review") / name_start(asked.data).strip("-")
    said = find_readings([readings], whole)
    print(f"{len(whole.images)} images, {len(said)} readings, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    if asked.only in {None, "mistakenness"}:
        test = whole.part(Split.TEST)
        mistakenness(test.only(test.images["image_id"].isin(said)), said)
    if asked.only in {None, "errors"}:
        for split in (Split.TEST, None):
            part = whole.only(whole.images["split"].isin(["val", "test"])) if split is None else whole.part(split)
            errors(part.only(part.images["image_id"].isin(said)), said, "val and test" if split is None else "test")
    if asked.only in {None, "opening"}:
        opening(whole, said)


def errors(manifest: Manifest, said: Mapping[str, Said], what: str) -> None:
    """Spoil a fifth of the boxes; ask for the first 2 x as many samples."""
    for seed in range(ROUNDS):
        spoiled, truth = spoil(manifest, seed)
        order = by_image(suspects(spoiled, said))
        n_looked = 2 * len(truth)
        found = truth["image_id"].isin(set(order.index[:n_looked]))
        boxed = spoiled.boxes["image_id"].nunique()
        kinds = ", ".join(f"{kind} {share:.2f}" for kind, share in found.groupby(truth["kind"]).mean().items())
        print(
            f"{what}, seed {seed}: {found.mean():.3f} of {len(truth)} spoiled boxes in the first {n_looked} of "
            f"{len(manifest.images)} images ({kinds}); by chance among the {boxed} with boxes "
            f"{min(1, n_looked / boxed):.2f}, in the first {len(truth)}: "
            f"{truth['image_id'].isin(set(order.index[: len(truth)])).mean():.3f}",
            flush=True,
        )


def mistakenness(manifest: Manifest, said: Mapping[str, Said], seed: int = 0) -> None:
    """FiftyOne Brain's `compute_mistakenness` beside our view, on the same spoiled copy and readings.

    It gives boxes a mistakenness of their finding and of their place, and counts per image boxes that may be spurious
    or missing. So an image is ranked by what FiftyOne's guide sorts by, the greatest mistakenness in it; and by all
    that it says: first the images with something spurious or missing, then by the greatest of both mistakennesses.
    """
    spoiled, truth = spoil(manifest, seed)
    n_looked = 2 * len(truth)
    ours = by_image(suspects(spoiled, said)).index
    orders = {"probable label errors": ours}
    with tempfile.TemporaryDirectory() as folder, database(Path(folder)):
        import fiftyone.brain as fob

        from boxray.review.dataset import open_dataset

        writer = Writer.of(spoiled, said, {}, "bench", b"bench")
        digests = {row.image_id: writer.digest(row) for row in spoiled.images.itertuples()}
        dataset = open_dataset(spoiled, spoiled, writer, digests, "bench").dataset
        for field, what in ((names.DETECTOR, "from the operating points"), (names.DETECTOR_ALL, "all detections")):
            said_of = [f"{kind}_{field}" for kind in ("mistakenness", "possible_missing", "possible_spurious")]
            with timed(f"compute_mistakenness, {what}"):
                fob.compute_mistakenness(dataset, field, names.ANNOTATION, *said_of, progress=False)
            values = dataset.values(
                [names.IMAGE_ID, *said_of, f"{names.ANNOTATION}.detections.mistakenness_{field}_loc"]
            )
            rows = []
            for image, of_class, missing, spurious, of_place in zip(*values, strict=True):
                place = max((value for value in of_place or () if value is not None), default=-1.0)
                greatest = of_class if of_class is not None else -1.0
                rows.append((image, greatest, (missing or 0) + (spurious or 0), max(greatest, place)))
            table = pd.DataFrame(rows, columns=["image", "class", "counted", "any"]).set_index("image")
            by_class = table.sort_values("class", ascending=False, kind="stable").index
            by_all = table.sort_values(["counted", "any"], ascending=False, kind="stable").index
            orders |= {f"mistakenness, {what}": by_class, f"mistakenness, missing, spurious, {what}": by_all}
    for name, order in orders.items():
        found = truth["image_id"].isin(set(order[:n_looked]))
        kinds = ", ".join(f"{kind} {share:.2f}" for kind, share in found.groupby(truth["kind"]).mean().items())
        print(f"{name}: {found.mean():.3f} of {len(truth)} in the first {n_looked} of {len(order)} ({kinds})")


def spoil(manifest: Manifest, seed: int) -> tuple[Manifest, pd.DataFrame]:
    """A fifth of the boxes shifted, dropped or relabelled; and what was done to which.

    The shift is another one than `boxray.review.suspects` learns from: by 30 to 60 % of the sides along x and y, each
    with its own sign, and a side longer or shorter by up to a quarter.
    """
    rng = np.random.default_rng(1000 + seed)
    boxes = manifest.boxes.copy()
    chosen = rng.permutation(len(boxes))[: round(SHARE * len(boxes))]
    kinds = rng.choice(["shifted", "dropped", "relabelled"], len(chosen))
    size_of = {row.image_id: (row.width, row.height) for row in manifest.images.itertuples()}
    there = sorted(set(boxes["finding"]))
    rows = []
    for place, kind in zip(boxes.index[chosen], kinds, strict=True):
        box = boxes.loc[place]
        rows.append((box["image_id"], kind))
        if kind == "shifted":
            boxes.loc[place, CORNERS] = _moved(box[CORNERS].to_numpy(dtype=np.float64), size_of[box["image_id"]], rng)
        if kind == "relabelled":
            boxes.loc[place, "finding"] = rng.choice([key for key in there if key != box["finding"]])
    boxes = boxes.drop(boxes.index[chosen[kinds == "dropped"]]).reset_index(drop=True)
    images = manifest.images.copy()
    for key in manifest.label_space.keys:
        column = f"presence_{key}"
        boxed = images["image_id"].isin(boxes["image_id"][boxes["finding"] == key])
        images.loc[(images[column] == Presence.BOXED.value) & ~boxed, column] = Presence.ABSENT.value
        images.loc[boxed, column] = Presence.BOXED.value
    return replace(manifest, images=images, boxes=boxes), pd.DataFrame(rows, columns=["image_id", "kind"])


def _moved(box: np.ndarray, size_wh: tuple[int, int], rng: np.random.Generator) -> list[float]:
    sides = box[2:] - box[:2]
    centre = (box[:2] + box[2:]) / 2 + sides * rng.uniform(0.3, 0.6, 2) * rng.choice([-1, 1], 2)
    sides = sides * rng.uniform(0.75, 1.25, 2)
    low, high = np.clip(centre - sides / 2, 0, size_wh), np.clip(centre + sides / 2, 0, size_wh)
    return [*np.minimum(low, high - 1), *high]


def opening(whole: Manifest, said: Mapping[str, Said]) -> None:
    """Open the whole set in a new database, and open it again."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        with timed("the database starts"):
            running = database(state)
            running.__enter__()
        with timed("FiftyOne is imported"):
            import fiftyone  # noqa: F401
        for what in ("opened", "opened again"):
            with timed(what):
                review = open_review(whole, whole, said, state / "corrections", "bench", state)
            print(f"  {review.added} added, {review.unchanged} unchanged, {len(review.views)} views")
        size = sum(path.stat().st_size for path in (state / "database").rglob("*") if path.is_file())
        print(f"the database takes {size >> 20} MB")
        running.__exit__(None, None, None)


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Seconds on the clock, and those of this process's own work."""
    begun, worked = time.monotonic(), time.process_time()
    yield
    print(f"{what}: {time.monotonic() - begun:.1f} s, {time.process_time() - worked:.1f} s of work", flush=True)


if __name__ == "__main__":
    main()
