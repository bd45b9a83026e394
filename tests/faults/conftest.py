"""One running installation with short limits, so that what takes too long ends within a test."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.acceptance.harness import BEHAVIOUR, CANDIDATE, CONFIG, PATIENCE_S, SIMULATED, installed
from tests.bad_input.front import Front
from tests.fakes.schedule import fault_seed as fault_seed  # noqa: PLC0414 - a fixture of every test here

LIMITS = """[server]
hosts = ["llm.example.com"]
head_timeout_s = 1.0
body_timeout_s = 1.0
write_timeout_s = 1.0
"""
LONG = BEHAVIOUR.replace("tokens_per_chunk = 4", "tokens_per_chunk = 4000")
"""Large events, so that a stream fills every buffer before it costs much."""


@pytest.fixture(scope="session")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """Run an installation; at its end no request is in flight and no record was lost."""
    folder = tmp_path_factory.mktemp("faults")
    config = CONFIG.replace("[server]\n", LIMITS).replace("seal_every_s = 0.2", "seal_every_s = 3600")
    client = httpx.Client(trust_env=False, timeout=PATIENCE_S)
    simulated = {**SIMULATED, "tuned": f'[models."{CANDIDATE}"]\n{LONG}'}
    with client, installed(folder, config=config, simulated=simulated) as installation:
        yield Front(installation, client)
        for page in installation.pages().values():
            assert (page.lost, page.in_flight) == (0, 0)
