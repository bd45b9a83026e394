"""One installation for all comparisons."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.transparency.shapes.pass_through import GRANTED
from tests.transparency.stage import Stage, staged


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Run it once; at its end nothing may have broken in it."""
    with staged(tmp_path_factory.mktemp("transparency"), passthrough=GRANTED) as stage:
        yield stage
