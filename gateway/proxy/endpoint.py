"""The request path, on one screen: admit, read, identify, assign, rewrite, open, forward and relay, close."""

from __future__ import annotations

import asyncio
import logging
from typing import Unpack

from gateway.errors import ApiError
from gateway.proxy import wire
from gateway.proxy.admission import admit, check_repeated, purpose, tags, unknown_model
from gateway.proxy.caller import Connection, GoneError, Header
from gateway.proxy.choice import Choice, check_standing, choose, exposed
from gateway.proxy.endpoints import CHAT, Endpoint
from gateway.proxy.entry import Entry, Journal, Tally
from gateway.proxy.forwarding import forwarded
from gateway.proxy.identity import identify
from gateway.proxy.queueing import Throttle
from gateway.proxy.relay import Passing, is_stream, relay_stream, relay_whole, unanswered
from gateway.proxy.snapshot import Caller, Holder, View
from gateway.proxy.upstream import Call, Fault, Upstream

_log = logging.getLogger("turnout.proxy")


class Inference:
    """Every POST whose JSON body names a model, streamed and not; `endpoints.py` knows where they differ."""

    def __init__(self, holder: Holder, upstream: Upstream, journal: Journal, tally: Tally, throttle: Throttle) -> None:
        self._holder = holder
        self._upstream = upstream
        self._journal = journal
        self._tally = tally
        self._throttle = throttle

    async def answer(self, connection: Connection, endpoint: Endpoint = CHAT) -> None:
        """Answer one request; whatever happens, it is recorded exactly once."""
        entry = Entry(self._journal, self._tally, endpoint.name)
        headers: list[Header] = [(b"x-request-id", entry.request_id.encode())]
        try:
            await self._answer(connection, endpoint, self._holder.view, entry, headers)
        except ApiError as error:
            entry.close(error.outcome, status=error.status, error_class=error.error_class)
            if not connection.started:
                await connection.refuse(error, headers)
        except (GoneError, asyncio.CancelledError):
            entry.close("client_cancelled" if connection.gone else "interrupted", status=connection.status)
            if not connection.gone:
                raise
        except Exception:  # noqa: BLE001 - a request's outermost frame: logged with its id, recorded as internal_error
            _log.exception("a request failed in the gateway", extra={"request_id": entry.request_id})
            error = ApiError(f"The gateway failed at this request; its log names {entry.request_id}.")
            entry.close("rejected", status=error.status, error_class=error.error_class)
            if not connection.started:
                await connection.refuse(error, headers)
        finally:
            connection.unwatch()
            self._throttle.leave(entry, connection)

    async def _answer(
        self, connection: Connection, endpoint: Endpoint, view: View, entry: Entry, headers: list[Header]
    ) -> None:
        exchange = entry.exchange
        caller = _admitted(connection, view, entry)
        if caller.is_limited:
            self._throttle.count(caller, entry)
        if connection.repeated:
            check_repeated(caller, connection.repeated)
        exchange.learn(purpose=purpose(caller, connection.headers), tags=tags(connection.headers))
        admission = view.decisions.snapshot.admission
        body = await connection.body(view.decisions.snapshot.max_body_bytes, self._throttle.room(admission))
        if (now := self._holder.view) is not view:
            view, caller = now, _admitted(connection, now, entry)
        reading = wire.read(body, endpoint.default_model)
        exchange.learn(model_requested=reading.model, stream=reading.stream)
        user = identify(caller, connection.headers, reading)
        route = view.decisions.route(reading.model, live=exchange.facts["purpose"] == "live")
        if route is None:
            raise unknown_model(reading.model)
        choice = choose(view, route, user)
        exchange.learn(**choice.facts())
        headers.extend(exposed(choice, caller.application.expose))
        if choice.flag is not None:
            self._tally.assigned(anonymous=choice.is_anonymous)
        connection.watch()
        if choice.deployment.limits.max_concurrent or admission.max_concurrent:
            await self._throttle.enter(choice.deployment, admission, entry)
            check_standing(choice, self._holder.view)
            exchange.learn(snapshot_version=self._holder.view.decisions.label)
        injects = (
            endpoint.injects_usage and reading.stream and choice.deployment.injects_usage and not reading.asks_usage
        )
        body = wire.rewrite(reading, choice.deployment.model, inject_usage=injects)
        call = _call(connection, choice, body, stream=reading.stream)
        entry.open(choice.called(view.decisions.snapshot.price_version), call.total_s)
        comment_s = admission.keep_alive_comment_s
        await self._forward(connection, call, entry, headers, withholds_usage=injects, comment_s=comment_s)

    async def _forward(
        self, connection: Connection, call: Call, entry: Entry, headers: list[Header], **passing: Unpack[Passing]
    ) -> None:
        answer = None
        try:
            answer = await self._upstream.send(call)
            entry.exchange.answered(answer.status)
            if is_stream(answer):
                await relay_stream(connection, answer, entry, headers, **passing)
            else:
                await relay_whole(connection, answer, entry, headers)
        except Fault as fault:
            raise unanswered(fault) from None
        finally:
            if answer is not None:
                answer.close()


def _admitted(connection: Connection, view: View, entry: Entry) -> Caller:
    """Admit by one view, which the record names; a body may take long, so that a newer view admits once more."""
    entry.exchange.learn(snapshot_version=view.decisions.label, config_source=view.source)
    caller = admit(view.decisions, connection.headers)
    entry.exchange.learn(application=caller.name)
    return caller


def _call(connection: Connection, choice: Choice, body: bytes, *, stream: bool) -> Call:
    limits = choice.deployment.limits
    sent = forwarded(connection.headers, choice.deployment.forwards)
    query = f"?{connection.query.decode('ascii')}" if connection.query else ""
    return Call(
        method="POST",
        url=f"{choice.deployment.base_url}{connection.path.removeprefix('/v1')}{query}",
        headers={"content-type": "application/json", **sent, **choice.deployment.headers},
        body=body,
        connect_s=limits.connect_timeout_s,
        first_byte_s=limits.first_byte_timeout_s,
        idle_s=limits.idle_timeout_s,
        answer_s=None if stream else limits.answer_timeout_s,
        total_s=limits.total_timeout_s,
    )
