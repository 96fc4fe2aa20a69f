"""`boxray compare` from the command line, with made models in the place of weights."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

import boxray.cli.compare as commands
from boxray.cli.main import main
from boxray.core.boxes import Box
from boxray.core.protocols import FixedDetector
from boxray.core.reading import Detection, ModelIdentity
from boxray.localization.compare.write import FILES
from built import SQUARE_XYXY, TWO, build_tiny_set
from drawn import DrawnExplainer, noise, perfect


def one_lane():
    return SimpleNamespace(lanes=1)


@dataclass(frozen=True)
class Boxes(FixedDetector):
    session: SimpleNamespace = field(default_factory=one_lane)


@dataclass(frozen=True)
class Maps(DrawnExplainer):
    session: SimpleNamespace = field(default_factory=one_lane)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """The command on a made set; gives exit code, stdout and stderr."""
    build_tiny_set(tmp_path / "data", per_split=10)
    hit = Detection("fluid", 0.9, Box(*SQUARE_XYXY))
    boxes = Boxes(TWO, (hit,), ("fluid",), ModelIdentity("made", "1", "a" * 64, {"fluid": 0.5}))
    maps = Maps({"grad_cam": noise, "layer_cam": perfect, "occlusion": perfect})
    monkeypatch.setattr(commands, "released_card", lambda job, wanted=None: job)
    # In float32 alone, as `open_classifier` does, too: what is reported must not depend on the CPU.
    monkeypatch.setattr(
        commands, "YoloDetector", SimpleNamespace(load=lambda _, engine, many: {"openvino-f32": boxes}[engine])
    )
    monkeypatch.setattr(commands, "open_classifier", {"classification": maps}.__getitem__)

    def leave(*arguments):
        with pytest.raises(SystemExit) as left:
            main(["compare", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out"), *arguments])
        return int(left.value.code or 0), *capsys.readouterr()

    return leave


def test_it_writes_the_folder_and_says_the_sentence_in_eighty_columns(run, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")

    code, said, told = run()

    assert code == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(FILES)
    assert "In pointing the detector" in said
    assert "compare.html" in told.replace("\n", "")  # a long path is wrapped
    table = said[: said.index("In pointing")]
    assert "…" not in table
    assert "Grad-CAM" in table
    assert max(map(len, table.splitlines())) <= 80


def test_occlusion_is_asked_only_by_name(run, tmp_path):
    run()
    assert "occlusion" not in (tmp_path / "out/rows.csv").read_text(encoding="utf-8")

    run("--methods", "occlusion, grad_cam")
    assert "occlusion" in (tmp_path / "out/rows.csv").read_text(encoding="utf-8")


def test_a_folder_of_something_else_is_refused_before_any_work(run, tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/other.txt").write_text("mine", encoding="utf-8")
    monkeypatch.setattr(commands, "compare_models", lambda *_, **__: pytest.fail("it worked"))

    code, said, told = run()

    assert (code, said) == (1, "")
    assert "no comparison's" in told


def test_a_method_that_is_not_known_is_named(run):
    code, _, told = run("--methods", "magic")

    assert code == 1
    assert "does not explain by magic; it knows grad_cam, layer_cam, occlusion" in told
