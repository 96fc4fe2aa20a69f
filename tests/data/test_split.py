"""Splits: by patient, by a keyed hash, and by nothing else."""

import re

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxray.core.errors import DataError
from boxray.data.split import Split, deal, patient_key, require_disjoint, require_no_shared_picture, split_of

patients = st.sets(st.text(min_size=1, max_size=8), max_size=30)


def dealt(names, key="k"):
    """The split of each patient, dealt one after another."""
    return {name: split_of(patient_key(key, "made", name), 0.1, 0.2) for name in names}


@given(patients, st.randoms(use_true_random=False))
@settings(max_examples=30)
def test_the_order_of_patients_does_not_matter(names, random):
    shuffled = sorted(names)
    random.shuffle(shuffled)

    assert dealt(shuffled) == dealt(sorted(names))


@given(patients, patients)
@settings(max_examples=30)
def test_adding_patients_moves_nobody(names, added):
    before, after = dealt(names), dealt(names | added)

    assert all(after[name] is split for name, split in before.items())


def test_shares_are_about_those_asked_for():
    """5,000 patients: one standard deviation is 28 for the test part, 21 for the validation part."""
    splits = list(dealt(f"patient {number}" for number in range(5000)).values())

    assert splits.count(Split.TEST) == pytest.approx(1000, abs=4 * 28)
    assert splits.count(Split.VAL) == pytest.approx(500, abs=4 * 21)


@given(st.text(min_size=1), st.floats(0, 0.5), st.floats(0, 0.5))
@settings(max_examples=40)
def test_a_larger_test_part_keeps_everybody_whom_the_smaller_one_had(name, share, more):
    key = patient_key("k", "made", name)

    if split_of(key, 0.0, share) is Split.TEST:
        assert split_of(key, 0.0, share + more) is Split.TEST


def test_nobody_is_in_a_part_without_a_share():
    splits = {split_of(patient_key("k", "made", str(number)), 0.0, 0.0) for number in range(200)}

    assert splits == {Split.TRAIN}


def test_another_key_deals_anew():
    names = [str(number) for number in range(200)]

    assert dealt(names, "k") != dealt(names, "another")


def test_a_patient_key_says_nothing_of_the_patient_and_differs_between_sources():
    here, there = patient_key("k", "nih", "00013118"), patient_key("k", "siim", "00013118")

    assert re.fullmatch(r"[0-9a-f]{32}", here)
    assert "13118" not in here
    assert here != there


@given(st.dictionaries(st.text(min_size=1), st.sampled_from(["train", "val", "test"]), max_size=10))
@settings(max_examples=20)
def test_patients_of_one_split_each_pass_however_many_images_they_have(split_by_patient):
    require_disjoint(pd.DataFrame(list(split_by_patient.items()) * 2, columns=["patient", "split"]))


def test_a_patient_in_two_splits_is_refused_by_number_and_without_the_name_d7():
    rows = [("doe", "train"), ("roe", "train"), ("doe", "test"), ("doe", "val"), ("poe", "val")]

    with pytest.raises(DataError, match="1 patients are in two splits") as refusal:
        require_disjoint(pd.DataFrame(rows, columns=["patient", "split"]))

    assert "split.patient_overlap" in str(refusal.value)
    assert "doe" not in str(refusal.value)


def test_a_picture_in_two_splits_is_refused_with_the_sources_that_share_it_d8():
    rows = [("aa", "train", "nih"), ("bb", "val", "nih"), ("aa", "test", "repost"), ("bb", "val", "repost")]

    with pytest.raises(DataError, match="1 pictures of nih and repost are in two splits") as refusal:
        require_no_shared_picture(pd.DataFrame(rows, columns=["sha256", "split", "source"]))

    assert "split.image_overlap" in str(refusal.value)


def test_a_picture_twice_in_one_split_passes():
    rows = [("aa", "train", "nih"), ("aa", "train", "repost")]

    require_no_shared_picture(pd.DataFrame(rows, columns=["sha256", "split", "source"]))


def test_an_image_put_aside_is_in_no_part_and_leaks_nothing():
    rows = [("doe", "train", "aa", "nih"), ("doe", "aside", "aa", "nih")]
    images = pd.DataFrame(rows, columns=["patient", "split", "sha256", "source"])

    require_disjoint(images)
    require_no_shared_picture(images)


PATIENTS = [patient_key("k", "made", str(number)) for number in range(60)]


def test_without_anything_special_everybody_goes_where_the_hash_says():
    dealt = deal(PATIENTS, 0.1, 0.2)

    assert dealt.split_of == {patient: split_of(patient, 0.1, 0.2) for patient in PATIENTS}
    assert not dealt.remarks


@given(st.lists(st.tuples(st.sampled_from(PATIENTS), st.sampled_from(PATIENTS)), max_size=20))
@settings(max_examples=50)
def test_patients_who_share_a_film_share_a_part_and_nobody_else_is_moved(linked):
    dealt = deal(PATIENTS, 0.1, 0.2, linked=linked).split_of

    assert all(dealt[one] == dealt[other] for one, other in linked)
    untouched = set(PATIENTS) - {patient for pair in linked for patient in pair}
    assert all(dealt[patient] == split_of(patient, 0.1, 0.2) for patient in untouched)


def test_the_earlier_of_two_linked_patients_decides():
    apart = next(p for p in PATIENTS if split_of(p, 0.1, 0.2) is Split.TEST)
    other = next(p for p in PATIENTS if split_of(p, 0.1, 0.2) is Split.TRAIN)

    assert deal([apart, other], 0.1, 0.2, linked=[(other, apart)]).split_of[other] is Split.TEST
    assert deal([other, apart], 0.1, 0.2, linked=[(other, apart)]).split_of[apart] is Split.TRAIN


def test_a_published_part_is_kept_and_test_holds_for_all_who_share_a_film():
    first, second, third = PATIENTS[:3]

    dealt = deal(
        PATIENTS[:3],
        0.1,
        0.2,
        published={first: Split.TRAIN, second: Split.TEST, third: Split.VAL},
        linked=[(first, second)],
    )

    assert dealt.split_of == {first: Split.TEST, second: Split.TEST, third: Split.VAL}


def test_a_rare_finding_gets_a_patient_in_test_and_one_in_val_but_never_loses_its_last_for_training():
    in_train = [p for p in PATIENTS if split_of(p, 0.1, 0.2) is Split.TRAIN]

    four = deal(PATIENTS, 0.1, 0.2, boxed={"rare": in_train[:4]})
    two = deal(PATIENTS, 0.1, 0.2, boxed={"rare": in_train[:2]})

    assert sorted(four.split_of[p] for p in in_train[:4]) == ["test", "train", "train", "val"]
    assert sum(four.remarks.values()) == 2
    assert not two.remarks


def test_a_finding_that_has_its_test_patient_moves_nobody():
    assert not deal(PATIENTS, 0.1, 0.2, boxed={"common": PATIENTS}).remarks
