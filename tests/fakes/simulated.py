"""One simulated server beside a test, and the official client's answers checked against its own types.

The official client builds its objects without validation: what is missing is simply not there. `checked` validates.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import openai
from pydantic import BaseModel, TypeAdapter

from gateway.simulate.config import SimulatedModel, Simulation
from gateway.simulate.server import Running, running

QUICK = SimulatedModel(ttft_ms=0, ms_per_token=0)

_Shape = TypeVar("_Shape")


@asynccontextmanager
async def simulated(**models: SimulatedModel) -> AsyncGenerator[tuple[Any, Running]]:
    """Start a server with a model `m` and the given ones; yield an `openai.AsyncOpenAI` and what is running."""
    config = Simulation(seed=1, models={"m": QUICK, **models})
    async with (
        running(config) as server,
        openai.AsyncOpenAI(base_url=server.base_url, api_key="unused", max_retries=0) as client,
    ):
        yield client, server


def checked(answer: BaseModel) -> dict[str, Any]:
    """Return an answer's JSON once the client's own type has accepted every part of it."""
    said = answer.model_dump(mode="json", exclude_unset=True, warnings=False)
    type(answer).model_validate(said)
    return said


def checked_as(shape: type[_Shape], said: object) -> None:
    """Refuse JSON that a type of the client (a union of events, say) does not accept."""
    TypeAdapter(shape).validate_python(said)
