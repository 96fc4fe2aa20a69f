"""Requests that schemathesis makes up from the description, against a real server with the real decoder."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec

import pytest

from boxray.imaging.read import read_radiograph
from serve.rest_room import Room
from serve.test_rest import TOKEN

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
    "use_after_free",
    "ignored_auth",
)
"""All but two: that what fits the description is taken (bytes at random are no film), and two users' rights."""


@pytest.mark.slow
@pytest.mark.parametrize("token", [None, TOKEN])
def test_no_request_that_the_description_allows_or_forbids_brings_a_server_error_or_an_answer_beside_it(
    token, tmp_path
):
    if find_spec("schemathesis") is None:
        pytest.skip("schemathesis is not installed (it is in the extra [dev])")
    with Room(read_radiograph, token=token).served() as door:
        said = schemathesis(f"{door.base_url}/v1/openapi.json", token, tmp_path)
        ready = door.get("/health/ready")

    assert said.returncode == 0, said.stdout[-8000:] + said.stderr[-2000:]
    n_cases = int(re.search(r"(\d+) generated", said.stdout)[1])
    assert n_cases > 100, said.stdout
    assert ready.status_code == 200


def schemathesis(url, token, folder):
    """Run it in a folder of its own: it leaves files behind."""
    headers = ["--header", f"Authorization: Bearer {token}"] if token else []
    options = ["--checks", ",".join(CHECKS), "--max-examples", "40", "--seed", "7", "--no-color", *headers]
    command = [sys.executable, "-m", "schemathesis.cli", "run", url, *options]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
