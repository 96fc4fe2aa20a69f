"""Copies of one film are found, other films are not: on hashes against brute force, on drawn films, on real ones."""

from collections.abc import Iterable
from functools import cache
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxray.data.likeness import (
    ALL_PAIRS_UP_TO,
    AT_MOST_BITS,
    FARTHEST_BITS,
    SIDE_PX,
    Fingerprint,
    candidate_pairs,
    confirm,
    fingerprint_of,
    near_copies,
)
from making import chest

# -- what tests need ---------------------------------------------------------------------------------------


def a_film(seed: int, size_wh: tuple[int, int] = (480, 560)) -> np.ndarray:
    """A drawn chest of a body of its own: bent, with ribs, vessels and shadows where the seed puts them."""
    rng = np.random.default_rng(seed)
    width, height = size_wh
    bend = cv2.resize(rng.normal(0, 0.03, (5, 5, 2)), size_wh, interpolation=cv2.INTER_CUBIC).astype(np.float32)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    bent = cv2.remap(
        chest(size_wh, seed),
        x + bend[..., 0] * width,
        y + bend[..., 1] * height,
        cv2.INTER_LINEAR,
        None,
        cv2.BORDER_REFLECT,
    )
    texture = np.zeros((height, width), np.float32)
    for side in (8, 16, 32, 64):
        texture += cv2.resize(rng.normal(0, 9, (side, side)), size_wh, interpolation=cv2.INTER_CUBIC)
    ribs = 12 * np.sin((y + bend[..., 0] * 9 * height) / height * rng.uniform(50, 70) + rng.uniform(0, 6))
    return np.clip(20 + 0.8 * bent + texture + ribs, 0, 255).astype(np.uint8)


def breathed(film: np.ndarray, seed: int) -> np.ndarray:
    """The same body a breath later: parts of it moved by about a hundredth, each its own way."""
    rng = np.random.default_rng(seed)
    height, width = film.shape
    way = cv2.resize(rng.normal(0, 0.012, (6, 6, 2)), (width, height), interpolation=cv2.INTER_CUBIC)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = (place + way[..., axis].astype(np.float32) * width for axis, place in enumerate((x, y)))
    return cv2.remap(film, x, y, cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE)


def as_jpeg(grey: np.ndarray, quality: int) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_GRAYSCALE)


def resized(grey: np.ndarray, factor: float) -> np.ndarray:
    interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return cv2.resize(grey, None, fx=factor, fy=factor, interpolation=interpolation)


def cropped(grey: np.ndarray, share: float) -> np.ndarray:
    """Without this share of height and width, at every side."""
    y, x = (round(share * side) for side in grey.shape)
    return grey[y : grey.shape[0] - y, x : grey.shape[1] - x]


def exposed(grey: np.ndarray, gamma: float = 1, gain: float = 1, offset: float = 0) -> np.ndarray:
    return np.clip(gain * 255 * (grey / 255) ** gamma + offset, 0, 255).astype(np.uint8)


def squashed(grey: np.ndarray, side_px: int = 256) -> np.ndarray:
    """Both sides the same, whatever the picture's shape."""
    return cv2.resize(grey, (side_px, side_px), interpolation=cv2.INTER_AREA)


def framed(grey: np.ndarray, width_px: int) -> np.ndarray:
    """With a black frame."""
    return cv2.copyMakeBorder(grey, width_px, width_px, width_px, width_px, cv2.BORDER_CONSTANT, value=0)


def groups_of(pictures: Iterable[np.ndarray]) -> list[int]:
    """The group of each picture."""
    return grouped([fingerprint_of(picture) for picture in pictures]).tolist()


def grouped(prints: list[Fingerprint]) -> np.ndarray:
    hashes = np.array([one.hash64 for one in prints], dtype=np.uint64)
    thumbnails = np.array([one.thumbnail for one in prints], dtype=np.uint8).reshape(-1, SIDE_PX, SIDE_PX)
    return near_copies(hashes, thumbnails)


@cache
def two_of_each_film() -> list[Fingerprint]:
    """Four films, each followed by its copy."""
    films = [a_film(seed) for seed in range(4)]
    return [fingerprint_of(picture) for film in films for picture in (film, as_jpeg(film, 60))]


def real_prints(folder: Path) -> dict[str, Fingerprint]:
    """Fingerprints of all pictures of a folder, by stem."""
    return {
        path.name.removesuffix(".jpg"): fingerprint_of(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
        for path in sorted(folder.glob("*.jpg"))
    }


def compared_each_with_each(hashes: np.ndarray, at_most_bits: int) -> list[list[int]]:
    return [
        [i, j]
        for i, j in combinations(range(len(hashes)), 2)
        if (int(hashes[i]) ^ int(hashes[j])).bit_count() <= at_most_bits
    ]


def connected(n: int, pairs: Iterable[Iterable[int]]) -> set[frozenset[int]]:
    """Groups, by merging sets: slow and obvious."""
    groups = [{place} for place in range(n)]
    for i, j in pairs:
        one, other = (next(group for group in groups if place in group) for place in (i, j))
        if one is not other:
            groups.remove(other)
            one |= other
    return {frozenset(group) for group in groups}


@st.composite
def clustered_hashes(draw: st.DrawFn) -> np.ndarray:
    """Some hashes at random, and some that differ from them in some bits, equal ones among them."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_centres, n_near = draw(st.integers(0, 12)), draw(st.integers(0, 40))
    centres = rng.integers(0, 2**64, n_centres, dtype=np.uint64)
    if n_centres == 0:
        return centres
    flips = rng.random((n_near, 64)) < rng.choice([0, 0.05, 0.15, 0.25], (n_near, 1))
    near = rng.choice(centres, n_near) ^ np.packbits(flips, axis=1).view(np.uint64).ravel()
    return rng.permutation(np.concatenate([centres, near]))


# -- candidate pairs ---------------------------------------------------------------------------------------


@given(clustered_hashes(), st.integers(0, 16))
@settings(max_examples=60)
def test_the_pairs_are_those_that_comparing_each_with_each_gives(hashes, at_most_bits):
    assert candidate_pairs(hashes, at_most_bits).tolist() == compared_each_with_each(hashes, at_most_bits)


def test_so_it_is_at_the_largest_distance_and_in_crowded_buckets():
    rng = np.random.default_rng(0)
    crowded = rng.integers(0, 2**16, 300).astype(np.uint64) << np.uint64(20)  # two bands are equal in all of them

    for at_most_bits in (2, 7, FARTHEST_BITS):
        assert candidate_pairs(crowded, at_most_bits).tolist() == compared_each_with_each(crowded, at_most_bits)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=15)
def test_many_equal_hashes_give_the_same_groups_by_fewer_pairs(seed):
    rng = np.random.default_rng(seed)
    some = rng.integers(0, 2**64, 3, dtype=np.uint64)
    hashes = rng.permutation(np.concatenate([np.repeat(some, (90, 50, 3)), some ^ np.uint64(0b111)]))

    pairs = candidate_pairs(hashes, 3)

    every = compared_each_with_each(hashes, 3)
    assert connected(len(hashes), pairs) == connected(len(hashes), every)
    assert {tuple(pair) for pair in pairs} < {tuple(pair) for pair in every}


def test_thousands_of_equal_hashes_give_no_millions_of_pairs():
    pairs = candidate_pairs(np.full(20_000, 7, dtype=np.uint64), 12)

    assert len(pairs) < 20_000 + ALL_PAIRS_UP_TO**2
    assert len(np.unique(pairs)) == 20_000


def test_nor_do_thousands_beside_thousands_one_bit_away():
    hashes = np.repeat(np.array([7, 6], dtype=np.uint64), 3_000)

    pairs = candidate_pairs(hashes, 12)

    assert len(pairs) < 6_000 + 4 * ALL_PAIRS_UP_TO**2
    assert len(np.unique(pairs)) == 6_000


def test_no_hash_and_one_hash_give_no_pair():
    for n in (0, 1):
        pairs = candidate_pairs(np.zeros(n, dtype=np.uint64), 12)

        assert pairs.shape == (0, 2)
        assert pairs.dtype == np.int64


@pytest.mark.parametrize(
    ("hashes", "at_most_bits"),
    [
        (np.zeros(3, dtype=np.int64), 12),  # signed: shifting would smear the sign
        (np.zeros((3, 1), dtype=np.uint64), 12),
        (np.zeros(3, dtype=np.uint64), -1),
        (np.zeros(3, dtype=np.uint64), FARTHEST_BITS + 1),
    ],
)
def test_what_is_no_list_of_hashes_or_no_distance_is_refused(hashes, at_most_bits):
    with pytest.raises(ValueError, match="must be"):
        candidate_pairs(hashes, at_most_bits)


# -- drawn films -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda film: as_jpeg(film, 50),
        lambda film: resized(film, 0.4),
        lambda film: resized(film, 1.5),
        lambda film: cropped(film, 0.02),
        lambda film: film[round(0.04 * film.shape[0]) :],
        lambda film: exposed(film, gamma=0.6),
        lambda film: exposed(film, gamma=1.6),
        lambda film: exposed(film, gain=0.6, offset=30),
        squashed,
        lambda film: framed(film, 60),
    ],
    ids=["jpeg", "smaller", "larger", "cropped", "top cut", "gamma .6", "gamma 1.6", "flatter", "squashed", "framed"],
)
def test_a_film_that_was_changed_a_little_is_found_again_among_others(change):
    films = [a_film(seed) for seed in range(6)]

    groups = groups_of([*films, change(films[2])])

    assert groups == [0, 1, 2, 3, 4, 5, 2]


@given(
    st.integers(0, 10_000),
    st.integers(50, 95),
    st.floats(0.4, 1.5),
    st.floats(0, 0.02),
    st.floats(0.7, 1.4),
    st.floats(-20, 20),
)
@settings(max_examples=15)
def test_all_changes_together_leave_a_film_in_its_group(seed, quality, factor, share, gamma, offset):
    film = a_film(seed)

    changed = as_jpeg(exposed(cropped(resized(film, factor), share), gamma, offset=offset), quality)

    assert groups_of([film, changed]) == [0, 0]


@given(st.integers(0, 10_000), st.integers(1, 10_000))
@settings(max_examples=15)
def test_two_films_are_two_groups(seed, more):
    assert groups_of([a_film(seed), a_film(seed + more)]) == [0, 1]


@pytest.mark.parametrize("seed", range(8))
def test_another_film_of_the_same_body_is_no_copy_though_its_hash_is_close(seed):
    before = a_film(seed)
    after = breathed(before, seed)

    one, other = fingerprint_of(before), fingerprint_of(after)
    assert (int(one.hash64) ^ int(other.hash64)).bit_count() <= AT_MOST_BITS
    assert grouped([one, other]).tolist() == [0, 1]


def test_copies_of_copies_are_one_group_named_by_its_first():
    film = a_film(3)
    once = cropped(film, 0.025)
    chain = [a_film(4), film, once, cropped(once, 0.025)]

    assert groups_of(chain) == [0, 1, 1, 1]


@given(st.randoms(use_true_random=False))
@settings(max_examples=10)
def test_the_order_of_pictures_does_not_matter(random):
    prints = two_of_each_film()
    order = list(range(8))
    random.shuffle(order)

    groups = grouped([prints[place] for place in order])

    together = {frozenset(order[place] for place in np.flatnonzero(groups == group)) for group in groups}
    assert together == {frozenset({2 * film, 2 * film + 1}) for film in range(4)}


def test_no_picture_is_in_no_group():
    assert groups_of([]) == []


# -- blank pictures ----------------------------------------------------------------------------------------


def test_constant_pictures_are_copies_only_of_equal_ones():
    constants = [np.full((300, 200), shade, dtype=np.uint8) for shade in (0, 128, 0, 255, 128)]

    assert groups_of(constants) == [0, 1, 0, 3, 1]


def test_blank_pictures_with_noise_of_their_own_are_no_copies():
    rng = np.random.default_rng(0)
    noisy = [rng.integers(100, 104, (300, 200), dtype=np.uint8) for _ in range(20)]

    assert groups_of(noisy) == list(range(20))


def test_a_blank_picture_is_like_nothing_not_even_itself():
    blank, film = (fingerprint_of(picture).thumbnail[None] for picture in (np.zeros((99, 99), np.uint8), a_film(0)))

    assert confirm(blank, blank).tolist() == [0]
    assert confirm(blank, film).tolist() == [0]


# -- thumbnails and fingerprints ---------------------------------------------------------------------------


def test_likeness_is_one_with_itself_and_the_same_both_ways():
    thumbnails = np.array([fingerprint_of(a_film(seed)).thumbnail for seed in range(4)])
    others = np.roll(thumbnails, 1, axis=0)

    assert confirm(thumbnails, thumbnails) == pytest.approx([1] * 4)
    assert confirm(thumbnails, others) == pytest.approx(confirm(others, thumbnails), abs=1e-4)
    assert (confirm(thumbnails, others) < 0.5).all()


def test_likeness_is_found_through_a_shift_that_spoils_plain_correlation():
    film = a_film(5)
    whole, part = (fingerprint_of(picture).thumbnail for picture in (film, film[20:, 20:]))

    plain = np.corrcoef(*(np.gradient(t.astype(float), axis=1).ravel() for t in (whole, part)))[0, 1]

    assert plain < 0.9
    assert confirm(whole[None], part[None])[0] > 0.95


def test_an_inverted_film_is_no_copy():
    film = a_film(6)

    assert groups_of([film, 255 - film]) == [0, 1]


@given(st.floats(0.3, 1), st.floats(0, 60))
@settings(max_examples=20)
def test_brightness_and_contrast_hardly_move_the_hash(gain, offset):
    film = a_film(7)

    changed = exposed(film, gain=gain, offset=min(offset, 255 - 255 * gain))

    assert (int(fingerprint_of(film).hash64) ^ int(fingerprint_of(changed).hash64)).bit_count() <= 2


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((4, 4, 3), dtype=np.uint8),
        np.zeros((4, 4), dtype=np.float32),
        np.zeros((0, 4), dtype=np.uint8),
    ],
)
def test_what_is_no_grey_picture_is_refused(picture):
    with pytest.raises(ValueError, match="grey must be uint8 of shape"):
        fingerprint_of(picture)


def test_the_narrowest_pictures_have_fingerprints_too():
    for shape in ((1, 1), (1, 300), (300, 2)):
        assert fingerprint_of(np.full(shape, 9, dtype=np.uint8)).thumbnail.shape == (SIDE_PX, SIDE_PX)


def test_thumbnails_of_another_number_or_size_are_refused():
    thumbnails = np.zeros((2, SIDE_PX, SIDE_PX), dtype=np.uint8)

    with pytest.raises(ValueError, match="one per hash"):
        near_copies(np.zeros(3, dtype=np.uint64), thumbnails)
    with pytest.raises(ValueError, match="must both have shape"):
        confirm(thumbnails, thumbnails[:, :32])


# -- real films --------------------------------------------------------------------------------------------


@pytest.mark.real
def test_every_picture_of_one_covid_set_is_found_in_the_other_and_so_are_those_under_two_names(shared):
    data = shared / "data"
    lungs, gb = real_prints(data / "covid_lungs" / "images"), real_prints(data / "covid_gb" / "images")

    groups = grouped([*lungs.values(), *gb.values()])

    of_lungs = dict(zip(lungs, groups[: len(lungs)], strict=True))
    of_gb = dict(zip(gb, groups[len(lungs) :], strict=True))
    assert len(of_gb) == 72
    assert all(of_lungs[stem] == group for stem, group in of_gb.items())
    for day in (1, 4, 8, 13):
        assert of_lungs[f"4-x-day{day}"] == of_lungs[f"extubation-{day}"]
    by_number = next(group for stem, group in of_lungs.items() if stem.startswith("353889E0-"))
    assert by_number == of_lungs["case_72_RX-TORACE1"]


@pytest.mark.real
def test_other_films_of_the_same_and_of_other_patients_stay_apart(shared):
    nih = real_prints(shared / "data" / "nih" / "images")

    groups = grouped(list(nih.values()))

    assert len(nih) == 731
    assert len({stem[:8] for stem in nih}) == 600
    assert len(set(groups.tolist())) == 731


@pytest.mark.real
@pytest.mark.slow
def test_copies_in_siim_are_of_one_patient_and_equal_files_are_together(shared):
    folder = shared / "data" / "siim"
    siim = real_prints(folder / "train")
    patient = pd.read_csv(folder / "train_meta.csv").set_index("imageid")["patientid"]
    table = pd.DataFrame({"group": grouped(list(siim.values())), "patient": [patient[stem] for stem in siim]})
    table["content"] = [(folder / "train" / f"{stem}.jpg").read_bytes() for stem in siim]

    equal = table[table.duplicated("content", keep=False)]
    assert equal["content"].nunique() == 38
    assert equal.groupby("content")["group"].nunique().max() == 1
    assert table.groupby("group")["patient"].nunique().max() == 1
    assert (table.groupby("group").size() > 1).sum() >= 70
