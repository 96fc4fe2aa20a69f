"""Splits by patient, from a keyed hash: adding data moves nobody, and the order of records does not matter."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from enum import StrEnum

from boxray.core.errors import DataError


class Split(StrEnum):
    """Decided by patient, the same every time."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"


def patient_key(key: str, source: str, patient: str) -> str:
    """An opaque id of a patient: 32 hexadecimal digits of a keyed BLAKE2b; the raw id stays behind."""
    digest = hashlib.blake2b(f"{source}/{patient}".encode(), key=key.encode()[:64], digest_size=16)
    return digest.hexdigest()


def split_of(patient: str, val: float, test: float) -> Split:
    """The split of a patient key of `patient_key`. `val` and `test` are shares in [0, 1]."""
    place = int(patient, 16) / 16 ** len(patient)
    if place < test:
        return Split.TEST
    return Split.VAL if place < test + val else Split.TRAIN


def require_no_shared_picture(rows: Iterable[tuple[str, str, str]]) -> None:
    """Refuse a picture that is in two splits, under whatever names.

    Args:
        rows: Hash of the pixels, split and source of each image.

    Raises:
        DataError: With the number of such pictures and the sources that share them.
    """
    seen: dict[str, tuple[str, str]] = {}
    shared = set()
    n_shared = 0
    for sha256, split, source in rows:
        first_split, first_source = seen.setdefault(sha256, (split, source))
        if first_split != split:
            n_shared += 1
            shared |= {first_source, source}
    if n_shared:
        raise DataError(
            f"{n_shared} pictures of {' and '.join(sorted(shared))} are in two splits, pixel by pixel "
            "(split.image_overlap); leave one source out, or say that it has the 'patients_of' the other"
        )


def require_disjoint(rows: Iterable[tuple[str, str]]) -> None:
    """Refuse a patient who is in two splits.

    Args:
        rows: Pairs of patient key and split.

    Raises:
        DataError: With the number of such patients.
    """
    seen: dict[str, str] = {}
    in_two = {patient for patient, split in rows if seen.setdefault(patient, split) != split}
    if in_two:
        raise DataError(f"{len(in_two)} patients are in two splits; build the data set again (split.patient_overlap)")
