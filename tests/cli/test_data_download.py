"""The command, on a listing of its own: nothing here leaves this machine."""

import hashlib
import json
import shutil

import pytest
import typer
from typer.testing import CliRunner

from boxray.cli.data_download import download
from boxray.data import download as library
from boxray.data.download.listing import Listing, PublishedFile

CONTENT = b"Image Index,Finding Labels\n"
TABLE = PublishedFile(
    name="table.csv",
    url=None,
    bytes=len(CONTENT),
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    unpack="none",
)
LINKED = PublishedFile(name="linked.csv", url="https://example.org/x", bytes=3_000_000, sha256=None, unpack="none")


@pytest.fixture
def run(monkeypatch):
    listing = Listing(source="made", page="https://example.org/the-page", files=(TABLE, LINKED))
    monkeypatch.setattr(library, "load_listing", lambda _: listing)
    app = typer.Typer()
    app.command()(download)
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


def test_a_dry_run_lists_files_sizes_and_room_and_touches_nothing(run, tmp_path):
    done = run("made", "--out", str(tmp_path / "made"), "--dry-run")

    assert done.exit_code == 0, done.output
    assert "table.csv" in done.stdout
    assert "by hand" in done.stdout
    assert "to fetch 0.0 GB; needed with pictures 0.0 GB; free on the disk" in done.stdout
    assert not (tmp_path / "made").exists()


def test_a_dry_run_for_machines_is_json(run, tmp_path):
    done = run("made", "--out", str(tmp_path), "--dry-run", "--json")

    said = json.loads(done.stdout)
    assert said["bytes_to_fetch"] == 3_000_000
    assert [file["state"] for file in said["files"]] == ["by hand", "to fetch"]


def test_a_dry_run_says_that_the_disk_is_too_small(run, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, 10))

    done = run("made", "--out", str(tmp_path), "--dry-run")

    assert isinstance(done.exception, library.DiskFullError)
    assert "linked.csv" in done.stdout


def test_a_file_that_is_to_be_had_by_hand_leaves_with_3_and_says_where(run, tmp_path):
    done = run("made", "--out", str(tmp_path), "--only", "table.csv")

    assert done.exit_code == 3
    assert "open https://example.org/the-page, get table.csv" in done.stdout


def test_once_it_is_there_it_is_verified_and_all_is_done(run, tmp_path):
    (tmp_path / "table.csv").write_bytes(CONTENT)

    first = run("made", "--out", str(tmp_path), "--only", "table.csv", "--json")
    second = run("made", "--out", str(tmp_path), "--only", "table.csv")

    assert first.exit_code == 0
    (said,) = json.loads(first.stdout)
    assert (said["what"], said["note"]["verified_by"]) == ("verified", ["published length", "sha256"])
    assert second.exit_code == 0
    assert "kept" in second.stdout


def test_a_file_that_is_wrong_leaves_with_3_and_says_what_was_got(run, tmp_path):
    (tmp_path / "table.csv").write_bytes(b"?" * len(CONTENT))

    done = run("made", "--out", str(tmp_path), "--only", "table.csv")

    assert done.exit_code == 3
    assert "set aside as table.csv.bad" in done.stdout
    assert f"expected {TABLE.sha256}" in done.stdout


def test_the_default_folder_is_named_after_the_source(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    run("made", "--only", "table.csv")

    assert (tmp_path / "data" / "raw" / "made").is_dir()


def test_a_name_that_is_not_listed_is_answered_with_the_nearest(run, tmp_path):
    done = run("made", "--out", str(tmp_path), "--only", "tabel.csv")

    assert "did you mean 'table.csv'?" in str(done.exception)
