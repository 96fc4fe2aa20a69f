"""The loss, against ultralytics' own; and the hygiene, in processes of their own."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from built import same_numbers

torch = pytest.importorskip("torch", reason="training needs the extra [train]")
pytest.importorskip("ultralytics", reason="training needs the extra [train]")

from boxray.core.errors import ModelError, ResourceError  # noqa: E402
from boxray.detection import ultralytics_engine as engine  # noqa: E402
from boxray.detection.processes import run_together  # noqa: E402
from ranks import hold_a_network_each, hold_one_network  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def _tame(tmp_path_factory: pytest.TempPathFactory) -> None:
    engine.tame_ultralytics(tmp_path_factory.mktemp("ultralytics"))


@pytest.fixture
def network() -> "torch.nn.Module":
    from ultralytics.cfg import get_cfg
    from ultralytics.nn.tasks import DetectionModel

    torch.manual_seed(0)
    model = DetectionModel("yolov8n.yaml", nc=3, verbose=False)
    model.args = get_cfg()
    return model.train()


def batch_of_two(weights: list[list[float]], *, two_films: bool = False) -> dict[str, "torch.Tensor"]:
    """Two pictures of 64 px with a box each, of one film each; or the first of two films, left and right."""
    rng = torch.Generator().manual_seed(1)
    rects = torch.zeros(2, 4, 4)
    rects[:, 0] = torch.tensor([0.0, 0, 64, 64])
    cells = torch.zeros(2, 4, 3)
    cells[:, 0] = torch.tensor(weights)
    if two_films:
        rects[0, :2] = torch.tensor([[0.0, 0, 32, 64], [32.0, 0, 64, 64]])
        cells[0, 1] = 1
    return {
        "img": torch.rand(2, 3, 64, 64, generator=rng),
        "batch_idx": torch.tensor([0.0, 1.0]),
        "cls": torch.tensor([[0.0], [1.0]]),
        "bboxes": torch.tensor([[0.5, 0.5, 0.4, 0.4], [0.3, 0.6, 0.3, 0.5]]),
        "film_of_box": torch.tensor([0.0, 0.0]),
        "rects": rects,
        "to_canvas": torch.eye(2, 3).repeat(2, 1, 1),
        "cells": cells,
        "present": torch.zeros(2, 4, 3, dtype=torch.bool),
    }


ALL_KNOWN = [[1.0] * 3] * 2


def partial_loss(
    network: "torch.nn.Module", batch: dict[str, "torch.Tensor"], present_weight: float = 0.0
) -> tuple["torch.Tensor", "torch.Tensor", "torch.Tensor"]:
    """The loss, and its gradients on the class logits (B, F, anchors) and on the boxes (B, 64, anchors)."""
    predictions = network.forward(batch["img"])
    predictions["scores"].retain_grad()
    predictions["boxes"].retain_grad()
    loss, _ = engine.partial_label_loss(network, present_weight)(predictions, batch)
    loss.sum().backward()
    return loss.detach(), predictions["scores"].grad, predictions["boxes"].grad


def on_the_left() -> "torch.Tensor":
    """Shape (84,): which anchors of a picture of 64 px have their centres in its left half."""
    xs = [torch.arange(0.5, 64 / stride).repeat(64 // stride) * stride for stride in (8, 16, 32)]
    return torch.cat(xs) < 32


def test_where_all_is_known_the_loss_is_the_stock_loss(network: "torch.nn.Module") -> None:
    from ultralytics.utils.loss import v8DetectionLoss

    batch = batch_of_two(ALL_KNOWN)
    stock, _ = v8DetectionLoss(network)(network.forward(batch["img"]), batch)

    ours, _, _ = partial_loss(network, batch)

    same_numbers(ours, stock.detach())


def test_an_unknown_finding_gets_no_gradient_and_the_others_keep_theirs(network: "torch.nn.Module") -> None:
    _, everywhere, _ = partial_loss(network, batch_of_two(ALL_KNOWN))
    _, masked, _ = partial_loss(network, batch_of_two([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]]))

    assert (masked[0, 2] == 0).all()
    assert (masked[1, 0] == 0).all()
    assert (everywhere[0, 2] != 0).all()
    same_numbers(masked[0, :2], everywhere[0, :2])
    same_numbers(masked[1, 1:], everywhere[1, 1:])


def test_an_assumed_absence_pulls_half_as_hard(network: "torch.nn.Module") -> None:
    _, full, _ = partial_loss(network, batch_of_two(ALL_KNOWN))
    _, half, _ = partial_loss(network, batch_of_two([[1.0, 1.0, 0.5], [1.0] * 3]))

    same_numbers(half[0, 2], full[0, 2] / 2)


def test_in_a_mosaic_unknown_holds_on_its_own_film_only(network: "torch.nn.Module") -> None:
    _, felt, _ = partial_loss(network, batch_of_two([[1.0, 1.0, 0.0], [1.0] * 3], two_films=True))

    left = on_the_left()
    assert (felt[0, 2, left] == 0).all()
    assert (felt[0, 2, ~left] > 0).all()  # pushed down as background
    assert (felt[0, 1] > 0).all()


def test_a_box_pulls_no_anchor_of_the_film_beside(network: "torch.nn.Module") -> None:
    """The box of the left film reaches 12.8 px over the seam."""
    _, _, alone = partial_loss(network, batch_of_two(ALL_KNOWN))
    _, felt, pulled = partial_loss(network, batch_of_two(ALL_KNOWN, two_films=True))

    left = on_the_left()
    assert (alone[0][:, ~left] != 0).any(), "a test without an overlap would prove nothing"
    assert (pulled[0][:, ~left] == 0).all()
    assert (pulled[0][:, left] != 0).any()
    assert (felt[0, 0, ~left] > 0).all()


def test_what_is_present_without_a_box_is_asked_of_its_film(network: "torch.nn.Module") -> None:
    batch = batch_of_two([[1.0, 1.0, 0.0], [1.0] * 3], two_films=True)
    batch["present"][0, 0, 2] = True
    _, without, _ = partial_loss(network, batch)
    _, felt, _ = partial_loss(network, batch, present_weight=0.5)
    _, twice, _ = partial_loss(network, batch, present_weight=1.0)

    asked = felt[0, 2] < 0
    assert asked.sum() == 10
    assert on_the_left()[asked].all()
    same_numbers(twice[0, 2, asked], 2 * felt[0, 2, asked])
    same_numbers(felt[0, :2], without[0, :2])
    same_numbers(felt[1], without[1])


def test_a_batch_without_a_box_has_a_loss(network: "torch.nn.Module") -> None:
    batch = batch_of_two(ALL_KNOWN)
    batch |= {"batch_idx": torch.zeros(0), "cls": torch.zeros(0, 1), "bboxes": torch.zeros(0, 4)}
    batch |= {"film_of_box": torch.zeros(0)}

    loss, felt, _ = partial_loss(network, batch)

    assert torch.isfinite(loss).all()
    assert (felt > 0).all()


def test_under_bfloat16_the_loss_itself_is_computed_in_float32(network: "torch.nn.Module") -> None:
    batch = batch_of_two(ALL_KNOWN)
    criterion = engine.partial_label_loss(network)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        predictions = network.forward(batch["img"])
        loss, _ = criterion(predictions, batch)
    exact = {key: predictions[key].float() for key in ("boxes", "scores")} | {"feats": predictions["feats"]}

    expected, _ = criterion(exact, batch)

    assert predictions["scores"].dtype == torch.bfloat16
    assert loss.dtype == torch.float32
    same_numbers(loss, expected)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "disk is full.*--resume"),
        (MemoryError(), "batch=16 does not fit.*batch=8"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "batch=16 does not fit.*batch=8"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "batch=16 does not fit.*batch=8"),
    ],
    ids=["disk", "Python", "CPU", "GPU"],
)
def test_what_the_machine_lacks_is_said_plainly(error: Exception, said: str) -> None:
    with pytest.raises(ResourceError, match=said), engine.said_plainly(16):
        raise error


@pytest.mark.parametrize("error", [OSError(errno.ENOENT, "No such file"), RuntimeError("shapes differ")])
def test_other_faults_stay_what_they_are(error: Exception) -> None:
    with pytest.raises(type(error), match=r"No such file|shapes differ"), engine.said_plainly(16):
        raise error


def test_start_weights_of_another_number_of_findings_fit_but_for_the_scores(network: "torch.nn.Module") -> None:
    from ultralytics.nn.tasks import DetectionModel

    eighty = DetectionModel("yolov8n.yaml", nc=80, verbose=False).state_dict()

    engine.load_matching(network, eighty)

    same_numbers(network.state_dict()["model.0.conv.weight"], eighty["model.0.conv.weight"])


def test_start_weights_of_another_architecture_are_refused(network: "torch.nn.Module") -> None:
    with pytest.raises(ModelError, match="another architecture"):
        engine.load_matching(network, {"model.0.conv.weight": torch.zeros(1)})


def test_the_network_gives_boxes_and_scores_in_one_array() -> None:
    from ultralytics.nn.tasks import DetectionModel

    state = DetectionModel("yolov8n.yaml", nc=8, verbose=False).state_dict()

    output = engine.build_network("yolov8n", 8, state)(torch.zeros(1, 3, 64, 64))

    assert output.shape == (1, 4 + 8, 64 + 16 + 4)
    assert ((output[:, 4:] >= 0) & (output[:, 4:] <= 1)).all()


@pytest.mark.parametrize("mean_age", [0.02, 0.1, 0.5])
@pytest.mark.parametrize("updates", [500, 5000])
def test_the_averaged_weights_are_of_the_same_share_of_the_training_however_long_it_was(
    mean_age: float, updates: int
) -> None:
    decay, average = engine.averaging_decay(mean_age), 0.0

    for update in range(1, updates + 1):
        average = decay(update) * average + (1 - decay(update)) * update

    assert 1 - average / updates == pytest.approx(mean_age, abs=0.003)


def test_taming_asks_no_host_and_writes_nothing_to_the_home(tmp_path: Path) -> None:
    script = """
import socket, sys
def nobody(*arguments, **options):
    raise SystemExit("asked the network")
socket.getaddrinfo = socket.socket.connect = nobody
from pathlib import Path
from boxray.detection.ultralytics_engine import tame_ultralytics
tame_ultralytics(Path(sys.argv[1]))
from ultralytics import settings
import ultralytics.models.yolo.detect
assert not settings["sync"], "reports usage"
"""
    home = tmp_path / "home"
    home.mkdir()
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "MPLCONFIGDIR": str(tmp_path)}

    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "state")],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert list(home.iterdir()) == []


def test_processes_that_learned_each_for_itself_are_found_out(tmp_path: Path) -> None:
    told: list[str] = []
    run_together(2, hold_one_network, (tmp_path,), told.append)
    assert told == ["one", "one"]

    with pytest.raises(ModelError, match="gradients were not exchanged"):
        run_together(2, hold_a_network_each, (tmp_path,), told.append)
