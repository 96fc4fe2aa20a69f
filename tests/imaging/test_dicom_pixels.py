"""Stored values: which bits count, which codec decodes, and what is missing is never filled in."""

import io
import json
import struct
import subprocess
import sys

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.pixels import pixel_array
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, JPEGLSLossless, RLELossless

from boxray.core.errors import InputError
from boxray.imaging import dicom_pixels
from boxray.imaging.dicom_header import PLUGINS, read_header
from boxray.imaging.dicom_pixels import stored_values
from boxray.imaging.read import decode


def stored(data: bytes) -> np.ndarray:
    return stored_values(data, read_header(data, min_side_px=1))


def refusal_code(data: bytes) -> str:
    with pytest.raises(InputError) as refusal:
        decode(data, check_polarity=False)
    return refusal.value.code.name


@pytest.fixture(scope="module")
def values(chest):
    return np.round(chest() * 4095).astype(np.uint16)


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("bits", [pytest.param(k, id=f"A12-{k}-bits") for k in (8, 10, 12, 14, 16)])
def test_every_depth_and_sign_comes_back_as_written(dicom_file, grid, bits, signed):
    written = grid(bits, lowest=-(2 ** (bits - 1)) if signed else 0)

    assert np.array_equal(stored(dicom_file(written, bits=bits, signed=signed)), written)


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("high_bit", [pytest.param(k, id=f"A12-high-bit-{k}") for k in (11, 12, 15)])
def test_bits_outside_the_value_are_masked(dicom_file, grid, high_bit, signed):
    written = grid(12, lowest=-2048 if signed else 0)
    shift = high_bit - 11
    words = (written.astype(np.int64) & 0x0FFF) << shift
    overlay = np.random.default_rng(1).integers(0, 2**16, written.shape) & ~(0x0FFF << shift)

    data = dicom_file(written, signed=signed, HighBit=high_bit, PixelData=(words | overlay).astype("<u2").tobytes())

    assert np.array_equal(stored(data), written)


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("transfer_syntax", [JPEG2000Lossless, JPEGLSLossless, RLELossless])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_lossless_compression_changes_no_value_a16(dicom_dataset, as_file, grid, transfer_syntax, bits, signed):
    written = grid(bits, lowest=-(2 ** (bits - 1)) if signed else 0)
    ds = dicom_dataset(written, bits=bits, signed=signed)
    ds.compress(transfer_syntax)

    assert np.array_equal(stored(as_file(ds)), written)


def test_jpeg_baseline_comes_back_nearly_as_written_a16(encapsulated, as_picture, chest):
    written = np.round(chest() * 255).astype(np.uint8)

    data = encapsulated(as_picture(written, ".jpg", 1, 98), JPEGBaseline8Bit, written, bits=8)

    assert np.abs(stored(data).astype(int) - written).max() <= 12
    assert np.abs(stored(data).astype(int) - written).mean() < 1


BUNDLED = [
    "CT_small.dcm",
    "MR_small.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_implicit.dcm",
    "MR_small_RLE.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "JPGExtended.dcm",
    "JPEGLSNearLossless_08.dcm",
    "JPEGLSNearLossless_16.dcm",
    "JPEG2000.dcm",
    "J2K_pixelrep_mismatch.dcm",
    "693_J2KI.dcm",
]
"""pydicom's own files, grey ones of every kind of transfer syntax."""


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", [pytest.param(name, id=f"A16-{name}") for name in BUNDLED])
def test_bundled_files_decode_to_what_pydicom_makes_of_them(name, monkeypatch):
    monkeypatch.setattr("boxray.imaging.limits.MAX_ASPECT", 10)  # two of them are strips
    ds = pydicom.dcmread(get_testdata_file(name, download=False))
    data = _in_scope(ds)

    reference = pixel_array(
        pydicom.dcmread(io.BytesIO(data)), decoding_plugin=PLUGINS[ds.file_meta.TransferSyntaxUID] or ""
    )

    assert np.array_equal(stored(data), reference)


def _in_scope(ds) -> bytes:
    """The same pixels under a header that says chest."""
    ds.Modality, ds.BodyPartExamined, ds.ViewPosition = "CR", "CHEST", "PA"
    ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, ds)
    return stream.getvalue()


@pytest.mark.parametrize("kept", [0.2, 0.6, 0.95])
@pytest.mark.parametrize("transfer_syntax", [JPEG2000Lossless, JPEGLSLossless, RLELossless])
def test_compressed_pixels_cut_off_are_never_filled_in_a1(dicom_dataset, as_file, values, transfer_syntax, kept):
    ds = dicom_dataset(values)
    ds.compress(transfer_syntax)
    data = as_file(ds)
    at = data.index(b"\xe0\x7f\x10\x00OB")

    assert refusal_code(data[: at + int((len(data) - at) * kept)]) == "dicom.pixels_truncated"


def test_a_codestream_that_announces_another_size_is_refused_before_decoding_a19(
    dicom_dataset, as_file, encapsulated, values
):
    ds = dicom_dataset(values)
    ds.compress(JPEG2000Lossless)
    data = as_file(ds)
    at = data.index(b"\xff\x4f\xff\x51") + 8
    bomb = data[:at] + struct.pack(">II", 32768, 32768) + data[at + 8 :]

    assert refusal_code(bomb) == "dicom.decode_failed"


def test_a_jpeg_of_another_size_is_refused_a19(encapsulated, as_picture, values):
    small = as_picture((values[:128, :128] >> 4).astype(np.uint8), ".jpg")

    data = encapsulated(small, JPEGBaseline8Bit, values >> 4, bits=8)

    assert refusal_code(data) == "dicom.decode_failed"


@pytest.mark.parametrize("transfer_syntax", sorted(k for k, plugin in PLUGINS.items() if plugin))
def test_a_codestream_of_rubbish_is_refused_by_the_one_named_plugin_a16(
    encapsulated, values, transfer_syntax, monkeypatch
):
    monkeypatch.setattr("PIL.Image.open", _never)

    code = refusal_code(encapsulated(b"\x01rubbish" * 40, transfer_syntax, values))

    assert code == "dicom.decode_failed"


def _never(*_args, **_kwargs):
    raise AssertionError("Pillow was reached")


def test_every_transfer_syntax_has_a_decoder_and_none_is_pillow_a16(encapsulated, values):
    assert set(PLUGINS.values()) == {None, "pylibjpeg", "pyjpegls", "pydicom"}
    for uid, plugin in PLUGINS.items():
        if plugin is not None:
            assert plugin in dicom_pixels.get_decoder(uid).available_plugins


def test_a_missing_decoder_is_a_failure_of_ours_that_names_what_to_install_a16(
    dicom_dataset, as_file, values, monkeypatch
):
    ds = dicom_dataset(values)
    ds.compress(JPEGLSLossless)
    monkeypatch.setitem(PLUGINS, str(JPEGLSLossless), "not-installed")

    with pytest.raises(InputError, match="pip install") as failure:
        decode(as_file(ds))

    assert failure.value.code.name == "dicom.decoder_missing"
    assert failure.value.code.http == 501


@pytest.mark.parametrize("planar", [0, 1])
def test_equal_channels_are_grey_and_others_are_colour_a15(dicom_file, chest, planar):
    grey = np.round(chest() * 255).astype(np.uint8)
    pixels = np.dstack([grey] * 3)
    laid_out = pixels.transpose(2, 0, 1) if planar else pixels
    rgb = {"bits": 8, "photometric": "RGB", "PlanarConfiguration": planar}

    assert np.array_equal(stored(dicom_file(pixels, PixelData=laid_out.tobytes(), **rgb)), grey)

    tinted = pixels.copy()
    tinted[:, :, 2] //= 2
    laid_out = tinted.transpose(2, 0, 1) if planar else tinted
    assert refusal_code(dicom_file(tinted, PixelData=laid_out.tobytes(), **rgb)) == "dicom.colour"


@pytest.mark.parametrize("channel", [0, 2], ids=["red", "blue"])
def test_one_pixel_that_jpeg_cannot_have_moved_makes_a_picture_coloured_a15(dicom_file, chest, channel):
    pixels = np.dstack([np.round(chest() * 200).astype(np.uint8)] * 3)

    pixels[100, 100, channel] += 4
    decode(dicom_file(pixels, bits=8, photometric="RGB"), check_polarity=False)
    pixels[100, 100, channel] += 1
    assert refusal_code(dicom_file(pixels, bits=8, photometric="RGB")) == "dicom.colour"


def test_a_palette_of_greys_is_grey_and_one_of_colours_is_colour_a15(dicom_file, chest):
    values = np.round(chest() * 255).astype(np.uint8)
    ramp = (np.arange(256) * 257).astype("<u2").tobytes()
    palette = {
        f"{colour}PaletteColorLookupTable{part}": value
        for colour in ("Red", "Green", "Blue")
        for part, value in (("Descriptor", [256, 0, 16]), ("Data", ramp))
    }
    flat = {**palette, "BluePaletteColorLookupTableData": bytes(512)}

    assert np.array_equal(stored(dicom_file(values, bits=8, photometric="PALETTE COLOR", **palette)), values)
    assert refusal_code(dicom_file(values, bits=8, photometric="PALETTE COLOR", **flat)) == "dicom.colour"
    assert refusal_code(dicom_file(values, bits=8, photometric="PALETTE COLOR")) == "dicom.colour"


@pytest.mark.parametrize(
    ("bits", "signed"), [(4, False), (8, False), (16, False), (8, True)], ids=["4", "8", "16", "8 signed"]
)
def test_a_palette_makes_the_same_shades_whatever_numbers_stand_for_them(dicom_file, chest, bits, signed):
    first = -8 if signed else 0
    numbers = np.round(chest() * 15).astype(np.int64) + first
    shades = np.round(np.linspace(20, 230, 16)).astype(np.uint8)
    palette = {
        f"{colour}PaletteColorLookupTable{part}": value
        for colour in ("Red", "Green", "Blue")
        for part, value in (("Descriptor", [16, first, 8]), ("Data", shades.tobytes()))
    }

    rad = decode(
        dicom_file(numbers, bits=bits, signed=signed, photometric="PALETTE COLOR", **palette), check_polarity=False
    )

    assert np.array_equal(np.round(rad.pixels * 255), shades[numbers - first])


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, that it found another encoding
def test_what_is_written_explicitly_is_read_though_its_file_says_implicitly(dicom_file, values):
    claims = dicom_file(values)
    explicit, implicit = b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2\0\0\0"
    assert claims.count(explicit) == 1

    assert np.array_equal(stored(claims.replace(explicit, implicit)), values)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_coloured_jpeg_inside_dicom_is_colour_a15(encapsulated, as_picture, chest):
    grey = np.round(chest() * 255).astype(np.uint8)
    tinted = np.dstack([grey, grey, grey // 2])

    data = encapsulated(as_picture(tinted, ".jpg"), JPEGBaseline8Bit, tinted, bits=8, photometric="YBR_FULL_422")

    assert refusal_code(data) == "dicom.colour"


def test_big_endian_8_bit_words_are_swapped(dicom_dataset, grid):
    written = grid(8).astype(np.uint8)
    ds = dicom_dataset(written, bits=8)
    ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.2"
    ds.PixelData = written.reshape(-1, 2)[:, ::-1].tobytes()
    ds["PixelData"].VR = "OW"
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, ds, enforce_file_format=True)

    assert np.array_equal(stored(stream.getvalue()), written)


def test_decoding_loads_neither_torch_nor_gradio():
    script = (
        "import sys, json; import boxray.imaging.read; "
        "print(json.dumps([name for name in ('torch', 'gradio', 'ultralytics', 'fiftyone') if name in sys.modules]))"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert json.loads(done.stdout) == []
