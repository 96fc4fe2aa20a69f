"""FiftyOne in earnest: a real mongod, a made set opened, edited through FiftyOne, pulled, opened again."""

import warnings
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from boxray.core.bench import bench_folder
from boxray.core.boxes import Box
from boxray.core.errors import DataError
from boxray.core.findings import Presence
from boxray.core.metrics import average_precision
from boxray.core.reading import Detection
from boxray.data.card import load_label_space
from boxray.data.correction_log import CorrectionLog
from boxray.data.corrections import Kind
from boxray.data.manifest import Manifest
from boxray.data.split import Split
from boxray.detection.evaluate import match_finding
from boxray.review import fields as names
from boxray.review import opening
from boxray.review.database import database, set_hygiene, start
from boxray.review.from_fiftyone import FiftyOneEdits
from boxray.review.naming import name_start
from boxray.review.opening import open_review
from boxray.review.pull import pull
from boxray.review.readings import GRID, Said, SmallMap, find_readings
from built import SQUARE_XYXY, TWO, build_tiny_set

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]
NOW = datetime(2026, 11, 21, 18, tzinfo=UTC)


@pytest.fixture(scope="module")
def running(fiftyone_runs, tmp_path_factory):
    """State folder and address of a database of these tests; FiftyOne keeps to the first one of a process."""
    state = tmp_path_factory.mktemp("review")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("FIFTYONE_DATABASE_URI", "FIFTYONE_DATABASE_DIR", "FIFTYONE_PLUGINS_DIR"):
            patch.delenv(name, raising=False)
        patch.setenv("FIFTYONE_CONFIG_PATH", str(state / "none.json"))
        set_hygiene(state)
        with database(state) as uri:
            yield state, uri


@pytest.fixture
def tiny(tmp_path):
    build_tiny_set(tmp_path / "set")
    return Manifest.load(tmp_path / "set")


def readings(manifest: Manifest) -> dict[str, Said]:
    """The detector finds the square a little beside its place, and something that is not there."""
    found = {}
    rng = np.random.default_rng(0)
    for place, image in enumerate(manifest.images["image_id"]):
        moved = tuple(value + place for value in SQUARE_XYXY)
        detections = (
            Detection("fluid", 0.9 - place / 100, Box(*moved)),
            Detection("fluid", 0.3 + place / 100, Box(5, 5, 50, 60)),
        )
        grid = np.zeros((GRID, GRID), dtype=np.uint8)
        grid[3, place % GRID] = 255
        found[image] = Said(
            "RESULT",
            detections=detections,
            scores={"fluid": 0.8, "heart": 0.5},
            thresholds={"fluid": 0.35},
            map_thresholds={"fluid": 0.5, "heart": 0.6},
            not_assessed=("heart",),
            agreement={"fluid": {"case": "both", "pointing_hit": False, "iou": 0.2, "energy_inside": 0.1}},
            maps={key: SmallMap(grid, 2.5) for key in TWO.keys},
            features=rng.normal(size=8).astype(np.float32),
            digest=str(place),
        )
    return found


def opened(manifest, running, corrections, said=None, reviewer="alice", part=None):
    said = readings(manifest) if said is None else said
    return open_review(part or manifest, manifest, said, corrections, reviewer, running[0])


def test_open_edit_pull_and_open_again_loses_nothing(running, tiny, tmp_path):
    log = tmp_path / "corrections"
    review = opened(tiny, running, log)
    n_images = len(tiny.images)
    assert (review.added, review.unchanged) == (n_images, 0)
    first = review.dataset.match({names.IMAGE_ID: "made:0"}).first()
    (box,) = first[names.ANNOTATION].detections
    assert np.allclose(box.bounding_box, [60 / 256, 150 / 256, 60 / 256, 60 / 256])
    assert first[f"{names.MAP}fluid"].map.shape == (GRID, GRID)
    assert [det.confidence for det in first[names.DETECTOR].detections] == [0.9]
    assert len(first[names.DETECTOR_ALL].detections) == 2
    assert first[f"{names.PRESENCE}heart"].label == "present"

    box.bounding_box = [50 / 256, 150 / 256, 70 / 256, 60 / 256]
    box[names.REASON] = "too narrow"
    first.save()
    again = opened(tiny, running, log)
    assert (again.added, again.renewed, again.unchanged) == (0, 0, n_images)

    edits = FiftyOneEdits(running[1])
    pulled = pull(edits(tiny), tiny, log, NOW)
    (taken,) = pulled.taken
    assert taken.correction.kind is Kind.CHANGED
    assert taken.correction.box_after_xyxy == pytest.approx((50, 150, 120, 210))
    assert (taken.correction.reason, taken.correction.reviewer) == ("too narrow", "alice")
    edits.settle({taken.correction.id})
    assert FiftyOneEdits(running[1])(tiny).corrections == ()

    third = opened(tiny, running, log)
    assert third.renewed == 1  # it is shown with his own opinion now, which is what stands there
    assert FiftyOneEdits(running[1])(tiny).corrections == ()
    (batch,) = CorrectionLog.read(log).in_force
    assert batch.name == pulled.batch.name


def test_the_detectors_boxes_have_a_colour_of_their_own_and_those_of_readers_the_findings(running, tiny, tmp_path):
    scheme = opened(tiny, running, tmp_path / "corrections").dataset.app_config.color_scheme

    colours = {of["path"]: {each["value"]: each["color"] for each in of["valueColors"]} for of in scheme.fields}
    of_findings = {finding.key: finding.colour for finding in TWO}
    assert scheme.color_by == "value"
    assert colours["annotation"] == of_findings
    assert colours["detector"] == colours["detector_all"] == dict.fromkeys(TWO.keys, names.DETECTOR_COLOUR)


def test_the_detectors_colour_is_that_of_no_finding_of_the_bench():
    for file in bench_folder("data/label_spaces").glob("*.yaml"):
        assert names.DETECTOR_COLOUR not in {finding.colour for finding in load_label_space(file.stem)}


@pytest.mark.slow
def test_what_has_not_changed_is_opened_again_without_being_touched_and_an_edit_stays(running, tiny, tmp_path):
    review = opened(tiny, running, tmp_path / "log")
    sample = review.dataset.match({names.IMAGE_ID: "made:0"}).first()
    sample[names.ANNOTATION].detections[0].bounding_box = [0.1, 0.1, 0.2, 0.2]
    sample.save()
    before = content_of(review.dataset)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "_brought_up_to_date", lambda *_: pytest.fail("nothing has changed"))
        again = opened(tiny, running, tmp_path / "log")
    assert (again.name, again.unchanged, again.views) == (review.name, len(tiny.images), review.views)
    assert content_of(review.dataset) == before
    (edit,) = FiftyOneEdits(running[1])(tiny).corrections
    assert edit.kind is Kind.CHANGED


def content_of(dataset):
    return list(dataset._sample_collection.find({}).sort("_id"))


@pytest.mark.slow
def test_an_opening_that_was_cut_off_is_gone_through_again(running, tiny, tmp_path):
    opened(tiny, running, tmp_path / "log")
    said = readings(tiny)
    said["made:2"] = replace(said["made:2"], digest="another")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("boxray.review.views.save_views", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            opened(tiny, running, tmp_path / "log", said=said)
        patch.setattr("boxray.review.views.save_views", lambda *_: ["saved"])
        assert opened(tiny, running, tmp_path / "log", said=said).views == ("saved",)


@pytest.mark.slow
def test_a_reading_that_has_changed_renews_its_image_and_what_is_asked_of_models(running, tiny, tmp_path):
    said = readings(tiny)
    opened(tiny, running, tmp_path / "log", said=said)
    said["made:2"] = replace(said["made:2"], detections=(), digest="another")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("boxray.review.views._plot", lambda *_: pytest.fail("the features are the same"))
        patch.setattr("boxray.review.views._alike", lambda *_: pytest.fail("the pictures are the same"))
        again = opened(tiny, running, tmp_path / "log", said=said)
    assert (again.renewed, again.unchanged, again.answered) == (1, len(tiny.images) - 1, True)
    sample = again.dataset.match({names.IMAGE_ID: "made:2"}).first()
    assert sample[names.DETECTOR].detections == []
    assert sample["missed_boxes"] == 1.0


@pytest.mark.slow
def test_a_presence_that_the_set_has_changed_is_seen_and_so_is_an_image_that_moved_to_another_split(
    running, tiny, tmp_path
):
    opened(tiny, running, tmp_path / "log")
    tiny.images.loc[tiny.images["image_id"] == "made:0", "presence_heart"] = "absent"
    tiny.images.loc[tiny.images["image_id"] == "made:2", "split"] = "aside"
    again = opened(tiny, running, tmp_path / "log")
    assert again.renewed == 2
    assert again.dataset.match({names.IMAGE_ID: "made:0"}).first()[f"{names.PRESENCE}heart"].label == "absent"
    assert again.dataset.match({names.IMAGE_ID: "made:2"}).first()["split"] == "aside"
    assert again.dataset.info["fingerprint"] == tiny.fingerprint


@pytest.mark.slow
def test_a_sample_that_was_deleted_in_fiftyone_comes_back_with_its_answers(running, tiny, tmp_path):
    dataset = opened(tiny, running, tmp_path / "log").dataset
    first = dataset.match({names.IMAGE_ID: "made:0"}).first()
    ranked, alike = first[f"{names.AGREEMENT}fluid"].label, first[names.UNIQUENESS]
    dataset.delete_samples([first.id])
    again = opened(tiny, running, tmp_path / "log")
    assert again.added == 1
    back = dataset.match({names.IMAGE_ID: "made:0"}).first()
    assert (back[f"{names.AGREEMENT}fluid"].label, back[names.UNIQUENESS]) == (ranked, alike)


@pytest.mark.slow
def test_a_field_that_was_deleted_in_fiftyone_is_made_again(running, tiny, tmp_path):
    dataset = opened(tiny, running, tmp_path / "log").dataset
    dataset.delete_sample_field(f"{names.SCORE}heart")
    opened(tiny, running, tmp_path / "log")
    assert dataset.has_field(f"{names.SCORE}heart")


@pytest.mark.slow
def test_a_sample_that_somebody_has_added_stays_and_disturbs_nothing(running, tiny, tmp_path):
    import fiftyone as fo

    dataset = opened(tiny, running, tmp_path / "log").dataset
    dataset.add_sample(fo.Sample(filepath=str(tmp_path / "own.png")))
    again = opened(tiny, running, tmp_path / "log")
    assert (again.unchanged, again.gone) == (len(tiny.images), ())
    assert dataset.count() == len(tiny.images) + 1
    assert FiftyOneEdits(running[1])(tiny).corrections == ()


@pytest.mark.slow
def test_a_pull_that_dies_before_it_settles_gives_the_same_corrections_again(running, tiny, tmp_path):
    review = opened(tiny, running, tmp_path / "log")
    sample = review.dataset.match({names.IMAGE_ID: "made:1"}).first()
    sample[f"{names.PRESENCE}heart"].label = "unknown"
    sample.save()
    first = pull(FiftyOneEdits(running[1])(tiny), tiny, tmp_path / "log", NOW)
    sample.reload()
    sample["view"] = "PA"  # something else happens to the film
    sample.save()
    second = pull(FiftyOneEdits(running[1])(tiny), tiny, tmp_path / "log", NOW)
    assert len(first.taken) == 1
    assert (second.taken, len(second.known)) == ((), 1)


@pytest.mark.slow
def test_an_edit_survives_a_set_that_was_built_anew_under_it(running, tiny, tmp_path):
    review = opened(tiny, running, tmp_path / "log")
    sample = review.dataset.match({names.IMAGE_ID: "made:0"}).first()
    sample[names.ANNOTATION].detections[0].bounding_box = [0.1, 0.1, 0.2, 0.2]
    sample.save()
    tiny.boxes.loc[tiny.boxes["image_id"] == "made:0", "x1"] = 55.0
    tiny.images.loc[tiny.images["image_id"] == "made:0", "presence_heart"] = "absent"
    again = opened(tiny, running, tmp_path / "log")
    assert (again.renewed, again.kept_edits) == (1, 1)
    sample = again.dataset.match({names.IMAGE_ID: "made:0"}).first()
    assert sample[names.ANNOTATION].detections[0].bounding_box == pytest.approx([0.1, 0.1, 0.2, 0.2])
    assert sample[f"{names.PRESENCE}heart"].label == "absent"


@pytest.mark.slow
def test_each_reviewer_has_a_data_set_of_his_own_and_both_are_pulled(running, tiny, tmp_path):
    for reviewer, side in (("alice", 0.2), ("bob", 0.3)):
        dataset = opened(tiny, running, tmp_path / "log", reviewer=reviewer).dataset
        sample = dataset.match({names.IMAGE_ID: "made:0"}).first()
        sample[names.ANNOTATION].detections[0].bounding_box = [0.1, 0.1, side, side]
        sample.save()
    pulled = pull(FiftyOneEdits(running[1])(tiny), tiny, tmp_path / "log", NOW)
    assert sorted(row.correction.reviewer for row in pulled.taken) == ["alice", "bob"]
    assert len(pulled.conflicts) == 1


@pytest.mark.slow
def test_a_part_is_opened_as_a_view_and_takes_nothing_away(running, tiny, tmp_path):
    opened(tiny, running, tmp_path / "log")
    part = tiny.only(tiny.images["split"] == "test")
    review = opened(tiny, running, tmp_path / "log", part=part)
    assert review.views[0] == "opened now"
    assert review.dataset.count() == len(tiny.images)
    assert review.dataset.load_saved_view("opened now").count() == len(part.images)


@pytest.mark.slow
def test_images_that_are_gone_leave_unless_they_were_edited(running, tiny, tmp_path):
    review = opened(tiny, running, tmp_path / "log")
    sample = review.dataset.match({names.IMAGE_ID: "made:0"}).first()
    sample[f"{names.PRESENCE}heart"].label = "unknown"
    sample.save()
    fewer = tiny.only(~tiny.images["image_id"].isin(["made:0", "made:1"]))
    again = opened(fewer, running, tmp_path / "log", said=readings(tiny))
    assert again.gone == ("made:0",)
    assert again.dataset.count() == len(tiny.images) - 1
    assert again.dataset.match_tags("gone").values(names.IMAGE_ID) == ["made:0"]


@pytest.mark.slow
@pytest.mark.parametrize("unknown", [False, True])
def test_the_evaluation_inside_is_that_of_the_command_line(running, tiny, tmp_path, unknown):
    from boxray.review.evaluation import evaluate_inside

    if unknown:
        tiny.images.loc[tiny.images.index < 5, "presence_fluid"] = "unknown"
        tiny = tiny.only(tiny.images.index >= 0)
        tiny = replace(tiny, boxes=tiny.boxes[~tiny.boxes["image_id"].isin(tiny.images["image_id"][:5])])
    said = readings(tiny)
    review = opened(tiny, running, tmp_path / "log", said=said)
    inside = {row.finding: row for row in evaluate_inside(review.dataset, TWO)}
    detections = [said[image].detections for image in tiny.images["image_id"]]
    matches, images = match_finding(tiny, detections, "fluid")
    assert inside["fluid"].ap50 == pytest.approx(average_precision(matches), abs=1e-12)
    assert inside["fluid"].images_with + inside["fluid"].images_without == len(images)
    assert inside["heart"].ap50 is None


@pytest.mark.slow
@pytest.mark.real
def test_on_real_films_the_evaluation_inside_finds_what_the_command_line_finds(running, tmp_path):
    from boxray.review.evaluation import evaluate_inside

    root = Path(__file__).parents[2]
    whole_folder = root / "data/built/real"
    kept = root / "runs/review" / name_start(whole_folder).strip("-") / "readings.jsonl"
    if not (whole_folder / "manifest.json").is_file() or not kept.is_file():
        pytest.skip("no built set with readings: boxray review open --data data/built/real --read")
    whole = Manifest.load(whole_folder).part(Split.TEST)
    said = find_readings([kept], whole, tmp_path / "notes.json")
    part = whole.only(whole.images["image_id"].isin([image for image in said if said[image].status == "RESULT"]))
    part = part.spread(400)
    answers_of_models = said.only(part.images["image_id"])
    review = opened(part, running, tmp_path / "log", said=answers_of_models)
    detections = [said[image].detections for image in part.images["image_id"]]
    space = part.label_space
    n_judged = 0
    for row in evaluate_inside(review.dataset, space):
        matches, images = match_finding(part, detections, row.finding)
        assert row.images_with + row.images_without == len(images)
        assert row.images_with == (matches.n_boxes > 0).sum()
        if row.key is None:
            assert not matches.n_boxes.any()
            continue
        n_judged += 1
        assert row.ap50 == pytest.approx(average_precision(matches), abs=1e-9)
        hits, wrong, missed = (review.dataset.sum(f"{row.key}_{kind}") for kind in ("tp", "fp", "fn"))
        assert (hits, wrong) == (matches.hits.sum(), (~matches.hits).sum())
        assert missed == matches.n_boxes.sum() - matches.hits.sum()
    assert n_judged >= 2


@pytest.mark.slow
def test_one_key_verdicts_are_edits_like_any_other(running, tiny, tmp_path):
    from boxray.review import verdicts

    dataset = opened(tiny, running, tmp_path / "log").dataset
    get = {image: dataset.match({names.IMAGE_ID: image}).first() for image in ("made:1", "made:2", "made:3")}
    assert verdicts.accept_detections(get["made:1"], "fluid", "alice", "seen") == 1
    assert verdicts.accept_detections(get["made:1"], "fluid", "alice", "seen") == 0  # it stands there already
    verdicts.set_presence(get["made:2"], "fluid", Presence.ABSENT, "alice", "a fold")
    verdicts.ask_second_opinion(get["made:3"], "heart", "alice", "large?")
    with pytest.raises(DataError, match="no box of 'heart'"):
        verdicts.confirm(get["made:3"], "heart", "alice", "")
    with pytest.raises(DataError, match="draw one"):
        verdicts.set_presence(get["made:3"], "fluid", Presence.BOXED, "alice", "")
    kinds = {(edit.image_id, edit.kind) for edit in FiftyOneEdits(running[1])(tiny).corrections}
    assert kinds == {("made:1", Kind.ADDED), ("made:2", Kind.PRESENCE), ("made:3", Kind.MARKED)}


@pytest.mark.slow
def test_what_the_database_has_taken_is_there_after_kill_9(running, tmp_path):
    from pymongo import MongoClient

    for place in range(3):
        folder = tmp_path / "db"
        folder.mkdir(exist_ok=True)
        process, uri = start(folder)
        with MongoClient(uri) as client:
            for number in range(50):
                client["x"]["y"].insert_one({"_id": place * 50 + number})
            process.kill()
        process.wait()
        process.stdout.close()
    process, uri = start(folder)
    with MongoClient(uri) as client:
        assert client["x"]["y"].count_documents({}) == 150
    process.kill()
    process.wait()
    process.stdout.close()
