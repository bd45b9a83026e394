"""Fixtures that every test may ask for."""

from __future__ import annotations

import signal

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run `@pytest.mark.anyio` tests on asyncio, the only loop that the product uses."""
    return "asyncio"


def pytest_configure() -> None:
    """Let the processes that tests start hear Ctrl-C, also where a shell runs the tests in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
