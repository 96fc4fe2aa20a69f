"""COVID-19 segmentations: cut-out masks become boxes, and a diagnosis tells what an opacity is."""

import cv2
import numpy as np
import pytest

from boxray.core.errors import DataError
from boxray.data.card import load_card
from boxray.data.sources import Download
from boxray.data.sources.covid_seg import (
    NEEDS_CAUSE,
    NO_CAUSE,
    boxes_of_mask,
    mask_of,
    read_mask,
    records,
    rows_by_image,
)
from making import write_chest, write_text

HEADER = "#,Taxonomy,Class,Template Name,File Folder,Filename,Image,Tag,Mask,Resolution,Top,Left,Width,Height,Points"


def write_mask(path, mask):
    """A cut-out as published: RGBA, transparent outside."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((*mask.shape, 4), np.uint8)
    pixels[mask > 0] = (30, 40, 50, 255)
    assert cv2.imwrite(str(path), pixels)
    return path


def two_lungs():
    """Two parts of 40 x 60 and 30 x 50, and a stroke of 5 x 5, in a cut-out of 200 x 100."""
    mask = np.zeros((100, 200), np.uint8)
    mask[10:70, 0:40] = mask[50:100, 150:180] = mask[0:5, 190:195] = 1
    return mask


def a_row(
    template="Ground Glass Opacities", *, mask="m1", top=20, left=30, width=200, height=100, resolution="943x751"
):
    return (
        f'1,,"COVID-19 {template}","{template}",,"case.1.jpeg",images/hash1.jpg,tags/{mask}.png,masks/{mask}.png,'
        f"{resolution},{top},{left},{width},{height},"
    )


def made_source(root, *rows, finding="COVID-19"):
    write_text(root / "structure.csv", HEADER, *(rows or (a_row(),)))
    write_text(root / "metadata.csv", "patientid,filename,finding,view", f"7,case.1.jpeg,{finding},PA,")
    write_mask(root / "masks" / "m1.png", two_lungs())
    return Download(root)


def test_each_connected_part_of_enough_pixels_is_a_box_in_the_images_frame(tmp_path):
    (record,) = records(made_source(tmp_path))

    assert (record.image, record.patient, record.frame_wh, record.view) == ("case.1", "7", (943, 751), "PA")
    assert record.labels == ("COVID-19",)
    assert [(box.label, box.xyxy) for box in record.boxes] == [
        ("Ground Glass Opacities|COVID-19", (30, 30, 70, 90)),
        ("Ground Glass Opacities|COVID-19", (180, 70, 210, 120)),
    ]


def test_the_smallest_part_that_counts_is_two_thousandths_of_the_image():
    mask = np.zeros((100, 100), np.uint8)
    mask[:4, :5] = 1  # 20 pixels of 10,000
    mask[50:54, 50:54] = 1  # 16

    assert boxes_of_mask(mask, (0, 0), 0.002 * mask.size) == [(0, 0, 5, 4)]


def test_a_mask_without_transparency_is_what_is_not_black(tmp_path):
    cv2.imwrite(str(tmp_path / "grey.png"), two_lungs() * 255)

    assert (read_mask(tmp_path / "grey.png", (200, 100)) == two_lungs()).all()


def test_structures_that_need_no_cause_are_called_by_their_name(tmp_path):
    (record,) = records(made_source(tmp_path, a_row("Right Lung")))

    assert {box.label for box in record.boxes} == {"Right Lung"}
    assert load_card("covid_seg").finding_of("Right Lung") == "right_lung"


def test_an_opacity_of_a_case_without_a_diagnosis_says_so(tmp_path):
    (record,) = records(made_source(tmp_path, finding=""))

    assert record.labels is None
    assert {box.label for box in record.boxes} == {f"Ground Glass Opacities|{NO_CAUSE}"}


def test_an_opacity_is_what_its_case_was_diagnosed_with():
    card = load_card("covid_seg")

    for structure in NEEDS_CAUSE:
        assert card.finding_of(f"{structure}|COVID-19, ARDS") == "covid"
        assert card.finding_of(f"{structure}|Klebsiella") == "pneumonia"
        assert card.finding_of(f"{structure}|ARDS") is None
        assert card.finding_of(f"{structure}|{NO_CAUSE}") is None
        assert {f"{structure}|{cause}" for cause in card.labels} <= {*card.boxes, *card.dropped_boxes}


@pytest.mark.parametrize("name", ["case.1.jpeg", "hash1.jpg"])
def test_the_picture_is_found_by_its_own_name_or_by_its_hash(tmp_path, name):
    picture = write_chest(tmp_path / "images" / name)

    (record,) = records(made_source(tmp_path))

    assert record.file == picture


@pytest.mark.parametrize(
    ("row", "message"),
    [
        pytest.param(a_row(mask="gone"), r"mask gone\.png: ", id="a-mask-that-is-missing"),
        pytest.param(a_row(width=201), r"mask m1\.png: expected 201 x 100 pixels", id="another-size"),
        pytest.param(a_row(left="far"), "image 'case.1': ", id="a-word"),
        pytest.param(a_row(resolution="943"), "image 'case.1': ", id="half-a-resolution"),
        pytest.param(a_row(resolution="0x751"), "image 'case.1': ", id="no-area"),
    ],
)
def test_a_row_that_places_no_mask_is_refused(tmp_path, row, message):
    with pytest.raises(DataError, match=message):
        list(records(made_source(tmp_path, row)))


def test_masks_of_one_image_in_two_resolutions_are_refused(tmp_path):
    with pytest.raises(DataError, match="different resolutions: 943x751, 944x751"):
        list(records(made_source(tmp_path, a_row(), a_row(resolution="944x751"))))


def test_a_torn_mask_is_refused(tmp_path):
    download = made_source(tmp_path)
    path = tmp_path / "masks" / "m1.png"
    path.write_bytes(path.read_bytes()[:-30])

    with pytest.raises(DataError, match=r"mask m1\.png: "):
        list(records(download))


def test_the_masks_of_a_structure_are_one_mask_in_the_images_frame(tmp_path):
    made_source(tmp_path, a_row("Right Lung"), a_row("Right Lung", top=-10, left=900), a_row("Left Lung"))
    rows = rows_by_image(tmp_path / "structure.csv")["case.1"]

    mask = mask_of(tmp_path, rows, "Right Lung")

    expected = np.zeros((751, 943), np.uint8)
    expected[20:120, 30:230] = two_lungs()
    expected[0:90, 900:943] |= two_lungs()[10:, :43]
    assert (mask == expected).all()
    assert mask_of(tmp_path, rows, "Airways") is None


def test_masks_of_one_structure_in_two_resolutions_are_refused(tmp_path):
    made_source(tmp_path, a_row("Right Lung"), a_row("Right Lung", resolution="900x751"))

    with pytest.raises(DataError, match=r"'Right Lung'.*different resolutions"):
        mask_of(tmp_path, rows_by_image(tmp_path / "structure.csv")["case.1"], "Right Lung")
