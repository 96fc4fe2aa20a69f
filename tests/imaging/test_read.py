"""The only way in: whatever the bytes, a radiograph or a documented refusal comes out."""

import struct
from pathlib import Path

import highdicom
import numpy as np
import PIL.Image
import pydicom
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydicom.pixels import apply_voi_lut, pixel_array

from boxray.core.errors import CODES, InputError
from boxray.core.radiograph import Radiograph
from boxray.imaging.limits import MAX_FILE_BYTES
from boxray.imaging.read import decode, file_content, read_radiograph


def outcome(data: bytes) -> str:
    """``RESULT`` or the code of the refusal; anything else is raised, and fails the test."""
    try:
        rad = decode(data, check_polarity=False)
    except InputError as error:
        return error.code.name if "ZZCANARY" not in error.reason else "a name in a message"
    assert isinstance(rad, Radiograph)
    assert not any("ZZCANARY" in note for note in rad.notes)
    return "RESULT"


class Files(dict):
    """The files by name; hypothesis prints its arguments, and bytes are long."""

    def __repr__(self) -> str:
        return f"Files of {', '.join(self)}"


@pytest.fixture(scope="module")
def files(dicom_file, dicom_dataset, as_file, as_picture, chest):
    """One of each kind that is read."""
    values = np.round(chest() * 4095).astype(int)
    grey = (values >> 4).astype(np.uint8)
    compressed = {}
    for uid in ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.5"):
        ds = dicom_dataset(values)
        ds.compress(uid)
        compressed[uid] = as_file(ds)
    return Files(
        {
            "dicom": dicom_file(values, WindowCenter="2000", WindowWidth="3000", PixelPaddingValue=0),
            "png": as_picture(grey),
            "png-16": as_picture(values.astype(np.uint16)),
            "jpeg": as_picture(grey, ".jpg"),
            **compressed,
        }
    )


def test_all_kinds_read_the_same_with_and_without_the_child(files):
    for data in files.values():
        inside, here = read_radiograph(data), decode(data)

        assert inside.sha256 == here.sha256
        assert inside.notes == here.notes


def test_nothing_changes_when_pillow_may_not_open_anything(files, monkeypatch):
    before = {name: decode(data).sha256 for name, data in files.items()}
    broken = {name: outcome(data[: len(data) // 2]) for name, data in files.items()}

    def never(*_args, **_kwargs):
        raise AssertionError("Pillow was asked to open a file from outside")

    for name in ("open", "frombytes", "frombuffer", "fromarray"):
        monkeypatch.setattr(PIL.Image, name, never)

    assert {name: decode(data).sha256 for name, data in files.items()} == before
    assert {name: read_radiograph(data).sha256 for name, data in files.items()} == before
    assert {name: outcome(data[: len(data) // 2]) for name, data in files.items()} == broken


def test_a_path_and_its_bytes_are_the_same_radiograph(tmp_path, files):
    path = tmp_path / "name without meaning.jpg"
    path.write_bytes(files["dicom"])

    assert read_radiograph(path).sha256 == read_radiograph(files["dicom"]).sha256


@pytest.mark.parametrize(("what", "reason"), [("missing", "there is no such file"), ("folder", "it is a folder")])
def test_what_cannot_be_read_from_disk_is_unreadable_and_its_path_stays_secret(tmp_path, what, reason):
    path = tmp_path / "ZZCANARY.dcm"
    if what == "folder":
        path.mkdir()

    with pytest.raises(InputError) as failure:
        read_radiograph(path)

    assert failure.value.code.name == "input.unreadable"
    assert failure.value.reason == reason
    assert "ZZCANARY" not in failure.value.reason


def test_a_file_above_the_limit_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)

    with pytest.raises(InputError) as refusal:
        file_content(path)

    assert refusal.value.code.name == "input.too_large"
    assert refusal.value.code.http == 413


def test_a_file_without_end_is_refused_once_the_limit_is_read():
    """It says that it holds nothing, as pipes do; so may a file that grows."""
    with pytest.raises(InputError) as refusal:
        file_content(Path("/dev/zero"))

    assert refusal.value.code.name == "input.too_large"


@pytest.mark.parametrize("source", ["a string", None, 7, bytearray(b"x"), np.zeros((4, 4))])
def test_anything_but_bytes_or_a_path_is_a_type_error_b8(source):
    with pytest.raises(TypeError, match="expected bytes or a Path"):
        read_radiograph(source)


def test_a_smaller_side_may_be_allowed(as_picture, chest):
    small = as_picture(np.round(chest(157, 156) * 255).astype(np.uint8))

    assert outcome(small) == "image.too_small"
    assert decode(small, min_side_px=100).size_wh == (156, 157)
    assert read_radiograph(small, min_side_px=100).size_wh == (156, 157)


LONG = (b"OB", b"OW", b"UN", b"SQ", b"UT")

FUZZED = {
    "SOPClassUID": (0x0008, 0x0016),
    "SpecificCharacterSet": (0x0008, 0x0005),
    "Modality": (0x0008, 0x0060),
    "PresentationIntentType": (0x0008, 0x0068),
    "BodyPartExamined": (0x0018, 0x0015),
    "ViewPosition": (0x0018, 0x5101),
    "ImagerPixelSpacing": (0x0018, 0x1164),
    "SamplesPerPixel": (0x0028, 0x0002),
    "PhotometricInterpretation": (0x0028, 0x0004),
    "PlanarConfiguration": (0x0028, 0x0006),
    "NumberOfFrames": (0x0028, 0x0008),
    "Rows": (0x0028, 0x0010),
    "Columns": (0x0028, 0x0011),
    "PixelSpacing": (0x0028, 0x0030),
    "BitsAllocated": (0x0028, 0x0100),
    "BitsStored": (0x0028, 0x0101),
    "HighBit": (0x0028, 0x0102),
    "PixelRepresentation": (0x0028, 0x0103),
    "PixelPaddingValue": (0x0028, 0x0120),
    "PixelPaddingRangeLimit": (0x0028, 0x0121),
    "WindowCenter": (0x0028, 0x1050),
    "WindowWidth": (0x0028, 0x1051),
    "RescaleIntercept": (0x0028, 0x1052),
    "RescaleSlope": (0x0028, 0x1053),
    "VOILUTFunction": (0x0028, 0x1056),
    "ModalityLUTSequence": (0x0028, 0x3000),
    "VOILUTSequence": (0x0028, 0x3010),
    "PresentationLUTShape": (0x2050, 0x0020),
    "PixelData": (0x7FE0, 0x0010),
}

VALUES = st.one_of(
    st.sampled_from(
        [b"", b"nan ", b"inf ", b"-inf", b"1e308 ", b"-1e308", b"0 ", b"-1", b"1\\2\\3 ", b"abc ", b"\\\\\\\\"]
        + [b"MONOCHROME1 ", b"MONOCHROME2 ", b"RGB ", b"YBR_FULL_422", b"INVERSE ", b"SIGMOID ", b"LINEAR"]
        + [struct.pack("<H", number) for number in (0, 1, 2, 3, 7, 8, 9, 15, 16, 32, 256, 4095, 32768, 65535)]
        + [b"\xfe\xff\x00\xe0\xff\xff\xff\xff", b"\xfe\xff\x00\xe0\x08\x00\x00\x00" + b"\x28\x00\x02\x30US\x06\x00"]
    ),
    st.binary(max_size=24).map(lambda value: value + b" " * (len(value) % 2)),
)
VRS = st.sampled_from(
    [b"US", b"SS", b"DS", b"IS", b"CS", b"UI", b"LO", b"FD", b"OW", b"OB", b"UN", b"SQ", b"PN", b"ZZ"]
)
LENGTHS = st.one_of(st.none(), st.sampled_from([0, 1, 7, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF]))
CHANGES = st.dictionaries(
    st.sampled_from(sorted(FUZZED)), st.one_of(st.none(), st.tuples(VRS, VALUES, LENGTHS)), min_size=1, max_size=3
)


def element(tag: tuple[int, int], vr: bytes, value: bytes, length: int | None = None) -> bytes:
    length = len(value) if length is None else length
    if vr in LONG:
        return struct.pack("<HH2sHI", *tag, vr, 0, length) + value
    return struct.pack("<HH2sH", *tag, vr, length & 0xFFFF) + value


def changed_file(pixels: bytes, changes: dict) -> bytes:
    """A small explicit-VR file of our own writing, whose elements may be dropped or say anything."""
    number = struct.Struct("<H").pack
    elements = {
        "SOPClassUID": (b"UI", b"1.2.840.10008.5.1.4.1.1.1\x00", None),
        "Modality": (b"CS", b"CR", None),
        "SamplesPerPixel": (b"US", number(1), None),
        "PhotometricInterpretation": (b"CS", b"MONOCHROME2 ", None),
        "Rows": (b"US", number(256), None),
        "Columns": (b"US", number(256), None),
        "BitsAllocated": (b"US", number(16), None),
        "BitsStored": (b"US", number(12), None),
        "HighBit": (b"US", number(11), None),
        "PixelRepresentation": (b"US", number(0), None),
        "WindowCenter": (b"DS", b"2000", None),
        "WindowWidth": (b"DS", b"3000", None),
        "PixelData": (b"OW", pixels, None),
    }
    for keyword, change in changes.items():
        if change is None:
            elements.pop(keyword, None)
        else:
            elements[keyword] = change
    meta = element((2, 0x10), b"UI", b"1.2.840.10008.1.2.1\x00")
    body = b"".join(element(FUZZED[k], *elements[k]) for k in sorted(elements, key=FUZZED.__getitem__))
    return bytes(128) + b"DICM" + meta + body


@pytest.fixture(scope="module")
def with_changes(chest):
    """Makes the file of a chest with changes to its header. A function, as hypothesis prints its arguments."""
    pixels = np.round(chest() * 4095).astype("<u2").tobytes()
    return lambda changes: changed_file(pixels, changes)


def test_the_unchanged_file_is_read(with_changes):
    assert outcome(with_changes({})) == "RESULT"


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(changes=CHANGES)
@example(changes={"RescaleSlope": (b"DS", b"1e308 ", None)})
@example(changes={"WindowWidth": (b"DS", b"1e-320", None), "VOILUTFunction": (b"CS", b"LINEAR_EXACT", None)})
@example(changes={"Rows": (b"DS", b"256.5 ", None)})
@example(changes={"PixelPaddingValue": (b"FD", struct.pack("<d", float("nan")), None)})
@example(changes={"VOILUTSequence": (b"SQ", b"\xfe\xff\x00\xe0\x00\x00\x00\x00", None)})
def test_a_header_that_says_anything_gives_a_radiograph_or_a_documented_refusal(with_changes, changes):
    assert outcome(with_changes(changes)) in {"RESULT", *CODES}


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_flipped_bytes_anywhere_give_a_radiograph_or_a_documented_refusal(files, data):
    # Compressed streams are left to the child: a codec may die of them, and may do so only there.
    name = data.draw(st.sampled_from(["dicom", "png", "png-16", "jpeg"]))
    flipped = bytearray(files[name])
    for _ in range(data.draw(st.integers(1, 6))):
        flipped[data.draw(st.integers(0, min(len(flipped), 3000) - 1))] = data.draw(st.integers(0, 255))

    assert outcome(bytes(flipped)) in {"RESULT", *CODES}


def test_flipped_bytes_in_compressed_pixels_never_hurt_the_program(files):
    rng = np.random.default_rng(11)
    outcomes = set()
    for name in ("jpeg", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.5"):
        for _ in range(8):
            flipped = bytearray(files[name])
            for at in rng.integers(len(flipped) // 20, len(flipped), 8):
                flipped[at] = rng.integers(256)
            try:
                outcomes.add(type(read_radiograph(bytes(flipped), check_polarity=False)).__name__)
            except InputError as error:
                outcomes.add(error.code.name)

    assert outcomes <= {"Radiograph", *CODES}


@settings(max_examples=50)
@given(st.binary(max_size=400))
def test_random_bytes_after_a_valid_start_are_refused(tail):
    for start in (bytes(128) + b"DICM", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"):
        assert outcome(start + tail) in CODES


@pytest.mark.real
def test_a_real_monochrome1_radiograph_is_what_pydicom_windows_and_we_invert_a8(shared):
    ds = pydicom.dcmread(shared / "data" / "dicom" / "cr_chest_pa_monochrome1_jpeg2000.dcm")

    windowed = apply_voi_lut(pixel_array(ds, decoding_plugin="pylibjpeg"), ds)  # 0 to 32767: 15 bits are stored

    rad = read_radiograph(shared / "data" / "dicom" / "cr_chest_pa_monochrome1_jpeg2000.dcm")
    assert float(np.abs(rad.pixels - (1 - windowed / 32767)).max()) < 1e-4


@pytest.mark.real
def test_a_real_8_bit_radiograph_is_what_highdicom_shows(shared):
    path = shared / "data" / "dicom" / "cr_chest_pa_monochrome2_jpeg.dcm"

    reference = highdicom.imread(path).get_frame(1, apply_presentation_lut=True) / 255

    assert float(np.abs(read_radiograph(path).pixels - reference).max()) <= 1.01 / 255


@pytest.mark.real
def test_a_real_file_under_another_name_reads_the_same(shared, tmp_path):
    path = shared / "data" / "dicom" / "cr_chest_pa_monochrome2_jpeg.dcm"
    copy = Path(tmp_path) / "holiday.jpg"
    copy.write_bytes(path.read_bytes())

    assert read_radiograph(copy).sha256 == read_radiograph(path).sha256
