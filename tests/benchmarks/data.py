"""What a million images cost: manifest written, loaded, dealt and filtered, copies sought; builds of growing size.

Run by `make bench BENCH=data`; one process, one machine, each step once. `python tests/benchmarks/data.py build 1000`
builds only, as many images as asked for. It is no test.
"""

from __future__ import annotations

import hashlib
import os
import resource
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from time import perf_counter
from typing import Any

import cv2
import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from boxray.core.findings import Presence
from boxray.data.build import build
from boxray.data.card import load_label_space
from boxray.data.datasets_file import read_datasets_file
from boxray.data.likeness import AT_MOST_BITS, candidate_pairs
from boxray.data.manifest import Manifest
from boxray.data.presence import Rule
from boxray.data.split import Split, deal

N_IMAGES, N_BOXES, N_HASHES = 1_000_000, 2_000_000, 100_000
BUILDS = (1_000, 10_000, 100_000)


def timed(table: Table, what: str, job: Callable[[], Any], n: int | None = None) -> Any:
    """Run once, and add a row: seconds, and microseconds for each of `n`."""
    start = perf_counter()
    result = job()
    seconds = perf_counter() - start
    table.add_row(what, f"{seconds:.2f}", "" if n is None else f"{1e6 * seconds / n:.1f}", f"{memory_gib():.2f}")
    return result


def memory_gib() -> float:
    """Most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def a_million(folder: Path) -> Manifest:
    """A manifest of the real columns: 300,000 patients, every presence state, two boxes an image."""
    space = load_label_space("chest8")
    rng = np.random.default_rng(0)
    number = np.arange(N_IMAGES)
    patient = [hashlib.blake2b(str(n).encode(), digest_size=16).hexdigest() for n in range(300_000)]
    who = rng.integers(len(patient), size=N_IMAGES)
    ids = pd.Series(number).map("made:{:08d}".format)
    images = pd.DataFrame(
        {
            "image_id": ids,
            "source": pd.Categorical(rng.choice(["nih", "siim", "tbx11k"], size=N_IMAGES)),
            "image": ids.str[5:],
            "split": pd.Categorical(np.array([s.value for s in Split])[(who % 10 > 6).astype(int) + (who % 10 > 7)]),
            "patient": np.array(patient)[who],
            "picture": "images/made/" + ids.str[5:] + ".png",
            "width": 1024,
            "height": 1024,
            "sha256": pd.Series(number).map("{:064x}".format),
            "view": "PA",
            "sex": None,
            "age_years": pd.Series(rng.integers(1, 95, size=N_IMAGES), dtype="Int16"),
            "aside": "",
            "copies": "",
            "readers": "made/published",
        }
    )
    presences, rules = [p.value for p in Presence], [r.value for r in Rule]
    for key in space.keys:
        codes = rng.integers(len(presences), size=N_IMAGES)
        images[f"presence_{key}"] = pd.Categorical.from_codes(codes, presences)
        images[f"rule_{key}"] = pd.Categorical.from_codes(codes, rules)
    corners = rng.random((N_BOXES, 4)) * 500
    boxes = pd.DataFrame(
        {
            "image_id": ids.to_numpy()[rng.integers(N_IMAGES, size=N_BOXES)],
            "finding": pd.Categorical(rng.choice(space.keys, size=N_BOXES)),
            "x1": corners[:, 0],
            "y1": corners[:, 1],
            "x2": corners[:, 0] + corners[:, 2] + 2,
            "y2": corners[:, 1] + corners[:, 3] + 2,
            "votes": 1,
            "n_readers": 1,
            "readers": "made/published",
            "raw_label": "made",
        }
    )
    return Manifest(folder, space, images, boxes)


def bench_manifest(console: Console) -> None:
    """Write, load, deal and filter."""
    table = Table("step", "s", "µs an image", "peak GiB", title=f"{N_IMAGES:,} images, {N_BOXES:,} boxes")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = timed(table, "make it up (no part of a build)", lambda: a_million(folder), N_IMAGES)
        timed(table, "write, with the fingerprint", lambda m=made: m.save({}), N_IMAGES)
        megabytes = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
        del made
        pid = os.fork()
        if pid == 0:  # a fresh look at the memory: what a job that only loads needs
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            os.execv(sys.executable, [sys.executable, __file__, "load", name])
        os.waitpid(pid, 0)
        manifest = timed(table, "load, with its checks", lambda: Manifest.load(folder), N_IMAGES)
        timed(table, "deal 300,000 patients", lambda: deal(manifest.images["patient"].unique(), 0.1, 0.2))
        timed(table, "the part of one split", lambda: manifest.part(Split.TEST), N_IMAGES)
        timed(
            table,
            "films with an effusion boxed",
            lambda: manifest.only(manifest.images["presence_effusion"] == "boxed"),
        )
    console.print(table)
    console.print(f"on disk: {megabytes:.0f} MB")


def load_alone(folder: Path) -> None:
    """The memory of a process that loads the manifest and does nothing else."""
    before = memory_gib()
    Manifest.load(folder)
    print(f"a process that only loads it: peak {memory_gib():.2f} GiB ({before:.2f} before)", flush=True)


def bench_copies(console: Console) -> None:
    """Candidates for copies among hashes: random ones, and a tenth of them close to another."""
    rng = np.random.default_rng(0)
    hashes = rng.integers(2**63, size=N_HASHES, dtype=np.uint64)
    near = rng.integers(N_HASHES, size=N_HASHES // 10)
    hashes[: len(near)] = hashes[near] ^ (np.uint64(1) << rng.integers(63, size=len(near)).astype(np.uint64))
    table = Table("step", "s", "µs a hash", "peak GiB", title=f"{N_HASHES:,} perceptual hashes")
    timed(table, "candidates, without comparing all pairs", lambda: candidate_pairs(hashes, AT_MOST_BITS), N_HASHES)
    console.print(table)


def bench_build(console: Console, sizes: Iterable[int] = BUILDS) -> None:
    """Builds of growing size from pictures of 128 x 128 px; linear if the time an image stays the same."""
    for n_images in sizes:
        table = Table("step", "s", "µs an image", "peak GiB", title=f"build of {n_images:,} images, audit and all")
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            make_source(folder / "source", n_images)
            sources = "label_space: chest8\nsources: {made: {card: yolo, root: source}}\n"
            (folder / "datasets.yaml").write_text(sources, encoding="utf-8")
            datasets = read_datasets_file(folder / "datasets.yaml")
            for step in ("from nothing", "again"):
                timed(table, step, lambda d=datasets, f=folder: build(d, f / "built"), n_images)
        console.print(table)


def make_source(root: Path, n_images: int) -> None:
    """Pictures that are all different, with a box each."""
    rng = np.random.default_rng(1)
    (root / "images").mkdir(parents=True)
    (root / "labels").mkdir()
    for number in range(n_images):
        coarse = rng.integers(256, size=(8, 8), dtype=np.uint8)
        grey = cv2.resize(coarse, (128, 128), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(root / "images" / f"{number}.png"), grey, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        (root / "labels" / f"{number}.txt").write_text("6 0.5 0.5 0.25 0.25\n", encoding="utf-8")


def main() -> None:
    """Print the tables."""
    if sys.argv[1:2] == ["load"]:
        load_alone(Path(sys.argv[2]))
        return
    console = Console()
    if sys.argv[1:2] == ["build"]:
        bench_build(console, map(int, sys.argv[2:]))
        return
    bench_manifest(console)
    bench_copies(console)
    bench_build(console)


if __name__ == "__main__":
    main()
