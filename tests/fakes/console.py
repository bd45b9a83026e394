"""A real console on a real socket, in a thread of the test; and the definitions and secrets that it is made of."""

from __future__ import annotations

import contextlib
import itertools
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvicorn

from analytics.lake.place import Place
from gateway.console.app import create_app
from gateway.console.control import Control
from gateway.console.keyring import FirstKeys
from gateway.console.queries import Queries
from gateway.console.reports import Reports
from gateway.console.views import WorkerView
from gateway.settings.schema import Configuration, Model, RolloutDefinition, Sql, Upstream
from gateway.settings.secrets import Derived, derived, load_master
from rollout.stores.sqlite import SqliteLedger, open_ledger
from tests.fakes.plain import PLAIN

SALES = "sales-companion"


def definitions(**rollouts: RolloutDefinition) -> Configuration:
    """Return definitions with the given rollouts, or with `sales-companion`."""
    return Configuration(
        upstreams={"openai": Upstream(base_url="http://127.0.0.1:9")},
        models={name: Model(upstream="openai") for name in ("gpt", "tuned", "tuned-2")},
        rollouts=rollouts or {SALES: RolloutDefinition(base="gpt", candidate="tuned", also_for=("gpt",))},
    )


def counting_clock(start: int = 1_800_000_000_000_000) -> Callable[[], int]:
    """Return a clock that is a second later at every look."""
    seconds = itertools.count()
    return lambda: start + next(seconds) * 1_000_000


def counting_randomness() -> Callable[[int], bytes]:
    """Return bytes that differ at every call."""
    numbers = itertools.count(1)
    return lambda length: next(numbers).to_bytes(length, "big")


def secrets_of(state_dir: Path) -> Derived:
    """Return the keys of a state directory, whose secret is made when it is missing."""
    return derived(load_master(state_dir, {}, lambda length: b"\x07" * length))


@contextlib.contextmanager
def opened(
    state_dir: Path,
    wanted: Configuration | None = None,
    *,
    killed: Callable[[], bool] = lambda: False,
    workers: Callable[[], list[WorkerView]] = list,
) -> Iterator[Control]:
    """Yield a started `Control` on a state directory."""
    with opened_with_ledger(state_dir, wanted, killed=killed, workers=workers) as (control, _):
        yield control


@contextlib.contextmanager
def opened_with_ledger(
    state_dir: Path,
    wanted: Configuration | None = None,
    *,
    killed: Callable[[], bool] = lambda: False,
    workers: Callable[[], list[WorkerView]] = list,
    clock: Callable[[], int] | None = None,
) -> Iterator[tuple[Control, SqliteLedger]]:
    """Yield a started `Control` on a state directory, and its ledger."""
    keys = secrets_of(state_dir)
    ledger = open_ledger(state_dir, clock=clock or counting_clock())
    control = Control(
        ledger,
        wanted if wanted is not None else definitions(),
        keys,
        randomness=counting_randomness(),
        killed=killed,
        workers=workers,
    )
    try:
        if not ledger.read_only:
            control.start()
        yield control, ledger
    finally:
        ledger.close()


@dataclass(frozen=True, kw_only=True)
class RunningConsole:
    """A console that answers at `url`."""

    url: str
    control: Control
    keys: FirstKeys

    def key(self, role: str) -> str:
        """Return a new key of a role."""
        application = "default" if role == "app" else None
        return self.control.keys.create_key(role, application, "test", actor="test").key

    def client(self, key: str | None) -> httpx.Client:
        """Return a client that sends a key, or none."""
        headers = {"authorization": f"Bearer {key}"} if key is not None else {}
        return httpx.Client(base_url=self.url, headers=headers, trust_env=False, verify=PLAIN, timeout=10)


@contextlib.contextmanager
def serving(
    control: Control, lake: Path = Path("/nowhere/lake"), *, sql: Sql | None = None
) -> Iterator[RunningConsole]:
    """Serve a control's app on a free port until the block ends; its reports and queries read a lake."""
    keys = control.keys.first_keys()
    assert keys is not None
    listener = socket.create_server(("127.0.0.1", 0))
    reports = Reports(control, lake)
    folder = tempfile.TemporaryDirectory()
    queries = Queries(sql or Sql(timeout_s=60), Place(url=str(lake)), Path(folder.name, "sql"), steps_back=False)
    app = create_app(control, reports, queries)
    config = uvicorn.Config(app, log_config=None, lifespan="on", ws="none", access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.005)
        yield RunningConsole(url=f"http://127.0.0.1:{listener.getsockname()[1]}", control=control, keys=keys)
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
        queries.close()
        reports.close()
        folder.cleanup()
