"""`/api/v1/sql`: one SELECT of an analyst's, answered as JSON, CSV or Parquet from the published copy.

Statements wait for each other, in threads of their own number: however many are asked, a rollback finds its thread.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated

import anyio.to_thread
import msgspec
from litestar import Response, delete, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from analytics.warehouse.order import Scalar
from gateway.console.auth import Asked, actor, permits
from gateway.console.queries import Asker, Format, Queries, Question, body

_TYPES: dict[Format, str] = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}


Form = Annotated[Format, QueryParameter(name="format")]
"""Written `format` in the URL."""


class AskQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`parameters` by the names that `$name` has in the query; by `id`, the caller's choice, it can be cancelled."""

    query: Annotated[str, msgspec.Meta(min_length=1)]
    parameters: dict[str, Scalar] = {}
    id: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")] | None = None


@post("/sql", opt=permits("ops", "analyst", "admin", scoped=True), status_code=200)
async def ask(
    request: Asked, queries: NamedDependency[Queries], data: JSONBody[AskQuery], form: Form = "json"
) -> Response[bytes]:
    """Answer one SELECT; `x-turnout-as-of` tells in microseconds since 1970 UTC when the copy was made."""
    asker = _asker(request)
    question = Question(query=data.query, parameters=data.parameters, id=data.id)
    with queries.registered(data.id, asker) as cancellation:
        run = partial(queries.answer, question, form, asker, cancellation)
        found = await anyio.to_thread.run_sync(run, limiter=queries.turns)
    headers = {"x-turnout-as-of": str(found.as_of), "x-turnout-rows": str(found.rows)}
    return Response(body(found, form), media_type=_TYPES[form], headers=headers)


@delete(
    "/sql/{query_id:str}", opt=permits("ops", "analyst", "admin", scoped=True), status_code=204, sync_to_thread=True
)
def cancel(request: Asked, queries: NamedDependency[Queries], query_id: FromPath[str]) -> None:
    """End a query that runs or waits; an analyst's key ends its own alone."""
    queries.cancel(query_id, _asker(request))


def _asker(request: Asked) -> Asker:
    key = request.auth
    scope = (key.application,) if key.role == "analyst" and key.application is not None else None
    return Asker(key=key.id, name=actor(key), role=key.role, applications=scope)
