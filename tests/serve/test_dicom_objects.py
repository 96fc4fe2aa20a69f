"""DICOM objects of a reading, read back by pydicom and highdicom, and judged by dicom3tools where it is installed."""

import shutil
import subprocess
from dataclasses import replace
from io import BytesIO

import numpy as np
import pydicom
import pytest
from pydicom import Dataset

from boxray.core.boxes import Box
from boxray.core.errors import InputError, ModelError, Outcome
from boxray.core.reading import DISCLAIMER, Detection, ModelIdentity, Reading
from boxray.data.card import load_label_space
from boxray.serve.dicom import header_of, presentation_state, structured_report
from boxray.serve.dicom.source import uid_of
from serve.reading_room import a_chest_png
from serve.rest_room import DICOM, Room

hd_sr = pytest.importorskip("highdicom.sr", reason="the extra [pacs] is not installed")

SPACE = load_label_space("chest8")
W, H = 320, 240
EFFUSION = Detection("effusion", 0.8312, Box(30.25, 100.5, 140.75, 230.0))
PNEUMONIA = Detection("pneumonia", 0.41, Box(200.0, 20.0, 300.5, 90.25))


def a_reading(*found: Detection, **changes) -> Reading:
    detector = ModelIdentity("yolov8n", "0.2.1", "ab" * 32, {"effusion": 0.3})
    classifier = ModelIdentity("mobilenet", "0.2.0", "cd" * 32, {"effusion": 0.5})
    reading = Reading(
        "chest.dcm",
        Outcome.RESULT,
        size_wh=(W, H),
        detections=found,
        scores={"effusion": 0.91, "edema": 0.12},
        not_assessed={"detector": ("edema", "emphysema"), "classifier": ()},
        models={"detector": detector, "classifier": classifier},
    )
    return replace(reading, **changes)


def a_radiograph(**attributes) -> bytes:
    ds = Dataset()
    values = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1",
        "SOPInstanceUID": "1.2.3.4",
        "StudyInstanceUID": "1.2.3",
        "SeriesInstanceUID": "1.2.3.1",
        "Modality": "DX",
        "PatientName": "Müller^Jürgen",
        "PatientID": "P 17",
        "PatientBirthDate": "19600102",
        "PatientSex": "M",
        "PatientAge": "061Y",
        "StudyDate": "20240102",
        "StudyTime": "101500",
        "StudyDescription": "THORAX",
        "AccessionNumber": "A1",
        "ReferringPhysicianName": "Doc^Tor",
        "StudyID": "S1",
        "SpecificCharacterSet": "ISO_IR 192",
        "Rows": H,
        "Columns": W,
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "WindowCenter": "2048",
        "WindowWidth": "3000",
        "InstanceNumber": "3",
    }
    for keyword, value in (values | attributes).items():
        if value is not None:
            setattr(ds, keyword, value)
    ds.PixelData = bytes(2 * W * H)
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    file = BytesIO()
    ds.save_as(file, enforce_file_format=True)
    return file.getvalue()


def read_back(data: bytes) -> Dataset:
    return pydicom.dcmread(BytesIO(data))


def both(header: Dataset, reading: Reading) -> tuple[Dataset, Dataset]:
    return tuple(read_back(write(header, reading, SPACE)) for write in (structured_report, presentation_state))


def texts_of(item: Dataset) -> list[str]:
    said = [str(item.TextValue)] if "TextValue" in item else []
    return said + [text for inner in item.get("ContentSequence", []) for text in texts_of(inner)]


@pytest.fixture
def header() -> Dataset:
    return header_of(a_radiograph())


def test_only_a_dicom_file_with_its_uids_can_be_referred_to(header):
    assert "PixelData" not in header
    assert header_of(a_chest_png()) is None
    assert header_of(a_radiograph(StudyInstanceUID=None)) is None
    assert header_of(b"\0" * 128 + b"DICM" + b"\xff" * 40) is None


def test_highdicom_finds_every_box_at_its_place_with_score_and_algorithm(header):
    data = structured_report(header, a_reading(EFFUSION, PNEUMONIA), SPACE)

    report = hd_sr.srread(BytesIO(data))
    groups = report.content.get_planar_roi_measurement_groups()

    for group, found in zip(groups, (EFFUSION, PNEUMONIA), strict=True):
        x1, y1, x2, y2 = found.box.xyxy
        corners = [(x1, y1), (x2, y1), (x2, y2), (x1, y2), (x1, y1)]
        assert group.roi.value == pytest.approx(np.array(corners), abs=1e-3)
        (certainty,) = group.get_measurements()
        assert (certainty.value, certainty.unit.value) == (pytest.approx(100 * found.score), "%")
        text = " ".join(texts_of(group[0]))
        assert "yolov8n" in text
        assert "0.2.1" in text
        assert f"sha256 {'ab' * 32}" in text
    assert [group.finding_type and group.finding_type.value for group in groups] == ["60046008", None]
    assert "Pneumonia d2" in texts_of(groups[1][0])


def test_both_refer_to_the_image_and_repeat_patient_and_study(header):
    for made in both(header, a_reading(EFFUSION)):
        for keyword in (
            *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge", "StudyInstanceUID"),
            *("StudyDate", "StudyTime", "StudyDescription", "AccessionNumber", "StudyID", "ReferringPhysicianName"),
        ):
            assert made[keyword].value == header[keyword].value, keyword
        assert made.SeriesInstanceUID != header.SeriesInstanceUID
        assert str(header.SOPInstanceUID) in str(made)
        assert made.SeriesDescription == DISCLAIMER


def test_what_is_absent_in_the_header_is_empty_in_the_object():
    bare = header_of(a_radiograph(PatientID=None, StudyID=None, ReferringPhysicianName=None, InstanceNumber=None))

    for made in both(bare, a_reading(EFFUSION)):
        assert not made.PatientID
        assert not made.StudyID


def test_the_report_is_a_draft_that_says_so(header):
    report, _ = both(header, a_reading(EFFUSION))

    said = texts_of(report)

    assert (report.VerificationFlag, report.PreliminaryFlag, report.CompletionFlag) == (
        *("UNVERIFIED", "PRELIMINARY"),
        "PARTIAL",
    )
    assert DISCLAIMER in said
    assert any("Not assessed by the detector" in line and "Pulmonary edema, Emphysema" in line for line in said)
    assert any("not a statement of absence" in line and "Cardiomegaly" in line for line in said)
    assert any(line.startswith("Classifier: mobilenet 0.2.0, sha256 cdcd") for line in said)


def test_both_say_that_boxes_were_asked_for_from_another_score_on(header):
    report, state = both(header, a_reading(EFFUSION, min_score=0.05))

    asked = [line for line in texts_of(report) if line.startswith("Boxes were asked for")]
    (annotation,) = state.GraphicAnnotationSequence

    assert asked == ["Boxes were asked for from a score of 0.05 on, not from the thresholds below."]
    assert "boxes from a score of 0.05 on" in annotation.TextObjectSequence[0].UnformattedTextValue


def test_a_finding_that_is_not_assessed_is_in_no_code_and_in_no_line_about_missing_boxes(header):
    report, _ = both(header, a_reading())

    (line,) = [line for line in texts_of(report) if line.startswith("No box")]

    assert "edema" not in line
    assert "Emphysema" not in line
    assert "19242006" not in str(report)  # the code of pulmonary edema


def test_a_report_of_no_box_is_whole_and_counts_none(header):
    report = hd_sr.srread(BytesIO(structured_report(header, a_reading(), SPACE)))

    (group,) = report.content.get_image_measurement_groups()

    assert report.content.get_planar_roi_measurement_groups() == []
    assert group.get_measurements()[0].value == 0


def test_the_presentation_state_draws_the_boxes_of_the_reading_over_the_images_own_window(header):
    _, state = both(header, a_reading(EFFUSION, PNEUMONIA))

    (annotation,) = state.GraphicAnnotationSequence
    drawn = [np.reshape(each.GraphicData, (-1, 2)) for each in annotation.GraphicObjectSequence]
    words = [each.UnformattedTextValue for each in annotation.TextObjectSequence]

    for corners, found in zip(drawn, (EFFUSION, PNEUMONIA), strict=True):
        assert (*corners.min(0), *corners.max(0)) == pytest.approx(found.box.xyxy, abs=1e-3)
    assert words[0].startswith(f"{DISCLAIMER} boxray yolov8n 0.2.1 (abababababab)")
    assert words[1:] == ["d1 Pleural effusion 0.83", "d2 Pneumonia 0.41"]
    assert [float(lut.WindowWidth) for lut in state.SoftcopyVOILUTSequence] == [3000]
    assert state.PresentationLUTShape == "IDENTITY"
    assert state.DeviceSerialNumber == "ab" * 32


def test_an_image_whose_low_values_are_bright_stays_so():
    _, state = both(header_of(a_radiograph(PhotometricInterpretation="MONOCHROME1")), a_reading(EFFUSION))

    assert state.PresentationLUTShape == "INVERSE"


def test_a_box_that_reaches_beyond_the_image_ends_at_its_edge(header):
    beyond = Detection("effusion", 0.5, Box(-4.0, 10.0, 50.0, 300.0))

    _, state = both(header, a_reading(beyond))

    (box,) = state.GraphicAnnotationSequence[0].GraphicObjectSequence
    assert (min(box.GraphicData[::2]), max(box.GraphicData[1::2])) == (0, H)


def test_a_second_run_has_the_same_uids_and_another_reading_has_others(header):
    reading = a_reading(EFFUSION)

    first, again = (made.SOPInstanceUID for made in both(header, reading)), both(header, replace(reading, file="b"))
    other = both(header, a_reading(PNEUMONIA))

    assert list(first) == [made.SOPInstanceUID for made in again]
    assert not {made.SOPInstanceUID for made in again} & {made.SOPInstanceUID for made in other}
    assert again[0].SeriesInstanceUID == other[0].SeriesInstanceUID != again[1].SeriesInstanceUID


def test_a_uid_is_one_and_keeps_its_parts_apart():
    assert pydicom.uid.UID(uid_of("a", "b")).is_valid
    assert uid_of("a", "b") != uid_of("ab") != uid_of("b", "a")


@pytest.mark.parametrize("write", [structured_report, presentation_state])
def test_a_refusal_becomes_no_object(write, header):
    refused = Reading.not_answered("a", InputError("quality.blank", "nothing"))
    failed = Reading.not_answered("a", ModelError("no number", "model.not_finite"))

    for reading in (refused, failed):
        with pytest.raises(ValueError, match="only a result"):
            write(header, reading, SPACE)


@pytest.mark.parametrize("write", [structured_report, presentation_state])
def test_the_header_of_another_image_is_refused(write, header):
    with pytest.raises(InputError, match="header says"):
        write(header, a_reading(EFFUSION, size_wh=(W + 1, H)), SPACE)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("write", [structured_report, presentation_state])
def test_a_header_that_cannot_be_repeated_is_told_without_its_values(write, header):
    header.StudyDate = "secret"

    with pytest.raises(InputError) as refusal:
        write(header, a_reading(EFFUSION), SPACE)

    assert refusal.value.code.name == "dicom.malformed"
    assert "secret" not in str(refusal.value)


def test_a_letter_for_the_sex_that_the_standard_does_not_have_stays():
    for made in both(header_of(a_radiograph(PatientSex="U")), a_reading(EFFUSION)):
        assert made.PatientSex == "U"


@pytest.mark.parametrize("found", [(), (EFFUSION, PNEUMONIA)])
@pytest.mark.parametrize("write", [structured_report, presentation_state])
def test_dicom3tools_finds_no_error(write, found, header, tmp_path):
    if shutil.which("dciodvfy") is None:
        pytest.skip("no dciodvfy: install dicom3tools")
    file = tmp_path / "made.dcm"
    file.write_bytes(write(header, a_reading(*found), SPACE))

    done = subprocess.run(["dciodvfy", str(file)], capture_output=True, text=True, check=False)

    assert [line for line in done.stderr.splitlines() if line.startswith("Error")] == []


def test_of_the_header_only_what_objects_repeat_is_kept():
    data = pydicom.dcmread(BytesIO(a_radiograph(EncapsulatedDocument=bytes(2_000_000))))
    data.private_block(0x0011, "SOMEBODY", create=True).add_new(1, "LO", "a note")
    file = BytesIO()
    data.save_as(file)

    kept = header_of(file.getvalue())

    assert kept.PatientID == "P 17"
    assert "EncapsulatedDocument" not in kept
    assert not any(element.tag.is_private for element in kept)


def test_rest_gives_both_objects_of_a_dicom_file_and_none_of_a_picture():
    with Room().served() as door:
        made = door.post("/v1/readings", content=a_radiograph(Rows=300, Columns=280), headers=DICOM)
        place = made.headers["location"]
        report, state = (door.get(f"{place}/{name}.dcm") for name in ("sr", "gsps"))
        other = door.post("/v1/readings", content=a_chest_png(), headers={"content-type": "image/png"})
        none = door.get(f"{other.headers['location']}/sr.dcm")
        wrong = door.post("/v1/readings", content=a_radiograph(), headers=DICOM)
        refused = door.get(f"{wrong.headers['location']}/gsps.dcm")

    found = made.json()["detections"]
    assert report.headers["content-type"] == state.headers["content-type"] == "application/dicom"
    groups = hd_sr.srread(BytesIO(report.content)).content.get_planar_roi_measurement_groups()
    boxes = [(*group.roi.value.min(0), *group.roi.value.max(0)) for group in groups]
    assert np.allclose(boxes, [each["box_xyxy"] for each in found])
    assert len(read_back(state.content).GraphicAnnotationSequence[0].GraphicObjectSequence) == len(found) == 2
    assert (none.status_code, none.json()["code"]) == (404, "request.not_found")
    assert (refused.status_code, refused.json()["code"]) == (422, "dicom.malformed")
