"""Readings: three outcomes that are never mixed, and a JSON form that its schema describes."""

import json
import pickle
from importlib.resources import files

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxray.core.boxes import Box
from boxray.core.errors import CODES, InputError, ModelError, Outcome
from boxray.core.reading import Agreement, Case, Chest, Detection, ModelIdentity, Reading, SaliencyMap
from making import SIX, label_space

SPACE = label_space("effusion", "edema", "covid")
WEIGHTS = ModelIdentity("chest8", "1", "0" * 64, {"effusion": 0.25})
DETECTION = Detection("effusion", 0.83, Box(212, 1310.5, 640.2, 1721.9))


@pytest.fixture(scope="module")
def schema():
    return json.loads(files("boxray.core").joinpath("reading.schema.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def validate(schema):
    """Raises unless a reading, as it travels, is what the schema describes."""
    validator = jsonschema.Draft202012Validator(schema)

    def check(row):
        validator.validate(json.loads(json.dumps(row, allow_nan=False)))

    return check


def a_result(**changes):
    full = {
        "size_wh": (2021, 2021),
        "notes": ("12 bits",),
        "detections": (DETECTION,),
        "scores": {"effusion": 0.91, "edema": 0.12},
        "not_assessed": {"detector": ("edema",), "classifier": ()},
        "agreement": (
            Agreement("effusion", Case.BOTH, pointing_hit=True, iou=0.41, energy_inside=0.63),
            Agreement("covid", Case.NEITHER),
        ),
        "models": {"detector": WEIGHTS, "classifier": WEIGHTS},
    }
    return Reading("a film", Outcome.RESULT, **(full | changes))


def test_the_schema_is_one_and_carries_its_version(schema):
    jsonschema.Draft202012Validator.check_schema(schema)

    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == schema["properties"]["schema"]["const"] == "boxray.reading/1"


def test_a_result_is_what_the_schema_describes(validate):
    row = a_result().to_json()

    validate(row)
    assert row["status"] == "RESULT"
    assert (row["code"], row["reason"], row["width"], row["height"]) == (None, None, 2021, 2021)
    assert row["detections"] == [
        {"id": "d1", "finding": "effusion", "score": 0.83, "box_xyxy": [212.0, 1310.5, 640.2, 1721.9]}
    ]
    assert row["agreement"][0] == {
        "finding": "effusion",
        "case": "both",
        "pointing_hit": True,
        "iou": 0.41,
        "energy_inside": 0.63,
    }


def test_a_result_of_one_model_or_without_any_finding_is_one_too(validate):
    validate(a_result(scores={}, agreement=(), models={"detector": WEIGHTS}, not_assessed={"detector": ()}).to_json())
    validate(a_result(detections=(), scores={}, agreement=()).to_json())


@pytest.mark.parametrize("code", CODES.values(), ids=str)
def test_every_refusal_and_failure_is_what_the_schema_describes(validate, code):
    wrapped = InputError(code.name, "why") if code.outcome is Outcome.REFUSED else ModelError("why", code.name)

    row = Reading.not_answered("a film", wrapped).to_json()

    validate(row)
    assert (row["status"], row["code"], row["reason"]) == (code.outcome.value, code.name, "why")
    assert row["detections"] == row["agreement"] == []
    assert row["scores"] == row["not_assessed"] == {}


@pytest.mark.parametrize("keys", [("nodule",), SIX, tuple("abcdefgh")], ids=len)
def test_a_reading_of_any_label_space_is_what_the_schema_describes(validate, keys):
    space = label_space(*keys)

    reading = a_result(
        detections=tuple(Detection(key, 0.5, Box(0, 0, 9, 9)) for key in keys),
        scores=dict.fromkeys(keys, 0.5),
        not_assessed={"detector": (), "classifier": ()},
        agreement=tuple(Agreement(key, Case.BOX_ONLY) for key in keys),
    )

    validate(reading.to_json())
    assert reading.states(space) == dict.fromkeys(keys, "boxed")
    assert [row["id"] for row in reading.to_json()["detections"]] == [f"d{n}" for n in range(1, len(keys) + 1)]


def test_numbers_that_numpy_made_travel_as_numbers(validate):
    reading = a_result(
        size_wh=(np.int64(640), np.int64(512)),
        detections=(Detection("effusion", np.float32(0.83), Box(*np.array([1, 2, 3, 4], dtype=np.float32))),),
        scores={"effusion": np.float32(0.91)},
        agreement=(Agreement("effusion", Case.BOTH, np.bool_(True), np.float32(0.5), np.float32(0.25)),),
        models={"detector": ModelIdentity("chest8", "1", "0" * 64, {"effusion": np.float32(0.25)})},
    )

    row = reading.to_json()

    validate(row)
    assert row["scores"] == {"effusion": 0.91}
    assert row["detections"][0]["box_xyxy"] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"patient": "Doe^Jane"}, id="a-key-that-nobody-documented"),
        pytest.param({"schema": "boxray.reading/2"}, id="another-version"),
        pytest.param({"status": "OK"}, id="a-fourth-outcome"),
        pytest.param({"status": "REFUSED"}, id="a-refusal-that-says-something"),
        pytest.param({"status": "FAILED", "code": "internal.error", "reason": "x"}, id="a-failure-that-says-something"),
        pytest.param({"code": "quality.blank"}, id="a-result-with-a-code"),
        pytest.param({"width": None}, id="a-result-without-a-size"),
        pytest.param({"width": 12.5}, id="half-a-pixel"),
        pytest.param({"scores": {"effusion": 1.2}}, id="a-score-above-1"),
        pytest.param({"scores": None}, id="no-scores-instead-of-none"),
        pytest.param({"detections": [{"id": "d1", "finding": "edema", "score": 0.5}]}, id="a-detection-without-a-box"),
        pytest.param({"agreement": [{"finding": "edema", "case": "maybe"}]}, id="an-unknown-case"),
        pytest.param({"not_assessed": {"radiologist": []}}, id="a-third-model"),
    ],
)
def test_the_schema_refuses_what_a_reading_never_says(validate, changes):
    with pytest.raises(jsonschema.ValidationError):
        validate(a_result().to_json() | changes)


def test_every_key_of_a_reading_must_be_there(validate):
    row = a_result().to_json()

    for key in row:
        with pytest.raises(jsonschema.ValidationError, match=f"'{key}' is a required property"):
            validate({name: value for name, value in row.items() if name != key})


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"detections": (DETECTION,)}, id="a-box"),
        pytest.param({"scores": {"effusion": 0.2}}, id="a-score"),
        pytest.param({"agreement": (Agreement("effusion", Case.NEITHER),)}, id="an-agreement"),
        pytest.param({"code": None}, id="no-code"),
        pytest.param({"reason": None}, id="no-reason"),
    ],
)
@pytest.mark.parametrize("status", [Outcome.REFUSED, Outcome.FAILED])
def test_a_reading_that_answers_nothing_states_nothing_but_why(status, changes):
    with pytest.raises(ValueError, match="states nothing"):
        Reading("a film", status, **({"code": "quality.blank", "reason": "all pixels are equal"} | changes))


@pytest.mark.parametrize("changes", [{"code": "quality.blank"}, {"reason": "because"}, {"size_wh": None}])
def test_a_result_has_a_size_and_no_excuse(changes):
    with pytest.raises(ValueError, match="a result has a size"):
        a_result(**changes)


@pytest.mark.parametrize("score", [float("nan"), -0.1, 1.1, float("inf")])
def test_a_score_is_a_number_from_0_to_1(score):
    with pytest.raises(ValueError, match="score"):
        Detection("effusion", score, Box(0, 0, 1, 1))


def test_boxed_not_boxed_and_not_assessed_are_three_things():
    assert a_result().states(SPACE) == {"effusion": "boxed", "edema": "not assessed", "covid": "no box"}


@given(st.sets(st.sampled_from(SPACE.keys)), st.sets(st.sampled_from(SPACE.keys)))
@settings(max_examples=30)
def test_every_finding_is_in_exactly_the_state_that_the_detector_gave_it(boxed, silent):
    reading = a_result(
        detections=tuple(Detection(key, 0.5, Box(0, 0, 1, 1)) for key in sorted(boxed)),
        not_assessed={"detector": tuple(sorted(silent))},
        agreement=(),
    )

    states = reading.states(SPACE)

    assert {key for key, state in states.items() if state == "boxed"} == boxed
    assert {key for key, state in states.items() if state == "not assessed"} == silent - boxed
    assert tuple(states) == SPACE.keys


@pytest.mark.parametrize(
    "reading",
    [
        pytest.param(Reading.not_answered("x", InputError("quality.blank", "blank")), id="refused"),
        pytest.param(Reading.not_answered("x", ModelError("broken")), id="failed"),
        pytest.param(a_result(detections=(), not_assessed={"classifier": ()}), id="only-the-classifier-spoke"),
    ],
)
def test_where_no_detector_answered_every_finding_is_not_assessed(reading):
    assert set(reading.states(SPACE).values()) == {"not assessed"}


@pytest.mark.parametrize(
    "reading",
    [
        pytest.param(Reading.not_answered("x", InputError("quality.blank", "blank")), id="refused"),
        pytest.param(Reading("x", Outcome.RESULT, size_wh=(5, 3)), id="nothing-found"),
        pytest.param(a_result(), id="something-found"),
    ],
)
def test_a_reading_comes_out_of_a_pipe_as_it_went_in(reading):
    assert pickle.loads(pickle.dumps(reading)) == reading


def test_readings_with_maps_can_be_compared():
    saliency = SaliencyMap("effusion", np.zeros((3, 3), dtype=np.float32))
    other = SaliencyMap("effusion", np.zeros((3, 3), dtype=np.float32))

    assert a_result(maps=(saliency,)) == a_result(maps=(saliency,))
    assert a_result(maps=(saliency,)) != a_result(maps=(other,))


def test_a_chest_travels_and_fits_the_schema(validate):
    whole = Chest(Box(10, 20, 40.04, 80), Box(70, 20, 110, 80), cardiothoracic_ratio=0.51234)
    half = Chest(Box(10, 20, 40, 80), None, reason="not found: left lung")
    inside = Agreement("covid", Case.NEITHER, energy_in_lungs=0.5)

    rows = [a_result(chest=chest, agreement=(inside,)).to_json() for chest in (whole, half)]

    for row in rows:
        validate(row)
    assert rows[0]["chest"] == {
        "right_lung_xyxy": [10, 20, 40, 80],
        "left_lung_xyxy": [70, 20, 110, 80],
        "cardiothoracic_ratio": 0.5123,
        "reason": None,
    }
    assert rows[1]["chest"]["left_lung_xyxy"] is None
    assert rows[0]["agreement"][0]["energy_in_lungs"] == 0.5


def test_a_chest_has_a_ratio_or_the_reason_why_not():
    with pytest.raises(ValueError, match="a ratio or the reason why not"):
        Chest(None, None)


def test_a_refusal_states_nothing_of_the_chest(schema):
    row = Reading.not_answered("a film", InputError("input.not_supported", "no picture")).to_json()
    row["chest"] = a_result(chest=Chest(None, None, reason="not found")).to_json()["chest"]

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate(row)
    with pytest.raises(ValueError, match="states nothing else"):
        Reading("a", Outcome.REFUSED, code="x", reason="y", chest=Chest(None, None, reason="not found"))
