"""The DICOM header: what must stand in it before a pixel is looked at.

pydicom reads permissively: a header cut in half gives a half-empty dataset, a wrong length is
shortened, a wrong number becomes text, all without a word. So each attribute that is needed is asked
for here, once, and what is missing, impossible or out of scope is refused with a code of its own.
"""

from __future__ import annotations

import io
import math
import struct
from dataclasses import dataclass, replace
from typing import Any, Final

import pydicom
from pydicom import Dataset
from pydicom.dataelem import RawDataElement

from boxray.core.errors import InputError
from boxray.imaging.limits import MIN_SIDE_PX, require_pixel_count, require_readable_size

_META_START: Final = 132
_LONG_VRS: Final = frozenset({b"OB", b"OW", b"UN", b"UT", b"SQ", b"OF", b"OD", b"OL", b"UC", b"UR"})
"""Value representations with two reserved bytes and a 32-bit length (PS3.5 Table 7.1-1)."""
_UNDEFINED: Final = 0xFFFFFFFF

_DICOMDIR: Final = "1.2.840.10008.1.3.10"
_DX_FOR_PROCESSING: Final = "1.2.840.10008.5.1.4.1.1.1.1.1"
_DEFLATED: Final = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.8.1"})

PLUGINS: Final[dict[str, str | None]] = {
    "1.2.840.10008.1.2": None,  # implicit VR, little endian
    "1.2.840.10008.1.2.1": None,  # explicit VR, little endian
    "1.2.840.10008.1.2.2": None,  # explicit VR, big endian
    "1.2.840.10008.1.2.4.50": "pylibjpeg",  # JPEG baseline
    "1.2.840.10008.1.2.4.51": "pylibjpeg",  # JPEG extended
    "1.2.840.10008.1.2.4.57": "pylibjpeg",  # JPEG lossless
    "1.2.840.10008.1.2.4.70": "pylibjpeg",  # JPEG lossless, selection value 1
    "1.2.840.10008.1.2.4.80": "pyjpegls",  # JPEG-LS lossless
    "1.2.840.10008.1.2.4.81": "pyjpegls",  # JPEG-LS near-lossless
    "1.2.840.10008.1.2.4.90": "pylibjpeg",  # JPEG 2000 lossless
    "1.2.840.10008.1.2.4.91": "pylibjpeg",  # JPEG 2000
    "1.2.840.10008.1.2.4.201": "pylibjpeg",  # HTJ2K lossless
    "1.2.840.10008.1.2.4.202": "pylibjpeg",  # HTJ2K lossless, RPCL
    "1.2.840.10008.1.2.4.203": "pylibjpeg",  # HTJ2K
    "1.2.840.10008.1.2.5": "pydicom",  # RLE
}
"""The transfer syntaxes that are read, and the one plugin of pydicom that decodes each. Always named:
without a name pydicom tries all that are installed, Pillow among them."""

MONOCHROME: Final = ("MONOCHROME1", "MONOCHROME2")
"""Photometric interpretations of a grey picture; of the first, low values are the bright ones."""

_ONE_SAMPLE: Final = (*MONOCHROME, "PALETTE COLOR")
_THREE_SAMPLES: Final = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")

_NO_PROJECTION: Final = frozenset(
    "BMD CT ECG ES GM IO IVUS MG MR NM OCT OP OPT PT PX SM US XC".split()  # noqa: SIM905
)
"""Modalities that are plainly no projection radiograph of a chest (PS3.3 C.7.3.1.1.1)."""

_OTHER_BODY_PARTS: Final = frozenset(
    "ABDOMEN ABDOMENPELVIS ANKLE ARM BRAIN BREAST CALCANEUS CSPINE ELBOW EXTREMITY FACE FEMUR FINGER FOOT "  # noqa: SIM905
    "FOREARM HAND HEAD HIP HUMERUS JAW KNEE LEG LSPINE LSSPINE MAXILLA MANDIBLE NECK ORBIT PELVIS PATELLA "
    "SCROTUM SHOULDER SINUS SKULL SPINE SSPINE TIBIA TOE WRIST ZYGOMA".split()
)
"""Body Part Examined that is plainly not the chest; after PS3.16 Annex L, letters only."""

_LATERAL_VIEWS: Final = frozenset(
    "LL RL LAT LATERAL LLAT RLAT LEFTLATERAL RIGHTLATERAL".split()  # noqa: SIM905
)
"""View Position that is plainly lateral (PS3.3 C.8.1.2), letters only. Decubitus (LLD, RLD) is frontal."""

_VIEWS: Final = frozenset({"PA", "AP"})


@dataclass(frozen=True, slots=True)
class DicomHeader:
    """A header that has been checked: everything needed to find and to present the pixels."""

    ds: Dataset
    """All elements before the pixels."""
    transfer_syntax: str
    pixels_at: int
    """Where the Pixel Data element begins in the file, in bytes."""
    rows: int
    columns: int
    samples: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    photometric: str
    planar: int

    @property
    def lowest(self) -> int:
        """The smallest value that can be stored."""
        return -(1 << (self.bits_stored - 1)) if self.signed else 0

    @property
    def highest(self) -> int:
        """The largest value that can be stored."""
        return self.lowest + (1 << self.bits_stored) - 1

    @property
    def presented(self) -> DicomHeader:
        """What holds of the values once a palette, if there is one, has made shades of 8 bits out of them."""
        if self.photometric != "PALETTE COLOR":
            return self
        return replace(self, bits_allocated=8, bits_stored=8, high_bit=7, signed=False)

    @property
    def big_endian(self) -> bool:
        """Values of several bytes begin with the highest."""
        return self.transfer_syntax == "1.2.840.10008.1.2.2"


def read_header(data: bytes, min_side_px: int = MIN_SIDE_PX) -> DicomHeader:
    """Parse up to the pixels, and refuse what is no single grey frontal radiograph of readable size.

    Raises:
        InputError: ``dicom.*``, ``input.not_supported`` (DICOMDIR), ``image.too_many_pixels``,
            ``image.too_small`` or ``scope.not_chest``; each check below names its own.
    """
    transfer_syntax = _require_transfer_syntax(_file_meta(data))
    ds, pixels_at = _parse(data)
    _require_lengths(ds)
    _require_attributes(ds)
    _require_in_scope(ds)
    header = _pixel_header(ds, transfer_syntax, pixels_at)
    n_frames = whole_number(ds, "NumberOfFrames", default=1)
    require_pixel_count(header.rows * header.columns * header.samples * max(n_frames, 1))
    if n_frames > 1:
        raise InputError("dicom.multiframe", f"{n_frames} frames; a chest radiograph has one")
    if pixels_at + 8 > len(data):
        raise InputError("dicom.missing_required", "the object has no PixelData")
    if PLUGINS[transfer_syntax] is None:  # compressed pixels are counted by their decoder
        _require_native_length(header, len(data))
    require_readable_size((header.columns, header.rows), min_side_px)
    return header


def _file_meta(data: bytes) -> dict[int, bytes]:
    """Element number to raw value of group 0002, which is always explicit VR little endian (PS3.10 7.1).

    Read by hand, because pydicom inflates a deflated dataset before anybody can say no.
    """
    meta: dict[int, bytes] = {}
    at = _META_START
    while at + 8 <= len(data):
        group, element, vr, length = struct.unpack_from("<HH2sH", data, at)
        if group != 2:
            break
        at += 8
        if vr in _LONG_VRS:
            if at + 4 > len(data):
                break
            (length,) = struct.unpack_from("<I", data, at)
            at += 4
        if at + length > len(data):
            raise InputError("dicom.length_invalid", "an element of the file meta is longer than the file")
        meta[element] = data[at : at + length]
        at += length
    return meta


def _require_transfer_syntax(meta: dict[int, bytes]) -> str:
    def uid(element: int) -> str:
        return meta.get(element, b"").rstrip(b"\0 ").decode("ascii", errors="replace")

    if uid(0x0002) == _DICOMDIR:
        raise InputError("input.not_supported", "a DICOMDIR lists files and holds no pixels; send the files")
    transfer_syntax = uid(0x0010)
    if not transfer_syntax:
        raise InputError("dicom.no_transfer_syntax", "the file meta has no TransferSyntaxUID")
    if transfer_syntax not in PLUGINS:
        why = "deflated: a small file may unfold without end" if transfer_syntax in _DEFLATED else "not in our list"
        raise InputError(
            "dicom.transfer_syntax_off", f"the transfer syntax is {why}; send it uncompressed or as JPEG 2000"
        )
    return transfer_syntax


def _parse(data: bytes) -> tuple[Dataset, int]:
    """All elements before the pixels, and where the pixels begin."""
    stream = io.BytesIO(data)
    try:
        return pydicom.dcmread(stream, stop_before_pixels=True), stream.tell()
    except RecursionError:
        raise InputError("dicom.nesting_too_deep", "sequences are nested too deeply to be parsed") from None
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - an untrusted parser may raise anything
        raise InputError("dicom.malformed", f"the header cannot be parsed ({type(error).__name__})") from None


def _require_lengths(ds: Dataset) -> None:
    """Refuse an element that is longer than what was left of the file: pydicom only shortens it."""
    for tag in ds.keys():  # noqa: SIM118 - iterating a Dataset would convert every value
        element = ds.get_item(tag, keep_deferred=True)  # raw, not converted
        if not isinstance(element, RawDataElement) or element.value is None:
            continue
        if element.length not in (_UNDEFINED, len(element.value)):
            raise InputError("dicom.length_invalid", f"element {tag} claims {element.length} bytes, more than are left")


_REQUIRED: Final = (
    "SOPClassUID", "Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation",
)  # fmt: skip
"""Type 1 in the Image Pixel module (PS3.3 Table C.7-11c), but for PhotometricInterpretation, which has a
code of its own. HighBit and BitsStored are not derived: which bits hold the value would be a guess."""


def _require_attributes(ds: Dataset) -> None:
    missing = [keyword for keyword in _REQUIRED if not text(ds, keyword)]
    if missing:
        raise InputError("dicom.missing_required", f"the header has no {', '.join(missing)}")


def _require_in_scope(ds: Dataset) -> None:
    """Refuse raw detector data, and what the header plainly calls another view or part of the body."""
    if text(ds, "PresentationIntentType") == "FOR PROCESSING" or text(ds, "SOPClassUID") == _DX_FOR_PROCESSING:
        raise InputError("dicom.for_processing", "raw detector data; send the image FOR PRESENTATION")
    if (modality := text(ds, "Modality")) in _NO_PROJECTION:  # so it is a word of that table, and none of a patient
        raise InputError("scope.not_chest", f"the header's Modality is {modality}; a radiograph's is DX or CR")
    if _letters(text(ds, "BodyPartExamined")) in _OTHER_BODY_PARTS:
        raise InputError("scope.not_chest", "the header's BodyPartExamined is not the chest")
    if _letters(text(ds, "ViewPosition")) in _LATERAL_VIEWS:
        raise InputError("scope.not_chest", "the header's ViewPosition is lateral; only frontal views are read")


def _letters(value: str) -> str:
    return "".join(character for character in value if character.isalpha())


def _pixel_header(ds: Dataset, transfer_syntax: str, pixels_at: int) -> DicomHeader:
    """The Image Pixel module, every number checked (PS3.3 C.7.6.3)."""
    photometric = text(ds, "PhotometricInterpretation")
    if photometric not in (*_ONE_SAMPLE, *_THREE_SAMPLES):
        raise InputError(
            "dicom.photometric_unknown",
            "PhotometricInterpretation is missing or unknown; it is never guessed",
        )
    header = DicomHeader(
        ds=ds,
        transfer_syntax=transfer_syntax,
        pixels_at=pixels_at,
        rows=whole_number(ds, "Rows"),
        columns=whole_number(ds, "Columns"),
        samples=whole_number(ds, "SamplesPerPixel"),
        bits_allocated=whole_number(ds, "BitsAllocated"),
        bits_stored=whole_number(ds, "BitsStored"),
        high_bit=whole_number(ds, "HighBit"),
        signed=whole_number(ds, "PixelRepresentation") == 1,
        photometric=photometric,
        planar=whole_number(ds, "PlanarConfiguration", default=0),
    )
    if header.rows < 1 or header.columns < 1:
        raise InputError("dicom.malformed", f"Rows {header.rows}, Columns {header.columns}")
    if header.samples != (1 if photometric in _ONE_SAMPLE else 3):
        raise InputError("dicom.malformed", f"{header.samples} samples do not fit the PhotometricInterpretation")
    possible_bits = (
        header.bits_allocated in (8, 16)
        and 1 <= header.bits_stored <= header.high_bit + 1 <= header.bits_allocated
        and whole_number(ds, "PixelRepresentation") in (0, 1)
    )
    if not possible_bits:
        raise InputError(
            "dicom.bits_invalid",
            f"{header.bits_allocated} bits allocated, {header.bits_stored} stored, high bit "
            f"{header.high_bit}; 8 or 16 allocated are read",
        )
    return header


def _require_native_length(header: DicomHeader, n_file_bytes: int) -> None:
    samples = 2 if header.photometric == "YBR_FULL_422" else header.samples  # two pixels share their colours
    needed = header.rows * header.columns * samples * header.bits_allocated // 8
    left = n_file_bytes - header.pixels_at - 8
    if left < needed:
        raise InputError("dicom.pixels_truncated", f"{max(left, 0)} pixel bytes where the header announces {needed}")


def text(ds: Dataset, keyword: str) -> str:
    """The first value as upper-case text without blanks around it; empty where it is missing."""
    values = _values(ds, keyword)
    return str(values[0]).strip(" \0").upper() if values else ""


def numbers(ds: Dataset, keyword: str) -> tuple[float, ...]:
    """All values as floats; none where the attribute is missing. A value that is no number becomes NaN."""
    return tuple(_number(value) for value in _values(ds, keyword))


def whole_number(ds: Dataset, keyword: str, default: int | None = None) -> int:
    """The one value as an integer.

    Raises:
        InputError: ``dicom.missing_required`` if it is missing and there is no `default`,
            ``dicom.malformed`` if it is several values or no whole number.
    """
    values = numbers(ds, keyword)
    if not values and default is not None:
        return default
    if not values:
        raise InputError("dicom.missing_required", f"the header has no {keyword}")
    if len(values) > 1 or not math.isfinite(values[0]) or values[0] != int(values[0]):
        raise InputError("dicom.malformed", f"{keyword} is not one whole number")
    return int(values[0])


def view(ds: Dataset) -> str | None:
    """``PA`` or ``AP`` where View Position says one of the two, else None."""
    position = text(ds, "ViewPosition")
    return position if position in _VIEWS else None


def spacing_mm(ds: Dataset) -> tuple[float, float] | None:
    """Distance of pixel centres (x, y) in millimetres: Pixel Spacing, else Imager Pixel Spacing, else None.

    The header holds rows first, that is y (PS3.3 10.7.1.1). Zeros, NaN and infinities count as missing.
    """
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        values = numbers(ds, keyword)
        if len(values) == 2 and all(0 < value < math.inf for value in values):
            return values[1], values[0]
    return None


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _values(ds: Dataset, keyword: str) -> tuple[Any, ...]:
    """The values as pydicom converts them; NaN as the only one where it cannot, none where there are none."""
    try:
        value = ds.get(keyword)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - pydicom's converters raise what they like
        return (math.nan,)
    if value is None or (isinstance(value, str | bytes) and not value):
        return ()
    if isinstance(value, str | bytes) or not hasattr(value, "__iter__"):
        return (value,)
    return tuple(value)
