"""A fleet for a test: one console, gateway hosts with state directories of their own, one lake, one real Redis."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any

import duckdb

from analytics.lake.objects import ObjectStore
from analytics.lake.verify import NoLakeError, Verification, verify
from tests.acceptance.harness import (
    APPLICATION,
    MODELS,
    PATIENCE_S,
    SECRET,
    SIMULATED,
    SPLIT,
    Installation,
    SimulatedServer,
    assert_nothing_broke,
    command,
    ended,
    is_answered,
    simulating,
    until,
)
from tests.fakes.redis_server import RedisServer

PROCESS = """[server]
port = 0
console_port = 0
metrics_port = 0
workers = 2

[lake]
seal_every_s = 0.5
$lake

[redis]
url = "$redis"
"""


@dataclass(kw_only=True)
class Fleet:
    """A running fleet. Each host is an `Installation`; that of the console answers for all.

    `redis_url` is where hosts look for `redis`; `process` is what every host has in its file;
    `percents` has the percent of every version that a change has made.
    """

    folder: Path
    redis: RedisServer
    redis_url: str
    lake: str
    environment: Mapping[str, str]
    running: ExitStack
    definitions: str
    simulated: dict[str, SimulatedServer]
    hosts: list[Installation] = field(default_factory=list[Installation])
    keys: dict[str, str] = field(default_factory=dict[str, str])
    percents: dict[str, float] = field(default_factory=dict[str, float])
    process: str = PROCESS

    @property
    def console(self) -> Installation:
        """Return the console's host."""
        return next(one for one in self.hosts if one.console)

    @property
    def gateways(self) -> list[Installation]:
        """Return the gateways' hosts."""
        return [one for one in self.hosts if one.gateway]

    def add(self, name: str, role: str, *, is_waited_for: bool = True) -> Installation:
        """Start a host, and wait until it is ready."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        is_console = role == "console"
        definitions = self.definitions if is_console else ""
        places = {server: one.base_url for server, one in self.simulated.items()}
        text = Template(self.process + definitions).substitute(places, lake=self.lake, redis=self.redis_url)
        (folder / "turnout.toml").write_text(text)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TURNOUT_", "OPENAI_"))}
        known = {**kept, "TURNOUT_SECRET": SECRET, "TURNOUT_STATE_DIR": str(folder / "state"), **self.environment}
        (folder / "state/addresses.json").unlink(missing_ok=True)
        with (folder / "serve.log").open("ab") as log:
            words = command("serve", "--role", role)
            process = subprocess.Popen(words, cwd=folder, env=known, stdout=subprocess.DEVNULL, stderr=log)
        self.running.callback(ended, process)
        one = Installation(
            folder=folder,
            process=process,
            simulated=self.simulated,
            environment=known,
            gateway="",
            console="",
            keys={},
            kills=Counter(),
        )
        self.hosts.append(one)
        addresses = folder / "state/addresses.json"
        until(lambda: addresses.exists() or process.poll() is not None, f"{name} listens", within_s=3 * PATIENCE_S)
        assert process.poll() is None, (folder / "serve.log").read_text()
        found = json.loads(addresses.read_text())
        one.gateway, one.console = found.get("gateway", ""), found.get("console", "")
        if is_waited_for:
            self.wait_until_ready(one)
        if (kept := folder / "state/first-keys").exists():
            self.keys |= dict(line.split()[:2] for line in kept.read_text().splitlines())
        one.keys = self.keys
        return one

    def wait_until_ready(self, one: Installation) -> float:
        """Wait until a host answers; return how long it took (s)."""
        asked = f"{one.gateway}/readyz" if one.gateway else f"{one.console}/healthz"
        return until(lambda: is_answered(asked), f"{one.folder.name} is ready: {one.folder / 'serve.log'}")

    def end(self, *hosts: Installation) -> None:
        """End hosts, all at once, which must have been in order."""
        for one in hosts:
            self.hosts.remove(one)
            one.process.terminate()
        for one in hosts:
            self._ended(one)

    def lose(self, one: Installation) -> None:
        """End a host at once, by SIGKILL, as a machine ends; what it had started ends with it."""
        self.hosts.remove(one)
        one.process.kill()
        one.process.wait()

    def _ended(self, one: Installation) -> None:
        assert one.process.wait(PATIENCE_S) == 0
        assert_nothing_broke(one)

    def versions(self) -> set[str]:
        """Return the versions by which the workers of all gateways decide."""
        return {version for one in self.gateways for version in one.versions()}

    def put_percent(self, percent: float) -> str:
        """Move the percent at the console; return the version of the snapshot that says so."""
        console = self.console
        body = {"percent": percent, "version": console.show()["version"]}
        view = console.ask("PUT", "rollouts/sales-companion/percent", body).raise_for_status().json()
        self.percents[view["snapshot"]] = percent
        return view["snapshot"]

    def wait_for(self, version: str) -> float:
        """Wait until every worker decides by a version; return how long it took (s)."""
        return until(lambda: self.versions() == {version}, f"all workers decide by {version}", pause_s=0.002)

    def settle(self, lake: Path | ObjectStore, records: int) -> Verification:
        """Wait until what every gateway has recorded is in the lake, so much at least; return the count."""
        seen: list[Verification] = []

        def is_over() -> bool:
            try:
                seen[:] = [verify(lake, one.state_dir / "journal") for one in self.gateways]
            except NoLakeError:
                return False
            return not any(one.waiting or one.open or one.records < records for one in seen)

        until(is_over, "everything is in the lake", within_s=4 * PATIENCE_S, pause_s=0.2)
        return seen[0]

    def rows(self) -> list[dict[str, Any]]:
        """Return everything recorded so far, as soon as it is in the directory that is the lake."""
        lake = self.folder / "lake"
        self.settle(lake, 1)
        with duckdb.connect() as connection:
            answer = connection.read_parquet(str(lake / "incoming/*.parquet"))
            return [dict(zip(answer.columns, row, strict=True)) for row in answer.fetchall()]


@contextmanager
def fleet(
    folder: Path,
    redis: RedisServer,
    *,
    redis_url: str | None = None,
    lake: str | None = None,
    environment: Mapping[str, str] | None = None,
    definitions: str = MODELS + SPLIT + APPLICATION,
    simulated: Mapping[str, str] = SIMULATED,
) -> Iterator[Fleet]:
    """Run an empty fleet, with the models behind it; hosts are added by the test, and end with the block.

    `lake` are lines of `[lake]` in the place of a directory that all share; `definitions` are the console's alone.
    """
    with ExitStack() as running:

        def simulate(name: str) -> SimulatedServer:
            return running.enter_context(simulating(folder / f"{name}.toml", simulated[name]))

        with ThreadPoolExecutor() as starting:
            servers = dict(zip(simulated, starting.map(simulate, simulated), strict=True))
        one = Fleet(
            folder=folder,
            redis=redis,
            redis_url=redis_url or redis.url,
            lake=lake or f'url = "{folder / "lake"}"',
            environment=environment or {},
            running=running,
            definitions=definitions,
            simulated=servers,
        )
        yield one
        one.end(*one.hosts)
