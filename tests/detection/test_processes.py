"""Processes that work together, without a network to train."""

from collections.abc import Callable
from pathlib import Path

import pytest

from boxray.core.errors import DataError, ModelError
from boxray.detection.processes import run_together
from ranks import die_in_one, fail_in_one, write_rank


def test_each_process_is_told_which_one_it_is_and_what_it_tells_comes_back(tmp_path: Path) -> None:
    told: list[str] = []
    run_together(2, write_rank, (tmp_path,), told.append)

    assert sorted(told) == ["0 of 2", "1 of 2"]
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"0": "0 of 2", "1": "1 of 2"}


@pytest.mark.parametrize(
    ("work", "error", "said"),
    [(fail_in_one, DataError, "a picture is missing"), (die_in_one, ModelError, "exit code -9")],
)
def test_one_that_fails_ends_the_others_and_its_error_is_told(
    work: Callable[[Path], None], error: type[Exception], said: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=said):
        run_together(2, work, (tmp_path,), [].append)

    assert list(tmp_path.iterdir()) == []
