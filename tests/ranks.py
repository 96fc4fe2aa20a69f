"""What the processes of a test do: a fresh process finds this module by its name."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from boxray.core.errors import DataError

Tell = Callable[[str], None]


def write_rank(folder: Path, tell: Tell) -> None:
    said = f"{os.environ['LOCAL_RANK']} of {os.environ['WORLD_SIZE']}"
    (folder / os.environ["RANK"]).write_text(said)
    tell(said)


def fail_in_one(folder: Path, tell: Tell) -> None:
    if os.environ["RANK"] == "1":
        raise DataError("a picture is missing")
    time.sleep(60)
    write_rank(folder, tell)


def die_in_one(folder: Path, tell: Tell) -> None:
    if os.environ["RANK"] == "0":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)
    write_rank(folder, tell)


def hold_one_network(folder: Path, tell: Tell) -> None:
    _hold(seed=0)
    tell("one")


def hold_a_network_each(folder: Path, tell: Tell) -> None:
    _hold(seed=int(os.environ["RANK"]))
    tell("one")


def _hold(seed: int) -> None:
    import torch
    from torch import distributed

    from boxray.detection.ultralytics_engine import require_one_network

    distributed.init_process_group("gloo")
    torch.manual_seed(seed)
    require_one_network(torch.nn.Linear(3, 2))
    distributed.destroy_process_group()
