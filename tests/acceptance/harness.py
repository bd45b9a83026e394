"""A real installation for a test: simulated models and `turnout serve` as processes of their own, nothing replaced.

Whoever leaves the block has proved that no process died unasked, that none logged a traceback, and that all ended when
they were told to.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any

import duckdb
import httpx
import pytest

from analytics.journal import status
from analytics.lake.verify import Verification, verify
from tests.fakes.plain import PLAIN

ROOT = Path(__file__).parent.parent.parent
BASE = "gpt-4o-mini"
CANDIDATE = "ft:gpt-4o-mini:acme:sales-v2:abc123"
ROLLOUT = "sales-companion"
SECRET = "acceptance-5f0c2d9be8417a36c1d2-fixed-secret"
"""The same salts and buckets in every run, so that what is said of shares and chance does not depend on chance."""
PATIENCE_S = 30.0

BEHAVIOUR = """ttft_ms = 1
ttft_sigma = 0
ms_per_token = 0
output_tokens = 24
tokens_per_chunk = 4
"""
SIMULATED = {"base": f'[models."{BASE}"]\n{BEHAVIOUR}', "tuned": f'[models."{CANDIDATE}"]\n{BEHAVIOUR}'}
SERVER = """[server]
port = 0
console_port = 0
metrics_port = 0
workers = 2

[lake]
seal_every_s = 0.2
"""
MODELS = f"""
[upstreams.base]
base_url = "$base"

[upstreams.tuned]
base_url = "$tuned"

[models."{BASE}"]
upstream = "base"
price = {{ input = 0.15, cached_input = 0.075, output = 0.60 }}

[models."{CANDIDATE}"]
upstream = "tuned"
price = {{ input = 0.30, cached_input = 0.15, output = 1.20 }}
"""
SPLIT = f"""
[rollouts.{ROLLOUT}]
also_for = ["{BASE}"]
base = "{BASE}"
candidate = "{CANDIDATE}"
"""
APPLICATION = """
[applications.default]
user_header = "x-user-id"
expose = ["rollout", "model", "arm", "bucket"]
"""
CONFIG = SERVER + MODELS + SPLIT + APPLICATION


@dataclass(frozen=True, kw_only=True)
class SimulatedServer:
    """One simulated model server; `base_url` is what the configuration calls its upstream."""

    base_url: str

    def counts(self) -> dict[str, Any]:
        """Return what it received and gave, by model."""
        return self._get("counts")["models"]

    def cancelled(self) -> list[dict[str, Any]]:
        """Return the callers that went away."""
        return self._get("cancelled")

    def reset(self) -> None:
        """Count from 0 again."""
        httpx.post(self._url("reset"), trust_env=False, verify=PLAIN).raise_for_status()

    def _get(self, name: str) -> Any:
        asked = httpx.get(self._url(name), trust_env=False, verify=PLAIN, timeout=PATIENCE_S)
        return asked.raise_for_status().json()

    def _url(self, name: str) -> str:
        return f"{self.base_url.removesuffix('/v1')}/simulate/{name}"


@dataclass(kw_only=True)
class Installation:
    """A running installation; addresses are as `addresses.json` has them, `kills` counts what a test killed.

    A test that lets another `turnout serve` take over puts it in the place of `process`.
    """

    folder: Path
    process: subprocess.Popen[bytes]
    simulated: dict[str, SimulatedServer]
    environment: dict[str, str]
    gateway: str
    console: str
    keys: dict[str, str]
    kills: Counter[str] = field(default_factory=Counter[str])

    @property
    def state_dir(self) -> Path:
        """Return the state directory."""
        return self.folder / "state"

    @property
    def base_url(self) -> str:
        """Return what applications set as their `base_url`."""
        return f"{self.gateway}/v1"

    @property
    def config(self) -> Path:
        """Return the configuration file."""
        return self.folder / "turnout.toml"

    def ask(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> httpx.Response:
        """Ask the console."""
        headers = {"authorization": f"Bearer {key or self.keys['admin']}"}
        url = f"{self.console}/api/v1/{path}"
        sent = {"json": body, "headers": headers, "timeout": PATIENCE_S}
        return httpx.request(method, url, **sent, trust_env=False, verify=PLAIN)

    def show(self, rollout: str = ROLLOUT) -> dict[str, Any]:
        """Return a rollout as ops see it."""
        return self.ask("GET", f"rollouts/{rollout}").raise_for_status().json()

    def set_percent(self, percent: float, rollout: str = ROLLOUT) -> dict[str, Any]:
        """Move a percent, and return when all workers decide by it."""
        body = {"percent": percent, "version": self.show(rollout)["version"]}
        view = self.ask("PUT", f"rollouts/{rollout}/percent", body).raise_for_status().json()
        self.wait_for_workers()
        return view

    def force(self, user: str, arm: str, rollout: str = ROLLOUT) -> None:
        """Pin a user to an arm, and return when all workers know it."""
        body = {"user": user, "arm": arm, "version": self.show(rollout)["version"]}
        self.ask("PUT", f"rollouts/{rollout}/forced", body).raise_for_status()
        self.wait_for_workers()

    def new_key(self, application: str) -> str:
        """Make an application key, and return it when all workers know it."""
        made = self.ask("POST", "keys", {"role": "app", "application": application}).raise_for_status().json()
        self.wait_for_workers()
        return made["key"]

    def wait_for_workers(self) -> None:
        """Wait until all workers decide by the console's newest snapshot."""
        newest = self.ask("GET", "status").raise_for_status().json()["snapshot"]
        until(lambda: self.versions() == {newest}, f"all workers decide by {newest}")

    def pages(self) -> dict[str, status.Status]:
        """Return every worker's status page."""
        return {path.stem: status.read(path) for path in (self.state_dir / "run").glob("*.status")}

    def versions(self) -> set[str]:
        """Return the versions by which workers decide."""
        return {f"{page.snapshot_epoch}.{page.snapshot_version}" for page in self.pages().values()}

    def turnout(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command as a person at this machine would."""
        return subprocess.run(
            command(*words), cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )

    def pid(self, child: str) -> int:
        """Return the process id of `worker-0`, ..., `shipper` or `console`, as soon as it runs."""
        found: list[int] = []
        until(lambda: bool(found.extend(self.pids(child)) or found), f"{child} runs")
        return found[0]

    def kill(self, child: str) -> int:
        """End one process by SIGKILL, and return the id that it had."""
        pid = self.pid(child)
        self.kills[child] += 1
        os.kill(pid, signal.SIGKILL)
        return pid

    def log(self) -> list[dict[str, Any]]:
        """Return what the processes have logged so far."""
        lines = (self.folder / "serve.log").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def look(self) -> Verification:
        """Count what the lake holds."""
        return verify(self.state_dir / "lake", self.state_dir / "journal")

    def settle(self) -> Verification:
        """Wait until every request is closed and in the lake, and all feedback too, and return the count."""
        seen = [self.look()]

        def is_over() -> bool:
            seen.append(self.look())
            return not (seen[-1].waiting or seen[-1].open or seen[-1].feedback.waiting)

        until(is_over, "everything is in the lake", pause_s=0.2)
        return seen[-1]

    def lake(self, question: str = "FROM records", *, settled: bool = True) -> list[dict[str, Any]]:
        """Ask the lake, where everything has arrived, in SQL about `records`; return rows by column name."""
        if settled:
            self.settle()
        elif not any(self.state_dir.glob("lake/incoming/*.parquet")):
            return []
        with duckdb.connect() as connection:
            connection.read_parquet(str(self.state_dir / "lake/incoming/*.parquet")).create_view("records")
            answer = connection.sql(question)
            return [dict(zip(answer.columns, row, strict=True)) for row in answer.fetchall()]

    def record(self, request_id: str) -> dict[str, Any]:
        """Wait until a request's record is in the lake, and return it."""
        found: list[dict[str, Any]] = []

        def is_there() -> bool:
            found.extend(self.lake(f"FROM records WHERE request_id = '{request_id}'", settled=False))
            return bool(found)

        until(is_there, f"the record of {request_id} is in the lake", pause_s=0.1)
        assert len(found) == 1
        return found[0]

    def pids(self, child: str) -> list[int]:
        """Return the process ids of all that are `child` now; a test may have started another beside."""
        words = {"shipper": ["analytics.lake"], "console": ["gateway.console"]}.get(child, ["--name", child])
        wanted = [str(self.state_dir), *words]
        return [pid for pid, argv in _processes() if all(word in argv for word in wanted)]


@contextmanager
def installed(
    folder: Path,
    *,
    config: str = CONFIG,
    simulated: Mapping[str, str] = SIMULATED,
    environment: Mapping[str, str] | None = None,
    ends_by: signal.Signals = signal.SIGTERM,
    errors: int | None = None,
) -> Iterator[Installation]:
    """Run an installation; `$name` in its configuration stands for the address of the simulated server of that name.

    `errors` is a descriptor that it gets for its standard error, in the place of `serve.log`.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TURNOUT_", "OPENAI_"))}
    known = {**kept, "TURNOUT_SECRET": SECRET, "TURNOUT_STATE_DIR": str(folder / "state"), **(environment or {})}
    with ExitStack() as running:

        def simulate(name: str) -> SimulatedServer:
            return running.enter_context(simulating(folder / f"{name}.toml", simulated[name]))

        with ThreadPoolExecutor() as starting:
            servers = dict(zip(simulated, starting.map(simulate, simulated), strict=True))
        addresses = {name: server.base_url for name, server in servers.items()}
        (folder / "turnout.toml").write_text(Template(config).substitute(addresses))
        with (folder / "serve.log").open("wb") as log:
            told = log if errors is None else errors
            process = subprocess.Popen(command("serve"), cwd=folder, env=known, stdout=subprocess.DEVNULL, stderr=told)
        running.callback(ended, process)
        _started(folder, process)
        found = json.loads((folder / "state/addresses.json").read_text())
        keys = dict(line.split()[:2] for line in (folder / "state/first-keys").read_text().splitlines())
        one = Installation(
            folder=folder,
            process=process,
            simulated=servers,
            environment=known,
            gateway=found["gateway"],
            console=found["console"],
            keys=keys,
        )
        try:
            yield one
        finally:
            if one.process is not process:
                running.callback(ended, one.process)
        one.process.send_signal(ends_by)
        assert one.process.wait(PATIENCE_S) == (0 if ends_by == signal.SIGTERM else -ends_by)
        assert_nothing_broke(one)


@contextmanager
def simulating(path: Path, text: str) -> Iterator[SimulatedServer]:
    """Run one simulated server."""
    path.write_text(text)
    words = [sys.executable, "-m", "gateway.simulate", "--config", str(path), "--port", "0"]
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield SimulatedServer(base_url=json.loads(process.stdout.readline())["base_url"])
        assert process.poll() is None
    finally:
        ended(process)


def command(*words: str) -> list[str]:
    """Return a `turnout` command line."""
    return [str(Path(sys.executable).with_name("turnout")), *words]


def until(is_so: Callable[[], bool], wish: str, *, within_s: float = PATIENCE_S, pause_s: float = 0.01) -> float:
    """Wait for something, and return the seconds that it took; the test fails when it does not come."""
    began = time.monotonic()
    while not is_so():
        if time.monotonic() - began > within_s:
            pytest.fail(f"not within {within_s:g} s: {wish}")
        time.sleep(pause_s)
    return time.monotonic() - began


def assert_nothing_broke(one: Installation) -> None:
    """Fail if a process died that no test killed, or logged a traceback."""
    text = (one.folder / "serve.log").read_text()
    log = one.log()
    deaths = Counter(line["child"] for line in log if line["event"] == "a process ended; it is started again")
    assert deaths == one.kills, text
    assert "Traceback" not in text, text
    assert not [line for line in log if "traceback" in line or "killed" in line["event"]], text


def _started(folder: Path, process: subprocess.Popen[bytes]) -> None:
    def is_ready() -> bool:
        if process.poll() is not None:
            pytest.fail(f"serve ended:\n{(folder / 'serve.log').read_text()}")
        try:
            found = json.loads((folder / "state/addresses.json").read_text())
            asked = (f"{found['gateway']}/readyz", f"{found['console']}/healthz")
            return all(httpx.get(url, trust_env=False, verify=PLAIN, timeout=1).status_code == 200 for url in asked)
        except (OSError, httpx.HTTPError):
            return False

    until(is_ready, f"serve is ready: {folder / 'serve.log'}", within_s=3 * PATIENCE_S, pause_s=0.05)
    workers = len(list((folder / "state/run").glob("*.status")))
    assert workers


def is_answered(url: str) -> bool:
    """Tell whether an address answers 200."""
    try:
        return httpx.get(url, trust_env=False, verify=PLAIN, timeout=1).status_code == 200
    except httpx.HTTPError:
        return False


def ended(process: subprocess.Popen[bytes]) -> None:
    """End a process, by force if it must be."""
    if process.stdout is not None:
        process.stdout.close()
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _processes() -> Iterator[tuple[int, list[str]]]:
    if not Path("/proc").exists():
        listed = subprocess.run(["ps", "-axo", "pid=,command="], capture_output=True, text=True, check=True).stdout
        yield from ((int(pid), words) for pid, *words in map(str.split, listed.splitlines()))
        return
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            yield int(entry.name), (entry / "cmdline").read_bytes().decode().split("\0")
        except (OSError, UnicodeDecodeError):
            continue
