"""`boxray read` with the released weights on the bundled examples and on files that are refused."""

import json
import os
import re
import shutil
from pathlib import Path

import cv2
import jsonschema
import numpy as np
import pydicom
import pytest

import boxray.core
from boxray.cli.demo import examples
from boxray.cli.main import main
from boxray.core.bench import bench_folder
from boxray.localization.reader import NOT_CHECKED
from making import write_chest

SCHEMA = json.loads((Path(boxray.core.__file__).parent / "reading.schema.json").read_text())


def read(*arguments: str | Path, scope_check: bool = False) -> int:
    """Most films here are drawn, and what is in them is not the point."""
    with pytest.raises(SystemExit) as left:
        main(["read", *map(str, arguments), *(() if scope_check else ("--no-scope-check",))])
    return int(left.value.code or 0)


def readings(captured: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in captured.readouterr().out.splitlines()]


def test_every_file_gives_one_line_in_order_that_keeps_the_schema(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chest, letter = write_chest(tmp_path / "b.png"), tmp_path / "a.txt"
    letter.write_text("Dear colleague")

    code = read(letter, chest, tmp_path / "gone.dcm", "--json")

    rows = readings(capsys)
    assert code == 3
    assert [row["status"] for row in rows] == ["REFUSED", "RESULT", "FAILED"]
    assert [row["file"] for row in rows] == [str(letter), str(chest), str(tmp_path / "gone.dcm")]
    for row in rows:
        jsonschema.validate(row, SCHEMA)


def test_all_read_leaves_with_0(tmp_path: Path) -> None:
    assert read(write_chest(tmp_path / "a.png")) == 0


def test_a_folder_is_read_by_name_and_hidden_files_and_a_systems_own_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("b.png", "a.png", ".hidden.png", "inside/c.png", "__MACOSX/a.png"):
        write_chest(tmp_path / name)
    for name in ("Thumbs.db", "inside/desktop.ini"):
        (tmp_path / name).touch()

    assert read(tmp_path, "--json") == 0

    assert [Path(str(row["file"])).name for row in readings(capsys)] == ["a.png", "b.png", "c.png"]


def test_a_folder_without_a_file_to_read_is_a_wrong_use_and_replaces_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, empty = tmp_path / "out", tmp_path / "in"
    read(write_chest(tmp_path / "a.png"), "--out", out)
    (empty / ".hidden").mkdir(parents=True)
    capsys.readouterr()

    assert read(empty, "--out", out, "--json") == 2

    said = capsys.readouterr()
    assert said.out == ""
    assert "no file to read" in said.err
    assert (out / "0001-a.png").exists()


def test_a_file_that_is_not_there_is_said_in_plain_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert read(tmp_path / "nosuch.dcm") == 3

    assert capsys.readouterr().out.endswith("FAILED input.unreadable: there is no such file\n")


def test_out_holds_a_picture_each_and_the_readings(tmp_path: Path) -> None:
    read(write_chest(tmp_path / "a.png"), write_chest(tmp_path / "x" / "a.png", seed=1), "--out", tmp_path / "out")

    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["0001-a.png", "0002-a.png", "readings.jsonl"]
    assert len((tmp_path / "out" / "readings.jsonl").read_text().splitlines()) == 2


def test_an_older_run_in_the_folder_is_replaced_whole(tmp_path: Path) -> None:
    out = tmp_path / "out"
    long = write_chest(tmp_path / f"{'ä' * 125}.png", seed=2)
    read(write_chest(tmp_path / "a.png"), write_chest(tmp_path / "b.png", seed=1), long, "--out", out)

    read(write_chest(tmp_path / "c.png"), "--out", out)

    assert sorted(path.name for path in out.iterdir()) == ["0001-c.png", "readings.jsonl"]
    assert len((out / "readings.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize("foreign", ["notes.txt", "0002-mine.png", "0001-a copy.png", "0001-a.txt", "folder/a.png"])
def test_a_folder_that_holds_anything_else_is_refused_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], foreign: str
) -> None:
    out = tmp_path / "out"
    film = write_chest(tmp_path / "a.png")
    read(film, "--out", out)
    write_chest(out / foreign) if foreign.endswith(".png") else (out / foreign).write_text("of hours")
    before = {path: path.is_file() and path.read_bytes() for path in out.rglob("*")}
    capsys.readouterr()

    assert read(film, "--out", out) == 1

    said = capsys.readouterr()
    assert said.out == ""
    assert "--out holds 1 file or folder that no earlier reading wrote" in said.err
    assert {path: path.is_file() and path.read_bytes() for path in out.rglob("*")} == before


def test_readings_of_another_program_are_no_older_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, content in (("a", "{}\n"), ("b", "not JSON\n"), ("c", "[]\n"), ("d", '{"mine": 1}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "readings.jsonl").write_text(content)

        assert read(write_chest(tmp_path / "a.png"), "--out", tmp_path / name) == 1

        assert (tmp_path / name / "readings.jsonl").read_text() == content


def test_an_older_run_is_not_replaced_by_what_is_read_from_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    read(write_chest(tmp_path / "a.png"), "--out", out)

    assert read(out / "0001-a.png", "--out", out) == 1

    assert "--out holds files that are to be read" in capsys.readouterr().err
    assert (out / "0001-a.png").exists()


def test_an_older_run_stays_where_no_model_can_be_asked(tmp_path: Path) -> None:
    out, film = tmp_path / "out", write_chest(tmp_path / "a.png")
    read(film, "--out", out)

    assert read(film, "--out", out, "--detector", "yolov9") == 1

    assert (out / "0001-a.png").exists()


def test_pictures_of_a_run_that_was_cut_off_go_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, film = tmp_path / "out", write_chest(tmp_path / "a.png")

    def cut_off(*_: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("boxray.cli.read.line_of", cut_off)
        assert read(film, "--out", out) == 130
    assert [path.name for path in out.iterdir()] == ["readings.jsonl"]

    assert read(film, "--out", out) == 0


def test_a_run_that_was_killed_leaves_no_picture_without_its_line_and_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, films = tmp_path / "out", [write_chest(tmp_path / f"{name}.png", seed=seed) for seed, name in enumerate("abc")]
    found: list[list[str]] = []

    def look(*_: object) -> str:
        found.append(sorted(path.name for path in out.iterdir()))
        return ""

    with monkeypatch.context() as patched:
        patched.setattr("boxray.cli.read.line_of", look)
        read(*films, "--out", out)
    assert found[1] == [".0002-b.png.part", "0001-a.png", "readings.jsonl"]

    # What a kill would have left there: the line of the first, half of that of the second, and its part.
    lines = (out / "readings.jsonl").read_text().splitlines(keepends=True)
    for number in (2, 3):
        (out / f"000{number}-{'abc'[number - 1]}.png").unlink()
    (out / ".0002-b.png.part").write_bytes(b"")
    (out / "readings.jsonl").write_text(lines[0] + lines[1][:40])

    assert read(films[2], "--out", out) == 0
    assert sorted(path.name for path in out.iterdir()) == ["0001-c.png", "readings.jsonl"]


@pytest.mark.parametrize("option", ["--out", "--sr"])
@pytest.mark.parametrize(
    ("place", "said"), [("afile", "is a file"), ("afile/x", "lies below a file"), ("/proc/foo", "cannot be made")]
)
def test_a_place_that_holds_no_folder_is_named_with_its_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, place: str, said: str
) -> None:
    if option == "--sr":
        pytest.importorskip("highdicom", reason="the extra [pacs] is not installed")
    (tmp_path / "afile").write_text("")

    assert read(write_chest(tmp_path / "a.png"), option, tmp_path / place) == 1

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"boxray: {option} {said}")
    assert "a folder that is new or that you may write to" in line


def test_the_detector_says_not_assessed_of_what_it_was_never_trained_to_box(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    read(write_chest(tmp_path / "a.png"), "--json")

    (row,) = readings(capsys)
    silent = row["not_assessed"]
    assert isinstance(silent, dict)
    assert silent["detector"] == ["edema", "emphysema"]


def test_only_the_detector_is_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read(write_chest(tmp_path / "a.png"), "--json", "--only", "detector")

    (row,) = readings(capsys)
    assert row["scores"] == {}
    assert set(row["models"]) == {"detector"}  # type: ignore[arg-type]


def test_the_released_models_find_on_each_example_what_it_was_made_to_show(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In float32, which is the same on every processor; the quick engine may compute in bfloat16."""
    assert read(*examples(), "--json", "--engine", "openvino-f32", scope_check=True) == 3

    rows = {Path(str(row["file"])).stem: row for row in readings(capsys)}
    assert rows["refused"]["status"] == "REFUSED"
    boxed = {name: [det["finding"] for det in row["detections"]] for name, row in rows.items()}  # type: ignore[attr-defined]
    assert boxed["cardiomegaly"] == ["cardiomegaly"]
    # What the detector says too much is pinned as well: data/examples/README.md tells of it.
    assert boxed["tuberculosis"] == ["tuberculosis", "tuberculosis"]
    assert boxed["covid19"] == ["covid", "covid"]
    assert boxed["effusion"] == ["atelectasis", "effusion"]
    cases = {row["finding"]: row["case"] for row in rows["effusion"]["agreement"]}  # type: ignore[attr-defined]
    assert cases["effusion"] == "box_only"  # the classifier does not say it: the next test
    assert rows["no_finding"]["detections"] == []
    assert {row["case"] for row in rows["no_finding"]["agreement"]} == {"neither"}  # type: ignore[attr-defined]


def test_the_miss_that_the_examples_are_described_with_is_what_the_classifier_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In float32, which is the same on every processor; the quick engine may compute in bfloat16."""
    described = (bench_folder("data/examples") / "README.md").read_text(encoding="utf-8")
    told = re.search(r"not the effusion of `effusion` \((0\.\d\d) in float32, threshold (0\.\d\d)\)", described)
    assert told is not None, "the sentence has other words now: this test holds its numbers to the models"

    film = bench_folder("data/examples") / "effusion.dcm"
    read(film, "--json", "--only", "classifier", "--engine", "openvino-f32")

    (row,) = readings(capsys)
    thresholds = row["models"]["classifier"]["thresholds"]  # type: ignore[index]
    said = row["scores"]["effusion"], thresholds["effusion"]  # type: ignore[index]
    assert [f"{number:.2f}" for number in said] == list(told.groups())


def test_what_is_no_chest_is_refused_unless_the_scope_check_is_off(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = np.full((300, 300), 255, np.uint8)
    for y in range(30, 300, 30):
        cv2.putText(page, "Dear colleague, the film", (10, y), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 0, 1)
    assert cv2.imwrite(str(tmp_path / "a.png"), page)

    assert read(tmp_path / "a.png", "--json", scope_check=True) == 3
    (refused,) = readings(capsys)
    assert (refused["status"], refused["code"]) == ("REFUSED", "scope.not_chest")

    assert read(tmp_path / "a.png", "--json") == 0
    (row,) = readings(capsys)
    assert row["status"] == "RESULT"
    assert NOT_CHECKED in row["notes"]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("option", "job", "one_of_them"),
    [("--detector", "detection", "yolov8"), ("--classifier", "classification", "mobilenetv2-chest8")],
)
def test_weights_that_nobody_released_are_refused_with_the_names_of_those_there(
    option: str, job: str, one_of_them: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert read(write_chest(tmp_path / "a.png"), option, "mine") == 1
    assert f"there are no weights 'mine' in {job}/weights, there are: {one_of_them}" in capsys.readouterr().err


@pytest.mark.parametrize(("named", "asked"), [("detector", "classifier"), ("classifier", "detector")])
def test_no_weights_are_named_of_a_model_that_is_not_asked(named: str, asked: str, tmp_path: Path) -> None:
    assert read(write_chest(tmp_path / "a.png"), f"--{named}", "mine", "--only", asked) == 2


def test_objects_are_written_of_dicom_files_that_gave_boxes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("highdicom", reason="the extra [pacs] is not installed")
    film = next(path for path in examples() if path.stem == "tuberculosis")

    read(film, write_chest(tmp_path / "a.png"), "--sr", tmp_path / "objects", "--json")

    said = readings(capsys)[0]
    written = sorted((tmp_path / "objects").iterdir())
    assert [path.name for path in written] == ["0001-tuberculosis.gsps.dcm", "0001-tuberculosis.sr.dcm"]
    state, report = map(pydicom.dcmread, written)
    assert len(state.GraphicAnnotationSequence[0].GraphicObjectSequence) == len(said["detections"])
    assert report.StudyInstanceUID == pydicom.dcmread(film).StudyInstanceUID


def test_objects_of_another_run_are_never_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Films of two patients may have one name."""
    pytest.importorskip("highdicom", reason="the extra [pacs] is not installed")
    films = {path.stem: path for path in examples()}
    for patient, stem in (("a", "tuberculosis"), ("b", "no_finding")):
        (tmp_path / patient).mkdir()
        shutil.copy(films[stem], tmp_path / patient / "IM0001.dcm")
    objects = tmp_path / "objects"
    read(tmp_path / "a", "--sr", objects)
    before = {path.name: path.read_bytes() for path in objects.iterdir()}

    assert read(tmp_path / "b", "--sr", objects) == 1

    assert "--sr holds 2 objects of the names that this run would write; name a folder" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in objects.iterdir()} == before
    assert read(tmp_path / "b", "--out", tmp_path / "both", "--sr", tmp_path / "both") == 0
    assert read(tmp_path / "b", "--out", tmp_path / "both", "--sr", tmp_path / "both") == 0, "one run replaces another"


def test_a_dicom_file_without_boxes_has_objects_too_and_nothing_is_said_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("highdicom", reason="the extra [pacs] is not installed")
    film = next(path for path in examples() if path.stem == "no_finding")

    read(film, "--sr", tmp_path / "objects")

    assert len(list((tmp_path / "objects").iterdir())) == 2
    assert "no object" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("what", "options", "reason"),
    [
        ("refused", (), "it was not read (dicom.for_processing)"),
        ("gone", (), "it was not read (input.unreadable)"),
        ("picture", (), "it is no DICOM file, and an object refers to one"),
        ("without UIDs", (), "its header has no StudyInstanceUID, by which an object refers to it"),
        ("film", ("--only", "classifier"), "the detector was not asked, and an object tells its boxes"),
        ("picture", ("--only", "classifier"), "the detector was not asked, and an object tells its boxes"),
    ],
)
def test_of_a_file_without_objects_the_one_reason_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str, options: tuple[str, ...], reason: str
) -> None:
    pytest.importorskip("highdicom", reason="the extra [pacs] is not installed")
    films = {path.stem: path for path in examples()}
    bare = pydicom.dcmread(films["no_finding"])
    del bare.StudyInstanceUID
    bare.save_as(tmp_path / "bare.dcm")
    path = {
        "refused": films["refused"],
        "gone": tmp_path / "gone.dcm",
        "picture": write_chest(tmp_path / "a.png"),
        "without UIDs": tmp_path / "bare.dcm",
        "film": films["no_finding"],
    }[what]

    read(path, "--sr", tmp_path / "objects", *options)

    assert list((tmp_path / "objects").iterdir()) == []
    assert " ".join(capsys.readouterr().err.split()) == f"no object of {path.name}: {reason}"


def test_a_name_that_is_no_utf8_costs_its_odd_bytes_and_not_the_batch(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt"))
    odd.write_text("Dear colleague")

    assert read(odd, write_chest(tmp_path / "a.png"), "--out", tmp_path / "out", "--json") == 3

    said = capfdbinary.readouterr().out.decode("utf-8")  # raises if it is none
    assert [json.loads(line)["file"] for line in said.splitlines()] == [
        f"{tmp_path}/caf\\xe9.txt",
        str(tmp_path / "a.png"),
    ]
    assert (tmp_path / "out" / "readings.jsonl").read_text(encoding="utf-8") == said


def test_a_name_as_long_as_names_can_be_has_its_picture_and_does_not_end_the_batch(tmp_path: Path) -> None:
    long, short = write_chest(tmp_path / f"{'ä' * 125}.png"), write_chest(tmp_path / "a.png", seed=1)

    assert read(long, short, "--out", tmp_path / "out") == 0

    assert len(list((tmp_path / "out").glob("*.png"))) == 2
