"""Memory stays bounded as the work grows."""

import subprocess
import sys
from pathlib import Path

import pytest

from making import write_chest

SCRIPT = """
import resource, sys
from boxray.cli.main import main
try:
    main(["read", *sys.argv[1:], "--json", "--no-scope-check"])
except SystemExit as left:
    assert not left.code, left.code
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


def peak_kib(films: list[Path]) -> int:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *map(str, films)], capture_output=True, text=True, check=True
    )  # fmt: skip
    assert len(done.stdout.splitlines()) == len(films)
    return int(done.stderr.split()[-1])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux only")
def test_a_hundred_radiographs_take_no_more_memory_than_ten(tmp_path: Path) -> None:
    films = [write_chest(tmp_path / f"{number:03d}.png", (900, 1100), seed=number) for number in range(100)]

    few, many = peak_kib(films[:10]), peak_kib(films)

    # The allocator keeps a little more after each film until it has what it needs; a leak of pixels alone
    # would be 90 films of 4 MB.
    assert many - few < 60_000
