"""A real Prometheus scrapes a real installation, and its quantiles agree with those of the lake within a bucket."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from analytics.telemetry.names import SECONDS
from tests.acceptance.harness import PATIENCE_S, ROLLOUT, Installation, ended, installed, until
from tests.acceptance.test_telemetry import ask
from tests.fakes.plain import PLAIN

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
ASKED = 60


@contextmanager
def prometheus(folder: Path, target: str) -> Iterator[str]:
    """Run Prometheus on one target; yield its address."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("not exercised: there is no prometheus here; on Debian: apt-get install prometheus")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    scraped = [{"job_name": "turnout", "static_configs": [{"targets": [target]}]}]
    config = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": scraped}
    (folder / "prometheus.yml").write_text(json.dumps(config))
    words = [program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/series"]
    words += [f"--web.listen-address={address}"]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(words, cwd=folder, stdout=log, stderr=log)
    try:
        yield f"http://{address}"
    finally:
        ended(process)


def query(address: str, expression: str) -> list[dict[str, Any]]:
    try:
        asked = {"params": {"query": expression}, "timeout": PATIENCE_S}
        answer = httpx.get(f"{address}/api/v1/query", **asked, trust_env=False, verify=PLAIN)
    except httpx.TransportError:
        return []
    return answer.json()["data"]["result"] if answer.status_code == 200 else []


def value(address: str, expression: str) -> float | None:
    found = query(address, expression)
    return float(found[0]["value"][1]) if found else None


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Installation]:
    with installed(tmp_path) as one:
        yield one


def test_prometheus_counts_what_the_lake_has_and_its_quantiles_agree_within_a_bucket(
    running: Installation, tmp_path: Path
) -> None:
    target = json.loads((running.state_dir / "addresses.json").read_text())["metrics"].removeprefix("http://")
    with prometheus(tmp_path, target) as address:
        for number in range(ASKED):
            assert ask(running, stream=number % 2 == 1) == 200
        counted = f'sum(turnout_requests_total{{rollout="{ROLLOUT}",outcome="ok"}})'
        until(lambda: value(address, counted) == ASKED, "everything was scraped", within_s=120, pause_s=0.5)

        assert value(address, 'up{job="turnout"}') == 1
        for share in (0.5, 0.9, 0.99):
            buckets = "sum by (le) (turnout_request_duration_seconds_bucket)"
            told = value(address, f"histogram_quantile({share}, {buckets})")
            question = f"SELECT quantile_disc(latency_ms, {share}) / 1000 AS exact_s FROM records WHERE outcome = 'ok'"
            ((exact_s,),) = [row.values() for row in running.lake(question)]
            assert told is not None
            assert abs(bisect_left(SECONDS, told) - bisect_left(SECONDS, exact_s)) <= 1
        spent = value(address, "sum(turnout_cost_usd_sum)")
        assert spent == pytest.approx(running.lake("SELECT sum(cost_usd) AS usd FROM records")[0]["usd"])
