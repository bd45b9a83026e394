"""The console's process, run as the supervisor runs it: a socket to inherit, a state directory, a file to watch."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.console.installation import open_installation
from gateway.console.process import ConfigWatch, Uptake
from gateway.errors import ShedError
from gateway.settings.load import load
from gateway.settings.schema import Configuration
from rollout.stores.ledger import LEDGER_FILE
from tests.fakes.configuration import CONFIG
from tests.fakes.plain import PLAIN

PATIENCE_S = 20.0
SECOND = '\n[rollouts.second]\nbase = "gpt"\ncandidate = "tuned"\n'
CONTRADICTORY = CONFIG.replace("[models.tuned]", "[models.other]")


class Console:
    """A console in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "turnout.toml"
        self.log_file = folder / "console.log"
        listener = socket.create_server(("127.0.0.1", 0))
        fd = listener.fileno()
        words = ["--fd", str(fd), "--state-dir", str(folder / "state"), "--config", str(self.config)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TURNOUT_")}
        with self.log_file.open("wb") as log, listener:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gateway.console", *words], pass_fds=[fd], stderr=log, env=environment
            )
            self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log_file.read_text().splitlines()]

    def has_said(self, event: str) -> bool:
        return any(line["event"] == event for line in self.events())

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.log_file.read_text()
        try:
            return httpx.get(f"{self.url}/healthz", trust_env=False, verify=PLAIN, timeout=1).status_code == 200
        except httpx.HTTPError:
            return False

    def ask(self, path: str, key: str) -> Any:
        headers = {"authorization": f"Bearer {key}"}
        return httpx.get(f"{self.url}/api/v1/{path}", headers=headers, trust_env=False, verify=PLAIN, timeout=10).json()


@pytest.fixture
def key(tmp_path: Path) -> str:
    """Make an installation, and return its admin key."""
    (tmp_path / "turnout.toml").write_text(CONFIG)
    with closing(open_installation(tmp_path / "state", load(tmp_path / "turnout.toml"), {})) as one:
        one.control.start()
        keys = one.control.keys.first_keys()
    assert keys is not None
    return keys.admin


@pytest.fixture
def start(tmp_path: Path, key: str) -> Iterator[Callable[[], Console]]:
    started: list[Console] = []

    def started_console() -> Console:
        started.append(Console(tmp_path))
        return started[-1]

    yield started_console
    for one in started:
        one.process.terminate()
        try:
            one.process.wait(PATIENCE_S)
        finally:
            one.process.kill()
            one.process.wait()


def until(is_so: Callable[[], bool]) -> None:
    given_up_at = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < given_up_at
        time.sleep(0.02)


def ready(start: Callable[[], Console]) -> Console:
    console = start()
    until(console.is_ready)
    return console


def rollouts(console: Console, key: str) -> list[str]:
    return [one["name"] for one in console.ask("rollouts", key)]


def test_it_serves_what_the_file_and_the_ledger_say(start: Callable[[], Console], key: str):
    console = ready(start)

    assert rollouts(console, key) == ["sales-companion"]
    assert console.ask("status", key)["read_only"] is False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_lets_the_next_writer_in(
    start: Callable[[], Console], key: str, tmp_path: Path, number: signal.Signals
):
    console = ready(start)
    console.process.send_signal(number)

    assert console.process.wait(PATIENCE_S) == (0 if number == signal.SIGTERM else -signal.SIGINT)
    with closing(open_installation(tmp_path / "state", load(console.config), {})) as one:
        assert not one.ledger.read_only


def test_a_changed_file_is_taken_up(start: Callable[[], Console], key: str):
    console = ready(start)
    console.config.write_text(CONFIG + SECOND)
    until(lambda: console.has_said("configuration taken up"))

    assert rollouts(console, key) == ["sales-companion", "second"]


@pytest.mark.parametrize("bad", [CONTRADICTORY, "[upstreams", "unknown = 1"])
def test_a_bad_file_is_said_and_the_last_good_one_stays(start: Callable[[], Console], key: str, bad: str):
    console = ready(start)
    console.config.write_text(bad)
    until(lambda: console.has_said("configuration refused; the last good one stays"))
    stayed = rollouts(console, key)
    until(lambda: console.ask("rollouts", key)[0]["warnings"])
    (warning,) = console.ask("rollouts", key)[0]["warnings"]
    console.config.write_text(CONFIG + SECOND)
    until(lambda: console.has_said("configuration taken up"))

    assert "the configuration file was refused and the last good one stays in force: " in warning
    assert console.ask("status", key)["warnings"] == []
    assert stayed == ["sales-companion"]
    assert rollouts(console, key) == ["sales-companion", "second"]


def test_a_file_that_is_taken_away_is_said_once_and_taken_up_when_it_is_back(start: Callable[[], Console], key: str):
    console = ready(start)
    console.config.rename(console.config.with_suffix(".away"))
    until(lambda: console.has_said("configuration refused; the last good one stays"))
    time.sleep(1.2)
    console.config.write_text(CONFIG + SECOND)
    until(lambda: console.has_said("configuration taken up"))

    refusals = [line["reason"] for line in console.events() if "refused" in line["event"]]
    assert len(refusals) == 1
    assert "no such file" in refusals[0]


def test_a_change_that_meets_a_locked_ledger_is_tried_again(start: Callable[[], Console], key: str, tmp_path: Path):
    console = ready(start)
    with closing(sqlite3.connect(tmp_path / "state" / LEDGER_FILE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        console.config.write_text(CONFIG + SECOND)
        until(lambda: console.has_said("configuration not taken up yet; it is tried again"))
        other.execute("ROLLBACK")
    until(lambda: console.has_said("configuration taken up"))

    assert rollouts(console, key) == ["sales-companion", "second"]


def test_a_second_console_reads_only_and_leaves_changes_to_the_first(start: Callable[[], Console], key: str):
    first, second = ready(start), None
    log = first.log_file.rename(first.log_file.with_suffix(".first"))
    first.log_file = log
    second = ready(start)
    second.config.write_text(CONFIG + SECOND)
    until(lambda: first.has_said("configuration taken up"))
    time.sleep(1.0)

    assert second.ask("status", key)["read_only"] is True
    assert "second" in rollouts(second, key)
    assert [line["event"] for line in second.events()] == [
        "another console is this ledger's writer; this one is read-only"
    ]


@pytest.mark.parametrize("bad", [CONTRADICTORY, "[upstreams"])
def test_a_bad_file_at_the_first_start_is_critical_and_changes_nothing(
    start: Callable[[], Console], key: str, tmp_path: Path, bad: str
):
    (tmp_path / "turnout.toml").write_text(bad)
    console = start()

    assert console.process.wait(PATIENCE_S) == 1
    refused, critical = console.events()[0], console.events()[-1]
    assert refused["event"] == "configuration refused; the last good one stays"
    assert (critical["level"], critical["event"]) == ("critical", "console cannot start")
    (tmp_path / "turnout.toml").write_text(CONFIG)
    with closing(open_installation(tmp_path / "state", load(tmp_path / "turnout.toml"), {})) as one:
        assert one.ledger.state().version == 2


def test_a_bad_file_at_a_restart_leaves_operators_what_was_published(
    start: Callable[[], Console], key: str, tmp_path: Path
):
    config = tmp_path / "turnout.toml"
    with closing(open_installation(tmp_path / "state", load(config), {})) as one:
        sealed = one.ledger.sealed()
    assert sealed is not None
    (tmp_path / "state" / "run").mkdir(exist_ok=True)
    (tmp_path / "state" / "run" / "worker-0.snapshot").write_bytes(sealed)
    config.write_text(CONTRADICTORY)
    console = ready(start)
    published = rollouts(console, key)
    console.config.write_text(CONFIG + SECOND)
    until(lambda: console.has_said("configuration taken up"))

    assert published == ["sales-companion"]
    assert console.has_said("configuration refused; the last good one stays")
    assert rollouts(console, key) == ["sales-companion", "second"]


def test_a_damaged_ledger_is_one_critical_line(start: Callable[[], Console], key: str, tmp_path: Path):
    (tmp_path / "state" / LEDGER_FILE).write_bytes(b"not a ledger" * 1000)
    console = start()
    until(lambda: any(line["level"] == "critical" for line in console.events()))
    time.sleep(2.5)

    console.process.terminate()

    assert console.process.wait(PATIENCE_S) == 0
    (critical,) = [line for line in console.events() if line["level"] == "critical"]
    assert "is not a Turnout ledger" in critical["reason"]


def test_the_first_look_finds_the_file_and_the_next_finds_no_change(tmp_path: Path):
    path = tmp_path / "turnout.toml"
    path.write_text(CONFIG)
    watch = ConfigWatch(path)
    first = watch.changed()

    assert first is not None
    assert list(first.rollouts) == ["sales-companion"]
    assert watch.changed() is None


class Taking:
    """Takes definitions up, or refuses them as long as there is a `trouble`."""

    def __init__(self) -> None:
        self.trouble: str | None = None
        self.taken: list[list[str]] = []

    def __call__(self, definitions: Configuration) -> None:
        if self.trouble is not None:
            raise ShedError(self.trouble)
        self.taken.append(list(definitions.rollouts))


@pytest.fixture
def taking() -> Taking:
    return Taking()


@pytest.fixture
def uptake(tmp_path: Path, taking: Taking) -> Uptake:
    path = tmp_path / "turnout.toml"
    path.write_text(CONFIG)
    uptake = Uptake(ConfigWatch(path), taking)
    uptake.look()
    return uptake


def test_a_change_is_taken_up_once(uptake: Uptake, taking: Taking, tmp_path: Path):
    (tmp_path / "turnout.toml").write_text(CONFIG + SECOND)
    for _ in range(3):
        uptake.look()

    assert taking.taken == [["sales-companion"], ["sales-companion", "second"]]


def test_what_cannot_be_taken_up_is_tried_again_and_said_once_for_every_change(
    uptake: Uptake, taking: Taking, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    warned = '\n[applications.web]\nuser_header = "x-user-id"\nuser_sources = ["user"]\n'
    (tmp_path / "turnout.toml").write_text(CONFIG + SECOND + warned)
    with caplog.at_level(logging.INFO):
        for trouble in ["locked", "locked", "locked", "full", "full", None, None]:
            taking.trouble = trouble
            uptake.look()

    assert taking.taken[1:] == [["sales-companion", "second"]]
    assert [(record.message, getattr(record, "reason", None)) for record in caplog.records[1:]] == [
        ("configuration not taken up yet; it is tried again", "locked"),
        ("configuration not taken up yet; it is tried again", "full"),
        ("configuration taken up", None),
    ]
    assert caplog.records[0].message == "configuration"


def test_a_newer_file_takes_the_place_of_what_could_not_be_taken_up(uptake: Uptake, taking: Taking, tmp_path: Path):
    taking.trouble = "locked"
    (tmp_path / "turnout.toml").write_text(CONFIG + SECOND)
    uptake.look()
    (tmp_path / "turnout.toml").write_text(CONFIG + SECOND.replace("second", "third"))
    uptake.look()
    taking.trouble = None
    uptake.look()

    assert taking.taken[1:] == [["sales-companion", "third"]]


class Breaking(Taking):
    """Fails at what nobody foresaw."""

    def __call__(self, definitions: Configuration) -> None:
        if self.trouble is not None:
            "\ud800".encode()
        super().__call__(definitions)


def test_what_nobody_foresaw_is_said_and_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "turnout.toml").write_text(CONFIG)
    taking = Breaking()
    uptake = Uptake(ConfigWatch(tmp_path / "turnout.toml"), taking)
    taking.trouble = "yes"
    uptake.look()
    uptake.look()
    (refused,) = uptake.refused()
    taking.trouble = None
    uptake.look()

    assert refused.startswith("it failed with UnicodeEncodeError, at a place that the console's log names")
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == [
        "configuration not taken up yet; it is tried again"
    ]
    assert caplog.records[0].exc_info
    assert uptake.refused() == ()
    assert taking.taken == [["sales-companion"]]


class Unstable(type(Path())):
    """A path whose file cannot be opened, for a reason that no reader of files expects."""

    def open(self, *_: Any, **__: Any) -> Any:
        raise ZeroDivisionError


def test_a_judgement_that_fails_is_a_refusal_like_any_other(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "turnout.toml").write_text(CONFIG)
    watch = ConfigWatch(Unstable(tmp_path / "turnout.toml"))

    assert watch.changed() is None
    assert watch.changed() is None
    assert [problem.message.split(",")[0] for problem in watch.problems] == ["it failed with ZeroDivisionError"]
    assert [record.message for record in caplog.records] == ["configuration refused; the last good one stays"]


@pytest.mark.parametrize(
    "prices", ['{"m": {"input_cost_per_token": 1%s}}' % ("0" * 400), '{"\\ud800": {"input_cost_per_token": 1e-7}}']
)
def test_a_file_of_prices_with_what_cannot_be_written_is_refused_and_the_mended_one_taken(tmp_path: Path, prices: str):
    (tmp_path / "turnout.toml").write_text(CONFIG + '\n[prices]\nfile = "prices.json"\n')
    (tmp_path / "prices.json").write_text(prices)
    watch = ConfigWatch(tmp_path / "turnout.toml")
    refused = watch.changed()
    problems = [str(problem) for problem in watch.problems]
    (tmp_path / "prices.json").write_text('{"m": {"input_cost_per_token": 1e-7, "output_cost_per_token": 1e-7}}')

    assert refused is None
    assert [problem.startswith('prices.file: "prices.json": "') for problem in problems] == [True]
    assert watch.changed() is not None


def test_a_path_that_is_none_is_refused_once(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "turnout.toml").write_text(CONFIG + '\n[prices]\nfile = "a\\u0000b"\n')
    watch = ConfigWatch(tmp_path / "turnout.toml")

    assert watch.changed() is None
    assert watch.changed() is None
    assert [record.message for record in caplog.records] == ["configuration refused; the last good one stays"]


def test_warnings_of_a_changed_file_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    path = tmp_path / "turnout.toml"
    path.write_text(CONFIG)
    watch = ConfigWatch(path)
    path.write_text(CONFIG + '\n[applications.web]\nuser_header = "x-user-id"\nuser_sources = ["user"]\n')
    with caplog.at_level(logging.WARNING):
        assert watch.changed() is not None

    assert {vars(record)["path"] for record in caplog.records} == {str(path)}


def test_a_file_that_contradicts_itself_is_refused_with_its_problems(tmp_path: Path):
    path = tmp_path / "turnout.toml"
    path.write_text(CONTRADICTORY)
    watch = ConfigWatch(path)

    assert watch.changed() is None
    assert watch.problems


def test_a_changed_file_of_prices_is_found_and_a_wrong_one_leaves_the_last_good_prices(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    path, prices = tmp_path / "turnout.toml", tmp_path / "prices.json"
    path.write_text(CONFIG + '\n[prices]\nfile = "prices.json"\n')
    prices.write_text('{"x": {"input_cost_per_token": 2.5}}')
    watch = ConfigWatch(path)
    wrong_at_first = watch.changed()
    prices.write_text('{"x": {"input_cost_per_token": 2.5e-6, "output_cost_per_token": 1e-5}}')
    mended = watch.changed()
    unchanged = watch.changed()
    caplog.clear()
    prices.write_text('{"x": {"input_cost_per_token": -2.5e-6, "output_cost_per_token": 1e-5}}')

    assert wrong_at_first is None
    assert mended is not None
    assert unchanged is None
    assert watch.changed() is None
    assert [str(problem) for problem in watch.problems] == [
        'prices.file: "prices.json": "x".input_cost_per_token: -2.5e-06 is below 0; write a price of 0 or more, in USD'
    ]
    assert [record.message for record in caplog.records] == ["configuration refused; the last good one stays"]
