"""The description that programs read is true: it validates, its examples do, and so does what the door answers."""

import jsonschema
import pytest
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from boxray.serve.rest.openapi import describe
from serve.rest_room import Room, posted


@pytest.fixture(scope="module")
def room():
    return Room()


@pytest.fixture(scope="module")
def described(room):
    with room.served() as door:
        yield door.get("/v1/openapi.json").json()


def inside(value, path=()):
    """Every object of a document, with the way to it."""
    if isinstance(value, dict):
        yield path, value
        for key, each in value.items():
            yield from inside(each, (*path, key))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from inside(each, (*path, number))


def validator(described, schema):
    registry = Registry().with_resource("urn:door", Resource.from_contents(described, DRAFT202012))
    rooted = {"$id": "urn:door:part", **rerooted(schema)}
    return jsonschema.Draft202012Validator(rooted, registry=registry)


def rerooted(value):
    if isinstance(value, dict):
        return {key: "urn:door" + each if key == "$ref" else rerooted(each) for key, each in value.items()}
    return [rerooted(each) for each in value] if isinstance(value, list) else value


def operations(described):
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


def test_it_is_openapi_3_1_and_names_every_address_of_the_door(described):
    assert described["openapi"].startswith("3.1.")
    assert {name for name, _ in operations(described)} == {
        "post /v1/readings",
        "post /v1/tables",
        "get /v1/readings/{reading_id}",
        "delete /v1/readings/{reading_id}",
        "get /v1/readings/{reading_id}/overlay.png",
        "get /v1/readings/{reading_id}/sr.dcm",
        "get /v1/readings/{reading_id}/gsps.dcm",
        "get /v1/readings/{reading_id}/maps/{finding}.png",
        "get /v1/model",
        "get /v1/source",
        "get /health/live",
        "get /health/ready",
        "get /metrics",
    }
    assert len({operation["operationId"] for _, operation in operations(described)}) == 13


def test_every_reference_leads_somewhere(described):
    for path, value in inside(described):
        if isinstance(value.get("$ref"), str):
            place = described
            for part in value["$ref"].removeprefix("#/").split("/"):
                assert part in place, f"{value['$ref']} at {path}"
                place = place[part]


def test_every_schema_is_a_schema_and_every_example_fits_it(described):
    n_examples = 0
    for schema in described["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    for _, value in inside(described):
        for example in value.get("examples", {}).values() if "schema" in value else ():
            name = example["$ref"].rpartition("/")[2]
            validator(described, value["schema"]).validate(described["components"]["examples"][name]["value"])
            n_examples += 1

    assert n_examples > 10


def test_every_operation_says_what_comes_when_it_goes_well_and_when_it_does_not(described):
    for name, operation in operations(described):
        assert operation["summary"], name
        assert operation["description"], name
        assert any(status.startswith("2") for status in operation["responses"]), name
        assert "application/problem+json" in operation["responses"]["default"]["content"], name


def test_what_the_door_answers_fits_the_description(room, described):
    with room.served() as door:
        one = posted(door)
        many = door.post("/v1/readings", files=[("file", ("a", b"x"))] * 2)
        job = posted(door, params={"wait": "false"})
        problem = posted(door, params={"min_score": 7})

    answers = described["paths"]["/v1/readings"]["post"]["responses"]
    for answer, status in ((one, "200"), (many, "200"), (job, "202"), (problem, "default")):
        (content,) = answers[status]["content"].values()
        validator(described, content["schema"]).validate(answer.json())
        with pytest.raises(jsonschema.ValidationError):
            validator(described, content["schema"]).validate({"unknown": 1})


def test_it_is_made_once(room):
    app = room.app._app

    assert describe(app) is describe(app)
