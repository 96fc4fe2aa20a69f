"""How far readers of the same films agree, against slow and obvious references."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxray.core.boxes import box_iou
from boxray.core.errors import DataError
from boxray.core.metrics import bootstrap
from boxray.data.reader_agreement import AGREEMENT_COLUMNS, reader_agreement
from readers import WHO, a_table, limits, seats, small_boxes, strip, vindr_table

READ = seats(("one", "A", "B", "C"), ("two", "A", "B"), ("three", "A"), ("four", "B", "C"))
DRAWN = [
    ("one", "effusion", strip(0, 10), "A"),
    ("one", "effusion", strip(2, 12), "B"),  # with A: 8 of 12
    ("one", "effusion", strip(50, 60), "C"),  # with nobody
    ("two", "effusion", strip(0, 10), "A"),  # with two boxes of B: one to one, so one match
    ("two", "effusion", strip(1, 11), "B"),
    ("two", "effusion", strip(2, 12), "B"),
    ("three", "effusion", strip(0, 10), "A"),  # nobody else read it
    ("four", "covid", strip(0, 10), "C"),  # B read it and found nothing
]


def test_agreement_of_a_case_worked_by_hand():
    table = reader_agreement(a_table(DRAWN), READ, 0.4).set_index("finding")

    assert table.reset_index().columns.tolist() == AGREEMENT_COLUMNS
    assert table.index.tolist() == ["covid", "effusion"]
    counts = table[["images", "images_boxed", "pairs", "boxes", "matches"]]
    assert counts.loc["effusion"].tolist() == [3, 2, 5, 6, 2]
    assert counts.loc["covid"].tolist() == [3, 1, 5, 1, 0]
    # Three pairs of image one: 1 + 1, 1 + 1, 1 + 1 boxes; the pair of image two: 1 + 2.
    assert table.loc["effusion", "f1"] == pytest.approx(2 * 2 / 9)
    assert table.loc["effusion", "any"] == pytest.approx(5 / 6)
    assert table.loc["covid", ["f1", "any"]].tolist() == [0, 0]


def test_a_pair_is_compared_with_each_other_only_where_both_read():
    table = reader_agreement(a_table(DRAWN), READ, 0.4, pair=("C", "B")).set_index("finding")

    assert table.loc["effusion", ["images", "images_boxed", "pairs", "boxes", "matches"]].tolist() == [2, 1, 2, 2, 0]
    assert table.loc["covid", ["images", "boxes"]].tolist() == [2, 1]
    both = reader_agreement(a_table(DRAWN), READ, 0.4, pair=("A", "B")).set_index("finding").loc["effusion"]
    assert both[["images", "boxes", "matches"]].tolist() == [2, 5, 2]
    assert both["f1"] == pytest.approx(2 * 2 / 5)


def test_readers_of_two_sources_are_compared_by_their_names():
    names = ("nih/published", "chestx_det/consensus")
    boxes = a_table([("00000013_000", "effusion", strip(0, 10), who) for who in names])

    table = reader_agreement(boxes, seats(("00000013_000", *names)), 0.5, pair=names)

    assert table.loc[0, ["f1", "any"]].tolist() == [1, 1]


def test_a_finding_without_a_box_to_compare_has_no_figures():
    table = reader_agreement(a_table(DRAWN), READ, 0.4, pair=("A", "B")).set_index("finding")

    assert table.loc["covid", ["images", "images_boxed", "boxes", "matches"]].tolist() == [2, 0, 0, 0]
    assert table.loc["covid", "f1":].isna().all()


def test_a_reader_who_found_nothing_disagrees_and_one_who_did_not_read_says_nothing():
    boxes = a_table([("one", "x", strip(0, 10), who) for who in "AB"])

    two, three = (reader_agreement(boxes, seats(("one", *names)), 0.4) for names in ("AB", "ABC"))

    assert two["f1"].tolist() == [1]
    assert three["f1"].tolist() == [0.5]  # 2 of the boxes of the pairs AB, AC and BC: 2 + 1 + 1
    assert three["any"].tolist() == [1]


@pytest.mark.parametrize(("iou", "n_matches"), [(0.49, 1), (0.5, 1), (0.51, 0)])
def test_boxes_agree_from_the_limit_on(iou, n_matches):
    boxes = a_table([("one", "x", strip(0, 3), "A"), ("one", "x", strip(1, 4), "B")])  # overlap 2 of 4

    table = reader_agreement(boxes, seats(("one", "A", "B")), iou)

    assert table["matches"].tolist() == [n_matches]
    assert table[["f1", "any"]].to_numpy().tolist() == [[n_matches, n_matches]]


def test_the_greatest_overlap_is_matched_first():
    """A's 4 takes B's 5 and not B's 1; A's 9 could take only B's 5: one match where two would be possible."""
    places = [("A", 4), ("A", 9), ("B", 1), ("B", 5)]  # 4-5: 9 of 11, 4-1: 7 of 13, 9-5: 6 of 14, 9-1: none
    boxes = a_table([("one", "x", strip(x, x + 10), who) for who, x in places])

    table = reader_agreement(boxes, seats(("one", "A", "B")), 0.4)

    assert table["matches"].tolist() == [1]
    assert table["any"].tolist() == [1]


def counted(rows, names_of, iou):
    """Matches, pair boxes, boxes that another reader has too, and boxes of one finding, by plain loops."""
    matches = of_pairs = again = n_boxes = 0
    for image, names in names_of.items():
        boxes = {who: [row[2] for row in rows if (row[0], row[3]) == (image, who)] for who in sorted(names)}
        seen = set()
        for a, b in combinations(boxes, 2):
            overlaps = box_iou(np.array(boxes[a]).reshape(-1, 4), np.array(boxes[b]).reshape(-1, 4))
            of_pairs += sum(overlaps.shape)
            for i, j in np.argwhere(overlaps >= iou):
                seen |= {(a, i), (b, j)}
            while overlaps.size and overlaps.max() >= iou:
                i, j = max(np.ndindex(*overlaps.shape), key=lambda place: overlaps[place])
                overlaps[i], overlaps[:, j] = 0, 0
                matches += 1
        if len(names) > 1:
            again += len(seen)
            n_boxes += sum(map(len, boxes.values()))
    return matches, of_pairs, again, n_boxes


@given(
    st.dictionaries(st.sampled_from("abcd"), st.sets(st.sampled_from(WHO), min_size=1), max_size=4),
    st.lists(st.tuples(st.sampled_from("abcd"), st.just("x"), small_boxes, st.sampled_from(WHO)), max_size=14),
    limits,
    st.randoms(use_true_random=False),
)
@settings(max_examples=150)
def test_agreement_is_what_plain_loops_count_in_any_order_of_rows(names_of, rows, iou, random):
    rows = sorted(row for row in rows if row[3] in names_of.get(row[0], ()))  # among equals the first by corners
    shuffled, readers = random.sample(rows, len(rows)), seats(*((image, *names) for image, names in names_of.items()))

    table = reader_agreement(a_table(shuffled), readers, iou, rounds=50)

    assert table.equals(reader_agreement(a_table(rows), readers[::-1], iou, rounds=50))
    assert len(table) == bool(rows)
    for line in table.itertuples():
        matches, of_pairs, again, n_boxes = counted(rows, names_of, iou)
        assert (line.matches, line.boxes) == (matches, n_boxes)
        assert line.images == sum(len(names) > 1 for names in names_of.values())
        if n_boxes:
            assert line.f1 == pytest.approx(2 * matches / of_pairs)
            assert table.loc[0, "any"] == pytest.approx(again / n_boxes)
            assert line.f1_low <= line.f1_high


def test_intervals_are_those_of_resampling_images_one_by_one():
    """Against `core.metrics.bootstrap`, which draws a weight for every image."""
    rng = np.random.default_rng(7)
    images = [f"{number:03d}" for number in range(120)]
    apart = rng.choice([None, 1, 3, 30], 120, p=[0.4, 0.3, 0.2, 0.1])  # 30 px apart: no match
    rows = [(image, "x", strip(0, 10), "A") for image, px in zip(images, apart, strict=True) if px is not None]
    rows += [(image, "x", strip(px, px + 10), "B") for image, px in zip(images, apart, strict=True) if px is not None]
    matched, there = np.isin(apart, [1, 3]).astype(float), (apart != None).astype(float)  # noqa: E711 - element by element

    line = reader_agreement(a_table(rows), seats(*((image, "A", "B") for image in images)), 0.4, rounds=4000).loc[0]

    expected = bootstrap(lambda weights: (weights * matched).sum() / (weights * there).sum(), images, rounds=4000)
    assert line["f1"] == line["any"] == expected.value
    assert line[["f1_low", "f1_high"]].tolist() == pytest.approx([expected.low, expected.high], abs=0.01)
    assert line[["any_low", "any_high"]].tolist() == pytest.approx([expected.low, expected.high], abs=0.01)
    assert line["f1_high"] - line["f1_low"] > 0.1


def test_intervals_repeat_with_their_seed_and_do_not_hang_on_other_findings():
    effusion = a_table([row for row in DRAWN if row[1] == "effusion"])

    all_findings = reader_agreement(a_table(DRAWN), READ, 0.4, seed=3)
    alone = reader_agreement(effusion, READ, 0.4, seed=3)

    assert all_findings.equals(reader_agreement(a_table(DRAWN), READ, 0.4, seed=3))
    assert all_findings.iloc[[1]].reset_index(drop=True).equals(alone)


@pytest.mark.parametrize("readers", [READ, seats()], ids=["nobody-drew", "nobody-read"])
def test_no_boxes_give_an_empty_table_with_all_columns(readers):
    table = reader_agreement(a_table([]), readers, 0.4)

    assert table.columns.tolist() == AGREEMENT_COLUMNS
    assert len(table) == 0


@pytest.mark.parametrize(
    ("readers", "options", "message"),
    [
        pytest.param(READ[1:], {}, "1 boxes are of a reader who did not read", id="a-reader-left-out"),
        pytest.param(READ[:5], {}, "2 boxes are of a reader who did not read", id="images-left-out"),
        pytest.param(READ, {"pair": ("A", "D")}, "D has read nothing; the readers are: A, B, C", id="a-stranger"),
        pytest.param(READ, {"pair": ("A", "A")}, "two different readers", id="with-himself"),
        pytest.param(READ, {"iou": 1.5}, "got 1.5", id="no-such-overlap"),
    ],
)
def test_readers_that_do_not_fit_are_refused(readers, options, message):
    with pytest.raises(DataError, match=message):
        reader_agreement(a_table(DRAWN), readers, **{"iou": 0.4} | options)


def test_a_reader_said_twice_counts_once():
    twice = pd.concat([READ, READ])

    assert reader_agreement(a_table(DRAWN), twice, 0.4).equals(reader_agreement(a_table(DRAWN), READ, 0.4))


def test_many_images_at_once_agree_as_they_do_one_by_one():
    """More boxes than go through the overlaps at a time, and no image may be cut in two between them."""
    images = [f"{number:03d}" for number in range(99)]
    rows = [(image, "x", strip(5 + k, 15 + k), who) for image in images for k, who in enumerate(WHO)]

    agreement = reader_agreement(a_table(rows), seats(*((image, *WHO) for image in images)), 0.4)

    assert agreement["matches"].tolist() == [3 * 99]


def test_columns_of_categories_agree_as_columns_of_text_do():
    boxes = a_table(DRAWN)
    backwards = boxes.assign(
        **{
            name: pd.Categorical(boxes[name], sorted({*boxes[name], "unused"}, reverse=True))
            for name in ("reader", "finding", "image_id")
        }
    )

    assert reader_agreement(backwards, READ, 0.4).equals(reader_agreement(boxes, READ, 0.4))


def test_a_missing_column_is_named():
    with pytest.raises(DataError, match="missing: finding"):
        reader_agreement(a_table(DRAWN).drop(columns="finding"), seats(), 0.4)
    with pytest.raises(DataError, match="readers: expected the columns image_id, reader; missing: reader"):
        reader_agreement(a_table(DRAWN), pd.DataFrame({"image_id": []}), 0.4)


# ---- the real table ----

# Computed by others from the same table: F1 at .4, F1 at .5, any at .4, images where 1, 2 and 3 readers saw it.
VINDR = {
    "Cardiomegaly": (0.806, 0.784, 0.906, (483, 520, 1297)),
    "Aortic enlargement": (0.783, 0.738, 0.880, (721, 602, 1744)),
    "Pneumothorax": (0.588, 0.571, 0.699, (38, 13, 45)),
    "Pleural effusion": (0.467, 0.368, 0.603, (398, 195, 439)),
    "Pulmonary fibrosis": (0.423, 0.349, 0.570, (600, 384, 633)),
    "ILD": (0.408, 0.348, 0.534, (234, 81, 71)),
    "Nodule/Mass": (0.372, 0.350, 0.511, (421, 224, 181)),
    "Infiltration": (0.337, 0.290, 0.470, (368, 154, 91)),
    "Calcification": (0.289, 0.256, 0.456, (275, 120, 57)),
    "Consolidation": (0.272, 0.252, 0.423, (232, 90, 31)),
    "Pleural thickening": (0.264, 0.190, 0.394, (1099, 517, 365)),
    "Lung Opacity": (0.255, 0.216, 0.404, (775, 380, 167)),
    "Other lesion": (0.233, 0.200, 0.347, (772, 235, 127)),
    "Atelectasis": (0.229, 0.208, 0.341, (124, 44, 18)),
}


@pytest.fixture(scope="module")
def vindr(shared):
    return vindr_table(shared)


@pytest.mark.real
def test_agreement_of_vindrs_readers_is_what_others_computed(vindr):
    at_4, at_5 = (reader_agreement(*vindr, iou).set_index("finding") for iou in (0.4, 0.5))

    assert at_4.index.tolist() == sorted(VINDR)
    for finding, (f1_at_4, f1_at_5, any_at_4, seen_by) in VINDR.items():
        found = (at_4.loc[finding, "f1"], at_5.loc[finding, "f1"], at_4.loc[finding, "any"])
        assert found == pytest.approx((f1_at_4, f1_at_5, any_at_4), abs=0.0005001)
        assert at_4.loc[finding, ["images", "images_boxed", "pairs"]].tolist() == [15_000, sum(seen_by), 45_000]
        assert at_4.loc[finding, "f1_low"] < f1_at_4 < at_4.loc[finding, "f1_high"]
