"""Which pictures show one and the same film: encoded again, resized, slightly cropped, brighter or harder.

Films of one patient on two days are alike and no copies; all frontal chests are alike. So three sieves, each
finer and dearer than the one before: a 64-bit hash, a coarse thumbnail, and the fine thumbnail after alignment.

The hash is pHash (Zauner, 2010, Implementation and Benchmarking of Perceptual Image Hash Functions, 3.2.1): signs
of low frequencies of a discrete cosine transform. Two things differ. The picture is equalised first, so that
brightness, contrast and gamma hardly move a bit. And a frequency is compared with what it is in the typical chest,
not with the median of its picture, by which all chests share half their bits. Of the 25 million pairs of 7,051
radiographs 7,350 are within 12 bits; by the original they were 250,000.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from boxray.core.arrays import BoolArray, ByteArray, FloatArray, IntArray

SIDE_PX: Final = 64
"""Side of a thumbnail. Of 72,000 pairs of pictures of two patients with hashes close, 26 correlated above 0.7 once
aligned, 17 of them copies; at half the side, which shows no vessels, 88."""

AT_MOST_BITS: Final = 12
"""Hamming distance up to which two pictures are looked at. Of 1,500 radiographs cropped by 2 % on every side 99.4 %
stay within it. At 14 bits that were 99.7 %, but four times as many pairs to look at."""

ALIKE_FROM: Final = 0.9
"""Correlation of `confirm` from which two pictures are one film. Among 7,051 radiographs (NIH 731, TBX11K 600, SIIM
5,039, covid_lungs 609, covid_gb 72) the highest pair that is not one film has 0.887: one patient, two exposures.
The highest of two patients has 0.70; of two pictures of TBX11K, which names no patients, 0.86. All 202 pairs
from 0.9 on are one film: 108 were looked at, of 94 the pixels correlate above 0.9998."""

_TYPICAL: Final = np.array(
    [
        [7, -907, -10, -917, 46, 696, 17, -411, 52, -284, 20, -37, -80, -356, 115, -214],
        [401, -33, 31, -268, -175, -101, 42, 43, -131, -2, 19, 72, -74, 91, -7, -25],
        [-451, -100, -41, -3, 178, 6, -10, 62, 78, 19, 36, -50, 13, 5, -4, -16],
        [92, -18, -4, -13, 8, -8, -11, -37, -3, 47, -4, 35, 11, 50, 18, -12],
    ]
).ravel()
"""Medians of the 64 frequencies over 731 NIH and 600 TBX11K radiographs, in the order of `_FREQUENCIES`."""

_DCT_PX: Final = 32
_FREQUENCIES: Final = tuple(
    sorted(itertools.product(range(9), repeat=2), key=lambda yx: (yx[0] ** 2 + yx[1] ** 2, yx))[1:65]
)
"""Cycles down and across, lowest first; the mean, (0, 0), is that of every equalised picture."""

_FLAT: Final = 0.1
"""A border row or column that spans less of the picture's contrast than this is collimation or a frame."""
_FEWEST_PX: Final = 16
_TAILS: Final = [SIDE_PX**2 // 100, SIDE_PX**2 - SIDE_PX**2 // 100]
"""Places of the darkest and the brightest per cent in a sorted thumbnail: the contrast lies between."""
_BLANK_BELOW: Final = 2.0
"""Standard deviation of a thumbnail's shades below which there is nothing to compare."""

_COARSE_PX: Final = 32
_COARSE_SIGMA_PX: Final = 2.0
_COARSE_FROM: Final = 0.65
"""Correlation of coarse thumbnails, not aligned, from which alignment is tried."""
_FINE_SIGMA_PX: Final = 2.0

_N_STEPS: Final = 3
_FARTHEST: Final = 0.12
"""Largest shift and change of scale that alignment makes, in halves of the side: 6 % of a side, 12 % of a scale."""
_PAIRS_AT_ONCE: Final = 64
_CELLS_AT_ONCE: Final = 1 << 20
_SHORT: Final = 8
"""Hashes of a bucket that are compared one column after another."""
_BANDS: Final = 4
_BAND_BITS: Final = 16
FARTHEST_BITS: Final = 20
"""Distance beyond which nearly all hashes share a neighbouring bucket, and bands save nothing."""
ALL_PAIRS_UP_TO: Final = 32
"""Pictures with one and the same hash up to which all their pairs are given; those beyond hang on a chain."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What is kept of a picture to recognise its copies."""

    hash64: np.uint64
    """Close in Hamming distance for copies; means nothing for a blank picture."""
    thumbnail: ByteArray
    """Shape ``(SIDE_PX, SIDE_PX)``: the picture without flat borders, squeezed into a square, its shades
    equalised. Of a blank picture the shades as they are."""


def fingerprint_of(grey: ByteArray) -> Fingerprint:
    """The fingerprint of a picture: nearly the same however bright, hard or large it was stored.

    Args:
        grey: Shape ``(H, W)``, uint8; either polarity, but copies are only found in the same one, not mirrored.

    Raises:
        ValueError: If it is no such array.
    """
    if grey.ndim != 2 or grey.dtype != np.uint8 or 0 in grey.shape:
        raise ValueError(f"grey must be uint8 of shape (H, W), got {grey.dtype} of shape {grey.shape}")
    picture = _without_flat_borders(grey)
    plain = _squeezed(picture, SIDE_PX)
    equal = _squeezed(_equalised(picture), SIDE_PX)
    frequencies = cv2.dct(_squeezed(equal, _DCT_PX).astype(np.float32))
    bits = np.array([frequencies[yx] for yx in _FREQUENCIES]) > _TYPICAL
    hash64 = np.packbits(bits).view("<u8")[0]
    return Fingerprint(hash64, plain if _are_blank(plain[None])[0] else equal)


def candidate_pairs(hashes: IntArray, at_most_bits: int) -> IntArray:
    """All pairs of hashes that differ in few bits, without comparing each with each.

    Multi-index hashing (Norouzi, Punjani and Fleet, 2014, IEEE TPAMI 36, 1107-1119): of four bands of 16 bits, at
    least one differs in at most a quarter of the bits, so only hashes in neighbouring buckets of a band are
    compared. A pair is taken from the first band that finds it. For random hashes and 12 bits these are ``N²/118``
    pairs (8 bits: ``N²/700``), and half the time of comparing all; memory grows with ``N`` and the pairs returned.

    Args:
        hashes: Shape ``(N,)``, uint64.
        at_most_bits: Hamming distance up to which a pair is given, 0 to `FARTHEST_BITS`.

    Returns:
        Shape ``(M, 2)``, int64, rows ``i < j``, each once, in ascending order. If a hash occurs more than
        `ALL_PAIRS_UP_TO` times, its later occurrences are only paired with the one before: the connected groups
        are those of all pairs, without the millions of pairs of thousands of equal hashes. None gives ``(0, 2)``.

    Raises:
        ValueError: If the hashes are no such array, or the distance is out of range.
    """
    if hashes.ndim != 1 or hashes.dtype != np.uint64:
        raise ValueError(f"hashes must be uint64 of shape (N,), got {hashes.dtype} of shape {hashes.shape}")
    if not 0 <= at_most_bits <= FARTHEST_BITS:
        raise ValueError(f"at_most_bits must be from 0 to {FARTHEST_BITS}, got {at_most_bits}")
    pairs = np.concatenate([np.empty((0, 2), dtype=np.int64), *_pairs(hashes, at_most_bits)])
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def confirm(thumbnails_a: ByteArray, thumbnails_b: ByteArray) -> FloatArray:
    """How far pairs of thumbnails agree in local contrast once one is laid on the other.

    Shift and scale, across and down, are found by Gauss-Newton steps on both at once (Lucas and Kanade, 1981),
    so that a crop does not part a copy from its film, and the order of the two does not matter.

    Args:
        thumbnails_a: Shape ``(M, SIDE_PX, SIDE_PX)``, of `Fingerprint`.
        thumbnails_b: The same shape; entry ``m`` is compared with entry ``m``.

    Returns:
        Shape ``(M,)``: correlation in [-1, 1], never below that without alignment. 0 where one is blank:
        undefined is not alike.

    Raises:
        ValueError: If the shapes are others.
    """
    if thumbnails_a.shape != thumbnails_b.shape or thumbnails_a.shape[1:] != (SIDE_PX, SIDE_PX):
        raise ValueError(
            f"thumbnails must both have shape (M, {SIDE_PX}, {SIDE_PX}), "
            f"got {thumbnails_a.shape} and {thumbnails_b.shape}"
        )
    alike = np.zeros(len(thumbnails_a))
    shown = np.flatnonzero(~(_are_blank(thumbnails_a) | _are_blank(thumbnails_b)))
    for start in range(0, len(shown), _PAIRS_AT_ONCE):
        now = shown[start : start + _PAIRS_AT_ONCE]
        a, b = (_local_contrast(some[now], _FINE_SIGMA_PX) for some in (thumbnails_a, thumbnails_b))
        alike[now] = _aligned_correlation(a, b)
    return alike


def near_copies(
    hashes: IntArray,
    thumbnails: ByteArray,
    *,
    at_most_bits: int = AT_MOST_BITS,
    alike_from: float = ALIKE_FROM,
) -> IntArray:
    """Groups of pictures that are copies of one film: encoded again, resized, cropped a little, brighter, harder.

    Measured on 7,051 radiographs. Found: all 72 pictures of covid_gb in covid_lungs, all 12 pairs that covid_lungs
    has under two names (and five more), all 38 groups of equal files of SIIM and all 87 of its pairs whose plain
    thumbnails correlate above 0.99. Of made copies of 1,500: JPEG quality 50 99.9 %, resized by 0.4 99.9 %, cropped
    by 2 % on every side 99.4 %, gamma 0.6 99.5 %; cropped by 4 % on every side only 51 %. Not found: some 20 pairs
    of SIIM that are one exposure processed twice, once with hard edges; both are always of one patient. Merged and
    no copies: none of 199 pairs. NIH's 131 further films of a patient all stay apart.

    Args:
        hashes: Shape ``(N,)``, uint64, of `Fingerprint`.
        thumbnails: Shape ``(N, SIDE_PX, SIDE_PX)``, uint8.
        at_most_bits: Hamming distance of hashes up to which a pair is looked at.
        alike_from: Correlation of `confirm` from which it is one film.

    Returns:
        Shape ``(N,)``, int64: for each picture the index of the first of its group; its own if it has no copy.
        Equal thumbnails are always one group, blank ones only then. Copies of copies are copies.

    Raises:
        ValueError: If the shapes do not fit.
    """
    if thumbnails.shape != (len(hashes), SIDE_PX, SIDE_PX):
        raise ValueError(
            f"thumbnails must have shape ({len(hashes)}, {SIDE_PX}, {SIDE_PX}), one per hash, got {thumbnails.shape}"
        )
    first = _first_equal(thumbnails)
    looked_at = np.flatnonzero((first == np.arange(len(first))) & ~_are_blank(thumbnails))
    coarse = _coarse(thumbnails[looked_at])
    parent = np.arange(len(first))
    for pairs in _pairs(hashes[looked_at], at_most_bits):
        maybe = looked_at[pairs[_correlation(coarse, pairs) >= _COARSE_FROM]]
        for some in np.array_split(maybe, len(maybe) // 1024 + 1):
            apart = some[_roots(parent, some[:, 0]) != _roots(parent, some[:, 1])]
            _join(parent, apart[confirm(thumbnails[apart[:, 0]], thumbnails[apart[:, 1]]) >= alike_from])
    return _roots(parent, first)


# -- one picture -------------------------------------------------------------------------------------------


def _without_flat_borders(grey: ByteArray) -> ByteArray:
    """Cut rows, then columns, that carry no picture from the edges; leave them where nearly all are flat."""
    height, width = grey.shape
    coarse = _squeezed(grey, SIDE_PX)
    dark, bright = np.partition(coarse.ravel(), _TAILS)[_TAILS]
    flat = _FLAT * (int(bright) - int(dark))
    y1, y2 = _extent(np.ptp(coarse, axis=1) > flat)
    x1, x2 = _extent(np.ptp(coarse[y1:y2], axis=0) > flat)
    rows = slice(y1 * height // SIDE_PX, -(-y2 * height // SIDE_PX))
    return grey[rows, x1 * width // SIDE_PX : -(-x2 * width // SIDE_PX)]


def _extent(carries: BoolArray) -> tuple[int, int]:
    places = np.flatnonzero(carries)
    return (int(places[0]), int(places[-1]) + 1) if places.size >= _FEWEST_PX else (0, len(carries))


def _squeezed(grey: ByteArray, side_px: int) -> ByteArray:
    small: ByteArray = cv2.resize(grey, (side_px, side_px), interpolation=cv2.INTER_AREA)
    return small


def _equalised(grey: ByteArray) -> ByteArray:
    """Every shade replaced by the share of pixels that are darker, those of the same shade counted half."""
    counts = cv2.calcHist([grey], [0], None, [256], [0, 256]).ravel().astype(np.float64)
    rank = (np.cumsum(counts) - counts / 2) / counts.sum()
    equal: ByteArray = cv2.LUT(grey, np.round(255 * rank).astype(np.uint8))
    return equal


def _are_blank(thumbnails: ByteArray) -> BoolArray:
    return np.array([thumbnail.std() < _BLANK_BELOW for thumbnail in thumbnails], dtype=bool)


# -- hashes ------------------------------------------------------------------------------------------------


def _pairs(hashes: IntArray, at_most_bits: int) -> Iterator[IntArray]:
    """`candidate_pairs`, a bounded number at a time and in no order."""
    order = np.argsort(hashes, kind="stable")
    distinct, first, counts = np.unique(hashes[order], return_index=True, return_counts=True)
    yield from (np.sort(order[pair], axis=1) for pair in _equal_pairs(first, counts, len(hashes)))
    shown = np.minimum(counts, ALL_PAIRS_UP_TO)
    for close in _gathered(_close_pairs(distinct, at_most_bits)):
        i, j = close.T
        for which, a, b in _cells(shown[i], shown[j]):
            yield np.sort(order[np.stack([first[i[which]] + a, first[j[which]] + b], axis=1)], axis=1)


def _gathered(pieces: Iterator[IntArray]) -> Iterator[IntArray]:
    """Many short arrays as few long ones."""
    waiting: list[IntArray] = []
    n_waiting = 0
    for piece in pieces:
        waiting.append(piece)
        n_waiting += len(piece)
        if n_waiting >= _CELLS_AT_ONCE:
            yield np.concatenate(waiting)
            waiting, n_waiting = [], 0
    if waiting:
        yield np.concatenate(waiting)


def _equal_pairs(first: IntArray, counts: IntArray, n_hashes: int) -> Iterator[IntArray]:
    """Places in sorted order of equal hashes: all pairs of those shown, then the chain of the rest."""
    nth = np.arange(n_hashes) - np.repeat(first, counts)
    for step in range(1, min(ALL_PAIRS_UP_TO, int(counts.max(initial=1)))):
        later = np.flatnonzero((nth >= step) & (nth < ALL_PAIRS_UP_TO))
        yield np.stack([later - step, later], axis=1)
    rest = np.flatnonzero(nth >= ALL_PAIRS_UP_TO)
    yield np.stack([rest - 1, rest], axis=1)


def _close_pairs(distinct: IntArray, at_most_bits: int) -> Iterator[IntArray]:
    """Shape ``(M, 2)``: pairs of distinct hashes within the distance, each once.

    If a pair differed in more than ``radius[k]`` bits of every band ``k``, it would differ in at least the sum
    of ``radius[k] + 1``, which is ``at_most_bits + 1``.
    """
    least, more = divmod(at_most_bits + 1, _BANDS)
    radius = [least - 1 + (band < more) for band in range(_BANDS)]
    bands = [(distinct >> np.uint64(_BAND_BITS * band)).astype(np.uint16) for band in range(_BANDS)]
    for band in range(_BANDS):
        for pairs in _neighbours(distinct, bands[band], radius[band], at_most_bits):
            i, j = pairs.T
            new = np.ones(len(pairs), dtype=bool)
            for before in range(band):
                new &= np.bitwise_count(bands[before][i] ^ bands[before][j]) > radius[before]
            yield pairs[new]


def _neighbours(distinct: IntArray, band: IntArray, radius: int, at_most_bits: int) -> Iterator[IntArray]:
    """Pairs within the distance of which one band differs in at most `radius` bits (-1: none)."""
    order = np.argsort(band, kind="stable")
    hashes, codes = distinct[order], band[order].astype(np.int64)
    sizes = np.bincount(band, minlength=1 << _BAND_BITS)
    ends = np.cumsum(sizes)
    lower = [np.flatnonzero((codes >> bit) & 1 == 0) for bit in range(_BAND_BITS)]
    masks = np.flatnonzero(np.bitwise_count(np.arange(1 << _BAND_BITS)) <= radius).tolist()
    for mask in masks:
        if mask == 0:
            i = np.arange(len(codes))
            start, n_others = i + 1, ends[codes] - i - 1
        else:
            i = lower[mask.bit_length() - 1]
            bucket = codes[i] ^ mask
            start, n_others = ends[bucket] - sizes[bucket], sizes[bucket]
        for row, column in _cells_of_rows(n_others):
            j = start[row] + column
            near = np.flatnonzero(np.bitwise_count(hashes[i[row]] ^ hashes[j]) <= at_most_bits)
            if near.size:
                yield np.stack([order[i[row[near]]], order[j[near]]], axis=1)


def _cells_of_rows(lengths: IntArray) -> Iterator[tuple[IntArray, IntArray]]:
    """Which row, and how far along it: the first columns one by one, as most rows are short, then what is left."""
    rows = np.flatnonzero(lengths)
    for column in range(_SHORT):
        if not rows.size:
            return
        yield rows, np.array(column)
        rows = rows[lengths[rows] > column + 1]
    for which, _, along in _cells(np.ones_like(rows), lengths[rows] - _SHORT):
        yield rows[which], along + _SHORT


def _cells(n_rows: IntArray, n_columns: IntArray) -> Iterator[tuple[IntArray, IntArray, IntArray]]:
    """Which table, row and column, for all cells of many tables, at most `_CELLS_AT_ONCE` at a time."""
    ends = np.cumsum(n_rows * n_columns)
    begins = ends - n_rows * n_columns
    n_cells = int(ends[-1]) if len(ends) else 0
    for start in range(0, n_cells, _CELLS_AT_ONCE):
        stop = min(start + _CELLS_AT_ONCE, n_cells)
        table, last = np.searchsorted(ends, (start, stop - 1), side="right")
        touched = np.arange(table, last + 1)
        share = np.minimum(ends[touched], stop) - np.maximum(begins[touched], start)
        which = np.repeat(touched, share)
        cell, width = np.arange(start, stop) - begins[which], n_columns[which]
        row = (cell / width).astype(np.int64)  # exact below 2^53, and a third of the time of integer division
        yield which, row, cell - row * width


# -- thumbnails --------------------------------------------------------------------------------------------


def _local_contrast(thumbnails: ByteArray, sigma_px: float) -> FloatArray:
    """Float32, the same shape: what a picture adds to its surroundings, over how much is added thereabouts.

    A quarter of the whole picture's contrast is added below the line: where nothing is, noise stays small.
    """
    local = np.empty(thumbnails.shape, dtype=np.float32)
    for place, thumbnail in enumerate(thumbnails.astype(np.float32)):
        rest = thumbnail - cv2.GaussianBlur(thumbnail, (0, 0), sigma_px)
        contrast = np.sqrt(cv2.GaussianBlur(rest * rest, (0, 0), sigma_px))
        overall = np.sqrt(np.vdot(rest, rest) / rest.size)
        local[place] = rest / (contrast + 0.25 * overall + 1e-6)
    return local


def _coarse(thumbnails: ByteArray) -> FloatArray:
    """Shape ``(N, _COARSE_PX²)``, float16: local contrast at half the side, standardised."""
    coarse = np.empty((len(thumbnails), _COARSE_PX**2), dtype=np.float16)
    for place, thumbnail in enumerate(thumbnails):
        local = _local_contrast(_squeezed(thumbnail, _COARSE_PX)[None], _COARSE_SIGMA_PX)
        coarse[place] = _standard(local).ravel()
    return coarse


def _correlation(coarse: FloatArray, pairs: IntArray) -> FloatArray:
    alike = np.empty(len(pairs), dtype=np.float32)
    for start in range(0, len(pairs), 1024):
        one, other = coarse[pairs[start : start + 1024].T].astype(np.float32)
        alike[start : start + 1024] = np.einsum("mp,mp->m", one, other)
    return alike


def _aligned_correlation(a: FloatArray, b: FloatArray) -> FloatArray:
    """Of pairs of pictures, shape ``(M, S, S)`` each: the best correlation on the way to alignment."""
    way = np.zeros((len(a), 4), dtype=np.float32)
    one, other = _standard(a), _standard(b)
    best: FloatArray = np.einsum("myx,myx->m", one, other)
    for _ in range(_N_STEPS):
        way = np.clip(way + _step(one, other), -_FARTHEST, _FARTHEST)
        one, other = _standard(_moved(a, way / 2)), _standard(_moved(b, -way / 2))
        best = np.maximum(best, np.einsum("myx,myx->m", one, other))
    return best


def _moved(pictures: FloatArray, way: FloatArray) -> FloatArray:
    """Pictures sampled elsewhere, linearly, across by the first two of `way` (shift, scale), down by the others."""
    across, down = _sampling(way[:, :2], pictures.shape[1]), _sampling(way[:, 2:], pictures.shape[1])
    moved: FloatArray = down @ pictures @ across.transpose(0, 2, 1)
    return moved


def _sampling(way: FloatArray, side_px: int) -> FloatArray:
    """Shape ``(M, side, side)``: row ``p`` holds the weights of the pixels that make the new pixel ``p``."""
    shift, scale = way[:, :1], way[:, 1:]
    place = np.linspace(-1, 1, side_px, dtype=np.float32)
    from_px = ((place + shift + scale * place + 1) * (side_px - 1) / 2).clip(0, side_px - 1)
    weights: FloatArray = np.maximum(0, 1 - np.abs(from_px[:, :, None] - np.arange(side_px, dtype=np.float32)))
    return weights


def _step(one: FloatArray, other: FloatArray) -> FloatArray:
    """Shape ``(M, 4)``: the change of way that makes the two equal to first order, in least squares."""
    n_pairs, side_px, _ = one.shape
    place = np.linspace(-1, 1, side_px, dtype=np.float32)
    down, across = np.gradient((one + other) / 2, place[1] - place[0], axis=(1, 2))
    slopes = np.stack([across, across * place, down, down * place[:, None]], axis=1).reshape(n_pairs, 4, -1)
    normal = slopes @ slopes.transpose(0, 2, 1)
    damped = normal + 1e-6 * (1 + np.trace(normal, axis1=1, axis2=2)[:, None, None]) * np.eye(4, dtype=np.float32)
    step: FloatArray = np.linalg.solve(damped, slopes @ (other - one).reshape(n_pairs, -1, 1))[:, :, 0]
    return step


def _standard(pictures: FloatArray) -> FloatArray:
    """Mean 0 and length 1 each; a constant picture becomes all zeros."""
    rest = pictures - pictures.mean(axis=(1, 2), keepdims=True)
    length = np.sqrt(np.einsum("myx,myx->m", rest, rest))[:, None, None]
    standard: FloatArray = rest / np.maximum(length, 1e-6)
    return standard


# -- groups ------------------------------------------------------------------------------------------------


def _first_equal(thumbnails: ByteArray) -> IntArray:
    """Shape ``(N,)``: for each the index of the first that is equal to it."""
    seen: dict[bytes, int] = {}
    digests = (hashlib.blake2b(np.ascontiguousarray(one).data, digest_size=16).digest() for one in thumbnails)
    return np.array([seen.setdefault(digest, place) for place, digest in enumerate(digests)], dtype=np.int64)


def _roots(parent: IntArray, places: IntArray) -> IntArray:
    """The first of the group of each place: parents are never larger than their children."""
    while (parent[places] != places).any():
        places = parent[places]
    return places


def _join(parent: IntArray, pairs: IntArray) -> None:
    for pair in pairs:
        low, high = sorted(_roots(parent, pair).tolist())
        parent[high] = low
    parent[:] = _roots(parent, parent)  # so that no way to a root grows long
