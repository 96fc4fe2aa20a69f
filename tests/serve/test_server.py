import socket
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


def test_a_port_that_is_taken_is_refused_with_its_number_and_the_way_out(capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(SystemExit) as refusal:
            launch_rest(Room().service, port=port)

    assert refusal.value.code == 78
    said = capsys.readouterr().err
    assert f"port {port} of 127.0.0.1 is taken" in said
    assert "--port N" in said


@pytest.mark.parametrize("address", ["192.0.2.1", "nobody.invalid"])  # of RFC 5737 and RFC 2606: nobody's
def test_an_address_that_this_machine_has_not_is_refused_in_a_sentence(address, capsys):
    with pytest.raises(SystemExit) as refusal:
        launch_rest(Room().service, address=address, token=LONG)

    assert refusal.value.code == 78
    said = capsys.readouterr().err
    assert f"cannot listen on {address!r}, port 7861 (" in said
    assert "while attempting" not in said
