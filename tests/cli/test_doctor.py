import re
import tomllib
from pathlib import Path

import pytest

from boxray.cli import doctor


def test_this_installation_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    code = doctor.doctor()

    said = capsys.readouterr().out
    assert code == 0, said
    assert "weights detection" in said
    assert "decoder" in said


def test_two_opencvs_of_different_versions_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"opencv-python": "4.14.0.94", "opencv-python-headless": "4.13.0.1"}
    monkeypatch.setattr(doctor, "_version", versions.get)

    ((ok, _, said),) = doctor._opencv()

    assert not ok
    assert "4.13.0.1" in said


@pytest.mark.parametrize(
    ("version", "sound"), [("12.3.0", True), ("12.2.0", False), ("13.0.0", False), ("12.10.1", True)]
)
def test_pillow_is_asked_for_between_its_two_limits(version: str, sound: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_version", lambda _: version)

    ((ok, _, _),) = doctor._pillow()

    assert ok is sound


def test_one_broken_check_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(doctor, "_weights", broken)

    assert doctor.doctor() == 1
    assert "extra [train]" in capsys.readouterr().out


def test_every_extra_that_it_names_is_one_that_can_be_installed() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    there = project["optional-dependencies"]

    brought = {extra: {re.split(r"[\[<>=~ ]", each)[0].replace("-", "_") for each in there[extra]} for extra in there}

    for extra, modules in doctor.EXTRAS.items():
        assert set(modules) <= brought[extra]


def test_an_extra_of_which_a_part_is_missing_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "find_spec", lambda name: None if name == "dicomweb_client" else name)

    doctor.doctor()

    assert 'extra [pacs]: not installed: pip install "boxray[pacs]"' in capsys.readouterr().out
