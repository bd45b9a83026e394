"""The upstream clients that must keep the contract, and the loop that they keep it on."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.proxy.upstream import Upstream
from tests.fakes.clients import CHOSEN, CLIENTS, Make
from tests.fakes.named_loop import NamedLoop

KNOWN_FAILURES: dict[str, dict[str, dict[str, str]]] = tomllib.loads(
    (Path(__file__).parent / "known_failures.toml").read_text()
)
"""Of each client for the record: cases that it fails `always`, where passing is an error, or `at_times`; and why."""
SHORT = ("test_upstream_faults.py", "test_upstream_once.py")
"""What of the suite every test run asks of the clients for the record; the rest is slow."""
_SEEN = pytest.StashKey[set[str]]()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the cases of clients for the record: those known to fail, and those left to the slow run."""
    seen = config.stash.setdefault(_SEEN, set())
    for item in items:
        callspec = getattr(item, "callspec", None)
        name = callspec.params.get("client") if callspec else None
        if name is None or name == CHOSEN or item.path.parent != Path(__file__).parent:
            continue
        case = item.nodeid.rpartition("/")[2]
        seen.add(case)
        for how, cases in KNOWN_FAILURES.get(name, {}).items():
            if case in cases:
                item.add_marker(pytest.mark.xfail(reason=cases[case], strict=how == "always"))
        if item.path.name not in SHORT:
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def misnamed(pytestconfig: pytest.Config) -> list[str]:
    """Return the known failures that name no case, of the files that were collected."""
    seen = pytestconfig.stash[_SEEN]
    files = {case.partition("::")[0] for case in seen}
    known = [case for client in KNOWN_FAILURES.values() for cases in client.values() for case in cases]
    return [case for case in known if case not in seen and case.partition("::")[0] in files]


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Run on the loop that workers run on, with names of the test's own."""
    return "asyncio", {"loop_factory": NamedLoop}


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def make(client: str) -> Make:
    return CLIENTS[client]


@pytest.fixture
async def upstream(make: Make) -> AsyncIterator[Upstream]:
    made = make()
    yield made
    await made.close()


@pytest.fixture
async def loop() -> NamedLoop:
    running = asyncio.get_running_loop()
    assert isinstance(running, NamedLoop)
    return running
