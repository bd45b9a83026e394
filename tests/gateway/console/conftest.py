"""One started control, and one running console, per test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.console.control import Control
from tests.fakes.console import RunningConsole, opened, serving


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    with opened(tmp_path) as made:
        yield made


@pytest.fixture
def console(control: Control) -> Iterator[RunningConsole]:
    with serving(control) as running:
        yield running
