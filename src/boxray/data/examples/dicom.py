"""Composites as DICOM: the Digital X-Ray object of PS3.3 A.26, every word of its header invented and said so."""

from __future__ import annotations

from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    UID,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    ExplicitVRLittleEndian,
)

from boxray.core.arrays import FloatArray, IntArray

N_BITS = 12
BLACK, WHITE = 200, 3800
"""Stored values that the window shows as black and as white; there is room on both sides of it."""
SPACING_MM = 0.34
"""Invented: with it, lungs are some 29 cm wide."""


def stored_values(pixels: FloatArray) -> IntArray:
    """Shades in [0, 1] as 12-bit values between `BLACK` and `WHITE`; a little beyond them survives."""
    values: IntArray = np.round(BLACK + pixels * (WHITE - BLACK)).clip(0, 2**N_BITS - 1).astype(np.uint16)
    return values


def for_presentation(
    name: str, number: int, stored: IntArray, description: str, *, inverted: bool, laterality: str = "U"
) -> Dataset:
    """A radiograph to be read: DX for presentation, with a window.

    Args:
        name: Of the example; stands in the patient's name after SYNTHETIC.
        number: Of the example; stands in the patient's ID.
        stored: Shape ``(H, W)``, 12 bits, bright meaning dense.
        description: How it was made, for Derivation Description.
        inverted: Write it as MONOCHROME1, stored values turned round. It shows the same picture.
        laterality: Image Laterality; a chest is U, unpaired.
    """
    ds = _header(name, number, description)
    ds.SOPClassUID = DigitalXRayImageStorageForPresentation
    ds.PresentationIntentType = "FOR PRESENTATION"
    ds.ImageLaterality = laterality
    ds.PixelIntensityRelationship = "LOG"
    top = 2**N_BITS - 1
    centre = (BLACK + WHITE) / 2
    ds.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    ds.PresentationLUTShape = "INVERSE" if inverted else "IDENTITY"
    ds.PixelIntensityRelationshipSign = 1 if inverted else -1
    ds.WindowCenter = top - centre if inverted else centre
    ds.WindowWidth = WHITE - BLACK
    ds.WindowCenterWidthExplanation = "NORMAL"
    _add_pixels(ds, top - stored if inverted else stored)
    return ds


def for_processing(name: str, number: int, stored: IntArray, description: str) -> Dataset:
    """What a detector hands to its own software: DX for processing, air bright, no window. Not to be read."""
    ds = _header(name, number, description)
    ds.SOPClassUID = DigitalXRayImageStorageForProcessing
    ds.PresentationIntentType = "FOR PROCESSING"
    ds.ImageLaterality = "U"
    ds.PixelIntensityRelationship = "LIN"
    ds.PixelIntensityRelationshipSign = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.PresentationLUTShape = "IDENTITY"
    _add_pixels(ds, stored)
    return ds


def save(ds: Dataset, path: Path, transfer_syntax: UID) -> None:
    """Write a Part 10 file, its pixels compressed without loss."""
    instance = _uid(str(ds.PatientID), "instance")
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = instance
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPInstanceUID = instance
    ds.file_meta = meta
    ds.compress(transfer_syntax, generate_instance_uid=False)
    ds.save_as(path, enforce_file_format=True)


def _header(name: str, number: int, description: str) -> Dataset:
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientName = f"SYNTHETIC^{name.upper()}"
    ds.PatientID = f"SYNTHETIC-{number}"
    ds.PatientBirthDate = ""
    ds.PatientSex = "O"
    ds.PatientComments = "SYNTHETIC. Nobody. Composite of many films; research use only."
    ds.StudyInstanceUID = _uid(ds.PatientID, "study")
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = "20260101"
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = "120000"
    ds.AccessionNumber = ""
    ds.ReferringPhysicianName = ""
    ds.StudyID = f"SYNTHETIC-{number}"
    ds.StudyDescription = "SYNTHETIC composite, research use only"
    ds.SeriesInstanceUID = _uid(ds.PatientID, "series")
    ds.SeriesNumber = 1
    ds.SeriesDescription = "SYNTHETIC composite, research use only"
    ds.Modality = "DX"
    ds.Manufacturer = "boxray"
    ds.ManufacturerModelName = "boxray data examples"
    ds.InstitutionName = "SYNTHETIC"
    ds.ContentQualification = "RESEARCH"
    ds.InstanceNumber = 1
    ds.ImageType = ["DERIVED", "PRIMARY", ""]
    ds.DerivationDescription = description
    ds.ImageComments = "SYNTHETIC composite, research use only"
    ds.AcquisitionContextSequence = []
    ds.BodyPartExamined = "CHEST"
    ds.AnatomicRegionSequence = [_code("51185008", "Thorax")]
    ds.ViewPosition = "PA"
    ds.ViewCodeSequence = [_code("272479007", "Postero-anterior projection")]
    ds.ViewCodeSequence[0].ViewModifierCodeSequence = []
    ds.PatientOrientation = ["L", "F"]
    ds.DetectorType = ""
    ds.ImagerPixelSpacing = [SPACING_MM, SPACING_MM]
    ds.PixelSpacing = [SPACING_MM, SPACING_MM]
    ds.BurnedInAnnotation = "NO"
    # PS3.3 C.7.6.1.1.5: what was derived from JPEG files stays marked. NIH: 731 films of 640 x 640 in 40.0 MB.
    ds.LossyImageCompression = "01"
    ds.LossyImageCompressionRatio = 7.5
    ds.LossyImageCompressionMethod = "ISO_10918_1"
    return ds


def _add_pixels(ds: Dataset, stored: IntArray) -> None:
    ds.SamplesPerPixel = 1
    ds.Rows, ds.Columns = stored.shape
    ds.BitsAllocated = 16
    ds.BitsStored = N_BITS
    ds.HighBit = N_BITS - 1
    ds.PixelRepresentation = 0
    ds.RescaleIntercept = 0
    ds.RescaleSlope = 1
    ds.RescaleType = "US"
    ds.PixelData = stored.astype("<u2").tobytes()


def _code(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue = value
    code.CodingSchemeDesignator = "SCT"
    code.CodeMeaning = meaning
    return code


def _uid(patient: str, level: str) -> UID:
    """The same example has the same UIDs, on every machine and at every time."""
    name = uuid5(NAMESPACE_URL, f"boxray/example/{patient}/{level}")
    return UID(f"2.25.{name.int}")  # a UUID as a UID (PS3.5 B.2); pydicom's generate_uid draws one at random
