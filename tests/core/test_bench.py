"""The bench is found from a checkout."""

import pytest

from boxray.core.bench import bench_folder


def test_a_folder_of_the_bench_is_found_wherever_the_program_was_started(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert (bench_folder("data/cards") / "nih.yaml").is_file()


def test_a_folder_that_is_not_there_is_missed_by_its_name():
    with pytest.raises(FileNotFoundError, match="no folder 'nowhere/weights'"):
        bench_folder("nowhere/weights")
