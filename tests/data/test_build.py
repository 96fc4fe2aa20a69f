"""BUILD end to end on made sources: every image and box is built or counted with its reason."""

import json
import shutil
from pathlib import Path
from threading import Barrier

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml

from boxray.core.errors import DataError
from boxray.core.findings import Presence
from boxray.data.books import Books
from boxray.data.build import build
from boxray.data.datasets_file import read_datasets_file
from boxray.data.gather import Gatherer
from boxray.data.manifest import Manifest
from boxray.data.pictures import Shelf
from boxray.data.record import Record
from boxray.imaging.child import DecodingChild
from boxray.imaging.children import DecodingChildren
from boxray.imaging.read import decode
from making import a_card, chest, label_space, write_card, write_chest, write_coco, write_text

LUNGS = """
name: lungs
findings:
  - {key: right_lung, display: Right lung, box: the lung, colour: "#112233"}
  - {key: left_lung, display: Left lung, box: the lung, colour: "#332211"}
"""
LUNG_CARD = {
    "layout": "coco",
    "boxes": {"Right Lung": "right_lung", "Left Lung": "left_lung"},
    "dropped_boxes": {"(none)": "the table does not say which lung it is"},
    "exhaustive": ["right_lung", "left_lung"],
}


def a_project(folder, sources, *, label_space="chest8", cards=None, **changes):
    """A datasets file, its cards, and a function that builds them into a folder of that name."""
    for key, card in (cards or {}).items():
        write_card(folder / "cards", key, **card)
    content = {"label_space": label_space, "sources": sources} | changes
    write_text(folder / "datasets.yaml", yaml.safe_dump(content, sort_keys=False))

    def build_into(name="built"):
        datasets = read_datasets_file(folder / "datasets.yaml")
        built = build(datasets, folder / name, cards=folder / "cards" if cards else None)
        return built.manifest, list(built.books.values())

    return build_into


@pytest.fixture(scope="module")
def many_sources(tmp_path_factory):
    """Every layout in miniature, with all that goes wrong in a download; built once."""
    folder = tmp_path_factory.mktemp("project")
    make_nih(folder / "nih")
    make_tbx11k(folder / "tbx11k")
    make_siim(folder / "siim")
    make_yolo(folder / "yolo")
    sources = {name: {"card": name, "root": name} for name in ("nih", "tbx11k", "siim", "yolo")}
    manifest, audits = a_project(folder, sources)()
    return manifest, {audit.card.key: audit for audit in audits}


def make_nih(root):
    """Three images with boxes: one here (at 640 px), one torn, one not here; one box is no finding of ours."""
    header = "Image Index,Finding Labels,Patient ID,View Position"
    write_text(
        root / "BBox_List_2017.csv",
        "Image Index,Finding Label,Bbox [x,y,w,h],,,",
        "00000001_000.png,Cardiomegaly,256,512,512,256",
        "00000001_000.png,Nodule,10,10,50,50",
        "00000001_001.png,Effusion,1,1,100,100",
        "00000002_000.png,Effusion,1,1,100,100",
    )
    write_text(
        root / "Data_Entry_2017_v2020.csv",
        header,
        "00000001_000.png,Cardiomegaly|Edema,1,PA",
        "00000001_001.png,Effusion,1,AP",
        "00000002_000.png,Effusion,2,AP",
    )
    write_chest(root / "images" / "00000001_000.png", (640, 640), seed=1)
    whole = write_chest(root / "images" / "00000001_001.png", (320, 320), seed=2)
    whole.write_bytes(whole.read_bytes()[:-2000])
    write_chest(root / "images" / "00000009_000.png", seed=3)  # no table names it


def make_tbx11k(root):
    """A film of 1756 x 2022 squashed to 512 x 512, one without an object, one sick, one that is not here."""
    write_text(root / "lists" / "TBX11K_train.txt", "tb/tb0005.png", "tb/tb1199.png", "sick/s1.png", "health/h1.png")
    write_text(
        root / "annotations" / "xml" / "tb0005.xml",
        "<annotation><size><width>1756</width><height>2022</height></size><object><name>ActiveTuberculosis</name>",
        "<bndbox><xmin>1313</xmin><ymin>505</ymin><xmax>1451</xmax><ymax>681</ymax></bndbox></object></annotation>",
    )
    write_text(
        root / "annotations" / "xml" / "tb1199.xml",
        "<annotation><size><width>1756</width><height>2022</height></size></annotation>",
    )
    write_chest(root / "imgs" / "tb" / "tb0005.png", (512, 512), seed=4)
    write_chest(root / "imgs" / "tb" / "tb1199.png", (512, 512), seed=5)
    write_chest(root / "imgs" / "sick" / "s1.png", (512, 512), seed=6)


def make_siim(root):
    """Copies of one film, the first without its boxes; a box over the edge and one that is a click; a negative."""
    boxes = [{"x": -3.56, "y": 100.0, "width": 1003.56, "height": 400.0}, {"x": 5, "y": 5, "width": 2, "height": 900}]
    write_text(
        root / "train_image_level.csv",
        "id,boxes,label,StudyInstanceUID",
        "a_image,,none 1 0 0 1 1,s1",
        f'b_image,"{boxes}",opacity 1 0 100 1000 500,s1',
        "c_image,,none 1 0 0 1 1,s2",
    )
    write_text(
        root / "train_study_level.csv",
        "id,Negative for Pneumonia,Typical Appearance,Indeterminate Appearance,Atypical Appearance",
        "s1_study,0,1,0,0",
        "s2_study,1,0,0,0",
    )
    write_text(root / "original_sizes.csv", "image_id,width,height", "a,2000,1000", "b,2000,1000", "c,2000,1000")
    write_text(root / "train_meta.csv", "patientid,imageid", "p1,a", "p1,b", "p2,c")
    for image, seed in (("a", 7), ("b", 7), ("c", 8)):
        write_chest(root / "train" / f"{image}.png", seed=seed)


def make_yolo(root):
    """A wide picture; one that is a colour photograph; one too small; a doubled row."""
    write_chest(root / "images" / "wide.png", (512, 256), seed=9)
    write_text(root / "labels" / "wide.txt", "6 0.5 0.5 0.25 0.5", "6 0.5 0.5 0.25 0.5", "0 0.1 0.1 0.1 0.1")
    colour = np.stack([chest(seed=10), chest(seed=11) // 2, chest(seed=12) // 3], axis=2)
    assert cv2.imwrite(str(root / "images" / "photo.png"), colour)
    write_text(root / "labels" / "photo.txt", "6 0.5 0.5 0.25 0.5")
    write_chest(root / "images" / "tiny.png", (100, 200), seed=13)
    write_text(root / "labels" / "tiny.txt")


def image_row(manifest, image_id):
    (row,) = manifest.images[manifest.images["image_id"] == image_id].to_dict("records")
    return row


def boxes_on(manifest, image_id):
    rows = manifest.boxes[manifest.boxes["image_id"] == image_id]
    return {row.finding: (row.x1, row.y1, row.x2, row.y2) for row in rows.itertuples()}


def test_every_image_that_a_table_names_is_built_or_counted_with_its_reason(many_sources):
    _, audits = many_sources

    books = {key: (audit.images_named, audit.images_built, audit.images_dropped) for key, audit in audits.items()}
    assert books == {
        "nih": (3, 1, {"image.truncated": 1, "not on disk": 1}),
        "tbx11k": (4, 3, {"not on disk": 1}),
        "siim": (3, 2, {"a copy of an image that is kept: pixel by pixel": 1}),
        "yolo": (3, 1, {"image.colour": 1, "image.too_small": 1}),
    }


def test_every_box_that_a_table_names_is_built_or_counted_with_its_reason(many_sources):
    _, audits = many_sources

    books = {key: (audit.boxes_named, audit.boxes_built, audit.boxes_dropped) for key, audit in audits.items()}
    assert books == {
        "nih": (
            4,
            1,
            {
                "Nodule: not asked for": 1,
                "on an image left out: image.truncated": 1,
                "on an image left out: not on disk": 1,
            },
        ),
        "tbx11k": (1, 1, {}),
        "siim": (2, 1, {"degenerate: a side of 1 px or less in the image": 1}),
        "yolo": (
            4,
            2,
            {"on an image left out: image.colour": 1, "the same box of the same finding a second time": 1},
        ),
    }


def test_a_picture_that_no_table_names_is_remarked(many_sources):
    _, audits = many_sources

    assert audits["nih"].remarks == {"picture that no table names": 1}
    assert audits["tbx11k"].remarks == {}


def test_boxes_land_in_pixels_of_the_picture_with_x_and_y_scaled_separately(many_sources):
    """All worked by hand: 640/1024; 512/1756 and 512/2022; 256/2000 and 256/1000, cut at the left edge; 512 x 256."""
    manifest, _ = many_sources

    assert boxes_on(manifest, "nih:00000001_000")["cardiomegaly"] == pytest.approx((160, 320, 480, 480))
    tuberculosis = boxes_on(manifest, "tbx11k:tb0005")["tuberculosis"]
    assert tuberculosis == pytest.approx((382.834, 127.873, 423.071, 172.439), abs=1e-3)
    assert boxes_on(manifest, "siim:a")["covid"] == pytest.approx((0, 25.6, 128, 128))
    assert boxes_on(manifest, "yolo:wide")["effusion"] == pytest.approx((192, 64, 320, 192))


def test_a_box_over_the_edge_is_clipped_and_remarked(many_sources):
    _, audits = many_sources

    assert audits["siim"].remarks == {"box clipped at the edge of the image": 1}


def test_of_identical_pictures_the_first_stays_with_the_boxes_of_both_and_names_the_other(many_sources):
    manifest, _ = many_sources

    assert image_row(manifest, "siim:a")["copies"] == "siim:b"
    assert set(boxes_on(manifest, "siim:a")) == {"covid"}
    assert "siim:b" not in set(manifest.images["image_id"])
    assert not (manifest.folder / "images" / "siim" / "b.png").exists()


def test_presence_follows_the_cards(many_sources):
    manifest, _ = many_sources

    def presence(image_id):
        row = image_row(manifest, image_id)
        return {key: row[f"presence_{key}"] for key in manifest.label_space.keys}

    nih, sick, empty = presence("nih:00000001_000"), presence("tbx11k:s1"), presence("tbx11k:tb1199")
    assert (nih["cardiomegaly"], nih["edema"], nih["effusion"], nih["covid"]) == (
        "boxed",
        "present",
        "absent",
        "absent",
    )
    assert (sick["tuberculosis"], sick["effusion"]) == ("absent", "unknown")
    assert (empty["tuberculosis"], empty["pneumonia"]) == ("present", "unknown")
    assert (presence("siim:a")["covid"], presence("siim:c")["covid"]) == ("boxed", "absent")
    assert presence("yolo:wide") == dict.fromkeys(manifest.label_space.keys, "unknown") | {
        "effusion": "boxed",
        "edema": "boxed",
    }


def test_boxed_means_that_a_box_was_built_and_nothing_else(many_sources):
    manifest, _ = many_sources

    for key in manifest.label_space.keys:
        boxed = manifest.presence(key) == Presence.BOXED
        assert set(manifest.images["image_id"][boxed]) == set(manifest.boxes_of(key))


def test_images_of_one_patient_share_a_split_and_no_id_of_a_patient_is_in_the_tables(many_sources):
    manifest, _ = many_sources

    assert manifest.images.groupby("patient")["split"].nunique().max() == 1
    assert manifest.images["patient"].str.fullmatch("[0-9a-f]{32}").all()


def test_pictures_are_the_radiographs_that_the_one_decoder_reads(many_sources, tmp_path):
    manifest, _ = many_sources
    source = write_chest(tmp_path / "a.png", (640, 640), seed=1)

    row = image_row(manifest, "nih:00000001_000")
    built = decode((manifest.folder / row["picture"]).read_bytes())

    assert (row["width"], row["height"]) == built.size_wh == (640, 640)
    assert np.array_equal(built.pixels, decode(source.read_bytes()).pixels)
    assert row["sha256"] == built.sha256


def test_label_files_stand_beside_the_pictures_and_lists_name_every_picture_once(many_sources):
    manifest, _ = many_sources

    listed = [
        line for split in ("train", "val", "test") for line in (manifest.folder / f"{split}.txt").read_text().split()
    ]
    assert sorted(listed) == sorted(f"./{picture}" for picture in manifest.images["picture"])
    labels = {
        path.relative_to(manifest.folder / "labels").with_suffix(".png")
        for path in manifest.folder.rglob("labels/*/*.txt")
    }
    assert sorted(map(str, labels)) == sorted(picture.removeprefix("images/") for picture in manifest.images["picture"])
    assert (manifest.folder / "labels" / "tbx11k" / "s1.txt").read_text() == ""


def test_the_audit_travels_with_the_manifest(many_sources):
    manifest, audits = many_sources

    about = json.loads((manifest.folder / "manifest.json").read_text(encoding="utf-8"))

    assert about["fingerprint"] == manifest.fingerprint
    sources = about["audit"]["sources"]
    assert list(sources) == list(audits)
    assert sources["nih"]["images"]["as_expected"] is False  # the card speaks of the published 880
    assert "NIH Clinical Center" in sources["nih"]["licence"]


def a_lung_project(folder, **changes):
    """Two lungs, boxed in frames twice and four times as large as the pictures."""
    write_coco(
        folder / "lungs",
        ["Right Lung", "Left Lung"],
        [("a.webp-day1.jpeg", 512, 600), ("b.png", 1024, 1200)],
        [
            (0, "Right Lung", [50, 60, 150, 400]),
            (0, "Left Lung", [300, 60, 150, 400]),
            (1, None, [100, 120, 300, 800]),
            (1, "Left Lung", [600, 120, 300, 800]),
        ],
    )
    write_chest(folder / "lungs" / "images" / "a.webp-day1.png", (256, 300), seed=1)
    write_chest(folder / "lungs" / "images" / "b.png", (256, 300), seed=2)
    write_text(folder / "lungs.yaml", LUNGS)
    sources = {"lungs": {"card": "lungs", "root": "lungs"}}
    return a_project(folder, sources, label_space=str(folder / "lungs.yaml"), cards={"lungs": LUNG_CARD}, **changes)


def test_a_label_space_of_two_organs_runs_the_same_path(tmp_path):
    manifest, (audit,) = a_lung_project(tmp_path)()

    assert manifest.label_space.keys == ("right_lung", "left_lung")
    assert boxes_on(manifest, "lungs:a.webp-day1") == {
        "right_lung": pytest.approx((25, 30, 100, 230)),
        "left_lung": pytest.approx((150, 30, 225, 230)),
    }
    assert audit.boxes_dropped == {"(none): the table does not say which lung it is": 1}
    assert (tmp_path / "built" / "labels" / "lungs" / "a.webp-day1.txt").read_text().split()[::5] == ["1", "0"]


@pytest.mark.parametrize("n_findings", [1, 6, 8])
def test_a_label_space_of_any_size_is_built_and_comes_back(tmp_path, n_findings):
    keys = [f"finding{number}" for number in range(n_findings)]
    findings = [{"key": key, "display": key, "box": "it", "colour": "#112233"} for key in keys]
    write_text(tmp_path / "space.yaml", yaml.safe_dump({"name": "made", "findings": findings}))
    write_text(tmp_path / "source" / "data.yaml", yaml.safe_dump({"names": keys}))
    write_chest(tmp_path / "source" / "images" / "a.png")
    write_text(tmp_path / "source" / "labels" / "a.txt", f"{n_findings - 1} 0.5 0.5 0.25 0.25")
    card = {"boxes": {key: key for key in keys}, "exhaustive": keys}
    project = a_project(
        tmp_path,
        {"made": {"card": "made", "root": "source"}},
        label_space=str(tmp_path / "space.yaml"),
        cards={"made": card},
        names=dict(enumerate(keys)),
    )

    manifest, _ = project()

    row = image_row(manifest, "made:a")
    assert manifest.label_space.keys == tuple(keys)
    assert [row[f"presence_{key}"] for key in keys] == ["absent"] * (n_findings - 1) + ["boxed"]
    assert (manifest.folder / "labels" / "made" / "a.txt").read_text().startswith(f"{n_findings - 1} ")


def a_yolo_project(folder, rows_by_stem, *, card=None, **changes):
    """Pictures of one source, all different, with these label rows; class 0 is the finding `effusion`."""
    write_text(folder / "source" / "data.yaml", "names: [Effusion, Mass]")
    for seed, (stem, rows) in enumerate(rows_by_stem.items(), start=1):
        write_chest(folder / "source" / "images" / f"{stem}.png", seed=seed)
        write_text(folder / "source" / "labels" / f"{stem}.txt", *rows)
    whole = {"boxes": {"Effusion": "effusion"}, "dropped_boxes": {"Mass": "not asked for"}} | (card or {})
    return a_project(folder, {"made": {"card": "made", "root": "source"}}, cards={"made": whole}, **changes)


def test_the_same_data_elsewhere_have_the_same_fingerprint(tmp_path):
    rows = {"a": ["0 0.5 0.5 0.2 0.2"], "b": []}

    here, _ = a_yolo_project(tmp_path / "here", rows)()
    there, _ = a_yolo_project(tmp_path / "there", rows)("another_name")

    assert here.fingerprint == there.fingerprint


def films_of_two_sources(folder):
    """Six films in a source, a torn one among them, and copies of two of them in another, each with its card."""
    for name in ("one", "two"):
        write_text(folder / name / "data.yaml", "names: [Effusion]")
    for number in range(6):
        write_chest(folder / "one" / "images" / f"{number}.png", (300, 280), seed=number)
        write_text(folder / "one" / "labels" / f"{number}.txt", *["0 0.5 0.5 0.2 0.2"][: number % 2])
    torn = folder / "one" / "images" / "3.png"
    torn.write_bytes(torn.read_bytes()[:-3000])
    for number in (1, 2):
        write_chest(folder / "two" / "images" / f"{number}.png", (300, 280), seed=number)
        write_text(folder / "two" / "labels" / f"{number}.txt")
    boxes = {"boxes": {"Effusion": "effusion"}}
    cards = {
        "one": boxes,
        "two": boxes | {"absent_by_assumption": {"edema": "nobody spoke of it"}},
    }
    return a_project(folder, {name: {"card": name, "root": name} for name in cards}, cards=cards)


def test_decoding_by_several_children_at_once_gives_the_same_set_byte_for_byte(tmp_path, monkeypatch):
    build_into = films_of_two_sources(tmp_path)
    sets = {}
    for n_children in (1, 3):
        with DecodingChildren(n_children) as children:
            monkeypatch.setattr("boxray.data.pictures.decoding_children", lambda children=children: children)
            manifest, _ = build_into()
        files = {path.relative_to(manifest.folder): path for path in manifest.folder.rglob("*") if path.is_file()}
        sets[n_children] = manifest.fingerprint, {name: path.read_bytes() for name, path in sorted(files.items())}
        shutil.rmtree(manifest.folder)

    assert sets[1][0] == sets[3][0]
    assert len(manifest.images) == 5  # the torn one stopped nothing
    assert sets[1][1].keys() == sets[3][1].keys()
    assert [str(name) for name in sets[1][1] if sets[1][1][name] != sets[3][1][name]] == []


def test_files_are_decoded_by_two_children_at_the_same_time(tmp_path, monkeypatch):
    build_into = a_yolo_project(tmp_path, {str(number): [] for number in range(4)})
    both, asked, decode_alone = Barrier(2, timeout=60), set(), DecodingChild.decode

    def meet(child, data, **options):
        asked.add(id(child))
        both.wait()
        return decode_alone(child, data, **options)

    with DecodingChildren(2) as children:
        monkeypatch.setattr("boxray.data.pictures.decoding_children", lambda: children)
        monkeypatch.setattr(DecodingChild, "decode", meet)
        manifest, _ = build_into()

    assert len(manifest.images) == 4
    assert len(asked) == 2


def test_a_finding_of_merged_films_names_the_source_whose_card_decided(tmp_path):
    manifest, _ = films_of_two_sources(tmp_path)()

    images = manifest.images.set_index("image_id")
    merged, alone = images.loc["one:1"], images.loc["one:0"]
    assert (merged["source"], merged["rule_edema"], merged["rule_effusion"]) == ("one", "assumption", "box")
    assert (merged["ruled_by_edema"], merged["ruled_by_effusion"], alone["ruled_by_edema"]) == ("two", "one", "one")
    assert manifest.audit()["presence"]["two"]["edema"]["absent by assumption"] == 2
    assert manifest.audit()["presence"]["one"]["edema"]["absent by assumption"] == 0
    without = Manifest(
        manifest.folder,
        manifest.label_space,
        manifest.images.drop(columns=[name for name in manifest.images if name.startswith("ruled_by_")]),
        manifest.boxes,
    )
    assert without.fingerprint == manifest.fingerprint  # a set built before is still the same set
    assert set(without.ruled_by("edema")) == {"one"}


def test_building_again_into_the_same_folder_gives_the_same_set(tmp_path):
    project = a_yolo_project(tmp_path, {"a": ["0 0.5 0.5 0.2 0.2"], "b": []})

    first, _ = project()
    second, _ = project()

    assert first.fingerprint == second.fingerprint
    assert Manifest.load(tmp_path / "built").fingerprint == first.fingerprint


def test_adding_films_moves_no_film_to_another_split(tmp_path):
    few = {f"film {number}": [] for number in range(12)}

    before, _ = a_yolo_project(tmp_path / "before", few)()
    after, _ = a_yolo_project(tmp_path / "after", {f"early {number}": [] for number in range(5)} | few)()

    splits = after.images.set_index("image_id")["split"]
    assert all(splits[row.image_id] == row.split for row in before.images.itertuples())


def test_an_unknown_raw_label_stops_the_build_and_names_the_card(tmp_path):
    project = a_yolo_project(tmp_path, {"a": ["1 0.5 0.5 0.2 0.2"]}, card={"dropped_boxes": {}})

    with pytest.raises(DataError, match="made: raw label 'Mass' is not in the source card"):
        project()


def test_a_picture_without_a_label_file_stops_the_build_unless_the_card_says_what_it_means_d4(tmp_path):
    project = a_yolo_project(tmp_path, {"a": []})
    (tmp_path / "source" / "labels" / "a.txt").unlink()

    with pytest.raises(DataError, match="raw image label 'label file missing' is not in the source card"):
        project()

    write_card(tmp_path / "cards", "made", boxes={"Effusion": "effusion"}, labels={"label file missing": {}})
    manifest, _ = project()
    assert image_row(manifest, "made:a")["presence_effusion"] == "unknown"


def test_a_box_that_could_not_be_built_does_not_make_its_finding_absent(tmp_path):
    """Somebody drew something there; an exhaustive source says no more than that."""
    rows = {"click": ["0 0.5 0.5 0.001 0.5"], "nothing": [], "both": ["0 0.5 0.5 0.001 0.5", "0 0.5 0.5 0.5 0.5"]}

    manifest, (audit,) = a_yolo_project(tmp_path, rows, card={"exhaustive": ["effusion"]})()

    presence = {image: image_row(manifest, f"made:{image}")["presence_effusion"] for image in rows}
    assert presence == {"click": "unknown", "nothing": "absent", "both": "boxed"}
    assert audit.boxes_dropped == {"degenerate: a side of 1 px or less in the image": 2}


def test_a_corner_that_is_no_number_is_refused_and_not_clipped_to_the_edge_d1(tmp_path):
    """Python's json reads Infinity and NaN."""
    path = write_coco(tmp_path / "source", ["Effusion"], [("a.png", 256, 256)], [(0, "Effusion", [1, 2, 3, 4])])
    path.write_text(path.read_text().replace("[1, 2, 3, 4]", "[1, 2, Infinity, 40]"))
    write_chest(tmp_path / "source" / "images" / "a.png")
    card = {"layout": "coco", "boxes": {"Effusion": "effusion"}}

    with pytest.raises(DataError, match="a corner is not finite"):
        a_project(tmp_path, {"made": {"card": "made", "root": "source"}}, cards={"made": card})()


def test_an_image_that_the_tables_name_twice_is_built_once_and_its_picture_stays(tmp_path):
    write_coco(
        tmp_path / "source",
        ["Effusion"],
        [("a.png", 256, 256), ("a.jpg", 256, 256)],
        [(0, "Effusion", [10, 10, 50, 50]), (1, "Effusion", [10, 10, 50, 50])],
    )
    write_chest(tmp_path / "source" / "images" / "a.png")
    card = {"layout": "coco", "boxes": {"Effusion": "effusion"}}

    manifest, (audit,) = a_project(tmp_path, {"made": {"card": "made", "root": "source"}}, cards={"made": card})()

    assert audit.images_dropped == {"named a second time by the tables": 1}
    assert len(manifest.images) == 1
    assert (manifest.folder / manifest.images["picture"][0]).is_file()


def test_a_lateral_film_is_left_out_and_booked(tmp_path):
    project = a_yolo_project(tmp_path, {"a": ["0 0.5 0.5 0.2 0.2"], "b": []})
    write_text(tmp_path / "source" / "metadata.csv", "filename,patientid,view", "a.png,1,L", "b.png,1,PA")

    manifest, (audit,) = project()

    assert manifest.images["image_id"].tolist() == ["made:b"]
    assert audit.images_dropped == {"a lateral film: the models here read frontal ones": 1}
    assert audit.boxes_dropped.total() == 1


def test_a_frame_that_is_not_the_cards_stops_the_build(tmp_path):
    project = a_yolo_project(tmp_path, {"a": []}, card={"frame": {"kind": "fixed", "width": 9, "height": 8}})

    with pytest.raises(DataError, match="'a': the card states a fixed frame of 9 x 8, the importer gives None"):
        project()


def test_pictures_that_are_no_file_any_more_are_counted_and_not_fatal(tmp_path):
    project = a_yolo_project(tmp_path, {"a": [], "b": []})
    target = tmp_path / "source" / "images" / "b.png"
    target.unlink()
    target.write_bytes(b"")

    _, (audit,) = project()

    assert audit.images_dropped == {"input.not_supported": 1}


def test_two_sources_of_the_same_people_fall_into_the_same_splits(tmp_path):
    names = [f"film{number}" for number in range(12)]
    for place, source in enumerate(("findings", "lungs")):
        for seed, name in enumerate(names):
            write_chest(tmp_path / source / "images" / f"{name}.png", seed=100 * place + seed)
            write_text(tmp_path / source / "labels" / f"{name}.txt")
    apart = {name: {"card": "yolo", "root": name} for name in ("findings", "lungs")}
    together = apart | {"lungs": apart["lungs"] | {"patients_of": "findings"}}

    def splits_agree(manifest):
        splits = manifest.images.pivot_table(index="image", columns="source", values="split", aggfunc="first")
        return (splits["findings"] == splits["lungs"]).all()

    alone, _ = a_project(tmp_path, apart)("alone")
    shared_people, _ = a_project(tmp_path, together)("together")

    assert not splits_agree(alone)
    assert splits_agree(shared_people)
    assert shared_people.images["patient"].nunique() == len(names)


def test_one_film_under_the_names_of_two_sources_is_one_image_that_knows_both_readers_d8(tmp_path):
    for source, row in (("first", "6 0.5 0.5 0.2 0.2"), ("repost", "7 0.25 0.25 0.2 0.2")):
        for seed in range(12):
            write_chest(tmp_path / source / "images" / f"{source}{seed}.png", seed=seed)
            write_text(tmp_path / source / "labels" / f"{source}{seed}.txt", row)
    sources = {name: {"card": "yolo", "root": name} for name in ("first", "repost")}

    manifest, (first, repost) = a_project(tmp_path, sources)()

    assert (first.images_built, repost.images_built) == (12, 0)
    assert repost.images_dropped == {"a copy of an image that is kept: pixel by pixel, of first": 12}
    assert set(manifest.images["readers"]) == {"first/published repost/published"}
    assert set(boxes_on(manifest, "first:first3")) == {"effusion", "atelectasis"}
    assert set(manifest.boxes["n_readers"]) == {1}  # neither is said to box every occurrence


def test_boxes_of_two_readers_become_one_and_each_readers_own_is_kept(tmp_path):
    """Half the picture's size in the repost; the mean of the two boxes, worked by hand."""
    write_chest(tmp_path / "first" / "images" / "a.png", (512, 512), seed=1)
    write_text(tmp_path / "first" / "labels" / "a.txt", "6 0.5 0.5 0.5 0.5")
    grey = cv2.imread(str(tmp_path / "first" / "images" / "a.png"), cv2.IMREAD_GRAYSCALE)
    (tmp_path / "repost" / "images").mkdir(parents=True)
    half = cv2.resize(grey, (256, 256), interpolation=cv2.INTER_AREA)
    assert cv2.imwrite(str(tmp_path / "repost" / "images" / "b.png"), half)
    write_text(tmp_path / "repost" / "labels" / "b.txt", "6 0.53125 0.5 0.5 0.5")
    sources = {name: {"card": "yolo", "root": name} for name in ("repost", "first")}

    manifest, _ = a_project(tmp_path, sources)()

    (row,) = manifest.boxes.to_dict("records")
    assert row["image_id"] == "first:a"  # the larger picture stays
    assert (row["x1"], row["y1"], row["x2"], row["y2"]) == pytest.approx((136, 128, 392, 384))
    assert (row["votes"], row["n_readers"], row["readers"]) == (2, 2, "first/published repost/published")
    own = manifest.reader_boxes().set_index("reader")["x1"].to_dict()
    assert own == {"first/published": pytest.approx(128), "repost/published": pytest.approx(144)}


def test_a_film_that_seems_upside_down_is_kept_aside_for_review_and_is_in_no_part(tmp_path):
    project = a_yolo_project(tmp_path, {"a": ["0 0.5 0.5 0.2 0.2"], "b": []})
    path = tmp_path / "source" / "images" / "a.png"
    assert cv2.imwrite(str(path), 255 - cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))

    manifest, (audit,) = project()

    row = image_row(manifest, "made:a")
    assert (row["aside"], row["split"]) == ("quality.polarity", "aside")
    assert audit.remarks["put aside: quality.polarity"] == 1
    assert not any("a.png" in (manifest.folder / f"{split}.txt").read_text() for split in ("train", "val", "test"))


def test_a_second_build_decodes_only_what_has_changed(tmp_path):
    a_yolo_project(tmp_path, {"a": ["0 0.5 0.5 0.2 0.2"], "b": [], "c": []})
    (tmp_path / "source" / "images" / "c.png").write_bytes(b"no picture")
    datasets = read_datasets_file(tmp_path / "datasets.yaml")

    first = build(datasets, tmp_path / "built", cards=tmp_path / "cards")
    again = build(datasets, tmp_path / "built", cards=tmp_path / "cards")
    write_chest(tmp_path / "source" / "images" / "b.png", seed=99)
    changed = build(datasets, tmp_path / "built", cards=tmp_path / "cards")

    assert [built.audit.decoded for built in (first, again, changed)] == [3, 0, 1]
    assert again.manifest.fingerprint == first.manifest.fingerprint != changed.manifest.fingerprint
    assert again.books["made"].images_dropped == {"input.not_supported": 1}


def test_a_copy_that_was_merged_is_not_decoded_again_and_comes_back_when_it_is_needed(tmp_path):
    a_yolo_project(tmp_path, {"a": [], "b": []})
    write_chest(tmp_path / "source" / "images" / "b.png", seed=1)  # the same as a.png
    datasets = read_datasets_file(tmp_path / "datasets.yaml")

    build(datasets, tmp_path / "built", cards=tmp_path / "cards")
    again = build(datasets, tmp_path / "built", cards=tmp_path / "cards")
    for folder, suffix in (("images", "png"), ("labels", "txt")):
        (tmp_path / "source" / folder / f"a.{suffix}").unlink()
    alone = build(datasets, tmp_path / "built", cards=tmp_path / "cards")

    assert again.audit.decoded == 0
    assert alone.audit.decoded == 1
    assert alone.manifest.images["image_id"].tolist() == ["made:b"]
    assert [path.name for path in (tmp_path / "built" / "images").rglob("*.png")] == ["b.png"]


def test_the_boxes_of_an_image_named_twice_make_nothing_absent(tmp_path):
    write_coco(
        tmp_path / "source",
        ["Effusion"],
        [("a.png", 256, 256), ("a.jpg", 256, 256)],
        [(0, "Effusion", [10, 10, 50, 50])],
    )
    write_chest(tmp_path / "source" / "images" / "a.png")
    card = {"layout": "coco", "boxes": {"Effusion": "effusion"}, "exhaustive": ["effusion"]}

    manifest, (audit,) = a_project(tmp_path, {"made": {"card": "made", "root": "source"}}, cards={"made": card})()

    assert audit.boxes_dropped.total() + len(manifest.reader_boxes()) == 1
    assert image_row(manifest, "made:a")["presence_effusion"] in {"boxed", "unknown"}


def test_a_box_of_which_more_than_half_lies_outside_is_dropped_and_its_finding_unknown(tmp_path):
    write_coco(tmp_path / "source", ["Effusion"], [("a.png", 256, 256)], [(0, "Effusion", [250, 10, 50, 50])])
    write_chest(tmp_path / "source" / "images" / "a.png")
    card = {"layout": "coco", "boxes": {"Effusion": "effusion"}, "exhaustive": ["effusion"]}

    manifest, (audit,) = a_project(tmp_path, {"made": {"card": "made", "root": "source"}}, cards={"made": card})()

    assert audit.boxes_dropped == {"more than half of it lies outside the picture: drawn in another frame?": 1}
    assert image_row(manifest, "made:a")["rule_effusion"] == "lost"


def test_a_picture_taken_from_the_built_set_is_made_again(tmp_path):
    project = a_yolo_project(tmp_path, {"a": []})
    manifest, _ = project()
    (manifest.folder / manifest.images["picture"][0]).unlink()

    project()

    assert (manifest.folder / manifest.images["picture"][0]).is_file()


def test_a_word_of_a_card_that_no_label_space_has_stops_the_build_with_the_nearest(tmp_path):
    project = a_yolo_project(tmp_path, {"a": []}, card={"boxes": {"Effusion": "efusion"}})

    with pytest.raises(DataError, match=r"card 'made' speaks of 'efusion'.*did you mean 'effusion'"):
        project()


@pytest.mark.parametrize("stem", ["../evil", "a/b", ".."])
def test_an_image_id_that_is_no_file_name_is_left_out_and_leads_out_of_nothing(tmp_path, stem):
    write_coco(tmp_path / "source", ["Effusion"], [("a.png", 256, 256)], [])
    write_chest(tmp_path / "source" / "images" / "a.png")
    audit = Books(a_card())
    gatherer = Gatherer("made", "made", a_card(), label_space("effusion"), "key", Shelf(tmp_path / "built"), audit)
    record = Record(stem, "p", tmp_path / "source" / "images" / "a.png", None)

    gathered = gatherer.run([record], [], lambda _what, _n: None)

    assert audit.images_dropped == {"its id is no name of a file": 1}
    assert gathered.images.empty
    assert not (tmp_path / "built").exists()


def test_a_published_split_is_kept_where_the_card_says_so(tmp_path):
    for seed, (part, name) in enumerate((("train", "a"), ("train", "b"), ("val", "c"), ("test", "d"))):
        write_chest(tmp_path / "folder" / part / "normal" / f"{name}.png", seed=seed)
    card = {"layout": "image_folder", "labels": {"normal": {"normal": "present"}}, "one_class": True}
    parts = {"splits": {"train": "train", "val": "val", "test": "test"}}
    sources = {"made": {"card": "made", "root": "folder"}}

    manifest, _ = a_project(tmp_path, sources, label_space="chest6", cards={"made": card | parts})()

    assert sorted(manifest.images["split"].astype(str)) == ["test", "train", "train", "val"]
    assert set(manifest.images["presence_normal"]) == {"present"}
    assert set(manifest.images["rule_covid"]) == {"exclusive"}


def test_the_audit_is_written_for_people_with_a_sheet_of_films(many_sources):
    manifest, _ = many_sources

    page = (manifest.folder / "AUDIT.md").read_text(encoding="utf-8")

    assert "- patients in two splits: **0**" in page
    assert "assumed absent: **tuberculosis**, because" in page
    assert "| left out: image.truncated | 1 |  |" in page
    for source in ("nih", "tbx11k", "siim", "yolo"):
        assert cv2.imread(str(manifest.folder / "samples" / f"{source}.png")).shape[1] == 6 * 256


@pytest.mark.parametrize("names", [{0: "effusion"}, {0: "pneumonia", 1: "edema"}], ids=["too-few", "another-order"])
def test_names_that_are_not_the_label_space_in_order_stop_the_build_e5(tmp_path, names):
    project = a_yolo_project(tmp_path, {"a": []}, names=names)

    with pytest.raises(DataError, match="are not the findings of 'chest8' in their order"):
        project()


def test_a_build_that_stops_leaves_no_old_set_that_seems_whole(tmp_path):
    project = a_yolo_project(tmp_path, {"a": []})
    project()
    write_text(tmp_path / "source" / "labels" / "a.txt", "torn")

    with pytest.raises(DataError, match=r"a\.txt:1"):
        project()

    with pytest.raises(DataError, match="no built data set"):
        Manifest.load(tmp_path / "built")


def test_sources_whose_folders_are_not_there_are_told_before_anything_is_decoded(tmp_path, monkeypatch):
    a_yolo_project(tmp_path / "project", {"a": []})
    roots = {"made": "source", "one": "../not here", "two": str(tmp_path / "nor here")}
    sources = {name: {"card": "made", "root": root} for name, root in roots.items()}
    write_text(tmp_path / "project" / "mine.yaml", yaml.safe_dump({"sources": sources}))
    monkeypatch.chdir(tmp_path)

    with pytest.raises(DataError) as refused:
        build(read_datasets_file(Path("project/mine.yaml")), Path("built"), cards=tmp_path / "project" / "cards")

    said = str(refused.value)
    where = f"{tmp_path / 'not here'} (root: ../not here in project/mine.yaml); nor are those of two."
    assert f"the folder of source 'one' is not there: {where}" in said
    assert "boxray data sources" in said
    assert not Path("built").exists()


def test_a_source_of_which_nothing_is_here_is_built_to_an_empty_set(tmp_path):
    project = a_yolo_project(tmp_path, {"a": ["0 0.5 0.5 0.2 0.2"]})
    (tmp_path / "source" / "images" / "a.png").unlink()

    manifest, (audit,) = project()

    assert len(manifest.images) == 0
    assert manifest.boxes_of("effusion") == {}
    assert audit.images_dropped == {"not on disk": 1}


def test_progress_is_told_image_by_image(tmp_path):
    a_yolo_project(tmp_path, {"a": [], "b": []})
    told = []

    build(
        read_datasets_file(tmp_path / "datasets.yaml"),
        tmp_path / "built",
        cards=tmp_path / "cards",
        progress=lambda source, n: told.append((source, n)),
    )

    assert told == [("made", 1), ("made", 1), ("looking for copies", 0), ("writing labels and audit", 0)]


def test_tables_hold_columns_that_the_manifest_names(many_sources):
    manifest, _ = many_sources

    columns = pd.read_parquet(manifest.folder / "images.parquet").columns.tolist()
    named = ["image_id", "source", "image", "split", "patient", "picture", "width", "height", "sha256", "view"]
    cells = [f"{what}_{key}" for key in manifest.label_space.keys for what in ("presence", "rule")]
    cells += [f"ruled_by_{key}" for key in manifest.label_space.keys]
    assert columns == [*named, "sex", "age_years", "aside", "copies", "readers", *cells]


def linked(source, root, *, pictures, keep):
    """The tables of a real source, and of its pictures only those to keep: links, nothing is copied."""
    root.mkdir(parents=True)
    for path in source.iterdir():
        if path.name != pictures:
            (root / path.name).symlink_to(path)
    (root / pictures).mkdir()
    for path in (source / pictures).rglob("*.jpg"):
        if path.stem in keep:
            (root / pictures / path.name).symlink_to(path)


@pytest.mark.real
def test_the_real_tables_close_and_give_the_counts_that_the_cards_state(shared, tmp_path):
    keep = {
        "nih": ("images", {"00013118_008", "00014716_007"}),
        "tbx11k": ("imgs", {"tb0005", "tb1199"}),
        "siim": ("train", {"6ea732c63929"}),
        "covid_gb": ("images", {"2966893D-5DDF-4B68-9E2B-4979D5956C8E"}),
        "covid_lungs": ("images", {"auntminnie-a-2020_01_28_23_51_6665_2020_01_28_Vietnam_coronavirus"}),
    }
    for name, (pictures, stems) in keep.items():
        linked(shared / "data" / name, tmp_path / name, pictures=pictures, keep=stems)
    published = {name: {"card": name, "root": name} for name in ("nih", "tbx11k", "siim")}
    published["covid_gb"] = {"card": "covid_gb", "root": "covid_gb"}

    manifest, audits = a_project(tmp_path, published)("findings")
    lungs, (lung_audit,) = a_project(
        tmp_path,
        {"covid_lungs": {"card": "covid_lungs", "root": "covid_lungs"}},
        label_space="lungs",
    )("lungs")

    named = {audit.card.key: (audit.images_named, audit.boxes_named) for audit in [*audits, lung_audit]}
    assert named == {
        "nih": (880, 984),
        "tbx11k": (6600, 902),
        "siim": (6334, 7853),
        "covid_gb": (72, 159),
        "covid_lungs": (616, 1232),
    }
    assert all(
        books["as_expected"] for audit in audits for books in (audit.to_json()["images"], audit.to_json()["boxes"])
    )
    assert [audit.images_built for audit in audits] == [2, 2, 1, 1]
    assert audits[2].remarks["box clipped at the edge of the image"] == 1
    assert manifest.boxes_of("covid")["siim:6ea732c63929"][:, 0].min() == 0
    assert boxes_on(manifest, "nih:00013118_008")["atelectasis"] == pytest.approx(
        (140.678, 341.887, 194.915, 391.379), abs=1e-3
    )
    assert boxes_on(manifest, "covid_gb:2966893D-5DDF-4B68-9E2B-4979D5956C8E").keys() == {"covid"}
    assert set(lungs.boxes["finding"]) == {"right_lung", "left_lung"}
