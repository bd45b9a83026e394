"""Read what a request asks for, whatever its body is: JSON, or a form that may go on to the upstream while it comes."""

from __future__ import annotations

from gateway.proxy import wire
from gateway.proxy.caller import Connection
from gateway.proxy.endpoints import Endpoint
from gateway.proxy.form_body import FormBody
from gateway.proxy.identity import User, identify
from gateway.proxy.limits import Room
from gateway.proxy.snapshot import Caller, View
from gateway.proxy.upstream import Source

Reading = wire.Reading | FormBody

_FORM = b"multipart/form-data"


async def read(connection: Connection, endpoint: Endpoint, view: View, caller: Caller, room: Room) -> Reading:
    """Read a body to its end, or a form to the file behind which nothing can change who serves it.

    Raises:
        ApiError: the body cannot be read, or is too much.
        GoneError: the caller left.
    """
    snapshot = view.decisions.snapshot
    if not endpoint.takes_form or not is_form(connection):
        return wire.read(await connection.body(snapshot.max_body_bytes, room), endpoint)

    form = FormBody(connection, snapshot.admission.max_upload_bytes, room)

    def user() -> User:
        return identify(caller, connection.headers, form)

    def is_decided() -> bool:
        route = view.decisions.route(form.model, live=True)
        return route is None or route.flag is None or user().source in caller.application.user_sources

    await form.read(is_decided, lambda: user().key)
    return form


def is_form(connection: Connection) -> bool:
    """Tell whether the caller sends a form, by the body's type."""
    return connection.headers.get(b"content-type", b"")[: len(_FORM)].lower() == _FORM


def rewritten(reading: Reading, model: str, *, is_split: bool, inject_usage: bool) -> bytes | Source:
    """Return the body for the upstream, with its own model's name in it."""
    if isinstance(reading, FormBody):
        return reading.sent_as(model, is_split=is_split)
    return wire.rewrite(reading, model, inject_usage=inject_usage)


def may_play(reading: Reading, endpoint: Endpoint) -> bool:
    """Tell whether an answer may take long once it has begun, although no stream was asked for: media, or who knows."""
    is_open = isinstance(reading, FormBody) and not reading.is_whole
    return not reading.stream and (endpoint.is_media or is_open)


def kept_headers(reading: Reading) -> tuple[bytes, ...]:
    """Return the headers that say how to read the body, where the caller's own goes out: a form's boundary."""
    return (b"content-type",) if isinstance(reading, FormBody) else ()
