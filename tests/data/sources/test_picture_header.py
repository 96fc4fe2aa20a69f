"""The size of a picture from its header, against the decoder that makes its pixels."""

import pytest

from boxray.data.sources.picture_header import PictureHeader, read_picture_header, size_of_picture
from boxray.imaging.read import decode
from boxray.imaging.sniff import Kind
from making import write_chest, write_text

TURNED = b"\xff\xe1\x00\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
"""EXIF of orientation 6: to be turned by 90 degrees."""


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "size_wh"),
    [("cr_chest_pa_monochrome1_jpeg2000", (1841, 1955)), ("cr_chest_pa_monochrome2_jpeg", (1024, 1024))],
)
def test_a_dicom_tells_columns_and_rows(shared, name, size_wh):
    path = shared / "data" / "dicom" / f"{name}.dcm"

    assert read_picture_header(path) == PictureHeader(Kind.DICOM, size_wh)


@pytest.mark.parametrize(("name", "kind"), [("a.png", Kind.PNG), ("a.jpg", Kind.JPEG)])
def test_a_picture_has_the_size_that_the_decoder_gives_it(tmp_path, name, kind):
    path = write_chest(tmp_path / name, (320, 256))

    assert read_picture_header(path) == PictureHeader(kind, (320, 256))
    assert decode(path.read_bytes()).pixels.shape == (256, 320)


def test_a_picture_that_the_decoder_turns_upright_has_its_upright_size(tmp_path):
    path = write_chest(tmp_path / "a.jpg", (320, 256))
    data = path.read_bytes()
    path.write_bytes(data[:2] + TURNED + data[2:])

    assert size_of_picture(path) == (256, 320)
    assert decode(path.read_bytes(), check_polarity=False).pixels.shape == (320, 256)


def test_what_is_no_picture_or_is_torn_has_no_size(tmp_path):
    torn = write_chest(tmp_path / "torn.png")
    torn.write_bytes(torn.read_bytes()[:-40])

    assert size_of_picture(torn) is None
    assert size_of_picture(write_text(tmp_path / "a.png", "text")) is None
    assert size_of_picture(tmp_path / "nowhere.png") is None
