"""`/api/v1/rollouts` and `/api/v1/whois`."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import msgspec
from litestar import delete, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from analytics.record import Arm
from gateway.console.auth import Asked, actor, permits, sees_salt
from gateway.console.control import Control
from gateway.console.views import HistoryView, RolloutView, WhoisView
from gateway.errors import BadRequestError

REPLACEMENT = "\ufffd"
"""What stands for bytes that are no UTF-8, once a query is decoded: another user's key."""

Limit = Annotated[int, QueryParameter(ge=1, le=10_000)]
"""How many audit entries at most."""


class _Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`version` is the rollout's version that the caller saw."""

    version: int
    reason: str = ""


class SetPercent(_Body, frozen=True):
    """`percent`: 0 to 100 with at most two decimals, as a number or as text."""

    percent: float | str


class ForceUser(_Body, frozen=True):
    """`user`: the raw user key, which is hashed at once."""

    user: str
    arm: Arm


class UnforceUser(_Body, frozen=True):
    """One of `user` (the raw user key) and `user_hash` (as `forced` lists it)."""

    user: str | None = None
    user_hash: str | None = None


@get("/rollouts", opt=permits("ops", "analyst", "admin"), sync_to_thread=True)
def list_rollouts(request: Asked, control: NamedDependency[Control]) -> list[RolloutView]:
    """List the configured rollouts."""
    return control.list_rollouts(with_salt=sees_salt(request))


@get("/rollouts/{name:str}", opt=permits("ops", "analyst", "admin"), sync_to_thread=True)
def show_rollout(request: Asked, control: NamedDependency[Control], name: FromPath[str]) -> RolloutView:
    """Show one rollout, by its name or its flag's; the salt to ops and admin only."""
    return control.show(name, with_salt=sees_salt(request))


@put("/rollouts/{name:str}/percent", opt=permits("ops", "admin"), sync_to_thread=True)
def set_percent(
    request: Asked, control: NamedDependency[Control], name: FromPath[str], data: JSONBody[SetPercent]
) -> RolloutView:
    """Give the candidate this percent of users; 409 when the rollout moved on."""
    return control.set_percent(name, data.percent, data.version, actor=actor(request.auth), reason=data.reason)


@put("/rollouts/{name:str}/forced", opt=permits("ops", "admin"), sync_to_thread=True)
def force_user(
    request: Asked, control: NamedDependency[Control], name: FromPath[str], data: JSONBody[ForceUser]
) -> RolloutView:
    """Pin a user to an arm, past the bucket; such requests never count in gates."""
    return control.force_user(name, data.user, data.arm, data.version, actor=actor(request.auth), reason=data.reason)


@delete("/rollouts/{name:str}/forced", opt=permits("ops", "admin"), status_code=200, sync_to_thread=True)
def unforce_user(
    request: Asked, control: NamedDependency[Control], name: FromPath[str], data: JSONBody[UnforceUser]
) -> RolloutView:
    """Let the bucket decide again for a user."""
    who = actor(request.auth)
    if data.user is not None and data.user_hash is None:
        return control.force_user(name, data.user, None, data.version, actor=who, reason=data.reason)
    if data.user_hash is not None and data.user is None:
        return control.unforce_hash(name, data.user_hash, data.version, actor=who, reason=data.reason)
    message = "name exactly one of user and user_hash"
    raise BadRequestError(message, param="user")


@get("/rollouts/{name:str}/history", opt=permits("ops", "analyst", "admin"), sync_to_thread=True)
def rollout_history(
    control: NamedDependency[Control],
    name: FromPath[str],
    *,
    verify: FromQuery[bool] = False,
    limit: Limit = 1_000,
) -> HistoryView:
    """List a rollout's audit entries, newest first; `verify` checks the whole chain."""
    return control.history(name, verify=verify, limit=limit)


@get("/whois", opt=permits("ops", "admin"), sync_to_thread=True)
def whois(
    request: Asked, control: NamedDependency[Control], user: FromQuery[str], rollout: FromQuery[str | None] = None
) -> list[WhoisView]:
    """Tell which arm serves a user, and why."""
    if REPLACEMENT in user and quote(REPLACEMENT).encode() not in request.scope["query_string"].upper():
        message = "the user key is not valid UTF-8; send its bytes as UTF-8, percent-encoded"
        raise BadRequestError(message, param="user")
    return control.whois(user, rollout)
