"""VinDr-CXR: three readers, two publishers, and a frame that no table states."""

from collections import Counter

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

from boxray.core.errors import DataError
from boxray.core.findings import Presence
from boxray.core.frames import ScaleShift
from boxray.data.card import load_card
from boxray.data.sources import Download
from boxray.data.sources.vindr import records
from making import write_chest, write_text

KAGGLE = "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max"


@pytest.fixture(scope="module")
def published(shared):
    return list(records(Download(shared / "data" / "tables" / "vinbigdata")))


@pytest.mark.real
def test_the_kaggle_table_has_15000_images_of_three_readers_each_and_36096_boxes(published):
    labels = Counter(box.label for record in published for box in record.boxes)

    assert load_card("vindr").expected.model_dump() == {"images": 15000, "boxes": 36096}
    assert len(published) == 15000
    assert all(len(record.readers) == 3 for record in published)
    assert len({reader for record in published for reader in record.readers}) == 17
    assert labels.total() == 36096
    assert (labels["Cardiomegaly"], labels["Pleural effusion"], labels["Atelectasis"]) == (5427, 2476, 279)
    assert sum(bool(record.boxes) for record in published) == 4394


@pytest.mark.real
def test_no_finding_is_a_label_where_all_three_say_so_and_every_label_is_in_the_card(published):
    card = load_card("vindr")
    labels = Counter(label for record in published for label in record.labels)

    assert labels["No finding"] + labels["No finding (disputed)"] >= 10606
    assert sum(record.labels == ("No finding",) for record in published) == 10606
    assert labels.keys() <= card.labels.keys()
    assert {card.finding_of(box.label) for record in published for box in record.boxes} == {
        "atelectasis",
        "cardiomegaly",
        "effusion",
        "nodule_or_mass",
        None,
    }


@pytest.mark.real
def test_as_many_readers_saw_cardiomegaly_as_were_counted_elsewhere(published):
    saw = [{box.reader for box in record.boxes if box.label == "Cardiomegaly"} for record in published]

    assert Counter(map(len, saw)) == {0: 12700, 1: 483, 2: 520, 3: 1297}
    assert all(seen <= set(record.readers) for seen, record in zip(saw, published, strict=True))


@pytest.mark.real
def test_pictures_that_are_not_here_need_no_frame(published):
    assert {(record.file, record.frame_wh) for record in published} == {(None, None)}


def made_kaggle(root):
    return write_text(
        root / "train.csv",
        KAGGLE,
        "b,No finding,14,R11,,,,",
        "a,Cardiomegaly,3,R10,691.0,1375.0,1653.0,1831.0",
        "a,Cardiomegaly,3,R9,700,1380,1650,1830",
        "a,No finding,14,R2,,,,",
        "b,No finding,14,R7,,,,",
    ).parent


def write_dicom(path, columns, rows):
    """A header without pixels: nobody here may ask for any."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = ComputedRadiographyImageStorage, generate_uid()
    ds.Columns, ds.Rows = columns, rows
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return path


def test_readers_who_found_nothing_count_and_their_statement_is_no_box(tmp_path):
    first, second = records(Download(made_kaggle(tmp_path)))

    assert (first.image, first.patient, first.readers) == ("a", "a", ("R10", "R2", "R9"))
    assert [(box.label, box.xyxy, box.reader) for box in first.boxes] == [
        ("Cardiomegaly", (691, 1375, 1653, 1831), "R10"),
        ("Cardiomegaly", (700, 1380, 1650, 1830), "R9"),
    ]
    assert first.labels == ("Cardiomegaly", "No finding (disputed)")
    assert (second.boxes, second.labels, second.readers) == ((), ("No finding",), ("R11", "R7"))


@pytest.mark.parametrize("name", ["a.dicom", "a.dcm"])
def test_the_frame_is_read_from_the_header_of_a_dicom(tmp_path, name):
    write_dicom(made_kaggle(tmp_path) / "train" / name, 2304, 2880)

    first, _ = records(Download(tmp_path))

    assert first.frame_wh == (2304, 2880)


def test_sizes_csv_is_asked_first_and_gives_a_re_posted_png_its_frame(tmp_path):
    write_chest(made_kaggle(tmp_path) / "images" / "a.png")
    write_text(tmp_path / "sizes.csv", "image_id,width,height", "a,2304,2880")

    first, _ = records(Download(tmp_path))

    assert first.frame_wh == (2304, 2880)


def test_boxes_on_a_re_posted_png_of_unknown_original_size_are_refused_with_what_to_supply(tmp_path):
    write_chest(made_kaggle(tmp_path) / "images" / "a.dicom.png").rename(tmp_path / "images" / "a.dicom")

    with pytest.raises(DataError, match=r"'a' are in pixels.* is a PNG.*supply sizes\.csv \(image_id,width,height\)"):
        list(records(Download(tmp_path)))


def test_a_re_posted_png_without_boxes_needs_no_size(tmp_path):
    write_chest(made_kaggle(tmp_path) / "images" / "b.png")

    assert [record.frame_wh for record in records(Download(tmp_path))] == [None, None]


@pytest.mark.parametrize("content", [b"", b"no picture", bytes(128) + b"DICM", bytes(128) + b"DICM" + b"\xff" * 60])
def test_a_file_that_no_decoder_will_read_is_left_to_it(tmp_path, content):
    path = made_kaggle(tmp_path) / "images" / "a.dicom"
    path.parent.mkdir()
    path.write_bytes(content)

    first, _ = records(Download(tmp_path))

    assert (first.file, first.frame_wh) == (path, None)


LOCAL = ("Cardiomegaly", "Edema", "Nodule/Mass")
GLOBAL = ("Pneumonia", "Tuberculosis", "Other diseases", "No finding")


def made_physionet(root, *, folder="annotations"):
    write_text(
        root / folder / "annotations_train.csv",
        "image_id,rad_id,class_name,x_min,y_min,x_max,y_max",
        "a,R8,Edema,10,20,30,40",
        "a,R9,No finding,,,,",
        "a,R10,No finding,,,,",
        "b,R8,No finding,,,,",
    )
    write_text(
        root / folder / "image_labels_train.csv",
        ",".join(("image_id", "rad_id", *LOCAL, *GLOBAL)),
        "a,R8,0,1,0,1,0,0,0",
        "a,R9,0,0,0,1,1,0,1",
        "a,R10,0,0,0,0,0,0,1",
        "b,R8,0,0,0,0,0,0,1",
    )
    write_text(root / folder / "annotations_test.csv", "image_id,class_name,x_min,y_min,x_max,y_max", "c,Edema,1,2,3,4")
    labels = [name.replace("diseases", "disease") for name in (*LOCAL, *GLOBAL)]
    write_text(root / folder / "image_labels_test.csv", ",".join(("image_id", *labels)), "c,0,1.0,0,0,0,1.0,0")
    return root


@pytest.mark.parametrize("folder", ["annotations", "."])
def test_physionet_tells_edema_by_boxes_and_pneumonia_by_what_most_readers_say(tmp_path, folder):
    a, b, c = records(Download(made_physionet(tmp_path, folder=folder)))

    assert a.readers == ("R10", "R8", "R9")
    assert [(box.label, box.reader) for box in a.boxes] == [("Edema", "R8")]
    assert a.labels == ("Edema", "No finding", "Pneumonia", "Tuberculosis (disputed)")
    assert (b.labels, b.split) == (("No finding",), "train")
    assert (c.readers, c.split, c.labels) == (("consensus",), "test", ("Edema", "Other disease"))
    assert c.boxes[0].reader == "consensus"


def test_every_label_that_physionet_can_give_is_in_its_card():
    card = load_card("vindr_physionet")
    local = [*card.boxes, *(label for label in card.dropped_boxes if label != "No finding")]

    assert len(local) == 22
    for label in (*local, "COPD", "Lung tumor", "Pneumonia", "Tuberculosis", "Other diseases", "No finding"):
        assert Presence.PRESENT not in card.labels[f"{label} (disputed)"].values()
        assert label in card.labels
    assert card.labels["Pneumonia"] == {"pneumonia": Presence.PRESENT}
    assert {"edema", "emphysema"} <= set(card.exhaustive)


def test_without_the_image_labels_nobody_may_call_pneumonia_absent(tmp_path):
    (made_physionet(tmp_path) / "annotations" / "image_labels_train.csv").unlink()

    with pytest.raises(DataError, match=r"expected image_labels_train\.csv beside annotations_train\.csv"):
        list(records(Download(tmp_path)))


def test_an_image_with_boxes_and_no_row_of_labels_is_refused(tmp_path):
    header = ",".join(("image_id", "rad_id", *LOCAL, *GLOBAL))
    write_text(made_physionet(tmp_path) / "annotations" / "image_labels_train.csv", header, "b,R8,0,0,0,0,0,0,1")

    with pytest.raises(DataError, match=r"image_labels_train\.csv: image 'a' of annotations_train\.csv has no row"):
        list(records(Download(tmp_path)))


@pytest.mark.parametrize("corners", ["1,2,3,", "1,2,3,nan", "1,2,3,wide", "1,2,3,1e999"])
def test_corners_that_are_none_are_refused_with_their_image(tmp_path, corners):
    write_text(tmp_path / "train.csv", KAGGLE, f"a,Cardiomegaly,3,R8,{corners}")

    with pytest.raises(DataError, match=r"train\.csv: image 'a': expected four corners"):
        list(records(Download(tmp_path)))


def test_the_frame_maps_corners_to_the_picture_at_hand(tmp_path):
    """The point of it all: a box of the DICOM lands where it belongs on a picture of another size."""
    write_chest(made_kaggle(tmp_path) / "images" / "a.png", (576, 720))
    write_text(tmp_path / "sizes.csv", "image_id,width,height", "a,2304,2880")
    first, _ = records(Download(tmp_path))

    mapped = ScaleShift.between(first.frame_wh, (576, 720)).apply(np.array([first.boxes[0].xyxy]))

    assert mapped[0].tolist() == [172.75, 343.75, 413.25, 457.75]
