"""From the built set to a batch."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from boxray.core.errors import DataError
from boxray.core.findings import Presence
from boxray.core.frames import Letterbox
from boxray.data.manifest import Manifest
from boxray.data.presence import Rule
from boxray.data.split import Split
from boxray.detection.films import FilmSet, TrainingImages, collate, read_film
from boxray.detection.partial_loss import anchor_weights, film_under
from boxray.detection.recipe import DetectionRecipe
from boxray.detection.square import detector_square
from boxray.imaging.clahe import equalise_shades
from boxray.runs.recipe import Clahe
from built import SQUARE_XYXY, build_tiny_set, image_row, manifest_of

torch = pytest.importorskip("torch", reason="training needs the extra [train]")

SHADES = (20, 70, 160, 240)
"""Far from each other and from the 114 of the padding."""

STILL = {"brightness": 0, "degrees": 0, "translate": 0, "scale": 0}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return build_tiny_set(tmp_path_factory.mktemp("tiny")).part(Split.TRAIN)


def recipe(**changes: object) -> DetectionRecipe:
    stages = [{"side_px": 128, "epochs": 1, "lr": 0.001}]
    return DetectionRecipe.model_validate({"data": "nowhere", "stages": stages} | changes)


@pytest.mark.parametrize("setting", [None, Clahe(clip=3.0, tiles=4)], ids=["plain", "CLAHE"])
def test_training_sees_what_reading_sees(tiny: Manifest, setting: Clahe | None) -> None:
    asked = recipe(augment=STILL, clahe=setting)
    example = FilmSet(TrainingImages.of(tiny, asked), asked, 128)[1]

    rad = tiny.radiograph(tiny.images["picture"][1])
    read = detector_square(rad.pixels, Letterbox.fit(rad.size_wh, 128), None if setting is None else (3.0, 4))

    difference = np.abs(example.picture.pixels.astype(int) - np.round(read * 255).astype(int))
    assert difference.max() <= (1 if setting is None else 0)  # without CLAHE reading rounds after resizing, or never


def test_clahe_of_the_square_is_clahe_of_the_resized_radiograph() -> None:
    pixels = np.random.default_rng(0).random((128, 128), dtype=np.float32)

    equalised = equalise_shades(np.round(pixels * 255).astype(np.uint8), 2.5, 4) / np.float32(255)

    square = detector_square(pixels, Letterbox.fit((128, 128), 128), (2.5, 4))

    np.testing.assert_array_equal(square, equalised)


def test_clahe_leaves_the_grey_around_a_film_alone() -> None:
    pixels = np.random.default_rng(0).random((128, 64), dtype=np.float32)

    equalised = equalise_shades(np.round(pixels * 255).astype(np.uint8), 2.5, 4) / np.float32(255)

    square = detector_square(pixels, Letterbox.fit((64, 128), 128), (2.5, 4))

    assert (square[:, :32] == np.float32(114 / 255)).all()
    assert np.array_equal(square[:, 32:96], equalised)


def test_boxes_and_cells_come_from_the_manifest(tiny: Manifest) -> None:
    asked = recipe(augment=STILL)

    example = FilmSet(TrainingImages.of(tiny, asked), asked, 128)[0]

    np.testing.assert_allclose(example.picture.boxes_xyxy, [np.array(SQUARE_XYXY) / 2])
    assert example.picture.findings.tolist() == [0]
    assert example.cells.tolist() == [[1, 0], [0, 0], [0, 0], [0, 0]]  # the heart is present and has no box
    assert example.present.tolist() == [[False, True]] + [[False, False]] * 3


def test_a_mosaic_carries_the_cells_of_its_four_films(tiny: Manifest) -> None:
    asked = recipe(augment=STILL | {"mosaic": 1.0})
    images = TrainingImages.of(tiny, asked)
    films = FilmSet(images, asked, 128)
    torch.manual_seed(0)

    examples = [films[showing] for showing in range(len(films))]

    for example in examples:
        for place, row in enumerate(example.cells):
            there = example.picture.seen[place] > 0
            assert there
            assert row.tolist() in images.cells.tolist()
        for place in example.picture.film_of_box:
            assert example.cells[place, 0] == 1  # a boxed film knows of its finding


def even_films(folder: Path) -> Manifest:
    """Four films, each of one shade and with presence of its own, so that a pixel says what may be learned there."""
    unknown, absent = (Presence.UNKNOWN.value, Rule.NONE.value), (Presence.ABSENT.value, Rule.LABEL.value)
    assumed = (Presence.ABSENT.value, Rule.ASSUMPTION.value)
    known = [(unknown, absent), (absent, unknown), (assumed, unknown), (unknown, assumed)]
    rows = [image_row(n, "train", {"fluid": fluid, "heart": heart}) for n, (fluid, heart) in enumerate(known)]
    for row, shade in zip(rows, SHADES, strict=True):
        path = folder / row["picture"]
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), np.full((256, 256), shade, np.uint8))
    return manifest_of(folder, rows, [])


@pytest.mark.parametrize("switch", [True, False], ids=["on", "off"])
def test_from_file_to_weight_no_unknown_place_becomes_background(tmp_path: Path, switch: bool) -> None:
    asked = recipe(augment={"mosaic": 1.0, "brightness": 0, "degrees": 15, "scale": 0.5}, partial_labels=switch)
    films = FilmSet(TrainingImages.of(even_films(tmp_path), asked), asked, 64)
    batch = collate([films[showing % 4] for showing in range(12)])
    every_pixel = torch.tensor([[x + 0.5, y + 0.5] for y in range(64) for x in range(64)])

    under = film_under(every_pixel, batch["rects"], batch["to_canvas"])
    weights = anchor_weights(batch["cells"], under).reshape(12, 64, 64, 2)

    known = {20: [0, 1], 70: [1, 0], 160: [0.5, 0], 240: [0, 0.5], 114: [1, 1]}
    seen = 0
    for shade, expected in known.items():
        # Where the eight pixels around are of the same shade too, it is not the mixture of two others on a seam.
        even = np.stack([cv2.erode((p == shade).astype(np.uint8), np.ones((3, 3))) for p in batch["img"][:, 0].numpy()])
        told = weights[torch.from_numpy(even > 0)]
        assert (told == torch.tensor(expected if switch else [1, 1])).all()
        seen += len(told)
    assert seen > 0.8 * weights[..., 0].numel()


def test_a_film_of_which_little_is_seen_need_not_show_what_is_present(tiny: Manifest) -> None:
    asked = recipe(augment=STILL | {"mosaic": 1.0})
    films = FilmSet(TrainingImages.of(tiny, asked), asked, 128)

    examples = [films[0] for _ in range(30)]

    for example in examples:
        assert not example.present[example.picture.seen < 2 / 3].any()
    assert any((example.cells[:, 0] == 1).any() for example in examples)


def test_after_mosaic_is_closed_every_picture_is_one_film(tiny: Manifest) -> None:
    asked = recipe(augment={"mosaic": 1.0})
    films = FilmSet(TrainingImages.of(tiny, asked), asked, 64)

    before = [(films[0].picture.seen > 0).sum() for _ in range(5)]
    films.close_mosaic()
    after = [(films[0].picture.seen > 0).sum() for _ in range(5)]

    assert min(before) > 1
    assert set(after) == {1}


def test_the_seed_decides_everything(tiny: Manifest) -> None:
    asked = recipe(augment={"mosaic": 0.5, "gamma": 0.3, "windowing": 0.05})
    images = TrainingImages.of(tiny, asked)
    pixels = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        films = FilmSet(images, asked, 64)
        pixels.append(np.stack([films[showing].picture.pixels for showing in range(len(films))]))

    assert np.array_equal(pixels[0], pixels[1])
    assert not np.array_equal(pixels[0], pixels[2])


def test_a_batch_counts_its_boxes_by_picture_and_by_film(tiny: Manifest) -> None:
    asked = recipe(augment=STILL)
    films = FilmSet(TrainingImages.of(tiny, asked), asked, 128)

    batch = collate([films[1], films[0], films[2]])  # of these the first has no box

    assert batch["img"].shape == (3, 1, 128, 128)
    assert batch["batch_idx"].tolist() == [1, 2]
    assert batch["film_of_box"].tolist() == [0, 0]
    x1, y1, x2, y2 = (value / 256 for value in SQUARE_XYXY)
    expected = torch.tensor([[(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1]] * 2)
    np.testing.assert_allclose(batch["bboxes"], expected, atol=1e-6)
    assert batch["cells"].shape == (3, 4, 2)
    assert batch["cells"].dtype == torch.float32


def test_a_batch_without_boxes_is_a_batch(tiny: Manifest) -> None:
    asked = recipe(augment=STILL)

    batch = collate([FilmSet(TrainingImages.of(tiny, asked), asked, 64)[1]])

    assert batch["cls"].shape == (0, 1)
    assert batch["bboxes"].shape == (0, 4)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "missing or damaged"),
        (b"no picture", "missing or damaged"),
        (np.zeros((9, 9), np.uint8), "its manifest says"),
    ],
    ids=["missing", "damaged", "another size"],
)
def test_a_picture_that_is_not_what_was_built_ends_the_training(tmp_path: Path, content: object, said: str) -> None:
    manifest = build_tiny_set(tmp_path, per_split=1)
    path = tmp_path / manifest.images["picture"][0]
    path.unlink()
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, np.ndarray):
        assert cv2.imwrite(str(path), content)

    with pytest.raises(DataError, match=said):
        read_film(TrainingImages.of(manifest, recipe()), 0, 64, None)
