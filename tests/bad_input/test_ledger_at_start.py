"""A ledger's file that is lost, replaced, damaged, locked or newer when `turnout serve` starts."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from string import Template

import httpx
import pytest

from rollout.stores.ledger import LEDGER_FILE
from tests.acceptance.harness import CONFIG, SIMULATED, command, simulating, until
from tests.bad_input.front import BODY
from tests.fakes.plain import PLAIN

PATIENCE_S = 30.0


class Served:
    """`turnout serve` in a folder with a configuration."""

    def __init__(self, folder: Path) -> None:
        self.state_dir = folder / "state"
        self.errors = folder / "serve.log"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TURNOUT_")}
        (self.state_dir / "addresses.json").unlink(missing_ok=True)
        with self.errors.open("wb") as log:
            self.process = subprocess.Popen(
                command("serve", "--state-dir", str(self.state_dir), "--workers", "1"),
                cwd=folder,
                env=kept,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    def said(self) -> str:
        return self.errors.read_text()

    def gateway(self) -> str:
        return json.loads((self.state_dir / "addresses.json").read_text())["gateway"]

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.said()
        try:
            return httpx.get(f"{self.gateway()}/readyz", trust_env=False, verify=PLAIN, timeout=1).status_code == 200
        except (OSError, httpx.HTTPError):
            return False

    def list_rollouts(self) -> str:
        """Return what the command says that asks the console."""
        asked = command("rollout", "list", "--state-dir", str(self.state_dir))
        return subprocess.run(asked, capture_output=True, text=True, check=False, timeout=PATIENCE_S).stderr

    def ask(self) -> httpx.Response:
        keys = dict(line.split()[:2] for line in (self.state_dir / "first-keys").read_text().splitlines())
        headers = {"authorization": f"Bearer {keys['application']}"}
        url = f"{self.gateway()}/v1/chat/completions"
        return httpx.post(
            url, json={**BODY, "user": "ann"}, headers=headers, trust_env=False, verify=PLAIN, timeout=PATIENCE_S
        )


@contextmanager
def serving(folder: Path) -> Iterator[Served]:
    served = Served(folder)
    try:
        until(served.is_ready, "the gateway is ready")
        yield served
    finally:
        served.process.terminate()
        served.process.wait(PATIENCE_S)
    assert served.process.returncode == 0


def refused(folder: Path) -> str:
    """Start, expect that nothing starts, and return what is said."""
    served = Served(folder)
    assert served.process.wait(PATIENCE_S) == 1
    assert not (served.state_dir / "addresses.json").exists()
    return served.said()


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Serve once, so that there are a ledger, keys and a last good snapshot; the models stay."""
    folder = tmp_path_factory.mktemp("once")
    with ExitStack() as running:
        addresses = {
            name: running.enter_context(simulating(folder / f"{name}.toml", text)).base_url
            for name, text in SIMULATED.items()
        }
        (folder / "turnout.toml").write_text(Template(CONFIG).substitute(addresses))
        with serving(folder) as served:
            until((served.state_dir / "run/worker-0.snapshot").exists, "the last good snapshot is kept")
            assert served.ask().status_code == 200
        yield folder


@pytest.fixture
def used(once: Path, tmp_path: Path) -> Path:
    """Return a copy of a folder that is in use: files, no sockets."""
    return shutil.copytree(once, tmp_path / "used", ignore=shutil.ignore_patterns("*.sock"))


Spoil = Callable[[Path, ExitStack], None]


def replace_by_text(ledger: Path, _: ExitStack) -> None:
    ledger.write_text("nothing of ours\n" * 1000)


def damage(ledger: Path, _: ExitStack) -> None:
    with ledger.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xde\xad" * ((ledger.stat().st_size - 4096) // 2))


def truncate(ledger: Path, _: ExitStack) -> None:
    with ledger.open("r+b") as file:
        file.truncate(5000)


def empty(ledger: Path, _: ExitStack) -> None:
    ledger.write_bytes(b"")


def make_newer(ledger: Path, _: ExitStack) -> None:
    with closing(sqlite3.connect(ledger)) as other:
        other.execute("PRAGMA user_version = 99")


def lock(ledger: Path, held: ExitStack) -> None:
    holder = held.enter_context(closing(sqlite3.connect(ledger, isolation_level=None)))
    holder.execute("PRAGMA journal_mode = DELETE")
    holder.execute("BEGIN EXCLUSIVE")


SPOILED: list[tuple[Spoil, str]] = [
    (replace_by_text, "is not a Turnout ledger; move it away and start again"),
    (empty, "is not a Turnout ledger; move it away and start again"),
    (damage, "is damaged; move it away and start again"),
    (truncate, "is damaged; move it away and start again"),
    (make_newer, "written by a newer Turnout; this one reads 1: install the newer version again"),
    (lock, "is locked by another process; close whatever has it open, then repeat"),
]


@pytest.mark.parametrize(("spoil", "words"), SPOILED)
def test_an_unusable_ledger_is_said_and_the_last_good_snapshot_serves(used: Path, spoil: Spoil, words: str):
    with ExitStack() as held:
        spoil(used / "state" / LEDGER_FILE, held)
        with serving(used) as served:
            assert served.ask().status_code == 200
            until(lambda: words in served.list_rollouts(), "the command says why")
            first = served.said().splitlines()[:2]

    assert first[0].startswith(f"turnout: ledger {used / 'state' / LEDGER_FILE} ")
    assert words in first[0]
    assert first[1] == "turnout: serving by the last good snapshot"


@pytest.mark.parametrize(("spoil", "words"), SPOILED)
def test_an_unusable_ledger_without_a_last_good_snapshot_keeps_everything_from_starting(
    used: Path, spoil: Spoil, words: str
):
    shutil.rmtree(used / "state/run")
    with ExitStack() as held:
        spoil(used / "state" / LEDGER_FILE, held)
        said = refused(used)

    (line,) = said.splitlines()
    assert line.startswith(f"turnout: ledger {used / 'state' / LEDGER_FILE} ")
    assert words in line


def test_a_missing_ledger_is_made_anew_with_its_keys(used: Path):
    for path in (used / "state").glob(f"{LEDGER_FILE}*"):
        path.unlink()

    with serving(used) as served:
        assert served.ask().status_code == 200
        assert (served.state_dir / LEDGER_FILE).exists()


def test_a_missing_ledger_is_not_rebuilt_under_another_secret(used: Path):
    for path in (used / "state").glob(f"{LEDGER_FILE}*"):
        path.unlink()
    (used / "state/secret").unlink()

    (line,) = refused(used).splitlines()

    assert f"{used / 'state/secret'} is missing" in line
    assert "restore it" in line


def test_a_ledger_of_another_installation_is_refused_without_its_secret(used: Path):
    secret = used / "state/secret"
    secret.write_text("f" * 64)
    for path in (used / "state/run").glob("*.snapshot"):
        path.unlink()

    (line,) = refused(used).splitlines()

    assert f"ledger {used / 'state' / LEDGER_FILE} was made with another master secret" in line
    assert "bring its own secret" in line
