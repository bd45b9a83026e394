"""`/api/v1/rollouts/{name}/start` and so on, `/api/v1/rollouts/{name}/plan` and `/api/v1/gates`.

One question that reads raw rows is answered at a time: however many are asked, a rollback finds its thread.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated

import anyio.to_thread
import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from gateway.console.auth import Asked, actor, permits
from gateway.console.control import Control
from gateway.console.gate_views import GateView, PlanView
from gateway.console.once import only_words
from gateway.console.views import RolloutView
from rollout.moves import Wish

Earlier = Annotated[int, QueryParameter(ge=0, le=500)]
"""How many of its reports at most."""


class Told(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`version` is the rollout's version that the caller saw."""

    version: int
    reason: str = ""


class ToldToStart(Told, frozen=True):
    """`at`: when to start, as `2026-12-01T08:00:00Z`; without it when the plan says so, else now."""

    at: str | None = None


@post("/rollouts/{name:str}/start", opt=permits("ops", "admin"), status_code=200, sync_to_thread=True)
def start_rollout(
    request: Asked, control: NamedDependency[Control], name: FromPath[str], data: JSONBody[ToldToStart]
) -> RolloutView:
    """Begin the plan's first row, now or at a time; 409 when the rollout moved on."""
    return _told(request, control, name, "start", data, data.at)


@post("/rollouts/{name:str}/advance", opt=permits("ops", "admin"), status_code=200, sync_to_thread=True)
def advance_rollout(
    request: Asked, control: NamedDependency[Control], name: FromPath[str], data: JSONBody[Told]
) -> RolloutView:
    """Begin the next row: an approval after a pass, else an override, which needs a reason."""
    return _told(request, control, name, "advance", data)


@post("/rollouts/{name:str}/restart", opt=permits("ops", "admin"), status_code=200, sync_to_thread=True)
def restart_rollout(
    request: Asked, control: NamedDependency[Control], name: FromPath[str], data: JSONBody[Told]
) -> RolloutView:
    """Begin the present row again with an empty window, which needs a reason."""
    return _told(request, control, name, "restart", data)


@post("/rollouts/{name:str}/pause", opt=permits("ops", "admin"), status_code=200, sync_to_thread=True)
def pause_rollout(
    request: Asked, control: NamedDependency[Control], name: FromPath[str], data: JSONBody[Told]
) -> RolloutView:
    """Stop the plan's clock; the gate goes on watching, and rolls back."""
    return _told(request, control, name, "pause", data)


@post("/rollouts/{name:str}/resume", opt=permits("ops", "admin"), status_code=200, sync_to_thread=True)
def resume_rollout(
    request: Asked, control: NamedDependency[Control], name: FromPath[str], data: JSONBody[Told]
) -> RolloutView:
    """Go on after a pause, or take up the plan at the percent that was set by hand."""
    return _told(request, control, name, "resume", data)


@post("/rollouts/{name:str}/rollback", opt=permits("ops", "admin"), status_code=200, sync_to_thread=True)
def roll_back_rollout(
    request: Asked, control: NamedDependency[Control], name: FromPath[str], data: JSONBody[Told]
) -> RolloutView:
    """Give the candidate nobody."""
    return _told(request, control, name, "rollback", data)


@get("/rollouts/{name:str}/plan", opt=permits("ops", "analyst", "admin"))
async def show_plan(
    control: NamedDependency[Control], name: FromPath[str], *, suggest: FromQuery[bool] = False
) -> PlanView:
    """Show a rollout's plan as it is in force for the next step; `suggest` adds a forecast and a likelier plan."""
    show = partial(control.steering.shown_plan, name, with_forecast=suggest)
    return await anyio.to_thread.run_sync(show, limiter=control.steering.turns if suggest else None)


@get("/gates/{name:str}", opt=permits("ops", "analyst", "admin"), before_request=only_words("a gate", "limit", "now"))
async def show_gate(
    control: NamedDependency[Control], name: FromPath[str], *, limit: Earlier = 0, now: FromQuery[bool] = False
) -> GateView:
    """Show where a rollout stands and what its gate says, or would say `now`, with at most so many of its reports."""
    show = partial(control.steering.gate, name, reports=limit, is_asked=now)
    return await anyio.to_thread.run_sync(show, limiter=control.steering.turns if now else None)


def _told(
    request: Asked, control: Control, name: str, wish: Wish, told: Told, start_at: str | None = None
) -> RolloutView:
    who = actor(request.auth)
    control.steering.tell(name, wish, told.version, actor=who, reason=told.reason, start_at=start_at)
    return control.show(name)
