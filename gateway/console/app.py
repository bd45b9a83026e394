"""The console's Litestar application: routes, the guard before each of them, and errors in one envelope."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from typing import Any

from litestar import Litestar, Request, Response, Router
from litestar.datastructures import ResponseHeader
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin

from gateway.console.api import erasures, keys, plans, reports, rollouts, sql, state
from gateway.console.auth import guard, permits
from gateway.console.control import Control
from gateway.console.once import said_once
from gateway.console.queries import Queries
from gateway.console.reports import Reports
from gateway.console.unreadable import MAX_BODY_BYTES, sentence
from gateway.errors import ApiError, BadRequestError
from rollout.keys import ROLES

Lifespan = Callable[[Litestar], AbstractAsyncContextManager[None]]

_LOG = logging.getLogger("turnout.console")
_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
_CODES = {404: "unknown_url", 405: "method_not_allowed", 413: "request_too_large", 415: "unsupported_media_type"}


def create_app(control: Control, answers: Reports, asked: Queries, *, lifespan: Sequence[Lifespan] = ()) -> Litestar:
    """Return the application; whoever made `control`, `answers` and `asked` closes them."""
    return Litestar(
        route_handlers=[_api(), state.healthz],
        lifespan=list(lifespan),
        guards=[guard(control.keys), said_once],
        dependencies={
            "control": Provide(lambda: control, sync_to_thread=False),
            "reports": Provide(lambda: answers, sync_to_thread=False),
            "queries": Provide(lambda: asked, sync_to_thread=False),
        },
        exception_handlers={
            ApiError: _refused,
            HTTPException: _refused_by_litestar,
            RecursionError: _too_deep,
            UnicodeDecodeError: _no_text,
            Exception: _failed,
        },
        openapi_config=_openapi(),
        request_max_body_size=MAX_BODY_BYTES,
        response_headers=[ResponseHeader(name=name, value=value) for name, value in _HEADERS.items()],
        logging_config=None,
    )


def _api() -> Router:
    return Router(
        "/api/v1",
        route_handlers=[
            rollouts.list_rollouts,
            rollouts.show_rollout,
            rollouts.set_percent,
            rollouts.force_user,
            rollouts.unforce_user,
            rollouts.rollout_history,
            rollouts.whois,
            plans.start_rollout,
            plans.advance_rollout,
            plans.restart_rollout,
            plans.pause_rollout,
            plans.resume_rollout,
            plans.roll_back_rollout,
            plans.show_plan,
            plans.show_gate,
            erasures.list_erasures,
            erasures.erase_user,
            keys.list_keys,
            keys.create_key,
            keys.revoke_key,
            reports.compare_arms,
            reports.satisfaction,
            reports.report_cost,
            reports.report_errors,
            reports.report_traffic,
            sql.ask,
            sql.list_running,
            sql.show_running,
            sql.cancel,
            sql.list_saved,
            sql.save,
            sql.forget,
            state.audit,
            state.status,
        ],
    )


def _openapi() -> OpenAPIConfig:
    """Serve the description as JSON alone: every page that Litestar offers loads scripts from elsewhere."""
    return OpenAPIConfig(
        title="Turnout console",
        version="1",
        use_handler_docstrings=True,
        render_plugins=[JsonRenderPlugin(path=["/", "/openapi.json"])],
        openapi_router=Router("/api/v1/openapi.json", route_handlers=[], include_in_schema=False, opt=permits(*ROLES)),
    )


def _refused(_: Request[Any, Any, Any], error: ApiError) -> Response[bytes]:
    headers = {**_HEADERS, **{name.decode(): value.decode() for name, value in error.headers}}
    return Response(error.envelope(), status_code=error.status, media_type="application/json", headers=headers)


def _refused_by_litestar(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    if error.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _failed(request, error)
    answer = ApiError(sentence(request, error), code=_CODES.get(error.status_code, "invalid_request"))
    answer.status, answer.type = error.status_code, "invalid_request_error"
    answer.headers = tuple((name.encode(), value.encode()) for name, value in (error.headers or {}).items())
    return _refused(request, answer)


def _too_deep(request: Request[Any, Any, Any], _: RecursionError) -> Response[bytes]:
    """Answer for msgspec, which reads nested JSON by recursion; nothing of ours recurses."""
    return _refused(request, BadRequestError("the request cannot be read: its JSON is nested too deeply"))


def _no_text(request: Request[Any, Any, Any], error: UnicodeDecodeError) -> Response[bytes]:
    """Answer for msgspec, which reads strings that are no UTF-8 with an error of Python's."""
    return _refused(request, BadRequestError(f"the request cannot be read: it is no UTF-8 ({error.reason})"))


def _failed(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    _LOG.error("%s %s failed", request.method, request.scope["path"], exc_info=error)
    return _refused(request, ApiError("the console failed at this request; its log says where"))
