"""Requests that name no model: passed on to the upstream's account, for applications whose list grants them.

Law: nothing unlisted leaves, whoever asks; bodies and answers pass as they come, and every request is recorded under
the pattern that granted it, so that no caller brings a new name into the records.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.errors import ApiError, BadRequestError, NotFoundError
from gateway.proxy.admission import admit, check_repeated, purpose, tags
from gateway.proxy.caller import Connection, Header
from gateway.proxy.endpoint import Inference, admitted
from gateway.proxy.endpoints import KNOWN, Endpoint
from gateway.proxy.entry import Entry
from gateway.proxy.exchange import Called
from gateway.proxy.forwarding import forwarded
from gateway.proxy.incoming import Incoming
from gateway.proxy.limits import Room
from gateway.proxy.relay import relay_media, unanswered
from gateway.proxy.snapshot import Caller, Decisions, Deployment, View
from gateway.proxy.upstream import Call, Fault, Source
from gateway.settings.passthrough import Grant
from gateway.settings.snapshot import Admission

_WHOLE_BYTES = 64 * 1024
"""A body that says that it is no longer goes out in one piece, which costs no task."""
_SHOWN_CHARACTERS = 200
_OURS = frozenset({*KNOWN, "/v1/models", "/v1/feedback"})


class PassThrough(Inference):
    """Any method, any type, both ways as it comes; no model, no arm, no price."""

    @classmethod
    def beside(cls, other: Inference) -> PassThrough:
        """Return one that uses what the other uses."""
        parts = (other._holder, other._upstream, other._journal, other._tally, other._throttle, other._contents)  # noqa: SLF001 - of the class that this one is a kind of
        one = cls(*parts)
        one._recourse = other._recourse  # noqa: SLF001 - likewise
        return one

    async def _answer(
        self,
        connection: Connection,
        endpoint: Endpoint,  # noqa: ARG002 - the pattern of the view by which the request is sent is what counts
        view: View,
        entry: Entry,
        headers: list[Header],
    ) -> None:
        caller, _, _ = _granted(connection, view, entry)
        if caller.is_limited:
            await self._throttle.allowances.count(caller, entry, pays=False)
        _check_repeated(caller, connection)
        entry.exchange.learn(purpose=purpose(caller, connection.headers), tags=tags(connection.headers))
        admission = view.decisions.snapshot.admission
        body = await _body(connection, admission, self._throttle.room(admission))
        if (now := self._holder.view) is not view:
            view = now
        caller, granted, deployment = _granted(connection, view, entry)
        entry.exchange.learn(endpoint=granted.pattern)
        connection.watch()
        await self._throttle.enter(deployment, admission, entry)
        call = _call(connection, deployment, body, entry.traced())
        version = view.decisions.snapshot.price_version
        called = Called(arm=None, model=None, upstream=deployment.upstream, price=None, price_version=version)
        self._recourse.count(deployment.upstream, entry)
        entry.open(called, call.total_s)
        answer = None
        try:
            answer = await self._recourse.send(self._upstream, call, entry)
            entry.exchange.answered(answer.status)
            await relay_media(connection, answer, entry, headers)
        except Fault as fault:
            raise unanswered(fault) from None
        finally:
            if answer is not None:
                answer.close()


def granted_endpoint(decisions: Decisions, connection: Connection) -> Endpoint | None:
    """Return what the records call this request, if its application may send it; None without a believed key too."""
    try:
        caller = admit(decisions, connection.headers)
    except ApiError:
        return None
    found = decisions.granted(caller.name, connection.method, connection.path)
    return None if found is None else Endpoint(name=found[0].pattern)


def not_granted(method: str, path: str) -> NotFoundError:
    """Return the refusal of a path that leads nowhere, the same whoever else may use it."""
    if (meant := _meant(path)) is not None:
        return NotFoundError(f"Unknown request URL: {method} {path[:_SHOWN_CHARACTERS]}. {meant}")
    message = (
        f"Unknown request URL: {method} {path[:_SHOWN_CHARACTERS]}. Here are the endpoints that take a model, and "
        "GET /v1/models; others the operator grants to an application by listing them under its 'passthrough'."
    )
    return NotFoundError(message)


def _meant(path: str) -> str | None:
    """Return what to do about a path that is nearly one of ours: without its /v1, or with a slash behind it."""
    near = path.rstrip("/")
    beginning = f"/v1{near}"
    if near != path and near in _OURS:
        return f"Drop the slash at its end: {near}."
    if beginning in _OURS:
        return f"Paths begin with /v1: {beginning}; the base_url of a client ends in /v1."
    return None


def _granted(connection: Connection, view: View, entry: Entry) -> tuple[Caller, Grant, Deployment]:
    caller = admitted(connection, view, entry)
    found = view.decisions.granted(caller.name, connection.method, connection.path)
    if found is None:
        raise not_granted(connection.method, connection.path)
    return caller, *found


def _check_repeated(caller: Caller, connection: Connection) -> None:
    if connection.repeated:
        check_repeated(caller, connection.repeated)
        if b"content-type" in connection.repeated:
            message = "The header 'content-type' was sent more than once; send it once."
            raise BadRequestError(message, param="content-type", code="repeated_header")


async def _body(connection: Connection, admission: Admission, room: Room) -> bytes | Source:
    declared_bytes = connection.declared_bytes(admission.max_upload_bytes)
    if declared_bytes is not None and declared_bytes <= _WHOLE_BYTES:
        return await connection.body(admission.max_upload_bytes, room)
    return Incoming(connection, admission.max_upload_bytes)


def _call(connection: Connection, deployment: Deployment, body: bytes | Source, traced: Mapping[str, str]) -> Call:
    limits = deployment.limits
    query = f"?{connection.query.decode('ascii')}" if connection.query else ""
    sent = forwarded(connection.headers, (*deployment.forwards, b"content-type"))
    return Call(
        method=connection.method,
        url=f"{deployment.base_url}{connection.path.removeprefix('/v1')}{query}",
        headers={**sent, **traced, **deployment.headers},
        body=body,
        connect_s=limits.connect_timeout_s,
        first_byte_s=limits.first_byte_timeout_s,
        idle_s=limits.idle_timeout_s,
        answer_s=None,
        total_s=limits.total_timeout_s,
    )
