"""Paths without a model: what an application was granted leaves as it came, and nothing else leaves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from gateway.proxy.caller import Header
from gateway.proxy.endpoint import Inference
from gateway.proxy.endpoints import KNOWN
from gateway.proxy.passthrough import PassThrough, granted_endpoint
from gateway.proxy.queueing import Throttle
from gateway.proxy.snapshot import Decisions, Holder, View
from gateway.proxy.upstream import BrokenFault, Fault, StalledFault
from gateway.settings.passthrough import passthrough_problems
from gateway.settings.schema import Application, Configuration, SecretRef, Upstream
from tests.fakes.proxy import (
    AUTHORIZED,
    Caller,
    Counts,
    Journal,
    Moments,
    ScriptedAnswer,
    ScriptedUpstream,
    decisions,
)

pytestmark = pytest.mark.anyio
FILES = "GET /v1/files/{id}"
GRANTED = Application(passthrough=("POST /v1/files", FILES), purposes=("live", "eval"), user_header="x-user-id")
PLAIN: Header = (b"content-type", b"text/csv")


def view(**changes: Any) -> Decisions:
    upstreams = {"one": Upstream(base_url="http://up/v1", api_key=SecretRef(env="K"))}
    return decisions({"K": "sk-ours"}, **{"applications": {"shop": GRANTED}, "upstreams": upstreams, **changes})


class Passed:
    """One request that passes through."""

    def __init__(self, *steps: bytes | Fault, answer: Mapping[str, Any] | None = None, **changes: Any) -> None:
        self.moments = Moments()
        self.journal = Journal(moments=self.moments)
        self.answer = ScriptedAnswer(self.moments, *steps, **{"headers": [PLAIN], **(answer or {})})
        self.upstream = ScriptedUpstream(self.moments, self.answer)
        self.holder = Holder(View(decisions=view(**changes), source="ledger"))
        self.caller = Caller(self.moments)

    async def asked(self, method: str, path: str, *pieces: bytes, headers: tuple[Header, ...] = ()) -> Passed:
        length: Header = (b"content-length", b"%d" % sum(map(len, pieces)))
        sent = [AUTHORIZED, *headers, *([length] if pieces else [])]
        self.caller = Caller(self.moments, *(pieces or (b"",)), headers=sent, method=method, path=path, query=b"a=%2F")
        connection = self.caller.connection()
        inference = Inference(self.holder, self.upstream, self.journal, Counts(), Throttle())
        endpoint = granted_endpoint(self.holder.view.decisions, connection)
        assert endpoint is not None
        await PassThrough.beside(inference).answer(connection, endpoint)
        return self


async def test_a_trace_goes_on_through_a_path_without_a_model():
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    header = (b"traceparent", f"00-{trace_id}-00f067aa0ba902b7-00".encode())
    passed = await Passed(b"a,b").asked("GET", "/v1/files/f1", headers=(header,))

    (call,) = passed.upstream.calls
    assert call.headers["traceparent"].split("-")[1:4:2] == [trace_id, "00"]


async def test_a_request_goes_out_with_our_credential_and_its_own_type_and_is_recorded_by_its_line():
    passed = await Passed(b"a,b").asked("GET", "/v1/files/f1", headers=((b"accept", b"text/csv"), (b"cookie", b"x")))

    (call,) = passed.upstream.calls
    assert (call.method, call.url, call.body) == ("GET", "http://up/v1/files/f1?a=%2F", b"")
    assert call.headers == {"accept": "text/csv", "authorization": "Bearer sk-ours"}
    assert (call.answer_s, call.first_byte_s) == (None, 120.0)
    assert (passed.caller.status, passed.caller.body) == (200, b"a,b")
    record = passed.journal.record
    assert (record.endpoint, record.outcome, record.upstream, record.model_served) == (FILES, "ok", "one", None)
    assert passed.moments.seen[:2] == ["opened", "send"]


async def test_a_large_body_is_streamed_and_a_small_one_is_not():
    small = await Passed(b"{}").asked("POST", "/v1/files", b"x" * 1000, headers=(PLAIN,))
    large = await Passed(b"{}").asked("POST", "/v1/files", *[b"x" * 50_000] * 3, headers=(PLAIN,))

    assert small.upstream.calls[0].body == b"x" * 1000
    assert small.upstream.calls[0].headers["content-type"] == "text/csv"
    assert large.upstream.streamed == b"x" * 150_000


async def test_the_record_is_closed_before_the_caller_can_know_that_the_answer_is_complete():
    known = await Passed(b"ab", b"cd", answer={"headers": [PLAIN, (b"content-length", b"4")]}).asked(
        "GET", "/v1/files/f"
    )
    open_end = await Passed(b"ab", b"cd").asked("GET", "/v1/files/f")

    for passed in (known, open_end):
        seen = passed.moments.seen
        assert seen.index("closed ok") < seen.index("finish")
        assert passed.caller.body == b"abcd"
    assert known.caller.sent[-1]["body"] == b"d"
    assert open_end.caller.sent[-1]["body"] == b""


@pytest.mark.parametrize(("fault", "status"), [(BrokenFault("connection_lost"), 502), (StalledFault("idle"), 504)])
async def test_an_upstream_that_fails_is_said(fault: Fault, status: int):
    passed = await Passed(fault).asked("GET", "/v1/files/f")

    assert (passed.caller.status, passed.journal.record.status) == (status, status)


async def test_an_answer_of_the_upstream_other_than_success_is_passed_on():
    passed = await Passed(b'{"error":1}', answer={"status": 404}).asked("GET", "/v1/files/f")

    assert (passed.caller.status, passed.caller.body) == (404, b'{"error":1}')
    assert (passed.journal.record.outcome, passed.journal.record.error_class) == ("client_error", "http_404")


async def test_purposes_follow_the_same_rules():
    allowed = await Passed(b"{}").asked("GET", "/v1/files/f", headers=((b"x-turnout-purpose", b"eval"),))
    refused = await Passed(b"{}").asked("GET", "/v1/files/f", headers=((b"x-turnout-purpose", b"judge"),))

    assert allowed.journal.record.purpose == "eval"
    assert (refused.caller.status, refused.caller.error["code"]) == (403, "purpose_not_permitted")
    assert not refused.upstream.calls


async def test_two_content_types_are_refused():
    passed = await Passed(b"{}").asked("POST", "/v1/files", b"x", headers=(PLAIN, PLAIN))

    assert (passed.caller.status, passed.caller.error["code"]) == (400, "repeated_header")


async def test_a_coded_body_is_refused():
    passed = await Passed(b"{}").asked("POST", "/v1/files", b"x", headers=((b"content-encoding", b"br"),))

    assert passed.caller.status == 415
    assert not passed.upstream.calls


async def test_a_grant_that_was_taken_back_while_the_body_came_sends_nothing():
    passed = Passed(b"{}")
    taken_back = view(applications={"shop": Application()})

    class Late(Caller):
        async def receive(self) -> Any:
            passed.holder.change(decisions=taken_back)
            return await super().receive()

    headers = [AUTHORIZED, (b"content-length", b"1")]
    passed.caller = Late(passed.moments, b"x", headers=headers, path="/v1/files")
    connection = passed.caller.connection()
    inference = Inference(passed.holder, passed.upstream, passed.journal, Counts(), Throttle())
    endpoint = granted_endpoint(passed.holder.view.decisions, connection)
    assert endpoint is not None
    await PassThrough.beside(inference).answer(connection, endpoint)

    assert (passed.caller.status, passed.caller.error["code"]) == (404, "unknown_url")
    assert not passed.upstream.calls


def asked(method: str, path: str, *headers: Header) -> Any:
    return Caller(Moments(), headers=list(headers), method=method, path=path).connection()


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/v1/files/f", ()),
        ("GET", "/v1/files/f", ((b"authorization", b"Bearer nobody"),)),
        ("POST", "/v1/files/f", (AUTHORIZED,)),
        ("GET", "/v1/files/f/content", (AUTHORIZED,)),
    ],
)
def test_nothing_is_granted_without_a_key_and_a_line(method: str, path: str, headers: tuple[Header, ...]):
    assert granted_endpoint(view(), asked(method, path, *headers)) is None


def test_one_applications_list_is_not_anothers():
    elsewhere = view(applications={"shop": Application(), "other": GRANTED})

    assert granted_endpoint(elsewhere, asked("GET", "/v1/files/f", AUTHORIZED)) is None


@pytest.mark.parametrize("path", sorted(KNOWN))
def test_what_takes_a_model_can_never_be_listed(path: str):
    application = Application(passthrough=(f"POST {path}",))
    upstreams = {"one": Upstream(base_url="http://up/v1")}
    (problem,) = passthrough_problems(Configuration(upstreams=upstreams, applications={"a": application}))

    assert "answered by Turnout itself" in problem.message
