"""What the chart renders, started: each container's command and environment as real processes, on folders of a test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.harness import SIMULATED, simulating
from tests.fakes.plain import PLAIN
from tests.helm.chart import MINIMAL, NAMESPACE, manifests, one
from tests.helm.pod import Cluster, started


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[str]:
    with simulating(tmp_path / "base.toml", SIMULATED["base"]) as server:
        yield server.base_url


def get(url: str, key: str, host: str) -> Any:
    headers = {"authorization": f"Bearer {key}", "host": host}
    return httpx.get(url, headers=headers, trust_env=False, verify=PLAIN, timeout=30).raise_for_status().json()


def test_one_pod_starts_and_answers_its_probes_and_its_callers(upstream: str, tmp_path: Path):
    cluster = Cluster(folder=tmp_path, manifests=manifests(MINIMAL), addresses={"https://api.openai.com/v1": upstream})
    within = f"demo-turnout-gateway.{NAMESPACE}.svc:8080"

    with started(cluster, one(cluster.manifests, "StatefulSet"), "single") as pod:
        pod.wait_for_probes()
        listed = get(f"{pod.told['gateway']}/v1/models", pod.first_keys()["application"], within)
        pod.turnout("rollout", "set", "sales-companion", "10")
        said = pod.turnout("rollout", "list")

    assert "10" in said.split()
    assert "sales-companion" in {model["id"] for model in listed["data"]}
