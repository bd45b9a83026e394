from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gateway.console.views import WorkerView
from tests.fakes.console import SALES, opened, serving

WORKER = WorkerView(worker="w0", snapshot="1.1", in_flight=3)


@pytest.fixture
def admin(tmp_path: Path) -> Iterator[httpx.Client]:
    with (
        opened(tmp_path, workers=lambda: [WORKER]) as control,
        serving(control) as running,
        running.client(running.keys.admin) as client,
    ):
        yield client


def test_the_audit_names_who_did_what(admin: httpx.Client):
    admin.put(f"/api/v1/rollouts/{SALES}/percent", json={"percent": 10, "version": 1})

    audit = admin.get("/api/v1/audit", params={"verify": "true"}).json()

    assert audit["whole"] is True
    assert audit["entries"][0]["action"] == "set_percent"
    assert audit["entries"][0]["actor"].startswith("admin key")
    assert len(admin.get("/api/v1/audit", params={"limit": 1}).json()["entries"]) == 1


def test_the_status_compares_workers_with_the_version_in_force(admin: httpx.Client):
    status = admin.get("/api/v1/status").json()

    assert status["snapshot"] == "1.2"
    assert status["read_only"] is False
    assert status["workers"][0]["in_flight"] == 3
    assert status["warnings"] == ["worker w0 does not decide by snapshot 1.2 yet"]
