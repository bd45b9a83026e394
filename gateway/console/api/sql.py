"""`/api/v1/sql`: one SELECT of an analyst's, answered as JSON, CSV or Parquet from the published copy.

Statements wait for each other, in threads of their own number: however many are asked, a rollback finds its thread.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated

import anyio.to_thread
import msgspec
from litestar import Response, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from analytics.warehouse.order import Scalar
from gateway.console.auth import Asked, actor, permits
from gateway.console.installation import now_us
from gateway.console.queries import Format, Queries, body
from gateway.console.running import Asker
from gateway.console.saved import Saved
from gateway.console.views import RunningView, SavedView

_TYPES: dict[Format, str] = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}


Form = Annotated[Format, QueryParameter(name="format")]
"""Written `format` in the URL."""


class AskQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A `query`, or the name of a `saved` one; `parameters` by the names that `$name` has in it.

    By `id`, the caller's choice, it can be seen and cancelled while it runs.
    """

    query: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    saved: str | None = None
    parameters: dict[str, Scalar] = {}
    id: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")] | None = None


class SaveQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`parameters` are the values unless others are given."""

    query: Annotated[str, msgspec.Meta(min_length=1)]
    description: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    parameters: dict[str, Scalar] = {}


@post("/sql", opt=permits("ops", "analyst", "admin", scoped=True), status_code=200)
async def ask(
    request: Asked, queries: NamedDependency[Queries], data: JSONBody[AskQuery], form: Form = "json"
) -> Response[bytes]:
    """Answer one SELECT of a copy that was made at `x-turnout-as-of`, with everything up to `x-turnout-fresh-to`.

    Both are microseconds since 1970 UTC; the latter is missing where nobody can tell.
    """
    asker = _asker(request)
    question = await anyio.to_thread.run_sync(queries.question, data.query, data.saved, data.parameters, data.id)
    with queries.registered(data.id, asker, question.query) as running:
        run = partial(queries.answer, question, form, asker, running)
        found = await anyio.to_thread.run_sync(run, limiter=queries.turns)
    headers = {"x-turnout-as-of": str(found.as_of), "x-turnout-rows": str(found.rows)}
    if found.freshness.fresh_to is not None:
        headers["x-turnout-fresh-to"] = str(found.freshness.fresh_to)
    return Response(body(found, form), media_type=_TYPES[form], headers=headers)


@get("/sql", opt=permits("ops", "analyst", "admin", scoped=True), sync_to_thread=False)
def list_running(request: Asked, queries: NamedDependency[Queries]) -> list[RunningView]:
    """List the queries that run or wait, the oldest first; to an analyst's key its own alone."""
    return queries.statements.listed(_asker(request))


@get("/sql/{query_id:str}", opt=permits("ops", "analyst", "admin", scoped=True), sync_to_thread=False)
def show_running(request: Asked, queries: NamedDependency[Queries], query_id: FromPath[str]) -> RunningView:
    """Tell how far a query is that runs or waits; to an analyst's key its own alone. One that has ended is 404."""
    return queries.statements.show(query_id, _asker(request))


@delete(
    "/sql/{query_id:str}", opt=permits("ops", "analyst", "admin", scoped=True), status_code=204, sync_to_thread=True
)
def cancel(request: Asked, queries: NamedDependency[Queries], query_id: FromPath[str]) -> None:
    """End a query that runs or waits; an analyst's key ends its own alone."""
    queries.statements.cancel(query_id, _asker(request))


@get("/sql/queries", opt=permits("ops", "analyst", "admin"), sync_to_thread=True)
def list_saved(queries: NamedDependency[Queries]) -> list[SavedView]:
    """List the saved queries."""
    return queries.saved.list_queries()


@put("/sql/queries/{name:str}", opt=permits("ops", "analyst", "admin"), sync_to_thread=True)
def save(
    request: Asked, queries: NamedDependency[Queries], name: FromPath[str], data: JSONBody[SaveQuery]
) -> SavedView:
    """Save a query by a name, in the place of a former one; an analyst's key changes its own alone."""
    asker = _asker(request)
    saved = Saved(
        query=data.query,
        description=data.description,
        parameters=data.parameters,
        by=asker.name,
        key=asker.key,
        saved_at=now_us(),
    )
    return queries.saved.save(name, saved, asker.role)


@delete("/sql/queries/{name:str}", opt=permits("ops", "analyst", "admin"), status_code=204, sync_to_thread=True)
def forget(request: Asked, queries: NamedDependency[Queries], name: FromPath[str]) -> None:
    """Remove a saved query; an analyst's key its own alone."""
    asker = _asker(request)
    queries.saved.forget(name, asker.key, asker.role)


def _asker(request: Asked) -> Asker:
    key = request.auth
    scope = (key.application,) if key.role == "analyst" and key.application is not None else None
    return Asker(key=key.id, name=actor(key), role=key.role, applications=scope)
