"""Parity: what differs is seen, and on the bundled radiographs the engines say what torch says."""

from pathlib import Path

import numpy as np
import pytest

from boxray.cli.demo import examples
from boxray.core.errors import InputError
from boxray.core.frames import Letterbox
from boxray.core.radiograph import Radiograph
from boxray.detection import square as square_room
from boxray.detection.load import ENGINES, load_detector
from boxray.detection.parity import NoParity, Parity, compare, measure_parity, raw_outputs
from boxray.imaging.letterbox import letterbox_pixels
from boxray.imaging.read import decode
from boxray.imaging.shrink import shrink
from boxray.weights import released_card

SCORE, BOX_PX, IOU = 0.001, 0.1, 0.99
"""What engines that compute in float32 may differ by."""


def output(*columns: tuple[float, ...]) -> np.ndarray:
    """Columns of centre x, centre y, width, height and two scores."""
    return np.array(columns, dtype=np.float32).T


def test_the_same_output_is_at_parity() -> None:
    same = [output((20, 20, 10, 10, 0.9, 0.1), (50, 50, 8, 8, 0.001, 0.002))]

    assert compare("made", same, same) == Parity("made", 0, 0, 1, n_boxes=1, n_images=1)


def test_the_largest_differences_of_all_images_count_and_boxes_only_where_torch_speaks() -> None:
    expected = [output((20, 20, 10, 10, 0.9, 0.1)), output((50, 50, 8, 8, 0.001, 0.002), (30, 30, 10, 20, 0.5, 0))]
    found = [output((20, 20, 10, 10, 0.9, 0.125)), output((90, 50, 8, 8, 0.001, 0.252), (30, 31, 10, 22, 0.5, 0))]

    row = compare("made", expected, found)

    assert row.score == pytest.approx(0.25)
    assert row.box_px == pytest.approx(2)  # the lower edge: from 40 to 42; the other place does not speak
    assert row.iou == pytest.approx(20 / 22)
    assert (row.n_boxes, row.n_images) == (2, 2)


def test_where_torch_says_nothing_no_box_differs() -> None:
    silent = [output((20, 20, 10, 10, 0.01, 0.0))]

    assert compare("made", silent, silent) == Parity("made", 0, 0, 1, n_boxes=0, n_images=1)


def test_parity_needs_a_radiograph(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one radiograph"):
        list(measure_parity(released_card("detection"), [], ["torch"], tmp_path))


@pytest.fixture(scope="module")
def radiographs() -> list[Radiograph]:
    films = []
    for file in examples():
        try:
            films.append(decode(file.read_bytes()))
        except InputError:  # one of them is there to be refused
            continue
    assert len(films) > 2
    return films


@pytest.fixture(scope="module")
def reference(radiographs: list[Radiograph], tmp_path_factory: pytest.TempPathFactory) -> list[np.ndarray]:
    """ultralytics' own letterbox and torch: nothing of ours between a picture and the network's output.

    Its letterbox is given floats, as ours is: rounding the square to 8 bit alone moves a score by up to 0.04.
    """
    pytest.importorskip("ultralytics")
    detector = load_detector(released_card("detection"), "torch", tmp_path_factory.mktemp("state"))
    from ultralytics.data.augment import LetterBox

    side = detector.card.side_px
    outputs = []
    for rad in radiographs:
        colour = np.repeat(255 * shrink(rad.pixels)[..., None], 3, axis=2)
        square = LetterBox((side, side), auto=False)(image=colour).transpose(2, 0, 1)[None]
        (said,) = detector.session.run(np.ascontiguousarray(square) / 255).values()
        outputs.append(said[0])
    return outputs


@pytest.mark.parametrize("engine", ["torch", "openvino-f32", "onnxruntime"])
def test_every_float32_engine_says_of_the_examples_what_torch_says_behind_ultralytics_own_letterbox(
    engine: str, radiographs: list[Radiograph], reference: list[np.ndarray], tmp_path: Path
) -> None:
    detector = load_detector(released_card("detection"), engine, tmp_path)  # type: ignore[arg-type]

    row = compare(engine, reference, raw_outputs(detector, radiographs))

    assert row.n_boxes > 5
    assert row.score < SCORE
    assert row.box_px < BOX_PX
    assert row.iou > IOU


def in_the_corner(pixels: np.ndarray, letterbox: Letterbox) -> np.ndarray:
    right = letterbox_pixels(pixels, letterbox)
    return np.roll(right, (-letterbox.top, -letterbox.left), axis=(0, 1))


def on_black(pixels: np.ndarray, letterbox: Letterbox) -> np.ndarray:
    square = np.zeros((letterbox.side_px, letterbox.side_px), np.float32)
    left, top, (width, height) = letterbox.left, letterbox.top, letterbox.inner_wh
    square[top : top + height, left : left + width] = letterbox_pixels(pixels, letterbox)[
        top : top + height, left : left + width
    ]
    return square


def mirrored(pixels: np.ndarray, letterbox: Letterbox) -> np.ndarray:
    return np.ascontiguousarray(letterbox_pixels(pixels, letterbox)[:, ::-1])


def in_255(pixels: np.ndarray, letterbox: Letterbox) -> np.ndarray:
    return letterbox_pixels(pixels, letterbox) * 255


@pytest.mark.parametrize("wrong", [in_the_corner, on_black, mirrored, in_255], ids=lambda wrong: wrong.__name__)
def test_a_wrong_letterbox_is_not_at_parity(
    wrong, radiographs: list[Radiograph], reference: list[np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = load_detector(released_card("detection"), "openvino-f32", tmp_path)
    monkeypatch.setattr(square_room, "letterbox_pixels", wrong)

    row = compare("wrong", reference, raw_outputs(detector, radiographs))

    assert row.score > 10 * SCORE
    assert row.box_px > 10 * BOX_PX


def test_an_engine_that_is_not_there_is_a_row_with_its_reason(
    radiographs: list[Radiograph], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ultralytics")
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])

    found = list(
        measure_parity(released_card("detection"), radiographs[:1], ["onnxruntime-cuda", "openvino-f32"], tmp_path)
    )

    assert isinstance(found[0], NoParity)
    assert "no CUDAExecutionProvider" in found[0].reason
    assert isinstance(found[1], Parity)
    assert found[1].score < SCORE


def test_an_engine_that_nobody_knows_is_missed_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no engine 'tflite'; there are: torch"):
        load_detector(released_card("detection"), "tflite", tmp_path)  # type: ignore[arg-type]
    assert len(set(ENGINES)) == len(ENGINES)
