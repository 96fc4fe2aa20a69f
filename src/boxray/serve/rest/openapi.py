"""How the REST door is described for programs: OpenAPI 3.1 with examples."""

import json
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

import boxray.core.reading
from boxray.core.errors import CODES
from boxray.core.reading import DISCLAIMER, SCHEMA
from boxray.serve.problems import MEDIA_TYPE, REQUEST_CODES
from boxray.serve.rest.body import FORM_TYPE, MOST_FILES, RAW_TYPES

DESCRIPTION: Final = (
    f"Boxed findings on frontal chest radiographs, with the classifier's maps. {DISCLAIMER} A reading is RESULT, "
    "REFUSED or FAILED; a finding that a model was never trained to answer is *not assessed*, never *absent*. "
    "Every answer that is no result is problem+json (RFC 9457) with a `code`. Where the service was started with a "
    "token, every request but those for its health carries `Authorization: Bearer TOKEN`."
)

_IDENTITY: Final = {"name": "yolov8n", "version": "0.1.0", "sha256": "0" * 64, "thresholds": {"effusion": 0.21}}
_RESULT: Final = {
    "schema": SCHEMA,
    "file": "upload",
    "status": "RESULT",
    "code": None,
    "reason": None,
    "width": 2021,
    "height": 2021,
    "notes": ["window 1 of the header"],
    "detections": [{"id": "d1", "finding": "effusion", "score": 0.83, "box_xyxy": [212.0, 1310.5, 640.2, 1721.9]}],
    "scores": {"effusion": 0.91},
    "not_assessed": {"detector": ["edema"]},
    "agreement": [
        {"finding": "effusion", "case": "both", "pointing_hit": True, "iou": 0.41, "energy_inside": 0.63},
    ],
    "models": {"detector": _IDENTITY},
    "disclaimer": DISCLAIMER,
}
_ID: Final = "Zm9vYmFyYmF6cXV4MTIzNA"
_WAITING: Final = {"id": _ID, "status": "WAITING", "location": f"/v1/readings/{_ID}"}
_REFUSAL: Final = {
    "type": "urn:boxray:problem:dicom.multiframe",
    "title": CODES["dicom.multiframe"].meaning,
    "status": 422,
    "detail": "the object has 12 frames",
    "code": "dicom.multiframe",
}


_MANY_READ: Final = {"readings": [{"id": _ID, "location": f"/v1/readings/{_ID}", "reading": _RESULT}]}
_OBJECT: Final = {"type": "object"}
_EXAMPLES: Final[dict[str, Any]] = {
    "reading": _RESULT,
    "readings": _MANY_READ,
    "waiting": _WAITING,
    "refused": _REFUSAL,
    "model": {"version": "0.1.0", "models": {"detector": _IDENTITY}, "not_assessed": {"detector": ["edema"]}},
    "source": {"source": "https://example.org/boxray", "licence": "AGPL-3.0-or-later", "version": "0.1.0"},
    "live": {"status": "live"},
    "ready": {"status": "ready"},
    "metrics": "boxray_waiting 0\n",
    "ids": {"ids": [_ID]},
    "table": (
        "file,status,code,reason,finding,detector_says,boxes,best_box_score,…\r\n"
        "upload,RESULT,,,effusion,boxed,1,0.8300,…\r\n"
    ),
}


def describe(app: FastAPI) -> dict[str, Any]:
    """The description, made once."""
    if app.openapi_schema is None:
        said = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            license_info=app.license_info,
            routes=app.routes,
        )
        schemas = said.setdefault("components", {}).setdefault("schemas", {})
        schemas.clear()  # FastAPI's own forms of errors are never sent
        schemas |= {"Reading": _reading_schema(), "Problem": _PROBLEM, "Waiting": _WAITING_SCHEMA, "Many": _MANY}
        schemas["Body_table"] = _IDS  # FastAPI's name for the body of the operation `table`
        # Put in here, as FastAPI takes every null out of what it is given.
        said["components"]["examples"] = {name: {"value": value} for name, value in _EXAMPLES.items()}
        said["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        said["security"] = [{}, {"token": []}]
        for operations in said["paths"].values():
            for operation in operations.values():
                operation["responses"].pop("422", None)
                for answer in operation["responses"].values():
                    if answer.get("content", {}).get("application/json") == {"schema": {}}:
                        del answer["content"]["application/json"]  # FastAPI says it of pictures, too
                operation["responses"] |= _PROBLEMS
        app.openapi_schema = said
    return app.openapi_schema


def _reading_schema() -> Any:
    """The published schema; what it refers to inside itself is found from its new place."""
    text = Path(boxray.core.reading.__file__).with_name("reading.schema.json").read_text(encoding="utf-8")
    schema = json.loads(text.replace('"#/$defs/', '"#/components/schemas/Reading/$defs/'))
    del schema["$schema"], schema["$id"]
    return schema


def _content(media_type: str, schema: dict[str, Any], *examples: str) -> dict[str, Any]:
    """`examples` are names in `_EXAMPLES`."""
    return {
        media_type: {
            "schema": schema,
            "examples": {name: {"$ref": f"#/components/examples/{name}"} for name in examples},
        }
    }


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _answers(**of_200: Any) -> dict[str, Any]:
    return {"responses": {200: of_200}, "response_model": None}


_PROBLEM: Final = {
    "type": "object",
    "description": "RFC 9457. Of a file that was refused or failed, `reading` is its reading.",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "code": {"enum": sorted({*REQUEST_CODES, *CODES})},
        "reading": _ref("Reading"),
    },
}
_PROBLEMS: Final = {
    "default": {
        "description": "No result: the code says why. 503 and 409 say in Retry-After when to ask again.",
        "headers": {"Retry-After": {"schema": {"type": "integer", "minimum": 1}}},
        "content": _content(MEDIA_TYPE, _ref("Problem"), "refused"),
    }
}
_WAITING_SCHEMA: Final = {
    "type": "object",
    "required": ["id", "status", "location"],
    "properties": {"id": {"type": "string"}, "status": {"const": "WAITING"}, "location": {"type": "string"}},
}
_MANY: Final = {
    "type": "object",
    "required": ["readings"],
    "properties": {
        "readings": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id", "location"],
                "properties": {
                    "id": {"type": "string"},
                    "location": {"type": "string"},
                    "status": {"const": "WAITING"},
                    "reading": _ref("Reading"),
                },
            },
        }
    },
}
_IDS: Final = {
    "type": "object",
    "required": ["ids"],
    "properties": {
        "ids": {"type": "array", "items": {"type": "string", "maxLength": 64}, "minItems": 1, "maxItems": 1000}
    },
}
_ONE_OR_MANY: Final = {"oneOf": [_ref("Reading"), _ref("Many")]}
_LINKS: Final = {
    name: {"operationId": operation, "parameters": {"reading_id": "$response.body#/id"}, "description": said}
    for name, operation, said in (
        ("reading", "reading", "The reading, once it is made."),
        ("overlay", "overlay_png", "Its picture."),
        ("forget", "forget", "Have it forgotten."),
    )
}
"""Where a job leads; the operations are named as in `app`."""
_STILL_WAITING: Final = {
    "description": "Not read yet; it will be found at `location`.",
    "headers": {"Retry-After": {"schema": {"type": "integer"}}, "Location": {"schema": {"type": "string"}}},
    "content": _content("application/json", {"oneOf": [_ref("Waiting"), _ref("Many")]}, "waiting"),
}
_BINARY: Final = {"type": "string", "format": "binary"}
_FORM: Final = {
    "type": "object",
    "properties": {"file": {"type": "array", "items": _BINARY, "minItems": 1, "maxItems": MOST_FILES}},
    "required": ["file"],
}

POST_READINGS: Final[dict[str, Any]] = {
    "response_model": None,
    "responses": {
        200: {
            "description": "The reading of one file as the body, or of each file of a form.",
            "headers": {"Location": {"schema": {"type": "string"}, "description": "Of one file's reading."}},
            "content": _content("application/json", _ONE_OR_MANY, "reading", "readings"),
        },
        202: {**_STILL_WAITING, "links": _LINKS},
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                **{media_type: {"schema": _BINARY} for media_type in RAW_TYPES},
                FORM_TYPE: {"schema": _FORM},
            },
        }
    },
}
GET_READING: Final[dict[str, Any]] = {
    "response_model": None,
    "responses": {
        200: {"description": "The reading.", "content": _content("application/json", _ref("Reading"), "reading")},
        202: _STILL_WAITING,
    },
}
POST_TABLES: Final[dict[str, Any]] = {
    "response_model": None,
    "responses": {200: {"description": "A table.", "content": _content("text/csv", {"type": "string"}, "table")}},
    "openapi_extra": {
        "requestBody": {"content": {"application/json": {"examples": {"ids": {"$ref": "#/components/examples/ids"}}}}}
    },
}
DELETE_READING: Final[dict[str, Any]] = {"responses": {204: {"description": "It is forgotten."}}}
GET_PICTURE: Final[dict[str, Any]] = {
    "response_model": None,
    "responses": {200: {"description": "A picture.", "content": {"image/png": {"schema": _BINARY}}}},
}
GET_OBJECT: Final[dict[str, Any]] = {
    "response_model": None,
    "responses": {200: {"description": "A DICOM file.", "content": {"application/dicom": {"schema": _BINARY}}}},
}
GET_MODEL: Final = _answers(description="Who speaks.", content=_content("application/json", _OBJECT, "model"))
GET_SOURCE: Final = _answers(description="A link.", content=_content("application/json", _OBJECT, "source"))
GET_LIVE: Final = _answers(description="It runs.", content=_content("application/json", _OBJECT, "live"))
GET_READY: Final = _answers(description="It is ready.", content=_content("application/json", _OBJECT, "ready"))
GET_METRICS: Final = _answers(
    description="Prometheus' text form 0.0.4.", content=_content("text/plain", {"type": "string"}, "metrics")
)
