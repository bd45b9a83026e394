"""One running installation for all cases that do it no harm; at its end, nothing that callers sent may lie anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.acceptance.harness import PATIENCE_S, Installation, installed
from tests.bad_input.front import CANARY, QUIET_CONFIG, Front


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """Run an installation, and search all that it has written once the tests are over."""
    folder = tmp_path_factory.mktemp("bad-input")
    client = httpx.Client(trust_env=False, timeout=PATIENCE_S)
    with installed(folder, config=QUIET_CONFIG) as installation, client:
        front = Front(installation, client)
        yield front
        assert not _found_in(folder, CANARY.encode())
        assert not _found_in(folder, front.key.encode(), but={"first-keys"})
        _assert_nothing_was_lost(installation)


@pytest.fixture
def front(running: Front) -> Iterator[Front]:
    """Give a test the front, and check that what it did was not forwarded and left the gateway whole."""
    before = running.forwarded()
    yield running
    assert running.forwarded() == before
    assert running.post().status == 200


def _found_in(folder: Path, wanted: bytes, but: frozenset[str] | set[str] = frozenset()) -> list[str]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in but]
    return [path.name for path in files if wanted in path.read_bytes()]


def _assert_nothing_was_lost(installation: Installation) -> None:
    for page in installation.pages().values():
        assert (page.lost, page.in_flight) == (0, 0)
