"""From stored values to shades, in the order of the standard: padding, modality, VOI, presentation.

An object has at most 65,536 different stored values, so the whole chain is computed once for each
value that is possible, in double precision, and the picture is then looked up. Order matters: padding
is defined on *stored* values, and MONOCHROME1 is inverted *after* the window.

Source: PS3.3 C.7.5.1.1.2 (padding), C.11.1 (modality), C.11.2 (VOI), C.11.6 (presentation LUT shape),
C.7.6.3.1.2 (photometric interpretation); PS3.4 N.2 (the order).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from boxray.core.arrays import BoolArray, FloatArray, IntArray
from boxray.core.errors import InputError
from boxray.imaging.dicom_header import MONOCHROME, DicomHeader, numbers, text

_CHUNK_VALUES: Final = 1_000_000
"""Values looked up at once: keeps the memory for indices at 8 MB whatever the picture's size."""

_PERCENTILES: Final = (0.5, 99.5)
"""Of the unpadded values: the window where the file's own is invalid. Markers and dead pixels lie outside."""


def _linear(x: FloatArray, centre: float, width: float) -> FloatArray:
    """PS3.3 C.11.2.1.2.1; a width of 1 is a step just above ``centre - 0.5``."""
    if width == 1:
        return (x > centre - 0.5).astype(np.float64)
    return (x - (centre - 0.5)) / (width - 1) + 0.5


def _linear_exact(x: FloatArray, centre: float, width: float) -> FloatArray:
    """PS3.3 C.11.2.1.3.2."""
    return (x - centre) / width + 0.5


def _sigmoid(x: FloatArray, centre: float, width: float) -> FloatArray:
    """PS3.3 C.11.2.1.3.1, ``1 / (1 + exp(-4 (x - c) / w))``, by a function that cannot overflow."""
    return np.asarray(0.5 + 0.5 * np.tanh(2 * (x - centre) / width))


WindowFunction = Callable[[FloatArray, float, float], FloatArray]

VOI_FUNCTIONS: Final[dict[str, WindowFunction]] = {
    "LINEAR": _linear,
    "LINEAR_EXACT": _linear_exact,
    "SIGMOID": _sigmoid,
}
"""VOI LUT Function (0028,1056) to the shade of x in centre and width; not yet cut to [0, 1]."""


@dataclass(frozen=True, slots=True)
class Levels:
    """Every value that can be stored, in rising order, and how often it is there. Shape ``(N,)`` each."""

    stored: IntArray
    counts: IntArray
    padding: BoolArray

    @property
    def shown(self) -> BoolArray:
        """Values that are there and are no padding."""
        return (self.counts > 0) & ~self.padding


def present(values: NDArray[Any], header: DicomHeader) -> tuple[FloatArray, BoolArray | None, tuple[str, ...]]:
    """Stored values to shades, as a viewer would show them.

    Args:
        values: Shape ``(H, W)``, integers between the header's `lowest` and `highest`.
        header: Whose dataset says how values become shades.

    Returns:
        Pixels ``(H, W)`` float32 in [0, 1] with bright meaning dense; which of them are padding, or
        None; and notes that say which window and which inversion were used.

    Raises:
        InputError: ``dicom.rescale_invalid``, or ``quality.blank`` if a single shade is left.
    """
    levels = _levels(values, header)
    if not levels.shown.any():
        raise InputError("quality.blank", "all pixels are padding: there is nothing to read")
    real = modality_values(levels.stored.astype(np.float64), header)
    shades, voi_note = voi_shades(real, levels, header)
    inverted, notes = _inversion(header)
    if inverted:
        shades = 1 - shades
    if np.ptp(shades[levels.shown]) == 0:
        raise InputError("quality.blank", "all pixels have the same shade: there is nothing to read")
    shades[levels.padding] = 0
    padded = None
    if levels.counts[levels.padding].any():
        padded = _look_up(levels.padding, values, header.lowest)
        notes = (*notes, "padding left out")
    return _look_up(shades.astype(np.float32), values, header.lowest), padded, (voi_note, *notes)


def _by_rows(values: NDArray[Any]) -> Iterator[slice]:
    """Pieces of about a million values."""
    step = max(1, _CHUNK_VALUES // values.shape[1])
    return (slice(start, start + step) for start in range(0, values.shape[0], step))


def _look_up(table: NDArray[Any], values: NDArray[Any], lowest: int) -> NDArray[Any]:
    looked_up = np.empty(values.shape, table.dtype)
    for rows in _by_rows(values):
        np.take(table, values[rows].astype(np.intp) - lowest, out=looked_up[rows], mode="clip")
    return looked_up


def _levels(values: NDArray[Any], header: DicomHeader) -> Levels:
    stored = np.arange(header.lowest, header.highest + 1)
    counts = np.zeros(stored.size, np.int64)
    for rows in _by_rows(values):
        counts += np.bincount(values[rows].ravel().astype(np.intp) - header.lowest, minlength=stored.size)
    return Levels(stored, counts, _padding(stored, header))


def _padding(stored: IntArray, header: DicomHeader) -> BoolArray:
    """Which stored values are padding: Pixel Padding Value, or all from it to the Range Limit."""
    ends = [
        _as_stored(value, header)
        for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit")
        for value in numbers(header.ds, keyword)[:1]
        if math.isfinite(value)
    ]
    if not ends or not numbers(header.ds, "PixelPaddingValue"):
        return np.zeros(stored.shape, np.bool_)
    return (stored >= min(ends)) & (stored <= max(ends))


def _as_stored(value: float, header: DicomHeader) -> float:
    """A 16-bit attribute read with the sign of the pixels: 63536 is -2000 where they are signed."""
    if header.signed and value > 0x7FFF:
        return value - 0x10000
    return value + 0x10000 if not header.signed and value < 0 else value


def modality_values(stored: FloatArray, header: DicomHeader) -> FloatArray:
    """Stored values to the modality's own: by the Modality LUT Sequence, else by slope and intercept.

    Raises:
        InputError: ``dicom.rescale_invalid`` if the table, the slope or the intercept is unusable.
    """
    items = _items(header.ds, "ModalityLUTSequence")
    if items:
        table = _table(items[0], header, may_be_negative=header.signed)
        if table is None:
            raise InputError("dicom.rescale_invalid", "the modality table cannot be read")
        return table.look_up(stored)
    slope, intercept = _one(header.ds, "RescaleSlope", 1), _one(header.ds, "RescaleIntercept", 0)
    with np.errstate(over="ignore", invalid="ignore"):
        real = stored * slope + intercept
    if slope == 0 or not np.isfinite(real).all():
        raise InputError("dicom.rescale_invalid", f"rescale slope {slope:g}, intercept {intercept:g}")
    return real


def _one(ds: Dataset, keyword: str, default: float) -> float:
    values = numbers(ds, keyword)
    return (values[0] if len(values) == 1 else math.nan) if values else default


def voi_shades(real: FloatArray, levels: Levels, header: DicomHeader) -> tuple[FloatArray, str]:
    """Modality values to shades in [0, 1], and a note that says by what.

    The first that there is: VOI LUT Sequence, its first item; Window Center and Width, the first
    pair. An invalid window gives way to percentiles of what is shown. Where the file says nothing,
    8-bit values are taken for shades, and deeper ones are spread from the smallest to the largest.
    """
    items = _items(header.ds, "VOILUTSequence")
    table = _table(items[0], header, may_be_negative=bool(real.min() < 0)) if items else None
    if table is not None:
        return table.look_up(real) / table.largest, f"VOI: table 1 of {len(items)} in the file"
    centres, widths = numbers(header.ds, "WindowCenter"), numbers(header.ds, "WindowWidth")
    if centres or widths:
        return _windowed(real, levels, header, centres, widths)
    if items:
        return _percentile_shades(real, levels, "VOI: the file's table is invalid")
    if header.bits_stored <= 8:
        return _spread(real, float(real.min()), float(real.max())), "VOI: none in the file, values are shades"
    shown = real[levels.shown]
    note = "VOI: none in the file, spread from the smallest to the largest value"
    return _spread(real, float(shown.min()), float(shown.max())), note


def _windowed(
    real: FloatArray,
    levels: Levels,
    header: DicomHeader,
    centres: tuple[float, ...],
    widths: tuple[float, ...],
) -> tuple[FloatArray, str]:
    name = text(header.ds, "VOILUTFunction") or "LINEAR"
    function = VOI_FUNCTIONS.get(name)
    centre, width = centres[0] if centres else math.nan, widths[0] if widths else math.nan
    narrowest_ok = width >= 1 if name == "LINEAR" else width > 0
    if function is None or not (math.isfinite(centre) and width < math.inf and narrowest_ok):
        return _percentile_shades(real, levels, "VOI: the file's window is invalid")
    with np.errstate(over="ignore"):
        shades = function(real, centre, width).clip(0, 1)
    return shades, f"VOI: window 1 of {len(centres)} in the file, {name}, centre {centre:g}, width {width:g}"


def _percentile_shades(real: FloatArray, levels: Levels, why: str) -> tuple[FloatArray, str]:
    order = np.argsort(real, kind="stable")
    heights = np.where(levels.shown, levels.counts, 0)[order].cumsum()
    at = [min(int(heights.searchsorted(heights[-1] * part / 100)), real.size - 1) for part in _PERCENTILES]
    low, high = real[order[at[0]]], real[order[at[1]]]
    return _spread(real, float(low), float(high)), f"{why}; percentiles 0.5 to 99.5 instead"


def _spread(real: FloatArray, low: float, high: float) -> FloatArray:
    """`low` to 0 and `high` to 1; all 0 where the two are equal."""
    return ((real - low) / (high - low)).clip(0, 1) if high > low else np.zeros_like(real)


def _inversion(header: DicomHeader) -> tuple[bool, tuple[str, ...]]:
    """Whether shades are exchanged after the window, and what there is to say about it.

    Presentation LUT Shape rules where it is there; both attributes say the same in a valid object.
    """
    by_photometric = header.photometric == "MONOCHROME1"
    shape = text(header.ds, "PresentationLUTShape")
    inverted = {"INVERSE": True, "IDENTITY": False}.get(shape, by_photometric)
    notes: tuple[str, ...] = ()
    if inverted:
        notes = ("inverted after the window: low values are dense",)
    if shape in ("INVERSE", "IDENTITY") and inverted != by_photometric and header.photometric in MONOCHROME:
        notes = (*notes, "PresentationLUTShape contradicts PhotometricInterpretation; the shape was obeyed")
    return inverted, notes


@dataclass(frozen=True, slots=True)
class _Table:
    """A lookup table of the standard: entries from `first` on (PS3.3 C.11.1.1, C.11.2.1.1)."""

    first: int
    entries: FloatArray
    largest: int
    """The largest entry that its bits allow: what means white."""

    def look_up(self, values: FloatArray) -> FloatArray:
        """Entries of the nearest whole numbers; below and above the table its ends."""
        index = np.rint(values - self.first).clip(0, self.entries.size - 1).astype(np.intp)
        return self.entries[index]


def _items(ds: Dataset, keyword: str) -> tuple[Dataset, ...]:
    try:
        return tuple(item for item in (ds.get(keyword) or ()) if isinstance(item, Dataset))
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - a sequence that pydicom cannot parse holds no item
        return ()


def _table(item: Dataset, header: DicomHeader, *, may_be_negative: bool) -> _Table | None:
    """The table of a LUT item, or None where descriptor and data do not fit each other."""
    descriptor, data = _words(item, "LUTDescriptor", header), _words(item, "LUTData", header)
    if len(descriptor) != 3 or data.size == 0:
        return None
    n_entries, first, bits = int(descriptor[0]) % 0x10000 or 0x10000, int(descriptor[1]), int(descriptor[2])
    if may_be_negative and first > 0x7FFF:
        first -= 0x10000
    if not 8 <= bits <= 16:
        return None
    if bits == 8 and data.size == (n_entries + 1) // 2 < n_entries:  # two entries packed into a word
        data = data.astype(">u2" if header.big_endian else "<u2").view(np.uint8)
    if data.size < n_entries or data[:n_entries].max() >= 2**bits:
        return None
    return _Table(first, data[:n_entries].astype(np.float64), 2**bits - 1)


def _words(item: Dataset, keyword: str, header: DicomHeader) -> NDArray[Any]:
    """16-bit words, whichever of US, SS and OW they were written as; none where they cannot be read."""
    empty = np.zeros(0, np.uint16)
    try:
        value = item.get(keyword)
        if isinstance(value, bytes):
            order = ">" if header.big_endian else "<"
            return np.frombuffer(value[: len(value) // 2 * 2], f"{order}u2")
        if value is None:
            return empty
        words = np.atleast_1d(np.asarray(list(value) if hasattr(value, "__iter__") else value))
        return words.astype(np.int64) if keyword == "LUTDescriptor" else words.astype(np.int64) % 0x10000
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - pydicom's converters raise what they like
        return empty
