"""`turnout serve`, run as a person runs it, and what it prints."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.cli import parser
from tests.fakes.configuration import CONFIG

PATIENCE_S = 40.0
FREE_PORTS = ("--port", "0", "--console-port", "0", "--metrics-port", "0", "--workers", "1")


class Serving:
    """`turnout serve` in a process of its own, with its output in files."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.folder, self.state_dir = folder, folder / "state"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TURNOUT_")}
        with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gateway", "serve", "--state-dir", str(self.state_dir), *words],
                cwd=folder,
                env={**environment, "PYTHONPATH": str(Path(__file__).parents[3])},
                stdout=out,
                stderr=err,
            )

    def out(self) -> str:
        return (self.folder / "out").read_text()

    def err(self) -> str:
        return (self.folder / "err").read_text()

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.err()
        return "Turnout is ready." in self.out()

    def addresses(self) -> dict[str, Any]:
        return json.loads((self.state_dir / "addresses.json").read_text())

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Serving]]:
    (tmp_path / "turnout.toml").write_text(CONFIG)
    started: list[Serving] = []

    def start(*words: str) -> Serving:
        started.append(Serving(tmp_path, *words))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.terminate()
            try:
                one.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                one.process.kill()
                one.process.wait()


def until(is_so: Callable[[], bool]) -> None:
    given_up_at = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < given_up_at
        time.sleep(0.02)


def ready(serve: Callable[..., Serving], *words: str) -> Serving:
    one = serve(*FREE_PORTS, *words)
    until(one.is_ready)
    return one


def test_it_says_where_everything_is_once_it_answers_and_ends_cleanly(serve: Callable[..., Serving]):
    one = ready(serve)
    addresses = one.addresses()
    answers = [
        httpx.get(f"{addresses['gateway']}/readyz", trust_env=False).status_code,
        httpx.get(f"{addresses['console']}/healthz", trust_env=False).status_code,
    ]
    status = one.end()

    assert answers == [200, 200]
    assert status == 0
    assert f"gateway   {addresses['gateway']}/v1 " in one.out()
    assert f"console   {addresses['console']}/api/v1 " in one.out()
    assert f"keys      {one.state_dir / 'first-keys'}\n" in one.out()
    assert "Try it" in one.out()
    assert [line for line in one.err().splitlines() if json.loads(line)["level"] in {"error", "critical"}] == []


@pytest.mark.slow
def test_the_demonstrations_command_line_works_as_printed(serve: Callable[..., Serving]):
    one = ready(serve, "--demo")
    printed = one.out().split("Try it:\n")[1].split("Then give")[0]
    command = printed.strip().replace("curl -i", "curl -sS -i --noproxy '*'")
    answer = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True).stdout

    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    changes = [line.strip() for line in one.out().splitlines() if " rollout " in line and line.startswith("  ")]
    changed = [
        subprocess.run(["/bin/sh", "-c", change], cwd=one.folder, env=environment, check=False, capture_output=True)
        for change in changes
        if "`" not in change
    ]

    assert answer.startswith("HTTP/1.1 200 OK")
    assert "x-turnout-arm: base" in answer.lower()
    assert [done.returncode for done in changed] == [0, 0]
    assert one.end(signal.SIGINT) == 0


@pytest.mark.slow
def test_a_damaged_ledger_is_said_and_the_last_good_snapshot_serves(serve: Callable[..., Serving]):
    first = ready(serve)
    until(lambda: any((first.state_dir / "run").glob("*.snapshot")))
    assert first.end() == 0
    (first.state_dir / "ledger.sqlite").write_bytes(b"not a ledger" * 1000)

    second = ready(serve)

    assert "is not a Turnout ledger" in second.err()
    assert "turnout: serving by the last good snapshot\n" in second.err()
    assert httpx.get(f"{second.addresses()['gateway']}/readyz", trust_env=False).status_code == 200
    assert second.end() == 0


def test_warnings_of_the_file_are_printed_with_its_name(serve: Callable[..., Serving], tmp_path: Path):
    (tmp_path / "turnout.toml").write_text(
        CONFIG + '\n[applications.web]\nuser_header = "x-user-id"\nuser_sources = ["user"]\n'
    )
    one = serve(*FREE_PORTS)
    until(lambda: "turnout.toml: warning: applications.web" in one.err())

    assert one.end() == 0


def test_whatever_keeps_it_from_starting_is_one_sentence_and_exit_code_1(serve: Callable[..., Serving], tmp_path: Path):
    for words in (["--config", "missing.toml"], ["--state-dir", "turnout.toml"], ["--host", "192.0.2.1"]):
        one = serve(*FREE_PORTS, *words)

        assert one.process.wait(PATIENCE_S) == 1
        assert one.err().startswith("turnout: ")
        assert one.err().count("\n") == 1
        assert one.out() == ""


@pytest.mark.parametrize(
    "words",
    [
        *(["--port", text] for text in ("-1", "65536", "8080.0", "eighty", "", "٣", "9" * 4400, "00000099999")),
        ["--console-port", "70000"],
        ["--workers", "0"],
        ["--workers", "257"],
    ],
)
def test_a_number_out_of_range_is_a_usage_error(words: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as end:
        parser().parse_args(["serve", *words])

    assert end.value.code == 2
    assert "write a whole number from " in capsys.readouterr().err


def test_numbers_at_the_ends_of_their_range_are_taken():
    arguments = parser().parse_args(["serve", "--port", "0", "--console-port", "65535", "--workers", "256"])

    assert (arguments.port, arguments.console_port, arguments.workers) == (0, 65535, 256)


def test_the_file_decides_what_the_command_line_leaves_open(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TURNOUT_CONFIG", "/etc/turnout.toml")
    monkeypatch.setenv("TURNOUT_STATE_DIR", "/var/lib/turnout")
    arguments = parser().parse_args(["serve"])

    assert (arguments.host, arguments.port, arguments.console_port, arguments.workers) == (None, None, None, None)
    assert (arguments.config, arguments.state_dir) == (Path("/etc/turnout.toml"), Path("/var/lib/turnout"))
