"""The request path, on one screen: admit, read, identify, assign, rewrite, open, forward and relay, close."""

from __future__ import annotations

import asyncio
import logging

import msgspec

from gateway.errors import ApiError, UpstreamError
from gateway.proxy.admission import admit, check_repeated, purpose, tags, unknown_model
from gateway.proxy.attempts import unknown
from gateway.proxy.caller import Connection, GoneError, Header
from gateway.proxy.capture import Contents
from gateway.proxy.choice import Choice, check_standing, choose, exposed
from gateway.proxy.continuation import is_unknown
from gateway.proxy.endpoints import CHAT, Endpoint
from gateway.proxy.entry import Entry, Journal, Tally
from gateway.proxy.form_body import FormBody
from gateway.proxy.forwarding import forwarded
from gateway.proxy.identity import identify
from gateway.proxy.queueing import Throttle
from gateway.proxy.reading import Reading, kept_headers, may_play, read, rewritten
from gateway.proxy.recourse import NONE, Recourse, Ways
from gateway.proxy.relay import Passing, relay, unanswered
from gateway.proxy.snapshot import Caller, Holder, View
from gateway.proxy.upstream import Call, Fault, Upstream

_HELD_COMMENTS = 2
"""How many comments a silent stream does without while base may still answer in its place."""

_log = logging.getLogger("turnout.proxy")


class Inference:
    """Every POST whose JSON body names a model, streamed and not; `endpoints.py` knows where they differ."""

    def __init__(
        self,
        holder: Holder,
        upstream: Upstream,
        journal: Journal,
        tally: Tally,
        throttle: Throttle,
        contents: Contents | None = None,
    ) -> None:
        self._holder = holder
        self._upstream = upstream
        self._journal = journal
        self._tally = tally
        self._throttle = throttle
        self._recourse = Recourse()
        self._contents = contents or Contents(journal, tally)

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
            if entry.tap is not None:
                entry.tap.keep(entry.exchange.record)
            self._throttle.leave(entry, connection)
            self._recourse.leave(entry)

    async def _answer(
        self, connection: Connection, endpoint: Endpoint, view: View, entry: Entry, headers: list[Header]
    ) -> None:
        exchange = entry.exchange
        caller = admitted(connection, view, entry)
        entry.tap = self._contents.tap(connection, caller, entry.request_id)
        if caller.is_limited:
            await self._throttle.allowances.count(caller, entry)
        if connection.repeated:
            check_repeated(caller, connection.repeated)
        exchange.learn(purpose=purpose(caller, connection.headers), tags=tags(connection.headers))
        admission = view.decisions.snapshot.admission
        reading = await read(connection, endpoint, view, caller, self._throttle.room(admission))
        if (now := self._holder.view) is not view:
            view, caller = now, admitted(connection, now, entry)
        exchange.learn(model_requested=reading.model, stream=reading.stream)
        user = identify(caller, connection.headers, reading)
        route = view.decisions.route(reading.model, live=exchange.facts["purpose"] == "live")
        if route is None:
            raise unknown_model(reading.model, is_default=reading.text("model") is None)
        choice = choose(view, route, user)
        exchange.learn(**choice.facts())
        if choice.flag is not None:
            self._tally.assigned(anonymous=choice.is_anonymous)
        connection.watch()
        asked = _Asked(connection=connection, endpoint=endpoint, reading=reading, view=view, entry=entry)
        kept = reading.continues() if endpoint.continues else None
        ways = self._recourse.ways(choice, route, view, kept, is_passing=isinstance(reading, FormBody))
        choice, ways = self._recourse.begin(choice, ways, entry)
        headers.extend(exposed(choice, caller.application.expose))
        if (other := await self._send(asked, choice, headers, ways)) is not None:
            self._throttle.make_way(choice.deployment, entry)
            check_standing(other, self._holder.view)
            headers[1:] = exposed(other, caller.application.expose)
            await self._send(asked, other, headers, NONE)

    async def _send(self, asked: _Asked, choice: Choice, headers: list[Header], ways: Ways) -> Choice | None:
        """Send a request and hand its answer on; or return who is to be asked instead."""
        admission, entry, connection = asked.view.decisions.snapshot.admission, asked.entry, asked.connection
        if choice.deployment.limits.max_concurrent or admission.max_concurrent:
            await self._throttle.enter(choice.deployment, admission, entry)
            check_standing(choice, self._holder.view)
            entry.exchange.learn(snapshot_version=self._holder.view.decisions.label)
        passing = _passing(asked, choice, ways)
        call = _call(asked, choice, inject_usage=passing["withholds_usage"])
        entry.open(choice.called(asked.view.decisions.snapshot.price_version), call.total_s)
        answer = None
        try:
            answer = await self._recourse.send(self._upstream, call, entry)
            entry.exchange.answered(answer.status)
            if ways.kept is not None:
                is_elsewhere, answer = await is_unknown(answer, ways.kept)
                if is_elsewhere:
                    entry.gave_up(unknown(answer.status))
                    return ways.elsewhere
            if (other := self._recourse.answered(connection, answer.status, ways, entry)) is not None:
                return other
            await relay(connection, answer, entry, headers, passing)
        except (Fault, UpstreamError) as fault:
            error = unanswered(fault) if isinstance(fault, Fault) else fault
            if (other := self._recourse.failed(connection, error, ways, entry)) is None:
                raise error from None
            return other
        finally:
            if answer is not None:
                answer.close()
        return None


class _Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One request that was read, and what it is decided by."""

    connection: Connection
    endpoint: Endpoint
    reading: Reading
    view: View
    entry: Entry


def admitted(connection: Connection, view: View, entry: Entry) -> Caller:
    """Admit by one view, which the record names; a body may take long, so that a newer view admits once more."""
    entry.exchange.learn(snapshot_version=view.decisions.label, config_source=view.source)
    caller = admit(view.decisions, connection.headers)
    entry.exchange.learn(application=caller.name)
    entry.join(connection.headers.get(b"traceparent"), view.trace_share)
    if entry.tap is not None and caller.application.content == "none":
        entry.tap.drop()
    return caller


def _passing(asked: _Asked, choice: Choice, ways: Ways) -> Passing:
    endpoint, reading = asked.endpoint, asked.reading
    asks = endpoint.injects_usage and reading.stream and choice.deployment.injects_usage and not reading.asks_usage
    last_events = reading.count("n") if endpoint.is_last_for_each else endpoint.last_events
    comment_s = asked.view.decisions.snapshot.admission.keep_alive_comment_s
    held_s = 0.0 if ways.base is None else _HELD_COMMENTS * comment_s
    return Passing(endpoint=endpoint, withholds_usage=asks, comment_s=comment_s, held_s=held_s, last_events=last_events)


def _call(asked: _Asked, choice: Choice, *, inject_usage: bool) -> Call:
    connection, limits, stream = asked.connection, choice.deployment.limits, asked.reading.stream
    sent = forwarded(connection.headers, (*choice.deployment.forwards, *kept_headers(asked.reading)))
    query = f"?{connection.query.decode('ascii')}" if connection.query else ""
    plays = may_play(asked.reading, asked.endpoint)
    return Call(
        method="POST",
        url=f"{choice.deployment.base_url}{connection.path.removeprefix('/v1')}{query}",
        headers={"content-type": "application/json", **sent, **asked.entry.traced(), **choice.deployment.headers},
        body=rewritten(
            asked.reading, choice.deployment.model, is_split=choice.flag is not None, inject_usage=inject_usage
        ),
        connect_s=limits.connect_timeout_s,
        first_byte_s=limits.answer_timeout_s if plays else limits.first_byte_timeout_s,
        idle_s=limits.idle_timeout_s,
        answer_s=None if stream or plays else limits.answer_timeout_s,
        total_s=asked.entry.left_s(limits.total_timeout_s),
    )
