"""`/api/v1/erasures`.

One erasure at a time looks through the lake, in a thread of its own: however many are asked for, a rollback finds one.
"""

from __future__ import annotations

from functools import partial

import anyio.to_thread
import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from gateway.console.auth import Asked, actor, permits
from gateway.console.control import Control
from gateway.console.installation import now_us
from gateway.console.views import ErasureView


class AskErasure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A `user` by the key that callers send, or by `user_hash` (32 hexadecimal digits); of an application or of all."""

    user: str | None = None
    user_hash: str | None = None
    application: str | None = None
    reason: str = ""


@get("/erasures", opt=permits("admin"), sync_to_thread=True)
def list_erasures(control: NamedDependency[Control]) -> list[ErasureView]:
    """List every erasure that was ever asked for, oldest first; none tells of whom."""
    return control.removals.list_erasures()


@post("/erasures", opt=permits("admin"), status_code=200)
async def erase_user(request: Asked, control: NamedDependency[Control], data: JSONBody[AskErasure]) -> ErasureView:
    """Erase a user from the lake: requests keep their figures under a pseudonym, content goes."""
    erase = partial(
        control.removals.erase,
        user=data.user,
        hash_digits=data.user_hash,
        application=data.application,
        actor=actor(request.auth),
        reason=data.reason,
        at=now_us(),
    )
    return await anyio.to_thread.run_sync(erase, limiter=control.removals.turns)
