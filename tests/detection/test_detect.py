from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from boxray.core.arrays import FloatArray
from boxray.core.errors import ModelError
from boxray.core.frames import Letterbox
from boxray.core.radiograph import Radiograph
from boxray.detection.detect import EVERYTHING, YoloDetector, one_finding
from boxray.detection.load import open_detector
from boxray.detection.quantize import quantize
from boxray.imaging.clahe import equalise_shades
from boxray.runs.recipe import Clahe
from boxray.weights import ModelCard, save_card
from built import build_tiny_set
from making import detector_card, label_space

SPACE = label_space("fluid", "heart", "never")
SIDE = 64


def card(**thresholds: float) -> ModelCard:
    return detector_card(SPACE, ("fluid", "heart"), SIDE, thresholds)


class Says:
    """A session that answers the same to everything, and keeps what it was asked."""

    lanes = 2

    def __init__(self, *rows: tuple[float, ...]) -> None:
        self.output = np.array(rows, dtype=np.float32).reshape(-1, 7).T[None]  # (1, 4 + F, A)
        self.asked: FloatArray | None = None

    def run(self, inputs: FloatArray) -> Mapping[str, FloatArray]:
        self.asked = inputs
        return {"output": self.output}


def film(width: int, height: int) -> Radiograph:
    return Radiograph(np.full((height, width), 0.5, dtype=np.float32))


def square_row(letterbox: Letterbox, box_xyxy: tuple[float, ...], *scores: float) -> tuple[float, ...]:
    x1, y1, x2, y2 = letterbox.to_square.apply(np.array([box_xyxy]))[0]
    return ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, *scores)


@pytest.mark.parametrize(
    "size_wh",
    [
        pytest.param((200, 300), id="tall"),
        pytest.param((300, 200), id="wide"),
        pytest.param((1500, 2500), id="larger than the pictures of training"),
        pytest.param((40, 40), id="smaller than the square"),
    ],
)
def test_boxes_come_back_in_the_frame_of_the_radiograph(size_wh: tuple[int, int]) -> None:
    width, height = size_wh
    box = (0.1 * width, 0.2 * height, 0.5 * width, 0.9 * height)
    session = Says(square_row(Letterbox.fit(size_wh, SIDE), box, 0.9, 0.0, 0.0))

    (detection,) = YoloDetector(card(fluid=0.5, heart=0.5), session, SPACE).detect(film(width, height))

    assert detection.finding == "fluid"
    assert detection.box.xyxy == pytest.approx(box, abs=max(size_wh) / 400)


def test_the_network_sees_three_equal_channels_on_grey_ground() -> None:
    session = Says()

    YoloDetector(card(fluid=0.5, heart=0.5), session, SPACE).detect(film(100, 50))

    assert session.asked is not None
    assert session.asked.shape == (1, 3, SIDE, SIDE)
    assert (session.asked[0, 0] == session.asked[0, 2]).all()
    assert session.asked[0, 0, 0, 0] == pytest.approx(114 / 255)
    assert session.asked[0, 0, SIDE // 2, SIDE // 2] == pytest.approx(0.5)


def test_a_film_is_equalized_before_the_network_if_the_card_says_so() -> None:
    session = Says()
    film = Radiograph(np.random.default_rng(0).random((SIDE, SIDE), dtype=np.float32))
    weights = card(fluid=0.5, heart=0.5).model_copy(update={"clahe": Clahe(clip=3.0, tiles=4)})

    YoloDetector(weights, session, SPACE).detect(film)

    assert session.asked is not None
    equalised = equalise_shades(np.round(film.pixels * 255).astype(np.uint8), 3.0, 4) / np.float32(255)
    np.testing.assert_array_equal(session.asked[0, 0], equalised)


def test_a_finding_that_was_never_trained_with_boxes_is_never_reported() -> None:
    session = Says((32, 32, 10, 10, 0.1, 0.1, 0.99))

    assert YoloDetector(card(fluid=0.5, heart=0.5), session, SPACE).detect(film(64, 64), 0.5) == ()


def test_each_finding_has_its_own_operating_point() -> None:
    session = Says((32, 32, 10, 10, 0.4, 0.4, 0.0))

    found = YoloDetector(card(fluid=0.3, heart=0.5), session, SPACE).detect(film(64, 64))

    assert [det.finding for det in found] == ["fluid"]


def test_detections_come_by_falling_score() -> None:
    session = Says((10, 10, 5, 5, 0.3, 0.0, 0.0), (50, 50, 5, 5, 0.0, 0.8, 0.0), (30, 30, 5, 5, 0.6, 0.0, 0.0))

    found = YoloDetector(card(fluid=0.1, heart=0.1), session, SPACE).detect(film(64, 64))

    assert [round(det.score, 1) for det in found] == [0.8, 0.6, 0.3]


def test_a_box_over_the_edge_is_cut_at_the_edge() -> None:
    session = Says((0, 0, 20, 20, 0.9, 0.0, 0.0))

    (found,) = YoloDetector(card(fluid=0.1, heart=0.1), session, SPACE).detect(film(64, 64))

    assert found.box.xyxy == (0, 0, 10, 10)


class SaysItsShade(Says):
    """One box whose score is the shade of the film; a white film breaks it."""

    def run(self, inputs: FloatArray) -> Mapping[str, FloatArray]:
        shade = float(inputs[0, 0, SIDE // 2, SIDE // 2])
        if shade == 1:
            raise ModelError("not finite", "model.not_finite")
        return {"output": np.array([[[32], [32], [20], [20], [shade], [0], [0]]], dtype=np.float32)}


def shaded(*shades: float) -> list[Radiograph]:
    return [Radiograph(np.full((50, 50), shade, dtype=np.float32)) for shade in shades]


def test_many_radiographs_give_in_order_what_each_gives_alone() -> None:
    detector = YoloDetector(card(fluid=0.1, heart=0.1), SaysItsShade(), SPACE)
    films = shaded(*np.linspace(0.2, 0.9, 20))

    found = list(detector.detect_many(iter(films)))

    assert found == [detector.detect(rad) for rad in films]
    assert len({detections[0].score for detections in found}) == 20
    assert list(detector.detect_many(films, 0.99)) == [()] * 20


def test_a_radiograph_that_breaks_the_network_breaks_at_its_place() -> None:
    found = YoloDetector(card(fluid=0.1, heart=0.1), SaysItsShade(), SPACE).detect_many(shaded(0.5, 0.6, 1, 0.7))

    assert [len(next(found)), len(next(found))] == [1, 1]
    with pytest.raises(ModelError):
        next(found)


def test_one_place_gives_one_box() -> None:
    output = np.array([[20, 20, 10, 10, 0.6], [20.5, 20, 10, 10, 0.9], [50, 50, 10, 10, 0.5]]).T

    boxes, scores = one_finding(output, 0, 0.1)

    assert scores.tolist() == [0.9, 0.5]
    assert boxes.shape == (2, 4)


def test_a_box_lies_where_its_candidates_vote() -> None:
    output = np.array([[20, 20, 10, 10, 0.6], [24, 20, 10, 10, 0.2], [50, 50, 10, 10, 0.5]]).T  # IoU 3/7
    near = np.array([[20, 20, 10, 10, 0.6], [22, 20, 10, 10, 0.2], [50, 50, 10, 10, 0.5]]).T  # and here 2/3

    (first, *_), _ = one_finding(output, 0, 0.3)
    (voted, alone), scores = one_finding(near, 0, 0.3)

    assert first == pytest.approx((15, 15, 25, 25))
    assert voted == pytest.approx((15.5, 15, 25.5, 25))  # a quarter of the way: 0.2 of 0.8
    assert alone == pytest.approx((45, 45, 55, 55))
    assert scores.tolist() == [0.6, 0.5]


def test_where_a_box_lies_does_not_depend_on_the_threshold() -> None:
    rng = np.random.default_rng(0)
    output = np.vstack([rng.uniform(20, 44, (2, 200)), rng.uniform(10, 20, (2, 200)), rng.uniform(0.002, 1, (1, 200))])

    everything, scores = one_finding(output, 0, 0.001)
    some, their_scores = one_finding(output, 0, 0.5)

    assert 0 < len(some) < len(everything)
    np.testing.assert_array_equal(scores[: len(some)], their_scores)
    np.testing.assert_allclose(everything[: len(some)], some)


def test_a_candidate_without_a_size_stays_where_it_is() -> None:
    boxes, _ = one_finding(np.array([[20, 20, 0, 10, 0.6]]).T, 0, 0.1)

    assert boxes.tolist() == [[20, 15, 20, 25]]


def test_no_candidate_gives_no_box() -> None:
    boxes, scores = one_finding(np.zeros((5, 0)), 0, 0.1)

    assert boxes.shape == (0, 4)
    assert scores.shape == (0,)


def scaled(**scales: tuple[float, float]) -> ModelCard:
    """A card whose scores are calibrated: finding -> slope and offset."""
    return card(fluid=0.2, heart=0.2).model_copy(update={"calibration": scales})


def test_a_score_is_the_calibrated_probability_where_the_card_has_a_scale_and_the_networks_own_where_not() -> None:
    session = Says((32, 32, 10, 10, 0.8, 0.3, 0.0))

    heart, fluid = YoloDetector(scaled(fluid=(0.5, -2.0)), session, SPACE).detect(film(64, 64), 0.0)

    assert (heart.finding, fluid.finding) == ("heart", "fluid")  # by falling probability
    assert fluid.score == pytest.approx(1 / (1 + np.exp(2 - 0.5 * np.log(4))))  # logit of 0.8: log(0.8 / 0.2)
    assert heart.score == float(np.float32(0.3))


def test_an_operating_point_is_asked_of_the_calibrated_score() -> None:
    session = Says((10, 10, 5, 5, 0.80, 0, 0), (50, 50, 5, 5, 0.75, 0, 0))  # become 0.213 and 0.190

    (found,) = YoloDetector(scaled(fluid=(0.5, -2.0)), session, SPACE).detect(film(64, 64))

    assert found.score == pytest.approx(0.213, abs=0.001)


@pytest.mark.parametrize("offset", [6.0, -6.0])
def test_what_the_network_hardly_sees_is_no_box_whatever_it_would_be_calibrated_to(offset: float) -> None:
    session = Says((10, 10, 5, 5, 0.0009, 0, 0), (50, 50, 5, 5, 0.0011, 0, 0))

    (found,) = YoloDetector(scaled(fluid=(1.0, offset)), session, SPACE).detect(film(64, 64), EVERYTHING)

    assert found.score == pytest.approx(1 / (1 + np.exp(-offset) * (1 - 0.0011) / 0.0011), rel=1e-4)


def test_calibration_moves_no_box() -> None:
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.uniform(20, 44, (200, 2)), rng.uniform(10, 20, (200, 2)), rng.random((200, 2))])
    session = Says(*np.hstack([rows, np.zeros((200, 1))]).tolist())

    before = YoloDetector(card(fluid=0.5, heart=0.5), session, SPACE).detect(film(64, 64), EVERYTHING)
    after = YoloDetector(scaled(fluid=(0.3, -3.0)), session, SPACE).detect(film(64, 64), EVERYTHING)

    boxes = [[det.box for det in found if det.finding == "fluid"] for found in (before, after)]
    assert len(boxes[0]) > 1
    assert boxes[0] == boxes[1]


def test_weights_without_operating_points_ask_for_a_score() -> None:
    """As those of a run have none that is not released."""
    detector = YoloDetector(card(fluid=0.5), Says(), SPACE)

    with pytest.raises(ModelError, match=r"made has no operating point for heart.*release it, or give a score"):
        detector.detect(film(100, 50))

    assert detector.detect(film(100, 50), 0.3) == ()


@pytest.mark.parametrize("suffix", [".json", ".onnx", ".safetensors"])
def test_a_classifier_where_a_detector_is_wanted_is_refused_whichever_of_its_files_is_named(
    tmp_path: Path, suffix: str
) -> None:
    """Its graph would be asked for boxes, its tensors for an architecture of YOLO."""
    weights = a_classifier(tmp_path).with_suffix(suffix)

    with pytest.raises(ModelError, match=r"tiny is of classification, a detector is wanted; see detection/weights"):
        open_detector(weights, tmp_path / "state")


def test_a_classifier_is_not_made_into_an_int8_detector(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="tiny is of classification, a detector is wanted"):
        quantize(a_classifier(tmp_path), build_tiny_set(tmp_path / "set", per_split=1))


def a_classifier(folder: Path) -> Path:
    """The card of a classifier; what lies beside it is never opened."""
    for suffix in (".onnx", ".safetensors"):
        (folder / f"tiny{suffix}").write_bytes(b"any")
    plain = card().model_copy(update={"name": "tiny", "job": "classification", "sha256": {}})
    return save_card(plain, folder)
