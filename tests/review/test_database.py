"""Why the database will not start, in plain words; and the environment that FiftyOne finds."""

import os
import stat
import sys
from importlib.util import find_spec

import pytest

from boxray.review import checkup
from boxray.review import database as db


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    for name in ("FIFTYONE_DATABASE_URI", "FIFTYONE_DATABASE_DIR", "FIFTYONE_PLUGINS_DIR", "BOXRAY_MONGOD"):
        monkeypatch.delenv(name, raising=False)
    for name in db.HYGIENE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FIFTYONE_CONFIG_PATH", str(tmp_path / "none.json"))
    monkeypatch.setenv("BOXRAY_REVIEW_DIR", str(tmp_path / "state"))


def program(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.mark.parametrize(
    ("log", "code", "word"),
    [
        ("mongod: error while loading shared libraries: libcrypto.so.1.1: cannot open", 127, "OpenSSL"),
        ("error while loading shared libraries: libldap.so.2", 127, "library"),
        ("/lib/libc.so.6: version `GLIBC_2.38' not found", 1, "newer system"),
        ('{"msg":"Failed to set up listener","attr":{"error":"Address already in use"}}', 48, "port"),
        ('{"msg":"DBPathInUse: Unable to lock the lock file"}', 100, "another mongod"),
        ('{"attr":{"error":"No space left on device"}}', 14, "disk is full"),
        ("Read-only file system", 100, "cannot be written"),
        ("Invalid featureCompatibilityVersion document", 62, "another version"),
        ("", -4, "AVX"),
        ("something that nobody knows", 9, "something that nobody knows"),
    ],
)
def test_what_mongod_says_is_told_in_plain_words_with_a_way_out(log, code, word):
    said = db.in_plain_words(log, code)
    assert word in said
    assert db.URI in said


def test_a_mongod_for_another_openssl_is_told_as_that(monkeypatch, tmp_path):
    path = program(tmp_path / "mongod", "echo 'error while loading shared libraries: libcrypto.so.1.1' >&2; exit 127")
    monkeypatch.setenv("BOXRAY_MONGOD", str(path))
    with pytest.raises(db.NoDatabaseError, match="OpenSSL"):
        db.find_mongod()


def test_a_named_mongod_that_is_not_there_is_told_with_the_extra(monkeypatch, tmp_path):
    monkeypatch.setenv("BOXRAY_MONGOD", str(tmp_path / "mongod"))
    with pytest.raises(db.NoDatabaseError, match="review-mongod"):
        db.find_mongod()


def test_a_mongod_that_may_not_be_executed_is_told_as_that(monkeypatch, tmp_path):
    (tmp_path / "mongod").write_text("x")
    (tmp_path / "mongod").chmod(0o644)
    monkeypatch.setenv("BOXRAY_MONGOD", str(tmp_path / "mongod"))
    with pytest.raises(db.NoDatabaseError, match=r"chmod \+x"):
        db.find_mongod()


def test_a_mongod_that_ends_at_once_is_told_with_its_reason(monkeypatch, tmp_path):
    words = "case $1 in --version) exit 0;; esac; echo 'No space left on device'; exit 14"
    monkeypatch.setenv("BOXRAY_MONGOD", str(program(tmp_path / "mongod", words)))
    with pytest.raises(db.NoDatabaseError, match="disk is full"):
        db.start(tmp_path)


def test_a_folder_that_is_a_file_is_told_with_the_variable(tmp_path):
    (tmp_path / "state").write_text("")
    with pytest.raises(db.NoDatabaseError, match=db.STATE):
        db.require_folder(tmp_path / "state" / "database")


def test_a_full_disk_is_told_before_anything_is_started(monkeypatch, tmp_path):
    monkeypatch.setattr(db, "LEAST_FREE", 1 << 60)
    with pytest.raises(db.NoDatabaseError, match="make room"):
        db.require_folder(tmp_path)


@pytest.mark.skipif(find_spec("pymongo") is None, reason="pymongo comes with the extra [review]")
def test_a_server_that_does_not_answer_is_told_without_name_and_password(monkeypatch):
    monkeypatch.setattr(db, "answers", lambda _uri, _within_s: False)
    with pytest.raises(db.NoDatabaseError) as told:
        db.require_answer("mongodb://anna:secret@db.example:27017/?authSource=admin")
    assert "db.example" in str(told.value)
    assert "secret" not in str(told.value)
    assert "anna" not in str(told.value)


def test_the_environment_is_set_and_what_the_user_has_set_stays(monkeypatch, tmp_path):
    monkeypatch.setenv("FIFTYONE_DEFAULT_APP_ADDRESS", "127.0.0.9")
    before = dict(os.environ)
    try:
        db.set_hygiene(tmp_path)
        assert os.environ["FIFTYONE_DO_NOT_TRACK"] == "true"
        assert os.environ["FIFTYONE_DEFAULT_APP_ADDRESS"] == "127.0.0.9"
        assert os.environ["FIFTYONE_DATABASE_DIR"] == str(tmp_path / "database")
    finally:
        os.environ.clear()
        os.environ.update(before)


def test_the_plugin_is_laid_beside_the_users_own(monkeypatch, tmp_path):
    theirs = tmp_path / "home" / "fiftyone" / "__plugins__" / "theirs"
    theirs.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    folder = db.lay_plugins(tmp_path / "state")
    assert (folder / "boxray" / "fiftyone.yml").is_file()
    assert (folder / "theirs").resolve() == theirs
    assert db.lay_plugins(tmp_path / "state") == folder


def test_a_machine_without_fiftyone_is_told_what_to_install_and_what_goes_without(monkeypatch):
    monkeypatch.setattr(checkup, "find_spec", lambda _name: None)
    lines = list(checkup.examine())
    assert not lines[0][0]
    assert "boxray[review-mongod]" in lines[0][2]
    assert "sheet" in lines[1][2]


@pytest.mark.skipif(find_spec("fiftyone") is None, reason="FiftyOne is not installed")
def test_the_first_thing_that_is_wrong_ends_the_examination(monkeypatch, tmp_path):
    monkeypatch.setenv("BOXRAY_MONGOD", str(tmp_path / "none"))
    lines = list(checkup.examine(tmp_path / "state"))
    assert [what for ok, what, _ in lines if not ok] == ["MongoDB"]
    assert lines[-1][1] == "meanwhile"


def test_importing_the_room_imports_no_fiftyone():
    import subprocess

    modules = "boxray.review.opening, boxray.review.database, boxray.cli.main"
    words = f"import sys, {modules}; sys.exit('fiftyone' in sys.modules)"
    subprocess.run([sys.executable, "-c", words], check=True, timeout=120)
