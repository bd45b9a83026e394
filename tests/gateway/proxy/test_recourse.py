"""A candidate that fails, and base that answers in its place: one request through the whole path."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from analytics.pricing import Price
from analytics.record import Record
from analytics.trace import attempt_span_id
from gateway.proxy.endpoint import Inference
from gateway.proxy.endpoints import endpoint_of
from gateway.proxy.queueing import Throttle
from gateway.proxy.snapshot import Holder, View
from gateway.proxy.upstream import BrokenFault, Call, Fault, RefusedFault, StalledFault
from gateway.settings.schema import Application, Model, Upstream
from gateway.settings.snapshot import SplitEntry
from tests.fakes.forms import KIND, field, file, form
from tests.fakes.proxy import (
    AUTHORIZED,
    BASE,
    CANDIDATE,
    DONE,
    EVENTS,
    FLAG,
    JSON,
    SALES,
    USAGE,
    WHOLE,
    Caller,
    Counts,
    Journal,
    Moments,
    ScriptedAnswer,
    decisions,
    delta,
)

pytestmark = pytest.mark.anyio
PRICE = Price(input=1.0, output=2.0)
ERROR = b'data: {"error":{"message":"overloaded","code":"busy"}}\n\n'
COST_USD = 0.009
"""What `WHOLE` costs at `PRICE`."""


class Arms:
    """Two model servers, `base` and `tuned`, each with what it does in turn; the last one again and again."""

    def __init__(self, scripts: Mapping[str, Sequence[Any]]) -> None:
        self.calls: list[Call] = []
        self.answers: list[ScriptedAnswer] = []
        self.scripts = {name: list(script) for name, script in scripts.items()}

    async def send(self, call: Call) -> ScriptedAnswer:
        self.calls.append(call)
        script = self.scripts[call.url.split("/")[2]]
        step = script.pop(0) if len(script) > 1 else script[0]
        if isinstance(step, Fault):
            raise step
        answer: ScriptedAnswer = step()
        self.answers.append(answer)
        return answer

    async def close(self) -> None:
        """Nothing is open."""

    @property
    def hosts(self) -> list[str]:
        return [call.url.split("/")[2] for call in self.calls]


class Stage:
    """A worker in memory, and what became of its last request."""

    def __init__(
        self, tuned: Sequence[Any], base: Sequence[Any] | None = None, *, percent: float = 100.0, **entry: Any
    ) -> None:
        self.moments = Moments()
        self.upstream = Arms({"tuned": tuned, "base": base or [self.answering(WHOLE)]})
        flag = msgspec.structs.replace(FLAG, percent=percent)
        self.changes: dict[str, Any] = {
            "upstreams": {
                "one": Upstream(base_url="http://base/v1", prices="none"),
                "two": Upstream(base_url="http://tuned/v1", prices="none"),
            },
            "models": {BASE: Model(upstream="one", price=PRICE), CANDIDATE: Model(upstream="two", price=PRICE)},
            "rollouts": {SALES: SplitEntry(flag=flag, **entry)},
            "applications": {"shop": Application(user_header="x-user-id", purposes=("live", "eval"))},
        }
        self.journal = Journal(moments=self.moments)
        self.throttle = Throttle()
        self.inference: Inference | None = None
        self.caller = Caller(self.moments)

    def answering(self, *steps: bytes | Fault, status: int = 200, headers: Sequence[Any] = (JSON,)) -> Any:
        return lambda: ScriptedAnswer(self.moments, *steps, status=status, headers=headers)

    async def ask(self, *, path: str = "/v1/chat/completions", headers: Sequence[Any] = (), **fields: Any) -> Stage:
        body = json.dumps({"model": SALES, "user": "ann", "messages": [], **fields}).encode()
        return await self.send(path, body, headers=headers)

    async def send(self, path: str, body: bytes, *, headers: Sequence[Any]) -> Stage:
        if self.inference is None:
            holder = Holder(View(decisions=decisions(**self.changes), source="ledger"))
            self.inference = Inference(holder, self.upstream, self.journal, Counts(), self.throttle)
        self.caller = Caller(self.moments, body, headers=[AUTHORIZED, *headers], path=path)
        endpoint = endpoint_of(path)
        assert endpoint is not None
        await self.inference.answer(self.caller.connection(), endpoint)
        return self

    @property
    def record(self) -> Record:
        return [frame for frame in self.journal.frames if isinstance(frame, Record)][-1]


def stage(*tuned: Any, base: Sequence[Any] | None = None, percent: float = 100.0, **entry: Any) -> Stage:
    """Return a stage on which the candidate does this; a number is an answer with that status."""
    one = Stage(tuned, base, percent=percent, **entry)
    scripts = one.upstream.scripts
    for name, steps in scripts.items():
        scripts[name] = [one.answering(b'{"error":{}}', status=s) if isinstance(s, int) else s for s in steps]
    return one


def served(one: Stage) -> tuple[int, str | None, str | None, str | None, str]:
    record = one.record
    return one.caller.status, record.arm_assigned, record.arm_served, record.fallback_reason, record.outcome


RESCUED = [
    (500, "upstream_error", "http_500"),
    (503, "upstream_error", "http_503"),
    (429, "upstream_error", "http_429"),
    (401, "upstream_error", "http_401"),
    (403, "upstream_error", "http_403"),
    (404, "upstream_error", "http_404"),
    (RefusedFault("unknown_host"), "upstream_error", "unknown_host"),
    (StalledFault("connect"), "timeout", "connect_timeout"),
    (StalledFault("first_byte"), "timeout", "first_byte_timeout"),
    (StalledFault("answer"), "timeout", "answer_timeout"),
    (BrokenFault("connection_lost"), "upstream_error", "connection_lost"),
    (BrokenFault("broken_http"), "malformed", "broken_http"),
]


@pytest.mark.parametrize(("failing", "reason", "error_class"), RESCUED)
async def test_base_answers_for_a_candidate_that_fails(failing: Any, reason: str, error_class: str):
    one = await stage(failing).ask()

    assert served(one) == (200, "candidate", "base", reason, "ok")
    assert one.upstream.hosts == ["tuned", "base"]
    assert one.caller.body == WHOLE
    assert (one.caller.headers["x-turnout-arm"], one.caller.headers["x-turnout-model"]) == ("base", BASE)
    assert [name for name, _ in one.caller.sent[0]["headers"]].count(b"x-turnout-arm") == 1
    record = one.record
    assert (record.model_served, record.upstream, record.status, record.error_class) == (BASE, "one", 200, None)
    assert [(try_.arm, try_.model, try_.error_class) for try_ in record.attempts] == [
        ("candidate", CANDIDATE, error_class),
        ("base", BASE, None),
    ]
    assert record.upstream_ms == pytest.approx(sum(try_.upstream_ms or 0 for try_ in record.attempts))
    assert len(one.journal.opened) == 1
    first, second = one.upstream.calls
    assert isinstance(first.body, bytes)
    assert second.body == first.body.replace(CANDIDATE.encode(), BASE.encode())
    assert 0 < second.total_s < first.total_s


@pytest.mark.parametrize("status", [400, 402, 408, 409, 413, 422])
async def test_what_the_caller_got_wrong_is_the_candidates_to_say(status: int):
    one = await stage(status).ask()

    assert one.upstream.hosts == ["tuned"]
    assert (one.caller.status, one.record.fallback_reason, one.record.arm_served) == (status, None, "candidate")


async def test_a_path_that_only_the_caller_knows_is_not_looked_for_at_base():
    one = await stage(404).ask(path="/v1/summaries")

    assert one.upstream.hosts == ["tuned"]
    assert (one.caller.status, one.record.outcome, one.record.fallback_reason) == (404, "client_error", None)


async def test_a_failing_base_has_nobody_to_stand_in_for_it():
    one = await stage(500, base=[503], percent=0.0).ask()

    assert one.upstream.hosts == ["base"]
    assert served(one) == (503, "base", "base", None, "upstream_error")


async def test_a_rollout_may_do_without():
    one = await stage(503, fallback=False).ask()

    assert one.upstream.hosts == ["tuned"]
    assert served(one) == (503, "candidate", "candidate", None, "upstream_error")


async def test_a_model_that_is_asked_for_itself_answers_itself():
    one = await stage(503).ask(model=CANDIDATE, headers=[(b"x-turnout-purpose", b"eval")])

    assert one.upstream.hosts == ["tuned"]
    assert (one.caller.status, one.record.fallback_reason) == (503, None)


async def test_what_base_says_then_is_what_the_caller_gets():
    one = await stage(503, base=[500]).ask()

    assert served(one) == (500, "candidate", "base", "upstream_error", "upstream_error")
    assert (one.record.status, one.record.error_class) == (500, "http_500")


async def test_an_answer_that_breaks_off_before_it_was_whole_is_asked_for_at_base():
    one = stage(WHOLE)
    one.upstream.scripts["tuned"] = [one.answering(b'{"id"', StalledFault("answer"))]

    await one.ask()

    assert served(one) == (200, "candidate", "base", "timeout", "ok")
    assert one.record.attempts[0].status == 200
    assert [answer.closed for answer in one.upstream.answers] == [1, 1]


def streaming(*steps: bytes | Fault, base: bytes = b"b") -> Stage:
    one = Stage([])
    scripts = one.upstream.scripts
    scripts["tuned"] = [one.answering(*steps, headers=[EVENTS])]
    scripts["base"] = [one.answering(delta(base.decode()), USAGE, DONE, headers=[EVENTS])]
    return one


@pytest.mark.parametrize(
    ("steps", "reason", "error_class"),
    [
        ([ERROR], "upstream_error", "error_event"),
        ([b": hello\n\n", ERROR], "upstream_error", "error_event"),
        ([StalledFault("first_byte")], "timeout", "first_byte_timeout"),
        ([b": hello\n\n", StalledFault("idle")], "timeout", "idle_timeout"),
        ([BrokenFault("connection_lost")], "upstream_error", "connection_lost"),
        ([], "upstream_error", "closed_early"),
    ],
)
async def test_a_stream_that_fails_before_its_first_event_is_base_s(steps: list[Any], reason: str, error_class: str):
    one = await streaming(*steps).ask(stream=True)

    assert served(one) == (200, "candidate", "base", reason, "ok")
    assert one.caller.body == delta("b") + DONE
    assert (one.record.attempts[0].error_class, one.record.attempts[0].status) == (error_class, 200)
    assert (one.record.input_tokens, one.record.usage_source, one.record.response_id) == (5, "reported", "c1")


async def test_a_stream_that_has_begun_is_never_begun_again():
    one = await streaming(delta("a"), BrokenFault("connection_lost")).ask(stream=True)

    assert one.upstream.hosts == ["tuned"]
    assert served(one) == (200, "candidate", "candidate", None, "upstream_error")
    assert one.caller.body.startswith(delta("a") + b'data: {"error"')


async def test_a_stream_after_which_base_answers_whole_is_answered_whole():
    one = streaming(ERROR)
    one.upstream.scripts["base"] = [one.answering(WHOLE)]

    await one.ask(stream=True)

    assert [message["type"] for message in one.caller.sent] == ["http.response.start", "http.response.body"]
    assert one.caller.body == WHOLE


@pytest.mark.parametrize(
    ("failing", "first_usd", "usd"),
    [(503, 0.0, COST_USD), (RefusedFault("unknown_host"), 0.0, COST_USD), (StalledFault("answer"), None, None)],
)
async def test_the_cost_is_that_of_both_and_unknown_where_the_first_may_have_been_billed(
    failing: Any, first_usd: float | None, usd: float | None
):
    record = (await stage(failing).ask()).record

    assert [try_.cost_usd for try_ in record.attempts] == [first_usd, pytest.approx(COST_USD)]
    assert record.cost_usd == (None if usd is None else pytest.approx(usd))
    assert record.cost_unknown == ("no_usage" if usd is None else None)


async def test_a_refused_connection_is_tried_once_more_at_the_same_arm():
    one = await stage(RefusedFault("connect_refused"), Stage([]).answering(WHOLE)).ask()

    assert one.upstream.hosts == ["tuned", "tuned"]
    assert served(one) == (200, "candidate", "candidate", None, "ok")
    assert [try_.error_class for try_ in one.record.attempts] == ["connect_refused", None]
    assert one.record.cost_usd == pytest.approx(COST_USD)


async def test_and_then_base_is_asked_which_may_be_tried_twice_too():
    one = await stage(RefusedFault("connect_refused"), base=[RefusedFault("connect_refused")]).ask()

    assert one.upstream.hosts == ["tuned", "tuned", "base", "base"]
    assert served(one) == (502, "candidate", "base", "upstream_error", "upstream_error")
    assert len(one.record.attempts) == 4


async def test_each_try_tells_its_upstream_of_a_span_of_its_own():
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    header = (b"traceparent", f"00-{trace_id}-00f067aa0ba902b7-01".encode())
    one = await stage(RefusedFault("connect_refused"), base=[RefusedFault("connect_refused")]).ask(headers=[header])

    told = [call.headers["traceparent"] for call in one.upstream.calls]
    assert told == [f"00-{trace_id}-{attempt_span_id(one.record.span_id or '', number)}-01" for number in (1, 2, 3, 4)]
    assert len(one.record.attempts) == 4


async def test_a_base_is_tried_once_more_when_its_connection_is_refused():
    one = await stage(503, base=[RefusedFault("connect_refused"), Stage([]).answering(WHOLE)], percent=0.0).ask()

    assert one.upstream.hosts == ["base", "base"]
    assert served(one) == (200, "base", "base", None, "ok")


async def test_when_everything_fails_a_fifth_more_is_sent():
    one = stage(429, base=[429])
    for _ in range(1000):
        await one.ask()

    assert 1190 <= len(one.upstream.calls) <= 1200


@pytest.mark.parametrize("failing", [401, 404, 429, RefusedFault("connect_refused")])
async def test_a_base_that_answers_answers_every_time(failing: Any):
    one = stage(*[failing, failing, failing, Stage([]).answering(WHOLE)] * 100)
    for _ in range(100):
        await one.ask()
        assert one.caller.status == 200


async def test_when_only_streams_fail_by_their_first_events_a_fifth_more_is_sent():
    one = streaming(ERROR)
    one.upstream.scripts["base"] = one.upstream.scripts["tuned"]
    for _ in range(1000):
        await one.ask(stream=True)
        assert one.caller.status != 200

    assert 1000 < len(one.upstream.calls) <= 1200


async def test_a_connection_that_is_refused_now_and_then_is_tried_again_every_time():
    one = stage(*[RefusedFault("connect_refused"), Stage([]).answering(WHOLE)] * 100, percent=100.0, fallback=False)
    for _ in range(100):
        await one.ask()
        assert one.caller.status == 200


async def test_a_candidate_that_keeps_failing_is_left_alone():
    one = stage(503)
    for _ in range(40):
        await one.ask()
        assert one.caller.status == 200

    assert one.upstream.hosts.count("tuned") == 10
    assert served(one) == (200, "candidate", "base", "circuit_open", "ok")
    assert [try_.arm for try_ in one.record.attempts] == ["base"]
    assert one.caller.headers["x-turnout-arm"] == "base"


@pytest.mark.parametrize("failing", [429, 401, 404])
async def test_refusals_that_are_no_outage_never_open_the_circuit(failing: int):
    one = stage(failing)
    for _ in range(25):
        await one.ask()

    assert one.upstream.hosts.count("tuned") == 25


@pytest.mark.parametrize("said", [429, 401])
async def test_a_refusal_is_a_sign_of_life(said: int):
    one = stage(503, 503, 503, said, 503, 503, 503, 503, 503, 503, 503, said, 503)
    for _ in range(21):
        await one.ask()

    assert one.upstream.hosts.count("tuned") == 21


async def test_a_stream_that_begins_is_a_sign_of_life_and_one_that_begins_with_an_error_is_none():
    one = streaming(ERROR)
    for _ in range(12):
        await one.ask(stream=True)
    assert one.upstream.hosts.count("tuned") == 10

    other = streaming(delta("a"), DONE)
    for _ in range(12):
        await other.ask(stream=True)
    assert other.upstream.hosts.count("tuned") == 12


async def test_a_request_that_goes_on_from_what_one_of_two_keeps_is_not_for_base():
    one = await stage(503).ask(path="/v1/responses", input="hi", previous_response_id="resp_1")

    assert one.upstream.hosts == ["tuned"]
    assert (one.caller.status, one.record.fallback_reason) == (503, None)


async def test_a_form_is_not_sent_again():
    body = form(field("model", SALES), field("user", "ann"), file(b"sound"))
    headers = [(b"content-type", KIND), (b"content-length", b"%d" % len(body))]
    one = await stage(503).send("/v1/audio/transcriptions", body, headers=headers)

    assert one.upstream.hosts == ["tuned"]
    assert (one.caller.status, one.record.fallback_reason) == (503, None)


async def test_nothing_is_tried_once_the_caller_has_left():
    one = streaming(StalledFault("first_byte"))
    one.moments.leave_at = "chunk 1"

    await one.ask(stream=True)

    assert one.upstream.hosts == ["tuned"]
    assert one.record.outcome == "client_cancelled"


async def test_the_candidates_place_is_free_while_base_answers():
    one = stage(503)
    one.changes["models"] = {BASE: one.changes["models"][BASE], CANDIDATE: Model(upstream="two", max_concurrent=1)}
    held: list[int] = []

    class Looking(ScriptedAnswer):
        async def chunk(self) -> bytes:
            held.append(one.throttle._slots[f"model:{CANDIDATE}"].taken)  # noqa: SLF001 - no other place tells
            return await super().chunk()

    one.upstream.scripts["base"] = [lambda: Looking(one.moments, WHOLE, headers=[JSON])]
    await one.ask()

    assert (one.caller.status, held[0]) == (200, 0)
