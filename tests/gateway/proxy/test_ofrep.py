from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.proxy.caller import Header
from gateway.proxy.ofrep import FLAGS_PATH, MAX_BODY_BYTES, Evaluations
from gateway.proxy.queueing import Throttle
from gateway.proxy.snapshot import Holder, View
from gateway.settings.schema import Application
from gateway.settings.snapshot import SplitEntry
from tests.fakes.proxy import AUTHORIZED, BASE, CANDIDATE, FLAG, KEY, SALES, Caller, Moments, decisions, request

pytestmark = pytest.mark.anyio
ROLLOUTS = {SALES: SplitEntry(flag=replace(FLAG, flag="finetuned_model_rollout", salt="the-salt"), also_for=(BASE,))}
ANN = {"context": {"targetingKey": "ann"}}


class Desk:
    """A worker's flags."""

    def __init__(self, *, throttle: Throttle | None = None, **changes: Any) -> None:
        self.holder = Holder(View(decisions=decisions(**{"rollouts": ROLLOUTS, **changes}), source="ledger"))
        self.evaluations = Evaluations(self.holder, throttle or Throttle())

    async def asked(
        self,
        key: str | None,
        body: bytes | dict[str, Any] = ANN,
        headers: Sequence[Header] = (AUTHORIZED,),
        *,
        method: str = "POST",
        path: str | None = None,
        is_cut: bool = False,
    ) -> Caller:
        sent = body if isinstance(body, bytes) else msgspec.json.encode(body)
        where = path or (FLAGS_PATH if key is None else f"{FLAGS_PATH}/{key}")
        caller = Caller(Moments(), sent, headers=headers, method=method, path=where, is_cut=is_cut)
        await self.evaluations.answer(caller.connection())
        return caller


def told(caller: Caller) -> dict[str, Any]:
    return msgspec.json.decode(caller.body)


@pytest.mark.parametrize("user", ["ann", "bob", "cem", "dora", "\U0001f600", " ", "0"])
async def test_a_user_is_told_the_model_that_a_request_gets(user: str):
    body = msgspec.json.encode({"model": SALES, "user": user, "messages": []})
    served = await request(b"{}", body=body, rollouts=ROLLOUTS)

    caller = await Desk().asked("finetuned_model", {"context": {"targetingKey": user, "plan": "gold"}})

    assert caller.status == 200
    answer = told(caller)
    assert (answer["value"], answer["variant"]) == (served.record.model_served, served.record.arm_assigned)
    assert (answer["key"], answer["reason"]) == ("finetuned_model", "SPLIT")
    assert caller.headers["content-type"] == "application/json"
    assert "x-request-id" in caller.headers


async def test_the_percent_is_written_with_a_point():
    caller = await Desk().asked("finetuned_model_rollout", b"{}")

    assert b'"value":50.0' in caller.body
    assert b"the-salt" not in caller.body


async def test_a_key_may_be_percent_encoded():
    assert told(await Desk().asked("sales%3Afinetuned_model"))["key"] == "sales:finetuned_model"


async def test_an_application_may_send_its_key_as_x_api_key():
    caller = await Desk().asked("finetuned_model", headers=[(b"x-api-key", KEY.encode())])

    assert caller.status == 200


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ([], "or 'X-API-Key'"),
        ([(b"x-api-key", b"")], "or 'X-API-Key'"),
        ([(b"x-api-key", b"tn_app_0_0")], "no application's key"),
        ([(b"authorization", b"Bearer x"), (b"x-api-key", KEY.encode())], "no application's key"),
        ([(b"authorization", b"Basic eDp5"), (b"x-api-key", KEY.encode())], "No API key was sent"),
    ],
)
async def test_nothing_is_told_without_an_applications_key(headers: list[Header], words: str):
    for key in ("finetuned_model", None):
        caller = await Desk().asked(key, headers=headers)

        assert caller.status == 401
        assert told(caller)["errorCode"] == "GENERAL"
        assert words in told(caller)["errorDetails"] or b"authorization" in dict(headers)
        assert caller.headers["www-authenticate"] == "Bearer"


REFUSED: list[tuple[bytes | dict[str, Any], str]] = [
    (b"", "PARSE_ERROR"),
    (b"{", "PARSE_ERROR"),
    (b"[]", "PARSE_ERROR"),
    (b"\xff", "PARSE_ERROR"),
    (b'{"context":NaN}', "PARSE_ERROR"),
    (b'{"context":{},"context":{"targetingKey":"a"}}', "PARSE_ERROR"),
    (b'{"context":' * 50_000, "PARSE_ERROR"),
    (b'{"context":' + b"[" * 30_000 + b"]" * 30_000 + b"}", "PARSE_ERROR"),
    (b'{"context":{"targetingKey":"\\ud800"}}', "PARSE_ERROR"),
    ({"context": []}, "INVALID_CONTEXT"),
    ({"context": "ann"}, "INVALID_CONTEXT"),
    ({"context": {"targetingKey": 7}}, "INVALID_CONTEXT"),
    ({"context": {"targetingKey": ["ann"]}}, "INVALID_CONTEXT"),
    ({"context": {"targetingKey": "a" * 513}}, "INVALID_CONTEXT"),
    ({"context": {"targetingKey": "\U0001f600" * 129}}, "INVALID_CONTEXT"),
    (b'{"context": {"targetingKey": "a", "targetingKey": "b"}}', "INVALID_CONTEXT"),
    ({}, "TARGETING_KEY_MISSING"),
    ({"context": None}, "TARGETING_KEY_MISSING"),
    ({"context": {}}, "TARGETING_KEY_MISSING"),
    ({"context": {"targetingKey": ""}}, "TARGETING_KEY_MISSING"),
    ({"context": {"targetingKey": None}}, "TARGETING_KEY_MISSING"),
    ({"context": {"targetingkey": "ann"}}, "TARGETING_KEY_MISSING"),
]


@pytest.mark.parametrize(("body", "code"), REFUSED, ids=[f"{at}-{code}" for at, (_, code) in enumerate(REFUSED)])
async def test_a_body_that_cannot_be_read_or_names_no_user_is_refused_in_ofreps_words(
    body: bytes | dict[str, Any], code: str
):
    sent = body[:MAX_BODY_BYTES] if isinstance(body, bytes) else body

    caller = await Desk().asked("finetuned_model", sent)

    assert (caller.status, told(caller)["key"], told(caller)["errorCode"]) == (400, "finetuned_model", code)
    assert len(told(caller)["errorDetails"]) > 10


async def test_a_context_of_the_greatest_length_is_read():
    assert (await Desk().asked("finetuned_model", {"context": {"targetingKey": "a" * 512}})).status == 200


async def test_a_flag_that_does_not_exist_is_not_found():
    for key in ("nothing", "", "finetuned_model/", "%FF", "a" * 5000, "%0d%0ax: y", "sales:", ".."):
        caller = await Desk().asked(key)

        assert (caller.status, told(caller)["errorCode"]) == (404, "FLAG_NOT_FOUND")
        assert "there are: finetuned_model_rollout" in told(caller)["errorDetails"]
        assert len(caller.body) < 2000


@pytest.mark.parametrize("path", ["/ofrep", "/ofrep/v1/configuration", f"{FLAGS_PATH}x", "/ofrep/v2/evaluate/flags"])
async def test_other_paths_lead_nowhere(path: str):
    caller = await Desk().asked(None, path=path)

    assert (caller.status, told(caller)["errorCode"]) == (404, "GENERAL")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"])
async def test_other_methods_are_refused(method: str):
    caller = await Desk().asked("finetuned_model", method=method)

    assert (caller.status, caller.headers["allow"]) == (405, "POST")


async def test_a_body_over_the_limit_is_refused():
    caller = await Desk().asked("finetuned_model", b'{"context":{"x":"' + b"a" * MAX_BODY_BYTES + b'"}}')

    assert (caller.status, told(caller)["errorCode"]) == (413, "GENERAL")


async def test_a_caller_that_leaves_is_answered_nothing():
    assert (await Desk().asked("finetuned_model", b"{", is_cut=True)).sent == []


async def test_all_flags_come_with_a_tag_by_which_they_are_not_sent_twice():
    desk = Desk()
    first = await desk.asked(None)
    etag = first.headers["etag"]

    assert [flag["key"] for flag in told(first)["flags"]][::2] == ["finetuned_model_rollout", "finetuned_model"]
    for listed in (etag, f'W/{etag}, "x"', f'"x" , {etag}', "*"):
        again = await desk.asked(None, headers=[AUTHORIZED, (b"if-none-match", listed.encode())])
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", etag)
        assert again.is_finished
        assert "content-length" not in again.headers
    for listed in ("", '"x"', etag.strip('"')):
        assert (await desk.asked(None, headers=[AUTHORIZED, (b"if-none-match", listed.encode())])).status == 200


async def test_flags_that_changed_have_another_tag():
    desk = Desk()
    etag = (await desk.asked(None)).headers["etag"]
    moved = {SALES: replace(ROLLOUTS[SALES], flag=replace(ROLLOUTS[SALES].flag, percent=100.0, version=4))}

    desk.holder.change(decisions=decisions(rollouts=moved))
    caller = await desk.asked(None, headers=[AUTHORIZED, (b"if-none-match", etag.encode())])

    assert caller.status == 200
    assert {flag["value"] for flag in told(caller)["flags"]} == {100.0, CANDIDATE}


async def test_one_flag_has_no_tag_and_is_always_sent():
    caller = await Desk().asked("finetuned_model", headers=[AUTHORIZED, (b"if-none-match", b"*")])

    assert caller.status == 200
    assert "etag" not in caller.headers


async def test_who_sends_no_user_is_judged_by_the_applications_policy():
    whole = Desk(applications={"shop": Application(anonymous="application")})
    session = Desk(applications={"shop": Application(anonymous="session")})

    assert (await whole.asked("finetuned_model", {})).status == 200
    assert (await session.asked("finetuned_model", {})).status == 400
    named = [AUTHORIZED, (b"x-session-id", b"s1")]
    assert (await session.asked("finetuned_model", {}, named)).status == 200
    assert (await session.asked("finetuned_model", {}, [AUTHORIZED, (b"x-session-id", b"s" * 513)])).status == 400
    twice = await session.asked("finetuned_model", {}, [*named, (b"x-session-id", b"s2")])
    assert (twice.status, told(twice)["errorCode"]) == (400, "GENERAL")


async def test_evaluations_have_the_rate_of_requests_for_themselves():
    throttle = Throttle(clock=lambda: 0.0)
    desk = Desk(throttle=throttle, applications={"shop": Application(requests_per_minute=2, max_concurrent=1)})

    answers = [await desk.asked("finetuned_model") for _ in range(3)]

    assert [answer.status for answer in answers] == [200, 200, 429]
    assert told(answers[2]) | {"errorDetails": ""} == {
        "key": "finetuned_model",
        "errorCode": "GENERAL",
        "errorDetails": "",
    }
    assert answers[2].headers["retry-after"] == "30"


async def test_a_key_that_is_revoked_while_the_body_comes_counts_no_more():
    class Revoking(Caller):
        async def receive(self) -> Mapping[str, Any]:
            desk.holder.change(decisions=decisions(rollouts=ROLLOUTS, keys=()))
            return await super().receive()

    desk = Desk()
    caller = Revoking(Moments(), b"{}", headers=[AUTHORIZED], path=FLAGS_PATH)
    await desk.evaluations.answer(caller.connection())

    assert caller.status == 401


async def test_a_failure_of_our_own_is_told_with_its_id(caplog: pytest.LogCaptureFixture):
    desk = Desk()
    broken = Throttle()
    del broken.allowances
    desk.evaluations = Evaluations(desk.holder, broken)

    caller = await desk.asked("finetuned_model")

    assert (caller.status, told(caller)["errorCode"]) == (500, "GENERAL")
    assert caller.headers["x-request-id"] in told(caller)["errorDetails"]
    assert "an evaluation failed in the gateway" in caplog.text


@given(
    body=st.binary(max_size=60)
    | st.text(max_size=20).map(lambda key: msgspec.json.encode({"context": {"targetingKey": key}}))
    | st.lists(st.sampled_from([b'{"context":', b'"targetingKey"', b":", b"[", b"{", b"}", b"\xff", b"1"])).map(
        b"".join
    )
)
async def test_no_body_is_ever_a_failure_of_ours(body: bytes):
    desk = Desk()

    for key in ("finetuned_model", None):
        assert (await desk.asked(key, body)).status in {200, 400}
