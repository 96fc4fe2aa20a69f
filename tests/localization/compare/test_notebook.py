"""The example notebook: its cells run, and nothing of a film is stored in it."""

import json
from pathlib import Path

import pytest

from boxray.classification import classify
from boxray.core.boxes import Box
from boxray.core.protocols import FixedDetector
from boxray.core.reading import Detection, ModelIdentity
from boxray.detection import detect
from built import SQUARE_XYXY, TWO, build_tiny_set
from drawn import DrawnExplainer, noise

NOTEBOOK = Path(__file__).parents[3] / "docs/examples/compare.ipynb"
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
CODE = ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"]


def test_nothing_is_stored_but_the_text():
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in CELLS if "outputs" in cell)
    assert not any("attachments" in cell for cell in CELLS)


def test_its_cells_run_on_a_built_set(tmp_path, monkeypatch, capsys):
    """With made models, as the released ones answer for other findings than the made set has."""
    build_tiny_set(tmp_path, per_split=10)
    knows = FixedDetector(
        TWO, (Detection("fluid", 0.9, Box(*SQUARE_XYXY)),), ("fluid",), ModelIdentity("made", "1", "a" * 64)
    )
    monkeypatch.setenv("BOXRAY_BUILT", str(tmp_path))
    maps = DrawnExplainer({"grad_cam": noise})
    for opened, made in ((detect.YoloDetector, knows), (classify.CamClassifier, maps)):
        # In float32 alone: what is reported must not depend on the CPU.
        in_float32 = {"openvino-f32": made}
        monkeypatch.setattr(opened, "load", lambda _, engine, many, has=in_float32: has[engine])
    names: dict[str, object] = {}

    for place, source in enumerate(CODE):
        exec(compile(source, f"cell {place}", "exec"), names)

    assert "the detector beats Grad-CAM" in capsys.readouterr().out
    assert len(names["apart"]) == 5


@pytest.mark.slow
@pytest.mark.real
def test_its_cells_run_with_the_released_weights(shared, monkeypatch):
    built = NOTEBOOK.parents[2] / "data/built/real"
    if not (built / "manifest.json").is_file():
        pytest.skip("the real set is not built: boxray data build")
    monkeypatch.setenv("BOXRAY_BUILT", str(built))
    names: dict[str, object] = {}

    for place, source in enumerate(CODE):
        exec(compile(source, f"cell {place}", "exec"), names)

    assert len(names["comparison"].findings) == 6
