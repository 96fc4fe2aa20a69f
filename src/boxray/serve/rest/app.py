"""The REST door: what each address does. How it is described for programs stands in `openapi`."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any, Final, Protocol

from anyio import CapacityLimiter, to_thread
from fastapi import Body, FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import Field
from pydicom import Dataset
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Route

from boxray import __version__
from boxray.core.ahead import cores
from boxray.core.arrays import ByteArray
from boxray.core.errors import CODES, InputError, ModelError, Outcome
from boxray.core.findings import LabelSpace
from boxray.core.reading import DISCLAIMER, Reading
from boxray.imaging.draw import encode_png
from boxray.localization.overlay import map_of, map_panel, overlay_on_film, with_footer
from boxray.localization.page import source_url
from boxray.serve import metrics
from boxray.serve.downloads import Download, presentation_file, report_file, table_file
from boxray.serve.guard import POLICY_OF_DATA
from boxray.serve.problems import Problem
from boxray.serve.rest import openapi
from boxray.serve.rest.body import Receiving, received
from boxray.serve.rest.kept import Kept, Readings
from boxray.serve.service import Service
from boxray.serve.waiting import waited

_SWEEP_S: Final = 20.0
_STATUS_CODES: Final = {404: "request.not_found", 405: "request.method", 503: "service.busy"}

Wait = Annotated[bool, Query(description="Wait for the reading. False: an answer at once, and the reading later.")]
MinScore = Annotated[
    float | None, Query(ge=0, le=1, description="One threshold for all boxes; without it, the stored operating points.")
]
ReadingId = Annotated[str, Path(max_length=64, description="From the header Location of the answer to POST.")]
FindingKey = Annotated[str, Path(max_length=64, description="A key of /v1/model.")]
Ids = Annotated[
    list[Annotated[str, Field(max_length=64)]],
    Body(embed=True, min_length=1, max_length=1000, description="Of readings, in the order that the table shall have."),
]
Shown = Annotated[
    str | None, Query(max_length=64, description="Whose map stands beside the boxes; a key of /v1/model.")
]


def build_rest(service: Service, readings: Readings | None = None, *, source: str | None = None) -> FastAPI:
    """The door as an ASGI application. `Guard` has to stand before it.

    Args:
        service: Reads radiographs.
        readings: Keeps what was read; None makes one.
        source: Link to the source code of what runs here; None: the installed package's.
    """
    readings = readings or Readings(service)
    app = FastAPI(
        title="boxray",
        version=__version__,
        description=openapi.DESCRIPTION,
        license_info={"name": "AGPL-3.0-or-later", "identifier": "AGPL-3.0-or-later"},
        openapi_url="/v1/openapi.json",
        docs_url=None,  # its page would ask a host outside
        redoc_url=None,
        lifespan=sweeping(readings),
        generate_unique_id_function=lambda route: route.name,
        redirect_slashes=False,
    )
    app.add_middleware(_Leaving, service=service)
    _tell_problems(app, service)
    _add_readings(app, service, readings)
    _add_identity(app, service, source_url() if source is None else source)
    _add_health(app, service, readings)
    app.openapi = lambda: openapi.describe(app)  # type: ignore[method-assign]  # FastAPI's documented way
    return app


class _Leaving:
    """Counts answers by the route's pattern and status; nothing of them is a page, says each (ASGI middleware)."""

    def __init__(self, app: Any, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def leaving(message: Any) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "none")
                self._service.metrics.count("boxray_answers_total", route=route, status=str(message["status"]))
                policy = (b"content-security-policy", POLICY_OF_DATA.encode())
                message = {**message, "headers": [*message.get("headers", []), policy]}
            await send(message)

        await self._app(scope, receive, leaving if scope["type"] == "http" else send)


class Forgets(Protocol):
    """Something that keeps things for a while."""

    def forget_the_old(self) -> None: ...


def sweeping(*keeping: Forgets) -> Callable[[FastAPI], Any]:
    """A lifespan during which what has expired is dropped, even while nobody asks."""

    async def sweep() -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            for each in keeping:
                each.forget_the_old()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(sweep())
        try:
            yield
        finally:
            task.cancel()

    return lifespan


def _tell_problems(app: FastAPI, service: Service) -> None:
    """Whatever is raised becomes problem+json; what is not known here the guard turns into a fault of ours."""

    def answer(problem: Problem) -> Response:
        return Response(problem.body, problem.status, problem.headers)

    @app.exception_handler(Problem)
    async def of_ours(_: Request, problem: Problem) -> Response:
        return answer(problem)

    @app.exception_handler(ModelError)
    async def of_the_service(_: Request, error: ModelError) -> Response:
        return answer(Problem(error.code.name, error.reason, retry_after_s=service.retry_after_s))

    @app.exception_handler(HTTPException)
    async def of_the_router(request: Request, error: HTTPException) -> Response:
        said = answer(Problem(_STATUS_CODES.get(error.status_code, "request.malformed")))
        if error.status_code == 405:
            said.headers["allow"] = ", ".join(_methods(app, request.scope))
        return said

    @app.exception_handler(RequestValidationError)
    async def of_a_parameter(_: Request, error: RequestValidationError) -> Response:
        said = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        return answer(Problem("request.malformed", said))

    @app.exception_handler(ClientDisconnect)
    async def of_nobody(_: Request, __: ClientDisconnect) -> Response:
        return Response(status_code=400)  # nobody is there to see it


def _methods(app: FastAPI, scope: Any) -> list[str]:
    """Those of all routes at an address; Starlette's own word names those of the first alone."""
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    routes = (route for route in app.routes if isinstance(route, Route) and route.path_regex.match(path))
    return sorted({method for route in routes for method in route.methods or ()})


def _add_readings(app: FastAPI, service: Service, readings: Readings) -> None:
    receiving = Receiving()
    drawing = CapacityLimiter(cores())  # pictures are work for the CPU that the models want too

    @app.post("/v1/readings", tags=["readings"], **openapi.POST_READINGS)
    async def read(request: Request, wait: Wait = True, min_score: MinScore = None) -> Response:
        """Read one radiograph, or several in a form.

        What a file is, its content says, not its name or type. One file as the body is answered by its reading, a
        form by a list in the form's order. With `wait=false` the answer comes at once and the reading later, at the
        address that it names.
        """
        service.require_room()
        upload = await received(request, receiving)
        begun = _begin(readings, upload.files, min_score)
        ids = [reading_id for reading_id, _ in begun]
        if wait:
            made = await _made(request, service, readings, begun)
            if upload.is_form:
                items = [
                    {"id": reading_id, "location": _place(request, reading_id), "reading": it.to_json()}
                    for reading_id, it in zip(ids, made, strict=True)
                ]
                return JSONResponse({"readings": items})
            return _said(service, made[0], _place(request, ids[0]))
        waiting = [_waiting(request, reading_id) for reading_id in ids]
        if upload.is_form:
            return JSONResponse({"readings": waiting}, 202)
        return JSONResponse(waiting[0], 202, {"location": _place(request, ids[0]), "retry-after": "1"})

    @app.post("/v1/tables", tags=["readings"], **openapi.POST_TABLES)
    async def table(ids: Ids) -> Response:
        """All readings of a batch as one CSV table, in the order of their ids: a row per radiograph and finding.

        A reading that is none has one row, with its code and reason. Nothing is left out unsaid: an id that is not kept
        any more, or that is still being read, is a problem.
        """
        made = [_find(readings, each) for each in ids]
        if None in made:
            raise Problem("request.not_ready", f"{made.count(None)} of {len(made)} are still being read")
        kept = [each.reading for each in made if each is not None]
        file = await to_thread.run_sync(lambda: table_file(kept, service.label_space), limiter=drawing)
        return Response(file.data, media_type=file.media_type)

    @app.get("/v1/readings/{reading_id}", tags=["readings"], **openapi.GET_READING)
    async def reading(request: Request, reading_id: ReadingId) -> Response:
        """The reading, or word that it is still being made (202)."""
        kept = _find(readings, reading_id)
        if kept is None:
            return JSONResponse(_waiting(request, reading_id), 202, {"retry-after": "1"})
        return _said(service, kept.reading, _place(request, reading_id))

    @app.delete("/v1/readings/{reading_id}", tags=["readings"], status_code=204, **openapi.DELETE_READING)
    async def forget(reading_id: ReadingId) -> Response:
        """Forget a reading; if it waits, it is not made."""
        try:
            readings.drop(reading_id)
        except KeyError:
            raise Problem("request.not_found") from None
        return Response(status_code=204)

    @app.get("/v1/readings/{reading_id}/overlay.png", tags=["pictures"], **openapi.GET_PICTURE)
    async def overlay_png(reading_id: ReadingId, finding: Shown = None) -> Response:
        """Film, boxes and one finding's map side by side, above the disclaimer and the models' identity."""
        kept = _result(readings, reading_id)
        if finding is not None:
            _require_map(kept, finding)
        return await _png(lambda: _overlay(kept, service, finding), drawing)

    @app.get("/v1/readings/{reading_id}/maps/{finding}.png", tags=["pictures"], **openapi.GET_PICTURE)
    async def map_png(reading_id: ReadingId, finding: FindingKey) -> Response:
        """The film under the map of one finding, above the disclaimer and the models' identity."""
        kept = _result(readings, reading_id)
        _require_map(kept, finding)
        return await _png(lambda: _map(kept, service, finding), drawing)

    @app.get("/v1/readings/{reading_id}/sr.dcm", tags=["objects"], **openapi.GET_OBJECT)
    async def sr(reading_id: ReadingId) -> Response:
        """The reading as a DICOM structured report (TID 1500) that refers to the radiograph."""
        return await _object(report_file, _result(readings, reading_id), service, drawing)

    @app.get("/v1/readings/{reading_id}/gsps.dcm", tags=["objects"], **openapi.GET_OBJECT)
    async def gsps(reading_id: ReadingId) -> Response:
        """The boxes as a DICOM presentation state that a viewer lays over the radiograph."""
        return await _object(presentation_file, _result(readings, reading_id), service, drawing)


def _add_identity(app: FastAPI, service: Service, source: str) -> None:
    space = service.label_space
    said = {
        "version": __version__,
        "label_space": space.name,
        "findings": [{"key": each.key, "display": each.display, "box": each.box} for each in space],
        "models": {
            role: {"name": it.name, "version": it.version, "sha256": it.sha256, "thresholds": dict(it.thresholds)}
            for role, it in service.models.items()
        },
        "not_assessed": {role: list(silent) for role, silent in service.not_assessed.items()},
        "codes": {
            code.name: {"outcome": code.outcome.value, "status": code.http, "meaning": code.meaning}
            for code in CODES.values()
        },
        "disclaimer": DISCLAIMER,
    }

    @app.get("/v1/model", tags=["service"], **openapi.GET_MODEL)
    async def model() -> Response:
        """Which weights speak, at which thresholds, what they do not assess, and all codes."""
        return JSONResponse(said)

    @app.get("/v1/source", tags=["service"], **openapi.GET_SOURCE)
    async def source_code() -> Response:
        """Where the source code of what runs here is (AGPL-3.0, section 13)."""
        return JSONResponse({"source": source, "licence": "AGPL-3.0-or-later", "version": __version__})


def _add_health(app: FastAPI, service: Service, readings: Readings) -> None:
    @app.get("/health/live", tags=["service"], **openapi.GET_LIVE)
    async def live() -> Response:
        """The program runs."""
        return JSONResponse({"status": "live"})

    @app.get("/health/ready", tags=["service"], **openapi.GET_READY)
    async def ready() -> Response:
        """Requests may be sent here."""
        if not service.ready:
            raise Problem("service.draining", "not ready: it is being stopped, or the last readings all failed")
        return JSONResponse({"status": "ready"})

    @app.get("/metrics", tags=["service"], **openapi.GET_METRICS)
    async def counted() -> Response:
        """Counters in Prometheus' text form; no label tells one radiograph from another."""
        text = service.metrics.text({**service.gauges, **readings.gauges})
        return Response(text, media_type=metrics.CONTENT_TYPE)


def _begin(
    readings: Readings, files: Iterable[tuple[str, bytes]], min_score: float | None
) -> list[tuple[str, Future[Reading]]]:
    """All files or none: a form that does not fit into the line is to be sent again as it is."""
    begun: list[tuple[str, Future[Reading]]] = []
    try:
        for name, data in files:
            begun.append(readings.begin(data, name, min_score))
    except ModelError:
        _drop(readings, begun)
        raise
    return begun


def _drop(readings: Readings, begun: Iterable[tuple[str, Future[Reading]]]) -> None:
    for reading_id, _ in begun:
        with suppress(KeyError):
            readings.drop(reading_id)


async def _made(
    request: Request, service: Service, readings: Readings, begun: list[tuple[str, Future[Reading]]]
) -> list[Reading]:
    """Wait for all of them, but not beyond the deadline and not for a client that has gone: then they are dropped."""
    done = asyncio.gather(*(asyncio.wrap_future(future) for _, future in begun))
    try:
        return await waited(request, service, done)
    finally:
        if not done.done() or done.cancelled():
            _drop(readings, begun)


def _said(service: Service, reading: Reading, place: str) -> Response:
    """A result as it is; a refusal or a failure as a problem that holds the reading."""
    if reading.status is Outcome.RESULT:
        return JSONResponse(reading.to_json(), headers={"location": place})
    code = reading.code or "internal.error"
    retry_after_s = service.retry_after_s if CODES[code].http == 503 else None
    raise Problem(code, reading.reason, retry_after_s=retry_after_s, more={"reading": reading.to_json()})


def _waiting(request: Request, reading_id: str) -> Mapping[str, str]:
    return {"id": reading_id, "status": "WAITING", "location": _place(request, reading_id)}


def _place(request: Request, reading_id: str) -> str:
    return f"{request.scope.get('root_path', '')}/v1/readings/{reading_id}"


def _find(readings: Readings, reading_id: str) -> Kept | None:
    try:
        return readings.find(reading_id)
    except KeyError:
        raise Problem("request.not_found") from None


def _result(readings: Readings, reading_id: str) -> Kept:
    kept = _find(readings, reading_id)
    if kept is None:
        raise Problem("request.not_ready")
    if kept.film is None:
        raise Problem(
            kept.reading.code or "internal.error", kept.reading.reason, more={"reading": kept.reading.to_json()}
        )
    return kept


def _require_map(kept: Kept, finding: str) -> None:
    if map_of(kept.reading, finding) is None:
        there = ", ".join(each.finding for each in kept.reading.maps) or "none"
        raise Problem("request.not_found", f"the reading has no map of that finding; it has: {there}")


def _overlay(kept: Kept, service: Service, finding: str | None) -> ByteArray:
    assert kept.film is not None, "only results are drawn"
    return overlay_on_film(kept.film, kept.reading, service.label_space, finding, reference=kept.full)


def _map(kept: Kept, service: Service, finding: str) -> ByteArray:
    assert kept.film is not None, "only results are drawn"
    panel = map_panel(kept.film, kept.reading, service.label_space, finding, reference=kept.full)
    return with_footer([panel], kept.reading, service.label_space)


async def _object(
    write: Callable[[Dataset, Reading, LabelSpace], Download], kept: Kept, service: Service, drawing: CapacityLimiter
) -> Response:
    header = kept.header
    if header is None or "detector" not in kept.reading.models:
        raise Problem("request.not_found", "objects are made of DICOM radiographs with their UIDs, and of boxes alone")
    try:
        made = await to_thread.run_sync(lambda: write(header, kept.reading, service.label_space), limiter=drawing)
    except InputError as error:
        raise Problem(error.code.name, error.reason) from None
    return Response(made.data, media_type=made.media_type)


async def _png(draw: Callable[[], ByteArray], drawing: CapacityLimiter) -> Response:
    data = await to_thread.run_sync(lambda: encode_png(draw()), limiter=drawing)
    return Response(data, media_type="image/png")
