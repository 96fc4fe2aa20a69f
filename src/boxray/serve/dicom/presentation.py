"""A reading as a presentation state (GSPS): boxes and words that a viewer lays over the untouched radiograph.

Grey values are shown as the image itself says: its own window is repeated, as a state without one would take it away
(PS3.3 C.11.8). Coordinates have the same origin as in a reading (C.10.5.1.2).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from pydicom import Dataset

from boxray import __version__
from boxray.core.findings import LabelSpace
from boxray.core.reading import DISCLAIMER, Reading
from boxray.serve.dicom.report import closed_polyline
from boxray.serve.dicom.source import (
    MAKER,
    SERIES_NUMBER,
    instance_uid,
    reference,
    require_writer,
    series_uid,
    writing,
    written,
)

_KIND: Final = "PR"
_TOP: Final = (0.01, 0.01, 0.99, 0.05)
"""Where the caution stands: left, top, right, bottom as shares of what is displayed."""


def presentation_state(header: Dataset, reading: Reading, label_space: LabelSpace) -> bytes:
    """The presentation state as a DICOM file.

    Args:
        header: Of the radiograph, from `header_of`.
        reading: A result of it.
        label_space: Names of the findings.

    Raises:
        MissingExtra: If highdicom is not installed.
        ValueError: If the reading gives no result, or no detector took part.
        InputError: ``dicom.malformed`` if the header cannot be repeated, or is another image's.
    """
    require_writer()
    from highdicom import PresentationLUTTransformation
    from highdicom.pr import GraphicLayer, GrayscaleSoftcopyPresentationState

    image, detector = reference(header, reading), reading.models["detector"]
    with writing():
        layer = GraphicLayer("BOXRAY", order=1, description=f"{DISCLAIMER} {detector.name} {detector.version}"[:64])
        bright_is_low = str(image.get("PhotometricInterpretation", "")).strip() == "MONOCHROME1"
        state = GrayscaleSoftcopyPresentationState(
            referenced_images=[image],
            series_instance_uid=series_uid(_KIND, image, reading),
            series_number=SERIES_NUMBER + 1,
            sop_instance_uid=instance_uid(_KIND, image, reading),
            instance_number=int(image.get("InstanceNumber") or 1),
            manufacturer=MAKER,
            manufacturer_model_name=f"{detector.name} {detector.version}"[:64],
            software_versions=__version__,
            device_serial_number=detector.sha256,
            content_label="BOXRAY",
            content_description=DISCLAIMER,
            graphic_layers=[layer],
            graphic_annotations=[_annotation(image, reading, label_space, layer)],
            presentation_lut_transformation=PresentationLUTTransformation(
                presentation_lut_shape="INVERSE" if bright_is_low else "IDENTITY"
            ),
            series_description=DISCLAIMER,
        )
        state.BodyPartExamined = "CHEST"  # no paired part, so the series has no laterality (PS3.3 C.7.3.1)
        return written(state, header)


def _annotation(image: Dataset, reading: Reading, label_space: LabelSpace, layer: Any) -> Any:
    from highdicom.pr import (
        AnnotationUnitsValues,
        GraphicAnnotation,
        GraphicObject,
        GraphicTypeValues,
        TextJustificationValues,
        TextObject,
    )

    model = reading.models["detector"]
    said = f"{DISCLAIMER} {MAKER} {model.name} {model.version} ({model.sha256[:12]})"
    if reading.min_score is not None:
        said += f", boxes from a score of {reading.min_score:.4g} on"
    if not reading.detections:
        said += ". No box reached its threshold; this is not a statement of absence."
    texts = [TextObject(said, AnnotationUnitsValues.DISPLAY, _TOP, text_justification=TextJustificationValues.LEFT)]
    boxes = []
    size_wh = (int(image.Columns), int(image.Rows))
    for number, found in enumerate(reading.detections, start=1):
        corners = closed_polyline(found.box, size_wh)
        name = f"d{number} {label_space[found.finding].display} {found.score:.2f}"
        boxes.append(GraphicObject(GraphicTypeValues.POLYLINE, np.array(corners), AnnotationUnitsValues.PIXEL))
        texts.append(TextObject(name, AnnotationUnitsValues.PIXEL, anchor_point=corners[0], anchor_point_visible=False))
    return GraphicAnnotation([image], layer, graphic_objects=boxes or None, text_objects=texts)
