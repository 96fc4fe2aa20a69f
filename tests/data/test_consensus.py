"""Consensus: boxes of several readers as one, against slow and obvious references."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxray.core.errors import DataError
from boxray.data import consensus
from boxray.data.consensus import CORNERS, FUSED_COLUMNS, fuse, fuse_table
from readers import NONE, WHO, a_table, drawn, limits, small_boxes, strip, vindr_table


def fused(rows, n_readers=3, iou=0.4):
    """`fuse` of rows (box, reader)."""
    return fuse(np.array([box for box, _ in rows]).reshape(-1, 4), [who for _, who in rows], n_readers, iou)


# ---- fuse ----


def test_two_readers_boxes_become_their_mean_with_two_votes_of_three():
    one = fused([(strip(0, 10), "R1"), (strip(2, 12), "R2")])  # overlap 8 of 12

    assert one.boxes_xyxy.tolist() == [[1, 0, 11, 10]]
    assert one.votes.tolist() == [2]
    assert one.share == pytest.approx([2 / 3])
    assert one.cluster.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("iou", "n_clusters"),
    [
        pytest.param(0.49, 1, id="below-the-overlap"),
        pytest.param(0.5, 1, id="the-limit-itself-is-enough"),
        pytest.param(0.51, 2, id="above-the-overlap"),
    ],
)
def test_boxes_fuse_from_the_limit_on(iou, n_clusters):
    two = fused([(strip(0, 3), "R1"), (strip(1, 4), "R2")], iou=iou)  # overlap 2 of 4

    assert len(two.boxes_xyxy) == n_clusters
    assert two.votes.sum() == 2


def test_two_boxes_of_one_reader_are_never_fused_even_if_equal():
    one = fused([(strip(0, 10), "R1"), (strip(0, 10), "R1"), (strip(1, 11), "R1")])

    assert one.boxes_xyxy.tolist() == [list(strip(0, 10)), list(strip(0, 10)), list(strip(1, 11))]
    assert one.votes.tolist() == [1, 1, 1]


def test_of_two_boxes_of_one_reader_the_better_match_is_fused_and_the_other_stays():
    rows = [(strip(0, 10), "R1"), (strip(3, 13), "R1"), (strip(4, 14), "R2")]  # 6 of 14 and 9 of 11

    one = fused(rows)

    assert one.boxes_xyxy.tolist() == [list(strip(0, 10)), list(strip(3.5, 13.5))]
    assert one.votes.tolist() == [1, 2]
    assert one.cluster.tolist() == [0, 1, 1]


def test_the_mean_of_a_cluster_decides_and_not_its_members():
    """0 overlaps 4 by 6 of 14 = .43, but the mean of 4 and 6 only by 5 of 15 = .33."""
    one = fused([(strip(0, 10), "R1"), (strip(4, 14), "R2"), (strip(6, 16), "R10")])

    assert one.boxes_xyxy.tolist() == [list(strip(0, 10)), list(strip(5, 15))]
    assert one.votes.tolist() == [1, 2]


def test_a_readers_own_boxes_do_not_go_first_because_they_overlap_each_other():
    """Of R1's 0 and 0.5, the second overlaps R2's 4 by 6.5 of 13.5 = .48, but the mean of 4 and 6 only by .38."""
    one = fused([(strip(0, 10), "R1"), (strip(0.5, 10.5), "R1"), (strip(4, 14), "R2"), (strip(6, 16), "R10")])

    assert one.boxes_xyxy[:, 0].tolist() == [0, 0.5, 5]
    assert one.votes.tolist() == [1, 1, 2]


@pytest.mark.parametrize("other", ["Q", "S"], ids=["before-R", "after-R"])
def test_equal_boxes_are_fused_with_each_other_whatever_their_readers_are_called(other):
    rows = [(strip(0, 10), "R"), (strip(0, 10), "third"), (strip(2, 12), "R"), (strip(2, 12), other)]

    one = fused(rows)

    assert one.boxes_xyxy.tolist() == [list(strip(0, 10)), list(strip(2, 12))]
    assert one.cluster.tolist() == [0, 0, 1, 1]


def test_of_equal_matches_the_first_by_corners_and_name_is_fused_in_any_order_of_rows():
    """R2's box overlaps both of R1's by 8 of 12."""
    rows = [(strip(0, 10), "R1"), (strip(2, 12), "R2"), (strip(4, 14), "R1")]

    found = [fused(order) for order in permutations(rows)]

    assert {one.boxes_xyxy.tobytes() for one in found} == {np.array([strip(1, 11), strip(4, 14)]).tobytes()}


def test_two_pairs_of_readers_who_agree_become_one_box_of_four_votes():
    rows = [(strip(x, x + 10), who) for x, who in ((0, "a"), (0.5, "b"), (2, "c"), (2.5, "d"))]

    one = fused(rows, n_readers=4)

    assert one.boxes_xyxy.tolist() == [list(strip(1.25, 11.25))]
    assert one.votes.tolist() == [4]


def test_boxes_come_by_the_corners_that_they_have_after_fusion():
    one = fused([(strip(0, 10), "R1"), (strip(3, 13), "R2"), (strip(1, 4), "R1")])

    assert one.boxes_xyxy.tolist() == [list(strip(1, 4)), list(strip(1.5, 11.5))]
    assert one.votes.tolist() == [1, 2]
    assert one.cluster.tolist() == [1, 1, 0]


def test_a_box_joins_the_cluster_that_it_overlaps_most():
    rows = [(strip(0, 10), "R1"), (strip(7, 17), "R1"), (strip(4, 14), "R2")]  # 6 of 14 and 7 of 13

    one = fused(rows)

    assert one.boxes_xyxy.tolist() == [list(strip(0, 10)), list(strip(5.5, 15.5))]


def test_three_readers_of_two_places_give_two_boxes():
    rows = [
        (strip(0, 10), "R1"),
        (strip(1, 11), "R2"),
        (strip(2, 12), "R10"),
        (strip(50, 60), "R2"),
        (strip(52, 62), "R10"),
    ]

    two = fused(rows, n_readers=4)

    assert two.boxes_xyxy.tolist() == [list(strip(1, 11)), list(strip(51, 61))]
    assert two.votes.tolist() == [3, 2]
    assert two.share.tolist() == [0.75, 0.5]


@given(drawn, limits, st.randoms(use_true_random=False))
@settings(max_examples=150)
def test_the_order_of_rows_does_not_matter(rows, iou, random):
    shuffled = random.sample(rows, len(rows))

    here, there = fused(rows, iou=iou), fused(shuffled, iou=iou)

    assert here.boxes_xyxy.tobytes() == there.boxes_xyxy.tobytes()
    assert here.votes.tolist() == there.votes.tolist()
    assert sorted(zip(rows, here.cluster, strict=True)) == sorted(zip(shuffled, there.cluster, strict=True))


@given(drawn, limits)
@settings(max_examples=150)
def test_every_box_is_in_one_cluster_and_every_cluster_has_each_reader_once(rows, iou):
    one = fused(rows, iou=iou)

    assert len(one.cluster) == len(rows)
    assert set(one.cluster.tolist()) == set(range(len(one.boxes_xyxy)))
    for row, votes in enumerate(one.votes):
        names = [who for (_, who), cluster in zip(rows, one.cluster, strict=True) if cluster == row]
        assert len(set(names)) == len(names) == votes <= 3
    assert one.share.tolist() == (one.votes / 3).tolist()


@given(drawn, limits)
@settings(max_examples=150)
def test_a_fused_box_is_the_mean_of_its_members_and_lies_within_their_hull(rows, iou):
    one = fused(rows, iou=iou)

    boxes = np.array([box for box, _ in rows]).reshape(-1, 4)
    for row, box in enumerate(one.boxes_xyxy):
        members = boxes[one.cluster == row]
        assert box == pytest.approx(sum(members) / len(members))
        assert (members.min(axis=0) <= box).all()
        assert (box <= members.max(axis=0)).all()


@given(st.lists(small_boxes, max_size=8), limits)
@settings(max_examples=60)
def test_a_single_reader_gets_his_boxes_back_bit_for_bit(boxes, iou):
    one = fused([(box, "R1") for box in boxes], n_readers=1, iou=iou)

    assert one.boxes_xyxy.tobytes() == np.array(sorted(boxes)).tobytes()
    assert one.boxes_xyxy[one.cluster].tobytes() == np.array(boxes).tobytes()
    assert one.share.tolist() == [1.0] * len(boxes)


@given(small_boxes)
@settings(max_examples=40)
def test_what_all_readers_drew_alike_comes_back_bit_for_bit(box):
    """Seven of them: the first number by which the mean of equal numbers may be another one."""
    one = fused([(box, who) for who in "abcdefg"], n_readers=7)

    assert one.boxes_xyxy.tobytes() == np.array(box).tobytes()
    assert one.votes.tolist() == [7]


def test_no_box_gives_no_cluster():
    nothing = fuse(NONE, [], n_readers=3)

    assert nothing.boxes_xyxy.shape == (0, 4)
    assert nothing.votes.shape == nothing.share.shape == nothing.cluster.shape == (0,)


@pytest.mark.parametrize(
    ("boxes", "readers", "n_readers", "iou", "message"),
    [
        pytest.param(np.zeros((4, 2)), ["R1"] * 4, 1, 0.4, r"shape \(N, 4\), got \(4, 2\)", id="another-shape"),
        pytest.param([strip(0, 1)], ["R1", "R2"], 2, 0.4, "2 readers for 1 boxes", id="a-reader-too-many"),
        pytest.param([strip(0, 1), strip(0, 1)], ["a", "b"], 1, 0.4, "boxes of more readers", id="one-read-two-drew"),
        pytest.param([strip(1, 0)], ["R1"], 1, 0.4, "1 of 1 boxes", id="corners-exchanged"),
        pytest.param([strip(0, np.nan)], ["R1"], 1, 0.4, "1 of 1 boxes", id="a-corner-is-no-number"),
        pytest.param([strip(0, np.inf)], ["R1"], 1, 0.4, "1 of 1 boxes", id="a-corner-is-infinite"),
        pytest.param([strip(0, 1)], ["R1"], 1, 0.0, "above 0 and not above 1, got 0", id="everything-would-fuse"),
        pytest.param([strip(0, 1)], ["R1"], 1, 40, "above 0 and not above 1, got 40", id="a-limit-in-percent"),
    ],
)
def test_what_cannot_be_fused_is_refused(boxes, readers, n_readers, iou, message):
    with pytest.raises(DataError, match=message):
        fuse(np.array(boxes), readers, n_readers, iou)


# ---- fuse_table ----

MIXED = [
    ("b", "effusion", strip(50, 60), "R1", "Effusion"),
    ("a", "effusion", strip(2, 12), "R2", "Pleural effusion"),
    ("a", "effusion", strip(0, 10), "R10", "Effusion"),
    ("a", "effusion", strip(80, 90), "R2", "Pleural effusion"),
    ("a", "covid", strip(0, 10), "R2", "Covid"),
    ("b", "effusion", strip(0, 10), "R1", "Effusion"),
]


def test_a_table_keeps_who_drew_each_box_in_which_words():
    table = fuse_table(a_table(MIXED), {"a": 3, "b": 1, "nobody drew here": 3})

    assert table.columns.tolist() == FUSED_COLUMNS
    assert table.drop(columns=CORNERS).to_numpy().tolist() == [
        ["a", "covid", 1, "R2", 3, "Covid"],
        ["a", "effusion", 2, "R10 R2", 3, "Effusion|Pleural effusion"],
        ["a", "effusion", 1, "R2", 3, "Pleural effusion"],
        ["b", "effusion", 1, "R1", 1, "Effusion"],
        ["b", "effusion", 1, "R1", 1, "Effusion"],
    ]
    assert table[["x1", "x2"]].to_numpy().tolist() == [[0, 10], [1, 11], [80, 90], [0, 10], [50, 60]]


def test_a_number_of_readers_may_come_as_a_series_and_other_columns_do_no_harm():
    boxes = a_table(MIXED)

    mapped = fuse_table(boxes, {"a": 3, "b": 1})
    aligned = fuse_table(boxes.assign(note="x").set_index(pd.Index([7] * len(boxes))), pd.Series({"b": 1, "a": 3}))

    assert aligned.equals(mapped)


def test_columns_of_categories_give_what_columns_of_text_give():
    boxes, names = a_table(MIXED), ["reader", "finding", "image_id"]
    backwards = boxes.assign(
        **{name: pd.Categorical(boxes[name], sorted({*boxes[name], "unused"}, reverse=True)) for name in names}
    )

    assert fuse_table(backwards, {"a": 3, "b": 1}).equals(fuse_table(boxes, {"a": 3, "b": 1}))


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), small_boxes, st.sampled_from(WHO)), max_size=14),
    limits,
    st.randoms(use_true_random=False),
)
@settings(max_examples=100)
def test_a_table_is_what_fusing_its_images_and_findings_one_by_one_gives(rows, iou, random):
    table = fuse_table(a_table(random.sample(rows, len(rows))), {"a": 3, "b": 4}, iou)

    expected = []
    for image, finding in sorted({row[:2] for row in rows}):
        group = [row[2:] for row in rows if row[:2] == (image, finding)]
        one = fused(group, iou=iou)
        for row, box in enumerate(one.boxes_xyxy.tolist()):
            names = sorted(who for (_, who), cluster in zip(group, one.cluster, strict=True) if cluster == row)
            readers = 3 if image == "a" else 4
            expected.append([image, finding, *box, len(names), " ".join(names), readers, finding.title()])
    assert table.to_numpy().tolist() == expected


def test_images_of_one_reader_each_never_enter_the_loop(monkeypatch):
    def never(*_arguments):
        raise AssertionError("boxes of one reader went through the loop")

    monkeypatch.setattr(consensus, "_clusters", never)
    one_each = a_table([(image, "effusion", strip(0, 10), who) for image in "ab" for who in [f"R{image}"] * 2])

    assert fuse_table(one_each, {"a": 1, "b": 1})["votes"].tolist() == [1, 1, 1, 1]


def test_many_images_at_once_are_what_they_are_one_by_one():
    """More boxes than go through the overlaps at a time, and no image may be cut in two between them."""
    images = [f"{number:03d}" for number in range(99)]
    rows = [(image, "x", strip(5 + k, 15 + k), who) for image in images for k, who in enumerate(WHO)]

    table = fuse_table(a_table(rows), dict.fromkeys(images, 3))

    assert table["votes"].tolist() == [3] * 99
    assert table["x1"].tolist() == [6] * 99


def test_an_empty_table_gives_an_empty_one_with_all_columns():
    table = fuse_table(a_table([]), {})

    assert table.columns.tolist() == FUSED_COLUMNS
    assert len(table) == 0


@pytest.mark.parametrize(
    ("change", "readers", "message"),
    [
        pytest.param({}, {"b": 1}, "1 images with boxes have no number", id="an-image-without-a-number"),
        pytest.param({}, {"a": float("nan"), "b": 1}, "1 images with boxes have no number", id="no-number"),
        pytest.param({}, {"a": 1, "b": 1}, "1 images have boxes of more readers", id="one-read-two-drew"),
        pytest.param({}, pd.Series([3, 3, 1], index=["a", "a", "b"]), "names an image twice", id="two-numbers"),
        pytest.param({"reader": "R 1"}, {"a": 3, "b": 1}, "holds a blank", id="a-blank-in-a-name"),
        pytest.param({"reader": ""}, {"a": 3, "b": 1}, "is empty", id="no-name"),
        pytest.param({"reader": None}, {"a": 3, "b": 1}, "6 rows have no 'reader'", id="a-missing-reader"),
        pytest.param({"raw_label": None}, {"a": 3, "b": 1}, "6 rows have no 'raw_label'", id="a-missing-word"),
        pytest.param({"x1": 99.0}, {"a": 3, "b": 1}, "6 of 6 boxes", id="corners-exchanged"),
    ],
)
def test_a_table_that_cannot_be_fused_is_refused_without_naming_an_image(change, readers, message):
    with pytest.raises(DataError, match=message):
        fuse_table(a_table(MIXED).assign(**change), readers)


def test_a_missing_column_is_named():
    with pytest.raises(DataError, match="missing: reader"):
        fuse_table(a_table(MIXED).drop(columns="reader"), {})


# ---- the real table ----


@pytest.fixture(scope="module")
def vindr(shared):
    return vindr_table(shared)


@pytest.mark.real
def test_the_consensus_of_vindr_loses_no_box_and_keeps_what_one_reader_saw(vindr):
    boxes, readers = vindr

    table = fuse_table(boxes, readers.groupby("image_id")["reader"].nunique())

    assert table["votes"].sum() == len(boxes) == 36_096
    assert set(table["n_readers"]) == {3}
    assert table["votes"].isin([1, 2, 3]).all()
    seen_by_one = boxes.groupby(["image_id", "finding"])["reader"].transform("nunique") == 1
    alone = boxes[seen_by_one].sort_values(["image_id", "finding", *CORNERS])
    kept = table.merge(alone[["image_id", "finding"]].drop_duplicates())
    assert np.array_equal(kept[CORNERS], alone[CORNERS])
    assert kept["readers"].tolist() == alone["reader"].tolist()
