"""`boxray serve`: what is refused before any model is loaded, and what reaches the doors."""

import runpy
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from boxray.cli import serve
from boxray.cli.main import main
from boxray.core.errors import ModelError

TOKEN = "0123456789abcdef"


@pytest.fixture
def opened(monkeypatch):
    """What the doors were opened with; no model is loaded."""
    calls = []
    monkeypatch.setattr("boxray.cli.serve._service", lambda *models: models)
    for door in ("boxray.serve.app.launch", "boxray.serve.rest.launch.launch_rest"):
        monkeypatch.setattr(door, lambda *arguments, door=door, **where: calls.append((door, arguments[0], where)))
    monkeypatch.delenv("BOXRAY_TOKEN", raising=False)
    return calls


def leave(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    return int(left.value.code or 0)


@pytest.mark.parametrize("door", [(), ("rest",), ("app",)])
def test_each_door_opens_on_this_machine_alone(door, opened):
    assert leave("serve", *door) == 0

    ((name, models, where),) = opened
    assert name.endswith("launch_rest" if door == ("rest",) else "app.launch")
    assert models == ("openvino", None, None)
    assert (where["address"], where["token"], where["root_path"]) == ("127.0.0.1", None, "")


def test_another_address_is_refused_before_a_model_is_loaded(opened, capsys):
    assert leave("serve", "rest", "--address", "0.0.0.0") == 78
    assert opened == []
    assert "BOXRAY_TOKEN" in capsys.readouterr().err


def test_with_a_token_another_address_is_served_under_its_names(opened, tmp_path: Path):
    file = tmp_path / "token"
    file.write_text(TOKEN)
    options = ("--address", "0.0.0.0", "--token-file", str(file), "--host", "films.example", "--root-path", "/boxray/")

    assert leave("serve", "app", *options) == 0

    ((_, models, where),) = opened
    assert models == ("openvino", None, None)
    assert (where["token"], where["hosts"], where["root_path"]) == (TOKEN, ["films.example"], "/boxray")


def test_the_models_are_those_that_are_asked_for(monkeypatch):
    asked = []

    class Nobody:
        lanes = 1

    def reader(engine, **options):
        asked.append((engine, options))
        return Nobody()

    monkeypatch.setattr("boxray.serve.service.released_reader", reader)

    serve._service("onnxruntime", "yolov8n", "mine")

    named = {"detector": "yolov8n", "classifier": "mine"}
    assert asked == [("onnxruntime", named | {"many": many}) for many in (False, True)]


@pytest.mark.parametrize("door", ["app", "rest"])
def test_weights_that_cannot_be_trusted_are_refused_as_a_configuration_e5(door, monkeypatch, capsys):
    def reader(*_, **__):
        raise ModelError("the label spaces differ: edema is missing")

    monkeypatch.setattr("boxray.serve.service.released_reader", reader)

    assert leave("serve", door) == 78
    assert "edema is missing" in capsys.readouterr().err


def test_an_archive_is_asked_once_and_what_became_of_it_is_told(monkeypatch, capsys, tmp_path):
    pytest.importorskip("dicomweb_client", reason="the extra [pacs] is not installed")
    asked = []
    monkeypatch.setattr("boxray.cli.serve._service", lambda *_models: SimpleNamespace(models={}))

    def one_round(watch):
        asked.append((watch.days, watch.modalities))
        return Counter(RESULT=2, FAILED=1)

    monkeypatch.setattr("boxray.serve.pacs.Watch.one_round", one_round)
    options = ("--once", "--days", "5", "--modality", "CR", "--ledger", str(tmp_path / "ledger"))

    assert leave("serve", "pacs", "http://127.0.0.1:9/dicom-web", *options) == 3

    assert asked == [(5, ["CR"])]
    assert capsys.readouterr().out == "FAILED 1, RESULT 2\n"


def test_an_archive_that_is_not_there_ends_a_single_look_with_a_sentence(monkeypatch, capsys, tmp_path):
    pytest.importorskip("dicomweb_client", reason="the extra [pacs] is not installed")
    monkeypatch.setattr("boxray.cli.serve._service", lambda *_models: SimpleNamespace(models={}))

    assert leave("serve", "pacs", "http://127.0.0.1:9/dicom-web", "--once", "--ledger", str(tmp_path / "ledger")) == 1

    assert "the archive cannot be reached" in capsys.readouterr().err


@pytest.mark.parametrize("options", [("--user", "me"), ("--password-file", "password")])
def test_a_user_without_a_password_or_the_other_way_round_is_refused(options, monkeypatch, capsys, tmp_path):
    pytest.importorskip("dicomweb_client", reason="the extra [pacs] is not installed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BOXRAY_ARCHIVE_PASSWORD", raising=False)
    Path("password").write_text("a long password")

    assert leave("serve", "pacs", "https://pacs.example/dicom-web", *options) == 78

    assert "needs" in capsys.readouterr().err


def test_the_script_takes_the_options_of_the_app_and_opens_the_same_door(opened, monkeypatch):
    script = Path(__file__).parents[2] / "app_gradio.py"
    monkeypatch.setattr("sys.argv", [str(script), "--port", "7999", "--detector", "yolov8n", "--classifier", "mine"])

    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(script), run_name="__main__")

    assert not left.value.code
    ((name, models, where),) = opened
    assert name == "boxray.serve.app.launch"
    assert (models, where["port"]) == (("openvino", "yolov8n", "mine"), 7999)


def test_the_script_refuses_an_option_that_the_app_does_not_know(opened, monkeypatch, capsys):
    script = Path(__file__).parents[2] / "app_gradio.py"
    monkeypatch.setattr("sys.argv", [str(script), "--prot", "7999"])

    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(script), run_name="__main__")

    assert (left.value.code, opened) == (2, [])
    assert "--port" in capsys.readouterr().err
