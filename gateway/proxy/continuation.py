"""A request that goes on from an answer which its upstream keeps, such as `previous_response_id`, and where to send it.

Nothing is remembered here. Ids of answers reach callers byte for byte, so that they carry no mark; but the upstream
knows what it keeps, and says so before it does anything. Law: only a request that its own arm has refused for that
reason goes to the other arm, and never to a candidate that nobody should be sent to any more.
"""

from __future__ import annotations

import msgspec

from gateway.proxy import reply
from gateway.proxy.choice import Choice
from gateway.proxy.snapshot import Route, View
from gateway.proxy.upstream import Answer, Header

_STATUSES = frozenset({400, 404})
_MOST_BYTES = 64 * 1024
"""Errors are shorter."""


def elsewhere(choice: Choice, route: Route, view: View) -> Choice | None:
    """Return the other arm's choice, if it is at another upstream and may be asked."""
    assignment, flag = choice.assignment, choice.flag
    if flag is None or assignment is None or route.candidate is None:
        return None
    arm = "candidate" if assignment.arm == "base" else "base"
    deployment = route.candidate if arm == "candidate" else route.base
    if deployment.upstream == choice.deployment.upstream:
        return None
    is_closed = view.killed or not flag.percent or assignment.reason == "targeting_match"
    if arm == "candidate" and is_closed:
        return None
    return msgspec.structs.replace(choice, deployment=deployment, served=arm)


class Read:
    """An `Answer` of which the beginning was read already."""

    def __init__(self, answer: Answer, pieces: list[bytes]) -> None:
        self.status = answer.status
        self.headers: list[Header] = list(answer.headers)
        self._answer = answer
        self._pieces = pieces

    async def chunk(self) -> bytes:
        """See `Answer`."""
        return self._pieces.pop(0) if self._pieces else await self._answer.chunk()

    def close(self) -> None:
        """See `Answer`."""
        self._answer.close()


async def is_unknown(answer: Answer, kept: str) -> tuple[bool, Answer]:
    """Tell whether the upstream does not know what the request goes on from; and return its answer, to be handed on.

    Raises:
        Fault: the answer breaks off.
    """
    if answer.status not in _STATUSES:
        return False, answer
    pieces: list[bytes] = []
    while sum(map(len, pieces)) <= _MOST_BYTES and (piece := await answer.chunk()):
        pieces.append(piece)
    return reply.is_not_kept(b"".join(pieces), kept), Read(answer, pieces)
