"""Documents of FiftyOne's database without a database: what is written, what an edit is, what renewing keeps."""

from datetime import UTC, datetime

import pytest

from boxray.data.corrections import Kind
from boxray.data.manifest import READER_BOX_COLUMNS, Manifest
from boxray.review import fields as names
from boxray.review.documents import Writer, edited_findings, is_edited, renewed_document, shown_now
from boxray.review.from_fiftyone import corrections_of
from boxray.review.shown import to_fractions
from built import TWO, box_row, image_row, manifest_of

KEYS = TWO.keys
XYXY = (10.0, 20.0, 90.0, 140.0)
INFO = {"fingerprint": "f" * 64, "reviewer": "alice"}


@pytest.fixture
def made(tmp_path) -> Manifest:
    rows = [
        image_row(1, "test", {"fluid": ("boxed", "box"), "heart": ("unknown", "none")}),
        image_row(2, "test", {"fluid": ("absent", "label"), "heart": ("present", "label")}),
    ]
    rows[0]["patient"] = "ab" * 16
    rows[0]["sex"] = "F"
    rows[0]["age_years"] = 61
    manifest = manifest_of(tmp_path, rows, [box_row("made:1", "fluid", XYXY)])
    manifest.save({})
    return Manifest.load(tmp_path)


def documents(manifest, opinions=None, key=b"k"):
    writer = Writer.of(manifest, {}, opinions or {}, "alice", key)
    made = [writer.document(row, writer.digest(row)) for row in manifest.images.itertuples()]
    for doc in made:
        doc["last_modified_at"] = datetime(2026, 11, 21, 16, 0, 0, 250_000, UTC)
    return made


def edits(doc, stamps=None):
    made, unread = corrections_of(doc, KEYS, INFO, {} if stamps is None else stamps)
    assert not unread
    return made


def test_what_was_just_written_is_no_edit(made):
    for doc in documents(made):
        assert not is_edited(doc, KEYS)
        assert edits(doc) == []


def test_no_patient_is_in_a_document_in_clear(made):
    doc = documents(made)[0]
    text = repr(doc)
    assert "ab" * 16 not in text
    assert not {"sex", "age_years"} & doc.keys()
    assert doc["patient"] != documents(made, key=b"another")[0]["patient"]


def test_a_moved_box_is_a_change_of_the_box_that_was_shown(made):
    doc = documents(made)[0]
    doc[names.ANNOTATION]["detections"][0]["bounding_box"] = to_fractions((12, 20, 95, 140), (256, 256))
    (edit,) = edits(doc)
    assert (edit.kind, edit.box_before_xyxy, edit.box_after_xyxy) == (Kind.CHANGED, XYXY, (12, 20, 95, 140))
    assert (edit.reviewer, edit.base) == ("alice", "f" * 64)
    assert edit.made_at == datetime(2026, 11, 21, 16, tzinfo=UTC)


def test_a_renamed_box_goes_from_one_finding_to_the_other(made):
    doc = documents(made)[0]
    doc[names.ANNOTATION]["detections"][0]["label"] = "heart"
    assert {(edit.finding, edit.kind) for edit in edits(doc)} == {("fluid", Kind.REMOVED), ("heart", Kind.ADDED)}


def test_a_presence_takes_its_boxes_with_it_as_one_edit(made):
    doc = documents(made)[0]
    doc[f"{names.PRESENCE}fluid"] |= {"label": "absent", "reason": "a skin fold", "reviewer": "Bob B"}
    (edit,) = edits(doc)
    assert (edit.kind, edit.presence_before, edit.presence_after) == (Kind.PRESENCE, "boxed", "absent")
    assert (edit.reason, edit.reviewer) == ("a skin fold", "Bob_B")


def test_marks_and_confirmations_are_edits_that_change_nothing(made):
    doc = documents(made)[0]
    doc[f"{names.PRESENCE}heart"][names.SECOND] = True
    doc[names.ANNOTATION]["detections"][0][names.CHECKED] = True
    assert {(edit.finding, edit.kind) for edit in edits(doc)} == {("heart", Kind.MARKED), ("fluid", Kind.KEPT)}
    assert edited_findings(doc, KEYS) == []
    assert is_edited(doc, KEYS)


def test_the_same_edit_has_the_same_id_after_others_on_the_film(made):
    doc, stamps = documents(made)[0], {}
    doc[f"{names.PRESENCE}heart"]["label"] = "absent"
    (first,) = edits(doc, stamps)
    doc["last_modified_at"] = datetime(2026, 11, 21, 17, 0, 0, 0, UTC)
    doc[names.ANNOTATION]["detections"][0]["bounding_box"] = to_fractions((12, 20, 95, 140), (256, 256))
    assert first.id in {edit.id for edit in edits(doc, stamps)}


def test_a_box_of_no_finding_of_the_set_is_refused_with_its_name(made):
    doc = documents(made)[0]
    doc[names.ANNOTATION]["detections"][0]["label"] = "fracture"
    made_edits, unread = corrections_of(doc, KEYS, INFO, {})
    assert [edit.kind for edit in made_edits] == [Kind.REMOVED]
    assert "fracture" in unread[0].reason


def test_renewing_never_overwrites_an_edit_and_renews_all_the_rest(made, tmp_path):
    doc = documents(made)[0]
    doc[names.ANNOTATION]["detections"][0]["bounding_box"] = to_fractions((12, 20, 95, 140), (256, 256))
    made.images.loc[0, "presence_heart"] = "absent"
    made.boxes.loc[0, "x1"] = 50.0
    changed, kept = renewed_document(doc, documents(made)[0], KEYS)
    assert kept == 1
    now = shown_now(doc | changed, KEYS)
    assert next(iter(now.boxes["fluid"].values())) == pytest.approx((12, 20, 95, 140))
    assert now.presence["heart"] == "absent"
    (edit,) = edits(doc | changed)
    assert edit.box_before_xyxy == XYXY  # what the reviewer saw, not what the set says now


def test_an_edit_that_the_set_now_says_too_is_none_any_more(made):
    doc = documents(made)[1]
    doc[f"{names.PRESENCE}heart"]["label"] = "absent"
    made.images.loc[1, "presence_heart"] = "absent"
    changed, kept = renewed_document(doc, documents(made)[1], KEYS)
    assert kept == 0
    assert not is_edited(doc | changed, KEYS)


def test_marks_are_carried_over_when_a_film_is_renewed(made):
    doc = documents(made)[0]
    doc[f"{names.PRESENCE}heart"] |= {names.SECOND: True, names.REASON: "faint"}
    made.images.loc[0, "split"] = "train"
    changed, _ = renewed_document(doc, documents(made)[0], KEYS)
    label = changed[f"{names.PRESENCE}heart"]
    assert (label[names.SECOND], label[names.REASON], changed["split"]) == (True, "faint", "train")


def test_every_reader_has_a_field_of_his_own(made):
    import pandas as pd

    rows = [("made:1", "fluid", 1.0, 2.0, 30.0, 40.0, f"vindr/R{number}", "Effusion") for number in (8, 9)]
    made.save({}, pd.DataFrame(rows, columns=READER_BOX_COLUMNS))
    doc = documents(Manifest.load(made.folder))[0]
    assert [doc[f"reader_vindr_r{number}"]["detections"][0]["raw_label"] for number in (8, 9)] == ["Effusion"] * 2
