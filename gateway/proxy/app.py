"""The composition root of a worker's HTTP side: which path leads where. `/v1/*` and `/ofrep/*` are raw ASGI routes."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any
from urllib.parse import unquote

import msgspec
from litestar import Litestar, MediaType, Request, Response, asgi, get
from litestar.exceptions import HTTPException
from litestar.types import Receive, Scope, Send

from gateway.errors import ApiError, MethodNotAllowedError
from gateway.proxy.admission import admit, check_path, unknown_model
from gateway.proxy.caller import Connection, Header
from gateway.proxy.endpoint import Inference
from gateway.proxy.endpoints import KNOWN, endpoint_of
from gateway.proxy.entry import new_request_id
from gateway.proxy.feedback import Feedbacks
from gateway.proxy.ofrep import Evaluations
from gateway.proxy.passthrough import PassThrough, granted_endpoint, not_granted
from gateway.proxy.snapshot import Holder

Answering = Callable[[Connection], Awaitable[None]]
Lifespan = Callable[[Litestar], AbstractAsyncContextManager[None]]


class Surface:
    """The paths under `/v1/`, and `evaluations` for those under `/ofrep/`."""

    def __init__(self, holder: Holder, inference: Inference, feedbacks: Feedbacks, evaluations: Evaluations) -> None:
        self._holder = holder
        self.evaluations = evaluations
        self._inference = inference
        self._passing = PassThrough.beside(inference)
        self._exact: Mapping[str, Mapping[str, Answering]] = {
            "/v1/feedback": {"POST": feedbacks.answer},
            "/v1/models": {"GET": self._models},
            **{path: {"POST": partial(inference.answer, endpoint=endpoint)} for path, endpoint in KNOWN.items()},
        }

    async def answer(self, connection: Connection) -> None:
        """Answer whatever the path and method lead to."""
        try:
            methods = self._exact.get(connection.path) or self._inexact(connection)
        except ApiError as error:
            return await connection.refuse(error, [_request_id()])
        if answering := methods.get(connection.method) or self._granted(connection):
            return await answering(connection)
        allowed = ", ".join(methods)
        error = MethodNotAllowedError(f"{connection.method} is not possible here; use {allowed}.")
        return await connection.refuse(error, [(b"allow", allowed.encode()), _request_id()])

    def _inexact(self, connection: Connection) -> Mapping[str, Answering]:
        check_path(connection.path)
        if connection.path.startswith("/v1/models/"):
            return {"GET": self._model}
        if (granted := self._granted(connection)) is not None:
            return {connection.method: granted}
        if connection.method == "POST" and (endpoint := endpoint_of(connection.path)) is not None:
            return {"POST": partial(self._inference.answer, endpoint=endpoint)}
        raise not_granted(connection.method, connection.path)

    def _granted(self, connection: Connection) -> Answering | None:
        endpoint = granted_endpoint(self._holder.view.decisions, connection)
        return None if endpoint is None else partial(self._passing.answer, endpoint=endpoint)

    async def _models(self, connection: Connection) -> None:
        await self._listed(connection, lambda names: {"object": "list", "data": [_model(name) for name in names]})

    async def _model(self, connection: Connection) -> None:
        wanted = unquote(connection.path.removeprefix("/v1/models/"))

        def pick(names: Sequence[str]) -> object:
            if wanted in names:
                return _model(wanted)
            raise unknown_model(wanted)

        await self._listed(connection, pick)

    async def _listed(self, connection: Connection, build: Callable[[Sequence[str]], object]) -> None:
        decisions = self._holder.view.decisions
        try:
            admit(decisions, connection.headers)
            body = msgspec.json.encode(build(decisions.names()))
        except ApiError as error:
            return await connection.refuse(error, [_request_id()])
        length = (b"content-length", b"%d" % len(body))
        await connection.start(200, [(b"content-type", b"application/json"), length, _request_id()])
        return await connection.finish(body)


def create_app(surface: Surface, lifespan: Sequence[Lifespan]) -> Litestar:
    """Return the worker's application."""

    @asgi("/v1", is_mount=True, copy_scope=False)
    async def v1(scope: Scope, receive: Receive, send: Send) -> None:
        await surface.answer(Connection(scope, receive, send))  # type: ignore[arg-type] # ASGI types without WebSockets

    @asgi("/ofrep", is_mount=True, copy_scope=False)
    async def ofrep(scope: Scope, receive: Receive, send: Send) -> None:
        await surface.evaluations.answer(Connection(scope, receive, send))  # type: ignore[arg-type] # as above

    return Litestar(
        route_handlers=[v1, ofrep, healthz, readyz],
        lifespan=list(lifespan),
        openapi_config=None,
        exception_handlers={HTTPException: _outside},
        logging_config=None,
    )


@get("/healthz", media_type=MediaType.TEXT, sync_to_thread=False)
def healthz() -> str:
    """Tell that the process answers."""
    return "ok"


@get("/readyz", media_type=MediaType.TEXT, sync_to_thread=False)
def readyz() -> str:
    """Tell that the worker has a snapshot; before it has one, `unready.py` answers."""
    return "ready"


def _outside(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    known: ApiError = not_granted(request.method, request.url.path)
    status = known.status if error.status_code in {404, 405} else error.status_code
    return Response(known.envelope(), status_code=status, media_type=MediaType.JSON)


def _request_id() -> Header:
    """Return the header of an answer that stands in no record; its id can still be told to the operator."""
    return (b"x-request-id", new_request_id(time.time_ns() // 1000).encode())


def _model(name: str) -> Mapping[str, object]:
    return {"id": name, "object": "model", "created": _STARTED_AT, "owned_by": "turnout"}


_STARTED_AT = int(time.time())
