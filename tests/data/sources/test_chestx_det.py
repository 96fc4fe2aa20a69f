"""ChestX-Det: a second reading of NIH images, under names that hide them."""

import json
from collections import Counter

import numpy as np
import pytest

from boxray.core.errors import DataError
from boxray.data.card import load_card
from boxray.data.sources import Download
from boxray.data.sources.chestx_det import FRAME_WH, records
from boxray.data.sources.nih import read_boxes
from making import write_chest, write_text


@pytest.fixture(scope="module")
def published(shared):
    """The real tables, with NIH's pictures."""
    data = shared / "data"
    return list(records(Download(data / "chestx_det", data / "nih" / "images")))


@pytest.mark.real
def test_the_two_parts_have_3025_and_553_images_with_7905_and_1734_boxes(published):
    images = Counter(record.split for record in published)
    boxes = Counter({part: sum(len(r.boxes) for r in published if r.split == part) for part in images})

    assert images == {"train": 3025, "test": 553}
    assert boxes == {"train": 7905, "test": 1734}
    assert load_card("chestx_det").expected.model_dump() == {"images": images.total(), "boxes": boxes.total()}
    assert sum(not record.boxes for record in published) == 547 + 64
    assert len({record.image for record in published}) == len(published)


@pytest.mark.real
def test_the_findings_have_the_counts_that_were_counted_elsewhere(published):
    labels = Counter(box.label for record in published for box in record.boxes)

    assert (labels["Effusion"], labels["Emphysema"]) == (1734 + 378, 232 + 66)
    assert (labels["Cardiomegaly"], labels["Atelectasis"]) == (223 + 70, 289 + 51)


@pytest.mark.real
def test_68_pictures_are_found_among_those_of_nih_and_the_official_split_shares_271_patients(published):
    patients = {part: {r.patient for r in published if r.split == part} for part in ("train", "test")}
    mapped = [record for record in published if len(record.image) == len("00000004_000")]

    assert len(mapped) == 3543
    assert all(record.patient == record.image[:8] for record in mapped)
    assert sum(record.file is not None for record in published) == 68
    assert len(patients["train"] & patients["test"]) == 271
    assert not load_card("chestx_det").splits


@pytest.mark.real
def test_a_mapped_image_is_the_one_that_nih_boxed_too(published, shared):
    """NIH's boxes are an independent reading: on the right image most cardiomegaly boxes of the two overlap."""
    nih = read_boxes(shared / "data" / "nih" / "BBox_List_2017.csv")
    overlaps = []
    for record in published:
        for theirs in nih.get(record.image, ()):
            mine = [box.xyxy for box in record.boxes if box.label == theirs.label == "Cardiomegaly"]
            overlaps += [_iou(box, theirs.xyxy) for box in mine]

    assert sorted(round(overlap, 2) for overlap in overlaps) == [0.45, 0.5, 0.57, 0.7]


def _iou(one, other):
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    shared = np.prod(np.clip(high - low, 0, None))
    sizes = [np.prod(np.subtract(box[2:], box[:2])) for box in (one, other)]
    return shared / (sum(sizes) - shared)


@pytest.mark.real
def test_every_label_of_the_real_tables_is_in_the_card_and_no_box_leaves_its_frame(published):
    card = load_card("chestx_det")

    for record in published:
        assert set(record.labels) <= card.labels.keys()
        for box in record.boxes:
            card.finding_of(box.label)
            assert 0 <= min(box.xyxy) <= max(box.xyxy) <= FRAME_WH[0]


def a_row(name, *boxes):
    return {"file_name": name, "syms": [sym for sym, _ in boxes], "boxes": [box for _, box in boxes], "polygons": []}


def made_source(root, train=(), test=(), names=None):
    write_text(root / "ChestX_Det_train.json", json.dumps(list(train)))
    write_text(root / "ChestX_Det_test.json", json.dumps(list(test)))
    write_text(root / "chestxdet_to_nih.json", json.dumps(names or {}))
    return root


def test_an_image_is_called_by_its_nih_name_where_that_is_known(tmp_path):
    train = [a_row("36204.png", ("Cardiomegaly", [387, 497, 752, 734]), ("Nodule", [233, 666, 258, 693]))]
    test = [a_row("45677.png")]
    root = made_source(tmp_path / "det", train, test, {"36204.png": "00000010_000.png"})
    nih = write_chest(tmp_path / "nih" / "images" / "00000010_000.jpg")

    mapped, own = records(Download(root, tmp_path / "nih" / "images"))

    assert (mapped.image, mapped.patient, mapped.file) == ("00000010_000", "00000010", nih)
    assert (mapped.frame_wh, mapped.split, mapped.readers) == ((1024, 1024), "train", ("consensus",))
    assert mapped.labels == ("Cardiomegaly", "Nodule")
    assert [(box.label, box.xyxy, box.reader) for box in mapped.boxes] == [
        ("Cardiomegaly", (387, 497, 752, 734), "consensus"),
        ("Nodule", (233, 666, 258, 693), "consensus"),
    ]
    assert (own.image, own.patient, own.file, own.boxes, own.labels) == ("45677", "45677", None, (), ())


def test_pictures_of_its_own_are_found_under_its_own_names(tmp_path):
    root = made_source(tmp_path, [a_row("36204.png")], names={"36204.png": "00000010_000.png"})
    own = write_chest(root / "images" / "train_data" / "36204.png")

    (record,) = records(Download(root))

    assert (record.image, record.file) == ("00000010_000", own)


@pytest.mark.parametrize(
    "train",
    [
        pytest.param([{"file_name": "1.png", "syms": ["Mass"], "boxes": []}], id="a-name-without-a-box"),
        pytest.param([{"file_name": "1.png", "syms": ["Mass"], "boxes": [[1, 2, 3]]}], id="three-corners"),
        pytest.param([{"file_name": "1.png", "syms": ["Mass"]}], id="no-boxes"),
        pytest.param([{"file_name": "1.png", "syms": [["Mass"]], "boxes": [[1, 2, 3, 4]]}], id="a-list-for-a-name"),
        pytest.param([a_row("1.png"), a_row("1.png")], id="an-image-twice"),
        pytest.param([3], id="a-number"),
        pytest.param({"a": 1}.items(), id="pairs"),
    ],
)
def test_what_is_not_its_list_is_refused_by_name(tmp_path, train):
    with pytest.raises(DataError, match=r"ChestX_Det_train\.json: not the list of ChestX-Det"):
        list(records(Download(made_source(tmp_path, train))))


def test_a_map_of_something_else_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"chestxdet_to_nih\.json: expected names of NIH"):
        list(records(Download(made_source(tmp_path, names={"1.png": 7}))))
