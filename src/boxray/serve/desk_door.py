"""The page's own door to the desk: files in, readings, pixels and pictures out.

It is no interface for programs (that is ``/v1``) and may change with every version. It stands on the REST application,
behind the same guard, and tells what goes wrong in the same way.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Final

from anyio import CapacityLimiter, to_thread
from fastapi import Body, FastAPI, Header, Path, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import Field

from boxray.core.ahead import cores
from boxray.serve.cases import Case
from boxray.serve.desk import KINDS, Desk, Opening
from boxray.serve.downloads import Download
from boxray.serve.packing import part
from boxray.serve.problems import Problem
from boxray.serve.rest.body import Receiving, received
from boxray.serve.service import Answer
from boxray.serve.waiting import waited

PREFIX: Final = "/desk/"

_MOST_CASES: Final = 10_000  # of one table
_MOST_SAID_BYTES: Final = 2**20  # of what a reader says of one radiograph
_BYTES: Final = "application/octet-stream"

CaseKey = Annotated[str, Field(max_length=64)]
CaseId = Annotated[str, Path(max_length=64)]
DeskKey = Annotated[str, Header(alias="x-boxray-desk", pattern="^[0-9a-f]{32}$")]
MinScore = Annotated[float | None, Query(ge=0, le=1)]
Finding = Annotated[str | None, Query(max_length=64)]


def add_desk(app: FastAPI, desk: Desk) -> None:
    """Put the desk's addresses on an application; in its description for programs they do not stand."""
    work = CapacityLimiter(cores() + 1)
    _add_files(app, desk)
    _add_readings(app, desk, work)
    _add_downloads(app, desk, work)


def _add_files(app: FastAPI, desk: Desk) -> None:
    receiving = Receiving()

    @app.post(f"{PREFIX}files", include_in_schema=False)
    async def take(request: Request, key: DeskKey) -> Response:
        """Files of a form, or a zip file, onto a desk."""
        desk.service.require_room()
        upload = await received(request, receiving)
        taken = [case for name, data in upload.files for case in await to_thread.run_sync(desk.take, key, name, data)]
        return JSONResponse({"cases": taken}, 201)

    @app.post(f"{PREFIX}examples/{{number}}", include_in_schema=False)
    async def take_example(number: int, key: DeskKey) -> Response:
        return JSONResponse({"cases": await to_thread.run_sync(desk.take_example, key, number)}, 201)

    @app.delete(f"{PREFIX}cases/{{case_id}}", status_code=204, include_in_schema=False)
    async def drop(case_id: CaseId) -> Response:
        try:
            desk.cases.drop(case_id)
        except KeyError:
            raise Problem("request.not_found") from None
        return Response(status_code=204)


def _add_readings(app: FastAPI, desk: Desk, work: CapacityLimiter) -> None:
    @app.post(f"{PREFIX}cases/{{case_id}}/reading", include_in_schema=False)
    async def read(request: Request, case_id: CaseId) -> Response:
        """Read a case; at once where that was done already."""
        case = desk.case(case_id)
        if case.seen is None:
            await keep(case, await waited(request, desk.service, asyncio.wrap_future(desk.submit(case))))
        return JSONResponse(desk.said(case))

    @app.post(f"{PREFIX}cases/{{case_id}}/opening", include_in_schema=False)
    async def open_(request: Request, case_id: CaseId) -> Response:
        """Read a case for somebody who waits to see it: parts (`boxray.serve.packing.part`), as they are there.

        The film, head ``{"film": true}``, where the scope gate let it through; then what was read, head
        ``{"said": …}``, with the maps; or, where that fails after the film was sent, head ``{"problem": …}``. A case
        that was read already has no film here: it is told at once, and its pixels can be asked for.
        """
        case = desk.case(case_id)
        if case.seen is not None:
            return Response(read_part(case), media_type=_BYTES)
        opening = desk.open(case)
        film = await waited(request, desk.service, asyncio.wrap_future(opening.film))
        if film is None:
            await keep(case, await asyncio.wrap_future(opening.answer))
            return Response(read_part(case), media_type=_BYTES)
        return StreamingResponse(parts(case, film, opening), media_type=_BYTES)

    async def parts(case: Case, film: bytes, opening: Opening) -> AsyncIterator[bytes]:
        yield part({"film": True}, film)
        try:
            async with asyncio.timeout(desk.service.deadline_s):
                answer = await asyncio.wrap_future(opening.answer)
            await keep(case, answer, film)
        except (Problem, TimeoutError) as error:
            problem = error if isinstance(error, Problem) else Problem("service.deadline")
            yield part({"problem": json.loads(problem.body) | {"retry_after": problem.retry_after_s}})
        else:
            yield read_part(case)

    async def keep(case: Case, answer: Answer, film: bytes | None = None) -> None:
        if answer.reading.code in _LATER:
            raise Problem(answer.reading.code, answer.reading.reason, retry_after_s=desk.service.retry_after_s)
        await to_thread.run_sync(desk.keep, case, answer, film, limiter=work)

    def read_part(case: Case) -> bytes:
        return part({"said": desk.said(case)}, case.shown.maps if case.shown else b"")

    @app.get(f"{PREFIX}cases/{{case_id}}/pixels", include_in_schema=False)
    async def pixels(case_id: CaseId) -> Response:
        shown = await to_thread.run_sync(desk.shown, desk.case(case_id), limiter=work)
        return Response(shown.pixels, media_type=_BYTES)

    @app.get(f"{PREFIX}cases/{{case_id}}/maps", include_in_schema=False)
    async def maps(case_id: CaseId) -> Response:
        shown = await to_thread.run_sync(desk.shown, desk.case(case_id), limiter=work)
        return Response(shown.maps, media_type=_BYTES)

    @app.put(f"{PREFIX}cases/{{case_id}}/annotations", include_in_schema=False)
    async def annotate(request: Request, case_id: CaseId) -> Response:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MOST_SAID_BYTES:
                raise Problem("input.too_large", f"more than {_MOST_SAID_BYTES} bytes; nothing was kept")
        try:
            said = json.loads(body)
        except ValueError:
            raise Problem("request.malformed", "annotations are sent as JSON") from None
        case = desk.case(case_id)
        desk.annotate(case, said)
        return JSONResponse({"annotations": [edit.to_json() for edit in case.edits]})


def _add_downloads(app: FastAPI, desk: Desk, work: CapacityLimiter) -> None:
    async def made(make: Callable[[], Download]) -> Response:
        file = await to_thread.run_sync(make, limiter=work)
        disposition = f'attachment; filename="{file.name}"'
        return Response(file.data, media_type=file.media_type, headers={"content-disposition": disposition})

    @app.get(f"{PREFIX}cases/{{case_id}}/files/{{kind}}", include_in_schema=False)
    async def file(case_id: CaseId, kind: str, min_score: MinScore = None, finding: Finding = None) -> Response:
        case = desk.case(case_id)
        if kind not in KINDS or (finding is not None and finding not in desk.service.label_space):
            raise Problem("request.not_found", "there is no such file, or no such finding")
        return await made(lambda: desk.file(case, kind, min_score, finding))

    @app.post(f"{PREFIX}files/table", include_in_schema=False)
    async def table(
        cases: Annotated[list[CaseKey], Body(max_length=_MOST_CASES)],
        min_score: Annotated[float | None, Body(ge=0, le=1)] = None,
    ) -> Response:
        return await made(lambda: desk.table(cases, min_score))


_LATER: Final = {"service.busy", "service.deadline", "service.draining", "service.out_of_memory"}
"""Codes of an answer that says nothing of the file: it may be asked for again."""
