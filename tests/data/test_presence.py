"""Presence: not annotated is not absent, and nothing is invented."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxray.core.errors import DataError
from boxray.core.findings import LabelSpace, Presence
from boxray.data.card import load_card, load_label_space
from boxray.data.presence import Cell, PresenceRules, Rule, contradicted, together
from making import a_card, a_finding, label_space


def presence_of(card, space, boxed, labels, lost=()):
    """Cells of one image by finding."""
    cells = PresenceRules(card, space).cells(boxed, None if labels is None else tuple(labels), lost)
    return dict(zip(space.keys, cells, strict=True))


KEYS = ("edema", "effusion", "covid")
SPACE = label_space(*KEYS)
LABELS = ("Edema", "Effusion", "Healthy", "Nothing said")

some_findings = st.sets(st.sampled_from(KEYS)).map(sorted)
statements = st.dictionaries(
    st.sampled_from(KEYS), st.sampled_from([Presence.PRESENT, Presence.ABSENT, Presence.UNKNOWN])
)
cards = st.builds(
    lambda labels, exhaustive, no_label, because, assumed: a_card(
        labels=dict(zip(LABELS, labels, strict=True)),
        exhaustive=exhaustive,
        absent_without_label=no_label,
        absent_because=dict.fromkeys(because, "a reason"),
        absent_by_assumption=dict.fromkeys(assumed, "an assumption"),
    ),
    st.lists(statements, min_size=4, max_size=4),
    some_findings,
    some_findings,
    some_findings,
    some_findings,
)
one_label = st.sets(st.sampled_from(LABELS), max_size=1).map(sorted)  # one label cannot contradict itself


@given(cards, some_findings, one_label)
@settings(max_examples=40)
def test_boxed_comes_only_from_a_box_and_present_only_from_an_exact_entry(card, boxed, labels):
    cells = presence_of(card, SPACE, boxed, labels)

    stated = {key for label in labels for key, said in card.labels[label].items() if said is Presence.PRESENT}
    assert tuple(cells) == KEYS
    assert {key for key, cell in cells.items() if cell.presence is Presence.BOXED} == set(boxed)
    assert {key for key, cell in cells.items() if cell.presence is Presence.PRESENT} == stated - set(boxed)


@given(cards, some_findings, one_label)
@settings(max_examples=40)
def test_absent_always_has_a_rule_of_the_card_and_unknown_none(card, boxed, labels):
    grounds = {
        Rule.EXHAUSTIVE: card.exhaustive,
        Rule.NO_LABEL: card.absent_without_label,
        Rule.REASON: card.absent_because,
        Rule.ASSUMPTION: card.absent_by_assumption,
    }

    for key, cell in presence_of(card, SPACE, boxed, labels).items():
        if cell.rule in grounds:
            assert cell.presence is Presence.ABSENT
            assert key in grounds[cell.rule]
        elif cell.rule is Rule.NONE:
            assert cell.presence is Presence.UNKNOWN
            assert not any(key in findings for findings in grounds.values())


def test_a_card_that_says_nothing_leaves_everything_unknown():
    cells = presence_of(a_card(), SPACE, (), ())

    assert set(cells.values()) == {Cell(Presence.UNKNOWN, Rule.NONE)}


def test_a_finding_that_the_source_never_looked_for_stays_unknown():
    """TBX11K boxes every tuberculosis, and never looked for edema in the films of its patients."""
    cells = presence_of(load_card("tbx11k"), load_label_space("chest8"), {"tuberculosis"}, ("tb",))

    assert cells["tuberculosis"] == Cell(Presence.BOXED, Rule.BOX)
    assert cells["edema"] == Cell(Presence.UNKNOWN, Rule.NONE)
    assert cells["effusion"] == Cell(Presence.UNKNOWN, Rule.NONE)


def test_an_unboxed_film_of_a_positive_covid_study_is_unknown_and_not_negative():
    card, space = load_card("siim"), load_label_space("chest8")

    positive = presence_of(card, space, (), ("Typical Appearance",))
    negative = presence_of(card, space, (), ("Negative for Pneumonia",))

    assert positive["covid"].presence is Presence.UNKNOWN
    assert positive["pneumonia"].presence is Presence.UNKNOWN
    assert negative["covid"] == Cell(Presence.ABSENT, Rule.LABEL)


def test_nih_positives_without_a_box_are_present_and_not_background():
    cells = presence_of(load_card("nih"), load_label_space("chest8"), {"cardiomegaly"}, ("Cardiomegaly", "Effusion"))

    assert cells["cardiomegaly"] == Cell(Presence.BOXED, Rule.BOX)
    assert cells["effusion"] == Cell(Presence.PRESENT, Rule.LABEL)


EVERYTHING = {
    "labels": {"Edema": {"edema": "present"}, "Healthy": {"edema": "absent"}, "Seen": {}},
    "exhaustive": ["edema"],
    "absent_without_label": ["edema"],
    "absent_because": {"edema": "a reason"},
    "absent_by_assumption": {"edema": "an assumption"},
}
ORDER = ["exhaustive", "absent_without_label", "absent_because", "absent_by_assumption"]


@pytest.mark.parametrize(
    ("boxed", "labels", "without", "expected"),
    [
        pytest.param({"edema"}, ("Edema",), 0, Cell(Presence.BOXED, Rule.BOX), id="a-box-beats-a-label"),
        pytest.param((), ("Edema",), 0, Cell(Presence.PRESENT, Rule.LABEL), id="a-label-beats-an-exhaustive-reading"),
        pytest.param((), ("Seen",), 0, Cell(Presence.ABSENT, Rule.EXHAUSTIVE), id="exhaustive-beats-no-label"),
        pytest.param((), ("Seen",), 1, Cell(Presence.ABSENT, Rule.NO_LABEL), id="no-label-beats-a-reason"),
        pytest.param((), ("Seen",), 2, Cell(Presence.ABSENT, Rule.REASON), id="a-reason-beats-an-assumption"),
        pytest.param((), ("Seen",), 3, Cell(Presence.ABSENT, Rule.ASSUMPTION), id="an-assumption-beats-nothing"),
        pytest.param((), ("Seen",), 4, Cell(Presence.UNKNOWN, Rule.NONE), id="nothing-is-unknown"),
    ],
)
def test_the_rules_are_tried_in_the_order_that_the_card_states(boxed, labels, without, expected):
    card = a_card(**{key: said for key, said in EVERYTHING.items() if key not in ORDER[:without]})

    assert presence_of(card, label_space("edema"), boxed, labels)["edema"] == expected


def test_an_image_without_a_row_of_labels_is_not_one_that_was_labelled_and_has_none():
    card = a_card(absent_without_label=["edema"], labels={"No Finding": {}})

    labelled = presence_of(card, label_space("edema"), (), ("No Finding",))
    nobody_said = presence_of(card, label_space("edema"), (), None)

    assert labelled["edema"] == Cell(Presence.ABSENT, Rule.NO_LABEL)
    assert nobody_said["edema"] == Cell(Presence.UNKNOWN, Rule.NONE)


def test_a_finding_whose_box_could_not_be_built_is_not_called_absent():
    card = a_card(exhaustive=["edema", "effusion"], labels={"Edema": {"edema": "present"}})

    silent = presence_of(card, SPACE, (), (), lost={"edema"})
    stated = presence_of(card, SPACE, (), ("Edema",), lost={"edema"})
    another = presence_of(card, SPACE, {"edema"}, (), lost={"edema"})

    assert silent["edema"] == Cell(Presence.UNKNOWN, Rule.LOST)
    assert silent["effusion"] == Cell(Presence.ABSENT, Rule.EXHAUSTIVE)
    assert stated["edema"] == Cell(Presence.PRESENT, Rule.LABEL)
    assert another["edema"] == Cell(Presence.BOXED, Rule.BOX)


def test_labels_that_contradict_each_other_are_an_error_that_names_the_finding():
    card = a_card(labels={"Edema": {"edema": "present"}, "Healthy": {"edema": "absent"}})

    with pytest.raises(DataError, match=r"made: the labels \['Edema', 'Healthy'\] contradict each other on 'edema'"):
        presence_of(card, SPACE, (), ("Healthy", "Edema"))


def test_labels_that_say_the_same_do_not_contradict_each_other():
    card = a_card(labels={"Edema": {"edema": "present"}, "Wet lung": {"edema": "present"}})

    assert presence_of(card, SPACE, (), ("Edema", "Wet lung"))["edema"].presence is Presence.PRESENT


def test_a_raw_image_label_that_the_card_does_not_know_is_an_error_that_names_the_card():
    with pytest.raises(DataError, match="made: raw image label 'edema' is not in the source card"):
        presence_of(a_card(labels={"Edema": {"edema": "present"}}), SPACE, (), ("edema",))


@pytest.mark.parametrize("n_findings", [1, 6, 8])
def test_a_label_space_of_any_size_gets_one_cell_per_finding(n_findings):
    keys = tuple("abcdefgh"[:n_findings])

    cells = presence_of(a_card(exhaustive=["a", "h"]), label_space(*keys), {"b"}, ())

    assert tuple(cells) == keys
    assert cells["a"].presence is Presence.ABSENT


CANCER = LabelSpace("cancer", (a_finding("pneumonia"), a_finding("lung_cancer", stands_for=("mass", "nodule"))))


@pytest.mark.parametrize(
    ("boxed", "labels", "expected"),
    [
        (["mass"], (), Cell(Presence.BOXED, Rule.BOX)),
        ([], ("Nodule",), Cell(Presence.PRESENT, Rule.LABEL)),
        ([], ("Healthy",), Cell(Presence.ABSENT, Rule.LABEL)),
        ([], ("No mass",), Cell(Presence.UNKNOWN, Rule.NONE)),  # of the nodule nobody said anything
    ],
)
def test_a_finding_that_stands_for_two_words_is_there_with_one_and_absent_only_without_both(boxed, labels, expected):
    card = a_card(
        labels={
            "Nodule": {"nodule": Presence.PRESENT},
            "No mass": {"mass": Presence.ABSENT},
            "Healthy": {"mass": Presence.ABSENT, "nodule": Presence.ABSENT},
        }
    )

    assert presence_of(card, CANCER, boxed, labels)["lung_cancer"] == expected


ONE_DIAGNOSIS = {"TB": {"tuberculosis": Presence.PRESENT}, "COVID": {"covid": Presence.PRESENT}}


def test_a_source_of_one_class_an_image_rules_out_what_nobody_said_and_two_classes_rule_out_nothing():
    card = a_card(labels=ONE_DIAGNOSIS, one_class=True, absent_by_assumption={"emphysema": "rare there"})
    space = load_label_space("chest6")

    one, two = presence_of(card, space, [], ("TB",)), presence_of(card, space, [], ("TB", "COVID"))

    assert one["tuberculosis"] == Cell(Presence.PRESENT, Rule.LABEL)
    assert one["covid"] == one["normal"] == Cell(Presence.ABSENT, Rule.EXCLUSIVE)
    assert one["emphysema"] == Cell(Presence.ABSENT, Rule.ASSUMPTION)  # no more certain than it was
    assert two["normal"] == Cell(Presence.UNKNOWN, Rule.NONE)


def test_a_source_of_several_findings_an_image_rules_out_nothing_even_in_an_exclusive_label_space():
    cells = presence_of(a_card(labels=ONE_DIAGNOSIS), load_label_space("chest6"), [], ("TB",))

    assert cells["covid"] == Cell(Presence.UNKNOWN, Rule.NONE)


def test_a_lost_box_is_not_ruled_out_either():
    card = a_card(labels=ONE_DIAGNOSIS, one_class=True)

    cells = presence_of(card, load_label_space("chest6"), [], ("TB",), lost=["emphysema"])

    assert cells["emphysema"] == Cell(Presence.UNKNOWN, Rule.LOST)


def a_cell(presence, rule):
    return (Cell(Presence(presence), Rule(rule)),)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        pytest.param(("boxed", "box"), ("absent", "exhaustive"), ("boxed", "box"), id="a-box-holds"),
        pytest.param(("present", "label"), ("absent", "exhaustive"), ("unknown", "disputed"), id="both-spoke"),
        pytest.param(("present", "label"), ("absent", "label"), ("unknown", "disputed"), id="labels-differ"),
        pytest.param(("present", "label"), ("absent", "no_label"), ("present", "label"), id="silence-is-weaker"),
        pytest.param(("unknown", "lost"), ("absent", "assumption"), ("unknown", "lost"), id="a-lost-box-holds"),
        pytest.param(("unknown", "lost"), ("boxed", "box"), ("boxed", "box"), id="found-again"),
        pytest.param(("unknown", "label"), ("absent", "exhaustive"), ("absent", "exhaustive"), id="known-by-one"),
        pytest.param(("unknown", "none"), ("absent", "assumption"), ("absent", "assumption"), id="nothing-said"),
        pytest.param(("boxed", "box"), ("present", "box"), ("boxed", "box"), id="a-box-that-can-be-placed"),
    ],
)
def test_two_readings_say_the_same_together_in_whatever_order(one, other, expected):
    here, there = a_cell(*one), a_cell(*other)

    assert together([here, there], exclusive=False) == together([there, here], exclusive=False) == a_cell(*expected)


def test_two_classes_by_two_readings_of_an_exclusive_label_space_are_disputed_unless_boxed():
    normal = a_cell("present", "label") + a_cell("unknown", "none")
    ill = a_cell("unknown", "none") + a_cell("boxed", "box")

    assert together([normal, ill], exclusive=True) == a_cell("unknown", "disputed") + a_cell("boxed", "box")


def test_an_assumption_contradicts_nobody_and_a_label_does():
    assumed, boxed, denied = a_cell("absent", "assumption"), a_cell("boxed", "box"), a_cell("absent", "label")

    assert contradicted([assumed, boxed]) == []
    assert contradicted([denied, boxed]) == [0]


def test_a_label_that_says_unknown_yields_to_one_that_knows():
    card = a_card(labels={"Infiltration": {"covid": Presence.UNKNOWN}, "Pneumonia": {"covid": Presence.PRESENT}})

    for labels in (("Infiltration", "Pneumonia"), ("Pneumonia", "Infiltration")):
        assert presence_of(card, SPACE, [], labels)["covid"] == Cell(Presence.PRESENT, Rule.LABEL)
