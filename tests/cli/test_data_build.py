"""`boxray data build` on the command line: what it says while it works, and that a kill leaves no noise."""

import signal
import subprocess
import sys
import time

import pytest
import yaml

from boxray.cli import show
from boxray.cli.show import building_bar
from making import write_card, write_chest, write_text

COMMAND = [sys.executable, "-m", "boxray.cli.main", "data", "build", "--cards", "cards", "--out", "built"]


@pytest.fixture
def project(tmp_path):
    write_text(tmp_path / "source" / "data.yaml", "names: [Effusion]")
    for number in range(3):
        write_chest(tmp_path / "source" / "images" / f"{number}.png", seed=number)
        write_text(tmp_path / "source" / "labels" / f"{number}.txt", "0 0.5 0.5 0.2 0.2")
    write_card(tmp_path / "cards", "made", boxes={"Effusion": "effusion"})
    write_text(tmp_path / "datasets.yaml", yaml.safe_dump({"sources": {"mine": {"card": "made", "root": "source"}}}))
    return tmp_path


def test_a_build_says_on_stderr_what_it_is_at_where_that_is_no_terminal(project):
    done = subprocess.run([*COMMAND, "--json"], cwd=project, capture_output=True, text=True, check=True)

    assert done.stderr.splitlines() == ["mine ...", "looking for copies ...", "writing labels and audit ..."]
    assert done.stdout.startswith("{"), "progress is for people: stdout holds the JSON alone"


def test_a_long_source_says_a_line_every_so_many_images(monkeypatch, capsys):
    monkeypatch.setattr(show, "PEOPLE", show.Console(stderr=True))
    monkeypatch.setattr(show, "IMAGES_A_LINE", 2)

    with building_bar() as tell:
        for _ in range(5):
            tell("mine", 1)

    assert capsys.readouterr().err.splitlines() == ["mine ...", "mine: 2 images", "mine: 4 images"]


def test_a_build_that_is_terminated_ends_without_a_traceback(project):
    film = write_chest(project / "source" / "images" / "0.png", (700, 700)).read_bytes()
    for number in range(3, 300):
        (project / "source" / "images" / f"{number}.png").write_bytes(film)
        write_text(project / "source" / "labels" / f"{number}.txt")
    running = subprocess.Popen(COMMAND, cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert running.stderr.readline() == "mine ...\n"
    time.sleep(0.3)

    running.send_signal(signal.SIGTERM)
    said = running.stderr.read()  # to its end: the children have it open too

    running.stderr.close()
    assert running.wait(60) == -signal.SIGTERM, "it was ended in the middle"
    assert said == ""
