"""Agreement of two readers, or of a reader and the detector: counted only where both looked."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from boxray.core.boxes import Box, box_iou
from boxray.core.errors import DataError
from boxray.core.findings import Presence
from boxray.core.reading import Detection
from boxray.data.correction_log import Batch, CorrectionLog
from boxray.data.corrections import Opinion, now
from boxray.data.manifest import CORNERS, Manifest
from boxray.review.agreement import BOX_COLUMNS, CONSENSUS, Looks, agreement, figures_of, model_of, readers_of
from boxray.review.readings import Said
from built import TWO, box_row, image_row, manifest_of
from making import write_card

A, B = (10.0, 10.0, 50.0, 50.0), (100.0, 100.0, 150.0, 150.0)


def looks(name, boxes, images, there=None):
    """Of a reader who searched these images for fluid."""
    boxed = pd.DataFrame([(image, "fluid") for image in images], columns=["image_id", "finding"])
    drew = {row[0] for row in boxes}
    said = there if there is not None else {image: image in drew for image in images}
    return Looks(
        name,
        pd.DataFrame([(image, "fluid", *box) for image, box in boxes], columns=BOX_COLUMNS),
        boxed,
        pd.DataFrame(
            [(image, "fluid", is_there) for image, is_there in said.items()], columns=["image_id", "finding", "there"]
        ),
    )


def a_manifest(n=8, per_patient=1):
    rows = [
        image_row(number, "test", {"fluid": ("absent", "label"), "heart": ("unknown", "none")}) for number in range(n)
    ]
    for number, row in enumerate(rows):
        row["patient"] = f"{number // per_patient:032x}"
    return manifest_of(None, rows, [])


def names(n):
    return [f"made:{number}" for number in range(n)]


def test_boxes_are_matched_one_to_one_and_only_where_both_looked():
    one = looks("one", [("made:0", A), ("made:1", A), ("made:2", A)], names(3))
    near = (12.0, 10.0, 50.0, 50.0)
    other = looks(
        "other", [("made:0", A), ("made:0", near), ("made:1", B), ("made:5", A)], ["made:0", "made:1", "made:5"]
    )

    (row,) = agreement(one, other, a_manifest(), 0.4, rounds=20)

    assert (row.images, row.boxes, row.matches) == (2, (2, 3), 1)  # the greater overlap is the match
    assert row.f1.value == pytest.approx(2 / 5)
    assert row.mean_iou.value == pytest.approx(1)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_kappa_is_scikit_learns(said):
    cells = [said.count(pair) for pair in ((True, True), (True, False), (False, True), (False, False))]
    mine, yours = zip(*said, strict=True)

    kappa, pabak = figures_of(np.array([0, 0, 0, 0, 0, *cells], dtype=np.float64))[2:]

    if len({*mine, *yours}) == 1:
        assert math.isnan(kappa)  # nothing to tell apart
    else:
        assert kappa == pytest.approx(cohen_kappa_score(mine, yours))
    assert pabak == pytest.approx(2 * np.mean(np.array(mine) == np.array(yours)) - 1)


def test_presence_is_counted_where_both_say_something():
    one = looks("one", [], names(5), {"made:0": True, "made:1": True, "made:2": False, "made:3": True})
    other = looks("other", [], names(5), {"made:0": True, "made:1": False, "made:2": False, "made:4": True})

    (row,) = agreement(one, other, a_manifest(5), 0.4, rounds=1)

    assert row.presence == (1, 1, 0, 1)
    assert row.kappa.value == pytest.approx(cohen_kappa_score([1, 1, 0], [1, 0, 0]))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=15)
def test_matches_and_mean_overlap_are_those_of_a_plain_loop(seed):
    rng = np.random.default_rng(seed)
    images = names(4)
    drawn = [
        [
            (str(rng.choice(images)), tuple(map(float, (x, y, x + w, y + h))))
            for x, y, w, h in rng.integers([0, 0, 2, 2], [9, 9, 9, 9], (rng.integers(0, 9), 4))
        ]
        for _ in range(2)
    ]
    one, other = (looks(who, rows, images) for who, rows in zip(("one", "other"), drawn, strict=True))

    (row,) = agreement(one, other, a_manifest(4), 0.3, rounds=1)

    overlaps = []
    for image in images:
        mine, yours = ([box for name, box in rows if name == image] for rows in drawn)
        pairs = sorted(
            (
                (box_iou(np.array([m]), np.array([y]))[0, 0], i, j)
                for i, m in enumerate(mine)
                for j, y in enumerate(yours)
            ),
            key=lambda pair: -pair[0],
        )
        free = set(range(len(mine))), set(range(len(yours)))
        for overlap, i, j in pairs:
            if overlap >= 0.3 and i in free[0] and j in free[1]:
                free[0].remove(i)
                free[1].remove(j)
                overlaps.append(overlap)
    n_boxes = sum(map(len, drawn))
    assert row.f1.value == pytest.approx(2 * len(overlaps) / n_boxes) if n_boxes else math.isnan(row.f1.value)
    if overlaps and len(overlaps) == row.matches:  # of equal overlaps another one may be taken first
        assert row.mean_iou.value == pytest.approx(np.mean(overlaps), abs=0.15)


def test_intervals_resample_patients_with_all_their_images():
    images = names(40)
    one = looks("one", [(image, A) for image in images], images)
    other = looks("other", [(image, A if place < 20 else B) for place, image in enumerate(images)], images)

    (alone,) = agreement(one, other, a_manifest(40), 0.4, rounds=300)
    (together,) = agreement(one, other, a_manifest(40, per_patient=10), 0.4, rounds=300)

    assert alone.f1.value == together.f1.value == pytest.approx(0.5)
    assert together.f1.high - together.f1.low > 2 * (alone.f1.high - alone.f1.low)


def test_a_reader_who_draws_examples_has_denied_nothing_and_one_who_draws_all_has(tmp_path):
    """`made` draws examples only; `other` boxes every occurrence of fluid."""
    for key, exhaustive in (("made", []), ("other", ["fluid"])):
        write_card(tmp_path / "cards", key, boxes={"F": "fluid"}, exhaustive=exhaustive)
    cells = {"fluid": ("boxed", "box"), "heart": ("unknown", "none")}
    images = [image_row(number, "test", cells) | {"readers": "made/published other/r1"} for number in range(3)]
    boxes = [box_row("made:0", "fluid", A), box_row("made:1", "fluid", A)]
    own = pd.DataFrame(
        [("made:0", "fluid", *A, "made/published", "F"), ("made:1", "fluid", *A, "other/r1", "F")],
        columns=["image_id", "finding", *CORNERS, "reader", "raw_label"],
    )
    sources = {name: {"source": name} for name in ("made", "other")}
    manifest_of(tmp_path, images, boxes).save({"audit": {"sources": sources}}, own)
    manifest = Manifest.load(tmp_path)

    there = readers_of(manifest, cards=tmp_path / "cards")
    (row,) = agreement(there["made/published"], there["other/r1"], manifest, 0.4, rounds=1)

    assert set(there["made/published"].boxed["image_id"]) == {"made:0"}
    assert set(there["other/r1"].boxed["image_id"]) == {"made:0", "made:1", "made:2"}
    assert (row.images, row.boxes, row.matches) == (1, (1, 0), 0)
    assert list(there) == ["made/published", "other/r1", CONSENSUS]


def test_of_a_finding_that_reviewers_decided_the_published_readers_say_nothing_any_more(tmp_path):
    write_card(tmp_path / "cards", "made", boxes={"F": "fluid"}, exhaustive=["fluid"])
    cells = {"fluid": ("boxed", "box"), "heart": ("unknown", "none")}
    images = [
        image_row(number, "test", cells) | {"ruled_by_fluid": who} for number, who in enumerate(("made", "review"))
    ]
    manifest_of(tmp_path, images, []).save({"audit": {"sources": {"made": {"source": "made"}}}})

    there = readers_of(Manifest.load(tmp_path), cards=tmp_path / "cards")

    assert there["made/published"].boxed["image_id"].tolist() == ["made:0"]


def test_reviewers_of_the_log_are_readers(tmp_path):
    cells = {"fluid": ("boxed", "box"), "heart": ("unknown", "none")}
    manifest_of(tmp_path, [image_row(number, "test", cells) for number in range(3)], []).save({})
    manifest = Manifest.load(tmp_path)
    held = [("alice", 0, (A,)), ("bob", 0, (A,)), ("alice", 1, ()), ("bob", 1, (B,)), ("alice", 2, ())]
    opinions = tuple(
        Opinion(f"made:{number}", f"{number:064x}", "fluid", who, Presence.BOXED if boxes else Presence.ABSENT, boxes)
        for who, number, boxes in held
    )
    log = CorrectionLog((Batch("000001", now(), "b", (), opinions),))

    there = readers_of(manifest, log)
    (row,) = agreement(there["review/alice"], there["review/bob"], manifest, 0.4, rounds=1)

    assert (row.images, row.boxes, row.matches, row.presence) == (2, (1, 2), 1, (1, 0, 1, 0))


def test_the_detector_says_nothing_of_what_it_was_not_trained_for_or_has_not_read():
    manifest = a_manifest(3)
    det = Detection("fluid", 0.7, Box(*A))
    said = {
        "made:0": Said("RESULT", detections=(det,), thresholds={"fluid": 0.5}, not_assessed=("heart",)),
        "made:1": Said("REFUSED", code="quality.blank"),
    }

    model = model_of(manifest, said)

    assert model.boxed.to_dict("records") == [{"image_id": "made:0", "finding": "fluid"}]
    assert len(model.boxes) == 1
    assert len(model_of(manifest, said, score=0.8).boxes) == 0
    with pytest.raises(DataError, match="has read none"):
        model_of(manifest, {})


def test_absent_and_boxed_images_of_the_set_were_searched_and_unknown_ones_were_not(tmp_path):
    states = [("boxed", "box"), ("absent", "label"), ("present", "label"), ("unknown", "none")]
    images = [image_row(number, "test", {"fluid": cell, "heart": cell}) for number, cell in enumerate(states)]
    manifest_of(tmp_path, images, [box_row("made:0", "fluid", A)]).save({})

    consensus = readers_of(Manifest.load(tmp_path))[CONSENSUS]

    fluid = consensus.there[consensus.there["finding"] == "fluid"]
    assert set(consensus.boxed.query("finding == 'fluid'")["image_id"]) == {"made:0", "made:1"}
    assert dict(zip(fluid["image_id"], fluid["there"], strict=True)) == {
        "made:0": True,
        "made:1": False,
        "made:2": True,
    }


@pytest.mark.parametrize("iou", [0, 1.1, float("nan")])
def test_an_overlap_that_is_none_is_refused(iou):
    with pytest.raises(DataError, match="iou must lie"):
        agreement(looks("one", [], []), looks("other", [], []), a_manifest(), iou)


def test_nobody_is_compared_with_himself():
    with pytest.raises(DataError, match="with himself"):
        agreement(looks("one", [], []), looks("one", [], []), a_manifest(), 0.4)


def test_two_who_saw_nothing_in_common_agree_on_nothing():
    assert agreement(looks("one", [], ["made:0"]), looks("other", [], ["made:1"]), a_manifest(), 0.4) == []
    assert len(TWO.keys) == 2


@pytest.mark.real
def test_the_readers_of_the_built_set_agree_as_far_as_its_audit_says(shared):
    """NIH against ChestX-Det on the same films, at the overlap of the audit."""
    folder = Path(__file__).parents[2] / "data/built/real"
    if not (folder / "manifest.json").is_file():
        pytest.skip("the real set is not built here: boxray data build --out data/built/real")
    manifest = Manifest.load(folder)
    there = readers_of(manifest)

    rows = agreement(there["nih/published"], there["chestx_det/consensus"], manifest, 0.4, rounds=1)

    found = {row.finding: (row.images, sum(row.boxes), row.f1.value) for row in rows}
    audit = manifest.audit()["readers"]
    assert found == {key: (part["images"], part["boxes"], pytest.approx(part["f1"])) for key, part in audit.items()}
