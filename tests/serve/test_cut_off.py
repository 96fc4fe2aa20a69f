import json
import shutil
import subprocess
import sys

import pytest

from boxray.core.bench import bench_folder
from serve import cut_off

UNSHARE = shutil.which("unshare")


@pytest.mark.slow
def test_with_the_network_cut_the_app_starts_reads_draws_and_ends_f23(tmp_path):
    alone = [UNSHARE, "--net", "--map-root-user"]
    if UNSHARE is None or subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no unshare, or this kernel gives no network namespace to users: the network cannot be cut")
    log = tmp_path / "log"
    film = bench_folder("data/examples") / "effusion.dcm"

    done = subprocess.run(
        [*alone, sys.executable, cut_off.__file__, str(film), str(log)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )

    assert done.returncode == 0, done.stderr + log.read_text()
    assert json.loads(done.stdout) == {"cut_off": True, "page": 200, "status": "RESULT", "picture": 200, "code": 143}
    assert "Traceback" not in log.read_text()
