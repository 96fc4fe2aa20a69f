"""Phantoms and files made of them. Everything is drawn, so the right answer is known."""

import io
import itertools
import struct
import zlib

import cv2
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian

SIDE_PX = 256


@pytest.fixture(scope="session")
def chest():
    """A drawn chest, shape (H, W), float64 in [0, 1]: dark lungs and corners, bright spine and abdomen.

    Every shade of 0 to 1 in steps of 1/65535 is somewhere near, because a slight ramp lies on it.
    """

    def draw(height: int = SIDE_PX, width: int = SIDE_PX) -> np.ndarray:
        y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
        shade = np.where(np.hypot((x - 0.5) / 0.5, (y - 0.6) / 0.62) < 1, 0.5, 0.05)
        for centre in (0.3, 0.7):
            shade[np.hypot((x - centre) / 0.13, (y - 0.42) / 0.28) < 1] = 0.15
        shade[(y > 0.72) & (np.abs(x - 0.5) < 0.38)] = 0.85
        shade[np.abs(x - 0.5) < 0.06] = 0.9
        picture = shade + 0.05 * x + 0.03 * y
        return (picture - picture.min()) / np.ptp(picture)

    return draw


@pytest.fixture(scope="session")
def grid():
    """All values of so many bits, evenly: shape (256, 256), integers from `lowest` up. No chest at all."""

    def draw(bits: int, lowest: int = 0) -> np.ndarray:
        steps = np.arange(SIDE_PX * SIDE_PX) * (2**bits - 1) // (SIDE_PX * SIDE_PX - 1)
        return steps.reshape(SIDE_PX, SIDE_PX) + lowest

    return draw


@pytest.fixture(scope="session")
def dicom_dataset():
    """A CR dataset around stored values; attributes given by keyword are set, None deletes."""

    def make(values, *, bits=12, signed=False, photometric="MONOCHROME2", **attributes) -> Dataset:
        allocated = attributes.pop("BitsAllocated", 8 if bits <= 8 else 16)
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = ComputedRadiographyImageStorage
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = "1.2.3.4"
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = "1.2.3", "1.2.3.1", "1.2.3.9"
        ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "ZZCANARY^PHI", "ZZCANARY", "", ""
        ds.StudyDate = ds.StudyTime = ds.AccessionNumber = ds.ReferringPhysicianName = ds.StudyID = ""
        ds.Manufacturer = ds.PatientOrientation = ""
        ds.InstanceNumber, ds.SeriesNumber = 1, 1
        ds.Modality, ds.BodyPartExamined, ds.ViewPosition = "CR", "CHEST", "PA"
        ds.Rows, ds.Columns = values.shape[:2]
        ds.SamplesPerPixel = 1 if values.ndim == 2 else values.shape[2]
        if values.ndim == 3:
            ds.PlanarConfiguration = 0
        ds.PhotometricInterpretation = photometric
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = allocated, bits, bits - 1
        ds.PixelRepresentation = int(signed)
        ds.PixelData = values.astype(f"<{'i' if signed else 'u'}{allocated // 8}").tobytes()
        ds["PixelData"].VR = "OB" if allocated == 8 else "OW"
        for keyword, value in attributes.items():
            if value is None:
                delattr(ds, keyword)
            else:
                setattr(ds, keyword, value)
        return ds

    return make


@pytest.fixture(scope="session")
def as_file():
    """A dataset as the bytes of a Part 10 file, in the transfer syntax of its file meta."""

    def write(ds: Dataset) -> bytes:
        stream = io.BytesIO()
        pydicom.dcmwrite(stream, ds, enforce_file_format=True)
        return stream.getvalue()

    return write


@pytest.fixture(scope="session")
def dicom_file(dicom_dataset, as_file):
    """The bytes of a file around stored values."""

    def make(values, **attributes) -> bytes:
        return as_file(dicom_dataset(values, **attributes))

    return make


@pytest.fixture(scope="session")
def encapsulated(dicom_dataset, as_file):
    """A file whose pixels are the given codestream, in the given transfer syntax."""

    def make(codestream: bytes, transfer_syntax: str, values, **attributes) -> bytes:
        ds = dicom_dataset(values, **attributes)
        ds.file_meta.TransferSyntaxUID = transfer_syntax
        ds.PixelData = encapsulate([codestream])
        ds["PixelData"].VR = "OB"
        ds["PixelData"].is_undefined_length = True
        return as_file(ds)

    return make


@pytest.fixture(scope="session")
def lut():
    """One item of a Modality or VOI LUT Sequence."""

    def make(entries, first: int, bits: int = 16, kind: str = "OTHER") -> Dataset:
        item = Dataset()
        item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries) % 65536, first, bits])
        item.add_new("LUTData", "OW", np.asarray(entries, "<u2").tobytes())
        if kind:
            item.ModalityLUTType = kind
        return item

    return make


@pytest.fixture(scope="session")
def as_picture():
    """uint8 or uint16 pixels as a PNG or JPEG file."""

    def write(pixels, suffix: str = ".png", *options: int) -> bytes:
        done, encoded = cv2.imencode(suffix, pixels, options)
        assert done
        return encoded.tobytes()

    return write


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


@pytest.fixture(scope="session")
def with_chunk():
    """A PNG with one chunk more, right behind the header."""

    def insert(png: bytes, name: bytes, body: bytes) -> bytes:
        return png[:33] + png_chunk(name, body) + png[33:]

    return insert


@pytest.fixture(scope="session")
def raw_png():
    """A PNG of our own making, for what OpenCV cannot write: any colour type, any depth."""

    def write(width, height, depth, colour_type, rows: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
        header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
        parts = itertools.chain([(b"IHDR", header)], chunks, [(b"IDAT", zlib.compress(rows, 1)), (b"IEND", b"")])
        return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*part) for part in parts)

    return write


@pytest.fixture(scope="session")
def exif():
    """EXIF data that say nothing but the orientation, from the TIFF header on."""

    def make(orientation: int, order: str = "<") -> bytes:
        head = b"II*\x00" if order == "<" else b"MM\x00*"
        return head + struct.pack(f"{order}IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)

    return make
