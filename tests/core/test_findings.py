"""Label spaces: any number of findings, compared by name and order."""

import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from boxray.core.errors import ModelError
from boxray.core.findings import Finding, LabelSpace, Presence
from making import SIX, label_space

EIGHT = ("edema", "pneumonia", "tuberculosis", "cardiomegaly", "emphysema", "covid", "effusion", "atelectasis")
ANY_NUMBER = pytest.mark.parametrize("keys", [("nodule",), SIX, EIGHT], ids=len)


@ANY_NUMBER
def test_position_name_and_finding_belong_together_whatever_their_number(keys):
    space = label_space(*keys)

    assert len(space) == len(keys)
    assert space.keys == keys
    assert [space.index(key) for key in keys] == list(range(len(keys)))
    assert [space[key] for key in keys] == list(space)
    assert all(key in space for key in keys)
    assert "hernia" not in space


def test_a_finding_that_is_not_there_is_missed_with_the_list_of_those_that_are():
    with pytest.raises(KeyError, match=r"'hernia' is not in label space 'made' \(effusion, edema\)"):
        label_space("effusion", "edema").index("hernia")


@pytest.mark.parametrize("keys", [(), ("effusion", "edema", "effusion")])
def test_a_label_space_has_findings_and_none_twice(keys):
    with pytest.raises(ValueError, match="different keys"):
        label_space(*keys)


words = st.sampled_from(["effusion", "no", "1", "Erguß", "it's: {a} #1", " ", "null"])
findings = st.builds(Finding, words, words, words, st.just("#66CCEE"), st.none() | st.tuples(words, words, words))
spaces = st.builds(
    LabelSpace, words, st.lists(findings, min_size=1, max_size=4, unique_by=lambda finding: finding.key).map(tuple)
)


@given(spaces)
@settings(max_examples=25)
def test_a_label_space_comes_back_from_json_and_from_yaml(space):
    mapping = space.to_mapping()

    assert LabelSpace.from_mapping(json.loads(json.dumps(mapping))) == space
    assert LabelSpace.from_mapping(yaml.safe_load(yaml.safe_dump(mapping))) == space


ROW = {"key": "edema", "display": "Edema", "box": "the hazy area", "colour": "#66CCEE"}


@pytest.mark.parametrize(
    "mapping",
    [
        pytest.param(None, id="an-empty-file"),
        pytest.param([ROW], id="a-list"),
        pytest.param({"findings": [ROW]}, id="without-a-name"),
        pytest.param({"name": "one"}, id="without-findings"),
        pytest.param({"name": "one", "findings": None}, id="findings-left-empty"),
        pytest.param({"name": "one", "findings": []}, id="no-finding"),
        pytest.param({"name": "one", "findings": ["edema"]}, id="a-word-for-a-finding"),
        pytest.param({"name": "one", "findings": [ROW | {"color": "red"}]}, id="an-unknown-key"),
        pytest.param({"name": "one", "findings": [{"key": "edema"}]}, id="keys-missing"),
        pytest.param({"name": "one", "findings": [ROW | {"key": False}]}, id="yaml-read-no-as-false"),
        pytest.param({"name": "one", "findings": [ROW | {"key": ""}]}, id="a-key-without-a-letter"),
        pytest.param({"name": "one", "findings": [ROW | {"colour": "blue"}]}, id="a-colour-by-name"),
        pytest.param({"name": "one", "findings": [ROW | {"code": ["19242006", "SCT"]}]}, id="half-a-code"),
    ],
)
def test_what_is_no_label_space_is_a_value_error(mapping):
    with pytest.raises(ValueError, match=r"label space|finding"):
        LabelSpace.from_mapping(mapping)


@ANY_NUMBER
def test_the_same_findings_in_the_same_order_are_the_same_label_space(keys):
    label_space(*keys).require_same(label_space(*keys))


def test_a_difference_lists_what_is_missing_and_what_was_not_asked_for():
    weights, asked = label_space("a", "b", "c"), label_space("a", "d")

    with pytest.raises(ModelError, match=r"3 findings, 2 are asked for; missing: d; not asked for: b, c"):
        weights.require_same(asked)


def test_the_same_findings_in_another_order_are_not_the_same():
    with pytest.raises(ModelError, match=r"missing: none; not asked for: none; the order differs\."):
        label_space("a", "b").require_same(label_space("b", "a"))


def test_weights_that_know_more_are_not_said_to_differ_in_order():
    with pytest.raises(ModelError) as caught:
        label_space("a", "b", "c").require_same(label_space("a", "b"))

    assert "not asked for: c" in str(caught.value)
    assert "order" not in str(caught.value)


def test_presence_is_compared_by_name_because_each_of_the_four_is_true():
    assert [presence.value for presence in Presence] == ["boxed", "present", "absent", "unknown"]
    assert all(Presence)
