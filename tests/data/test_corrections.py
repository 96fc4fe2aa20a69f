"""Corrections: made means valid, and what is written is read back."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxray.core.errors import DataError
from boxray.core.findings import Presence
from boxray.data.correction_log import Batch, CorrectionLog, TakenError, append, undo
from boxray.data.corrections import Correction, Kind, Opinion

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
BOX = (10.0, 20.0, 30.0, 40.0)


def an_edit(**changes):
    """A box that Alice drew on a film, or something else, by the changes."""
    said = {
        "image_id": "made:1",
        "sha256": "0" * 64,
        "finding": "fluid",
        "kind": Kind.ADDED,
        "reviewer": "alice",
        "made_at": NOON,
        "base": "f" * 64,
    }
    return Correction(**({"box_after_xyxy": BOX} if "kind" not in changes else {}) | said | changes)


def an_opinion(**changes):
    said = {"image_id": "made:1", "sha256": "0" * 64, "finding": "fluid", "reviewer": "alice"}
    return Opinion(**{"presence": Presence.BOXED, "boxes_xyxy": (BOX,)} | said | changes)


def a_batch(name="000001", **changes):
    said = {"made_at": NOON, "base": "f" * 64, "corrections": (an_edit(),), "opinions": (an_opinion(),)}
    return Batch(name, **said | changes)


numbers = st.floats(-1e4, 1e4, allow_nan=False)
boxes = st.tuples(numbers, numbers, st.floats(1, 1e4), st.floats(1, 1e4)).map(
    lambda xywh: (xywh[0], xywh[1], xywh[0] + xywh[2], xywh[1] + xywh[3])
)
names = st.sampled_from(["alice", "Dr. Bee", "Жанна", "r-2@site.org", "7"])
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
times = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(timezone(timedelta(hours=2))))  # noqa: DTZ001
set_to = st.sampled_from([Presence.PRESENT, Presence.ABSENT, Presence.UNKNOWN])


@st.composite
def edits(draw):
    kind = draw(st.sampled_from(Kind))
    sides = {
        Kind.ADDED: {"box_after_xyxy": draw(boxes)},
        Kind.CHANGED: {"box_before_xyxy": draw(boxes), "box_after_xyxy": draw(boxes)},
        Kind.REMOVED: {"box_before_xyxy": draw(boxes)},
        Kind.KEPT: {"box_before_xyxy": draw(boxes)},
        Kind.PRESENCE: {"presence_before": draw(st.none() | st.sampled_from(Presence)), "presence_after": draw(set_to)},
        Kind.MARKED: {},
    }[kind]
    return an_edit(
        kind=kind,
        image_id=draw(words.filter(bool)),
        sha256=draw(st.sampled_from(["0" * 64, "0a" * 32])),
        reviewer=draw(names),
        made_at=draw(times),
        reason=draw(words),
        second_opinion=kind is Kind.MARKED or draw(st.booleans()),
        **sides,
    )


@given(edits())
def test_a_correction_comes_back_from_its_json_as_it_was(edit):
    back = Correction.from_json(json.loads(json.dumps({"id": edit.id, **edit.to_json()})))

    assert back == edit
    assert back.id == edit.id
    assert back.made_at.utcoffset() == timedelta(0)


@settings(max_examples=20)
@given(st.lists(edits(), max_size=6), st.lists(boxes, max_size=3))
def test_a_batch_is_read_back_as_it_was_written(tmp_path_factory, made, drawn):
    folder = tmp_path_factory.mktemp("log")
    opinion = an_opinion(presence=Presence.BOXED if drawn else Presence.ABSENT, boxes_xyxy=tuple(drawn))
    batch = a_batch(corrections=tuple(made), opinions=(opinion,))

    append(folder, batch)

    assert CorrectionLog.read(folder) == CorrectionLog((batch,))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": Kind.ADDED}, "no box before and a box after, got no box and no box"),
        ({"kind": Kind.REMOVED, "box_after_xyxy": BOX}, "a box before and no box after"),
        ({"kind": "moved"}, "'kind' must be one of box_added"),
        ({"box_after_xyxy": (10, 20, 10, 40)}, "x1 < x2"),
        ({"box_after_xyxy": (10, float("nan"), 30, 40)}, "finite"),
        ({"box_after_xyxy": (10, 20)}, "four numbers"),
        ({"kind": Kind.PRESENCE, "presence_after": Presence.BOXED}, "draw a box"),
        ({"kind": Kind.PRESENCE}, "sets present, absent or unknown"),
        ({"kind": Kind.KEPT, "box_before_xyxy": BOX, "presence_after": Presence.ABSENT}, "an edit of its own"),
        ({"kind": Kind.MARKED}, "set 'second_opinion'"),
        ({"reviewer": " "}, "reviewer's name"),
        ({"reviewer": "../alice"}, "reviewer's name"),
        ({"reviewer": "=cmd()"}, "reviewer's name"),
        ({"sha256": "abc"}, "64 hexadecimal digits"),
        ({"image_id": ""}, "one of them is empty"),
        ({"made_at": datetime(2026, 11, 21, 12)}, "time zone"),  # noqa: DTZ001
        ({"reason": "x" * 2001}, "at most 2000"),
        ({"reason": "\ud800"}, "half a character"),
        ({"second_opinion": "yes"}, "true or false"),
    ],
)
def test_what_is_no_correction_is_refused_with_what_was_expected(changes, said):
    with pytest.raises(DataError, match=said):
        an_edit(**changes)


@pytest.mark.parametrize("changes", [{"patient": "Doe"}, {"sha256": None}, {"made_at": "yesterday"}, {"id": "0" * 32}])
def test_a_row_that_was_tampered_with_or_holds_more_than_a_correction_is_refused(changes):
    with pytest.raises(DataError):
        Correction.from_json(an_edit().to_json() | changes)


def test_blanks_in_a_reviewers_name_become_one_word():
    assert an_edit(reviewer="Dr. A  Bee").reviewer == "Dr._A_Bee"


@pytest.mark.parametrize("changes", [{"boxes_xyxy": ()}, {"presence": Presence.ABSENT}])
def test_an_opinion_is_boxed_if_and_only_if_it_has_boxes(changes):
    with pytest.raises(DataError, match="if and only if"):
        an_opinion(**changes)


def test_the_later_opinion_of_a_reviewer_holds_and_an_undo_brings_the_earlier_back(tmp_path):
    first = append(tmp_path, a_batch())
    other = an_opinion(presence=Presence.ABSENT, boxes_xyxy=())
    append(tmp_path, a_batch("000002", opinions=(other,)))
    assert CorrectionLog.read(tmp_path).opinions == {other.cell: other}

    undo(tmp_path, "2", NOON)

    assert CorrectionLog.read(tmp_path).opinions == {other.cell: first.opinions[0]}
    assert len(list(tmp_path.glob("*.jsonl"))) == 3  # nothing is deleted


def test_an_undo_can_be_undone_but_nothing_twice(tmp_path):
    append(tmp_path, a_batch())
    undo(tmp_path, "1", NOON)
    with pytest.raises(DataError, match="undone already"):
        undo(tmp_path, "1", NOON)

    undo(tmp_path, "2", NOON)

    assert [batch.name for batch in CorrectionLog.read(tmp_path).in_force] == ["000001"]
    with pytest.raises(DataError, match="undone already"):
        undo(tmp_path, "2", NOON)


def test_a_batch_that_a_later_one_goes_on_from_is_not_undone_before_it(tmp_path):
    append(tmp_path, a_batch())
    append(tmp_path, a_batch("000002"))

    with pytest.raises(DataError, match="undo 000002 first"):
        undo(tmp_path, "1", NOON)


def test_of_two_writers_at_once_the_second_is_told_and_nothing_is_overwritten(tmp_path):
    append(tmp_path, a_batch())
    before = (tmp_path / "000001.jsonl").read_bytes()

    with pytest.raises(TakenError, match="meanwhile"):
        append(tmp_path, a_batch(corrections=()))

    assert (tmp_path / "000001.jsonl").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["000001.jsonl"]


def test_a_changed_line_or_a_missing_batch_is_noticed(tmp_path):
    append(tmp_path, a_batch())
    append(tmp_path, a_batch("000002"))
    path = tmp_path / "000002.jsonl"
    whole = path.read_text()

    path.write_text(whole.replace("alice", "alicf"))
    with pytest.raises(DataError, match="batch 000002 of the corrections is damaged"):
        CorrectionLog.read(tmp_path)
    path.write_text(whole[:-30])
    with pytest.raises(DataError, match="damaged"):
        CorrectionLog.read(tmp_path)

    path.write_text(whole)
    (tmp_path / "000001.jsonl").unlink()
    with pytest.raises(DataError, match="batch 000001 of the corrections is missing"):
        CorrectionLog.read(tmp_path)


def test_what_a_killed_writer_left_beside_is_not_taken_for_a_batch(tmp_path):
    append(tmp_path, a_batch())
    (tmp_path / ".000002.jsonl.77.part").write_text('{"half')

    assert len(CorrectionLog.read(tmp_path).batches) == 1


def test_a_folder_that_is_not_there_holds_no_corrections(tmp_path):
    assert CorrectionLog.read(tmp_path / "none").corrections == ()
