"""Into the square of a model and back out of it, in ultralytics' very pixels."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxray.core.boxes import as_xyxy
from boxray.core.frames import Cells, Letterbox
from boxray.imaging.letterbox import PAD_SHADE, from_letterbox, letterbox_pixels

SIZES_WH = [(640, 640), (1024, 1024), (300, 500), (501, 333), (1841, 1955), (256, 256), (777, 259)]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # what importing torch and ultralytics warns of is not ours
def test_the_square_is_pixel_for_pixel_that_of_ultralytics(monkeypatch, tmp_path):
    monkeypatch.setenv("YOLO_OFFLINE", "1")
    monkeypatch.setenv("YOLO_AUTOINSTALL", "0")
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path))
    augment = pytest.importorskip("ultralytics.data.augment")
    for size_wh in SIZES_WH:
        for side_px in (640, 512, 96):
            pixels = np.random.default_rng(0).integers(0, 256, size_wh[::-1], dtype=np.uint8)

            reference = augment.LetterBox((side_px, side_px))(image=np.dstack([pixels] * 3))[:, :, 0]

            assert np.array_equal(letterbox_pixels(pixels, Letterbox.fit(size_wh, side_px)), reference)


def test_floats_come_out_like_bytes_and_padding_is_114():
    pixels = np.random.default_rng(0).integers(0, 256, (300, 200), dtype=np.uint8)
    letterbox = Letterbox.fit((200, 300), 256)

    as_bytes = letterbox_pixels(pixels, letterbox)
    as_floats = letterbox_pixels((pixels / 255).astype(np.float32), letterbox)

    assert as_floats.dtype == np.float32
    assert np.abs(as_floats * 255 - as_bytes).max() <= 1
    assert (as_bytes[:, : letterbox.left] == PAD_SHADE).all()
    assert np.allclose(as_floats[:, : letterbox.left], PAD_SHADE / 255)


def test_a_radiograph_that_already_fits_is_copied_and_not_changed():
    pixels = np.random.default_rng(0).random((256, 256)).astype(np.float32)

    square = letterbox_pixels(pixels, Letterbox.fit((256, 256), 256))

    assert np.array_equal(square, pixels)
    assert not np.shares_memory(square, pixels)


@given(width=st.integers(64, 900), height=st.integers(64, 900), data=st.data())
def test_a_bright_box_lands_where_the_letterbox_says(width, height, data):
    left, top = data.draw(st.integers(0, width - 32)), data.draw(st.integers(0, height - 32))
    pixels = np.zeros((height, width), np.float32)
    pixels[top : top + 32, left : left + 32] = 1
    letterbox = Letterbox.fit((width, height), 320)

    square = letterbox_pixels(pixels, letterbox)
    inside = square[
        letterbox.top : letterbox.top + letterbox.inner_wh[1],
        letterbox.left : letterbox.left + letterbox.inner_wh[0],
    ]

    ys, xs = np.mgrid[: inside.shape[0], : inside.shape[1]] + 0.5
    centre = (xs * inside).sum() / inside.sum() + letterbox.left, (ys * inside).sum() / inside.sum() + letterbox.top
    x1, y1, x2, y2 = letterbox.to_square.apply(np.array([[left, top, left + 32, top + 32]], float))[0]
    assert centre == pytest.approx(((x1 + x2) / 2, (y1 + y2) / 2), abs=0.6)


@pytest.mark.parametrize("size_wh", SIZES_WH)
def test_a_constant_map_stays_constant_on_the_way_back(size_wh):
    values = np.full((20, 20), 0.7, np.float32)

    back = from_letterbox(values, Letterbox.fit(size_wh, 640), size_wh)

    assert back.shape == size_wh[::-1]
    assert np.allclose(back, 0.7)


@given(
    width=st.integers(100, 700),
    height=st.integers(100, 700),
    cells=st.sampled_from([None, Cells(0.5, 16), Cells(14.5, 15)]),
)
def test_a_ramp_comes_back_as_the_same_ramp(width, height, cells):
    """A map that holds the x at which each cell looks must read, at each pixel of the square, that pixel's x."""
    side_px, n_cells = 320, 20
    first_px, step_px = cells or (side_px / n_cells / 2, side_px / n_cells)
    x_of_cell = np.tile(first_px + np.arange(n_cells) * step_px, (n_cells, 1))
    letterbox = Letterbox.fit((width, height), side_px)

    back = from_letterbox(x_of_cell, letterbox, (width, height), cells)

    x_of_pixel = (np.arange(width) + 0.5) * letterbox.to_square.scale_x + letterbox.left
    inner = (x_of_pixel > x_of_cell.min() + 1) & (x_of_pixel < x_of_cell.max() - 1)
    inner[:3] = inner[-3:] = False  # the last resize repeats its edge pixels
    assert np.abs(back[:, inner] - x_of_pixel[inner]).max() < 0.75


def test_where_cells_tile_the_square_a_map_is_spread_as_opencv_resizes():
    values = np.random.default_rng(5).random((7, 9)).astype(np.float32)

    back = from_letterbox(values, Letterbox.fit((224, 224), 224), (224, 224))

    np.testing.assert_allclose(back, cv2.resize(values, (224, 224), interpolation=cv2.INTER_LINEAR), atol=1e-6)


def test_a_map_out_of_the_padding_does_not_come_back():
    letterbox = Letterbox.fit((400, 100), 320)
    values = np.zeros((20, 20), np.float32)
    values[:4] = 9  # above the picture, in the padding
    values[-4:] = 9

    assert from_letterbox(values, letterbox, (400, 100)).max() == 0


def test_values_never_leave_their_range():
    values = np.random.default_rng(3).random((7, 7)).astype(np.float32)

    back = from_letterbox(values, Letterbox.fit((333, 500), 224), (333, 500))

    assert back.min() >= values.min()
    assert back.max() <= values.max()


def test_boxes_and_pixels_speak_of_one_frame():
    letterbox = Letterbox.fit((300, 200), 640)

    whole = letterbox.to_square.apply(np.array([[0.0, 0.0, 300.0, 200.0]]))[0]

    assert whole.tolist() == [
        letterbox.left,
        letterbox.top,
        640 - letterbox.left,
        letterbox.top + letterbox.inner_wh[1],
    ]
    assert as_xyxy([]).shape == (0, 4)


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((200, 300), np.uint8), np.zeros((300, 200), np.uint16), np.zeros((300, 200, 1), np.uint8)],
    ids=["exchanged-axes", "uint16", "three-axes"],
)
def test_pixels_of_another_frame_or_type_are_a_value_error(pixels):
    with pytest.raises(ValueError, match="pixels"):
        letterbox_pixels(pixels, Letterbox.fit((200, 300), 64))


def test_a_map_for_another_radiograph_is_a_value_error():
    with pytest.raises(ValueError, match="fitted to"):
        from_letterbox(np.zeros((5, 5)), Letterbox.fit((200, 300), 64), (300, 200))
    with pytest.raises(ValueError, match=r"\(h, w\)"):
        from_letterbox(np.zeros((0, 5)), Letterbox.fit((200, 300), 64), (200, 300))
