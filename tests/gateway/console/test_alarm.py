from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from gateway.console.alarm import told
from gateway.console.notifying import REMEMBERED
from gateway.settings.schema import SecretRef, Webhook
from rollout.notify.heartbeat import silence
from rollout.stores.outbox import OUTBOX_FILE, open_outbox
from tests.fakes.configuration import CONFIG
from tests.fakes.webhook_receiver import Receiver, receiving

ENVIRONMENT = {"HOOK_SECRET": "s3cret"}


def webhooks(receiver: Receiver) -> dict[str, Webhook]:
    return {"ops": Webhook(url=receiver.url, secret=SecretRef(env="HOOK_SECRET"))}


def alarm(folder: Path, since: str, *more: str) -> int:
    words = ["--state-dir", str(folder), "--config", str(folder / "turnout.toml"), "--since", since, *more]
    done = subprocess.run(
        [sys.executable, "-m", "gateway.console.alarm", *words], env={**os.environ, **ENVIRONMENT}, check=False
    )
    return done.returncode


def test_webhooks_are_told_once_of_one_silence(tmp_path: Path):
    with receiving() as ops, closing(open_outbox(tmp_path)) as outbox:
        assert told(outbox, webhooks(ops), "41", 20.0, ENVIRONMENT)
        outbox.keep(silence("42", 60.0, 1), [])
        assert told(outbox, webhooks(ops), "41", 20.0, ENVIRONMENT)
        assert told(outbox, webhooks(ops), "42", 20.0, ENVIRONMENT)

        assert [one.sent["type"] for one in ops.received] == ["controller_silent"]


def test_what_is_not_taken_in_time_is_left_to_the_console(tmp_path: Path):
    with receiving([500] * 99) as ops, closing(open_outbox(tmp_path)) as outbox:
        assert not told(outbox, webhooks(ops), "41", 0.5, ENVIRONMENT)

        assert outbox.webhooks() == {"ops": 1}


@pytest.mark.parametrize("is_right", [True, False])
def test_the_process_reads_the_file_or_what_was_in_force_before(tmp_path: Path, *, is_right: bool):
    with receiving() as ops:
        said = f'\n[webhooks.ops]\nurl = "{ops.url}"\nsecret = {{ env = "HOOK_SECRET" }}\n'
        (tmp_path / "turnout.toml").write_text(CONFIG + said if is_right else "no TOML")
        if not is_right:
            with closing(open_outbox(tmp_path)) as outbox:
                outbox.remember(REMEMBERED, msgspec.json.encode(webhooks(ops)).decode())

        assert alarm(tmp_path, "41") == 0
        assert [one.sent["type"] for one in ops.received] == ["controller_silent"]


def test_without_an_outbox_it_fails(tmp_path: Path):
    (tmp_path / OUTBOX_FILE).mkdir()

    assert alarm(tmp_path, "41") == 1
