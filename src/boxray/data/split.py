"""Splits by patient, from a keyed hash: the order of records does not matter, and adding data moves hardly anybody."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import pandas as pd

from boxray.core.errors import DataError


class Split(StrEnum):
    """Decided by patient, the same every time."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"
    ASIDE = "aside"
    """In no part: kept for review, because the picture has a quality fault."""


PARTS: Final = (Split.TRAIN, Split.VAL, Split.TEST)
"""From what may be learned to what must not."""

_FEWEST_TO_SPREAD: Final = 3


def patient_key(key: str, source: str, patient: str) -> str:
    """An opaque id of a patient: 32 hexadecimal digits of a keyed BLAKE2b; the raw id stays behind."""
    digest = hashlib.blake2b(f"{source}/{patient}".encode(), key=key.encode()[:64], digest_size=16)
    return digest.hexdigest()


def split_of(patient: str, val: float, test: float) -> Split:
    """The split of a patient key of `patient_key`. `val` and `test` are shares in [0, 1]."""
    place = _place(patient)
    if place < test:
        return Split.TEST
    return Split.VAL if place < test + val else Split.TRAIN


def _place(patient: str) -> float:
    """Where the hash puts a patient in [0, 1)."""
    return float(int(patient, 16) / 16 ** len(patient))


@dataclass(frozen=True, slots=True)
class Deal:
    """Who is in which part, and whom the rules beyond the hash moved."""

    split_of: Mapping[str, Split]
    remarks: Mapping[str, int]


def deal(
    patients: Iterable[str],
    val: float,
    test: float,
    *,
    published: Mapping[str, Split] | None = None,
    linked: Iterable[tuple[str, str]] = (),
    boxed: Mapping[str, Collection[str]] | None = None,
) -> Deal:
    """Deal patients to train, val and test.

    A published part is kept; everybody else goes where the hash of the patient key says. Patients who share a
    picture are dealt together, by the first of them, and a part published as test holds for all of them. A finding
    boxed in at least three such groups, none of them in test (or val), gets the one whose hash lies nearest. The hash
    alone moves nobody when data are added; these rules may, so models trained before are not to be scored on patients
    that the remarks count.

    Args:
        patients: Patient keys, the earlier source first.
        val: Share of val, in [0, 1].
        test: Share of test, in [0, 1].
        published: Patient -> published part, for those whose card keeps it.
        linked: Pairs of patients with a picture in common.
        boxed: Finding -> patients with a box of it.

    Returns:
        A part for each patient, and how many were moved, by reason.
    """
    first_of = _first_of_linked(list(dict.fromkeys(patients)), linked)
    published = published or {}
    fixed: dict[str, Split] = {}
    for patient, split in published.items():
        first = first_of[patient]
        fixed[first] = max(split, fixed.get(first, split), key=PARTS.index)
    parts = {first: fixed.get(first) or split_of(first, val, test) for first in dict.fromkeys(first_of.values())}
    remarks: Counter[str] = Counter()
    for finding, ill in (boxed or {}).items():
        for split, share in ((Split.TEST, test), (Split.VAL, val)):
            moved = _nearest(parts, {first_of[patient] for patient in ill}, fixed.keys(), split)
            if moved is not None and share > 0:
                parts[moved] = split
                remarks[f"patient moved to {split} so that it has a box of {finding}"] += 1
    return Deal({patient: parts[first] for patient, first in first_of.items()}, remarks)


def _nearest(parts: Mapping[str, Split], groups: Collection[str], fixed: Collection[str], split: Split) -> str | None:
    """The training group to move into a part that has none of them; None where that is not needed, or too dear."""
    in_train = [group for group in groups if parts[group] is Split.TRAIN]
    free = [group for group in in_train if group not in fixed]
    if any(parts[group] is split for group in groups) or len(groups) < _FEWEST_TO_SPREAD or not in_train[1:]:
        return None
    return min(free, key=_place, default=None)


def _first_of_linked(patients: Sequence[str], linked: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Patient -> the first of the patients he is linked with, however far round."""
    place = {patient: index for index, patient in enumerate(patients)}
    first = list(range(len(patients)))

    def root(index: int) -> int:
        while first[index] != index:
            first[index] = first[first[index]]
            index = first[index]
        return index

    for one, other in linked:
        a, b = root(place[one]), root(place[other])
        first[max(a, b)] = min(a, b)
    return {patient: patients[root(index)] for patient, index in place.items()}


def require_no_shared_picture(images: pd.DataFrame) -> None:
    """Refuse a picture that is in two splits, under whatever names.

    Args:
        images: With columns `sha256`, `split` and `source`.

    Raises:
        DataError: With the number of such pictures and the sources that share them.
    """
    images = images[images["split"] != Split.ASIDE.value]
    again = images[images["sha256"].duplicated(keep=False)]
    n_splits = again.groupby("sha256")["split"].nunique()
    shared = n_splits[n_splits > 1].index
    if len(shared):
        sources = sorted(set(again["source"][again["sha256"].isin(shared)].astype(str)))
        raise DataError(
            f"{len(shared)} pictures of {' and '.join(sources)} are in two splits, pixel by pixel "
            "(split.image_overlap); build the data set again: copies are merged there"
        )


def require_disjoint(images: pd.DataFrame) -> None:
    """Refuse a patient who is in two splits.

    Args:
        images: With columns `patient` and `split`.

    Raises:
        DataError: With the number of such patients.
    """
    pairs = images.loc[images["split"] != Split.ASIDE.value, ["patient", "split"]].drop_duplicates()
    n_in_two = pairs["patient"][pairs["patient"].duplicated()].nunique()
    if n_in_two:
        raise DataError(f"{n_in_two} patients are in two splits; build the data set again (split.patient_overlap)")
