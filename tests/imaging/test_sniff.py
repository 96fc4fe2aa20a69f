"""Files are known by their bytes; everything but three kinds is turned away before any library sees it."""

import struct
import zlib

import pytest

from boxray.core.errors import InputError
from boxray.imaging.read import decode
from boxray.imaging.sniff import Kind, sniff


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="A5-B7-zero-bytes"),
        pytest.param(b"%PDF-1.7 a report", id="A5-pdf"),
        pytest.param(b"effusion, left" * 20, id="B7-text"),
        pytest.param(b"\x00" * 4096, id="A5-zeros-without-DICM"),
        pytest.param(b"SIMPLE  =                    T" + b" " * 200, id="B9-FITS"),
        pytest.param(b"8BPS\x00\x01" + b"\x00" * 200, id="B9-PSD"),
        pytest.param(b"%!PS-Adobe-3.0 EPSF-3.0\n", id="B9-EPS"),
        pytest.param(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 600, id="B9-FPX"),
        pytest.param(b"II*\x00\x08\x00\x00\x00" + b"\x00" * 200, id="B10-TIFF"),
        pytest.param(b"\x00\x00\x00\x18ftypheic" + b"\x00" * 200, id="B10-HEIC"),
        pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg'/>", id="B10-SVG"),
        pytest.param(b"GIF89a\x01\x00\x01\x00", id="B10-GIF"),
        pytest.param(b"RIFF\x00\x00\x00\x00WEBPVP8 ", id="B10-WEBP"),
        pytest.param(b"BM" + b"\x00" * 200, id="B10-BMP"),
    ],
)
def test_what_is_neither_dicom_nor_png_nor_jpeg_is_not_supported(data):
    with pytest.raises(InputError) as refusal:
        decode(data)

    assert refusal.value.code.name == "input.not_supported"
    assert refusal.value.code.http == 415


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        pytest.param(b"\x00" * 128 + b"DICM", Kind.DICOM, id="plain"),
        pytest.param(b"MZ" + b"\x90" * 126 + b"DICM", Kind.DICOM, id="A24-preamble-of-a-windows-program"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + b"\x00" * 120 + b"DICM", Kind.DICOM, id="A24-preamble-of-a-PNG"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + b"\x00" * 8, Kind.PNG, id="png"),
        pytest.param(b"\xff\xd8\xff\xe0", Kind.JPEG, id="jpeg"),
    ],
)
def test_the_kind_follows_from_the_first_bytes(data, kind):
    assert sniff(data) is kind


def test_a_suffix_means_nothing_a5(tmp_path, as_picture, chest):
    renamed = tmp_path / "radiograph.dcm"
    renamed.write_bytes(as_picture((chest() * 255).astype("u1")))

    assert sniff(renamed.read_bytes()) is Kind.PNG


def test_an_animated_png_is_not_supported_b10(as_picture, with_chunk, chest):
    animated = with_chunk(as_picture((chest() * 255).astype("u1")), b"acTL", struct.pack(">II", 2, 0))

    with pytest.raises(InputError) as refusal:
        decode(animated)

    assert refusal.value.code.name == "input.not_supported"


def test_a_dicomdir_is_not_supported_a26(dicom_dataset, as_file, chest):
    ds = dicom_dataset((chest() * 4095).astype("u2"))
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = "1.2.840.10008.1.3.10"

    with pytest.raises(InputError) as refusal:
        decode(as_file(ds))

    assert refusal.value.code.name == "input.not_supported"


def test_a_gzipped_dicom_file_is_not_unpacked_a18(dicom_file, chest):
    with pytest.raises(InputError, match="none of DICOM"):
        decode(zlib.compress(dicom_file((chest() * 4095).astype("u2"))))
