"""Waiting for an answer on behalf of somebody who may leave."""

import asyncio
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from boxray.serve.service import Service

T = TypeVar("T")


async def waited(request: Request, service: Service, done: "asyncio.Future[T]") -> T:
    """What comes of `done`, but not beyond the deadline and not for a client that has gone: then it is cancelled.

    Raises:
        ClientDisconnect: If the client has gone.
        ModelError: As the service says that it is too late.
    """
    gone = asyncio.create_task(_gone(request))
    try:
        either: set[asyncio.Future[Any]] = {done, gone}
        finished, _ = await asyncio.wait(either, timeout=service.deadline_s, return_when=asyncio.FIRST_COMPLETED)
        if done in finished:
            return done.result()
    finally:
        gone.cancel()
        if not done.done():
            done.cancel()
    if gone in finished:
        raise ClientDisconnect
    raise service.too_late()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
