"""Copies become one image: nothing that a reader said is lost, and nothing counts twice."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxray.core.findings import Presence
from boxray.data.books import Books
from boxray.data.gather import Gathered
from boxray.data.merge import merge_copies, who_looked
from boxray.data.presence import Cell, Rule
from making import a_card, label_space

KNOWN_OF_SOME = ("view", "sex", "age_years")
SPACE = label_space("effusion", "edema")
UNKNOWN = Cell(Presence.UNKNOWN, Rule.NONE)
BOXED = Cell(Presence.BOXED, Rule.BOX)


def gathered_from(rows, boxes=(), cells=None):
    """Images as (id, patient, width); boxes as (image id, finding, x1, reader)."""
    images = pd.DataFrame(
        [
            (image, image.partition(":")[0], patient, f"{image}.png", width, height, image, None, None, None, "")
            for image, patient, (width, height) in ((i, p, w if isinstance(w, tuple) else (w, w)) for i, p, w in rows)
        ],
        columns=["image_id", "source", "patient", "picture", "width", "height", "sha256", *KNOWN_OF_SOME, "aside"],
    )
    table = pd.DataFrame(
        [(image, finding, x1, 1.0, x1 + 5, 9.0, reader, finding) for image, finding, x1, reader in boxes],
        columns=["image_id", "finding", "x1", "y1", "x2", "y2", "reader", "raw_label"],
    )
    readers = [(f"{source}/published",) for source in images["source"]]
    return Gathered(images, cells or [(UNKNOWN, UNKNOWN)] * len(rows), readers, [], table)


def merged_from(gathered, groups):
    audits = {name: Books(a_card()) for name in gathered.images["source"].unique()}
    return merge_copies(gathered, np.array(groups), SPACE, audits), audits


def test_without_copies_everything_stays_as_it_was():
    gathered = gathered_from([("a:1", "p", 10), ("a:2", "q", 20)], [("a:2", "edema", 1.0, "a/published")])

    merged, audits = merged_from(gathered, [0, 1])

    assert merged.images["image_id"].tolist() == ["a:1", "a:2"]
    assert merged.boxes.equals(gathered.boxes)
    assert not merged.linked
    assert not audits["a"].images_dropped


def test_the_largest_copy_stays_and_boxes_move_to_it_in_proportion():
    boxes = [("a:small", "edema", 4.0, "a/published"), ("b:large", "effusion", 7.0, "b/published")]
    gathered = gathered_from([("a:small", "p", 10), ("b:large", "q", 20)], boxes)

    merged, audits = merged_from(gathered, [5, 5])

    assert merged.images[["image_id", "copies", "readers"]].to_numpy().tolist() == [
        ["b:large", "a:small", "b/published a/published"]
    ]
    assert merged.boxes[["finding", "x1", "x2"]].to_numpy().tolist() == [["edema", 8.0, 18.0], ["effusion", 7.0, 12.0]]
    assert merged.linked == [("q", "p")]
    assert merged.copies[["kept", "copy"]].to_numpy().tolist() == [["b:large", "a:small"]]
    assert merged.copies["how"].tolist() == ["the same film at another size or quality"]
    assert audits["a"].images_dropped == {
        "a copy of an image that is kept: the same film at another size or quality, of b": 1
    }


def test_a_reader_who_boxed_two_copies_of_a_film_counts_once_and_the_drop_is_booked():
    boxes = [("a:1", "edema", 1.0, "a/r"), ("a:2", "edema", 2.0, "a/r"), ("a:2", "effusion", 3.0, "a/r")]

    merged, audits = merged_from(gathered_from([("a:1", "p", 9), ("a:2", "p", 9)], boxes), [0, 0])

    assert merged.boxes[["finding", "x1"]].to_numpy().tolist() == [["edema", 1.0], ["effusion", 3.0]]
    assert audits["a"].boxes_dropped == {"the same reader's boxes on a copy": 1}


def test_boxes_of_a_copy_of_another_aspect_are_not_moved_by_guess_but_the_finding_is_there():
    boxes = [("a:padded", "edema", 4.0, "a/published")]
    rows = [("a:padded", "p", (10, 8)), ("b:large", "p", (20, 20))]

    merged, audits = merged_from(gathered_from(rows, boxes, [(UNKNOWN, BOXED), (UNKNOWN, UNKNOWN)]), [0, 0])

    assert merged.boxes.empty
    assert merged.cells == [(UNKNOWN, Cell(Presence.PRESENT, Rule.BOX))]
    assert audits["a"].boxes_dropped == {"on a copy of another aspect": 1}


def test_a_copy_with_a_fault_is_not_the_one_that_is_kept():
    gathered = gathered_from([("a:upside_down", "p", 30), ("a:good", "p", 10)])
    gathered.images.loc[0, "aside"] = "quality.polarity"

    merged, _ = merged_from(gathered, [0, 0])

    assert merged.images["image_id"].tolist() == ["a:good"]


def test_presence_is_that_of_the_stronger_rule_and_a_contradiction_is_counted():
    absent = Cell(Presence.ABSENT, Rule.LABEL)
    gathered = gathered_from([("a:1", "p", 9), ("b:1", "p", 9)], cells=[(absent, UNKNOWN), (BOXED, absent)])

    merged, _ = merged_from(gathered, [0, 0])

    assert merged.cells == [(BOXED, absent)]
    assert merged.contradictions == {"effusion": 1}


def test_each_finding_names_the_source_that_decided_it_and_not_that_of_the_kept_film():
    """Of an assumption the reason stands in that source's card."""
    assumed, reason = Cell(Presence.ABSENT, Rule.ASSUMPTION), Cell(Presence.ABSENT, Rule.REASON)
    there, absent = Cell(Presence.PRESENT, Rule.LABEL), Cell(Presence.ABSENT, Rule.LABEL)
    rows = [
        ("a:1", "p", 10),
        ("kept:1", "p", 20),
        ("b:1", "p", 10),
        ("kept:2", "q", 9),
        ("b:2", "r", 9),
        ("a:3", "s", 9),
    ]
    cells = [
        (UNKNOWN, reason),
        (UNKNOWN, assumed),
        (assumed, UNKNOWN),
        (there, assumed),
        (absent, assumed),
        (BOXED, absent),
    ]

    merged, _ = merged_from(gathered_from(rows, cells=cells), [0, 0, 0, 1, 1, 2])

    assert merged.images["image_id"].tolist() == ["kept:1", "kept:2", "a:3"]
    assert merged.cells[0] == (assumed, reason)
    assert merged.cells[1][0].rule is Rule.DISPUTED
    assert merged.ruled_by == {0: ("b", "a"), 1: ("kept", "kept")}  # equals and disputes: the kept film's own


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=12),
)
@settings(max_examples=60)
def test_every_image_and_every_box_is_kept_or_booked(drawn):
    rows = [(f"s{who % 2}:{index}", f"p{who}", width) for index, (width, _, who) in enumerate(drawn)]
    boxes = [(image, "edema", 1.0, f"{image[:2]}/published") for image, _, _ in rows]

    merged, audits = merged_from(gathered_from(rows, boxes), [group for _, group, _ in drawn])

    dropped = sum(audit.images_dropped.total() for audit in audits.values())
    lost_boxes = sum(audit.boxes_dropped.total() for audit in audits.values())
    assert len(merged.images) + dropped == len(rows)
    assert len(merged.boxes) + lost_boxes == len(boxes)
    assert len(merged.images) == len({group for _, group, _ in drawn})
    assert set(merged.boxes["image_id"]) <= set(merged.images["image_id"])


def test_who_drew_nothing_has_looked_only_if_he_boxes_every_occurrence():
    images = pd.DataFrame({"image_id": ["x", "y"], "readers": ["nih/a det/two_words lungs/c", "nih/a"]})
    boxes = pd.DataFrame(
        [("x", "effusion", "nih/a"), ("x", "edema", "det/two_words"), ("y", "effusion", "nih/a")],
        columns=["image_id", "finding", "reader"],
    )

    looked = who_looked(images, boxes, {"det": ["effusion", "edema"], "nih": [], "lungs": []})

    assert sorted(map(tuple, looked.to_numpy().tolist())) == [
        ("x", "edema", "det/two_words"),
        ("x", "effusion", "det/two_words"),
        ("x", "effusion", "nih/a"),
        ("y", "effusion", "nih/a"),
    ]


@pytest.mark.parametrize("groups", [[0, 0, 1], [7, 7, 2]])
def test_what_the_groups_are_called_does_not_matter(groups):
    gathered = gathered_from([("a:1", "p", 9), ("a:2", "p", 9), ("a:3", "q", 9)])

    merged, _ = merged_from(gathered, groups)

    assert merged.images["image_id"].tolist() == ["a:1", "a:3"]
