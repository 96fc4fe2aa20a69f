"""What all tests share."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")  # no test asserts a time: on a machine with other work a quick one is slow

if "PYTEST_XDIST_WORKER" in os.environ:  # the workers are as many as the cores: more threads would stand in their way
    os.environ.setdefault("OMP_NUM_THREADS", "1")

sys.path.insert(0, str(Path(__file__).parent))  # so that tests find `making`, whichever way pytest was started


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the real radiographs: BOXRAY_SHARED, or `shared` beside the repository."""
    folder = Path(os.environ.get("BOXRAY_SHARED") or Path(__file__).parents[2] / "shared")
    if not (folder / "data").is_dir():
        pytest.skip("the real radiographs are not here: set BOXRAY_SHARED")
    return folder
