"""One real installation for each file of examples."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.harness import Installation, installed


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installed(tmp_path_factory.mktemp("installation")) as installation:
        yield installation
