"""What can go wrong, and how each is said.

BoxrayError       raised when                                             the caller sees
├─ InputError     the bytes are no radiograph that we answer for          REFUSED and a code, HTTP 4xx
├─ RecipeError    a key is unknown, a value is out of range               exit 2, the nearest known key
├─ DataError      a raw label has no entry, a patient is in two splits    exit 1
├─ ModelError     a checksum is wrong, a score is not finite              FAILED and a code, HTTP 5xx
├─ ResourceError  memory or disk are used up                              exit 1, what to ask for less of
└─ MissingExtra   an optional library is not installed                    exit 1, HTTP 501, what to install

A message says what was got, what was expected and what to do. It never holds a patient's name, an
identifier or the path of a radiograph, because messages travel further than images.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Outcome(StrEnum):
    """The three things a reading can be. An empty list of findings never stands for the other two."""

    RESULT = "RESULT"
    REFUSED = "REFUSED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Code:
    """One documented reason not to answer."""

    name: str
    outcome: Outcome
    http: int
    meaning: str


def _table(*rows: tuple[str, Outcome, int, str]) -> MappingProxyType[str, Code]:
    return MappingProxyType({row[0]: Code(*row) for row in rows})


_R, _F = Outcome.REFUSED, Outcome.FAILED

CODES: Final = _table(
    ("input.not_supported", _R, 415, "the bytes are neither a DICOM file nor a PNG or JPEG picture"),
    ("input.too_large", _R, 413, "the file is larger than the limit"),
    ("input.unreadable", _F, 500, "the file could not be read from disk"),
    ("dicom.missing_required", _R, 422, "an attribute that every radiograph must have is not there"),
    ("dicom.malformed", _R, 422, "an attribute of the header has a value that cannot be understood"),
    ("dicom.pixels_truncated", _R, 422, "there are fewer pixel bytes than the header announces"),
    ("dicom.length_invalid", _R, 422, "an element claims to be longer than the file"),
    ("dicom.nesting_too_deep", _R, 422, "sequences are nested too deeply"),
    ("dicom.no_transfer_syntax", _R, 422, "the header does not say how the pixels are encoded"),
    ("dicom.transfer_syntax_off", _R, 422, "this transfer syntax is switched off"),
    ("dicom.photometric_unknown", _R, 422, "the header does not say whether bright means dense"),
    ("dicom.rescale_invalid", _R, 422, "the rescale slope or intercept is no usable number"),
    ("dicom.bits_invalid", _R, 422, "the bit depth of the header is no possible one"),
    ("dicom.multiframe", _R, 422, "a chest radiograph has one frame, this object has several"),
    ("dicom.colour", _R, 422, "the picture is coloured: a photograph or a screen shot"),
    ("dicom.for_processing", _R, 422, "raw detector data, meant for processing and not for reading"),
    ("dicom.decoder_missing", _F, 501, "no decoder for this transfer syntax is installed"),
    ("dicom.decode_failed", _R, 422, "the decoder rejects the compressed pixels"),
    ("image.too_many_pixels", _R, 413, "rows times columns exceed the limit"),
    ("image.too_small", _R, 422, "too few pixels, or too narrow, to be read"),
    ("image.truncated", _R, 422, "the picture ends before its last pixel"),
    ("image.decode_failed", _R, 422, "the decoder rejects the picture"),
    ("image.colour", _R, 422, "the picture is coloured or transparent"),
    ("image.values_invalid", _R, 422, "values that are no finite numbers in [0, 1]"),
    ("quality.blank", _R, 422, "all pixels are equal: there is nothing to read"),
    ("quality.polarity", _R, 422, "bright and dark seem to be exchanged"),
    ("decode.crashed", _R, 422, "the decoder died on this file; the program went on"),
    ("decode.too_expensive", _R, 422, "decoding took more memory or time than is allowed"),
    ("decode.unavailable", _F, 503, "the process that decodes files does not start; no file can be read until it does"),
    ("scope.not_chest", _R, 422, "by its header or by its looks no frontal chest radiograph, or not a whole one"),
    ("scope.rotated", _R, 422, "a chest that lies on its side or upside down"),
    ("model.not_finite", _F, 500, "a model gave a score that is no number"),
    ("service.busy", _F, 503, "too many radiographs are waiting; the same file may be read later"),
    ("service.deadline", _F, 503, "the radiograph was not read in the time that a request has"),
    ("service.draining", _F, 503, "the service is being stopped and takes nothing new"),
    ("service.out_of_memory", _F, 503, "memory ran out on this radiograph; the program went on"),
    ("internal.error", _F, 500, "a fault of ours; the log has it"),
)
"""Every code that a reading may carry. What is not in this table cannot be raised."""


class BoxrayError(Exception):
    """The root: catch this to catch all that boxray says on purpose."""


class InputError(BoxrayError):
    """The input is not one that is answered, or decoding it failed. Carries a code of `CODES`.

    Raises:
        KeyError: If the code is not in `CODES`: an undocumented refusal cannot be made.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = CODES[code]
        self.reason = reason

    def __reduce__(self) -> tuple[type[InputError], tuple[str, str]]:
        """Travel through a pipe from the decoding child."""
        return type(self), (self.code.name, self.reason)


class RecipeError(BoxrayError):
    """A recipe or an option is not understood."""


class DataError(BoxrayError):
    """A data set contradicts its card, or itself."""


class ModelError(BoxrayError):
    """Weights or an engine cannot be trusted to answer. Carries a code of `CODES`.

    Raises:
        KeyError: If the code is not in `CODES`.
        ValueError: If the code is that of a refusal: the input is not to blame.
    """

    def __init__(self, reason: str, code: str = "internal.error") -> None:
        super().__init__(reason)
        self.code = CODES[code]
        self.reason = reason
        if self.code.outcome is not Outcome.FAILED:
            raise ValueError(f"{code} is a code of {self.code.outcome}; a model can only fail")


class ResourceError(BoxrayError):
    """The machine has no more memory or disk. What was whole before is whole still."""


class MissingExtra(BoxrayError):  # noqa: N818 - the state is the name: what is missing, not that it is an error
    """An optional library is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f'{what} needs the extra [{extra}]; install it with: pip install "boxray[{extra}]"')
        self.what = what
        self.extra = extra

    def __reduce__(self) -> tuple[type[MissingExtra], tuple[str, str]]:
        """Travel through a pipe from a worker."""
        return type(self), (self.what, self.extra)
