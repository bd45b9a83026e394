from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from rollout.notice import Announce, Notice
from rollout.notify.notifier import Notifier, Patience
from rollout.notify.webhook import Webhook, WebhookError
from rollout.stores.outbox import Outbox, OutboxError, open_outbox
from tests.fakes.webhook_receiver import Receiver, receiving, until

ROLLED_BACK = Notice(what="rolled_back", words="errors: fail", at=7, rollout="sales", generation=1, step=2)
QUICK = Patience(first_s=0.02, longest_s=0.05, attempts=50, timeout_s=10.0)


def webhook(receiver: Receiver, name: str = "ops", **changes: Any) -> Webhook:
    given = {"name": name, "shape": "json", "address": lambda: receiver.url, "secret": lambda: "s3cret"}
    return Webhook(**{**given, **changes})


@contextmanager
def notifying(state_dir: Path, *webhooks: Webhook, patience: Patience = QUICK, **given: Any) -> Iterator[Notifier]:
    with closing(open_outbox(state_dir)) as outbox:
        notifier = Notifier(outbox, webhooks, patience=patience, **given)
        with notifier.running():
            yield notifier


def test_a_notice_reaches_the_webhooks_that_want_it(tmp_path: Path):
    with (
        receiving() as ops,
        receiving() as team,
        notifying(
            tmp_path, webhook(ops), webhook(team, "team", shape="slack", secret=lambda: None, events=("rolled_back",))
        ) as notifier,
    ):
        taker: Announce = notifier
        taker.announce(replace(ROLLED_BACK, what="advanced"))
        taker.announce(ROLLED_BACK)

        [first, second] = ops.await_count(2)
        [slack] = team.await_count(1)

    assert [first.sent["type"], second.sent["type"]] == ["advanced", "rolled_back"]
    assert second.headers["content-type"] == "application/json"
    assert second.headers["webhook-signature"].startswith("v1,")
    assert "webhook-signature" not in slack.headers
    assert slack.sent["text"].startswith("*sales* ROLLED BACK")
    assert len(team.received) == 1


def test_what_is_not_taken_is_told_again_with_the_same_id_until_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    with receiving([500, "drop", 404, "http://127.0.0.1:9/elsewhere", 200]) as ops:
        with notifying(tmp_path, webhook(ops)) as notifier:
            notifier.announce(ROLLED_BACK)
            ops.await_count(5)
            until(lambda: "takes notices again" in caplog.text)
            assert notifier.troubles() == []
        received = list(ops.received)

    assert len({one.headers["webhook-id"] for one in received}) == 1
    assert len(received) == 5
    assert "it answered 500" in str([vars(record) for record in caplog.records])
    assert "t0p-secret-path" not in str([vars(record) for record in caplog.records])
    assert "s3cret" not in str([vars(record) for record in caplog.records])


def test_a_redirect_is_not_followed(tmp_path: Path):
    with receiving() as elsewhere, receiving([f"http://127.0.0.1:{elsewhere.port}/x"]) as ops:
        with notifying(tmp_path, webhook(ops)) as notifier:
            notifier.announce(ROLLED_BACK)
            ops.await_count(2)

        assert elsewhere.received == []


def test_no_proxy_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with receiving() as ops, receiving() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        with notifying(tmp_path, webhook(ops)) as notifier:
            notifier.announce(ROLLED_BACK)
            ops.await_count(1)

        assert proxy.received == []


def test_the_same_event_is_told_once_and_a_hold_not_at_every_tick(tmp_path: Path):
    held = replace(ROLLED_BACK, what="hold_for_24_h")
    with receiving() as ops, notifying(tmp_path, webhook(ops)) as notifier:
        for at in range(20):
            notifier.announce(replace(held, at=at, words=f"held for {at} s"))
        notifier.announce(replace(held, mark="later"))

        assert [one.sent["data"]["words"] for one in ops.await_count(2)] == ["held for 0 s", "errors: fail"]


def test_a_restart_loses_nothing_that_was_not_told_and_tells_nothing_twice(tmp_path: Path):
    with receiving() as ops:
        with notifying(tmp_path, webhook(ops)) as notifier:
            notifier.announce(ROLLED_BACK)
            ops.await_count(1)
            until(lambda: not open_and_count(tmp_path))
        port = ops.port
    with notifying(tmp_path, webhook(ops)) as notifier:
        notifier.announce(replace(ROLLED_BACK, step=3))
        until(lambda: bool(notifier.troubles()))
        assert "could not be reached (ConnectError)" in notifier.troubles()[0]
    with receiving(port=port) as again, notifying(tmp_path, webhook(again)) as notifier:
        notifier.announce(ROLLED_BACK)
        notifier.announce(replace(ROLLED_BACK, step=3))
        again.await_count(1)
        until(lambda: not open_and_count(tmp_path))

        assert [one.sent["data"]["step"] for one in again.received] == [3]


def open_and_count(state_dir: Path) -> dict[str, int]:
    with closing(open_outbox(state_dir)) as outbox:
        return outbox.webhooks()


def test_a_webhook_that_hangs_keeps_neither_whoever_announces_nor_another_webhook_waiting(tmp_path: Path):
    patience = replace(QUICK, timeout_s=20.0)
    with receiving(["hang"]) as stuck, receiving() as ops:
        with notifying(tmp_path, webhook(stuck, "stuck"), webhook(ops), patience=patience) as notifier:
            notifier.announce(ROLLED_BACK)
            stuck.await_count(1)
            began = time.monotonic()
            notifier.announce(replace(ROLLED_BACK, step=3))
            assert time.monotonic() - began < 5.0
            assert len(ops.await_count(2)) == 2

        assert len(stuck.received) == 1


def test_an_attempt_that_takes_too_long_is_made_again(tmp_path: Path):
    with receiving(["hang"]) as ops:
        with notifying(tmp_path, webhook(ops), patience=replace(QUICK, timeout_s=0.5)) as notifier:
            notifier.announce(ROLLED_BACK)
            first, second = ops.await_count(2)

        assert first.headers["webhook-id"] == second.headers["webhook-id"]


def test_a_notice_that_nobody_takes_is_given_up_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with receiving([500] * 9) as ops, notifying(tmp_path, webhook(ops), patience=replace(QUICK, attempts=3)) as one:
        one.announce(ROLLED_BACK)
        until(lambda: "a notice was given up" in caplog.text)

        assert one.troubles() == ["webhook ops was not told: it answered 500; a notice was given up after 3 attempts"]
        assert open_and_count(tmp_path) == {}
        assert len(ops.received) == 3


def test_a_secret_that_is_missing_is_said_and_looked_for_again(tmp_path: Path):
    found: list[str] = []

    def secret() -> str:
        if not found:
            message = "environment variable HOOK is not set"
            raise WebhookError(message)
        return found[0]

    with receiving() as ops, notifying(tmp_path, webhook(ops, secret=secret)) as notifier:
        notifier.announce(ROLLED_BACK)
        until(lambda: bool(notifier.troubles()))
        assert notifier.troubles()[0].startswith("webhook ops was not told: environment variable HOOK is not set;")
        found.append("s3cret")

        assert ops.await_count(1)[0].headers["webhook-signature"]


def test_a_webhook_that_is_configured_no_more_is_told_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with receiving() as ops, receiving([503] * 99) as gone, notifying(tmp_path, webhook(gone, "gone")) as notifier:
        notifier.announce(ROLLED_BACK)
        gone.await_count(1)
        notifier.use([webhook(ops)])
        notifier.announce(replace(ROLLED_BACK, step=3))
        ops.await_count(1)
        until(lambda: "configured any more" in caplog.text)
        until(lambda: open_and_count(tmp_path) == {})
        assert notifier.troubles() == []


def test_an_address_that_cannot_be_called_is_a_failure_like_others(tmp_path: Path):
    with (
        socket.socket() as taken,
        notifying(
            tmp_path,
            webhook(Receiver(port=1), "port", address=lambda: f"http://127.0.0.1:{taken.getsockname()[1] or 1}"),
            webhook(Receiver(port=1), "word", address=lambda: "http://[::bad"),
        ) as notifier,
    ):
        notifier.announce(ROLLED_BACK)
        until(lambda: len(notifier.troubles()) == 2)


class Broken(Outbox):
    """An outbox whose disk refuses everything until it is `mended`."""

    mended = False

    def __init__(self, whole: Outbox) -> None:
        self._whole = whole

    def __getattribute__(self, name: str) -> Any:
        if name in {"keep", "webhooks", "waiting", "end", "failed"} and not Broken.mended:
            return self._refuse
        return (
            getattr(object.__getattribute__(self, "_whole"), name)
            if name in {"keep", "webhooks", "waiting", "end", "failed"}
            else object.__getattribute__(self, name)
        )

    def _refuse(self, *_: Any) -> Any:
        message = "the disk is full"
        raise OutboxError(message)


def test_what_cannot_be_kept_waits_in_memory_and_is_told_when_it_can(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with closing(open_outbox(tmp_path)) as whole, receiving() as ops:
        Broken.mended = False
        notifier = Notifier(Broken(whole), [webhook(ops)], patience=QUICK)
        with notifier.running():
            notifier.announce(ROLLED_BACK)
            until(lambda: notifier.troubles() == ["webhook (all) was not told: the disk is full"])
            assert "a notice waits in memory" in caplog.text
            Broken.mended = True
            ops.await_count(1)
            until(lambda: notifier.troubles() == [])


def test_something_is_looked_at_beside_and_its_failure_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    looked = threading.Event()

    def look() -> None:
        if "telling webhooks failed" in caplog.text:
            looked.set()
        else:
            raise ZeroDivisionError

    with receiving() as ops, notifying(tmp_path, webhook(ops), each_look=look) as notifier:
        assert looked.wait(30)
        notifier.announce(ROLLED_BACK)
        ops.await_count(1)


def test_after_its_end_a_notice_is_kept_for_the_next_start(tmp_path: Path):
    with receiving() as ops, closing(open_outbox(tmp_path)) as outbox:
        notifier = Notifier(outbox, [webhook(ops)], patience=QUICK)
        with notifier.running():
            pass
        notifier.announce(ROLLED_BACK)

        assert outbox.webhooks() == {"ops": 1}
        assert ops.received == []


@pytest.mark.parametrize(
    ("failed", "jitter", "asked_s", "wait_s"),
    [
        (1, 0.5, None, 1.0),
        (1, 0.0, None, 0.5),
        (5, 1.0, None, 24.0),
        (99, 0.5, None, 600.0),
        (1, 0.5, 30.0, 30.0),
        (1, 0.5, 9e5, 600.0),
    ],
)
def test_pauses_grow_up_to_ten_minutes(failed: int, jitter: float, asked_s: float | None, wait_s: float):
    assert Patience().wait_s(failed, jitter, asked_s) == wait_s


def test_a_receiver_that_asks_for_time_is_given_it(tmp_path: Path):
    with receiving([429]) as ops:
        ops.retry_after = "1"
        with notifying(tmp_path, webhook(ops), patience=replace(QUICK, longest_s=60.0)) as notifier:
            began = time.monotonic()
            notifier.announce(ROLLED_BACK)
            ops.await_count(2)
            assert time.monotonic() - began >= 1.0
