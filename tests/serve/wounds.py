"""Small radiographs in many encodings, and files made of them by damage: a number names one file for ever."""

import random
import struct
import zlib
from functools import cache
from io import BytesIO

import cv2
import numpy as np
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from boxray.data.examples.dicom import for_presentation, stored_values
from serve.reading_room import a_chest_png

CANARY = "ZZCANARY"
MOST_WOUNDS = 6
HEADER_BYTES = 1500
NASTY = (b"", b"\0", b"\xff", b"\0\0", b"\xff\xff", b"\xff\x7f", b"\0\x80", b"\0\0\0\0", b"\xff" * 4, b"\xff" * 8)
NASTY += (b"-1", b"nan", b"1e999", b"0\\0", b"..\\..", b"\x1b$B", b"MONOCHROME3", b"1.2.840.10008.1.2.4.999", b"9" * 40)
TAGS = tuple(
    struct.pack("<HH", *tag)
    for tag in (
        (0x0002, 0x0000), (0x0002, 0x0010), (0x0008, 0x0005), (0x0008, 0x0008), (0x0008, 0x0016), (0x0008, 0x0068),
        (0x0008, 0x2218), (0x0018, 0x1164), (0x0028, 0x0002), (0x0028, 0x0004), (0x0028, 0x0010), (0x0028, 0x0011),
        (0x0028, 0x0030), (0x0028, 0x0100), (0x0028, 0x0101), (0x0028, 0x0102), (0x0028, 0x0103), (0x0028, 0x1050),
        (0x0028, 0x1051), (0x2050, 0x0020), (0x7FE0, 0x0010), (0xFFFE, 0xE000), (0xFFFE, 0xE0DD),
    )
)  # fmt: skip
"""Elements that decide how pixels are read, and the items round them."""


@cache
def grey():
    return cv2.imdecode(np.frombuffer(a_chest_png(), np.uint8), cv2.IMREAD_GRAYSCALE)


def png(picture):
    return cv2.imencode(".png", picture)[1].tobytes()


def dicom(syntax):
    film = for_presentation(CANARY, 7, stored_values((grey() / 255).astype(np.float32)), "made", inverted=False)
    film.SOPInstanceUID = "1.2.3.4"
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = syntax
    if syntax in {RLELossless, JPEGLSLossless, JPEG2000Lossless}:
        film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        film.compress(syntax, generate_instance_uid=False)
    if syntax == JPEGBaseline8Bit:
        film.BitsAllocated, film.BitsStored, film.HighBit = 8, 8, 7
        film.WindowCenter, film.WindowWidth = 128, 256
        film.PixelData = encapsulate([cv2.imencode(".jpg", grey())[1].tobytes()])
        film["PixelData"].is_undefined_length = True
    written = BytesIO()
    film.save_as(written, enforce_file_format=True)
    return written.getvalue()


@cache
def whole():
    """Kind -> a file that is read, but for the deflated one, which is switched off, and the coloured ones."""
    picture = grey()
    colour = cv2.applyColorMap(picture, cv2.COLORMAP_BONE)
    syntaxes = {
        "raw": ExplicitVRLittleEndian,
        "implicit": ImplicitVRLittleEndian,
        "deflated": DeflatedExplicitVRLittleEndian,
        "rle": RLELossless,
        "jpegls": JPEGLSLossless,
        "jpeg2000": JPEG2000Lossless,
        "jpeg-in-dicom": JPEGBaseline8Bit,
    }
    progressive = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 4])
    return {
        **{kind: dicom(syntax) for kind, syntax in syntaxes.items()},
        "png": png(picture),
        "png16": png(picture.astype(np.uint16) * 257),
        "png-colour": png(colour),
        "png-alpha": png(cv2.merge([picture] * 3 + [np.full_like(picture, 255)])),
        "jpeg": cv2.imencode(".jpg", picture)[1].tobytes(),
        "jpeg-colour": cv2.imencode(".jpg", colour)[1].tobytes(),
        "jpeg-progressive": progressive[1].tobytes(),
    }


def damaged(number):
    """The file of that number: one of the kinds with some wounds."""
    dice = random.Random(number)
    kind = dice.choice(sorted(whole()))
    data = bytearray(whole()[kind])
    of_its_kind = wound_png if kind.startswith("png") else wound_jpeg if kind.startswith("jpeg") else wound_dicom
    for _ in range(dice.randint(1, MOST_WOUNDS)):
        (of_its_kind if dice.random() < 0.6 else wound)(data, dice)
    return bytes(data)


def wound(data, dice):
    """Anywhere, in any file."""
    reach = min(len(data), HEADER_BYTES) if dice.random() < 0.6 else len(data)
    at = dice.randrange(max(1, reach))
    what = dice.randrange(7)
    if what == 0:
        data[at : at + 1] = dice.randbytes(1)
    elif what == 1:
        data[at:at] = dice.randbytes(dice.randint(1, 16))
    elif what == 2:
        del data[at : at + dice.randint(1, 64)]
    elif what == 3:
        data[at:at] = data[at : at + dice.randint(1, 4096)]
    elif what == 4:
        nasty = dice.choice(NASTY)
        data[at : at + len(nasty)] = nasty
    elif what == 5:
        data[at : at + 256] = dice.choice(list(whole().values()))[at : at + 256]
    elif dice.random() < 0.3:
        del data[at:]


def wound_dicom(data, dice):
    """In an element that decides: its tag, its representation, its length or its value."""
    at = data.find(dice.choice(TAGS))
    if at < 0:
        wound(data, dice)
        return
    what = dice.randrange(5)
    if what == 0:
        data[at + 4 : at + 6] = dice.choice((b"SQ", b"UN", b"OB", b"US", b"DS", b"LO", b"??"))
    elif what == 1:
        data[at + 6 : at + 8] = dice.choice((b"\0\0", b"\2\0", b"\xff\xff", b"\1\0", dice.randbytes(2)))
    elif what == 2:
        nasty = dice.choice(NASTY)
        data[at + 8 : at + 8 + len(nasty)] = nasty
    elif what == 3:
        data[at : at + 4] = dice.choice(TAGS)
    else:
        data[at:at] = data[at : at + dice.randint(8, 64)]


def wound_png(data, dice):
    """In a chunk, whose checksum is then right again."""
    chunks = list(png_chunks(data))
    if not chunks:
        wound(data, dice)
        return
    at, length = dice.choice(chunks)
    inside = bytearray(data[at + 8 : at + 8 + length])
    what = dice.randrange(4)
    if what == 0 and inside:
        inside[dice.randrange(len(inside))] = dice.randrange(256)
    elif what == 1 and inside:
        place, nasty = dice.randrange(len(inside)), dice.choice(NASTY)
        inside[place : place + len(nasty)] = nasty
    elif what == 2:
        inside = bytearray(zlib.compress(bytes(dice.choice((0, 1000, 10**6)))))
    else:
        inside *= 2
    name = dice.choice((data[at + 4 : at + 8], b"tRNS", b"PLTE", b"acTL", b"iCCP", b"IEND"))
    body = bytes(name) + bytes(inside)
    data[at : at + 12 + length] = struct.pack(">I", len(inside)) + body + struct.pack(">I", zlib.crc32(body))


def png_chunks(data):
    at = 8
    while at + 12 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        if at + 12 + length > len(data):
            return
        yield at, length
        at += 12 + length


def wound_jpeg(data, dice):
    """In a marker segment: its kind, its length, its words; or the sizes of the frame."""
    at = data.find(b"\xff" + bytes([dice.choice((0xC0, 0xC1, 0xC2, 0xC4, 0xDB, 0xDA, 0xDD, 0xE0, 0xE1, 0xD9))]))
    if at < 0:
        wound(data, dice)
        return
    what = dice.randrange(4)
    if what == 0:
        data[at + 1] = dice.randrange(256)
    elif what == 1:
        data[at + 2 : at + 4] = dice.choice((b"\0\0", b"\0\1", b"\xff\xff", dice.randbytes(2)))
    elif what == 2:
        place, nasty = at + 4 + dice.randrange(16), dice.choice(NASTY)
        data[place : place + len(nasty)] = nasty
    else:
        data[at:at] = data[at : at + dice.randint(2, 64)]
