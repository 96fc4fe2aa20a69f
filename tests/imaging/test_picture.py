"""PNG and JPEG files: which shades come out, and what is turned away."""

import io
import struct
import zlib

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest

from boxray.core.errors import InputError
from boxray.core.radiograph import Radiograph
from boxray.imaging.read import decode

IMAGE_HW = (300, 280)


def refusal_code(data: bytes) -> str:
    with pytest.raises(InputError) as refusal:
        decode(data, check_polarity=False)
    return refusal.value.code.name


@pytest.fixture(scope="module")
def grey(chest):
    return np.round(chest(*IMAGE_HW) * 255).astype(np.uint8)


def test_an_8_bit_png_gives_its_values_over_255(as_picture, grey):
    rad = decode(as_picture(grey))

    assert rad.size_wh == (280, 300)
    assert np.array_equal(np.round(rad.pixels * 255), grey)
    assert rad.spacing_mm is None
    assert rad.view is None
    assert rad.padded is None


def test_a_grey_jpeg_gives_what_pillow_decodes(as_picture, grey):
    data = as_picture(grey, ".jpg")

    reference = np.asarray(PIL.Image.open(io.BytesIO(data)))

    assert np.abs(decode(data).pixels * 255 - reference).max() <= 1


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_a_16_bit_png_is_scaled_by_the_bits_that_it_uses_b2(as_picture, chest, bits):
    values = np.round(chest() * (2**bits - 1)).astype(np.uint16)

    rad = decode(as_picture(values))

    assert rad.pixels.max() == 1
    assert np.allclose(rad.pixels, values / (2**bits - 1), atol=1e-6)
    assert any(f"{bits} bits" in note for note in rad.notes)


@pytest.mark.parametrize(
    ("declared_bits", "largest", "white"),
    [
        pytest.param(12, 3000, 4095, id="B2-left-as-they-were"),
        pytest.param(12, 60000, 65535, id="B2-scaled-up-as-the-specification-says"),
        pytest.param(16, 3000, 65535, id="B2-a-dark-picture-of-all-16-bits"),
    ],
)
def test_declared_significant_bits_decide_what_white_is(as_picture, with_chunk, chest, declared_bits, largest, white):
    values = np.round(chest() * largest).astype(np.uint16)

    rad = decode(with_chunk(as_picture(values), b"sBIT", bytes([declared_bits])))

    assert np.allclose(rad.pixels, values / white, atol=1e-6)


@pytest.mark.parametrize("suffix", [pytest.param(".png", id="B3-png"), pytest.param(".jpg", id="B3-jpeg")])
def test_equal_colour_channels_count_as_grey(as_picture, grey, suffix):
    one, three = as_picture(grey, suffix), as_picture(np.dstack([grey] * 3), suffix)

    assert np.abs(decode(three).pixels - decode(one).pixels).max() <= 1.01 / 255


def test_an_opaque_alpha_channel_is_dropped_b3(as_picture, grey):
    opaque = np.dstack([grey, grey, grey, np.full_like(grey, 255)])

    assert np.array_equal(np.round(decode(as_picture(opaque)).pixels * 255), grey)


def test_a_palette_of_greys_is_read_and_one_of_colours_is_not_b3(raw_png, grey):
    rows = b"".join(b"\x00" + row.tobytes() for row in grey)
    greys = bytes(np.repeat(np.arange(256, dtype=np.uint8), 3))
    colours = bytes(np.repeat(np.arange(256, dtype=np.uint8), 3) ^ np.tile([0, 0, 255], 256).astype(np.uint8))

    rad = decode(raw_png(280, 300, 8, 3, rows, (b"PLTE", greys)))

    assert np.array_equal(np.round(rad.pixels * 255), grey)
    assert refusal_code(raw_png(280, 300, 8, 3, rows, (b"PLTE", colours))) == "image.colour"


def test_grey_with_alpha_is_read_only_where_opaque_b3(raw_png, grey):
    def file(alpha: int) -> bytes:
        pairs = np.dstack([grey, np.full_like(grey, alpha)])
        return raw_png(280, 300, 8, 4, b"".join(b"\x00" + row.tobytes() for row in pairs))

    assert np.array_equal(np.round(decode(file(255)).pixels * 255), grey)
    assert refusal_code(file(254)) == "image.colour"


def test_one_bit_pixels_are_black_and_white_b3(raw_png, grey):
    bits = grey > 128
    rows = b"".join(b"\x00" + np.packbits(row).tobytes() for row in bits)

    assert np.array_equal(decode(raw_png(280, 300, 1, 0, rows)).pixels == 1, bits)


def _tinted(grey):
    return np.dstack([grey, grey, np.minimum(grey, 240) + 15]).astype(np.uint8)


def _see_through(grey):
    alpha = np.full_like(grey, 255)
    alpha[0, 0] = 0
    return np.dstack([grey, grey, grey, alpha])


def _cmyk(grey):
    stream = io.BytesIO()
    PIL.Image.fromarray(np.dstack([grey] * 4), "CMYK").save(stream, "JPEG")
    return stream.getvalue()


def test_colour_transparency_and_cmyk_are_refused_b3(as_picture, with_chunk, grey):
    assert refusal_code(as_picture(_tinted(grey))) == "image.colour"
    assert refusal_code(as_picture(_tinted(grey), ".jpg")) == "image.colour"
    assert refusal_code(as_picture(_see_through(grey))) == "image.colour"
    assert refusal_code(with_chunk(as_picture(grey), b"tRNS", b"\x00\x05")) == "image.colour"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_cmyk_jpeg_is_refused_b3(grey):
    assert refusal_code(_cmyk(grey)) == "image.colour"


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", [pytest.param(k, id=f"B4-orientation-{k}") for k in range(1, 9)])
def test_exif_orientation_is_applied_once(as_picture, with_chunk, exif, grey, orientation, order):
    png = with_chunk(as_picture(grey), b"eXIf", exif(orientation, order))
    body = b"Exif\x00\x00" + exif(orientation, order)
    jpeg = as_picture(grey, ".jpg")
    jpeg = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]

    for data in (png, jpeg):
        upright = PIL.ImageOps.exif_transpose(PIL.Image.open(io.BytesIO(data)))
        reference = np.asarray(upright)
        rad = decode(data, check_polarity=False)

        assert rad.pixels.shape == reference.shape
        assert np.abs(rad.pixels * 255 - reference).max() <= 1


def test_exif_data_that_make_no_sense_turn_nothing_b4(as_picture, with_chunk, exif, grey):
    for body in (b"", b"II*\x00", b"II*\x00\xff\xff\xff\xff", exif(9), exif(0), exif(6)[:-8]):
        rad = decode(with_chunk(as_picture(grey), b"eXIf", body))

        assert np.array_equal(np.round(rad.pixels * 255), grey)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_bytes_behind_the_end_change_nothing_and_the_file_stays_as_it_is_b5(tmp_path, as_picture, grey, suffix):
    data = as_picture(grey, suffix)
    path = tmp_path / f"trailing{suffix}"
    path.write_bytes(data + b"\x00garbage\xff" * 9)
    before = path.read_bytes()

    rad = decode(path.read_bytes())

    assert np.array_equal(rad.pixels, decode(data).pixels)
    assert path.read_bytes() == before


@pytest.mark.parametrize("kept", [0.3, 0.7, 0.95])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_picture_that_ends_early_is_truncated_b6(as_picture, grey, suffix, kept):
    data = as_picture(grey, suffix)

    assert refusal_code(data[: int(len(data) * kept)]) == "image.truncated"


def test_a_jpeg_without_its_end_marker_is_truncated_b6(as_picture, grey):
    assert refusal_code(as_picture(grey, ".jpg")[:-2]) == "image.truncated"


def test_a_png_with_a_flipped_bit_is_truncated_b6(as_picture, grey):
    data = bytearray(as_picture(grey))
    data[len(data) // 2] ^= 1

    assert refusal_code(bytes(data)) == "image.truncated"


def test_a_png_whose_pixels_end_early_inside_valid_chunks_is_refused_b6(raw_png, grey):
    rows = b"".join(b"\x00" + row.tobytes() for row in grey)

    assert refusal_code(raw_png(280, 300, 8, 0, rows[: len(rows) // 2])) in (
        "image.truncated",
        "image.decode_failed",
    )


@pytest.mark.parametrize(("width", "height"), [(14_000, 14_000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_a_bomb_is_refused_by_its_header_b1(raw_png, width, height):
    data = raw_png(width, height, 8, 0, b"\x00" * 100_000)

    assert refusal_code(data) == "image.too_many_pixels"


def test_a_jpeg_bomb_is_refused_by_its_header_b1(as_picture, grey):
    data = as_picture(grey, ".jpg")
    at = data.index(b"\xff\xc0") + 5
    bomb = data[:at] + struct.pack(">HH", 65_000, 65_000) + data[at + 4 :]

    assert refusal_code(bomb) == "image.too_many_pixels"


@pytest.mark.parametrize(
    ("height", "width"),
    [
        pytest.param(255, 400, id="B11-a-side-of-255"),
        pytest.param(1, 1, id="B11-one-pixel"),
        pytest.param(300, 1201, id="B11-a-strip"),
    ],
)
def test_a_picture_that_is_too_small_or_too_narrow_is_refused(as_picture, chest, height, width):
    picture = np.round(chest(max(height, 2), max(width, 2))[:height, :width] * 255).astype(np.uint8)

    assert refusal_code(as_picture(picture)) == "image.too_small"


@pytest.mark.parametrize(("height", "width"), [(256, 256), (300, 1200)])
def test_the_smallest_and_the_narrowest_allowed_are_read_b11(as_picture, chest, height, width):
    rad = decode(as_picture(np.round(chest(height, width) * 255).astype(np.uint8)))

    assert rad.size_wh == (width, height)


def test_a_constant_picture_is_blank(as_picture):
    assert refusal_code(as_picture(np.full((300, 300), 7, np.uint8))) == "quality.blank"


def test_a_lossless_jpeg_outside_dicom_is_not_supported(as_picture, grey):
    data = as_picture(grey, ".jpg").replace(b"\xff\xc0\x00\x0b\x08", b"\xff\xc3\x00\x0b\x08")

    assert refusal_code(data) == "input.not_supported"


@pytest.mark.parametrize(
    "pixels",
    [
        pytest.param(np.full((300, 300), np.nan, np.float32), id="B8-nan"),
        pytest.param(np.full((300, 300), np.inf, np.float32), id="B8-infinite"),
        pytest.param(np.full((300, 300), 300, np.uint16), id="B8-uint16"),
        pytest.param(np.zeros((300, 300, 3), np.float32), id="B8-three-axes"),
        pytest.param(np.full((300, 300), 255, np.float32), id="B8-above-one"),
    ],
)
def test_an_array_of_other_values_is_no_radiograph(pixels):
    with pytest.raises(InputError) as refusal:
        Radiograph(pixels)

    assert refusal.value.code.name == "image.values_invalid"


def test_pixel_data_that_is_rubbish_is_refused_and_not_shown(as_picture, grey):
    png = as_picture(grey)
    rubbish = struct.pack(">I", 4) + b"IDAT" + b"abcd" + struct.pack(">I", zlib.crc32(b"IDATabcd"))

    assert refusal_code(png[:33] + rubbish + png[-12:]) == "image.decode_failed"
