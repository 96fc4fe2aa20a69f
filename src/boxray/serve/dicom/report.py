"""A reading as a structured report: Comprehensive SR, template TID 1500 (PS3.16), one group for each box.

A box is a closed polyline in image coordinates, whose origin is the outer corner of the top-left pixel (PS3.3
C.18.6.1.2), as in a reading. A finding is coded where its label space has a code; else only words name it. What has no
box gets no group: nothing in the report says that a finding is absent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from pydicom import Dataset

from boxray import __version__
from boxray.core.boxes import Box
from boxray.core.findings import LabelSpace
from boxray.core.reading import DISCLAIMER, Detection, ModelIdentity, Reading
from boxray.serve.dicom.source import (
    MAKER,
    SERIES_NUMBER,
    instance_uid,
    reference,
    require_writer,
    series_uid,
    uid_of,
    writing,
    written,
)

_KIND: Final = "SR"
_BOXES: Final = ("boxes", "99BOXRAY", "Boxes that reached their threshold")
"""Our own concept under a private scheme, as PS3.16 8.2 allows."""


def structured_report(header: Dataset, reading: Reading, label_space: LabelSpace) -> bytes:
    """The report as a DICOM file.

    Args:
        header: Of the radiograph, from `header_of`.
        reading: A result of it.
        label_space: Names and codes of the findings.

    Raises:
        MissingExtra: If highdicom is not installed.
        ValueError: If the reading gives no result, or no detector took part.
        InputError: ``dicom.malformed`` if the header cannot be repeated, or is another image's.
    """
    require_writer()
    from highdicom.sr import ComprehensiveSR

    image = reference(header, reading)
    silent = any(reading.not_assessed.values())
    with writing():
        report = ComprehensiveSR(
            evidence=[image],
            content=_content(image, reading, label_space),
            series_instance_uid=series_uid(_KIND, image, reading),
            series_number=SERIES_NUMBER,
            sop_instance_uid=instance_uid(_KIND, image, reading),
            instance_number=int(image.get("InstanceNumber") or 1),
            manufacturer=MAKER,
            manufacturer_model_name=_of_all(reading),
            software_versions=__version__,
            is_complete=not silent,
            is_final=False,
            is_verified=False,
            series_description=DISCLAIMER,
        )
        _name_scheme(report)
        return written(report, header)


def _content(image: Dataset, reading: Reading, label_space: LabelSpace) -> Dataset:
    from highdicom.sr import (
        DeviceObserverIdentifyingAttributes,
        MeasurementReport,
        ObservationContext,
        ObserverContext,
        RelationshipTypeValues,
        TextContentItem,
    )
    from pydicom.sr.codedict import codes

    detector = reading.models["detector"]
    device = DeviceObserverIdentifyingAttributes(
        uid=uid_of("device", detector.sha256),
        name=f"{MAKER} {__version__}",
        manufacturer_name=MAKER,
        model_name=f"{detector.name} {detector.version}",
        serial_number=detector.sha256,
    )
    groups = [_count(image, reading)]
    for number, found in enumerate(reading.detections, start=1):
        groups.append(_group(image, f"d{number}", found, label_space, detector))
    report = MeasurementReport(
        ObservationContext(observer_device_context=ObserverContext(codes.DCM.Device, device)),
        procedure_reported=codes.DCM.DigitalRadiography,
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    root: Dataset = report[0]
    for line in told(reading, label_space):
        root.ContentSequence.append(TextContentItem(codes.DCM.Comment, line, RelationshipTypeValues.CONTAINS))
    return root


def told(reading: Reading, label_space: LabelSpace) -> list[str]:
    """What stands in the report in words: the caution first, then what boxes cannot say."""
    states = reading.states(label_space)
    without = [label_space[key].display for key, state in states.items() if state == "no box"]
    uncoded = {det.finding for det in reading.detections if label_space[det.finding].code is None}
    lines = [DISCLAIMER]
    if reading.min_score is not None:
        lines.append(f"Boxes were asked for from a score of {reading.min_score:.4g} on, not from the thresholds below.")
    if without:
        lines.append(f"No box reached its threshold for: {', '.join(without)}. This is not a statement of absence.")
    for role, silent in reading.not_assessed.items():
        if silent:
            names = ", ".join(label_space[key].display for key in silent if key in label_space)
            lines.append(f"Not assessed by the {role}, so its silence means nothing: {names}.")
    if uncoded:
        names = ", ".join(label_space[key].display for key in label_space.keys if key in uncoded)
        lines.append(f"Named in words alone, as no checked code is known: {names}.")
    if reading.scores:
        scores = ", ".join(f"{label_space[key].display} {score:.2f}" for key, score in reading.scores.items())
        lines.append(f"Scores of the classifier, which draws no box: {scores}.")
    lines += [f"{role.capitalize()}: {_identity(model)}" for role, model in reading.models.items()]
    return [*lines, *reading.notes]


def _identity(model: ModelIdentity) -> str:
    at = ", ".join(f"{key} {score:.4g}" for key, score in model.thresholds.items())
    return f"{model.name} {model.version}, sha256 {model.sha256}" + (f", thresholds: {at}" if at else "")


def _count(image: Dataset, reading: Reading) -> Any:
    """The group of the whole image: how many boxes there are, so that a report without one is whole too."""
    from highdicom.sr import (
        Measurement,
        MeasurementsAndQualitativeEvaluations,
        SourceImageForMeasurementGroup,
        TrackingIdentifier,
    )
    from pydicom.sr.codedict import codes
    from pydicom.sr.coding import Code

    return MeasurementsAndQualitativeEvaluations(
        TrackingIdentifier(uid_of("image", instance_uid(_KIND, image, reading)), "whole radiograph"),
        measurements=[Measurement(Code(*_BOXES), len(reading.detections), codes.UCUM.NoUnits)],
        source_images=[SourceImageForMeasurementGroup(image.SOPClassUID, image.SOPInstanceUID)],
        algorithm_id=_algorithm(reading.models["detector"]),
    )


def _group(image: Dataset, name: str, found: Detection, label_space: LabelSpace, detector: ModelIdentity) -> Any:
    from highdicom.sr import (
        GraphicTypeValues,
        ImageRegion,
        Measurement,
        PlanarROIMeasurementsAndQualitativeEvaluations,
        SourceImageForRegion,
        TrackingIdentifier,
    )
    from pydicom.sr.codedict import codes
    from pydicom.sr.coding import Code

    finding = label_space[found.finding]
    corners = closed_polyline(found.box, (int(image.Columns), int(image.Rows)))
    source = SourceImageForRegion(image.SOPClassUID, image.SOPInstanceUID)
    key = (str(image.SOPInstanceUID), detector.sha256, name, found.finding, str(corners))
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        TrackingIdentifier(uid_of("box", *key), f"{finding.display} {name}"),
        referenced_region=ImageRegion(GraphicTypeValues.POLYLINE, np.array(corners), source),
        finding_type=None if finding.code is None else Code(*finding.code),
        algorithm_id=_algorithm(detector),
        measurements=[Measurement(codes.DCM.CertaintyOfFinding, round(100 * found.score, 2), codes.UCUM.Percent)],
        geometric_purpose=codes.SCT.BoundedBy,
    )


def _algorithm(model: ModelIdentity) -> Any:
    from highdicom.sr import AlgorithmIdentification

    return AlgorithmIdentification(model.name, model.version, parameters=[f"sha256 {model.sha256}"])


def closed_polyline(box: Box, size_wh: tuple[int, int]) -> Sequence[tuple[float, float]]:
    """Five corners, the last one the first again: the form that viewers draw as a rectangle.

    Args:
        box: In the image's frame; what lies outside of the image is cut off, as DICOM has no place for it.
        size_wh: Of the image.
    """
    width, height = size_wh
    x1, x2 = (min(max(value, 0.0), float(width)) for value in (box.x1, box.x2))
    y1, y2 = (min(max(value, 0.0), float(height)) for value in (box.y1, box.y2))
    return [(x1, y1), (x2, y1), (x2, y2), (x1, y2), (x1, y1)]


def _of_all(reading: Reading) -> str:
    """Names of the models, in the 64 characters that the attribute has."""
    return ", ".join(f"{model.name} {model.version}" for model in reading.models.values())[:64]


def _name_scheme(report: Dataset) -> None:
    """A private coding scheme is named in the object that uses it (PS3.3 C.12.1.1)."""
    scheme = Dataset()
    scheme.CodingSchemeDesignator = _BOXES[1]
    scheme.CodingSchemeName = "Concepts of boxray"
    scheme.CodingSchemeResponsibleOrganization = MAKER
    report.CodingSchemeIdentificationSequence = [scheme]
