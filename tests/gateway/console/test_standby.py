"""The console's port while the ledger cannot be used, as `python -m gateway.console` keeps it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from gateway.console.installation import open_installation
from gateway.settings.load import load
from rollout.stores.ledger import LEDGER_FILE
from tests.fakes.configuration import CONFIG
from tests.fakes.plain import PLAIN
from tests.gateway.console.test_process import PATIENCE_S, Console, until


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    (tmp_path / "turnout.toml").write_text(CONFIG)
    open_installation(tmp_path / "state", load(tmp_path / "turnout.toml"), {}).close()
    (tmp_path / "state" / LEDGER_FILE).write_text("nothing of ours\n" * 1000)
    one = Console(tmp_path)
    yield one
    one.process.kill()
    one.process.wait()


def answer(console: Console, path: str) -> httpx.Response:
    return httpx.get(f"{console.url}{path}", trust_env=False, verify=PLAIN, timeout=PATIENCE_S)


@pytest.mark.parametrize("path", ["/api/v1/rollouts", "/healthz"])
def test_every_request_is_answered_with_the_reason(console: Console, path: str):
    refused = answer(console, path)

    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (503, "ledger_unavailable")
    assert "is not a Turnout ledger; move it away and start again" in error["message"]


def ends(console: Console, number: signal.Signals) -> int:
    console.process.send_signal(number)
    return console.process.wait(PATIENCE_S)


def test_a_signal_ends_it(console: Console):
    assert answer(console, "/healthz").status_code == 503

    assert ends(console, signal.SIGTERM) == 0


def test_the_console_comes_back_when_the_ledger_is_mended(console: Console, tmp_path: Path):
    assert answer(console, "/healthz").status_code == 503

    (tmp_path / "state" / LEDGER_FILE).unlink()

    until(console.is_ready)
    said: Callable[[str], bool] = console.has_said
    assert said("the console answers nothing but 503")
    assert ends(console, signal.SIGTERM) == 0
