"""Who calls, and may they? Deny by default: a route without roles lets nobody in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio.to_thread
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers.base import BaseRouteHandler

from gateway.console.keyring import Keyring
from gateway.errors import ForbiddenError, UnauthorizedError
from rollout.keys import Key, Role

ROLES = "roles"
SCOPED = "scoped"
OPEN = {"open": True}
"""The `opt` of a route that asks for no key."""

Guard = Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], Awaitable[None]]

Asked = Request[None, Key, State]
"""A request whose key was believed: `request.auth`."""

_SALT_ROLES: frozenset[Role] = frozenset({"ops", "admin"})


def permits(*roles: Role, scoped: bool = False) -> dict[str, Any]:
    """Return the `opt` of a route for these roles; only a `scoped` one is for analysts of one application too."""
    return {ROLES: frozenset(roles), SCOPED: scoped}


def sees_salt(request: Asked) -> bool:
    """Tell whether the caller may see salts, from which anybody's bucket can be computed."""
    return request.auth.role in _SALT_ROLES


def actor(key: Key) -> str:
    """Name a key's holder as the audit does."""
    return f"{key.role} key {key.id}" + (f" ({key.label})" if key.label else "")


def guard(keyring: Keyring) -> Guard:
    """Return the guard of every route of the app."""

    async def check(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        if handler.opt.get("open"):
            return
        key = await anyio.to_thread.run_sync(keyring.authenticate, _presented(connection.headers.get("authorization")))
        if key is None:
            message = "this key is unknown or revoked; `turnout key list` shows the live ones"
            raise UnauthorizedError(message)
        roles: frozenset[Role] = handler.opt.get(ROLES, frozenset())
        if key.role not in roles:
            message = f"a key of role {key.role} may not do this; it is for: {', '.join(sorted(roles)) or 'nobody'}"
            raise ForbiddenError(message)
        if key.role == "analyst" and key.application is not None and not handler.opt.get(SCOPED):
            message = f"this key may ask in SQL about the application {key.application!r}, and nothing else"
            raise ForbiddenError(message)
        connection.scope["auth"] = key

    return check


def _presented(header: str | None) -> str:
    scheme, _, key = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        message = "no key was sent; send one as `Authorization: Bearer tn_...`"
        raise UnauthorizedError(message)
    return key.strip()
