from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import anyio.to_thread
import msgspec
import pytest
from litestar import Litestar
from msgspec.structs import replace

from gateway.console.installation import Installation, open_installation
from gateway.console.notifying import Notices
from gateway.settings.load import load
from gateway.settings.schema import Configuration, SecretRef, Webhook
from rollout.notice import Notice
from rollout.stores.outbox import OUTBOX_FILE, open_outbox
from tests.fakes.configuration import CONFIG
from tests.fakes.webhook_receiver import Receiver, receiving, until

pytestmark = pytest.mark.anyio
ROLLED_BACK = Notice(what="rolled_back", words="errors: fail", at=7, rollout="sales", generation=1, step=2)
ENVIRONMENT = {"HOOK_SECRET": "s3cret"}


@pytest.fixture
def definitions(tmp_path: Path) -> Configuration:
    (tmp_path / "turnout.toml").write_text(CONFIG)
    return load(tmp_path / "turnout.toml")


@pytest.fixture
def installation(tmp_path: Path, definitions: Configuration) -> Iterator[Installation]:
    with closing(open_installation(tmp_path / "state", definitions, {})) as opened:
        opened.control.start()
        yield opened


def webhook(receiver: Receiver, **changes: Any) -> Webhook:
    return Webhook(**{"url": receiver.url, "secret": SecretRef(env="HOOK_SECRET"), **changes})


def take_up(installation: Installation, definitions: Configuration, **webhooks: Webhook) -> None:
    installation.control.reload_definitions(replace(definitions, webhooks=webhooks))


@asynccontextmanager
async def running(
    installation: Installation, state_dir: Path, environment: Mapping[str, str] = ENVIRONMENT, **given: Any
) -> AsyncIterator[Notices]:
    async with AsyncExitStack() as stack:
        notices = Notices(installation, state_dir, environment, **given)
        await stack.enter_async_context(notices.running(Litestar(logging_config=None)))
        yield notices


async def came(receiver: Receiver, count: int = 1) -> list[Any]:
    received = await anyio.to_thread.run_sync(receiver.await_count, count)
    return [one.sent for one in received]


async def test_those_of_the_configuration_are_told(
    installation: Installation, definitions: Configuration, tmp_path: Path
):
    with receiving() as ops, receiving() as slack:
        named = Webhook(url_from=SecretRef(env="SLACK"), format="slack", events=("rolled_back",))
        take_up(installation, definitions, ops=webhook(ops), team=named)
        async with running(installation, tmp_path, {**ENVIRONMENT, "SLACK": slack.url}) as notices:
            notices.announce(ROLLED_BACK)

            assert (await came(ops))[0]["type"] == "rolled_back"
            assert (await came(slack))[0]["text"].startswith("*sales*")
        assert "webhook-signature" in ops.received[0].headers


async def test_a_changed_configuration_changes_whom(
    installation: Installation, definitions: Configuration, tmp_path: Path
):
    with receiving() as ops:
        looked: list[int] = []
        async with running(installation, tmp_path) as notices:
            notices.each_look.append(lambda: looked.append(1))
            take_up(installation, definitions, ops=webhook(ops))
            before = len(looked)
            await anyio.to_thread.run_sync(until, lambda: len(looked) > before + 1)
            notices.announce(ROLLED_BACK)

            assert len(await came(ops)) == 1


async def test_while_the_file_is_wrong_those_of_before_are_told(
    installation: Installation, definitions: Configuration, tmp_path: Path
):
    with receiving() as ops:
        take_up(installation, definitions, ops=webhook(ops))
        async with running(installation, tmp_path):
            pass
        take_up(installation, definitions)
        async with running(installation, tmp_path, is_known=False) as notices:
            notices.announce(ROLLED_BACK)

            assert len(await came(ops)) == 1


async def test_former_webhooks_that_cannot_be_read_are_none(
    installation: Installation, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    with closing(open_outbox(tmp_path)) as outbox:
        outbox.remember("webhooks", "{")

    async with running(installation, tmp_path, is_known=False) as notices:
        notices.announce(ROLLED_BACK)

    assert "the former webhooks are not known" in caplog.text


async def test_what_a_webhook_lacks_is_a_warning_of_the_status(
    installation: Installation, definitions: Configuration, tmp_path: Path
):
    hidden = Webhook(url_from=SecretRef(env="SLACK"), format="slack")
    bad = replace(hidden, url_from=SecretRef(env="BAD"))
    with receiving() as ops:
        take_up(installation, definitions, ops=webhook(ops), team=hidden, bad=bad)
        async with running(installation, tmp_path, {"BAD": "ftp://x?t0p"}) as notices:
            notices.announce(ROLLED_BACK)
            await anyio.to_thread.run_sync(until, lambda: len(notices.warnings()) == 3)

            said = "\n".join(installation.control.status().warnings)
    assert "webhook ops was not told: environment variable HOOK_SECRET is not set" in said
    assert "webhook team was not told: environment variable SLACK is not set" in said
    assert "webhook bad was not told: what url_from leads to does not begin with https:// or http://" in said
    assert "t0p" not in said


async def test_a_console_beside_the_writer_tells_nobody(
    installation: Installation, definitions: Configuration, tmp_path: Path
):
    with receiving() as ops, closing(open_installation(tmp_path / "state", definitions, {})) as second:
        second.control._publication._definitions = replace(definitions, webhooks={"ops": webhook(ops)})  # noqa: SLF001 - what it would have read
        async with running(second, tmp_path) as notices:
            notices.announce(ROLLED_BACK)

        assert second.ledger.read_only
        assert ops.received == []
    assert not (tmp_path / OUTBOX_FILE).exists()


async def test_an_outbox_that_cannot_be_opened_is_said_and_memory_stands_in(
    installation: Installation, definitions: Configuration, tmp_path: Path
):
    with receiving() as ops:
        take_up(installation, definitions, ops=webhook(ops))
        (tmp_path / OUTBOX_FILE).mkdir()
        async with running(installation, tmp_path) as notices:
            notices.announce(ROLLED_BACK)

            assert len(await came(ops)) == 1
            assert "are lost when the console ends" in notices.warnings()[0]


async def test_an_outbox_that_breaks_later_keeps_nobody_from_starting(
    installation: Installation, definitions: Configuration, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    async with running(installation, tmp_path) as notices:
        notices._outbox.close()  # noqa: SLF001 - as if its file were gone
        notices._configure(msgspec.structs.replace(definitions), None)  # noqa: SLF001 - as at a reload

    assert "webhooks are not remembered" in caplog.text
