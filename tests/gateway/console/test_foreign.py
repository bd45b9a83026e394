"""A percent that a provider in memory rules; OpenFeature's SDK is real, the provider a module that the test wrote."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
from litestar import Litestar
from msgspec.structs import replace

from gateway.console.errors import RuledElsewhereError
from gateway.console.installation import Installation, open_installation
from gateway.settings.load import load
from gateway.settings.schema import Configuration, PercentFrom, SecretRef
from rollout.notice import Notice
from tests.fakes.configuration import CONFIG
from tests.fakes.webhook_receiver import until

pytest.importorskip("openfeature", reason="not exercised: OpenFeature's SDK is not installed")
SALES = "sales-companion"
MODULE = """
import threading
from openfeature.flag_evaluation import FlagResolutionDetails
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider

says = {"percent": 5.0}

def told(flag, context):
    value = says["percent"]
    if isinstance(value, threading.Event):
        value.wait(30)
    return FlagResolutionDetails(value=value)

flag = InMemoryFlag("on", {"on": 0.0}, context_evaluator=told)
provider = InMemoryProvider({"finetuned_model_rollout": flag, "other": InMemoryFlag("on", {"on": 42.0})})

def made(token, region):
    assert (token, region) == ("s3cret", "eu")
    return provider
"""
SOURCE = PercentFrom(provider="percents_of_a_test:provider", refresh_s=0.1)


class Heard:
    """Keeps what is announced."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []

    def announce(self, notice: Notice) -> None:
        self.notices.append(notice)


class Ruled:
    """An installation whose rollout's percent comes from the module's flag."""

    def __init__(self, installation: Installation, definitions: Configuration) -> None:
        self.control, self.definitions, self.heard = installation.control, definitions, Heard()
        self.foreign = self.control.foreign
        self.running = self.foreign.told({"TOKEN": "s3cret"}, self.heard)

    def by(self, source: PercentFrom | None) -> None:
        ruled = replace(self.definitions.rollouts[SALES], percent_from=source)
        self.control.reload_definitions(replace(self.definitions, rollouts={SALES: ruled}))

    def says(self, value: Any) -> None:
        sys.modules["percents_of_a_test"].says["percent"] = value

    @property
    def percent(self) -> float:
        return self.control.flag(SALES).percent

    def until(self, percent: float) -> None:
        self.looking(lambda: self.percent == percent)

    def until_said(self, words: str) -> None:
        self.looking(lambda: any(words in warning for warning in self.control.status().warnings))

    def looking(self, is_so: Any) -> None:
        def looked() -> bool:
            self.foreign.look()
            return is_so()

        until(looked)


@pytest.fixture
def ruled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ruled]:
    (tmp_path / "percents_of_a_test.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "turnout.toml").write_text(CONFIG)
    definitions = load(tmp_path / "turnout.toml")
    with closing(open_installation(tmp_path / "state", definitions, {})) as opened:
        opened.control.start()
        one = Ruled(opened, definitions)
        yield one
        one.by(None)
        one.foreign.look()
    sys.modules.pop("percents_of_a_test", None)


def test_the_flag_drives_the_percent_and_the_audit_names_it(ruled: Ruled):
    ruled.by(SOURCE)
    ruled.until(5.0)
    ruled.says(12)
    ruled.until(12.0)

    newest = ruled.control.history(SALES).entries[0]
    assert (newest.action, newest.reason) == ("set_percent", "percent_from")
    assert newest.actor == "flag finetuned_model_rollout of percents_of_a_test:provider"
    assert ruled.control.show(SALES).percent_from == newest.actor
    assert ruled.control.status().warnings == ()


def test_a_percent_that_a_flag_rules_is_moved_by_nobody_else(ruled: Ruled):
    ruled.by(SOURCE)
    ruled.until(5.0)
    version = ruled.control.flag(SALES).version

    with pytest.raises(RuledElsewhereError, match="comes from flag finetuned_model_rollout of percents_of_a") as raised:
        ruled.control.set_percent(SALES, 50, version, actor="ops")

    assert (raised.value.status, raised.value.code) == (409, "ruled_elsewhere")
    assert "force-base" in raised.value.message
    ruled.by(None)
    ruled.foreign.look()
    assert ruled.control.set_percent(SALES, 50, version, actor="ops").percent == 50.0
    assert ruled.control.show(SALES).percent_from is None


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (101.0, "has a value that cannot be taken: percent 101.0 is outside 0 to 100"),
        (-5, "percent -5 is outside 0 to 100"),
        ("5", "answers TYPE_MISMATCH"),
        (float("nan"), "has a value that cannot be taken"),
    ],
)
def test_a_value_that_is_no_percent_changes_nothing_and_is_said(ruled: Ruled, value: object, words: str):
    ruled.by(SOURCE)
    ruled.until(5.0)
    ruled.says(value)
    ruled.until_said(words)

    assert ruled.percent == 5.0
    [notice] = ruled.heard.notices
    assert (notice.what, notice.rollout) == ("percent_source", SALES)
    assert words in notice.words
    ruled.says(6.0)
    ruled.until(6.0)
    ruled.foreign.look()
    assert ruled.control.status().warnings == ()


def test_a_provider_that_hangs_changes_nothing_and_holds_nobody(ruled: Ruled):
    ruled.by(SOURCE)
    ruled.until(5.0)
    let_go = threading.Event()
    ruled.says(let_go)
    poll = ruled.foreign._polls[SALES]  # noqa: SLF001 - its clock is moved, not waited for
    until(lambda: poll._asked_at is not None)  # noqa: SLF001 - likewise
    began_s = poll._clock()  # noqa: SLF001 - likewise
    poll._clock = lambda: began_s + 60.0  # noqa: SLF001 - likewise
    ruled.until_said("has not answered for")
    assert ruled.percent == 5.0

    ruled.by(replace(SOURCE, flag="other"))
    ruled.until(42.0)
    let_go.set()


def test_too_many_that_hang_are_not_asked_any_more(ruled: Ruled):
    ruled.by(SOURCE)
    ruled.foreign._held = 8  # noqa: SLF001 - as many as there may be
    ruled.until_said("is not asked: 8 others hang; restart the console")


def test_secrets_are_arguments_like_options(ruled: Ruled):
    made = replace(SOURCE, provider="percents_of_a_test:made", options={"region": "eu"})
    ruled.foreign.told({"TOKEN": "s3cret"}, ruled.heard)
    ruled.by(replace(made, secrets={"token": SecretRef(env="MISSING")}))
    ruled.until_said("lacks a secret: environment variable MISSING is not set")
    ruled.by(replace(made, secrets={"token": SecretRef(env="TOKEN")}))
    ruled.until(5.0)

    assert "s3cret" not in str(ruled.control.history(SALES))


def test_a_plan_that_rules_is_not_moved_by_a_flag_until_it_is_rolled_back(ruled: Ruled):
    steering = ruled.control.steering
    steering.tell(SALES, "start", ruled.control.flag(SALES).version, actor="ops")
    percent = ruled.percent
    ruled.by(replace(SOURCE, flag="other"))
    ruled.until_said("says 42 %, which is not taken while the plan rules the rollout")
    assert ruled.percent == percent

    for wish in ("resume", "advance", "restart"):
        with pytest.raises(RuledElsewhereError):
            steering.tell(SALES, wish, ruled.control.flag(SALES).version, actor="ops", reason="why not")
    steering.tell(SALES, "rollback", ruled.control.flag(SALES).version, actor="ops")
    ruled.by(SOURCE)
    ruled.until_said("says 5 %, which is not taken since the rollout was rolled back; set it to 0 once")
    ruled.says(0)
    ruled.looking(lambda: not ruled.foreign.warnings())
    ruled.says(3.0)
    ruled.until(3.0)


def test_a_console_that_may_not_write_asks_nobody(ruled: Ruled):
    ruled.by(SOURCE)
    ruled.control.follow(lambda: "another one writes", lambda: None)
    ruled.foreign.look()

    assert not ruled.foreign._polls  # noqa: SLF001 - nobody is asked
    ruled.control.follow(lambda: None, lambda: None)


def test_a_change_that_is_refused_is_said_and_tried_again(ruled: Ruled):
    ruled.by(SOURCE)
    ruled.foreign.look()
    poll = ruled.foreign._polls[SALES]  # noqa: SLF001 - its first answer is awaited
    until(lambda: poll.look().percent == 5.0)
    barred = iter([None, "another console writes"])
    ruled.control.follow(lambda: next(barred, None), lambda: None)

    ruled.foreign.look()
    assert "says 5 %, which could not be taken yet: another console writes" in ruled.foreign.warnings()[0]
    assert ruled.percent == 0.0
    ruled.until(5.0)


def test_a_rollout_that_is_not_there_has_no_source(ruled: Ruled):
    assert ruled.foreign.source("nothing") is None


@pytest.mark.anyio
async def test_it_runs_beside_the_console_and_survives_a_failure(ruled: Ruled, caplog: pytest.LogCaptureFixture):
    ruled.by(SOURCE)
    whole, ruled.foreign._troubles = ruled.foreign._troubles, None  # type: ignore[assignment]  # noqa: SLF001 - something of ours breaks
    async with ruled.running(Litestar(logging_config=None)):
        await anyio.to_thread.run_sync(until, lambda: "looking at foreign percents failed" in caplog.text)
        ruled.foreign._troubles = whole  # noqa: SLF001 - and is mended
        await anyio.to_thread.run_sync(until, lambda: ruled.percent == 5.0)
