"""The loss, against ultralytics' own; and the hygiene, in processes of their own."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from built import same_numbers

torch = pytest.importorskip("torch", reason="training needs the extra [train]")
pytest.importorskip("ultralytics", reason="training needs the extra [train]")

from boxray.core.errors import ModelError  # noqa: E402
from boxray.detection import ultralytics_engine as engine  # noqa: E402


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


def batch_of_two(weights: list[list[float]]) -> dict[str, "torch.Tensor"]:
    rng = torch.Generator().manual_seed(1)
    return {
        "img": torch.rand(2, 3, 64, 64, generator=rng),
        "batch_idx": torch.tensor([0.0, 1.0]),
        "cls": torch.tensor([[0.0], [1.0]]),
        "bboxes": torch.tensor([[0.5, 0.5, 0.4, 0.4], [0.3, 0.6, 0.3, 0.5]]),
        "cell_weights": torch.tensor(weights),
    }


def partial_loss(network: "torch.nn.Module", weights: list[list[float]]) -> tuple["torch.Tensor", "torch.Tensor"]:
    """The loss, and its gradient on the class logits: shape (B, F, anchors)."""
    batch = batch_of_two(weights)
    predictions = network.forward(batch["img"])
    predictions["scores"].retain_grad()
    loss, _ = engine.partial_label_loss(network)(predictions, batch)
    loss.sum().backward()
    return loss.detach(), predictions["scores"].grad


def test_where_all_is_known_the_loss_is_the_stock_loss(network: "torch.nn.Module") -> None:
    from ultralytics.utils.loss import v8DetectionLoss

    batch = batch_of_two([[1.0] * 3] * 2)
    stock, _ = v8DetectionLoss(network)(network.forward(batch["img"]), batch)

    ours, _ = partial_loss(network, [[1.0] * 3] * 2)

    same_numbers(ours, stock.detach())


def test_an_unknown_finding_gets_no_gradient_and_the_others_keep_theirs(network: "torch.nn.Module") -> None:
    _, everywhere = partial_loss(network, [[1.0] * 3] * 2)
    _, masked = partial_loss(network, [[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])

    assert (masked[0, 2] == 0).all()
    assert (masked[1, 0] == 0).all()
    assert (everywhere[0, 2] != 0).all()
    same_numbers(masked[0, :2], everywhere[0, :2])
    same_numbers(masked[1, 1:], everywhere[1, 1:])


def test_an_assumed_absence_pulls_half_as_hard(network: "torch.nn.Module") -> None:
    _, full = partial_loss(network, [[1.0] * 3] * 2)
    _, half = partial_loss(network, [[1.0, 1.0, 0.5], [1.0] * 3])

    same_numbers(half[0, 2], full[0, 2] / 2)


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


def test_the_stage_files_name_absolute_paths_and_nothing_that_is_executed(tmp_path: Path) -> None:
    import yaml

    files = engine.write_stage_files(tmp_path / "data", ("a", "b"), ["/x/1.png", "/x/2.png"], [2, 1], np.ones((2, 2)))

    content = yaml.safe_load(files.data_yaml.read_text())
    assert set(content) == {"train", "val", "names"}
    assert Path(content["train"]).read_text().split() == ["/x/1.png", "/x/1.png", "/x/2.png"]


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
