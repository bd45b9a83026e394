"""`/api/v1/keys`."""

from __future__ import annotations

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from gateway.console.auth import Asked, actor, permits
from gateway.console.control import Control
from gateway.console.views import KeyView, NewKeyView


class CreateKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`application` goes with role `app` alone."""

    role: str
    application: str | None = None
    label: str = ""


@get("/keys", opt=permits("admin"), sync_to_thread=True)
def list_keys(control: NamedDependency[Control]) -> list[KeyView]:
    """List every key ever made, oldest first; none can be turned back into its text."""
    return control.keys.list_keys()


@post("/keys", opt=permits("admin"), status_code=201, sync_to_thread=True)
def create_key(request: Asked, control: NamedDependency[Control], data: JSONBody[CreateKey]) -> NewKeyView:
    """Make a key; its text is shown in this answer and never again."""
    return control.keys.create_key(data.role, data.application, data.label, actor=actor(request.auth))


@post("/keys/{key_id:str}/revoke", opt=permits("admin"), status_code=200, sync_to_thread=True)
def revoke_key(request: Asked, control: NamedDependency[Control], key_id: FromPath[str]) -> KeyView:
    """Revoke a key for ever."""
    return control.keys.revoke_key(key_id, actor=actor(request.auth))
