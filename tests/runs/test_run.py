"""The run folder: what was asked for, and files that are whole or not there."""

import getpass
import json
import os
import re
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml

from boxray.core.errors import RecipeError
from boxray.runs.recipe import StrictModel
from boxray.runs.run import environment, latest_run, start_run, write_atomically

DATA = "f" * 64


class Recipe(StrictModel):
    epochs: int = 3


def test_a_run_states_its_resolved_recipe_its_environment_and_its_data(tmp_path):
    run = start_run("detection", "tiny", Recipe(), DATA, tmp_path)

    assert run.folder.parent == tmp_path / "detection"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d-tiny-[0-9a-f]{8}", run.folder.name)
    assert yaml.safe_load((run.folder / "recipe.yaml").read_text()) == {"epochs": 3}
    stated = json.loads((run.folder / "environment.json").read_text())
    assert stated["data"] == DATA
    assert {"numpy", "pydantic"} <= {name.lower() for name in stated["packages"]}


def test_the_environment_names_neither_the_machine_nor_the_user_nor_a_path():
    said = json.dumps({key: value for key, value in environment().items() if key != "packages"})

    assert socket.gethostname() not in said
    assert getpass.getuser() not in said
    assert "/" not in said


def test_the_same_recipe_on_the_same_data_starts_a_new_folder_each_time(tmp_path):
    folders = [start_run("detection", "tiny", Recipe(), DATA, tmp_path).folder.name for _ in range(2)]

    assert folders == [folders[0], f"{folders[0]}-2"]


def test_runs_that_start_at_the_same_moment_get_folders_of_their_own_g7(tmp_path):
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda _: start_run("detection", "tiny", Recipe(), DATA, tmp_path), range(4)))

    assert len({run.folder for run in runs}) == 4
    assert all((run.folder / "environment.json").is_file() for run in runs)


def test_the_latest_run_is_the_last_one_started_even_if_an_older_one_was_touched_since(tmp_path):
    first = start_run("detection", "tiny", Recipe(), DATA, tmp_path).folder
    later = [first.with_name(f"{first.name}-{number}") for number in range(2, 12)]
    for place, folder in enumerate(later):
        folder.mkdir()
        os.utime(folder, (10_000 - place, 10_000 - place))

    assert latest_run("detection", "tiny", Recipe(), DATA, tmp_path).folder == later[-1]


def test_a_later_day_is_later_than_a_higher_number(tmp_path):
    today = start_run("detection", "tiny", Recipe(), DATA, tmp_path).folder
    yesterday = today.with_name(f"1999-12-31{today.name[10:]}-12")
    yesterday.mkdir()

    assert latest_run("detection", "tiny", Recipe(), DATA, tmp_path).folder == today


@pytest.mark.parametrize(
    ("name", "recipe", "data"),
    [
        pytest.param("other", Recipe(), DATA, id="another-recipe"),
        pytest.param("tiny", Recipe(epochs=4), DATA, id="another-setting"),
        pytest.param("tiny", Recipe(), "e" * 64, id="other-data"),
        pytest.param("t*", Recipe(), DATA, id="a-star-is-a-letter"),
    ],
)
def test_a_run_of_something_else_is_not_gone_on_with(tmp_path, name, recipe, data):
    start_run("detection", "tiny", Recipe(), DATA, tmp_path)

    with pytest.raises(RecipeError, match="start without --resume"):
        latest_run("detection", name, recipe, data, tmp_path)


def test_without_any_run_there_is_nothing_to_go_on_with(tmp_path):
    with pytest.raises(RecipeError, match="no run of recipe 'tiny'"):
        latest_run("detection", "tiny", Recipe(), DATA, tmp_path)


def test_json_is_written_whole(tmp_path):
    run = start_run("detection", "tiny", Recipe(), DATA, tmp_path)

    path = run.write_json("metrics.json", {"ap50": 0.5, "low": None})

    assert path == run.folder / "metrics.json"
    assert json.loads(path.read_text()) == {"ap50": 0.5, "low": None}


def test_what_was_not_measured_is_null_and_never_a_bare_nan(tmp_path):
    run = start_run("detection", "tiny", Recipe(), DATA, tmp_path)
    nothing = float("nan")

    path = run.write_json("metrics.json", {"ap50": nothing, "folds": [(0.5, nothing), {"low": nothing}]})

    assert json.loads(path.read_text(), parse_constant=pytest.fail) == {
        "ap50": None,
        "folds": [[0.5, None], {"low": None}],
    }


@pytest.mark.parametrize("number", [float("inf"), float("-inf")])
def test_a_number_without_end_is_refused_and_leaves_no_file(tmp_path, number):
    run = start_run("detection", "tiny", Recipe(), DATA, tmp_path)

    with pytest.raises(ValueError, match="not JSON compliant"):
        run.write_json("metrics.json", {"loss": number})

    assert not (run.folder / "metrics.json").exists()


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_a_write_that_fails_half_way_leaves_the_old_file_and_nothing_beside_it(tmp_path, monkeypatch, step):
    path = tmp_path / "card.json"
    path.write_bytes(b"old")

    def disk_full(*_args):
        raise OSError(28, "No space left on device")

    if step == "fsync":
        monkeypatch.setattr(os, "fsync", disk_full)
    elif step == "replace":
        monkeypatch.setattr(type(path), "replace", disk_full)
    data = "text is no bytes" if step == "write" else b"new"

    with pytest.raises((OSError, TypeError)):
        write_atomically(path, data)

    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_succeeds_replaces_the_old_file_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "card.json"
    path.write_bytes(b"old")

    write_atomically(path, b"new")

    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]
