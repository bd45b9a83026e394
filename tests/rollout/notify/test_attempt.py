from __future__ import annotations

from typing import Any

import pytest

from rollout.notice import Notice
from rollout.notify.attempt import client, tell
from rollout.notify.webhook import Webhook, WebhookError
from rollout.stores.outbox import Delivery
from tests.fakes.webhook_receiver import Answer, receiving

pytestmark = pytest.mark.anyio
TEST = Delivery(id="d1", webhook="ops", notice=Notice(what="test", words="it works", at=0), attempts=0)


async def told(*script: Answer, retry_after: str | None = None, timeout_s: float = 10.0, **changes: Any) -> Any:
    with receiving(script) as receiver:
        receiver.retry_after = retry_after
        given = {"name": "ops", "shape": "json", "address": lambda: receiver.url, "secret": lambda: "s3cret"}
        async with client() as way:
            await tell(way, Webhook(**{**given, **changes}), TEST, 1_780_000_000, timeout_s)
        return receiver.received[0]


@pytest.mark.parametrize("status", [200, 202, 204])
async def test_any_2xx_takes_it(status: int):
    one = await told(status)

    assert one.path == "/hook/t0p-secret-path"
    assert one.headers["webhook-id"] == "d1"
    assert one.headers["webhook-timestamp"] == "1780000000"
    assert one.sent["data"]["words"] == "it works"


async def test_what_has_no_secret_is_not_signed():
    one = await told(shape="slack", secret=lambda: None)

    assert one.headers["webhook-id"] == "d1"
    assert "webhook-signature" not in one.headers


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (400, "it answered 400"),
        ("/elsewhere", "it answered 307, a redirect, which is not followed"),
        (500, "it answered 500"),
        ("http://127.0.0.1:9/", "it answered 307, a redirect, which is not followed"),
        ("drop", "it could not be reached (RemoteProtocolError)"),
    ],
)
async def test_anything_else_does_not_and_the_address_is_not_told(answer: Answer, words: str):
    with pytest.raises(WebhookError) as raised:
        await told(answer)

    assert str(raised.value).startswith(words)
    assert "t0p" not in str(raised.value)


async def test_an_answer_that_does_not_come_is_not_waited_for():
    with pytest.raises(WebhookError, match=r"it did not answer within 0\.5 s"):
        await told("hang", timeout_s=0.5)


@pytest.mark.parametrize(("said", "wait_s"), [("7", 7.0), ("Wed, 21 Oct", None), ("9999999", None), ("-1", None)])
async def test_a_receiver_may_ask_for_time(said: str, wait_s: float | None):
    with pytest.raises(WebhookError) as raised:
        await told(503, retry_after=said)

    assert raised.value.wait_s == wait_s


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/x", "http://[::bad", "http://", "nothing"])
async def test_an_address_that_leads_nowhere_is_said_by_its_kind_alone(address: str):
    with pytest.raises(WebhookError) as raised:
        await told(address=lambda: address)

    assert str(raised.value).startswith("it could not be reached (")
