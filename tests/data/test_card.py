"""Cards: what a source says is stated exactly once, and nothing is understood by luck."""

import pytest
import yaml

from boxray.core.bench import bench_folder
from boxray.core.errors import DataError
from boxray.core.findings import Presence
from boxray.data.card import load_card, load_label_space
from boxray.data.sources import LAYOUTS
from making import a_card, a_card_mapping, write_card, write_text

CARDS = sorted(path.stem for path in bench_folder("data/cards").glob("*.yaml"))

BESIDE_THE_EIGHT = {
    "normal",
    "bacterial_pneumonia",
    "viral_pneumonia",
    "mass",
    "nodule",
    "nodule_or_mass",
    "right_lung",
    "left_lung",
    "foreign_object",
}
"""Words that other label spaces ask for; a word that is in neither list is a slip of the pen."""


def test_every_layout_that_can_be_imported_has_a_card():
    assert {load_card(key).layout for key in CARDS} == set(LAYOUTS)


@pytest.mark.parametrize("key", CARDS)
def test_a_card_of_the_bench_loads_and_speaks_of_findings_that_there_are(key):
    card = load_card(key)

    named = [
        card.boxes.values(),
        card.exhaustive,
        card.absent_without_label,
        card.absent_because,
        card.absent_by_assumption,
        *card.labels.values(),
    ]
    assert card.key == key
    known = {*load_label_space("chest8").keys, *load_label_space("organs4").keys, *BESIDE_THE_EIGHT}
    assert {finding for names in named for finding in names} <= known
    assert card.licence
    assert card.citation
    assert card.get


@pytest.mark.parametrize("key", CARDS)
def test_a_card_of_the_bench_gives_a_reason_for_every_box_that_it_drops(key):
    assert all(len(reason.split()) > 2 for reason in load_card(key).dropped_boxes.values())


@pytest.mark.parametrize("key", CARDS)
def test_a_mass_or_a_nodule_is_also_the_one_that_vindr_does_not_tell_apart(key):
    """Else a label space that asks for all three words would have one of them absent beside the other."""
    for stated in load_card(key).labels.values():
        if Presence.PRESENT in {stated.get("mass"), stated.get("nodule")}:
            assert stated["nodule_or_mass"] is Presence.PRESENT


def test_a_raw_label_is_mapped_by_its_exact_spelling():
    card = a_card(boxes={"Effusion": "effusion"}, dropped_boxes={"Mass": "not asked for"})

    assert card.finding_of("Effusion") == "effusion"
    assert card.finding_of("Mass") is None


@pytest.mark.parametrize("label", ["effusion", "Effusion ", "Pleural Effusion", "Infiltrate", ""])
def test_a_raw_label_that_the_card_does_not_know_is_an_error_that_names_the_card(label):
    with pytest.raises(DataError, match=rf"made: raw label '{label}' is not in the source card; map it"):
        a_card(boxes={"Effusion": "effusion"}).finding_of(label)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"exhaustiv": []}, r"card made\.yaml: exhaustiv: ", id="a-key-misspelt"),
        pytest.param({"labels": {"tb": {"tuberculosis": "maybe"}}}, r"labels\.tb\.tuberculosis", id="a-fifth-presence"),
        pytest.param({"labels": {"tb": {"tuberculosis": "boxed"}}}, "which only a box can", id="boxed-without-a-box"),
        pytest.param(
            {"boxes": {"Mass": "effusion"}, "dropped_boxes": {"Mass": "why"}}, "'Mass'.*dropped", id="kept-and-dropped"
        ),
        pytest.param({"frame": {"kind": "sometimes"}}, r"frame\.kind", id="a-frame-of-no-kind"),
        pytest.param({"expected": {"images": "many"}}, r"expected\.images", id="no-number"),
    ],
)
def test_a_card_that_cannot_be_meant_is_refused_by_its_key(tmp_path, changes, message):
    write_card(tmp_path, "made", **changes)

    with pytest.raises(DataError, match=message):
        load_card("made", tmp_path)


def test_a_key_that_a_card_lacks_is_named(tmp_path):
    content = a_card_mapping()
    del content["licence"]
    write_text(tmp_path / "made.yaml", yaml.safe_dump(content))

    with pytest.raises(DataError, match="licence: Field required"):
        load_card("made", tmp_path)


def test_a_copied_card_that_kept_its_old_key_is_refused(tmp_path):
    """The audit and the manifest would speak of the wrong source."""
    write_card(tmp_path, "yolo").rename(tmp_path / "clinic.yaml")

    with pytest.raises(DataError, match=r"card clinic\.yaml says that its key is 'yolo'"):
        load_card("clinic", tmp_path)


def test_an_empty_file_is_no_card(tmp_path):
    write_text(tmp_path / "made.yaml")

    with pytest.raises(DataError, match=r"card made\.yaml: the whole: "):
        load_card("made", tmp_path)


def test_a_card_that_is_not_there_is_missed_with_the_list_of_those_that_are(tmp_path):
    write_card(tmp_path, "here")

    with pytest.raises(DataError, match="there is no card 'there'; there are: here"):
        load_card("there", tmp_path)


def test_the_default_label_space_has_the_eight_findings_in_their_order():
    assert load_label_space("chest8").keys == (
        "edema",
        "pneumonia",
        "tuberculosis",
        "cardiomegaly",
        "emphysema",
        "covid",
        "effusion",
        "atelectasis",
    )


def test_a_label_space_of_ones_own_comes_from_a_file(tmp_path):
    row = "{key: left_lung, display: Left lung, box: the lung, colour: '#112233'}"
    path = write_text(tmp_path / "lungs.yaml", "name: lungs", "findings:", f"  - {row}")

    assert load_label_space(str(path)).keys == ("left_lung",)


@pytest.mark.parametrize("lines", [(), ("name: x",), ("name: x", "findings: [{key: a}]"), ("name: [",)])
def test_a_file_that_is_no_label_space_is_an_error_of_the_data(tmp_path, lines):
    path = write_text(tmp_path / "lungs.yaml", *lines)

    with pytest.raises(DataError, match=r"lungs\.yaml"):
        load_label_space(str(path))


def test_a_label_space_that_is_not_there_is_missed():
    with pytest.raises(DataError, match="there is no label space 'chest9'"):
        load_label_space("chest9")
