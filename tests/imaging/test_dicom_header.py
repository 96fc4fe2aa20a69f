"""What a DICOM header must say before a pixel is looked at. Each refusal has its code."""

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from boxray.core.errors import InputError
from boxray.imaging.read import decode


def refusal(data: bytes) -> InputError:
    with pytest.raises(InputError) as caught:
        decode(data, check_polarity=False)
    return caught.value


@pytest.fixture(scope="module")
def values(chest):
    return np.round(chest() * 4095).astype(np.uint16)


def meta_replaced(data: bytes, transfer_syntax: str) -> bytes:
    """The file with another transfer syntax in its file meta, or with none."""
    at = data.index(b"\x02\x00\x10\x00UI")
    (length,) = struct.unpack_from("<H", data, at + 6)
    value = transfer_syntax.encode() + b"\x00" * (len(transfer_syntax) % 2)
    element = data[at : at + 6] + struct.pack("<H", len(value)) + value if value else b""
    return data[:at] + element + data[at + 8 + length :]


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        pytest.param({"SOPClassUID": None}, "dicom.missing_required", id="A2-no-SOPClassUID"),
        pytest.param({"Rows": None}, "dicom.missing_required", id="A2-no-Rows"),
        pytest.param({"Columns": None}, "dicom.missing_required", id="A2-no-Columns"),
        pytest.param({"BitsStored": None}, "dicom.missing_required", id="A2-no-BitsStored"),
        pytest.param({"PixelRepresentation": None}, "dicom.missing_required", id="A2-no-PixelRepresentation"),
        pytest.param({"PixelData": None}, "dicom.missing_required", id="A2-no-PixelData"),
        pytest.param({"PhotometricInterpretation": None}, "dicom.photometric_unknown", id="A7-missing"),
        pytest.param({"PhotometricInterpretation": ""}, "dicom.photometric_unknown", id="A7-empty"),
        pytest.param({"PhotometricInterpretation": "MONOCHROME3"}, "dicom.photometric_unknown", id="A7-unknown"),
        pytest.param({"RescaleSlope": "0", "RescaleIntercept": "0"}, "dicom.rescale_invalid", id="A11-slope-0"),
        pytest.param({"RescaleSlope": "nan"}, "dicom.rescale_invalid", id="A11-slope-NaN"),
        pytest.param({"RescaleIntercept": "inf"}, "dicom.rescale_invalid", id="A11-intercept-infinite"),
        pytest.param({"BitsStored": 0}, "dicom.bits_invalid", id="A12-no-bit-stored"),
        pytest.param({"BitsStored": 17}, "dicom.bits_invalid", id="A12-more-stored-than-allocated"),
        pytest.param({"HighBit": 16}, "dicom.bits_invalid", id="A12-high-bit-outside"),
        pytest.param({"HighBit": 3}, "dicom.bits_invalid", id="A12-high-bit-below-the-lowest"),
        pytest.param({"BitsAllocated": 12}, "dicom.bits_invalid", id="A12-twelve-bits-allocated"),
        pytest.param({"BitsAllocated": 32}, "dicom.bits_invalid", id="A12-32-bits-allocated"),
        pytest.param({"PixelRepresentation": 2}, "dicom.bits_invalid", id="A12-neither-signed-nor-unsigned"),
        pytest.param({"NumberOfFrames": "2"}, "dicom.multiframe", id="A14-two-frames"),
        pytest.param({"NumberOfFrames": "120"}, "dicom.multiframe", id="A14-fluoroscopy"),
        pytest.param({"Rows": 9000, "Columns": 9000}, "image.too_many_pixels", id="A19-81-megapixels"),
        pytest.param({"NumberOfFrames": "100000"}, "image.too_many_pixels", id="A19-frames-count-too"),
        pytest.param({"Rows": 60000}, "dicom.pixels_truncated", id="A20-huge-rows-and-few-pixels"),
        pytest.param({"Rows": 0}, "dicom.malformed", id="A20-no-row"),
        pytest.param({"Rows": 255}, "image.too_small", id="B11-too-few-rows"),
        pytest.param({"PresentationIntentType": "FOR PROCESSING"}, "dicom.for_processing", id="A21-for-processing"),
        pytest.param({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1.1"}, "dicom.for_processing", id="A21-its-SOP-class"),
        pytest.param({"BodyPartExamined": "HAND"}, "scope.not_chest", id="C3-hand"),
        pytest.param({"BodyPartExamined": "ABDOMEN"}, "scope.not_chest", id="C3-abdomen"),
        pytest.param({"ViewPosition": "LL"}, "scope.not_chest", id="C2-left-lateral"),
        pytest.param({"ViewPosition": "LATERAL"}, "scope.not_chest", id="C2-lateral"),
        pytest.param({"Modality": "MR"}, "scope.not_chest", id="C3-magnetic-resonance"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom, writing what no device should
def test_a_header_that_cannot_be_answered_is_refused_with_its_own_code(dicom_file, values, attributes, code):
    error = refusal(dicom_file(values, **attributes))

    assert error.code.name == code
    assert "ZZCANARY" not in error.reason


def test_a_modality_that_is_none_of_a_radiograph_is_named_beside_those_that_are(dicom_file, values):
    assert (
        refusal(dicom_file(values, Modality="CT")).reason == "the header's Modality is CT; a radiograph's is DX or CR"
    )


def test_a_modality_that_is_no_code_of_the_standard_is_neither_refused_nor_told(dicom_file, values):
    rad = decode(dicom_file(values, Modality="CANARY JANE"))

    assert "CANARY" not in repr(rad.notes)


@pytest.mark.parametrize("element", [0x0002, 0x0010, 0x0011, 0x0100, 0x0101, 0x0102, 0x0103])
def test_nothing_that_describes_the_pixels_is_made_up_a2(dicom_file, values, element):
    data, tag = dicom_file(values), struct.pack("<HH", 0x0028, element) + b"US"
    assert data.count(tag) == 1

    without = data.replace(tag, struct.pack("<HH", 0x0028, 0x0FFF) + b"US")

    assert refusal(without).code.name == "dicom.missing_required"


@pytest.mark.parametrize("lines", [1, 128, 255])
def test_missing_lines_of_pixels_are_never_filled_in_a1(dicom_file, values, lines):
    data = dicom_file(values)

    assert refusal(data[: -lines * 512]).code.name in ("dicom.pixels_truncated", "dicom.length_invalid")


def test_pixel_data_shorter_than_the_header_announces_are_truncated_a1(dicom_file, values):
    assert refusal(dicom_file(values, PixelData=values.tobytes()[:-2])).code.name == "dicom.pixels_truncated"


def test_a_header_cut_anywhere_is_refused_a2(dicom_file, values):
    data = dicom_file(values)
    pixels_at = data.index(b"\xe0\x7f\x10\x00OW")

    codes = {refusal(data[:cut]).code.name for cut in range(132, pixels_at + 12, 7)}

    assert codes <= {
        "dicom.missing_required",
        "dicom.no_transfer_syntax",
        "dicom.length_invalid",
        "dicom.photometric_unknown",
        "dicom.pixels_truncated",
        "dicom.malformed",
    }
    assert "dicom.missing_required" in codes


def test_an_element_longer_than_the_file_is_refused_a3(dicom_file, values):
    few_pixels = values[:, :20]  # so that the 16-bit length of a comment reaches beyond them
    data = dicom_file(few_pixels, ImageComments="x" * 16)
    at = data.index(b"x" * 16)

    error = refusal(data[: at - 2] + struct.pack("<H", 0xFFFF) + data[at:])

    assert error.code.name == "dicom.length_invalid"


def test_an_absurd_length_in_the_file_meta_is_refused_a3(dicom_file, values):
    data = bytearray(dicom_file(values))
    at = data.index(b"\x02\x00\x01\x00OB")  # file meta information version
    data[at + 8 : at + 12] = struct.pack("<I", 0xFFFFFFF0)

    assert refusal(bytes(data)).code.name == "dicom.length_invalid"


def test_an_absurd_length_allocates_nothing_a3(dicom_file, values):
    data = bytearray(dicom_file(values))
    at = data.index(b"\xe0\x7f\x10\x00OW")
    data[at + 8 : at + 12] = struct.pack("<I", 0xFFFFFFFE)
    tracemalloc.start()

    error = refusal(bytes(data))

    assert error.code.name == "dicom.pixels_truncated"
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


def test_sequences_nested_five_thousand_deep_are_refused_a4(dicom_file, values):
    data = dicom_file(values)
    at = data.index(b"\x28\x00\x02\x00US")  # in front of SamplesPerPixel
    tag = b"\x08\x00\x40\x11SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    end = b"\xfe\xff\x0d\xe0\x00\x00\x00\x00\xfe\xff\xdd\xe0\x00\x00\x00\x00"

    error = refusal(data[:at] + tag * 5000 + end * 5000 + data[at:])

    assert error.code.name == "dicom.nesting_too_deep"


def test_no_transfer_syntax_is_refused_a6(dicom_file, values):
    assert refusal(meta_replaced(dicom_file(values), "")).code.name == "dicom.no_transfer_syntax"


def test_a_deflate_bomb_is_refused_before_it_unfolds_a18(dicom_file, values):
    data = dicom_file(values)
    at = data.index(b"\x08\x00\x16\x00UI")
    meta = meta_replaced(data[:at], "1.2.840.10008.1.2.1.99")
    packer = zlib.compressobj(9, wbits=-15)
    bomb = packer.compress(data[at:]) + packer.compress(bytes(50_000_000)) + packer.flush()
    tracemalloc.start()

    error = refusal(meta + bomb)

    assert error.code.name == "dicom.transfer_syntax_off"
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()


@pytest.mark.parametrize(
    "transfer_syntax",
    [
        pytest.param("1.2.840.10008.1.2.4.102", id="A16-MPEG-4"),
        pytest.param("1.2.840.10008.1.2.4.110", id="A16-JPEG-XL"),
        pytest.param("1.2.826.0.1.3680043.10.1", id="A16-private"),
    ],
)
def test_transfer_syntaxes_outside_the_list_are_switched_off(dicom_file, values, transfer_syntax):
    error = refusal(meta_replaced(dicom_file(values), transfer_syntax))

    assert error.code.name == "dicom.transfer_syntax_off"


@pytest.mark.parametrize(
    ("attributes", "spacing_mm"),
    [
        pytest.param({}, None, id="A22-none"),
        pytest.param({"PixelSpacing": ["0.2", "0.1"]}, (0.1, 0.2), id="A22-rows-come-first"),
        pytest.param({"ImagerPixelSpacing": ["0.2", "0.2"]}, (0.2, 0.2), id="A22-at-the-detector"),
        pytest.param({"PixelSpacing": ["0", "0"]}, None, id="A22-zero"),
        pytest.param(
            {"PixelSpacing": ["0", "0"], "ImagerPixelSpacing": ["0.1", "0.1"]}, (0.1, 0.1), id="A22-next-best"
        ),
        pytest.param({"PixelSpacing": ["-0.1", "0.1"]}, None, id="A22-negative"),
        pytest.param({"PixelSpacing": ["nan", "0.1"]}, None, id="A22-NaN"),
        pytest.param({"PixelSpacing": ["0.1"]}, None, id="A22-only-one"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_millimetres_are_given_only_where_they_are_valid(dicom_file, values, attributes, spacing_mm):
    assert decode(dicom_file(values, **attributes)).spacing_mm == spacing_mm


@pytest.mark.parametrize(
    ("position", "view"), [("PA", "PA"), ("AP", "AP"), ("", None), ("LLD", None), ("see comment", None)]
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_view_is_what_the_file_says_and_never_guessed(dicom_file, values, position, view):
    assert decode(dicom_file(values, ViewPosition=position)).view == view


@pytest.mark.parametrize("part", ["CHEST", "Thorax", "", "CHEST_TO_ABDOMEN", "PORT CHEST"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_body_parts_that_may_be_a_chest_are_read(dicom_file, values, part):
    assert decode(dicom_file(values, BodyPartExamined=part)).size_wh == (256, 256)


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        pytest.param("ISO_IR 192", "山田^太郎".encode(), id="A23-utf-8"),
        pytest.param("ISO 2022 IR 87", b"Yamada\x1b$B;3ED\x1b(B", id="A23-iso-2022"),
        pytest.param("ISO_IR 100", "😀^smile".encode(), id="A23-emoji-that-lies"),
        pytest.param("NO SUCH SET", b"\xff\xfe\x80", id="A23-unknown-set"),
        pytest.param("ISO_IR 192", b"<script>alert(1)</script>", id="A25-markup"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_names_and_character_sets_never_touch_the_pixels(dicom_dataset, as_file, values, charset, name):
    ds = dicom_dataset(values)
    plain = decode(as_file(ds))
    placeholder, charset_there = "Q" * (len(name) + len(name) % 2), "ISO_IR 6".ljust(16)
    ds.SpecificCharacterSet, ds.PatientName = charset_there, placeholder
    odd = as_file(ds).replace(placeholder.encode(), name.ljust(len(placeholder)))
    odd = odd.replace(charset_there.encode(), charset.encode().ljust(16))
    assert name in odd

    rad = decode(odd)

    assert np.array_equal(rad.pixels, plain.pixels)
    assert not any("script" in note for note in rad.notes)


def test_a_program_in_the_preamble_is_not_looked_at_a24(dicom_file, values):
    data = dicom_file(values)

    rad = decode(b"MZ\x90\x00" + b"\xcc" * 124 + data[128:])

    assert np.array_equal(rad.pixels, decode(data).pixels)


def test_a_report_without_pixels_is_refused(as_file, dicom_dataset, values):
    ds = dicom_dataset(values)
    report = Dataset()
    report.file_meta = ds.file_meta
    report.SOPClassUID, report.Modality, report.PatientName = "1.2.840.10008.5.1.4.1.1.88.11", "SR", "ZZ"
    report.SOPInstanceUID = ds.SOPInstanceUID

    assert refusal(as_file(report)).code.name == "dicom.missing_required"


def test_a_file_without_the_prefix_is_never_forced_a5(dicom_file, values):
    assert refusal(dicom_file(values)[132:]).code.name == "input.not_supported"


def test_pydicom_is_as_lenient_as_these_tests_assume(dicom_file, values):
    cut = dicom_file(values)[:400]

    ds = pydicom.dcmread(io.BytesIO(cut), force=False)

    assert "Rows" not in ds  # and no exception: our own look at the header is needed
