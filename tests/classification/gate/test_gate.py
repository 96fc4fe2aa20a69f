"""The released gate on the bundled examples, on photographs and scans that it was not fitted on, through a Reader."""

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file

from boxray.classification.gate.drawn import DRAWN
from boxray.classification.gate.gate import load_gate, released_gate, released_gate_card
from boxray.cli.demo import examples
from boxray.core.errors import InputError, ModelError, Outcome
from boxray.core.protocols import FixedDetector
from boxray.core.radiograph import Radiograph
from boxray.imaging.read import decode
from boxray.localization.reader import NOT_CHECKED, Reader
from making import chest, label_space

SPACE = label_space("fluid")
READABLE = [path for path in examples() if path.stem != "refused"]
PHOTOGRAPHS = (
    "gradio/media_assets/images/cheetah.jpg",
    "gradio/media_assets/images/cheetah1.jpg",
    "gradio/media_assets/images/groot.jpeg",
    "gradio/media_assets/images/lion.jpg",
    "gradio/media_assets/images/tower.jpg",
    "gradio/test_data/cheetah2.jpg",
    "matplotlib/mpl-data/sample_data/Minduka_Present_Blue_Pack.png",
    "matplotlib/mpl-data/sample_data/grace_hopper.jpg",
    "sklearn/datasets/images/china.jpg",
    "sklearn/datasets/images/flower.jpg",
    "ultralytics/assets/bus.jpg",
    "ultralytics/assets/zidane.jpg",
)
"""In packages that the tests need anyway. None took part in the fit."""
SCANS = (
    "693_J2KI.dcm",  # CT, head
    "CT_small.dcm",
    "J2K_pixelrep_mismatch.dcm",  # CT, head
    "JPEG2000.dcm",  # nuclear medicine, whole body
    "MR_small.dcm",
    "examples_overlay.dcm",  # MR, abdomen
    "examples_jpeg2k.dcm",  # ultrasound
    "examples_palette.dcm",  # ultrasound
    "image_dfl.dcm",  # a test pattern
)


@pytest.fixture(scope="module")
def gate():
    return released_gate()


@pytest.fixture(scope="module")
def chests():
    return {path.stem: decode(path.read_bytes()) for path in READABLE}


def a_reader(gate):
    return Reader(FixedDetector(SPACE, assessed=SPACE.keys), None, gate=gate)


def grey(picture):
    """A radiograph of shades 0 to 255."""
    return Radiograph(np.ascontiguousarray(picture, dtype=np.float32) / np.float32(255))


def refusal(gate, rad):
    with pytest.raises(InputError) as refused:
        gate.require(rad)
    return refused.value


@pytest.mark.parametrize("name", [path.stem for path in READABLE])
def test_the_bundled_examples_are_read_and_so_are_they_mirrored_left_to_right(gate, chests, name):
    gate.require(chests[name])
    gate.require(Radiograph(np.ascontiguousarray(chests[name].pixels[:, ::-1])))


@pytest.mark.parametrize("name", [path.stem for path in READABLE])
def test_inverted_they_are_refused_as_inverted(gate, chests, name):
    error = refusal(gate, Radiograph(1 - chests[name].pixels))

    assert error.code.name == "quality.polarity"
    assert "invert it" in error.reason


@pytest.mark.parametrize(
    ("turns", "way_back"), [(1, "a quarter turn to the right"), (2, "half a turn"), (3, "a quarter turn to the left")]
)
@pytest.mark.parametrize("name", [path.stem for path in READABLE])
def test_turned_they_are_refused_and_the_way_back_is_named(gate, chests, name, turns, way_back):
    turned = np.ascontiguousarray(np.rot90(chests[name].pixels, turns))  # numpy turns to the left

    error = refusal(gate, Radiograph(turned))

    assert error.code.name == "scope.rotated"
    assert f"give it {way_back}" in error.reason


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_photographs_are_refused(gate, name):
    package, _, inside = name.partition("/")
    spec = find_spec(package)
    path = Path(spec.origin).parent / inside if spec and spec.origin else Path()
    if not path.is_file():
        pytest.skip(f"{name} is not installed here")

    code = refusal(gate, grey(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))).code.name

    assert code == ("quality.polarity" if name.endswith("tower.jpg") else "scope.not_chest")  # inverted, it has a spine


@pytest.mark.parametrize("name", SCANS)
def test_what_other_machines_make_is_refused_by_its_pixels_alone(gate, name):
    pixels = pydicom.dcmread(get_testdata_file(name)).pixel_array.astype(float)
    pixels = pixels.mean(axis=-1) if pixels.ndim == 3 else pixels
    low, high = np.percentile(pixels, (1, 99.5))

    picture = 255 * ((pixels - low) / (high - low)).clip(0, 1)

    assert refusal(gate, grey(picture)).code.name == "scope.not_chest"


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm", "examples_overlay.dcm", "JPEG2000.dcm"])
def test_their_files_are_refused_by_a_reader(gate, name):
    reading = a_reader(gate).read(Path(get_testdata_file(name)), name)

    assert (reading.status, reading.code) == (Outcome.REFUSED, "scope.not_chest")


def test_a_blank_and_a_ramp_are_no_chest(gate):
    for pixels in (np.zeros((300, 300)), np.full((300, 300), 0.5), np.tile(np.linspace(0, 1, 300), (300, 1))):
        assert refusal(gate, Radiograph(pixels.astype(np.float32))).code.name == "scope.not_chest"


def test_a_page_is_refused_with_the_score_what_is_expected_and_what_to_do(gate):
    reading = a_reader(gate).read_radiograph(grey(DRAWN["page of text"](np.random.default_rng(0))), "a letter")

    assert (reading.status, reading.code) == (Outcome.REFUSED, "scope.not_chest")
    assert reading.states(SPACE) == {"fluid": "not assessed"}
    for words in ("likeness to a frontal chest -", "expected is one whole film", "choose the frontal view"):
        assert words in reading.reason


def test_a_reader_without_a_gate_reads_anything_and_says_so(gate, chests):
    page = grey(DRAWN["page of text"](np.random.default_rng(0)))
    film = chests["no_finding"]

    assert a_reader(None).read_radiograph(page, "a letter").notes == (NOT_CHECKED,)
    assert a_reader(None).read_radiograph(film, "a film").notes == (*film.notes, NOT_CHECKED)
    assert a_reader(gate).read_radiograph(film, "a film").notes == film.notes


@pytest.mark.parametrize("kind", ["a chest", *DRAWN])
@settings(max_examples=5)
@given(gain=st.floats(0.3, 1), share=st.floats(0, 1), size=st.floats(0.4, 1.5))
def test_shade_and_size_do_not_flip_what_is_far_from_the_threshold(kind, gain, share, size):
    rng = np.random.default_rng(0)
    pixels = (chest((300, 280)) if kind == "a chest" else DRAWN[kind](rng)).astype(np.float32) / np.float32(255)
    gate = released_gate()
    score = gate.score(pixels)

    other = cv2.resize(pixels, None, fx=size, fy=size, interpolation=cv2.INTER_AREA)
    other = (gain * other + share * (1 - gain)).astype(np.float32)

    assert abs(score) > 1
    assert (gate.score(other) >= 0) == (score >= 0)


@pytest.fixture
def copied(tmp_path):
    card = released_gate_card()
    for file in (card, card.with_suffix(".safetensors")):
        shutil.copy(file, tmp_path / file.name)
    return tmp_path / card.name


def test_a_copy_is_the_same_gate(copied, gate):
    assert (load_gate(copied)[1].weights == gate.weights).all()


def test_a_missing_file_is_an_error_that_says_what_to_do(copied):
    for file in (copied.with_suffix(".safetensors"), copied):
        file.unlink()
        with pytest.raises(ModelError, match="install boxray again"):
            load_gate(copied)


def test_altered_weights_are_an_error(copied):
    tensors = copied.with_suffix(".safetensors")
    content = bytearray(tensors.read_bytes())
    content[-1] ^= 1
    tensors.write_bytes(bytes(content))

    with pytest.raises(ModelError, match="its card says"):
        load_gate(copied)


@pytest.mark.parametrize("card", ["[]", "{}", "not json", '{"name": "chest-gate"}'])
def test_a_card_that_is_none_is_an_error(copied, card):
    copied.write_text(card)

    with pytest.raises(ModelError, match="no card of a scope gate"):
        load_gate(copied)


def test_the_files_are_small_and_the_card_says_how_often_the_gate_errs():
    card, _ = load_gate(released_gate_card())
    test_films = [count for count in card.real if count.part == "test" and "moved" not in count.what]

    files = (released_gate_card(), released_gate_card().with_suffix(".safetensors"))
    assert sum(file.stat().st_size for file in files) < 50_000
    assert sum(count.wrong for count in test_films) <= 0.01 * sum(count.n for count in test_films)
    assert "/" not in json.dumps(card.recipe)


@pytest.mark.real
def test_the_three_real_dicom_files_are_read_or_refused_as_the_exact_inverse(gate, shared):
    folder = shared / "data" / "dicom"
    codes = {path.stem: a_reader(gate).read(path, "x").code for path in sorted(folder.glob("*.dcm"))}

    assert codes == {
        "cr_chest_pa_monochrome1_jpeg2000": None,
        "cr_chest_pa_monochrome2_jpeg": None,
        "cr_chest_pa_retagged_monochrome1": "quality.polarity",
    }


@pytest.mark.real
@pytest.mark.parametrize("folder", ["nih/images", "tbx11k/imgs/tb", "siim/train"])
def test_of_real_radiographs_hardly_any_is_refused(gate, shared, folder):
    """Every n-th file, 120 in all."""
    paths = sorted((shared / "data" / folder).iterdir())
    chosen = paths[:: max(1, len(paths) // 120)][:120]

    scores = [gate.score(grey(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)).pixels) for path in chosen]

    assert sum(score < 0 for score in scores) <= 2
