from __future__ import annotations

import asyncio
import logging

import msgspec
import pytest

from gateway.proxy.caller import Header
from gateway.proxy.endpoint import Inference
from gateway.proxy.endpoints import KNOWN, endpoint_of
from gateway.proxy.queueing import Throttle
from gateway.proxy.snapshot import Holder, View
from gateway.proxy.upstream import BrokenFault, Fault, RefusedFault, StalledFault
from gateway.settings.schema import Application, Model, SecretRef, Upstream
from gateway.settings.snapshot import SplitEntry
from rollout.flag import user_hash
from tests.fakes.proxy import (
    AUTHORIZED,
    BASE,
    BODY,
    CANDIDATE,
    DONE,
    EVENTS,
    FLAG,
    KEY,
    MODELS,
    SALES,
    SECRETS,
    STREAMED,
    USAGE,
    WHOLE,
    Caller,
    Counts,
    Journal,
    Moments,
    ScriptedAnswer,
    ScriptedUpstream,
    decisions,
    delta,
    request,
)

pytestmark = pytest.mark.anyio
FLAG0 = msgspec.structs.replace(FLAG, percent=0.0)
EVERYBODY = {SALES: SplitEntry(flag=msgspec.structs.replace(FLAG, percent=100.0))}


async def test_a_request_is_split_forwarded_and_recorded():
    done = await request(WHOLE, rollouts=EVERYBODY)

    (call,) = done.upstream.calls
    assert (call.method, call.url) == ("POST", "http://127.0.0.1:9/v1/chat/completions")
    assert call.body == BODY.replace(b"sales", b"tuned")
    assert done.caller.status == 200
    assert done.caller.body == WHOLE
    assert done.caller.headers["x-turnout-arm"] == "candidate"
    assert done.caller.headers["x-turnout-model"] == CANDIDATE
    record = done.record
    assert done.caller.headers["x-request-id"] == record.request_id
    assert (record.application, record.endpoint, record.rollout) == ("shop", "chat.completions", SALES)
    assert (record.arm_assigned, record.arm_served, record.model_served) == ("candidate", "candidate", CANDIDATE)
    assert (record.model_requested, record.snapshot_version, record.config_source) == (SALES, "1.7", "ledger")
    assert (record.user_hash, record.user_source) == (user_hash(SECRETS.user_hash, b"ann"), "user")
    assert (done.tally.requests, done.tally.in_flight, done.tally.split, done.tally.anonymous) == (1, 0, 1, 0)


async def test_a_request_is_in_the_journal_before_it_is_sent():
    done = await request(WHOLE)

    (opened,) = done.journal.opened
    assert done.moments.seen[:2] == ["opened", "send"]
    assert (opened.arm_assigned, opened.bucket, opened.user_hash) == (
        done.record.arm_assigned,
        done.record.bucket,
        done.record.user_hash,
    )
    assert done.moments.seen[-1] == "upstream closed"


async def test_only_listed_headers_and_our_own_credential_go_out():
    upstream = Upstream(base_url="http://up/v1", api_key=SecretRef(env="K"))
    headers = [
        AUTHORIZED,
        (b"accept", b"text/event-stream"),
        (b"openai-beta", b"assistants=v2"),
        (b"idempotency-key", b"i1"),
        (b"content-type", b"text/plain"),
        (b"cookie", b"canary"),
        (b"x-user-id", b"canary"),
        (b"openai-organization", b"canary"),
        (b"x-forwarded-for", b"canary"),
        (b"host", b"canary"),
        (b"accept-encoding", b"gzip"),
        (b"x-turnout-tags", b"team=canary"),
    ]
    view = View(decisions=decisions({"K": "sk-ours"}, upstreams={"one": upstream}), source="ledger")

    done = await request(WHOLE, headers=headers, view=view)

    (call,) = done.upstream.calls
    assert call.headers == {
        "content-type": "application/json",
        "accept": "text/event-stream",
        "openai-beta": "assistants=v2",
        "idempotency-key": "i1",
        "authorization": "Bearer sk-ours",
    }
    assert done.record.tags == {"team": "canary"}
    assert KEY not in f"{done.record}"


async def test_the_query_keeps_its_encoding():
    done = await request(WHOLE, query=b"api-version=2024%2D01&x=%C3%A9")

    assert done.upstream.calls[0].url.endswith("/v1/chat/completions?api-version=2024%2D01&x=%C3%A9")


async def test_the_models_limits_bound_the_call():
    model = Model(
        upstream="one",
        connect_timeout_s=1.0,
        first_byte_timeout_s=3.0,
        answer_timeout_s=4.0,
        idle_timeout_s=5.0,
        total_timeout_s=6.0,
    )
    models = {BASE: model, CANDIDATE: model}

    whole = (await request(WHOLE, models=models)).upstream.calls[0]
    stream = (await request(DONE, models=models, body=STREAMED, answer_headers=[EVENTS])).upstream.calls[0]

    assert (whole.connect_s, whole.first_byte_s, whole.answer_s, whole.idle_s, whole.total_s) == (
        1.0,
        3.0,
        4.0,
        5.0,
        6.0,
    )
    assert stream.answer_s is None


async def test_usage_is_asked_for_and_withheld_when_the_caller_did_not_ask():
    done = await request(delta(), USAGE, DONE, body=STREAMED, answer_headers=[EVENTS])

    sent = msgspec.json.decode(done.upstream.body)
    assert sent["stream_options"] == {"include_usage": True}
    assert done.caller.body == delta() + DONE
    assert (done.record.stream, done.record.input_tokens) == (True, 5)


async def test_usage_that_the_caller_asked_for_reaches_it():
    body = STREAMED[:-1] + b',"stream_options":{"include_usage":true}}'

    done = await request(delta(), USAGE, DONE, body=body, answer_headers=[EVENTS], models={**MODELS})

    assert done.caller.body == delta() + USAGE + DONE


async def test_an_upstream_may_be_left_alone_with_its_usage():
    upstream = Upstream(base_url="http://up/v1", stream_usage="leave")

    done = await request(delta(), USAGE, DONE, body=STREAMED, answer_headers=[EVENTS], upstreams={"one": upstream})

    assert b"stream_options" not in done.upstream.body
    assert done.caller.body == delta() + USAGE + DONE


async def test_a_model_in_no_rollout_is_forwarded_as_it_came():
    body = b'{ "model": "tuned", "x": 1.0 }'

    done = await request(WHOLE, body=body)

    assert done.upstream.body == body
    assert (done.record.rollout, done.record.arm_assigned, done.record.model_served) == (None, None, CANDIDATE)
    assert done.tally.split == 0


async def test_an_anonymous_request_is_counted_as_one():
    done = await request(WHOLE, body=b'{"model":"sales"}')

    assert (done.tally.split, done.tally.anonymous) == (1, 1)
    assert (done.record.reason, done.record.user_source, done.record.user_hash) == ("default", "none", None)


async def test_one_request_decides_by_one_view():
    holder_view = View(decisions=decisions(rollouts=EVERYBODY), source="last_good", fresh=False)
    moments = Moments()
    holder = Holder(holder_view)

    class Changing(ScriptedUpstream):
        async def send(self, call: object) -> ScriptedAnswer:
            holder.change(decisions=decisions(version=8, rollouts={}), killed=True)
            return ScriptedAnswer(moments, WHOLE)

    journal = Journal(moments=moments)
    caller = Caller(moments, BODY, headers=[AUTHORIZED])
    await Inference(holder, Changing(moments, ScriptedAnswer(moments)), journal, Counts(), Throttle()).answer(
        caller.connection()
    )

    assert (journal.record.snapshot_version, journal.record.reason) == ("1.7", "stale")
    assert (journal.record.config_source, journal.record.arm_served) == ("last_good", "candidate")


REFUSED: list[tuple[bytes, list[Header], int, str, str | None]] = [
    (BODY, [], 401, "invalid_api_key", None),
    (BODY, [(b"authorization", b"Bearer canary")], 401, "invalid_api_key", None),
    (BODY, [AUTHORIZED, AUTHORIZED], 401, "invalid_api_key", None),
    (BODY, [AUTHORIZED, (b"x-user-id", b"a"), (b"x-user-id", b"b")], 400, "repeated_header", "x-user-id"),
    (BODY, [AUTHORIZED, (b"x-turnout-purpose", b"canary")], 400, "invalid_purpose", "x-turnout-purpose"),
    (BODY, [AUTHORIZED, (b"x-turnout-purpose", b"eval")], 403, "purpose_not_permitted", "x-turnout-purpose"),
    (BODY, [AUTHORIZED, (b"x-turnout-tags", b"canary")], 400, "invalid_tags", "x-turnout-tags"),
    (BODY, [AUTHORIZED, (b"content-encoding", b"gzip")], 415, "unsupported_media_type", None),
    (BODY, [AUTHORIZED, (b"content-length", b"100001")], 413, "request_too_large", None),
    (b"x" * 100_001, [AUTHORIZED], 413, "request_too_large", None),
    (b"canary", [AUTHORIZED], 400, "invalid_json", None),
    (b'{"user":"canary"}', [AUTHORIZED], 400, "missing_model", "model"),
    (b'{"model":"no"}', [AUTHORIZED], 404, "model_not_found", "model"),
    (b'{"model":"' + b"m" * 300 + b'"}', [AUTHORIZED], 400, "invalid_model", "model"),
    (b'{"model":"a\\r\\nb"}', [AUTHORIZED], 400, "invalid_model", "model"),
    (b'{"model":"sales","user":7}', [AUTHORIZED], 400, "invalid_type", "user"),
    (b'{"model":"sales","api_base":"http://canary"}', [AUTHORIZED], 400, "field_not_allowed", "api_base"),
]


@pytest.mark.parametrize(("body", "headers", "status", "code", "param"), REFUSED)
async def test_a_bad_request_is_refused_once_recorded_once_and_forwarded_never(
    body: bytes, headers: list[Header], status: int, code: str, param: str | None
):
    done = await request(WHOLE, body=body, headers=headers)

    assert (done.caller.status, done.caller.error["code"], done.caller.error["param"]) == (status, code, param)
    assert done.caller.is_finished
    assert (done.record.outcome, done.record.status, done.record.error_class) == ("rejected", status, code)
    assert done.caller.headers["x-request-id"] == done.record.request_id
    assert not done.upstream.calls
    assert done.tally.in_flight == 0
    assert b"canary" not in done.caller.body
    assert "canary" not in f"{done.record}"


PATHS = [path for path in (*KNOWN, "/v1/poems") if path != "/v1/chat/completions"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("body", "headers", "status", "code", "param"), REFUSED)
async def test_a_bad_request_is_refused_alike_by_every_endpoint(
    body: bytes, headers: list[Header], status: int, code: str, param: str | None, path: str
):
    if code == "missing_model" and path == "/v1/moderations":
        status, code = 404, "model_not_found"

    done = await request(WHOLE, body=body, headers=headers, path=path)

    assert (done.caller.status, done.caller.error["code"], done.caller.error["param"]) == (status, code, param)
    assert (done.record.outcome, done.record.status, done.record.error_class) == ("rejected", status, code)
    endpoint = endpoint_of(path)
    assert endpoint is not None
    assert done.record.endpoint == endpoint.name
    assert not done.upstream.calls
    assert done.tally.in_flight == 0
    assert b"canary" not in done.caller.body


@pytest.mark.parametrize("path", PATHS)
async def test_every_endpoint_is_split_forwarded_and_recorded(path: str):
    headers = [AUTHORIZED, (b"x-turnout-tags", b"team=a"), (b"openai-beta", b"b1")]

    done = await request(WHOLE, rollouts=EVERYBODY, path=path, headers=headers, query=b"a=1")

    (call,) = done.upstream.calls
    assert (call.url, call.body) == (f"http://127.0.0.1:9{path}?a=1", BODY.replace(b"sales", b"tuned"))
    assert call.headers["openai-beta"] == "b1"
    assert (done.caller.status, done.caller.body) == (200, WHOLE)
    assert (done.caller.headers["x-turnout-arm"], done.caller.headers["x-turnout-model"]) == ("candidate", CANDIDATE)
    assert (done.record.arm_served, done.record.outcome, done.record.tags) == ("candidate", "ok", {"team": "a"})


async def test_usage_is_asked_for_only_where_there_is_such_an_option():
    for path in ["/v1/responses", "/v1/images/generations", "/v1/poems", "/v1/audio/speech"]:
        done = await request(DONE, body=STREAMED, answer_headers=[EVENTS], path=path)

        assert b"stream_options" not in done.upstream.body
        assert done.record.stream


async def test_sound_is_waited_for_as_long_as_a_whole_answer_and_may_then_play_on():
    models = {name: Model(upstream="one", first_byte_timeout_s=3.0, answer_timeout_s=4.0) for name in (BASE, CANDIDATE)}
    body = b'{"model":"sales","input":"Hi","stream_format":"sse"}'

    played = await request(WHOLE, models=models, path="/v1/audio/speech")
    streamed = await request(WHOLE, models=models, path="/v1/audio/speech", body=body)

    calls = [done.upstream.calls[0] for done in (played, streamed)]
    assert [(call.first_byte_s, call.answer_s) for call in calls] == [(4.0, None), (3.0, None)]
    assert [done.record.stream for done in (played, streamed)] == [False, True]


async def test_a_moderation_without_a_model_goes_out_without_one():
    done = await request(
        WHOLE,
        body=b'{"input":"Hi"}',
        path="/v1/moderations",
        models={**MODELS, "omni-moderation-latest": Model(upstream="one")},
    )

    assert done.upstream.body == b'{"input":"Hi"}'
    assert (done.record.model_requested, done.record.model_served) == ("omni-moderation-latest",) * 2


@pytest.mark.parametrize("body", [b'{"input":"Hi"}', b'{"input":"Hi","model":null}'])
async def test_a_default_model_that_is_not_here_is_said_to_be_the_default(body: bytes):
    done = await request(WHOLE, body=body, path="/v1/moderations")

    assert done.caller.error["message"] == (
        "The request names no model, so the default 'omni-moderation-latest' was taken, which does not exist here; "
        "set 'model' to one of the names that GET /v1/models lists."
    )
    assert (done.caller.status, done.record.error_class) == (404, "model_not_found")


async def test_names_that_an_upstream_takes_unlisted_cannot_write_headers():
    upstreams = {"one": Upstream(base_url="http://up/v1", models="*")}

    done = await request(WHOLE, body=b'{"model":"a\\r\\nset-cookie: x"}', upstreams=upstreams)
    known = await request(WHOLE, body=b'{"model":"gpt-unlisted"}', upstreams=upstreams)

    assert (done.caller.status, done.upstream.calls) == (400, [])
    assert known.caller.headers["x-turnout-model"] == "gpt-unlisted"


@pytest.mark.parametrize(
    ("fault", "status", "code", "outcome"),
    [
        (RefusedFault("connect_refused"), 502, "upstream_error", "upstream_error"),
        (BrokenFault("connection_lost"), 502, "upstream_error", "upstream_error"),
        (StalledFault("connect"), 504, "upstream_timeout", "timeout"),
        (StalledFault("first_byte"), 504, "upstream_timeout", "timeout"),
    ],
)
async def test_an_upstream_that_does_not_answer_is_said_and_recorded(
    fault: Fault, status: int, code: str, outcome: str
):
    done = await request(raised=fault)

    assert (done.caller.status, done.caller.error["code"]) == (status, code)
    assert fault.kind in done.caller.error["message"]
    assert (done.record.outcome, done.record.status, done.record.error_class) == (outcome, status, fault.kind)
    assert done.record.attempts[0].error_class == fault.kind


async def test_an_answer_that_stalls_before_it_was_begun_is_said():
    done = await request(b'{"id"', StalledFault("answer"))

    assert (done.caller.status, done.record.outcome, done.record.error_class) == (504, "timeout", "answer_timeout")
    assert done.upstream.calls
    assert done.moments.seen[-1] == "finish"


async def test_a_fault_of_our_own_is_answered_logged_and_recorded(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.ERROR):
        done = await request(raised=ZeroDivisionError("canary"))

    assert (done.caller.status, done.caller.error["code"]) == (500, "internal_error")
    assert done.record.request_id in done.caller.error["message"]
    assert (done.record.outcome, done.record.status, done.record.error_class) == ("rejected", 500, "internal_error")
    assert b"canary" not in done.caller.body
    assert [record.message for record in caplog.records] == ["a request failed in the gateway"]
    assert done.tally.in_flight == 0


@pytest.mark.parametrize("moment", ["send", "chunk 1", "chunk 2"])
async def test_a_caller_who_leaves_before_a_whole_answer_is_recorded_once_and_the_upstream_is_closed(moment: str):
    done = await request(WHOLE[:9], WHOLE[9:], leave_at=moment)

    assert (done.record.outcome, done.record.status) == ("client_cancelled", None)
    assert not done.caller.sent
    assert done.moments.seen.count("upstream closed") == (moment != "send")
    assert done.tally.in_flight == 0


async def test_a_caller_who_leaves_as_its_answer_begins_has_been_answered():
    done = await request(WHOLE, leave_at="start")

    assert (done.record.outcome, done.record.status) == ("ok", 200)
    assert done.moments.seen.count("upstream closed") == 1


@pytest.mark.parametrize("moment", ["send", "start", "chunk 1", "write", "chunk 2", "chunk 3"])
async def test_a_caller_who_leaves_a_stream_is_recorded_once_and_the_upstream_is_closed(moment: str):
    done = await request(delta(), delta(), delta(), DONE, body=STREAMED, answer_headers=[EVENTS], leave_at=moment)

    assert done.record.outcome == "client_cancelled"
    assert done.record.status == (None if moment in {"send", "chunk 1"} else 200)
    assert done.record.output_tokens == {"send": None, "chunk 1": None, "chunk 3": 2}.get(moment, 1)
    assert done.moments.seen.count("upstream closed") == (moment != "send")
    assert done.tally.in_flight == 0
    assert not done.caller.is_finished


async def test_a_caller_who_leaves_while_the_end_is_written_has_been_answered():
    done = await request(DONE, body=STREAMED, answer_headers=[EVENTS], leave_at="write")

    assert (done.record.outcome, done.record.status) == ("ok", 200)
    assert done.moments.seen.count("upstream closed") == 1


async def test_a_caller_who_leaves_while_sending_is_recorded_and_nothing_is_forwarded():
    moments = Moments()
    journal, tally = Journal(moments=moments), Counts()
    caller = Caller(moments, BODY[:5], headers=[AUTHORIZED], is_cut=True)
    upstream = ScriptedUpstream(moments, ScriptedAnswer(moments))

    endpoint = Inference(Holder(View(decisions=decisions(), source="ledger")), upstream, journal, tally, Throttle())
    await endpoint.answer(caller.connection())

    assert (journal.record.outcome, journal.record.status, journal.record.application) == (
        "client_cancelled",
        None,
        "shop",
    )
    assert not upstream.calls
    assert not caller.sent
    assert tally.in_flight == 0


@pytest.mark.parametrize("body", [BODY, b""])
async def test_a_worker_that_ends_in_the_middle_closes_the_request_as_interrupted(body: bytes):
    moments = Moments(leave_at="send")
    journal, tally = Journal(moments=moments), Counts()
    caller = Caller(moments, *([body] if body else []), headers=[AUTHORIZED])
    moments.leave = lambda: None
    upstream = ScriptedUpstream(moments, ScriptedAnswer(moments))
    endpoint = Inference(Holder(View(decisions=decisions(), source="ledger")), upstream, journal, tally, Throttle())

    answering = asyncio.create_task(endpoint.answer(caller.connection()))
    await asyncio.sleep(0.01)
    answering.cancel()

    with pytest.raises(asyncio.CancelledError):
        await answering
    assert journal.record.outcome == "interrupted"
    assert tally.in_flight == 0


async def test_the_caller_is_shown_what_its_application_exposes():
    applications = {"shop": Application(expose=("rollout", "bucket"))}

    done = await request(WHOLE, applications=applications, rollouts={SALES: SplitEntry(flag=FLAG0)})

    shown = {name for name in done.caller.headers if name.startswith("x-turnout-")}
    assert shown == {"x-turnout-rollout", "x-turnout-bucket", "x-turnout-latency-ms", "x-turnout-cost-usd"}
