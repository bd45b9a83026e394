"""Requests that go on from an answer which one of two upstreams keeps."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from analytics.record import Arm
from gateway.proxy.choice import choose
from gateway.proxy.continuation import elsewhere, is_unknown
from gateway.proxy.endpoint import Inference
from gateway.proxy.endpoints import KNOWN
from gateway.proxy.identity import User
from gateway.proxy.queueing import Throttle
from gateway.proxy.snapshot import Holder, View
from gateway.proxy.upstream import BrokenFault, Call, Fault
from gateway.settings.schema import Model, Upstream
from gateway.settings.snapshot import SplitEntry
from rollout.flag import user_hash
from tests.fakes.proxy import (
    AUTHORIZED,
    BASE,
    CANDIDATE,
    FLAG,
    JSON,
    SALES,
    SECRETS,
    Caller,
    Counts,
    Journal,
    Moments,
    ScriptedAnswer,
    decisions,
)

pytestmark = pytest.mark.anyio
APART = {
    "upstreams": {"one": Upstream(base_url="http://one/v1"), "two": Upstream(base_url="http://two/v1")},
    "models": {BASE: Model(upstream="one"), CANDIDATE: Model(upstream="two")},
}
TOGETHER = {
    "upstreams": {"one": Upstream(base_url="http://one/v1")},
    "models": {BASE: Model(upstream="one"), CANDIDATE: Model(upstream="one")},
}
UNKNOWN = {
    "message": "Previous response with id 'resp_00112233445566' not found.",
    "code": "previous_response_not_found",
}
WHOLE = b'{"id":"resp_2","status":"completed","usage":{"input_tokens":7,"output_tokens":2}}'


def view(percent: float = 100.0, *, killed: bool = False, apart: bool = True, forced: bool = False) -> View:
    pinned: dict[str, Arm] = {user_hash(SECRETS.user_hash, b"ann").hex(): "base"}
    flag = msgspec.structs.replace(FLAG, percent=percent, forced=pinned if forced else {})
    decided = decisions(rollouts={SALES: SplitEntry(flag=flag)}, **(APART if apart else TOGETHER))
    return View(decisions=decided, source="ledger", killed=killed)


class Kept:
    """Two upstreams, of which one keeps the answer `resp_00112233445566`."""

    def __init__(self, moments: Moments, at: str, error: dict[str, Any], status: int) -> None:
        self.calls: list[Call] = []
        self._moments = moments
        self._at = at
        self._refusal = json.dumps({"error": error}).encode()
        self._status = status
        self.answers: list[ScriptedAnswer] = []

    async def send(self, call: Call) -> ScriptedAnswer:
        self.calls.append(call)
        if call.url.startswith(f"http://{self._at}/"):
            answer = ScriptedAnswer(self._moments, WHOLE, headers=[JSON])
        else:
            cut = len(self._refusal) // 2
            pieces = self._refusal[:cut], self._refusal[cut:]
            answer = ScriptedAnswer(self._moments, *pieces, status=self._status, headers=[JSON])
        self.answers.append(answer)
        return answer

    async def close(self) -> None:
        """Nothing is open."""


class Asked:
    def __init__(self, at: str, decided: View, error: dict[str, Any] | None = None, status: int = 400) -> None:
        self.moments = Moments()
        self.journal = Journal(moments=self.moments)
        self.upstream = Kept(self.moments, at, UNKNOWN if error is None else error, status)
        self.holder = Holder(decided)
        self.tally = Counts()
        self.caller = Caller(self.moments)

    async def send(self, path: str = "/v1/responses", **fields: Any) -> Asked:
        body = json.dumps({"model": SALES, "user": "ann", "input": "hi", **fields}).encode()
        self.caller = Caller(self.moments, body, headers=[AUTHORIZED], path=path)
        inference = Inference(self.holder, self.upstream, self.journal, self.tally, Throttle())
        await inference.answer(self.caller.connection(), KNOWN[path])
        return self

    @property
    def hosts(self) -> list[str]:
        return [call.url.split("/")[2] for call in self.upstream.calls]


GOES_ON = [
    {"previous_response_id": "resp_00112233445566"},
    {"conversation": "resp_00112233445566"},
    {"conversation": {"id": "resp_00112233445566"}},
]


@pytest.mark.parametrize("fields", GOES_ON)
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UNKNOWN, 400),
        (
            {
                "message": "Response with id 'resp_00112233445566' not found.",
                "type": "NotFoundError",
                "param": None,
                "code": 404,
            },
            404,
        ),
        ({"message": "no", "param": "previous_response_id"}, 404),
    ],
)
async def test_an_answer_that_is_kept_elsewhere_is_gone_on_from_there(
    fields: dict[str, Any], error: dict[str, Any], status: int
):
    asked = await Asked("one", view(), error, status).send(**fields)

    assert asked.hosts == ["two", "one"]
    assert (asked.caller.status, asked.caller.body) == (200, WHOLE)
    assert (asked.caller.headers["x-turnout-arm"], asked.caller.headers["x-turnout-model"]) == ("base", BASE)
    record = asked.journal.record
    assert (record.arm_assigned, record.arm_served, record.model_served, record.upstream) == (
        "candidate",
        "base",
        BASE,
        "one",
    )
    assert (record.outcome, record.response_id, record.input_tokens) == ("ok", "resp_2", 7)
    assert record.fallback_reason is None
    first, second = record.attempts
    assert (first.arm, first.upstream, first.status, first.error_class) == (
        "candidate",
        "two",
        status,
        f"http_{status}",
    )
    assert (second.arm, second.upstream, second.status, second.error_class) == ("base", "one", 200, None)
    assert record.upstream_ms == pytest.approx((first.upstream_ms or 0) + (second.upstream_ms or 0))
    assert [answer.closed for answer in asked.upstream.answers] == [1, 1]
    assert len(asked.journal.opened) == 1


async def test_it_is_sent_with_the_other_arms_model():
    asked = await Asked("one", view()).send(previous_response_id="resp_00112233445566")

    first, second = asked.upstream.calls
    bodies = [call.body for call in (first, second) if isinstance(call.body, bytes)]
    assert [json.loads(body)["model"] for body in bodies] == [CANDIDATE, BASE]
    assert 0 < second.total_s < first.total_s


async def test_what_is_kept_at_the_own_arm_is_asked_for_once():
    asked = await Asked("two", view()).send(previous_response_id="resp_00112233445566")

    assert asked.hosts == ["two"]
    assert (asked.caller.status, asked.journal.record.arm_served) == (200, "candidate")


async def test_a_conversation_that_began_on_the_candidate_goes_on_there_while_anybody_is_sent_there():
    asked = await Asked("two", view(percent=0.01)).send(previous_response_id="resp_00112233445566")

    assert asked.hosts == ["one", "two"]
    assert (asked.journal.record.arm_assigned, asked.journal.record.arm_served) == ("base", "candidate")


@pytest.mark.parametrize("decided", [view(percent=0.0), view(killed=True), view(forced=True)])
async def test_nobody_is_sent_to_a_candidate_that_was_taken_back(decided: View):
    asked = await Asked("two", decided).send(previous_response_id="resp_00112233445566")

    assert asked.hosts == ["one"]
    assert (asked.caller.status, asked.caller.error) == (400, UNKNOWN)
    assert (asked.journal.record.outcome, asked.journal.record.error_class) == ("client_error", "http_400")


async def test_a_candidate_that_was_taken_back_while_the_base_was_asked_is_not_asked():
    asked = Asked("two", view(percent=0.01))

    class TakenBack(Kept):
        async def send(self, call: Call) -> ScriptedAnswer:
            asked.holder.change(killed=True)
            return await super().send(call)

    asked.upstream = TakenBack(asked.moments, "two", UNKNOWN, 400)
    await asked.send(previous_response_id="resp_00112233445566")

    assert asked.hosts == ["one"]
    assert (asked.caller.status, asked.journal.record.error_class) == (503, "choice_overtaken")


async def test_an_answer_that_nobody_keeps_is_said_in_the_upstreams_words():
    asked = await Asked("three", view()).send(previous_response_id="resp_00112233445566")

    assert asked.hosts == ["two", "one"]
    assert (asked.caller.status, asked.caller.error) == (400, UNKNOWN)
    assert [attempt.error_class for attempt in asked.journal.record.attempts] == ["http_400", "http_400"]


@pytest.mark.parametrize(
    ("error", "status", "fields"),
    [
        ({"message": "bad temperature", "param": "temperature"}, 400, GOES_ON[0]),
        ({"message": "The model does not exist.", "code": "model_not_found"}, 404, GOES_ON[0]),
        ({"message": "no such thing", "code": "x"}, 400, {"previous_response_id": ""}),
        ({"message": "no such thing", "code": "x"}, 400, {"conversation": {"id": ""}}),
        ({"message": "no such thing", "code": "x"}, 400, {"previous_response_id": "e"}),
        (
            {"message": "against the content_policy_of_us", "code": "x"},
            400,
            {"previous_response_id": "content_policy_of_us"},
        ),
        (UNKNOWN, 500, GOES_ON[0]),
        (UNKNOWN, 429, GOES_ON[0]),
        (UNKNOWN, 400, {}),
        (UNKNOWN, 400, {"previous_response_id": None}),
        (UNKNOWN, 400, {"previous_response_id": 7}),
    ],
)
async def test_any_other_refusal_is_handed_on_as_it_is(error: dict[str, Any], status: int, fields: dict[str, Any]):
    asked = await Asked("one", view(), error, status).send(**fields)

    assert asked.hosts == ["two"]
    assert (asked.caller.status, asked.caller.error) == (status, error)
    assert len(asked.journal.record.attempts) == 1


async def test_arms_at_one_upstream_are_asked_once():
    asked = await Asked("nowhere", view(apart=False)).send(previous_response_id="resp_00112233445566")

    assert asked.hosts == ["one"]


async def test_other_endpoints_are_asked_once():
    asked = await Asked("one", view()).send("/v1/chat/completions", previous_response_id="resp_00112233445566")

    assert asked.hosts == ["two"]


async def test_a_large_refusal_is_handed_on_whole():
    error = {"message": "x" * 200_000}
    asked = await Asked("one", view(), error).send(previous_response_id="resp_00112233445566")

    assert asked.hosts == ["two"]
    assert asked.caller.error == error


async def test_the_slots_of_both_arms_are_given_back():
    models = {BASE: Model(upstream="one", max_concurrent=1), CANDIDATE: Model(upstream="two", max_concurrent=1)}
    decided = view()
    admission = msgspec.structs.replace(decided.decisions.snapshot.admission, max_concurrent=1)
    flag = msgspec.structs.replace(FLAG, percent=100.0)
    decided = View(
        decisions=decisions(
            rollouts={SALES: SplitEntry(flag=flag)}, **{**APART, "models": models}, admission=admission
        ),
        source="ledger",
    )
    asked = Asked("one", decided)
    throttle = Throttle()
    for _ in range(2):
        body = json.dumps({"model": SALES, "user": "ann", "previous_response_id": "resp_00112233445566"}).encode()
        caller = Caller(asked.moments, body, headers=[AUTHORIZED])
        inference = Inference(asked.holder, asked.upstream, Journal(moments=asked.moments), asked.tally, throttle)
        await inference.answer(caller.connection(), KNOWN["/v1/responses"])
        assert caller.status == 200


async def test_a_refusal_that_breaks_off_is_an_error_of_the_upstream():
    moments = Moments()

    with pytest.raises(Fault):
        await is_unknown(
            ScriptedAnswer(moments, b'{"err', BrokenFault("connection_lost"), status=400), "resp_00112233445566"
        )


async def test_a_model_in_no_rollout_has_no_other_place():
    decided = view()
    route = decided.decisions.route(BASE, live=True)
    assert route is not None

    assert elsewhere(choose(decided, route, User(key=b"ann", source="user")), route, decided) is None
