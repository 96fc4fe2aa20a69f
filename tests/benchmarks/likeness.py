"""How long copies take to find: a fingerprint, candidates among 100,000 hashes, and a pair confirmed.

Run as `python tests/benchmarks/likeness.py`; seconds of processor time on one core. It is no test.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import process_time

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from boxray.data.likeness import AT_MOST_BITS, SIDE_PX, candidate_pairs, confirm, fingerprint_of, near_copies

N_HASHES = 100_000
ROUNDS = 9


def seconds(job: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Median processor time of some runs."""
    runs = []
    for _ in range(rounds):
        start = process_time()
        job()
        runs.append(process_time() - start)
    return median(runs)


def a_picture(rng: np.random.Generator, side_px: int) -> np.ndarray:
    """Something with structure of every size."""
    picture = np.zeros((side_px, side_px))
    for cells in (4, 8, 16, 32, 64):
        picture += cv2.resize(rng.normal(0, 20, (cells, cells)), (side_px, side_px), interpolation=cv2.INTER_CUBIC)
    return np.clip(128 + picture, 0, 255).astype(np.uint8)


def hash_sets(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Hashes without neighbours, hashes in 1,000 clusters of 100, and hashes of which many are equal."""
    free = rng.integers(0, 2**64, N_HASHES, dtype=np.uint64)
    flips = np.packbits(rng.random((N_HASHES, 64)) < 0.08, axis=1).view(np.uint64).ravel()
    equal = free.copy()
    equal[: N_HASHES // 3] = free[0]
    return {"random": free, "1,000 clusters": np.tile(free[:1000], N_HASHES // 1000) ^ flips, "a third equal": equal}


def each_with_each(hashes: np.ndarray, at_most_bits: int) -> int:
    """What the bands are to beat: the number of pairs, by comparing all of them."""
    return sum(
        np.count_nonzero(np.bitwise_count(one ^ hashes[place + 1 :]) <= at_most_bits)
        for place, one in enumerate(hashes)
    )


def main() -> None:
    """Print the table."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    table = Table("what", "how many", "s", "µs each", title="copies of one film, one core")

    def add(what: str, n: int, took: float) -> None:
        table.add_row(what, f"{n:,}", f"{took:.2f}", f"{1e6 * took / n:.1f}")

    for side_px in (512, 1024, 2048):
        picture = a_picture(rng, side_px)
        add(f"fingerprint of {side_px} px", 1, seconds(lambda picture=picture: fingerprint_of(picture)))
    for name, hashes in hash_sets(rng).items():
        for bits in (8, AT_MOST_BITS):
            took = seconds(lambda hashes=hashes, bits=bits: candidate_pairs(hashes, bits), rounds=1)
            add(f"candidates within {bits} bits, {name}", N_HASHES, took)
    add(
        "each hash with each, random",
        N_HASHES,
        seconds(lambda: each_with_each(hash_sets(rng)["random"], AT_MOST_BITS), 1),
    )
    thumbnails = np.array([a_picture(rng, SIDE_PX) for _ in range(512)])
    add("confirm", 512, seconds(lambda: confirm(thumbnails, thumbnails[::-1])))
    hashes = np.array([fingerprint_of(one).hash64 for one in thumbnails])
    add("near copies, all apart", 512, seconds(lambda: near_copies(hashes, thumbnails)))
    Console().print(table)


if __name__ == "__main__":
    main()
