"""Start weights over the line: fetched from a real server, read as tensors, kept as safetensors."""

import hashlib
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [train]")

from boxray.classification.backbones import build_classifier, load_start  # noqa: E402
from boxray.classification.recipe import SIDE_PX  # noqa: E402
from boxray.classification.start import address_of, features_of_xrv, fetch_start, fetch_xrv_start  # noqa: E402
from boxray.cli.main import main  # noqa: E402
from boxray.core.errors import DataError  # noqa: E402
from boxray.tensors import read_tensors  # noqa: E402


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path):
    folder = tmp_path / "published"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as running:
        Thread(target=running.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def publish(folder: Path, content: object, digits: str | None = None) -> str:
    """Save as torch does, under a name that ends in the hash's first digits."""
    torch.save(content, folder / "new.pth")
    true = hashlib.sha256((folder / "new.pth").read_bytes()).hexdigest()[:8]
    name = f"net-{digits or true}.pth"
    (folder / "new.pth").rename(folder / name)
    return name


def test_a_published_state_becomes_safetensors(server, tmp_path: Path) -> None:
    folder, address = server
    name = publish(folder, {"features.0.weight": torch.arange(4.0)})

    out = fetch_start(f"{address}/{name}", tmp_path / "weights" / "net.safetensors")

    assert read_tensors(out)["features.0.weight"].tolist() == [0, 1, 2, 3]
    assert [path.name for path in out.parent.iterdir()] == ["net.safetensors"]


class Surprise:
    def __reduce__(self):
        return (print, ("a pickle that runs code",))


@pytest.mark.parametrize(
    ("content", "digits", "said"),
    [
        pytest.param({"a": torch.zeros(1)}, "00000000", "hash differs", id="other content than the name promises"),
        pytest.param(Surprise(), None, "more than tensors", id="a pickle that runs code"),
    ],
)
def test_what_is_not_as_promised_is_refused_and_leaves_nothing(server, tmp_path, capsys, content, digits, said) -> None:
    folder, address = server
    name = publish(folder, content, digits)

    with pytest.raises(DataError, match=said):
        fetch_start(f"{address}/{name}", tmp_path / "net.safetensors")

    assert not (tmp_path / "net.safetensors").exists()
    assert "runs code" not in capsys.readouterr().out


def test_an_address_that_does_not_answer_is_told(server, tmp_path: Path) -> None:
    _, address = server

    with pytest.raises(DataError, match="cannot be fetched"):
        fetch_start(f"{address}/net-12345678.pth", tmp_path / "net.safetensors")


@pytest.mark.parametrize("architecture", SIDE_PX)
def test_every_backbone_has_an_address_that_names_its_hash(architecture: str) -> None:
    stem = address_of(architecture).rsplit("/", 1)[-1].removesuffix(".pth")

    assert address_of(architecture).startswith("https://")
    int(stem.rsplit("-", 1)[-1], 16)


def test_the_features_of_torchxrayvision_stay_what_they_were() -> None:
    models = pytest.importorskip("torchxrayvision", reason="needs the extra [xrv]").models
    torch.manual_seed(0)
    theirs = models.DenseNet(weights=None, num_classes=18).eval()  # random weights: nothing is fetched
    ours = build_classifier("densenet121", 8)
    load_start(ours, features_of_xrv(theirs.state_dict()))
    grey = torch.rand(2, 1, 64, 64) * 2 - 1

    with torch.no_grad():
        found = ours.eval().features(grey.repeat(1, 3, 1, 1))
        wanted = torch.nn.functional.relu(theirs.features(1024 * grey))

    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4 * float(wanted.max()))


def test_weights_that_torchxrayvision_does_not_have_are_named(tmp_path: Path) -> None:
    pytest.importorskip("torchxrayvision", reason="needs the extra [xrv]")

    with pytest.raises(DataError, match="there are: densenet121-res224-all"):
        fetch_xrv_start("densenet121-res512-all", tmp_path / "xrv.safetensors")


def test_pickles_of_torchxrayvision_are_not_read_unasked(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["classification", "download", "densenet121", "--xrv", "densenet121-res224-all"])

    assert left.value.code == 2
    assert "--trust" in capsys.readouterr().err
