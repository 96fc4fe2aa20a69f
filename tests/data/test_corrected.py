"""Corrections in a build: edit → pull → build → label file, manifest and audit; and nothing else has changed."""

import hashlib
import json
from datetime import UTC, datetime

import pandas as pd
import pytest
import yaml

from boxray.core.errors import DataError
from boxray.core.findings import Presence
from boxray.data.build import build
from boxray.data.correction_log import Batch, CorrectionLog, append, undo
from boxray.data.corrections import Correction, Kind, Opinion
from boxray.data.datasets_file import read_datasets_file
from boxray.data.manifest import CORNERS, Manifest
from boxray.data.yolo_files import label_file
from making import write_card, write_chest, write_coco, write_text

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
LUNGS = """
name: lungs
findings:
  - {key: right_lung, display: Right lung, box: the lung, colour: "#112233"}
  - {key: left_lung, display: Left lung, box: the lung, colour: "#332211"}
"""
CARD = {
    "layout": "coco",
    "boxes": {"R": "right_lung", "L": "left_lung"},
    "exhaustive": ["right_lung"],
    "absent_by_assumption": {"left_lung": "a test says so"},
}
RIGHT, LEFT, NEW = (40.0, 40.0, 100.0, 180.0), (150.0, 40.0, 210.0, 180.0), (44.0, 36.0, 104.0, 190.0)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Five films of one source, two with both lungs boxed; and a smaller copy of the first in another source."""
    folder = tmp_path_factory.mktemp("project")
    write_text(folder / "lungs.yaml", LUNGS)
    for name, seeds in (("big", (1, 2, 3, 4, 5)), ("small", (1,))):
        write_card(folder / "cards", name, **CARD)
        side = 256 if name == "big" else 128
        images = [(f"{seed}.png", side, side) for seed in seeds]
        drawn = [(place, "R", (40, 40, 60, 140)) for place in range(2)] + [
            (place, "L", (150, 40, 60, 140)) for place in range(2)
        ]
        write_coco(folder / name, ["R", "L"], images, drawn if name == "big" else [])
        for seed in seeds:
            write_chest(folder / name / "images" / f"{seed}.png", (side, side), seed=seed)
    sources = {name: {"card": name, "root": name} for name in ("big", "small")}
    content = {"label_space": "lungs.yaml", "sources": sources, "corrections": "corrections"}
    write_text(folder / "datasets.yaml", yaml.safe_dump(content))
    return folder


@pytest.fixture(scope="module")
def published(project):
    """The set as built without corrections."""
    return build(read_datasets_file(project / "datasets.yaml"), project / "published", cards=project / "cards").manifest


@pytest.fixture
def log(project, tmp_path):
    """Where corrections go; the files of the build are shared."""
    return tmp_path / "corrections"


@pytest.fixture
def corrected(project, log, published):
    """Builds the set with the corrections of the log; into one folder, so that its pictures are decoded once."""

    def build_it():
        datasets = read_datasets_file(project / "datasets.yaml").model_copy(update={"corrections": log})
        return build(datasets, project / "built", cards=project / "cards")

    return build_it


@pytest.fixture
def holds(log, published):
    """Writes what a reviewer holds into the log."""
    shas = dict(zip(published.images["image_id"], published.images["sha256"], strict=True))

    def write(image, finding, *boxes, presence=None, who="alice", reason="seen on the film", sha256=None):
        sha256 = sha256 or shas[image]
        said = {"image_id": image, "sha256": sha256, "finding": finding, "reviewer": who}
        if boxes:
            edit = {"kind": Kind.ADDED, "box_after_xyxy": boxes[0]}
        else:
            edit = {"kind": Kind.PRESENCE, "presence_before": Presence.BOXED, "presence_after": presence}
        made = Correction(**said | edit, made_at=NOON, base="b", reason=reason)
        opinion = Opinion(**said, presence=Presence.BOXED if boxes else presence, boxes_xyxy=boxes)
        return append(log, Batch(CorrectionLog.read(log).next_name, NOON, "b", (made,), (opinion,)))

    return write


def row_hashes(table, leaving_out=lambda row: False):
    """Of every row of a table but some."""
    rows = table.astype(str).to_dict("records")
    return sorted(hashlib.sha256(json.dumps(row).encode()).hexdigest() for row in rows if not leaving_out(row))


def boxes_on(manifest, image, finding):
    rows = manifest.boxes[(manifest.boxes["image_id"] == image) & (manifest.boxes["finding"] == finding)]
    return (
        [tuple(map(float, row)) for row in rows[CORNERS].to_numpy()],
        rows["readers"].tolist(),
        rows["votes"].tolist(),
    )


def presence_of(manifest, image, finding):
    (row,) = manifest.images[manifest.images["image_id"] == image].to_dict("records")
    return row[f"presence_{finding}"], row[f"rule_{finding}"], row[f"ruled_by_{finding}"]


def labels(manifest, image):
    (picture,) = manifest.images.loc[manifest.images["image_id"] == image, "picture"]
    return label_file(manifest.folder, picture).read_text()


def test_a_corrected_box_takes_the_place_of_the_published_one_and_nothing_else_changes(published, holds, corrected):
    holds("big:1", "right_lung", NEW)

    built = corrected()
    now = built.manifest

    assert boxes_on(now, "big:1", "right_lung") == ([NEW], ["review/alice"], [1])
    assert presence_of(now, "big:1", "right_lung") == ("boxed", "box", "review")
    assert "review/alice" in now.images.set_index("image_id").loc["big:1", "readers"].split()
    x1, y1, x2, y2 = NEW
    centre = f"0 {(x1 + x2) / 512:.10f} {(y1 + y2) / 512:.10f} {(x2 - x1) / 256:.10f} {(y2 - y1) / 256:.10f}\n"
    assert centre in labels(now, "big:1")
    assert len(labels(now, "big:1").splitlines()) == 2  # the left lung's is as it was

    ours = lambda row: row["image_id"] == "big:1" and row.get("finding", "right_lung") == "right_lung"  # noqa: E731
    for one, other in ((published.images, now.images), (published.boxes, now.boxes)):
        assert row_hashes(one, ours) == row_hashes(other, ours)
    assert row_hashes(published.reader_boxes(), ours) == row_hashes(now.reader_boxes(), ours)
    for image in published.images["image_id"]:
        assert (labels(published, image) == labels(now, image)) == (image != "big:1")
    beside = [name for name in now.images if not name.endswith("right_lung") and name != "readers"]
    assert row_hashes(published.images[beside]) == row_hashes(now.images[beside])


def test_the_audit_counts_corrections_and_lists_them_with_their_reasons(holds, corrected):
    holds("big:1", "right_lung", NEW, reason="drawn | too small")
    holds("big:2", "left_lung", presence=Presence.ABSENT, reason="=HYPERLINK(1)")

    built = corrected()

    counts = built.audit.corrections
    assert counts["kinds"] == {"box_added": 1, "presence_set": 1}
    assert (counts["cells"], counts["boxes_replaced"], counts["boxes_drawn"]) == (2, 2, 1)
    assert built.books["big"].boxes_dropped["replaced by a reviewer's correction"] == 2
    assert built.manifest.audit()["corrections"] == counts
    text = (built.manifest.folder / "AUDIT.md").read_text()
    assert "drawn \\| too small" in text
    assert "**review**" in text
    edits = pd.read_csv(built.manifest.folder / "corrections.csv")
    assert edits["reason"].tolist() == ["drawn | too small", "'=HYPERLINK(1)"]
    assert edits["built"].tolist() == ["yes", "yes"]


@pytest.mark.parametrize(
    ("presence", "rule"), [(Presence.ABSENT, "label"), (Presence.PRESENT, "label"), (Presence.UNKNOWN, "none")]
)
def test_a_presence_that_a_reviewer_sets_takes_the_boxes_away(holds, corrected, presence, rule):
    holds("big:1", "left_lung", presence=presence)

    now = corrected().manifest

    assert presence_of(now, "big:1", "left_lung") == (presence.value, rule, "review")
    assert boxes_on(now, "big:1", "left_lung")[0] == []
    assert labels(now, "big:1").startswith("0 ")


def test_boxes_of_two_reviewers_are_fused_with_their_votes(holds, corrected):
    holds("big:1", "right_lung", RIGHT, who="alice")
    holds("big:1", "right_lung", NEW, LEFT, who="bob")

    now = corrected().manifest

    boxes, readers, votes = boxes_on(now, "big:1", "right_lung")
    assert boxes == [tuple((a + b) / 2 for a, b in zip(RIGHT, NEW, strict=True)), LEFT]
    assert readers == ["review/alice review/bob", "review/bob"]
    assert votes == [2, 1]
    assert set(now.boxes.loc[now.boxes["image_id"] == "big:1", "n_readers"]) == {2, 1}


def test_a_box_of_one_reviewer_holds_against_anothers_no_with_one_vote_of_two(holds, corrected):
    holds("big:1", "right_lung", NEW, who="alice")
    holds("big:1", "right_lung", presence=Presence.ABSENT, who="bob")

    built = corrected()

    row = built.manifest.boxes.query("image_id == 'big:1' and finding == 'right_lung'").iloc[0]
    assert (row["votes"], row["n_readers"]) == (1, 2)
    assert presence_of(built.manifest, "big:1", "right_lung")[0] == "boxed"
    assert built.audit.corrections["disputed"] == 1


def test_words_of_reviewers_against_words_are_unknown(holds, corrected):
    holds("big:3", "left_lung", presence=Presence.PRESENT, who="alice")
    holds("big:3", "left_lung", presence=Presence.ABSENT, who="bob")

    assert presence_of(corrected().manifest, "big:3", "left_lung") == ("unknown", "disputed", "review")


def test_a_box_on_a_copy_moves_to_the_picture_that_is_kept(project, holds, corrected, published):
    assert published.images.set_index("image_id").loc["big:1", "copies"] == "small:1"
    gone = build(
        read_datasets_file(project / "datasets.yaml").model_copy(
            update={"sources": {"small": read_datasets_file(project / "datasets.yaml").sources["small"]}}
        ),
        project / "alone",
        cards=project / "cards",
    ).manifest
    sha256 = gone.images["sha256"].iloc[0]

    holds("small:1", "right_lung", tuple(value / 2 for value in NEW), sha256=sha256)

    assert boxes_on(corrected().manifest, "big:1", "right_lung")[0] == [NEW]


def test_a_correction_of_a_picture_that_has_changed_is_left_out_with_its_reason(published, holds, corrected):
    holds("big:1", "right_lung", NEW, sha256="e" * 64)
    holds("gone:1", "right_lung", NEW, sha256="e" * 64)

    built = corrected()

    assert built.manifest.fingerprint == published.fingerprint
    assert built.audit.corrections["left_out"] == {
        "the picture has other pixels now": 1,
        "the image is in no source of this build": 1,
    }
    edits = pd.read_csv(built.manifest.folder / "corrections.csv")
    assert edits["built"].str.startswith("no: ").all()


def test_an_undone_correction_leaves_the_set_as_published(published, holds, corrected, log):
    batch = holds("big:1", "right_lung", NEW)
    undo(log, batch.name, NOON)

    built = corrected()

    assert built.manifest.fingerprint == published.fingerprint
    assert not (built.manifest.folder / "corrections.csv").exists()
    of_corrections = (built.manifest.folder / "AUDIT.md").read_text().split("## Corrections\n\n")[1].split("\n## ")[0]
    assert of_corrections == "No edit is in force (1 batches undone).\n"


def test_the_audit_has_no_empty_table_of_findings_where_every_edit_was_left_out(holds, corrected):
    holds("nobody:1", "right_lung", NEW, sha256="0" * 64)

    text = (corrected().manifest.folder / "AUDIT.md").read_text()

    assert "1 edits of 1 batches are in force" in text
    assert "| left out, because | opinions of reviewers |" in text
    assert "decided by reviewers" not in text


def test_corrections_move_no_patient_from_one_part_to_another(published, holds, corrected):
    for image in ("big:1", "big:2", "big:3"):
        holds(image, "right_lung", presence=Presence.UNKNOWN)

    now = corrected().manifest

    assert dict(zip(now.images["image_id"], now.images["split"], strict=True)) == dict(
        zip(published.images["image_id"], published.images["split"], strict=True)
    )


def test_a_damaged_log_stops_the_build_before_the_old_set_is_forgotten(holds, corrected, log):
    holds("big:1", "right_lung", NEW)
    folder = corrected().manifest.folder
    (log / "000001.jsonl").write_text("{}")

    with pytest.raises(DataError, match="batch 000001 of the corrections is damaged"):
        corrected()

    assert len(Manifest.load(folder).images)


def test_no_source_may_take_the_name_of_the_reviewers(tmp_path):
    write_text(tmp_path / "datasets.yaml", "sources: {review: {card: a, root: .}}")

    with pytest.raises(DataError, match="who corrects the others"):
        read_datasets_file(tmp_path / "datasets.yaml")


def test_the_folder_of_corrections_lies_relative_to_the_file_that_names_it(tmp_path):
    write_text(tmp_path / "datasets.yaml", "sources: {a: {card: a, root: .}}", "corrections: log")

    assert read_datasets_file(tmp_path / "datasets.yaml").corrections == (tmp_path / "log").resolve()
