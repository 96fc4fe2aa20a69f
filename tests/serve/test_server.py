import subprocess
import sys

import pytest

from boxray.serve.rest.launch import launch_rest
from boxray.serve.server import read_token
from serve.rest_room import Room

LONG = "0123456789abcdef"


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.168.1.7", "radiology.example", ""])
def test_rest_too_refuses_an_address_that_others_reach(address, capsys):
    with pytest.raises(SystemExit) as refusal:
        launch_rest(Room().service, address=address)

    assert refusal.value.code == 78
    assert "BOXRAY_TOKEN" in capsys.readouterr().err


def test_a_token_comes_from_the_file_and_else_from_the_environment(tmp_path, monkeypatch):
    file = tmp_path / "token"
    file.write_text(f"{LONG}-file\n")
    monkeypatch.delenv("BOXRAY_TOKEN", raising=False)
    assert read_token(None) is None

    monkeypatch.setenv("BOXRAY_TOKEN", f"{LONG}-environment")

    assert read_token(None) == f"{LONG}-environment"
    assert read_token(file) == f"{LONG}-file"


@pytest.mark.parametrize("token", ["", "short", "ünbreakable-password", "two\nlines-of-a-long-token"])
def test_a_token_that_could_be_guessed_or_not_be_sent_is_refused(token, monkeypatch, capsys):
    monkeypatch.setenv("BOXRAY_TOKEN", token)

    with pytest.raises(SystemExit) as refusal:
        read_token(None)

    assert refusal.value.code == 78
    assert "at least 16" in capsys.readouterr().err


def test_a_token_file_that_is_not_there_is_refused_without_its_path(tmp_path, capsys):
    with pytest.raises(SystemExit) as refusal:
        read_token(tmp_path / "none")

    assert refusal.value.code == 78
    assert str(tmp_path) not in capsys.readouterr().err


@pytest.mark.parametrize("module", ["boxray.serve.rest.launch", "boxray.client", "boxray.cli.main"])
def test_rest_alone_and_its_client_load_no_gradio(module):
    script = f"import sys, {module}; print('gradio' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"
